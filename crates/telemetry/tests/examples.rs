//! The examples of `docs/telemetry.md`, each on what its exporter exposed.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;

use common::{exposition::capture, *};
use microapp_core::{
    Strategy,
    counts::{Ask, Before, Counts, Side, Unfit, Watch},
    strategy::Gate,
};
use serde_json::{Value, json};

const DOCS: &str = include_str!("../../../docs/telemetry.md");

/// The YAML behind each `<!-- tested on CAPTURE -->`.
fn examples() -> Vec<(&'static str, Vec<Gate>)> {
    let marked = DOCS.split("<!-- tested on ").skip(1);
    let example = |text: &'static str| {
        let (name, rest) = text.split_once(" -->\n```yaml\n").unwrap();
        (name, gates(rest.split_once("\n```").unwrap().0))
    };
    marked.map(example).collect()
}

/// As they stand in a rollout.
fn gates(yaml: &str) -> Vec<Gate> {
    let own: Value = serde_saphyr::from_str(yaml).unwrap();
    let spec = json!({
        "template": {}, "model": {"provider": "p", "name": "m", "version": "1"},
        "traffic": {"port": 80, "gateway": {"parentRefs": [{"name": "g"}]}},
        "gates": own["gates"],
    });
    Strategy::resolve(&serde_json::from_value(spec).unwrap(), "").unwrap().gates
}

fn before(name: &str, gates: Vec<Gate>) -> BTreeMap<String, Result<Before, Unfit>> {
    let mut store = Store::default();
    let seconds: Vec<f64> = (0..15).map(|minute| f64::from(minute) * 60.0 - 900.0).collect();
    store.exposes(STABLE, &seconds, &capture(name));
    let counts = store.ask(&subject(gates), &Ask::Baseline, &Watch::default(), 0.0);
    let Counts::Baseline { gates, .. } = counts else { panic!("{counts:?}") };
    gates
}

/// Bad ones, and all.
type Share = (u64, u64);

/// By hand from the files: the `_count` of the series that each example means, and its buckets at 2.5 s. The traffic of
/// phase B, twice, on /ask and /stream: 110 failed through the app, 20 of them broken streams, which the exporters but one
/// do not see; 38 took 3 s.
#[test]
fn each_counts_what_its_exporter_saw() {
    let expected: BTreeMap<&str, (Share, Share)> = [
        ("instrumentator", ((90, 399), (38, 648))),
        ("starletteexp", ((110, 399), (38, 399))),
        // 5 exceptions of 31 + 19 responses; of 26 that were timed 4 took 3 s.
        ("starletteprom", ((5, 50), (4, 26))),
        ("flask", ((90, 392), (0, 250))),
        ("handmade", ((0, 301), (0, 159))),
        // 56 × 500, 4 × 400, 8 × 401, 12 × 404.
        ("nodeprom", ((80, 330), (38, 330))),
        // 5 exceptions; 429 is no failure. 4 and 6 took 3 s.
        ("nodebundle", ((5, 50), (10, 50))),
    ]
    .into();
    let examples = examples();
    assert_eq!(examples.len(), expected.len());
    for (name, gates) in examples {
        let found = before(name, gates);
        let side = |gate: &str| match &found[gate] {
            Ok(Before { side: Side::Count { above, below, total }, .. }) if above == below => (*above, *total),
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!((side("errors"), side("latency")), expected[name], "{name}");
        let told: Vec<&str> = found.values().filter_map(|gate| gate.as_ref().ok()?.caveat.as_deref()).collect();
        match name {
            "handmade" => assert!(told[0].contains("status is 200, 422: make sure that failures read so"), "{told:?}"),
            _ => assert!(told.is_empty(), "{name}: {told:?}"),
        }
    }
}
