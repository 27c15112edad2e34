//! A captured attempt of pods that push.
#![allow(clippy::unwrap_used)]

use super::*;

/// FastAPI 0.165 and OpenTelemetry's SDK for Python 1.45.2, pushed each 5 s to the OTLP receiver of Prometheus 3.14 on
/// 2026-11-29 by `tests/push/capture.py`, which also counted what it asked. Promoted: `service.version`,
/// `k8s.namespace.name`, `k8s.pod.name`. In it are another rollout and another namespace whose revision is the canary's,
/// and where every request fails.
const CAPTURE: &str = include_str!("../fixtures/otlp-python-1.45-prometheus-3.14.json");

/// The capture as a store, what was asked, and its moments in seconds.
fn captured() -> (Store, serde_json::Value, impl Fn(&str) -> f64) {
    let all = decode(CAPTURE.as_bytes()).unwrap();
    let store = Store {
        series: all.series.into_iter().map(|series| (series.labels, series.samples)).collect(),
        ..Store::default()
    };
    let capture = serde_json::from_str::<serde_json::Value>(CAPTURE).unwrap()["capture"].take();
    let moments = capture.clone();
    (store, capture["counted"].clone(), move |name: &str| moments[name].as_f64().unwrap())
}

fn captured_gates() -> Vec<Gate> {
    let slow = |name: &str, max_micros, preset| {
        gate(name, GateKind::Slow { what: Slow::Response, slow_ppm: 50_000, max_micros, own: None }, preset)
    };
    let http = GateKind::Share { what: Share::Errors, max_ppm: Some(10_000) };
    vec![
        errors(),
        slow("latency", 2_560_000, Preset::OtelGenai),
        cost(),
        gate("http", http, Preset::OtelHttp),
        slow("slow", 2_500_000, Preset::OtelHttp),
    ]
}

/// Preflight at the beginning of the attempt; then a question each second until ten seconds after the capture, so that
/// nobody waits for another push.
fn followed(store: &Store, at: impl Fn(&str) -> f64, every: f64) -> (BTreeMap<String, Before>, Vec<Window>) {
    let prices = PriceTable::built_in().unwrap();
    let pod = |name: &str, started| PodRef { name: name.to_owned(), started };
    let mut subject = Subject {
        attempt_started: at("attempt"),
        step_since: Some(at("raised")),
        canary_pods: vec![pod("shop-bbbbbbbbbb-5c4d-y1", at("canary_started"))],
        stable_pods: vec![pod("shop-aaaaaaaaaa-7d9f-x1", 0.0), pod("shop-aaaaaaaaaa-7d9f-x2", 0.0)],
        interval: None,
        ..subject(captured_gates())
    };
    let ask = |subject: &Subject, ask: &Ask, watch: &Watch, now: f64| {
        let answers: Vec<Answer> = queries(subject, ask, watch, now).iter().map(|query| store.answer(query)).collect();
        digest(subject, ask, watch, &answers, &prices, now)
    };
    let Counts::Baseline { gates, interval, pins } = ask(&subject, &Ask::Baseline, &Watch::default(), at("attempt"))
    else {
        panic!()
    };
    subject.interval = Some(interval);
    let mut watch = Watch { pins, ..Watch::default() };
    let mut found = Vec::new();
    let mut now = at("attempt");
    while now <= at("now") + 10.0 {
        if let Counts::Windows(windows, next) = ask(&subject, &Ask::Windows, &watch, now) {
            assert!(next.canary_seen);
            found.extend(windows);
            watch = next;
        }
        now += every;
    }
    (gates.into_iter().map(|(name, found)| (name, found.unwrap())).collect(), found)
}

fn totals(windows: &[Window], gate: &str) -> [Vec<i128>; 2] {
    let mut sums = [Vec::new(), Vec::new()];
    for window in windows {
        let (canary, stable) = sides(window, gate);
        for (sum, side) in sums.iter_mut().zip([canary, stable]) {
            let counts = match side {
                Some(Side::Count { above, total, .. }) => vec![i128::from(above), i128::from(total)],
                Some(Side::Mean { n, sum }) => vec![i128::from(n), sum],
                Some(Side::Late { .. } | Side::Value { .. }) | None => continue,
            };
            sum.resize(counts.len(), 0);
            sum.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
    }
    sums
}

#[test]
fn every_request_of_a_captured_attempt_counts_once_also_of_a_process_that_was_killed_and_began_anew() {
    for every in [0.5, 1.0, 5.0, 28.0] {
        let (store, counted, at) = captured();
        let (_, windows) = followed(&store, at, every);
        let number = |side: &str, what: &str| i128::from(counted[side][what].as_u64().unwrap());
        let (bad, slow, all) = (number("canary", "bad"), number("canary", "slow"), number("canary", "total"));
        let stable = [number("stable", "bad"), number("stable", "total")];
        assert_eq!((bad, slow, all, stable), (6, 1, 24, [1, 47]));
        for errors in ["errors", "http"] {
            assert_eq!(totals(&windows, errors), [vec![bad, all], stable.to_vec()], "{errors}, asked each {every} s");
        }
        for latency in ["latency", "slow"] {
            assert_eq!(totals(&windows, latency), [vec![slow, all], vec![0, stable[1]]], "{latency}");
        }
        // 100 input and 20 output tokens of each good answer, in pico-USD.
        let each = 100 * 50_000 + 20 * 400_000;
        assert_eq!(
            totals(&windows, "cost"),
            [vec![all - bad, (all - bad) * each], vec![stable[1] - stable[0], (stable[1] - stable[0]) * each]],
            "per answer that did not fail"
        );
    }
}

#[test]
fn before_its_first_request_a_captured_canary_has_no_data_and_stable_has() {
    let (store, _, at) = captured();
    let raised = at("raised");
    let (_, windows) = followed(&store, at, 1.0);
    let before: Vec<_> = windows.iter().filter(|window| window.end < raised).map(|w| sides(w, "errors")).collect();
    assert!(
        before.len() >= 2 && before.iter().all(|(canary, stable)| canary.is_none() && stable.is_some()),
        "{before:?}"
    );
    let later = windows.iter().filter(|window| window.end > raised + 6.0);
    assert!(later.clone().count() >= 5 && later.into_iter().all(|window| sides(window, "errors").0.is_some()));
    let gaps = windows.iter().filter(|window| window.gap).count();
    assert_eq!(gaps, 1, "the window of the raise: {windows:#?}");
}

#[test]
fn what_stable_did_before_is_known_from_a_captured_push() {
    let (store, _, at) = captured();
    let (before, _) = followed(&store, at, 60.0);
    // What Prometheus itself answered to the same question: whole minutes.
    assert_eq!(before["errors"].side, Side::count(9, 187));
    assert_eq!(before["http"].side, Side::count(9, 187));
    assert_eq!(before["cost"].side, Side::Mean { n: 187 - 9, sum: 2_314_000_000 });
    // Once, with the first gate, whatever else is said of it and of others.
    let said: Vec<_> = before.values().filter_map(|found| found.caveat.as_deref()).collect();
    let said: Vec<_> = said.into_iter().filter(|said| said.contains("pushed by OTLP")).collect();
    assert_eq!(said.len(), 1);
    assert!(
        said[0].starts_with("its series are pushed by OTLP every 5 s (so are those of latency, cost, http, slow), ")
    );
}

#[test]
fn the_store_of_a_capture_holds_what_others_pushed_with_the_same_revision() {
    let (store, ..) = captured();
    let of = |label: &str, value: &str| {
        let own = store.series.iter().filter(|(labels, _)| labels.get("service_version") == Some("bbbbbbbbbb"));
        own.filter(|(labels, _)| labels.get(label) == Some(value) && labels.get("error_type").is_some()).count()
    };
    assert!(of("k8s_namespace_name", "payments") > 0 && of("k8s_pod_name", "cart-bbbbbbbbbb-6f5e-z1") > 0);
}
