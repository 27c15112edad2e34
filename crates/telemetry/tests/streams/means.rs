//! Tokens and what they cost, over what.
#![allow(clippy::unwrap_used)]

use super::*;

/// Tokens of an answer, over how many, and over what.
fn mean(found: &Before) -> (i128, u64, Per) {
    let Side::Mean { n, sum } = found.side else { panic!("{found:?}") };
    (sum / i128::from(n), n, found.per)
}

#[test]
fn a_mean_of_tokens_is_that_of_the_bill_whoever_counts_them() {
    // The stand-in billed 120 tokens an answer.
    for (name, counted, per, told) in [
        ("nodeotel", 172, Per::Counted, "100 of 272 answers of stable have no token count"),
        ("langchain-traceloop", 10, Per::Counted, "5 of 15 answers of stable have no token count"),
        ("langchain-agent-genai", 20, Per::Answer, ""),
    ] {
        let found = before(name, tokens());
        assert_eq!(mean(&found), (120, counted, per), "{name}");
        let caveat = found.caveat.unwrap_or_default();
        let rest = " (streams without usage: set stream_options.include_usage), and the mean is over the others";
        let told = if told.is_empty() { String::new() } else { format!("{told}{rest}") };
        assert_eq!(caveat, told, "{name}");
    }
    // Beside requests of users with routes it is per request, and what has no count is taken for like the others: 120 each of
    // all good calls, by the answers that the application gave well, those among them that broke off or were left.
    for (name, calls, counted, requests) in [
        ("otelnewv2", 299, 157, 281),
        ("otelnew", 253, 179, 281),
        ("genai", 253, 179, 281),
        ("traceloop", 299, 179, 235),
    ] {
        let found = before(name, tokens());
        assert_eq!(found.side, Side::Mean { n: requests, sum: 120 * i128::from(calls) }, "{name}");
        assert_eq!(found.per, Per::UserCounted, "{name}");
        let open = calls - counted;
        let told = format!(
            "{open} of {calls} answers of stable have no token count (streams without usage: set stream_options.include_usage), and are taken for like the others"
        );
        assert_eq!(found.caveat.unwrap(), told, "{name}");
    }
    // openlit estimates the tokens of streams without usage itself, so that the bill can be shared by the requests of users
    // that were answered (139 + 96): a tenth of what the model answered the application could not use.
    assert_eq!(mean(&before("openlit", tokens())), (105, 235, Per::User));
}

#[test]
fn tokens_of_a_cache_that_nobody_tells_apart_are_said_to_cost_the_full_price() {
    let found = before("anthropic-genai", cost());
    let Side::Mean { n, sum } = found.side else { panic!("{found:?}") };
    assert_eq!((n, sum), (21, 2_600 * 1_000_000 + 420 * 5_000_000));
    assert_eq!(
        found.caveat.unwrap(),
        "cached tokens are priced in full: gen_ai_client_token_usage_sum does not tell them apart"
    );
}

#[test]
fn tokens_of_a_cache_with_a_type_of_their_own_have_their_own_price() {
    // Envoy AI Gateway's types: those of the cache are among the input, those of reasoning among the output.
    let types: [(&str, f64); 5] = [
        ("input", 1000.0),
        ("output", 100.0),
        ("cached_input", 800.0),
        ("cache_creation_input", 50.0),
        ("reasoning", 60.0),
    ];
    let mut exposed = vec![usage(REQUESTS, &[(MODEL, PINNED)], 10.0)];
    for (kind, sum) in types {
        exposed.push(usage(USAGE, &[(MODEL, PINNED), ("gen_ai_token_type", kind)], sum));
        exposed.push(usage(INPUT, &[(MODEL, PINNED), ("gen_ai_token_type", kind)], 10.0));
    }
    let found = asked(&exposed, cost()).0.unwrap();
    // 0.05, 0.40 and 0.005 USD per million.
    let sum = 200 * 50_000 + 100 * 400_000 + 800 * 5_000;
    assert_eq!((found.side, found.caveat), (Side::Mean { n: 10, sum }, None));
}

#[test]
fn a_counter_of_dollars_that_stays_at_nothing_is_not_used() {
    let (found, pin) = asked(&capture("openlit"), budget());
    assert_eq!(pin.tokens, ["gen_ai_client_token_usage_sum"]);
    let Before { side, caveat, .. } = found.unwrap();
    // 18 760 tokens in, 5 958 out.
    assert_eq!(side, Side::Mean { n: 309, sum: 18_760 * 50_000 + 5_958 * 400_000 });
    let told = caveat.unwrap();
    assert!(
        told.starts_with(
            "gen_ai_usage_cost_USD_sum of stable stays at 0 USD beside counted tokens (it has no price for their model), so \
             the budget goes by the price table "
        ),
        "{told}"
    );
}

#[test]
fn a_counter_of_dollars_is_not_used_where_it_has_no_price_for_one_of_the_models() {
    let both = |usd: f64| {
        let exposed = [("gpt-5-nano", 1.0), ("gpt-5-mini", usd)].map(|(model, usd)| {
            let input = [(MODEL, model), ("gen_ai_token_type", "input")];
            [
                usage(REQUESTS, &[(MODEL, model)], 10.0),
                usage(USAGE, &input, 1000.0),
                usage("gen_ai_usage_cost_USD_sum", &[(MODEL, model)], usd),
            ]
        });
        asked(&exposed.concat(), budget()).1.tokens
    };
    assert_eq!(both(2.0), ["gen_ai_usage_cost_USD_sum"]);
    assert_eq!(both(0.0), ["gen_ai_client_token_usage_sum"]);
}

/// Of 299 good calls 142 streams were measured to their headers, and 74 of 253 had no usage.
#[test]
fn a_budget_says_what_it_does_not_see() {
    for (name, told) in [
        ("otelnewv2", "142 of 299 answers of stable have no token count"),
        ("genai", "74 of 253 answers of stable have no token count"),
    ] {
        let caveat = caveat(name, budget());
        assert!(caveat.starts_with(told) && caveat.contains("and the budget does not see what they cost"), "{caveat}");
    }
    assert!(!caveat("anthropic-genai", budget()).contains("have no token count"));
}

#[test]
fn a_canary_without_token_counts_is_no_cheaper_canary() {
    let stable = [(REQUESTS, ANSWERED, 20.0), (USAGE, IN, 2000.0), (INPUT, IN, 20.0)];
    let seen = |answers: f64, counted: f64| {
        let canary = [(REQUESTS, ANSWERED, answers), (USAGE, IN, 100.0 * counted), (INPUT, IN, counted)];
        windows(&canary, &stable, tokens()).gates["tokens"]
    };
    assert_eq!(seen(20.0, 20.0).unwrap().canary, Some(Side::Mean { n: 20, sum: 2000 }));
    assert_eq!(seen(20.0, 19.0).unwrap().canary, Some(Side::Mean { n: 19, sum: 1900 }), "one is on its way");
    assert_eq!(seen(20.0, 10.0), Err(Unknown::TokensMissing));
    assert_eq!(seen(3.0, 0.0), Err(Unknown::TokensMissing));
    let streams = windows(&[(REQUESTS, ANSWERED, 20.0)], &stable, tokens()).gates["tokens"];
    assert_eq!(streams, Err(Unknown::TokensMissing), "nor where it exposes no token counter at all");
}

#[test]
fn a_stable_whose_streams_have_had_no_usage_lately_has_its_mean_over_the_others() {
    let mut store = Store::default();
    for k in 0..20 {
        let (before, lately) = (1000.0, 10.0 * f64::from(k));
        let rows = [
            (REQUESTS, ANSWERED, before + lately),
            (USAGE, IN, 100.0 * (before + lately / 2.0)),
            (INPUT, IN, before + lately / 2.0),
        ];
        store.scrape(STABLE, f64::from(k) * 30.0 - 600.0, &rows);
    }
    let Counts::Baseline { gates, .. } = store.ask(&subject(vec![tokens()]), &Ask::Baseline, &Watch::default(), 0.0)
    else {
        panic!("preflight has a baseline")
    };
    let found = gates["tokens"].clone().unwrap();
    assert_eq!((mean(&found).0, found.per), (100, Per::Counted));
    assert!(found.caveat.unwrap().ends_with("and the mean is over the others"));
}

#[test]
fn a_canary_without_any_count_is_none_either_where_not_all_of_stables_have_one() {
    let stable = [(REQUESTS, ANSWERED, 20.0), (USAGE, IN, 1000.0), (INPUT, IN, 10.0)];
    let seen = |counted: f64| {
        let canary = [(REQUESTS, ANSWERED, 8.0), (USAGE, IN, 100.0 * counted), (INPUT, IN, counted)];
        windows(&canary, &stable, tokens()).gates["tokens"]
    };
    assert_eq!(seen(4.0).unwrap().canary, Some(Side::Mean { n: 4, sum: 400 }));
    assert_eq!(seen(0.0), Err(Unknown::TokensMissing));
}

#[test]
fn failing_is_not_saving() {
    let rows = |failed: f64| {
        let good = 20.0 - failed;
        [(REQUESTS, ANSWERED, good), (REQUESTS, FAILED, failed), (USAGE, IN, 100.0 * good), (INPUT, IN, good)]
    };
    let sides = sides(&windows(&rows(10.0), &rows(0.0), tokens()), "tokens");
    assert_eq!(sides, (Some(Side::Mean { n: 10, sum: 1000 }), Some(Side::Mean { n: 20, sum: 2000 })));
}

#[test]
fn of_two_generations_of_names_the_one_that_counts_is_read() {
    let input: &[(&str, &str)] = &[(MODEL, PINNED), ("gen_ai_token_type", "input")];
    let newer = "gen_ai_client_inference_usage_input_tokens_total";
    let exposed = [
        usage(REQUESTS, &[(MODEL, PINNED)], 10.0),
        usage(USAGE, input, 0.0),
        usage(newer, &[(MODEL, PINNED)], 1_000.0),
    ];
    let (found, pin) = asked(&exposed, tokens());
    assert!(pin.tokens.contains(&newer.to_owned()), "{pin:?}");
    assert_eq!(found.unwrap().side, Side::Mean { n: 10, sum: 1_000 });
}
