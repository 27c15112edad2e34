//! Means per request.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Random, close};
use microapp_stats::{MeanConfig, MeanGate, MeanWindow, Moments, acs_ln_e};

fn config() -> MeanConfig {
    MeanConfig { max_increase: Some(0.10), max_per_request: None, alpha_g: 0.0025, beta: 0.05, steps: 3 }
}

fn capped(max: f64) -> MeanConfig {
    MeanConfig { max_increase: None, max_per_request: Some(max), ..config() }
}

fn window(k: u64, canary: (u64, i128), stable: (u64, i128)) -> MeanWindow {
    MeanWindow { t: k as f64 * 5.0, canary, stable, gap: false }
}

/// Requests that cost 500 to 1 499 each, times `factor`.
fn traffic(random: &mut Random, n: u64, factor: f64) -> (u64, i128) {
    (n, (0..n).map(|_| ((500 + random.below(1000)) as f64 * factor) as i128).sum())
}

fn run(config: MeanConfig, factors: (f64, f64), windows: u64, per_window: u64) -> MeanGate {
    let (mut gate, mut random) = (MeanGate::new(config), Random(3));
    for k in 1..=windows {
        let canary = traffic(&mut random, per_window, factors.0);
        gate.window(&window(k, canary, traffic(&mut random, 200, factors.1)));
    }
    gate
}

#[test]
fn equal_cost_passes_every_step_and_never_fails() {
    let gate = run(config(), (1.0, 1.0), 200, 20);
    assert!(!gate.fires());
    assert!(gate.passes(1.0, true) && gate.passes(0.05, false));
}

#[test]
fn twice_the_cost_fails_and_passes_nothing() {
    let gate = run(config(), (2.0, 1.0), 40, 20);
    assert!(gate.fires());
    assert!(!gate.passes(0.05, false) && !gate.passes(1.0, true));
}

/// An agent that asks its model in one window and again in the next one, where its answer is done.
#[test]
fn a_request_has_what_its_calls_cost_in_the_windows_before_its_end() {
    let (mut gate, mut random) = (MeanGate::new(config()), Random(3));
    for k in 1..=60 {
        let (_, cost) = traffic(&mut random, 1, 1.0);
        gate.window(&window(k, (k % 2, cost), traffic(&mut random, 200, 1.0)));
        let mut bytes = Vec::new();
        gate.save(&mut bytes);
        assert_eq!(MeanGate::load(&mut bytes.as_slice()).as_ref(), Some(&gate), "window {k}");
    }
    assert!(gate.fires(), "it costs twice as much as stable's");
    assert_eq!(gate.totals().0.0, 30);
}

#[test]
fn nothing_is_decided_before_twenty_windows() {
    let gate = run(config(), (9.0, 1.0), 19, 20);
    assert!(!gate.fires() && !gate.passes(0.05, false));
    close(gate.ln_e_fail(), 0.0);
    assert!(run(config(), (9.0, 1.0), 20, 20).fires());
}

#[test]
fn the_last_gated_step_needs_twenty_batches_of_sixty_requests() {
    let nineteen = run(config(), (1.0, 1.0), 3 * 20 - 1, 20);
    assert!(nineteen.passes(0.05, false));
    close(nineteen.ln_e_pass(1.0), 0.0);
    assert!(run(config(), (1.0, 1.0), 3 * 20, 20).ln_e_pass(1.0) > 0.0);
}

#[test]
fn evidence_is_that_of_the_differences_for_any_margin() {
    let (mut gate, mut random) = (MeanGate::new(config()), Random(5));
    let (mut fail, mut good) = (Moments::default(), [Moments::default(), Moments::default()]);
    let margins = [0.1 / 1.0, 0.1 / 0.25];
    for k in 1..=60 {
        let (canary, stable) = (traffic(&mut random, 60, 1.05), traffic(&mut random, 200, 1.0));
        gate.window(&window(k, canary, stable));
        let (c, s) = (canary.1 as f64 / canary.0 as f64, stable.1 as f64 / stable.0 as f64);
        fail.add(c - 1.1 * s);
        for (moments, margin) in good.iter_mut().zip(margins) {
            moments.add(c - (1.0 + margin) * s);
        }
    }
    for (moments, next_weight) in good.iter().zip([1.0, 0.25]) {
        close(gate.ln_e_pass(next_weight), acs_ln_e(-moments.mean(), moments.variance(), moments.t(), 0.05).max(0.0));
    }
    close(gate.ln_e_fail(), acs_ln_e(fail.mean(), fail.variance(), fail.t(), 0.0025 / 3.0).max(0.0));
    close(gate.threshold(), (3.0_f64 / 0.0025).ln());
}

#[test]
fn a_constant_difference_is_finite_evidence() {
    for (cost, fires) in [(1500, true), (1100, false), (1000, false)] {
        let mut gate = MeanGate::new(config());
        for k in 1..=25 {
            gate.window(&window(k, (60, 60 * cost), (100, 100_000)));
        }
        assert_eq!(gate.fires(), fires, "{cost}");
        assert!(gate.ln_e_fail().is_finite() && gate.ln_e_pass(1.0).is_finite());
        assert_eq!(gate.passes(1.0, true), cost == 1000, "{cost}");
    }
}

#[test]
fn a_canary_window_takes_what_stable_did_in_the_last_minute() {
    let mut gate = MeanGate::new(config());
    for k in 1..=20 * 12 {
        // One canary request a minute; stable's windows before it wait.
        let canary = if k % 12 == 0 { (1, 1000) } else { (0, 0) };
        gate.window(&window(k, canary, if k % 12 == 6 { (3, 3000) } else { (0, 0) }));
    }
    assert_eq!(gate.windows(), 20);
    let mut apart = MeanGate::new(config());
    for k in 1..=20 {
        apart.window(&window(26 * k, (0, 0), (3, 3000)));
        apart.window(&window(26 * k + 13, (1, 1000), (0, 0)));
    }
    assert_eq!(apart.windows(), 0);
}

#[test]
fn gaps_count_for_the_totals_alone() {
    let mut gate = MeanGate::new(MeanConfig { max_per_request: Some(10.0), ..config() });
    gate.window(&MeanWindow { gap: true, ..window(1, (400, 900_000), (3000, 10)) });
    assert_eq!(gate.windows(), 0);
    assert_eq!(gate.step_totals(), ((400, 900_000), (3000, 10)));
    gate.new_step();
    assert_eq!(gate.step_totals(), ((0, 0), (0, 0)));
    assert_eq!(gate.totals(), ((400, 900_000), (3000, 10)));
}

#[test]
fn a_cap_that_the_canary_alone_breaches_fails_and_one_that_both_breach_pauses() {
    let alone = run(capped(1500.0), (2.0, 1.0), 60, 20);
    assert!(alone.fires() && !alone.guarded());
    let both = run(capped(500.0), (1.0, 1.0), 60, 20);
    assert!(both.guarded() && !both.fires() && !both.passes(0.05, false));
    let neither = run(capped(2000.0), (1.0, 1.0), 60, 20);
    assert!(!neither.guarded() && neither.passes(1.0, true));
}

#[test]
fn two_limits_share_alpha_and_both_must_pass() {
    let both = MeanConfig { max_per_request: Some(1500.0), ..config() };
    close(MeanGate::new(both).threshold(), (6.0_f64 / 0.0025).ln());
    // Within +10 % of stable, over the cap: breached by both.
    assert!(run(both, (1.6, 1.6), 60, 20).guarded());
    // Under the cap, 40 % over stable.
    let dearer = run(both, (1.4, 1.0), 200, 20);
    assert!(dearer.fires() && !dearer.passes(1.0, true));
    assert!(run(both, (1.0, 1.0), 200, 20).passes(1.0, true));
}

#[test]
fn a_step_starts_over() {
    let mut gate = run(config(), (2.0, 1.0), 40, 20);
    gate.new_step();
    assert!(!gate.fires());
    assert_eq!(gate.windows(), 0);
}

#[test]
fn a_reload_after_any_window_changes_nothing() {
    let mut random = Random(17);
    let mut kept = MeanGate::new(MeanConfig { max_per_request: Some(900.0), ..config() });
    for k in 1..300 {
        let mut bytes = Vec::new();
        kept.save(&mut bytes);
        assert!(bytes.len() <= 1024, "{}", bytes.len());
        let mut reloaded = MeanGate::load(&mut bytes.as_slice()).unwrap();
        let n = random.below(9) / 4 * 10;
        let (canary, stable) = (traffic(&mut random, n, 1.0), traffic(&mut random, 50, 1.0));
        let window = MeanWindow { t: f64::from(k), gap: random.below(30) == 0, canary, stable };
        for gate in [&mut kept, &mut reloaded] {
            if k % 100 == 0 {
                gate.new_step();
            }
            gate.window(&window);
        }
        assert_eq!(kept, reloaded);
        assert!(MeanGate::load(&mut &bytes[..bytes.len() - 1]).is_none());
    }
}
