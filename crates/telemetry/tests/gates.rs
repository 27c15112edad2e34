//! Each kind of gate and each preset, from samples with the names of a captured exposition.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use microapp_core::{
    counts::{Ask, Counts, Side, Unfit, Unknown, Watch},
    strategy::{GateKind, Mean, Preset, Share, Slow},
};
use microapp_telemetry::{Pin, Subject, decode::decode};

const USAGE: &str = "gen_ai_client_token_usage_sum";
const MODEL: (&str, &str) = ("gen_ai_response_model", "gpt-5-nano-2025-08-07");

/// Three scrapes of each pod, 5 s apart, with the counters of `make(k)` for k = 1, 2, 3.
fn three(pods: &[&str], make: impl Fn(&str, f64) -> Vec<(&'static str, Vec<(&'static str, String)>, f64)>) -> Store {
    let mut store = Store::default();
    for pod in pods {
        for k in 0..4 {
            let counters = make(pod, f64::from(k) + 1.0);
            let labels: Vec<Vec<(&str, &str)>> =
                counters.iter().map(|(_, labels, _)| labels.iter().map(|(k, v)| (*k, v.as_str())).collect()).collect();
            let counters: Vec<Counter> =
                counters.iter().zip(&labels).map(|((name, _, value), labels)| (*name, &labels[..], *value)).collect();
            store.scrape(pod, f64::from(k) * 5.0 - 2.0, &counters);
        }
    }
    store
}

fn buckets(bounds: &'static [&'static str]) -> Store {
    three(&[CANARY, STABLE], |_, k| {
        let mut all = vec![(REQUESTS, vec![], 100.0 * k)];
        for (place, bound) in bounds.iter().enumerate() {
            all.push((BUCKETS, vec![("le", (*bound).to_owned())], (50.0 + 10.0 * place as f64) * k));
        }
        all.push((BUCKETS, vec![("le", "+Inf".to_owned())], 100.0 * k));
        all
    })
}

#[test]
fn slower_than_a_bound_is_requests_less_bucket() {
    let store = buckets(&["1.28", "2.56", "5.12"]);
    let windows = store.windows(&subject(vec![latency(2_560_000)]), 12.0);
    assert_eq!(sides(&windows[0], "latency").0, Some(Side::count(40, 100)));
}

#[test]
fn a_threshold_between_two_bounds_fails_by_the_upper_and_passes_by_the_lower_one() {
    let store = buckets(&["1.28", "2.56", "5.12"]);
    let windows = store.windows(&subject(vec![latency(2_000_000)]), 12.0);
    assert_eq!(sides(&windows[0], "latency").0, Some(Side::Count { above: 40, below: 50, total: 100 }));
}

#[test]
fn a_bound_is_found_in_either_spelling() {
    let store = buckets(&["1.0", "5.0"]);
    let subject = subject(vec![latency(5_000_000)]);
    let watch = Watch { pins: [("latency".to_owned(), pin("5"))].into(), ..Watch::default() };
    let Counts::Windows(windows, next) = store.ask(&subject, &Ask::Windows, &watch, 12.0) else { panic!() };
    assert_eq!(sides(&windows[0], "latency").0, Some(Side::count(40, 100)));
    assert_eq!(next.pins, watch.pins, "what was pinned stays");
}

fn pin(bound: &str) -> String {
    let family = "gen_ai_client_operation_duration_seconds".to_owned();
    Pin { family, lower: bound.to_owned(), upper: bound.to_owned(), ..Pin::default() }.write()
}

#[test]
fn a_bound_that_is_gone_is_missed() {
    let store = buckets(&["1.28", "2.56"]);
    let watch = Watch { pins: [("latency".to_owned(), pin("5.12"))].into(), ..Watch::default() };
    let subject = subject(vec![latency(5_120_000)]);
    let Counts::Windows(windows, _) = store.ask(&subject, &Ask::Windows, &watch, 12.0) else { panic!() };
    assert_eq!(refusal(&windows[0], "latency"), Unknown::MissingBucket);
}

fn tokens(model: &'static str) -> Store {
    three(&[CANARY, STABLE], |pod, k| {
        let more = if pod == CANARY { 2.0 } else { 1.0 };
        let label = |token: &str| vec![("gen_ai_token_type", token.to_owned()), (MODEL.0, model.to_owned())];
        vec![
            (REQUESTS, vec![], 10.0 * k),
            (USAGE, label("input"), 1_000.0 * k),
            (USAGE, label("output"), more * 200.0 * k),
        ]
    })
}

#[test]
fn tokens_cost_what_the_table_says() {
    let windows = tokens(MODEL.1).windows(&subject(vec![cost()]), 12.0);
    let (canary, stable) = sides(&windows[0], "cost");
    assert_eq!(stable, Some(Side::Mean { n: 10, sum: 1_000 * 50_000 + 200 * 400_000 }));
    assert_eq!(canary, Some(Side::Mean { n: 10, sum: 1_000 * 50_000 + 400 * 400_000 }));
}

#[test]
fn a_model_without_a_price_is_unknown_never_free() {
    let store = three(&[CANARY, STABLE], |pod, k| {
        let model = if pod == CANARY { "gpt-9" } else { MODEL.1 };
        let label = vec![("gen_ai_token_type", "input".to_owned()), (MODEL.0, model.to_owned())];
        vec![(REQUESTS, vec![], 10.0 * k), (USAGE, label, 1_000.0 * k)]
    });
    assert_eq!(refusal(&store.windows(&subject(vec![cost()]), 12.0)[0], "cost"), Unknown::UnknownModel);
}

fn verdicts(version: impl Fn(&str) -> String + Copy) -> Store {
    three(&[CANARY, STABLE], move |pod, k| {
        let revision = if pod == CANARY { "bbbbbbbbbb" } else { "aaaaaaaaaa" };
        let labels = |verdict: Option<&str>, sampling: &str| {
            let mut labels = vec![("revision", revision.to_owned()), ("sampling", sampling.to_owned())];
            labels.push(("evaluator", "faithfulness".to_owned()));
            if let Some(verdict) = verdict {
                labels.push(("verdict", verdict.to_owned()));
                labels.push(("evaluator_version", version(pod)));
            }
            labels
        };
        vec![
            ("llm_eval_started_total", labels(None, "random"), 20.0 * k),
            ("llm_eval_results_total", labels(Some("pass"), "random"), 12.0 * k),
            ("llm_eval_results_total", labels(Some("fail"), "random"), 3.0 * k),
            ("llm_eval_results_total", labels(Some("abstain"), "random"), 1.0 * k),
            ("llm_eval_results_total", labels(Some("error"), "random"), 1.0 * k),
            ("llm_eval_results_total", labels(Some("fail"), "flagged"), 9.0 * k),
        ]
    })
}

#[test]
fn verdicts_of_the_random_sample_are_counted_by_kind() {
    let windows = verdicts(|_| "1".to_owned()).windows(&subject(vec![grounded()]), 12.0);
    assert_eq!(sides(&windows[0], "grounded").0, Some(Side::Late { bad: 3, good: 12, void: 2, started: 20 }));
}

#[test]
fn another_version_of_the_evaluator_voids_the_comparison() {
    let store = verdicts(|pod| if pod == CANARY { "2" } else { "1" }.to_owned());
    assert_eq!(refusal(&store.windows(&subject(vec![grounded()]), 12.0)[0], "grounded"), Unknown::Void);
}

#[test]
fn the_first_verdict_of_a_pod_that_was_there_before_counts_from_zero() {
    let mut both = verdicts(|_| "1".to_owned());
    let labels = [("revision", "bbbbbbbbbb"), ("sampling", "random"), ("evaluator", "faithfulness")];
    for k in 0..4 {
        let none: &[Counter] = &[];
        let one: &[Counter] = &[("llm_eval_started_total", &labels, 2.0)];
        both.scrape(CANARY_2, f64::from(k) * 5.0 - 2.0, if k < 2 { none } else { one });
    }
    let subject = subject(vec![grounded()]);
    let started: Vec<_> = both.windows(&subject, 14.0).iter().map(|w| sides(w, "grounded").0.map(started)).collect();
    assert_eq!(started[1], Some(22), "20 of the one pod and the first 2 of the other");
}

fn started(side: Side) -> u64 {
    match side {
        Side::Late { started, .. } => started,
        other => panic!("{other:?}"),
    }
}

fn gateway(gates: Vec<microapp_core::strategy::Gate>) -> (Store, Subject) {
    let mut store = Store::default();
    for k in 0..4 {
        let put = |store: &mut Store, name: &str, cluster: &str, extra: &[(&str, &str)], value: f64| {
            let labels = [("__name__", name), ("job", "envoy"), ("instance", "10.90.0.10:8002")];
            let labels = [&labels[..], &[("envoy_cluster_name", cluster)], extra].concat();
            store.put(&labels, f64::from(k) * 5.0 - 2.0, value * f64::from(k + 1));
        };
        for (cluster, requests, bad) in [
            ("fintech_shop-aaaaaaaaaa_8080", 90.0, 1.0),
            ("fintech_shop-bbbbbbbbbb_8080", 10.0, 4.0),
            ("other_shop-bbbbbbbbbb_8080", 500.0, 500.0),
        ] {
            let class = |class| [("envoy_response_code_class", class)];
            put(&mut store, "envoy_cluster_upstream_rq_completed", cluster, &[], requests);
            put(&mut store, "envoy_cluster_upstream_rq_xx", cluster, &class("5"), bad);
            put(&mut store, "envoy_cluster_upstream_rq_xx", cluster, &class("2"), requests - bad);
            put(&mut store, "envoy_cluster_upstream_rq_time_count", cluster, &[], requests);
            put(&mut store, "envoy_cluster_upstream_rq_time_bucket", cluster, &[("le", "1000")], requests - 2.0);
            put(&mut store, "envoy_cluster_upstream_rq_time_bucket", cluster, &[("le", "2500")], requests - 1.0);
        }
    }
    (store, subject(gates))
}

#[test]
fn a_gateway_tells_the_revisions_apart_by_their_clusters_and_is_never_waited_for_twice() {
    let latency = gate(
        "latency",
        GateKind::Slow { what: Slow::Response, slow_ppm: 50_000, max_micros: 2_000_000, own: None },
        Preset::Envoy,
    );
    let errors = gate("errors", GateKind::Share { what: Share::Errors, max_ppm: Some(10_000) }, Preset::Envoy);
    let (store, subject) = gateway(vec![errors, latency]);
    let windows = store.windows(&subject, 8.1);
    assert_eq!(windows.len(), 2);
    assert_eq!(sides(&windows[1], "errors"), (count(4, 10), count(1, 90)));
    let slow = |total| Some(Side::Count { above: 1, below: 2, total });
    assert_eq!(sides(&windows[1], "latency"), (slow(10), slow(90)));
    assert!(store.watch(&subject, 8.1).canary_seen);
}

/// An hour of a scrape each 15 s.
fn hour(per_scrape: f64) -> Store {
    let mut store = Store::default();
    for pod in [STABLE, STABLE_2] {
        for k in 0..=240_u32 {
            let n = f64::from(k) * per_scrape;
            let bad = if per_scrape > 0.0 { f64::from(k / 4) } else { 0.0 };
            let le = |bound: &'static str, value: f64| (bound, value);
            let mut counters: Vec<Counter> = vec![(REQUESTS, &[], n), (REQUESTS, &[("error_type", "500")], bad)];
            let bounds = [le("1.28", n), le("81.92", n), le("+Inf", n)];
            let labels: Vec<[(&str, &str); 1]> = bounds.iter().map(|(bound, _)| [("le", *bound)]).collect();
            counters.extend(bounds.iter().zip(&labels).map(|((_, value), label)| (BUCKETS, &label[..], *value)));
            store.scrape(pod, f64::from(k) * 15.0 - 3600.0, &counters);
        }
    }
    store
}

fn before(store: &Store, subject: &Subject) -> (Result<microapp_core::counts::Before, Unfit>, f64, usize) {
    match store.ask(subject, &Ask::Baseline, &Watch::default(), 1.0) {
        Counts::Baseline { mut gates, interval, pins } => {
            (gates.remove(&subject.gates[0].name).unwrap(), interval, pins.len())
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_stable_did_in_the_last_hour_is_summed_up() {
    let (before, interval, pins) = before(&hour(30.0), &subject(vec![errors()]));
    let before = before.unwrap();
    let Side::Count { above, total, .. } = before.side else { panic!() };
    assert_eq!((interval, pins), (15.0, 1));
    assert!((13_500..=14_700).contains(&total) && (110..=122).contains(&above), "{above} of {total}");
    assert!((before.seconds - 3540.0).abs() <= 60.0, "{}", before.seconds);
    assert!((before.phi - 1.0).abs() < f64::EPSILON, "both halves fail alike");
}

#[test]
fn a_threshold_above_the_top_bound_is_refused_with_the_sentence_that_says_what_to_write() {
    let refused = before(&hour(30.0), &subject(vec![latency(90_000_000)])).0.unwrap_err();
    assert!(refused.fatal);
    assert_eq!(
        refused.message,
        "latency threshold 90s is above the highest finite bucket bound 81.92 s of \
         gen_ai_client_operation_duration_seconds; nothing slower can be told apart, so the gate could never fail: \
         choose at most 81.92s"
    );
}

#[test]
fn stable_without_series_or_without_requests_has_no_data_and_the_sentence_names_them() {
    let none = before(&Store::default(), &subject(vec![errors()])).0.unwrap_err();
    assert_eq!((none.reason, none.fatal), (Unknown::NoData, false));
    assert!(
        none.message.contains(REQUESTS) && none.message.contains("pod=~\"shop-aaaaaaaaaa-.*\""),
        "{}",
        none.message
    );
    let idle = before(&hour(0.0), &subject(vec![latency(1_280_000)])).0;
    assert_eq!(idle.unwrap_err().reason, Unknown::NoData);
}

#[test]
fn a_gate_that_a_preset_cannot_feed_is_refused_at_once() {
    let gate = gate("cost", GateKind::Mean { what: Mean::Cost, max: Some(1), max_increase_ppm: None }, Preset::Envoy);
    let (store, subject) = gateway(vec![gate]);
    assert!(before(&store, &subject).0.unwrap_err().fatal);
}

/// Captured: Prometheus 3.14 (5 s scrapes) on Envoy 1.36.2 under Contour 1.33.6; 3 000 requests to the Service `plain`.
const CAPTURED: &str = include_str!("fixtures/envoy-1.36-contour-1.33.json");

#[test]
fn a_captured_answer_of_envoy_counts_each_request_once() {
    let latency = gate(
        "latency",
        GateKind::Slow { what: Slow::Response, slow_ppm: 50_000, max_micros: 2_000_000, own: None },
        Preset::Envoy,
    );
    let errors = gate("errors", GateKind::Share { what: Share::Errors, max_ppm: Some(10_000) }, Preset::Envoy);
    let mut subject = subject(vec![errors, latency]);
    (subject.namespace, subject.attempt_started) = ("demo-try".to_owned(), 1_795_571_715.0);
    let answer = decode(CAPTURED.replace("_plain_", "_shop-aaaaaaaaaa_").as_bytes()).unwrap();
    let now = 1_795_571_782.0;
    let prices = microapp_telemetry::PriceTable::built_in().unwrap();
    let counts = microapp_telemetry::digest(&subject, &Ask::Windows, &Watch::default(), &[answer], &prices, now);
    let Counts::Windows(windows, watch) = counts else { panic!("{counts:?}") };
    let total = |gate: &str| -> u64 {
        let sides = windows.iter().map(|window| sides(window, gate).1);
        sides
            .map(|side| match side {
                Some(Side::Count { above: 0, below: 0, total }) => total,
                other => panic!("{other:?}"),
            })
            .sum()
    };
    assert_eq!((windows.len(), total("errors"), total("latency")), (14, 3_000, 3_000));
    assert!(watch.pins["latency"].contains("\"lo\":\"1000.0\",\"up\":\"2500.0\""), "{:?}", watch.pins);
}

/// Captured from the demo application.
const EXPOSITION: &str = include_str!("../../../tests/apps/invoice-helper/tests/exposition.txt");

#[test]
fn a_captured_exposition_of_the_demo_application_feeds_all_four_gates() {
    let pod = "shop-7c9fk2bv4x-7d9f-x1";
    let mut store = Store::default();
    store.scrape(pod, -2.0, &[]);
    for line in EXPOSITION.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.trim_end_matches('}').split_once('{').unwrap_or((series, ""));
        let labels: Vec<(&str, &str)> = labels
            .split(',')
            .filter_map(|label| label.split_once('='))
            .map(|(key, value)| (key, value.trim_matches('"')))
            .collect();
        store.scrape(pod, 3.0, &[(name, &labels, value.parse().unwrap())]);
    }
    store.scrape(pod, 8.0, &[]);
    let mut subject = subject(vec![errors(), latency(2_560_000), cost(), grounded()]);
    subject.stable = "7c9fk2bv4x".to_owned();
    let windows = store.windows(&subject, 8.1);
    let stable = ["errors", "latency", "cost", "grounded"].map(|gate| sides(&windows[0], gate).1.unwrap());
    assert_eq!(stable[0], Side::count(11, 40));
    assert_eq!(stable[1], Side::count(0, 40));
    assert_eq!(stable[2], Side::Mean { n: 29, sum: 4_848 * 50_000 + 2_374 * 400_000 });
    assert_eq!(stable[3], Side::Late { bad: 4, good: 25, void: 0, started: 29 });
}

#[test]
fn errors_that_come_in_bursts_on_one_half_of_stable_are_overdispersed() {
    let mut store = Store::default();
    for (place, pod) in [STABLE, STABLE_2].into_iter().enumerate() {
        let (mut good, mut bad) = (0, 0);
        for minute in 0..=60_u32 {
            good += 100;
            bad += if minute as usize % 2 == place { 20 } else { 0 };
            store.requests(pod, f64::from(minute) * 60.0 - 3_600.0, good, bad);
        }
    }
    let phi = before(&store, &subject(vec![errors()])).0.unwrap().phi;
    // All K = 20 on one half, θ = 120/220 or 100/220: (20 − 10.9)² / (20 · 0.545 · 0.455) = 16.7 and the like.
    assert!((16.0..18.0).contains(&phi), "{phi}");
}

/// What preflight knows of a judge that has worked for so many hours at 5 requests/s, answers 30 s late and loses a share
/// of its verdicts: seconds of delay.
fn delay_after(hours: f64, lost: f64) -> f64 {
    let mut store = Store::default();
    let mut labels: Vec<(&str, &str)> =
        vec![("revision", "aaaaaaaaaa"), ("sampling", "random"), ("evaluator", "faithfulness")];
    let end = 30.0;
    let mut seconds = end - hours * 3600.0;
    while seconds < end {
        let age = seconds - (end - hours * 3600.0);
        let judged = (5.0 * (age - 30.0).max(0.0) * (1.0 - lost)).round();
        store.scrape(STABLE, seconds, &[("llm_eval_started_total", &labels, (5.0 * age).round())]);
        labels.push(("verdict", "pass"));
        store.scrape(STABLE, seconds, &[("llm_eval_results_total", &labels, judged)]);
        labels.pop();
        seconds += 15.0;
    }
    let counts = store.ask(&subject(vec![grounded()]), &Ask::Baseline, &Watch::default(), end);
    let Counts::Baseline { gates, .. } = counts else { panic!("{counts:?}") };
    gates["grounded"].as_ref().unwrap().delay.unwrap()
}

#[test]
fn how_late_verdicts_come_is_measured_and_lost_ones_are_not_taken_for_late_ones() {
    for (hours, lost) in [(0.2, 0.0), (2.0, 0.0), (48.0, 0.0), (2.0, 0.02), (48.0, 0.02)] {
        let delay = delay_after(hours, lost);
        assert!((delay - 30.0).abs() < 3.0, "{delay} s after {hours} h with {lost} lost");
    }
}
