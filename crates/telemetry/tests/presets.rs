//! Each preset on series with the names and labels of its source: what it counts, what it leaves to others, and that it
//! never counts another namespace's.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;

use common::*;
use microapp_core::{
    counts::{Ask, Counts, Side, Watch},
    strategy::{Gate, GateKind, Mean, Preset, Share, Slow},
};
use microapp_telemetry::{PodRef, PriceTable, Subject, decode::decode, digest};
use promql_parser::parser::{self, Expr};

/// Two scrapes, 5 s apart, out of lines `name{labels} first second`; then two more with nothing new.
fn captured(preset: Preset) -> Store {
    let path = format!("{}/tests/fixtures/presets/{}.txt", env!("CARGO_MANIFEST_DIR"), preset.as_str());
    let mut store = Store::default();
    for line in fs::read_to_string(path).unwrap().lines().filter(|line| !line.starts_with('#')) {
        let (selector, values) = line.rsplit_once("} ").unwrap();
        let Expr::VectorSelector(vector) = parser::parse(&format!("{selector}}}")).unwrap() else { panic!("{line}") };
        let name = vector.name.unwrap();
        let mut labels = vec![("__name__", name.as_str())];
        labels.extend(vector.matchers.matchers.iter().map(|matcher| (matcher.name.as_str(), matcher.value.as_str())));
        let values: Vec<f64> = values.split(' ').map(|value| value.parse().unwrap()).collect();
        for (seconds, value) in [(-2.0, values[0]), (3.0, values[1]), (8.0, values[1]), (13.0, values[1])] {
            store.put(&labels, seconds, value);
        }
    }
    for pod in [CANARY, STABLE] {
        for seconds in [-2.0, 3.0, 8.0, 13.0] {
            store.scrape(pod, seconds, &[]);
        }
    }
    store
}

fn errors_of(preset: Preset) -> Gate {
    gate("errors", GateKind::Share { what: Share::Errors, max_ppm: Some(10_000) }, preset)
}

fn slow_of(what: Slow, max_micros: i64, preset: Preset) -> Gate {
    gate("slow", GateKind::Slow { what, slow_ppm: 50_000, max_micros, own: None }, preset)
}

/// Both sides of a gate in the first window.
fn counted(store: &Store, gate: Gate) -> (Option<Side>, Option<Side>) {
    let name = gate.name.clone();
    sides(&store.windows(&subject(vec![gate]), 12.0)[0], &name)
}

#[test]
fn every_preset_counts_the_failed_requests_of_each_revision_and_of_nobody_else() {
    for (preset, canary, stable) in [
        (Preset::OtelHttp, (7, 100), (1, 94)),
        (Preset::Istio, (7, 99), (1, 93)),
        (Preset::Linkerd, (7, 97), (1, 91)),
        (Preset::Traefik, (7, 97), (1, 91)),
        (Preset::Nginx, (7, 97), (1, 91)),
        (Preset::Litellm, (7, 101), (1, 95)),
        (Preset::Vllm, (7, 97), (1, 91)),
    ] {
        let counted = counted(&captured(preset), errors_of(preset));
        assert_eq!(counted, (count(canary.0, canary.1), count(stable.0, stable.1)), "{}", preset.as_str());
    }
}

#[test]
fn every_preset_counts_slow_requests_in_its_own_unit() {
    for (preset, max_micros, above, total) in [
        (Preset::OtelHttp, 2_500_000, 20, 100),
        (Preset::Istio, 2_500_000, 19, 99),
        (Preset::Linkerd, 2_000_000, 17, 97),
        (Preset::Traefik, 5_000_000, 12, 97),
        (Preset::Nginx, 2_500_000, 17, 97),
        (Preset::Litellm, 2_500_000, 10, 90),
        (Preset::Vllm, 2_500_000, 12, 92),
    ] {
        let (canary, _) = counted(&captured(preset), slow_of(Slow::Response, max_micros, preset));
        assert_eq!(canary, count(above, total), "{}", preset.as_str());
    }
}

#[test]
fn a_threshold_between_two_bounds_of_milliseconds_is_counted_twice() {
    let (canary, _) = counted(&captured(Preset::Linkerd), slow_of(Slow::Response, 2_500_000, Preset::Linkerd));
    assert_eq!(canary, Some(Side::Count { above: 12, below: 17, total: 97 }));
}

#[test]
fn a_model_server_tells_tokens_truncation_and_how_full_it_is() {
    let store = captured(Preset::Vllm);
    let cut = gate("cut", GateKind::Share { what: Share::Truncated, max_ppm: Some(50_000) }, Preset::Vllm);
    assert_eq!(counted(&store, cut), (count(12, 92), count(4, 84)));
    assert_eq!(counted(&store, slow_of(Slow::FirstToken, 500_000, Preset::Vllm)).0, count(32, 92));
    assert_eq!(counted(&store, slow_of(Slow::PerToken, 50_000, Preset::Vllm)).0, count(100, 9_200));
    let tokens =
        gate("tokens", GateKind::Mean { what: Mean::Tokens, max: Some(1), max_increase_ppm: None }, Preset::Vllm);
    assert_eq!(counted(&store, tokens).0, Some(Side::Mean { n: 90, sum: 59_000 }), "of 97, 7 failed");
    let full = GateKind::Saturation { max_cache_ppm: Some(900_000), max_queue: Some(10) };
    let (canary, stable) = counted(&store, gate("full", full, Preset::Vllm));
    assert_eq!(canary, Some(Side::Value { nano: 1_055_555_556 }), "95 % where 90 % is allowed");
    assert_eq!(stable, Some(Side::Value { nano: 444_444_444 }), "the fuller of cache and queue");
}

#[test]
fn a_proxy_tells_throttling_cost_and_what_was_spent_by_the_key_of_the_revision() {
    let store = captured(Preset::Litellm);
    let quota = gate("quota", GateKind::Share { what: Share::Throttled, max_ppm: Some(50_000) }, Preset::Litellm);
    assert_eq!(counted(&store, quota).0, count(4, 101));
    let cost = GateKind::Mean { what: Mean::Cost, max: None, max_increase_ppm: Some(1) };
    let sum = 50_000 * 50_000 + 9_000 * 400_000;
    assert_eq!(
        counted(&store, gate("cost", cost, Preset::Litellm)).0,
        Some(Side::Mean { n: 90, sum }),
        "of 101, 11 failed"
    );
    let budget = gate("budget", GateKind::Budget { max_pico_usd: 1 }, Preset::Litellm);
    assert_eq!(counted(&store, budget).0, Some(Side::Mean { n: 101, sum: 250_000_000_000 }));
    let first = counted(&store, slow_of(Slow::FirstToken, 500_000, Preset::Litellm));
    assert_eq!(first.0, count(10, 40));
}

#[test]
fn preflight_refuses_a_source_that_does_not_say_how_a_request_ended() {
    let mut store = captured(Preset::OtelHttp);
    store.series = std::mem::take(&mut store.series)
        .into_iter()
        .map(|(mut labels, samples)| {
            labels.remove("http_response_status_code");
            (labels, samples)
        })
        .collect();
    let ask = Ask::Baseline;
    let counts = store.ask(&subject(vec![errors_of(Preset::OtelHttp)]), &ask, &Watch::default(), 130.0);
    let Counts::Baseline { gates, .. } = counts else { panic!("{counts:?}") };
    let why = gates["errors"].clone().unwrap_err().message;
    assert!(why.contains("has no label http_response_status_code") && why.contains("could never fail"), "{why}");
}

#[test]
fn preflight_refuses_for_good_what_a_source_does_not_have() {
    for (gate, preset) in [
        (slow_of(Slow::FirstToken, 500_000, Preset::Istio), Preset::Istio),
        (gate("cut", GateKind::Share { what: Share::Truncated, max_ppm: Some(1) }, Preset::Litellm), Preset::Litellm),
        (gate("model", GateKind::Model { accepted: vec![] }, Preset::Traefik), Preset::Traefik),
    ] {
        let name = gate.name.clone();
        let counts = captured(preset).ask(&subject(vec![gate]), &Ask::Baseline, &Watch::default(), 20.0);
        let Counts::Baseline { gates, .. } = counts else { panic!("{counts:?}") };
        let unfit = gates[&name].clone().unwrap_err();
        assert!(unfit.fatal && unfit.message.contains(preset.as_str()), "{}", unfit.message);
    }
}

/// The demo application on the lab, 2026-11-25: the end of an attempt whose canary failed one request in five and made one
/// answer in five up, until it was reverted and its pods went. Prometheus 3.14, scrapes every second.
const PODS: &str = include_str!("fixtures/invoice-helper-prometheus-3.14.json");
/// The same half minute, as its gateway saw it: Contour 1.33 with Envoy 1.36.
const GATEWAY: &str = include_str!("fixtures/contour-1.33-prometheus-3.14.json");

/// An attempt of which samples were captured.
struct Attempt {
    stable: &'static str,
    canary: &'static str,
    started: f64,
    pods: [(&'static str, f64); 2],
    interval: f64,
    now: f64,
}

const HELPER: Attempt = Attempt {
    stable: "zfmb67hgbl",
    canary: "bscvnvzbkx",
    started: 1_795_606_195.0,
    pods: [
        ("shop-bscvnvzbkx-7d84c6bc57-wdbsp", 1_795_606_199.0),
        ("shop-bscvnvzbkx-7d84c6bc57-gh6d4", 1_795_606_199.0),
    ],
    interval: 1.0,
    now: 1_795_606_237.303,
};

/// A service in Go instrumented by the OpenTelemetry SDK (otelhttp 0.72, its exporter for Prometheus 0.69) behind Traefik
/// 3.6.12 on the lab, 2026-11-25: an attempt that the operator led through Traefik, whose canary failed 4 % and was slow
/// in 3 %. Prometheus 3.14, scrapes every 5 s, unsynchronised.
const OTELHTTP: &str = include_str!("fixtures/otelhttp-0.72-prometheus-3.14.json");
/// The same forty seconds, as Traefik saw them.
const TRAEFIK: &str = include_str!("fixtures/traefik-3.6-prometheus-3.14.json");

const SERVICE: Attempt = Attempt {
    stable: "p4lrgrmp8z",
    canary: "tgjlnkbwbw",
    started: 1_795_615_422.0,
    pods: [
        ("shop-tgjlnkbwbw-54995dc58f-mjv65", 1_795_615_421.0),
        ("shop-tgjlnkbwbw-54995dc58f-zcbbn", 1_795_615_420.0),
    ],
    interval: 5.0,
    // Ten seconds after the capture, so that nobody waits for another scrape.
    now: 1_795_615_473.558,
};

/// What each side added up to over all windows of the captured time.
fn summed(gate: Gate, attempt: &Attempt, answer: &str) -> [Vec<u64>; 2] {
    let name = gate.name.clone();
    let Attempt { stable, canary, started, pods, interval, now } = *attempt;
    let subject = Subject {
        stable: stable.to_owned(),
        canary: Some(canary.to_owned()),
        attempt_started: started,
        weight_ppm: 200_000,
        canary_pods: pods.map(|(name, started)| PodRef { name: name.to_owned(), started }).to_vec(),
        stable_pods: vec![],
        interval: Some(interval),
        ..subject(vec![gate])
    };
    let answers = [decode(answer.as_bytes()).unwrap()];
    let prices = PriceTable::built_in().unwrap();
    let counts = digest(&subject, &Ask::Windows, &Watch::default(), &answers, &prices, now);
    let Counts::Windows(windows, _) = counts else { panic!("{counts:?}") };
    let mut sums = [Vec::new(), Vec::new()];
    for window in windows {
        let Ok(sides) = window.gates[&name] else { panic!("{window:?}") };
        for (sum, side) in sums.iter_mut().zip([sides.canary, sides.stable]) {
            let counts = match side {
                Some(Side::Count { above, total, .. }) => vec![above, total],
                Some(Side::Late { bad, good, void, started }) => vec![bad, good, void, started],
                Some(Side::Mean { n, sum }) => vec![n, u64::try_from(sum).unwrap()],
                Some(Side::Value { .. }) | None => continue,
            };
            sum.resize(counts.len(), 0);
            sum.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
    }
    sums
}

#[test]
fn the_pods_and_the_gateway_count_the_same_requests_of_a_captured_attempt() {
    let [pods, stable] = summed(errors_of(Preset::OtelGenai), &HELPER, PODS);
    let [gateway, beside] = summed(errors_of(Preset::Envoy), &HELPER, GATEWAY);
    assert_eq!(pods, [7, 32], "all of the canary's requests, from the first on");
    assert_eq!(gateway, [7, 32 - 6], "a gateway was there before: what it had counted at the first scrape is known");
    assert_eq!((stable[0], beside[0]), (0, 0));
    assert!(stable[1] > 500 && stable[1].abs_diff(beside[1]) < 25, "{stable:?} {beside:?}: a scrape apart at the ends");
}

#[test]
fn the_sdk_and_traefik_count_the_same_requests_of_a_captured_attempt() {
    let [pods, stable] = summed(errors_of(Preset::OtelHttp), &SERVICE, OTELHTTP);
    let [gateway, beside] = summed(errors_of(Preset::Traefik), &SERVICE, TRAEFIK);
    assert_eq!((pods.as_slice(), gateway.as_slice()), ([7, 196].as_slice(), [7, 197].as_slice()), "a second apart");
    assert_eq!((stable[0], beside[0]), (0, 0));
    assert!(
        stable[1] > 1_000 && stable[1].abs_diff(beside[1]) < 100,
        "{stable:?} {beside:?}: a scrape apart at the ends"
    );
}

/// The canary slept for 3 s in three of a hundred requests; Traefik's usual bounds end at 5 s.
#[test]
fn the_sdk_and_traefik_tell_slow_requests_of_a_captured_attempt() {
    let slow = |micros, preset| slow_of(Slow::Response, micros, preset);
    assert_eq!(summed(slow(2_500_000, Preset::OtelHttp), &SERVICE, OTELHTTP)[0], [3, 196]);
    assert_eq!(summed(slow(5_000_000, Preset::Traefik), &SERVICE, TRAEFIK)[0], [0, 197]);
}

#[test]
fn verdicts_durations_and_costs_of_a_captured_attempt_are_those_of_its_answers() {
    let [canary, _] = summed(grounded(), &HELPER, PODS);
    assert_eq!(canary, [3, 22, 0, 25], "an answer that failed is not judged");
    let [canary, _] = summed(latency(2_560_000), &HELPER, PODS);
    assert_eq!(canary, [0, 32]);
    let [canary, _] = summed(cost(), &HELPER, PODS);
    assert_eq!(canary, [25, (1_853 + 1_841) * 50_000 + (967 + 953) * 400_000], "per answer that did not fail");
    let tokens = GateKind::Mean { what: Mean::Tokens, max: Some(1), max_increase_ppm: None };
    let [canary, _] = summed(gate("tokens", tokens, Preset::OtelGenai), &HELPER, PODS);
    assert_eq!(canary, [25, 1_853 + 1_841 + 967 + 953]);
}
