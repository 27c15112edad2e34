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
    gate("errors", GateKind::Share { what: Share::Errors, max_ppm: 10_000 }, preset)
}

fn slow_of(what: Slow, max_micros: i64, preset: Preset) -> Gate {
    gate("slow", GateKind::Slow { what, slow_ppm: 50_000, max_micros }, preset)
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
        (Preset::Istio, (9, 99), (3, 93)),
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
    let cut = gate("cut", GateKind::Share { what: Share::Truncated, max_ppm: 50_000 }, Preset::Vllm);
    assert_eq!(counted(&store, cut), (count(12, 92), count(4, 84)));
    assert_eq!(counted(&store, slow_of(Slow::FirstToken, 500_000, Preset::Vllm)).0, count(32, 92));
    assert_eq!(counted(&store, slow_of(Slow::PerToken, 50_000, Preset::Vllm)).0, count(100, 9_200));
    let tokens = gate("tokens", GateKind::Mean { what: Mean::Tokens, max: Some(1), max_increase_ppm: None }, Preset::Vllm);
    assert_eq!(counted(&store, tokens).0, Some(Side::Mean { n: 97, sum: 59_000 }));
    let full = GateKind::Saturation { max_cache_ppm: Some(900_000), max_queue: Some(10) };
    let (canary, stable) = counted(&store, gate("full", full, Preset::Vllm));
    assert_eq!(canary, Some(Side::Value { nano: 1_055_555_556 }), "95 % where 90 % is allowed");
    assert_eq!(stable, Some(Side::Value { nano: 444_444_444 }), "the fuller of cache and queue");
}

#[test]
fn a_proxy_tells_throttling_cost_and_what_was_spent_by_the_key_of_the_revision() {
    let store = captured(Preset::Litellm);
    let quota = gate("quota", GateKind::Share { what: Share::Throttled, max_ppm: 50_000 }, Preset::Litellm);
    assert_eq!(counted(&store, quota).0, count(4, 101));
    let cost = GateKind::Mean { what: Mean::Cost, max: None, max_increase_ppm: Some(1) };
    let sum = 50_000 * 50_000 + 9_000 * 400_000;
    assert_eq!(counted(&store, gate("cost", cost, Preset::Litellm)).0, Some(Side::Mean { n: 101, sum }));
    let budget = gate("budget", GateKind::Budget { max_pico_usd: 1 }, Preset::Litellm);
    assert_eq!(counted(&store, budget).0, Some(Side::Mean { n: 101, sum: 250_000_000_000 }));
    let first = counted(&store, slow_of(Slow::FirstToken, 500_000, Preset::Litellm));
    assert_eq!(first.0, count(10, 40));
}

#[test]
fn preflight_refuses_for_good_what_a_source_does_not_have() {
    for (gate, preset) in [
        (slow_of(Slow::FirstToken, 500_000, Preset::Istio), Preset::Istio),
        (gate("cut", GateKind::Share { what: Share::Truncated, max_ppm: 1 }, Preset::Litellm), Preset::Litellm),
        (gate("model", GateKind::Model { accepted: vec![] }, Preset::Traefik), Preset::Traefik),
    ] {
        let name = gate.name.clone();
        let counts = captured(preset).ask(&subject(vec![gate]), &Ask::Baseline, &Watch::default(), 20.0);
        let Counts::Baseline { gates, .. } = counts else { panic!("{counts:?}") };
        let unfit = gates[&name].clone().unwrap_err();
        assert!(unfit.fatal && unfit.message.contains(preset.as_str()), "{}", unfit.message);
    }
}
