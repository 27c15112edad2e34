//! Anything may come from outside: bytes, series, and what users write into their gates.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use microapp_core::{
    counts::{Ask, Counts, Side, Watch},
    strategy::{GateKind, Judged, Mean, OwnHistogram, Preset, Share, Slow},
};
use microapp_telemetry::{
    Answer, Brings, Histogram, Labels, PriceTable, Sample, Series, Subject, decode::decode, digest, queries,
};
use promql_parser::{
    label::MatchOp,
    parser::{self, Expr},
};
use proptest::prelude::*;

const CAPTURED: [&str; 6] = [
    include_str!("fixtures/invoice-helper-prometheus-3.14.json"),
    include_str!("fixtures/contour-1.33-prometheus-3.14.json"),
    include_str!("fixtures/envoy-1.36-contour-1.33.json"),
    include_str!("fixtures/native-prometheus-3.14.json"),
    include_str!("fixtures/otelhttp-0.72-prometheus-3.14.json"),
    include_str!("fixtures/traefik-3.6-prometheus-3.14.json"),
];

/// One gate of each kind that reads series.
fn everything() -> Subject {
    let what = Share::Ratio { bad: "bad_total".to_owned(), total: "all_total".to_owned() };
    let coded =
        Share::Ratio { bad: "bad_total{error_type!=\"\"}".to_owned(), total: "all_total{le!=\"1\"}".to_owned() };
    let family = "gen_ai_client_operation_duration_seconds_bucket".to_owned();
    let timed = OwnHistogram { histogram: family, matching: Some("{error_type!=\"timeout\"}".to_owned()) };
    let gates = vec![
        errors(),
        latency(2_560_000),
        cost(),
        grounded(),
        gate("own", GateKind::Share { what, max_ppm: Some(10_000) }, Preset::OtelGenai),
        gate("coded", GateKind::Share { what: coded, max_ppm: Some(10_000) }, Preset::OtelGenai),
        gate(
            "timed",
            GateKind::Slow { what: Slow::Response, slow_ppm: 1, max_micros: 1_000_000, own: Some(timed) },
            Preset::OtelHttp,
        ),
        gate("model", GateKind::Model { accepted: vec!["m".to_owned()] }, Preset::OtelGenai),
        gate("share", GateKind::Traffic, Preset::OtelGenai),
        gate("budget", GateKind::Budget { max_pico_usd: 1 }, Preset::OtelGenai),
        gate("tokens", GateKind::Mean { what: Mean::Tokens, max: Some(1), max_increase_ppm: None }, Preset::OtelGenai),
        gate("door", GateKind::Share { what: Share::Errors, max_ppm: Some(10_000) }, Preset::Envoy),
        gate("key", GateKind::Share { what: Share::Throttled, max_ppm: Some(10_000) }, Preset::Litellm),
        gate(
            "first",
            GateKind::Slow { what: Slow::FirstToken, slow_ppm: 1, max_micros: 1_000, own: None },
            Preset::Vllm,
        ),
        gate("full", GateKind::Saturation { max_cache_ppm: Some(1), max_queue: Some(1) }, Preset::Vllm),
        gate("liked", GateKind::Judged { what: Judged::Feedback, max_ppm: 1, evaluator: None }, Preset::Evals),
    ];
    subject(gates)
}

const NAMES: [&str; 16] = [
    "up",
    "process_start_time_seconds",
    "scrape_duration_seconds",
    REQUESTS,
    BUCKETS,
    "gen_ai_client_operation_duration_seconds",
    "gen_ai_client_token_usage_sum",
    "envoy_cluster_upstream_rq_completed",
    "envoy_cluster_upstream_rq_xx",
    "llm_eval_started_total",
    "llm_eval_results_total",
    "llm_feedback_total",
    "vllm:kv_cache_usage_perc",
    "http_requests_total",
    "bad_total",
    "all_total",
];

fn labels() -> impl Strategy<Value = Labels> {
    let values = |all: &'static [&'static str]| proptest::sample::select(all);
    (
        values(&NAMES),
        values(&[CANARY, STABLE, "shop-aaaaaaaaaab-x-1", "other-1", ""]),
        values(&["fintech_shop-aaaaaaaaaa_8080", "fintech_shop-bbbbbbbbbb_8080", "payments_shop-bbbbbbbbbb_8080", ""]),
        values(&["aaaaaaaaaa", "bbbbbbbbbb", "cccccccccc", ""]),
        values(&["", "0.5", "2.56", "+Inf", "x"]),
        values(&["", "timeout", "429", "5", "fail", "up"]),
    )
        .prop_map(|(name, pod, cluster, revision, le, word)| {
            let all = [
                ("__name__", name),
                ("pod", pod),
                ("envoy_cluster_name", cluster),
                ("revision", revision),
                ("le", le),
                ("error_type", word),
                ("envoy_response_code_class", word),
                ("verdict", word),
                ("rating", word),
                ("sampling", "random"),
                ("job", "j"),
            ];
            all.into_iter().filter(|(_, value)| !value.is_empty()).collect()
        })
}

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => (0_u32..2_000).prop_map(f64::from),
        1 => proptest::sample::select(&[f64::NAN, f64::INFINITY, -1.0, 0.5, 1e300, 9e15][..]),
    ]
}

fn series() -> impl Strategy<Value = Series> {
    let samples = proptest::collection::btree_map(-30_000_i64..60_000, value(), 0..8);
    let bucket = (0.0_f64..4.0, 0.0_f64..4.0, value());
    let histograms =
        proptest::collection::btree_map(-30_000_i64..60_000, (value(), prop::collection::vec(bucket, 0..4)), 0..3);
    (labels(), samples, histograms).prop_map(|(labels, samples, histograms)| Series {
        labels,
        samples: samples.into_iter().map(|(after, value)| Sample { at: at(0.0) + after, value }).collect(),
        histograms: histograms
            .into_iter()
            .map(|(after, (count, buckets))| Histogram { at: at(0.0) + after, count, buckets })
            .collect(),
        ..Series::default()
    })
}

/// Digests the same answer to each question that is asked.
fn digested(subject: &Subject, ask: &Ask, answer: &Answer) -> Counts {
    let now = at(61.0) as f64 / 1000.0;
    let asked = queries(subject, ask, &Watch::default(), now);
    let answers: Vec<Answer> = asked.iter().map(|_| answer.clone()).collect();
    digest(subject, ask, &Watch::default(), &answers, &PriceTable::built_in().unwrap(), now)
}

fn is_possible(side: Side) -> bool {
    match side {
        Side::Count { above, below, total } => above <= below && below <= total,
        Side::Mean { .. } | Side::Late { .. } => true,
        Side::Value { nano } => nano >= 0,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_an_answer_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode(&bytes);
    }

    #[test]
    fn a_captured_answer_with_bytes_changed_is_an_answer_or_an_error(
        which in 0..CAPTURED.len(),
        changes in proptest::collection::vec((0.0_f64..1.0, any::<u8>()), 1..6),
        cut in 0.0_f64..1.0,
    ) {
        let mut bytes = CAPTURED[which].as_bytes().to_vec();
        for (place, byte) in changes {
            let place = (place * bytes.len() as f64) as usize;
            bytes[place] = byte;
        }
        let _ = decode(&bytes);
        bytes.truncate((cut * bytes.len() as f64) as usize);
        let _ = decode(&bytes);
    }

    #[test]
    fn any_series_give_counts_that_can_be(series in proptest::collection::vec(series(), 0..24)) {
        let subject = everything();
        let answer = Answer { series, ..Answer::default() };
        if let Counts::Windows(windows, _) = digested(&subject, &Ask::Windows, &answer) {
            let sides = windows.iter().flat_map(|window| window.gates.values()).filter_map(|found| found.as_ref().ok());
            for side in sides.flat_map(|sides| [sides.canary, sides.stable, sides.near[0], sides.near[1]]).flatten() {
                prop_assert!(is_possible(side), "{side:?}");
            }
        }
        if let Counts::Baseline { gates, .. } = digested(&subject, &Ask::Baseline, &answer) {
            prop_assert!(gates.values().flatten().all(|before| is_possible(before.side) && before.phi >= 1.0));
        }
    }

    #[test]
    fn series_of_others_are_never_counted(series in proptest::collection::vec(series(), 0..24)) {
        let mut series = series;
        for one in &mut series {
            for label in ["pod", "envoy_cluster_name", "revision"] {
                if let Some(foreign) = one.labels.get(label).map(|value| format!("x{value}")) {
                    one.labels.set(label, &foreign);
                }
            }
        }
        let answer = Answer { series, ..Answer::default() };
        if let Counts::Windows(windows, _) = digested(&everything(), &Ask::Windows, &answer) {
            let counted = windows.iter().flat_map(|window| window.gates.values()).filter_map(|found| found.as_ref().ok());
            for side in counted.flat_map(|sides| [sides.canary, sides.stable]).flatten() {
                let nothing = matches!(
                    side,
                    Side::Count { total: 0, .. }
                        | Side::Mean { n: 0, sum: 0 }
                        | Side::Late { bad: 0, good: 0, void: 0, started: 0 }
                        | Side::Value { nano: 0 }
                );
                prop_assert!(nothing, "{side:?}");
            }
        }
    }

    #[test]
    fn whatever_a_user_writes_into_a_query_what_is_sent_stays_in_the_namespace(
        text in r#"(sum|rate|max_over_time|a|b:c|up)?[(]?[a-z_]{1,6}([{][a-z"=~!,.|*\\ ]{0,24}[}])?([\[][0-9]m[\]])?[)]?( (or|and|[+/*-]) [a-z]{1,4})?"#,
    ) {
        let kind = GateKind::Query { promql: text.clone(), min: None, max: Some(1), breaches: 1, of: 1 };
        let subject = subject(vec![errors(), gate("value", kind, Preset::OtelGenai)]);
        for query in queries(&subject, &Ask::Windows, &Watch::default(), 1e9) {
            if matches!(query.brings, Brings::Value(_)) {
                let sent = parser::parse(&query.promql).unwrap();
                let mut selectors = 0;
                visit(&sent, &mut |matchers| {
                    selectors += 1;
                    matchers.iter().any(|(name, equal, value)| name == "namespace" && *equal && value == "fintech")
                }).map_err(|text| TestCaseError::fail(format!("{text} of {}", query.promql)))?;
                prop_assert!(selectors > 0, "{}", query.promql);
            }
        }
    }
}

type Matchers = Vec<(String, bool, String)>;

/// Calls `holds` with the matchers of each selector; the first of which it does not hold is the error.
fn visit(expr: &Expr, holds: &mut dyn FnMut(&Matchers) -> bool) -> Result<(), String> {
    let mut vector = |vector: &parser::VectorSelector| {
        let equal = |op: &MatchOp| matches!(op, MatchOp::Equal);
        let own = &vector.matchers.matchers;
        let matchers = own.iter().map(|one| (one.name.clone(), equal(&one.op), one.value.clone())).collect();
        let alone = vector.matchers.or_matchers.is_empty();
        if alone && holds(&matchers) { Ok(()) } else { Err(vector.to_string()) }
    };
    match expr {
        Expr::VectorSelector(one) => vector(one),
        Expr::MatrixSelector(one) => vector(&one.vs),
        Expr::Aggregate(one) => {
            one.param.iter().try_for_each(|param| visit(param, holds))?;
            visit(&one.expr, holds)
        }
        Expr::Unary(one) => visit(&one.expr, holds),
        Expr::Binary(one) => visit(&one.lhs, holds).and_then(|()| visit(&one.rhs, holds)),
        Expr::Paren(one) => visit(&one.expr, holds),
        Expr::Subquery(one) => visit(&one.expr, holds),
        Expr::Call(one) => one.args.args.iter().try_for_each(|argument| visit(argument, holds)),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => Ok(()),
    }
}
