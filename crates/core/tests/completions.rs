//! A canary that does not answer is told from one that has not been asked yet.
#![allow(clippy::unwrap_used)]

use std::{collections::BTreeMap, sync::Arc};

use microapp_api::v1alpha1::MicroAppRolloutSpec;
use microapp_core::{
    Evidence, Position, Strategy,
    counts::{Before, Counts, Side, Sides, Watch, Window},
    fold, judge,
};
use serde_json::{Value, json};

/// At 25 %, the step that began at second 100.
const AT: Position = Position { attempt: 2, step: Some(2), since: 100.0, paused: false };

fn begin(gates: &Value) -> Evidence {
    let spec: MicroAppRolloutSpec = serde_json::from_value(json!({
        "template": {}, "model": {"provider": "p", "name": "m", "version": "1"},
        "traffic": {"port": 80, "gateway": {"parentRefs": [{"name": "g"}]}},
        "gates": gates,
    }))
    .unwrap();
    let strategy = Arc::new(Strategy::resolve(&spec, "").unwrap());
    let before = Before::of(Side::count(0, 12_000), 60.0);
    let gates = strategy.gates.iter().map(|gate| (gate.name.clone(), Ok(before.clone()))).collect();
    let before = Counts::Baseline { gates, interval: 1.0, pins: BTreeMap::new() };
    fold(&Evidence::begin(2, strategy, 0.0), &Position { step: None, ..AT }, &before)
}

fn window(end: f64, canary: u64, stable: u64, inside_step: bool) -> Window {
    let sides = Sides {
        canary: Some(Side::count(0, canary)),
        stable: Some(Side::count(0, stable)),
        near: [None, None],
        idle: 0,
    };
    Window { end, length: 1.0, gates: BTreeMap::from([("errors".to_owned(), Ok(sides))]), gap: false, inside_step }
}

fn errors() -> Value {
    json!({"name": "errors", "errorRate": {"max": "1%"}})
}

fn hung(windows: &[Window]) -> bool {
    hung_with(&json!([errors()]), windows)
}

fn hung_with(gates: &Value, windows: &[Window]) -> bool {
    let evidence = fold(&begin(gates), &AT, &Counts::Windows(windows.to_vec(), Watch::default()));
    judge(&evidence, windows.last().unwrap().end).hung
}

#[test]
fn the_window_in_which_the_weight_changed_is_no_sign_of_a_canary_that_hangs() {
    // Three quarters of stable's 192 would be 64 for the canary, but the gateway gave it 5 % until now.
    assert!(!hung(&[window(101.0, 7, 192, false)]));
    assert!(!hung(&[window(101.0, 7, 192, false), window(102.0, 50, 150, true)]));
}

#[test]
fn a_canary_that_begins_slowly_is_not_taken_for_one_that_hangs() {
    // A starved machine after a raise: stable's answers come, the canary's follow with a delay.
    let canary = [0, 2, 5, 10, 20, 40, 60, 60];
    let windows: Vec<_> = (0_u32..).zip(canary).map(|(k, n)| window(102.0 + f64::from(k), n, 150, true)).collect();
    for count in 1..=windows.len() {
        assert!(!hung(&windows[..count]), "after {count} windows");
    }
}

#[test]
fn a_canary_that_gives_nothing_back_hangs() {
    let windows: Vec<_> = (102..=111).map(|end| window(f64::from(end), 0, 150, true)).collect();
    assert!(hung(&windows));
}

#[test]
fn whoever_may_take_long_is_waited_for() {
    let slow = json!([errors(), {"name": "latency", "latency": {"quantile": "0.95", "max": "20s"}}]);
    let windows: Vec<_> = (102..=139).map(|end| window(f64::from(end), 0, 150, true)).collect();
    assert!(!hung_with(&slow, &windows));
    let windows: Vec<_> = (102..=141).map(|end| window(f64::from(end), 0, 150, true)).collect();
    assert!(hung_with(&slow, &windows));
}

#[test]
fn a_minute_without_scrapes_in_the_bake_is_no_canary_that_hangs() {
    let bake = Position { step: Some(3), ..AT };
    // 200 requests a second before; the first scrape after the gap brings all of the minute, the next ones a second each.
    let nothing = |end: u32| Window { gates: BTreeMap::new(), ..window(f64::from(end), 0, 0, true) };
    let mut windows: Vec<_> = (101..=160).map(nothing).collect();
    windows.push(Window { gap: true, ..window(161.0, 12_000, 0, true) });
    windows.extend((162..=170).map(|end| window(f64::from(end), 200, 0, true)));
    for count in 1..=windows.len() {
        let seen = Counts::Windows(windows[..count].to_vec(), Watch::default());
        let evidence = fold(&fold(&begin(&json!([errors()])), &bake, &Counts::None), &bake, &seen);
        assert!(!judge(&evidence, 100.0 + count as f64).hung, "after {count} windows");
    }
}

#[test]
fn a_canary_that_hangs_after_lost_scrapes_is_still_found() {
    let bake = Position { step: Some(3), ..AT };
    let mut windows = vec![Window { gap: true, ..window(161.0, 12_000, 0, true) }];
    windows.extend((162..=170).map(|end| window(f64::from(end), 0, 0, true)));
    let seen = Counts::Windows(windows, Watch::default());
    let evidence = fold(&fold(&begin(&json!([errors()])), &bake, &Counts::None), &bake, &seen);
    assert!(judge(&evidence, 170.0).hung);
}
