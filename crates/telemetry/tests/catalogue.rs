//! The gates beside errors, latency, cost and hallucination: what they read of a scrape, and what preflight says of them.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use microapp_core::{
    counts::{Ask, Counts, Side, Unknown, Watch, Window},
    strategy::{Gate, GateKind, Judged, Mean, Preset, Share, Slow},
};
use microapp_telemetry::{Answer, Brings, Pin, PriceTable, Sample, Series, Subject, digest, queries};

const FIRST: &str = "gen_ai_client_operation_time_to_first_chunk_seconds";
const USAGE: &str = "gen_ai_client_token_usage_sum";
const IN: &str = "gen_ai_client_inference_usage_input_tokens_total";
const OUT: &str = "gen_ai_client_inference_usage_output_tokens_total";
const CACHED: &str = "gen_ai_client_inference_usage_cache_read_input_tokens_total";
const MODEL: &str = "gen_ai_response_model";
const PINNED: &str = "gpt-5-nano-2025-08-07";

type Row<'a> = (&'static str, &'a [(&'static str, &'a str)], f64);

/// Four scrapes of a pod, 5 s apart; the counters of `rows` times 1, 2, 3, 4.
fn scrapes(store: &mut Store, pod: &str, rows: &[Row]) {
    for k in 0..4 {
        let rows: Vec<Counter> =
            rows.iter().map(|(name, labels, each)| (*name, *labels, each * (f64::from(k) + 1.0))).collect();
        store.scrape(pod, f64::from(k) * 5.0 - 2.0, &rows);
    }
}

fn both(canary: &[Row], stable: &[Row]) -> Store {
    let mut store = Store::default();
    scrapes(&mut store, CANARY, canary);
    scrapes(&mut store, STABLE, stable);
    store
}

fn first(store: &Store, gates: Vec<Gate>) -> Window {
    store.windows(&subject(gates), 12.0).remove(0)
}

/// Stable has exposed these for ten minutes.
fn ten_minutes(stable: &[Row]) -> Store {
    let mut store = Store::default();
    for k in 0..20 {
        let rows: Vec<Counter> =
            stable.iter().map(|(name, labels, each)| (*name, *labels, each * f64::from(k))).collect();
        store.scrape(STABLE, f64::from(k) * 30.0 - 600.0, &rows);
    }
    store
}

/// What preflight makes of the gate then: the pin, or the sentence.
fn preflight(stable: &[Row], gate: Gate) -> Result<String, (bool, String)> {
    asked(&ten_minutes(stable), gate)
}

fn asked(store: &Store, gate: Gate) -> Result<String, (bool, String)> {
    let name = gate.name.clone();
    match store.ask(&subject(vec![gate]), &Ask::Baseline, &Watch::default(), 0.0) {
        Counts::Baseline { gates, pins, .. } => match &gates[&name] {
            Ok(_) => Ok(pins.get(&name).cloned().unwrap_or_default()),
            Err(unfit) => Err((unfit.fatal, unfit.message.clone())),
        },
        other => panic!("{other:?}"),
    }
}

/// What preflight has to say of a gate that works.
fn caveat(stable: &[Row], gate: Gate) -> Option<String> {
    let name = gate.name.clone();
    match ten_minutes(stable).ask(&subject(vec![gate]), &Ask::Baseline, &Watch::default(), 0.0) {
        Counts::Baseline { gates, .. } => gates[&name].as_ref().unwrap().caveat.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_time_to_the_first_token_has_a_total_of_its_own() {
    let gate = gate(
        "first",
        GateKind::Slow { what: Slow::FirstToken, slow_ppm: 50_000, max_micros: 800_000, own: None },
        Preset::OtelGenai,
    );
    let rows = |slow: f64| {
        vec![
            (REQUESTS, &[][..], 50.0),
            ("gen_ai_client_operation_time_to_first_chunk_seconds_count", &[][..], 20.0),
            ("gen_ai_client_operation_time_to_first_chunk_seconds_bucket", &[("le", "0.64")][..], 20.0 - 2.0 * slow),
            ("gen_ai_client_operation_time_to_first_chunk_seconds_bucket", &[("le", "1.28")][..], 20.0 - slow),
        ]
    };
    let store = both(&rows(5.0), &rows(1.0));
    let (canary, stable) = sides(&first(&store, vec![gate.clone()]), "first");
    assert_eq!(canary, Some(Side::Count { above: 5, below: 10, total: 20 }), "of those that stream, not of all");
    assert_eq!(stable, Some(Side::Count { above: 1, below: 2, total: 20 }));
    let pin = Pin::read(&preflight(&rows(1.0), gate).unwrap()).unwrap();
    assert_eq!((pin.family.as_str(), pin.lower.as_str(), pin.upper.as_str()), (FIRST, "0.64", "1.28"));
}

#[test]
fn tokens_count_without_a_price_and_cached_ones_once() {
    let gate = gate(
        "tokens",
        GateKind::Mean { what: Mean::Tokens, max: None, max_increase_ppm: Some(100_000) },
        Preset::OtelGenai,
    );
    let rows = |out: f64| {
        let model = &[(MODEL, "a-model-without-a-price")][..];
        vec![(REQUESTS, &[][..], 10.0), (IN, model, 1_000.0), (OUT, model, out), (CACHED, model, 600.0)]
    };
    let (canary, stable) = sides(&first(&both(&rows(400.0), &rows(200.0)), vec![gate]), "tokens");
    assert_eq!((canary, stable), (Some(Side::Mean { n: 10, sum: 1_400 }), Some(Side::Mean { n: 10, sum: 1_200 })));
}

#[test]
fn a_budget_counts_tokens_at_their_price_and_what_the_judges_cost() {
    let gate = gate("budget", GateKind::Budget { max_pico_usd: 1 }, Preset::OtelGenai);
    let labels = &[("gen_ai_token_type", "output"), (MODEL, PINNED)][..];
    let rows = [(REQUESTS, &[][..], 10.0), (USAGE, labels, 100.0)];
    let mut store = both(&rows, &rows);
    let judge = |revision| [("namespace", "fintech"), ("pod", "judge-0"), ("job", "judge"), ("revision", revision)];
    for k in 0..4 {
        let at = f64::from(k) * 5.0 - 2.0;
        let cost = [("__name__", "llm_eval_cost_usd_total")];
        store.put(&[&cost[..], &judge("bbbbbbbbbb")[..]].concat(), at, 0.25 * (f64::from(k) + 1.0));
        store.put(&[&cost[..], &judge("aaaaaaaaaa")[..]].concat(), at, 9.0 * (f64::from(k) + 1.0));
    }
    let (canary, _) = sides(&first(&store, vec![gate]), "budget");
    assert_eq!(canary, Some(Side::Mean { n: 10, sum: 100 * 400_000 + 250_000_000_000 }));
}

#[test]
fn a_counter_of_dollars_is_taken_before_the_table() {
    let gate = gate("budget", GateKind::Budget { max_pico_usd: 1 }, Preset::OtelGenai);
    let labels = &[("gen_ai_token_type", "output"), (MODEL, "unknown")][..];
    let rows = [(REQUESTS, &[][..], 10.0), (USAGE, labels, 100.0), ("gen_ai_usage_cost_sum", &[][..], 0.000_1)];
    let store = both(&rows, &rows);
    let (canary, _) = sides(&first(&store, vec![gate]), "budget");
    assert_eq!(canary, Some(Side::Mean { n: 10, sum: 100_000_000 }), "an unknown model has a cost there");
}

#[test]
fn a_counter_of_dollars_that_contradicts_the_table_is_told() {
    let gate = || gate("budget", GateKind::Budget { max_pico_usd: 1 }, Preset::OtelGenai);
    let labels = &[("gen_ai_token_type", "output"), (MODEL, PINNED)][..];
    // 1 000 tokens cost 0.0004 USD.
    let rows = |each| [(REQUESTS, &[][..], 10.0), (USAGE, labels, 1000.0), ("gen_ai_usage_cost_sum", &[][..], each)];
    assert_eq!(caveat(&rows(0.000_4), gate()), None);
    assert_eq!(caveat(&rows(0.000_437), gate()), None, "nine per cent");
    let cached = "cached tokens are priced in full: gen_ai_client_token_usage_sum does not tell them apart";
    assert_eq!(caveat(&rows(0.000_4)[..2], gate()).unwrap(), cached, "the table alone");
    let told = caveat(&rows(0.001), gate()).unwrap();
    assert!(
        told.starts_with(
            "gen_ai_usage_cost_sum of stable counted 0.018 USD where its tokens cost 0.0072 USD by the price table "
        ),
        "{told}"
    );
    let told = caveat(&rows(0.0), gate()).unwrap();
    assert!(told.contains(" stays at 0 USD beside counted tokens"), "a model that the counter does not know: {told}");
    let unknown = &[("gen_ai_token_type", "output"), (MODEL, "unknown")][..];
    let rows = [(REQUESTS, &[][..], 10.0), (USAGE, unknown, 1000.0), ("gen_ai_usage_cost_sum", &[][..], 1.0)];
    assert_eq!(caveat(&rows, gate()), None, "the table knows nothing of it");
}

#[test]
fn a_threshold_between_two_bounds_that_are_far_apart_is_told() {
    let gate = |max_micros| latency(max_micros);
    let rows = |upper: &'static [(&'static str, &'static str)]| {
        [(REQUESTS, &[][..], 50.0), (BUCKETS, &[("le", "2.56")][..], 40.0), (BUCKETS, upper, 50.0)]
    };
    assert_eq!(caveat(&rows(&[("le", "5.12")]), gate(2_560_000)), None, "at a bound");
    assert_eq!(caveat(&rows(&[("le", "3.5")]), gate(3_000_000)), None, "between two that are near");
    let told = caveat(&rows(&[("le", "5.12")]), gate(3_000_000)).unwrap();
    assert!(told.starts_with("its threshold lies between the bucket bounds 2.56 and 5.12 of gen_ai"), "{told}");
}

#[test]
fn throttling_is_no_error_and_errors_are_no_throttling() {
    let rows = [
        (REQUESTS, &[][..], 90.0),
        (REQUESTS, &[("error_type", "429")][..], 7.0),
        (REQUESTS, &[("error_type", "timeout")][..], 3.0),
    ];
    let quota = gate("quota", GateKind::Share { what: Share::Throttled, max_ppm: Some(50_000) }, Preset::OtelGenai);
    let window = first(&both(&rows, &rows), vec![errors(), quota]);
    assert_eq!(sides(&window, "errors").0, count(3, 100));
    assert_eq!(sides(&window, "quota").0, count(7, 100));
}

#[test]
fn a_model_outside_of_the_pinned_set_is_counted_by_its_requests() {
    let gate = gate("model", GateKind::Model { accepted: vec![PINNED.to_owned()] }, Preset::OtelGenai);
    let canary = [(REQUESTS, &[(MODEL, PINNED)][..], 9.0), (REQUESTS, &[(MODEL, "fallback")][..], 1.0)];
    let stable = [(REQUESTS, &[(MODEL, PINNED)][..], 30.0)];
    let store = both(&canary, &stable);
    assert_eq!(sides(&first(&store, vec![gate.clone()]), "model").0, count(1, 10));
    let (fatal, why) = preflight(&[(REQUESTS, &[], 9.0)], gate).unwrap_err();
    assert!(!fatal && why.contains("has no label gen_ai_response_model"), "{why}");
}

#[test]
fn votes_are_counted_where_nobody_asks_for_them() {
    let gate =
        gate("liked", GateKind::Judged { what: Judged::Feedback, max_ppm: 200_000, evaluator: None }, Preset::Evals);
    let mut store = Store::default();
    for (revision, up, down) in [("aaaaaaaaaa", 8.0, 1.0), ("bbbbbbbbbb", 5.0, 4.0)] {
        for (rating, each) in [("up", up), ("down", down)] {
            let labels = [
                ("__name__", "llm_feedback_total"),
                ("namespace", "fintech"),
                ("pod", "web-0"),
                ("job", "web"),
                ("revision", revision),
                ("rating", rating),
            ];
            for k in 0..64 {
                store.put(&labels, f64::from(k) * 5.0 - 302.0, each * f64::from(k));
            }
        }
    }
    let (canary, stable) = sides(&first(&store, vec![gate.clone()]), "liked");
    assert_eq!(canary, Some(Side::Late { bad: 4, good: 5, void: 0, started: 9 }));
    assert_eq!(stable, Some(Side::Late { bad: 1, good: 8, void: 0, started: 9 }));
    assert!(asked(&store, gate).is_ok());
}

fn ratio(bad: &str, total: &str) -> Gate {
    let what = Share::Ratio { bad: bad.to_owned(), total: total.to_owned() };
    gate("own", GateKind::Share { what, max_ppm: Some(10_000) }, Preset::OtelGenai)
}

#[test]
fn a_ratio_reads_the_users_own_counters() {
    let rows = |bad: f64| {
        vec![
            ("http_requests_total", &[("code", "200"), ("path", "/ask")][..], 40.0),
            ("http_requests_total", &[("code", "503"), ("path", "/ask")][..], bad),
            ("http_requests_total", &[("code", "500"), ("path", "/healthz")][..], 7.0),
        ]
    };
    let store = both(&rows(10.0), &rows(2.0));
    let gate = ratio(r#"http_requests_total{code=~"5..",path="/ask"}"#, r#"http_requests_total{path!="/healthz"}"#);
    assert_eq!(sides(&first(&store, vec![gate.clone()]), "own"), (count(10, 50), count(2, 42)));
    assert!(preflight(&rows(2.0), gate).is_ok());
    let apart = both(
        &[("tasks_total", &[][..], 20.0), ("tasks_failed_total", &[][..], 3.0)],
        &[("tasks_total", &[][..], 20.0)],
    );
    let gate = ratio("tasks_failed_total", "tasks_total");
    assert_eq!(sides(&first(&apart, vec![gate]), "own"), (count(3, 20), count(0, 20)), "no failed ones are none");
}

#[test]
fn preflight_knows_a_gauge_by_its_falls() {
    let asked = |value: &dyn Fn(u32) -> f64| {
        let mut store = Store::default();
        for k in 0..240 {
            let labels = [("code", "200")];
            store.scrape(STABLE, f64::from(k) * 15.0 - 3600.0, &[("http_requests_in_flight", &labels[..], value(k))]);
        }
        let subject = subject(vec![ratio("http_requests_in_flight{code=\"500\"}", "http_requests_in_flight")]);
        let counts = store.ask(&subject, &Ask::Baseline, &Watch::default(), 0.0);
        let Counts::Baseline { gates, .. } = counts else { panic!("{counts:?}") };
        gates["own"].clone()
    };
    let unfit = asked(&|k| f64::from((k / 4 * 7) % 10)).unwrap_err();
    assert!(unfit.message.starts_with("http_requests_in_flight of stable with ") && unfit.message.contains("gauge"));
    assert_eq!((unfit.reason, unfit.fatal), (Unknown::NonMonotone, false));
    // A counter whose process began anew twice is none.
    assert!(asked(&|k| 10.0 * f64::from(k % 90)).is_ok());
}

#[test]
fn a_ratio_of_buckets_asks_for_its_own_bounds() {
    let rows = [
        ("work_seconds_count", &[][..], 30.0),
        ("work_seconds_bucket", &[("le", "0.5")][..], 20.0),
        ("work_seconds_bucket", &[("le", "1")][..], 25.0),
    ];
    let gates = || vec![latency(2_560_000), ratio(r#"work_seconds_bucket{le="0.5"}"#, "work_seconds_count")];
    let asked = queries(&subject(gates()), &Ask::Windows, &pinned_latency(), at(12.0) as f64 / 1000.0);
    assert!(asked[0].promql.contains(r#"le=~"|0\\.5|2\\.56""#), "{}", asked[0].promql);
    assert_eq!(sides(&first(&both(&rows, &rows), gates()), "own").0, count(20, 30));
}

fn pinned_latency() -> Watch {
    let family = "gen_ai_client_operation_duration_seconds".to_owned();
    let pin = Pin { family, lower: "2.56".to_owned(), upper: "2.56".to_owned(), ..Pin::default() };
    Watch { pins: [("latency".to_owned(), pin.write())].into(), ..Watch::default() }
}

#[test]
fn selectors_that_cannot_be_used_are_refused_for_good_with_what_to_write() {
    let stable: [Row; 1] = [("a", &[], 1.0)];
    for (bad, total, says) in [
        ("rate(a[1m])", "a", "is more than a selector"),
        ("a", "sum(a)", "is more than a selector"),
        (r#"{job="x"}"#, "a", "names no metric"),
        (r#"a{namespace="payments"}"#, "a", "matches namespace or __name__"),
        ("a offset 5m", "a", "has more than matchers"),
        ("a{", "a", "is no selector"),
    ] {
        let (fatal, why) = preflight(&stable, ratio(bad, total)).unwrap_err();
        assert!(fatal && why.contains(says) && why.contains("write one metric"), "{bad}: {why}");
    }
    let (fatal, why) = preflight(&stable, ratio("a", "b")).unwrap_err();
    assert!(!fatal && why.contains("stable has no series b"), "{why}");
}

fn query(promql: &str) -> Gate {
    let kind = GateKind::Query { promql: promql.to_owned(), min: None, max: Some(500_000_000), breaches: 3, of: 5 };
    gate("value", kind, Preset::OtelGenai)
}

/// The answers of the store, and this one to the user's own query.
fn with_value(store: &Store, subject: &Subject, ask: &Ask, value: &Answer) -> (Counts, Vec<String>) {
    let now = at(14.0) as f64 / 1000.0;
    let asked = queries(subject, ask, &Watch::default(), now);
    let own = |brings| matches!(brings, Brings::Value(_));
    let answers: Vec<Answer> =
        asked.iter().map(|query| if own(query.brings) { value.clone() } else { store.answer(query) }).collect();
    let texts = asked.iter().filter(|query| own(query.brings)).map(|query| query.promql.clone()).collect();
    (digest(subject, ask, &Watch::default(), &answers, &PriceTable::built_in().unwrap(), now), texts)
}

fn number(value: f64) -> Answer {
    let samples = vec![Sample { at: at(12.0), value }];
    Answer { series: vec![Series { samples, ..Series::default() }], ..Answer::default() }
}

#[test]
fn a_query_is_confined_filled_in_and_counts_for_the_newest_window() {
    let rows = [(REQUESTS, &[][..], 10.0)];
    let store = both(&rows, &rows);
    let own = query(r#"sum(rate(bad{pod=~"$name-$revision-.*"}[1m])) / sum(rate(all[1m]))"#);
    let subject = subject(vec![errors(), own]);
    let (counts, texts) = with_value(&store, &subject, &Ask::Windows, &number(0.75));
    let text = &texts[0];
    assert!(text.contains("shop-bbbbbbbbbb-.*") && text.matches(r#"namespace="fintech""#).count() == 2, "{text}");
    let Counts::Windows(windows, _) = counts else { panic!("{counts:?}") };
    let (last, before) = windows.split_last().unwrap();
    assert_eq!(last.gates["value"].unwrap().canary, Some(Side::Value { nano: 750_000_000 }));
    assert!(!before.is_empty() && before.iter().all(|window| window.gates["value"] == Err(Unknown::NoData)));
    let (counts, texts) = with_value(&store, &subject, &Ask::Baseline, &number(0.2));
    assert!(texts[0].contains("shop-aaaaaaaaaa-.*"), "preflight asks about stable: {}", texts[0]);
    let Counts::Baseline { gates, .. } = counts else { panic!() };
    assert_eq!(gates["value"].as_ref().unwrap().side, Side::Value { nano: 200_000_000 });
}

#[test]
fn a_query_that_fails_silences_its_own_gate_alone() {
    let rows = [(REQUESTS, &[][..], 10.0)];
    let subject = subject(vec![errors(), query("a")]);
    let failed = Answer { failed: Some(Unknown::TooExpensive), ..Answer::default() };
    let (counts, _) = with_value(&both(&rows, &rows), &subject, &Ask::Windows, &failed);
    let Counts::Windows(windows, _) = counts else { panic!("{counts:?}") };
    let last = windows.last().unwrap();
    assert_eq!(last.gates["value"], Err(Unknown::TooExpensive));
    assert_eq!(sides(last, "errors").0, count(0, 10));
}

#[test]
fn queries_that_reach_beyond_the_rollout_or_mean_nothing_are_never_sent() {
    let store = both(&[(REQUESTS, &[], 1.0)], &[(REQUESTS, &[], 1.0)]);
    for (promql, says) in [
        (r#"sum(rate(a{namespace="payments"}[1m]))"#, "selects the namespace"),
        (r#"sum(rate(a{namespace=~"pay.*"}[1m]))"#, "selects the namespace"),
        (r#"a{job="x" or namespace="payments"}"#, "joined by `or`"),
        ("1 + 1", "reads no series"),
        ("sum(", "does not parse"),
    ] {
        let subject = subject(vec![errors(), query(promql)]);
        let (counts, texts) = with_value(&store, &subject, &Ask::Baseline, &number(0.0));
        assert!(texts.is_empty(), "{texts:?}");
        let Counts::Baseline { gates, .. } = counts else { panic!() };
        let unfit = gates["value"].clone().unwrap_err();
        assert!(unfit.fatal && unfit.message.contains(says), "{promql}: {}", unfit.message);
        let (counts, texts) = with_value(&store, &subject, &Ask::Windows, &number(0.0));
        assert!(texts.is_empty());
        let Counts::Windows(windows, _) = counts else { panic!() };
        assert_eq!(windows.last().unwrap().gates["value"], Err(Unknown::BadQuery));
    }
}

/// What preflight knows after asking a store that has had a request a second for ten days, of which this share fails.
async fn asked_of_ten_days(bad_of_ten_thousand: u32) -> microapp_core::counts::Before {
    struct Stored(Store);
    impl microapp_telemetry::Prometheus for Stored {
        fn query<'a>(
            &'a self,
            promql: &'a str,
            time: f64,
        ) -> microapp_telemetry::http::Boxed<'a, Result<microapp_telemetry::Answer, microapp_telemetry::QueryError>>
        {
            let (scheme, from, brings) = (microapp_telemetry::Scheme::Pods, 0, microapp_telemetry::Brings::Raw);
            let query = microapp_telemetry::Query { scheme, promql: promql.to_owned(), time, from, brings };
            Box::pin(async move { Ok(self.0.answer(&query)) })
        }
    }
    let mut store = Store::default();
    for tick in 0..10 * 24 * 15 {
        let total = 240 * tick;
        let bad = (f64::from(total) * f64::from(bad_of_ten_thousand) / 10_000.0) as u32;
        store.requests(STABLE, f64::from(tick) * 240.0 - 864_000.0, total - bad, bad);
    }
    let (subject, prices) = (subject(vec![errors()]), PriceTable::built_in().unwrap());
    let now = at(0.0) as f64 / 1000.0;
    let asked =
        microapp_telemetry::ask(&Stored(store), &subject, &Ask::Baseline, &Watch::default(), &prices, now).await;
    let Counts::Baseline { gates, .. } = asked.0 else { panic!("{asked:?}") };
    gates["errors"].clone().unwrap()
}

#[tokio::test]
async fn a_baseline_looks_back_until_it_holds_enough_requests_and_a_week_at_most() {
    let hour = asked_of_ten_days(500).await;
    assert!((3_000.0..=3_600.0).contains(&hour.seconds) && hour.rps.is_none(), "5 % of 3 600: {hour:?}");
    let hours = asked_of_ten_days(50).await;
    let Side::Count { total, .. } = hours.side else { panic!("{hours:?}") };
    assert!((19_000..22_500).contains(&total), "100 / 0.5 % = 20 000 requests: {hours:?}");
    // Scrapes four minutes apart leave that much of the hour's ends out.
    assert!((hours.rps.unwrap() - 1.0).abs() < 4.0 / 60.0, "at the traffic of the last hour: {hours:?}");
    let week = asked_of_ten_days(0).await;
    assert!((600_000.0..=604_800.0).contains(&week.seconds), "{week:?}");
}
