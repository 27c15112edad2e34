//! Metrics that the pods push by OTLP: no scrape, no `up`, and no series before the first request.
#![allow(clippy::unwrap_used, clippy::float_cmp)]

mod captured;
#[path = "../common/mod.rs"]
mod common;
mod queries;

use std::collections::BTreeMap;

use common::*;
use microapp_core::{
    counts::{Ask, Before, Counts, Side, Unfit, Unknown, Watch, Window},
    strategy::{Gate, GateKind, Preset, Share, Slow},
};
use microapp_telemetry::{
    Answer, Brings, Names, Pin, PodRef, PriceTable, Query, Sample, Scheme, Series, Subject, decode::decode, digest,
    queries,
};

/// The labels of what one process pushes, and which of them are promoted to every series.
#[derive(Clone, Copy)]
struct Process<'a> {
    pod: &'a str,
    instance: &'a str,
    job: &'a str,
    names: Option<[&'static str; 2]>,
}

const PROMOTED: [&str; 2] = ["k8s_namespace_name", "k8s_pod_name"];

const fn process(pod: &str) -> Process<'_> {
    Process { pod, instance: pod, job: "shop", names: Some(PROMOTED) }
}

/// One push: `target_info`, and counters as (name, labels, value).
fn push(store: &mut Store, process: Process, seconds: f64, counters: &[Counter]) {
    let own = [("job", process.job), ("instance", process.instance)];
    let info = [("__name__", "target_info"), (PROMOTED[0], "fintech"), (PROMOTED[1], process.pod)];
    store.put(&[&info[..], &own[..]].concat(), seconds, 1.0);
    let promoted = process.names.map(|[namespace, pod]| [(namespace, "fintech"), (pod, process.pod)]);
    for (name, labels, value) in counters {
        let named = [&[("__name__", *name)], &own[..], labels].concat();
        store.put(&[&named[..], promoted.as_ref().map_or(&[][..], |own| own)].concat(), seconds, *value);
    }
}

/// The same with so many good and bad requests so far; what is 0 has no series yet.
fn requests(store: &mut Store, process: Process, seconds: f64, good: u32, bad: u32) {
    let rows: [Counter; 2] = [
        (REQUESTS, &[("gen_ai_operation_name", "chat")], f64::from(good)),
        (REQUESTS, &[("gen_ai_operation_name", "chat"), ("error_type", "timeout")], f64::from(bad)),
    ];
    let there: Vec<Counter> = rows.into_iter().filter(|(.., value)| *value > 0.0).collect();
    push(store, process, seconds, &there);
}

/// Ten minutes of stable before, and a minute and a half of the attempt: each 5 s ten requests, of which one in a hundred
/// fails.
fn stable_of(process: Process) -> Store {
    let mut store = Store::default();
    for k in 0..140_u32 {
        let all = 10 * k;
        requests(&mut store, process, f64::from(k) * 5.0 - 597.0, all - all / 100, all / 100);
    }
    store
}

fn stable() -> Store {
    stable_of(process(STABLE))
}

fn preflight(store: &Store, subject: &Subject) -> (Vec<Result<Before, Unfit>>, f64, Watch) {
    match store.ask(subject, &Ask::Baseline, &Watch::default(), 0.0) {
        Counts::Baseline { mut gates, interval, pins } => {
            let found = subject.gates.iter().map(|gate| gates.remove(&gate.name).unwrap()).collect();
            (found, interval, Watch { pins, ..Watch::default() })
        }
        other => panic!("{other:?}"),
    }
}

/// What preflight pinned, and everything that is complete then.
fn after(store: &Store, subject: &Subject, seconds: f64) -> (Vec<Window>, Watch) {
    let (_, _, watch) = preflight(store, subject);
    match store.ask(subject, &Ask::Windows, &watch, seconds) {
        Counts::Windows(windows, watch) => (windows, watch),
        other => panic!("{other:?}"),
    }
}

fn pin(watch: &Watch, gate: &str) -> Pin {
    Pin::read(&watch.pins[gate]).unwrap()
}

fn canary_of(windows: &[Window]) -> (u64, u64) {
    windows.iter().fold((0, 0), |(bad, all), window| match sides(window, "errors").0 {
        Some(Side::Count { above, total, .. }) => (bad + above, all + total),
        _ => (bad, all),
    })
}

#[test]
fn where_no_pod_is_scraped_stable_is_found_among_what_is_pushed_and_that_is_said_and_pinned() {
    let subject = subject(vec![errors()]);
    let (found, interval, watch) = preflight(&stable(), &subject);
    let before = found[0].clone().unwrap();
    assert!(matches!(before.side, Side::Count { above: 10..=12, total: 1_000..=1_200, .. }), "{before:?}");
    assert_eq!((interval, pin(&watch, "errors").pushed), (5.0, Some(Names::Attributes)));
    assert_eq!(
        before.caveat.as_deref(),
        Some("its series are pushed by OTLP every 5 s, told apart by k8s_namespace_name and k8s_pod_name")
    );
    let asked = queries(&subject, &Ask::Windows, &watch, START as f64);
    let own = r#"{k8s_namespace_name="fintech",k8s_pod_name=~"shop-aaaaaaaaaa-.*|shop-bbbbbbbbbb-.*","#;
    assert!(asked.len() == 1 && asked[0].promql.starts_with(own), "{asked:?}");
    assert_eq!(asked[0].scheme, Scheme::Pushed(Names::Attributes));
    assert!(asked[0].promql.contains("target_info") && !asked[0].promql.contains("up"), "{}", asked[0].promql);
}

#[test]
fn pods_that_are_scraped_too_are_read_as_they_always_were() {
    let mut store = stable();
    for k in 0..122_u32 {
        store.requests(STABLE, f64::from(k) * 5.0 - 598.0, 10 * k, 0);
    }
    let (found, _, watch) = preflight(&store, &subject(vec![errors()]));
    assert_eq!((pin(&watch, "errors").pushed, found[0].clone().unwrap().caveat), (None, None));
    assert!(!watch.pins["errors"].contains("pushed") && !watch.pins["errors"].contains("\"p\""));
}

#[test]
fn what_is_pushed_with_the_labels_of_a_scrape_counts_and_nobody_waits_for_a_scrape() {
    let plain = Process { names: Some(["namespace", "pod"]), ..process(STABLE) };
    let mut store = stable_of(plain);
    let info = [("__name__", "target_info"), ("namespace", "fintech"), ("pod", STABLE), ("job", "shop")];
    for k in 0..132 {
        store.put(&[&info[..], &[("instance", STABLE)]].concat(), f64::from(k) * 5.0 - 597.0, 1.0);
    }
    let canary = Process { names: plain.names, ..process(CANARY) };
    for k in 0..4 {
        requests(&mut store, canary, 21.0 + 5.0 * f64::from(k), 4 + k, 2);
    }
    let subject = subject(vec![errors()]);
    let (found, interval, watch) = preflight(&store, &subject);
    assert_eq!((interval, pin(&watch, "errors").pushed), (5.0, Some(Names::Plain)));
    assert!(found[0].clone().unwrap().caveat.unwrap().contains("told apart by namespace and pod"));
    let (windows, next) = after(&store, &subject, 46.0);
    assert_eq!((canary_of(&windows), next.canary_seen), ((2, 9), true), "{windows:#?}");
}

#[test]
fn a_canary_that_was_never_asked_is_not_waited_for_and_has_no_data_rather_than_no_errors() {
    let subject = subject(vec![errors()]);
    let (windows, watch) = after(&stable(), &subject, 20.0);
    assert!(watch.canary_seen && windows.len() >= 3, "{windows:#?}");
    for window in windows {
        let (canary, stable) = sides(&window, "errors");
        assert!(canary.is_none() && matches!(stable, Some(Side::Count { total: 10, .. })), "{window:?}");
    }
}

#[test]
fn with_a_heartbeat_no_request_is_a_number() {
    let mut store = stable();
    for k in 0..8 {
        requests(&mut store, process(CANARY), f64::from(k) * 5.0 - 8.0, 0, 0);
    }
    let (windows, watch) = after(&store, &subject(vec![errors()]), 21.0);
    assert!(watch.canary_seen);
    assert!(windows.iter().all(|window| sides(window, "errors").0 == count(0, 0)), "{windows:#?}");
}

#[test]
fn the_first_value_that_a_canary_pushes_counts_from_zero_however_long_it_was_silent() {
    for (started, first) in [(2.0, 11.0), (-40.0, 11.0), (-86_400.0, 11.0), (-40.0, 51.0)] {
        let mut store = stable();
        requests(&mut store, process(CANARY), first, 5, 2);
        requests(&mut store, process(CANARY), first + 5.0, 6, 2);
        let mut subject = subject(vec![errors()]);
        subject.canary_pods = vec![PodRef { name: CANARY.to_owned(), started: START as f64 + started }];
        let (_, _, mut watch) = preflight(&store, &subject);
        let mut counted = Vec::new();
        for tick in 1..14 {
            if let Counts::Windows(windows, next) = store.ask(&subject, &Ask::Windows, &watch, 5.0 * f64::from(tick)) {
                counted.extend(windows);
                watch = next;
            }
        }
        assert_eq!(canary_of(&counted), (2, 8), "the pod started at {started}, its first push came at {first}");
        let gaps = counted.iter().filter(|window| window.gap).count();
        assert_eq!(gaps, 0, "{counted:#?}");
    }
}

#[test]
fn stables_exporter_that_comes_back_with_a_great_past_counts_from_there() {
    let mut store = stable();
    for k in 0..5 {
        requests(&mut store, process(STABLE_2), 21.0 + 5.0 * f64::from(k), 90_000 + k, 500);
    }
    let mut subject = subject(vec![errors()]);
    subject.stable_pods.push(PodRef { name: STABLE_2.to_owned(), started: START as f64 - 86_400.0 });
    let (windows, _) = after(&store, &subject, 47.0);
    for window in &windows {
        let stable = sides(window, "errors").1;
        assert!(matches!(stable, Some(Side::Count { total: 10..=11, .. })), "{window:?}");
    }
}

#[test]
fn a_process_that_begins_anew_has_another_instance_and_counts_from_zero() {
    for (pod, role) in [(CANARY, 0), (STABLE_2, 1)] {
        let mut store = stable();
        let name = |instance| Process { instance, ..process(pod) };
        for k in 0..6 {
            requests(&mut store, name("one"), f64::from(k) * 5.0 - 8.0, 40 + 2 * k, 3);
        }
        for k in 0..4 {
            requests(&mut store, name("two"), 27.0 + f64::from(k) * 5.0, 7 + k, 1);
        }
        let mut subject = subject(vec![errors()]);
        subject.stable_pods.push(PodRef { name: STABLE_2.to_owned(), started: START as f64 - 86_400.0 });
        let (windows, _) = after(&store, &subject, 50.0);
        let own = windows.iter().fold((0, 0), |(bad, all), window| {
            let of = [sides(window, "errors").0, sides(window, "errors").1][role];
            let Some(Side::Count { above, total, .. }) = of else { return (bad, all) };
            (bad + above, all + total)
        });
        // Of the old process what it added since the attempt began: 2 in each of four pushes.
        let beside = if role == 0 { (0, 0) } else { stable_alone(&windows) };
        assert_eq!((own.0 - beside.0, own.1 - beside.1), (1, 8 + 11), "{pod}: {windows:#?}");
    }
}

/// What the other pod of stable added.
fn stable_alone(windows: &[Window]) -> (u64, u64) {
    let (alone, _) = after(&stable(), &subject(vec![errors()]), 50.0);
    let same = alone.iter().filter(|window| windows.iter().any(|other| other.end.to_bits() == window.end.to_bits()));
    same.fold((0, 0), |(bad, all), window| match sides(window, "errors").1 {
        Some(Side::Count { above, total, .. }) => (bad + above, all + total),
        _ => (bad, all),
    })
}

#[test]
fn several_processes_of_one_service_in_a_pod_add_up_and_two_services_are_ambiguous() {
    let pushed = |job: &'static str| {
        let mut store = stable();
        for k in 0..8 {
            let at = f64::from(k) * 5.0 - 8.0;
            requests(&mut store, Process { instance: "one", ..process(CANARY) }, at, 10 + 2 * k, 0);
            requests(&mut store, Process { instance: "two", job, ..process(CANARY) }, at + 1.5, 50 + k, k);
        }
        after(&store, &subject(vec![errors()]), 24.0).0
    };
    assert_eq!(sides(&pushed("shop")[1], "errors").0, count(1, 2 + 2));
    assert_eq!(refusal(&pushed("sidecar")[1], "errors"), Unknown::Ambiguous);
}

#[test]
fn an_sdk_that_notes_the_time_of_each_instrument_pushes_once() {
    let mut store = stable();
    for k in 0..8 {
        let at = f64::from(k) * 5.0 - 8.0;
        let asked = f64::from(k) * 3.0;
        push(&mut store, process(CANARY), at, &[(REQUESTS, &[], 10.0 + asked)]);
        // Tokens, some milliseconds later, and the bucket of another instrument.
        let usage = &[("gen_ai_token_type", "output"), ("gen_ai_response_model", "gpt-5-nano-2025-08-07")][..];
        push(&mut store, process(CANARY), at + 0.003, &[("gen_ai_client_token_usage_sum", usage, 100.0 * asked)]);
        push(&mut store, process(STABLE), at + 0.5, &[("gen_ai_client_token_usage_sum", usage, 1_000.0 * asked)]);
        push(&mut store, process(STABLE), at + 0.503, &[("other", &[], 1.0)]);
    }
    let (windows, watch) = after(&store, &subject(vec![errors(), cost()]), 22.0);
    let each = windows.iter().map(|window| sides(window, "cost").0).collect::<Vec<_>>();
    assert!(
        windows.len() >= 3 && each.iter().all(|side| *side == Some(Side::Mean { n: 3, sum: 300 * 400_000 })),
        "{each:?}"
    );
    assert_eq!(watch.pace, microapp_core::counts::Pace::default());
}

#[test]
fn what_came_within_the_last_second_may_not_be_whole_and_waits() {
    let mut store = stable();
    for k in 0..6 {
        requests(&mut store, process(CANARY), f64::from(k) * 5.0 - 8.0, 10 + k, 0);
    }
    let subject = Subject { weight_ppm: 10_000, ..subject(vec![errors()]) };
    let (windows, watch) = after(&store, &subject, 12.5);
    assert_eq!(windows.last().unwrap().end, START as f64 + 10.0);
    let next = watch.next.unwrap() - START as f64;
    assert!(next > 13.0 + 1.0, "the push at 13 s is asked for when it is a second old: {next}");
}

#[test]
fn windows_are_as_long_as_the_pushes_are_apart_and_preflight_says_how_to_make_them_shorter() {
    let mut store = Store::default();
    for k in 0..70_u32 {
        requests(&mut store, process(STABLE), f64::from(k) * 60.0 - 3_590.0, 100 * k, 0);
    }
    let subject = Subject { interval: Some(60.0), ..subject(vec![errors()]) };
    let (found, interval, _) = preflight(&store, &subject);
    assert_eq!(interval, 60.0);
    let caveat = found[0].clone().unwrap().caveat.unwrap();
    assert!(
        caveat.starts_with("its series are pushed by OTLP every 60 s, ")
            && caveat.contains("OTEL_METRIC_EXPORT_INTERVAL=5000")
    );
    let (windows, _) = after(&store, &subject, 320.0);
    assert_eq!(windows.len(), 5, "{windows:#?}");
    assert!(windows.iter().all(|window| sides(window, "errors").1 == count(0, 100) && !window.gap), "{windows:#?}");
}

#[test]
fn a_gate_without_data_does_not_make_the_canary_wait_for_a_scrape() {
    let http = gate("http", GateKind::Share { what: Share::Errors, max_ppm: Some(10_000) }, Preset::OtelHttp);
    let subject = subject(vec![errors(), http]);
    let (found, _, _) = preflight(&stable(), &subject);
    assert!(found[1].is_err());
    let (_, watch) = after(&stable(), &subject, 20.0);
    assert!(watch.canary_seen);
    assert_eq!(queries(&subject, &Ask::Windows, &watch, START as f64 + 20.0).len(), 1);
}

#[test]
fn of_two_gates_one_is_pushed_and_one_is_scraped() {
    let http = gate("http", GateKind::Share { what: Share::Errors, max_ppm: Some(10_000) }, Preset::OtelHttp);
    let mut store = stable();
    let code = [("http_response_status_code", "200")];
    for k in 0..132_u32 {
        let rows: [Counter; 1] = [("http_server_request_duration_seconds_count", &code, f64::from(20 * k))];
        store.scrape(STABLE, f64::from(k) * 5.0 - 598.0, &rows);
    }
    let subject = subject(vec![errors(), http]);
    let (windows, watch) = after(&store, &subject, 20.0);
    assert_eq!((pin(&watch, "errors").pushed, pin(&watch, "http").pushed), (Some(Names::Attributes), None));
    assert!(!watch.canary_seen, "it will be scraped");
    assert_eq!(queries(&subject, &Ask::Windows, &watch, START as f64 + 20.0).len(), 2);
    assert_eq!((sides(&windows[1], "errors").1, sides(&windows[1], "http").1), (count(0, 10), count(0, 20)));
    store.scrape(CANARY, 17.0, &[]);
    assert!(after(&store, &subject, 20.0).1.canary_seen);
}

#[test]
fn attributes_that_are_not_promoted_are_named_in_the_refusal() {
    let store = stable_of(Process { names: None, ..process(STABLE) });
    let (found, ..) = preflight(&store, &subject(vec![errors()]));
    let unfit = found[0].clone().unwrap_err();
    assert_eq!((unfit.reason, unfit.fatal), (Unknown::NoData, false));
    for says in [
        "stable has no series",
        "pushes by OTLP",
        "k8s.namespace.name and k8s.pod.name",
        "otlp.promote_resource_attributes",
        "resource_to_telemetry_conversion",
    ] {
        assert!(unfit.message.contains(says), "{says}: {}", unfit.message);
    }
    let (found, ..) = preflight(&Store::default(), &subject(vec![errors()]));
    assert!(!found[0].clone().unwrap_err().message.contains("OTLP"));
}
