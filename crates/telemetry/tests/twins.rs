//! One process that is scraped twice is counted once, the same way before and during the attempt.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use microapp_core::{
    counts::{Ask, Before, Counts, Side, Unfit, Unknown, Watch, Window},
    strategy::{GateKind, Preset, Share},
};
use microapp_telemetry::{PodRef, Subject};
use proptest::prelude::*;

/// The names that a ServiceMonitor gives to the targets of two Services; the second one comes first in order.
const SERVICES: [&str; 2] = ["shop", "metrics"];

/// A scrape by one of the two Services of what the pod has counted: good and bad ones.
fn scrape(store: &mut Store, pod: &str, service: usize, seconds: f64, (good, bad): (u32, u32)) {
    let service = SERVICES[service];
    let target = [
        ("namespace", "fintech"),
        ("pod", pod),
        ("job", service),
        ("service", service),
        ("endpoint", "http"),
        ("instance", "10.0.0.7:8080"),
        // What else a monitor writes onto its target is no matter of the counter.
        ("container", if service == "shop" { "app" } else { "" }),
    ];
    let target: Vec<(&str, &str)> = target.into_iter().filter(|(_, value)| !value.is_empty()).collect();
    store.put(&[&[("__name__", "up")], &target[..]].concat(), seconds, 1.0);
    let target = &target[..];
    for (labels, value) in [(&[][..], good), (&[("error_type", "timeout")][..], bad)] {
        if value > 0 {
            store.put(&[&[("__name__", REQUESTS)], target, labels].concat(), seconds, f64::from(value));
        }
    }
}

/// What a pod has counted so many seconds into the attempt: three good ones a second, and a bad one each four seconds.
fn counted(seconds: f64) -> (u32, u32) {
    ((3.0 * (seconds + 3_700.0)) as u32, ((seconds + 3_700.0) / 4.0) as u32)
}

/// Both pods scraped by both Services, the second one 1.6 s later, from an hour before the attempt on.
fn twice(until: f64) -> Store {
    let mut store = Store { delay: 10, ..Store::default() };
    let mut seconds = -3_600.0;
    while seconds < until {
        for (pod, phase) in [(CANARY, 0.7), (STABLE, 2.2)] {
            for (service, later) in [(0, 0.0), (1, 1.6)] {
                scrape(&mut store, pod, service, seconds + phase + later, counted(seconds + phase + later));
            }
        }
        seconds += 5.0;
    }
    store
}

fn before(store: &Store) -> Result<Before, Unfit> {
    match store.ask(&subject(vec![errors()]), &Ask::Baseline, &Watch::default(), 1.0) {
        Counts::Baseline { mut gates, .. } => gates.remove("errors").unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_pod_that_two_services_select_is_counted_once_and_preflight_names_both() {
    let store = twice(60.0);
    let windows = store.windows(&subject(vec![errors()]), 50.0);
    assert!(windows.len() >= 8, "{windows:?}");
    for window in &windows {
        // 5 s of 3 requests and a quarter of a bad one a second; the bad ones come one by one.
        for side in [sides(window, "errors").0, sides(window, "errors").1] {
            let Some(Side::Count { above, total, .. }) = side else { panic!("{side:?}") };
            assert!((1..=2).contains(&above) && total - above == 15, "{window:?}");
        }
    }
    let before = before(&store).unwrap();
    let Side::Count { above, total, .. } = before.side else { panic!() };
    assert_eq!((total - above, above), (3 * 59 * 60, 59 * 15));
    assert_eq!(
        before.caveat.unwrap(),
        "shop-aaaaaaaaaa-7d9f-x1 is scraped twice, as job=\"metrics\" and as job=\"shop\": the first is counted, the \
         second is not; let one monitor select it"
    );
}

#[test]
fn two_endpoints_that_contradict_each_other_are_ambiguous_in_preflight_too() {
    let mut store = twice(60.0);
    for samples in store.series.iter_mut().filter(|(labels, _)| labels.get("job") == Some("shop")).map(|(_, s)| s) {
        samples.iter_mut().filter(|sample| sample.value > 1.0).for_each(|sample| sample.value += 5_000.0);
    }
    let windows = store.windows(&subject(vec![errors()]), 30.0);
    assert_eq!(refusal(&windows[0], "errors"), Unknown::Ambiguous);
    let unfit = before(&store).unwrap_err();
    assert_eq!((unfit.reason, unfit.fatal), (Unknown::Ambiguous, false));
    assert_eq!(
        unfit.message,
        "shop-aaaaaaaaaa-7d9f-x1 of stable is scraped as job=\"metrics\" and as job=\"shop\", which count different \
         things under the same names: let this gate see one of them (one port, one monitor)"
    );
}

#[test]
fn a_gateway_that_two_monitors_select_is_counted_once() {
    let mut store = Store::default();
    for k in 0..12 {
        for (job, phase) in [("envoy", 1.0), ("gateway", 3.0)] {
            for (revision, each) in [("aaaaaaaaaa", 90.0), ("bbbbbbbbbb", 10.0)] {
                let cluster = format!("fintech_shop-{revision}_8080");
                let labels = [("job", job), ("instance", "10.0.0.9:8002"), ("envoy_cluster_name", cluster.as_str())];
                let labels = [&[("__name__", "envoy_cluster_upstream_rq_completed")], &labels[..]].concat();
                store.put(&labels, f64::from(k) * 5.0 - 5.0 + phase, each * (f64::from(k) + (phase - 1.0) / 5.0));
            }
        }
    }
    let errors = GateKind::Share { what: Share::Errors, max_ppm: Some(10_000) };
    let windows = store.windows(&subject(vec![gate("errors", errors, Preset::Envoy)]), 41.0);
    assert!(windows.len() >= 7);
    assert!(windows.iter().all(|window| sides(window, "errors") == (count(0, 10), count(0, 90))), "{windows:?}");
}

/// When each of the two Services scrapes, in scrapes of 5 s: from, until.
fn spans() -> impl Strategy<Value = [(usize, usize); 2]> {
    let span = || prop_oneof![Just((0, 30)), (0..12_usize, 16..30_usize)];
    (span(), span()).prop_map(|(one, other)| [one, other])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn while_one_of_the_two_comes_or_goes_each_request_counts_once_however_often_one_asks(
        spans in spans(),
        phases in (100..2_400_u32, 2_500..4_900_u32),
        fresh in any::<bool>(),
        served in prop::collection::vec((1..9_u32, 0..2_u32), 400),
        mut moments in prop::collection::vec(1.0..300.0_f64, 0..30),
    ) {
        // The first canary pod is scraped twice; a fresh one has counted nothing before.
        let born = if fresh { 1.0 } else { -50.0 };
        let mut store = Store { delay: 10, ..Store::default() };
        let until = |seconds: f64| {
            let all = served.iter().take(((seconds - born).max(0.0) * 2.0) as usize);
            all.fold((0, 0), |(good, bad), (more, worse)| (good + more, bad + worse))
        };
        let mut scrapes = [vec![], vec![]];
        for k in 0..30 {
            let base = f64::from(k) * 5.0 - 20.0;
            store.requests(STABLE, base + 1.0, 500 + 20 * k, 0);
            for (service, phase) in [(0, phases.0), (1, phases.1)] {
                let seconds = base + f64::from(phase) / 1000.0;
                if (spans[service].0..spans[service].1).contains(&(k as usize)) && seconds > born {
                    scrape(&mut store, CANARY_2, service, seconds, until(seconds));
                    scrapes[service].push(seconds);
                }
            }
        }
        let mut subject = subject(vec![errors()]);
        subject.canary_pods = vec![PodRef { name: CANARY_2.to_owned(), started: START as f64 + born }];
        moments.push(300.0);
        moments.sort_by(f64::total_cmp);
        let [once, often] = [&[300.0][..], &moments].map(|moments| total(&run(&store, &subject, moments)));
        prop_assert_eq!(once, often);
        // "metrics" has the word, and "shop" while that one has been silent for three intervals.
        let [shop, metrics] = scrapes;
        let silent = |at: &&f64| !metrics.iter().any(|other| *other <= **at && *at - other <= 15.0);
        let mut counted: Vec<f64> = shop.iter().filter(silent).chain(&metrics).copied().collect();
        counted.sort_by(f64::total_cmp);
        let old = counted.iter().rfind(|at| **at <= 0.0).or(counted.first()).filter(|_| !fresh);
        let [from, to] = [old, counted.last()].map(|at| at.map_or((0, 0), |at| until(*at)));
        prop_assert_eq!(once, (u64::from(to.1 - from.1), u64::from(to.0 + to.1 - from.0 - from.1)));
    }
}

/// Asks at these moments; only what is written down goes from one question to the next.
fn run(store: &Store, subject: &Subject, moments: &[f64]) -> Vec<Window> {
    let mut watch = Watch::default();
    let mut all = Vec::new();
    for moment in moments {
        if let Counts::Windows(windows, next) = store.ask(subject, &Ask::Windows, &watch, *moment) {
            all.extend(windows);
            watch = serde_json::from_str(&serde_json::to_string(&next).unwrap()).unwrap();
        }
    }
    all
}

/// The canary's bad requests and all of them.
fn total(windows: &[Window]) -> (u64, u64) {
    windows.iter().fold((0, 0), |(bad, all), window| match sides(window, "errors").0 {
        Some(Side::Count { above, total, .. }) => (bad + above, all + total),
        _ => (bad, all),
    })
}

/// A label of the counter's own may have a name that monitors give to targets, too.
#[test]
fn routes_that_an_application_calls_endpoints_are_no_targets() {
    let ratio = Share::Ratio {
        bad: "http_requests_total{status=~\"5..\"}".to_owned(),
        total: "http_requests_total".to_owned(),
    };
    let gate = gate("errors", GateKind::Share { what: ratio, max_ppm: Some(10_000) }, Preset::OtelHttp);
    for label in ["endpoint", "service"] {
        let mut store = Store::default();
        // Since ten minutes; so many answers of each route between two scrapes.
        for (k, seconds) in (-120..3).map(|k| (k + 120, f64::from(k) * 5.0 - 2.0)) {
            for pod in [CANARY, STABLE] {
                let target = [("namespace", "fintech"), ("pod", pod), ("job", "pods"), ("instance", pod)];
                store.put(&[&[("__name__", "up")], &target[..]].concat(), seconds, 1.0);
                for (route, status, value) in
                    [("/ask", "200", 10 * k), ("/stream", "200", 10 * k), ("/stream", "500", 3 * k)]
                {
                    let own = [("__name__", "http_requests_total"), (label, route), ("status", status)];
                    store.put(&[&own[..], &target[..]].concat(), seconds, f64::from(value));
                }
            }
        }
        let window = &store.windows(&subject(vec![gate.clone()]), 12.0)[0];
        assert_eq!(sides(window, "errors"), (count(3, 23), count(3, 23)), "{label}");
        let counts = store.ask(&subject(vec![gate.clone()]), &Ask::Baseline, &Watch::default(), 0.0);
        let Counts::Baseline { mut gates, .. } = counts else { panic!("{counts:?}") };
        let before = gates.remove("errors").unwrap().unwrap();
        assert_eq!(before.caveat, None, "{label}");
    }
}
