//! A gate without an SLO: the canary is held against stable alone.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Random, close, config, window};
use microapp_stats::{BakeGate, Form, RateConfig, RateGate, RateWindow, Rule, Tally};

fn beside() -> RateConfig {
    RateConfig { slo: None, ..config() }
}

/// Stable answered 180 000 requests in the last hour, this share of them badly.
fn gate(p: f64) -> RateGate {
    RateGate::new(beside(), Tally::new(180_000, (180_000.0 * p) as u64))
}

/// One window of 5 s at 1 % of 50 requests/s.
fn drawn(random: &mut Random, k: u64, p_c: f64, p_s: f64) -> RateWindow {
    let (nc, ns) = (random.poisson(2.5), random.poisson(247.5));
    window(k, (nc, random.bad(nc, p_c)), (ns, random.bad(ns, p_s)))
}

#[test]
fn it_has_the_evidence_of_a_gate_with_an_slo_but_for_the_rule_that_needs_one() {
    let mut random = Random(31);
    for (form, p) in [(Form::Switch, 0.005), (Form::Plain, 0.03), (Form::Switch, 0.2)] {
        let baseline = Tally::new(20_000, (20_000.0 * p) as u64);
        // At the guard's own threshold, which is then the same: 3 p̂ is above both.
        let mut limited = RateGate::new(RateConfig { slo: Some(p), form, ..config() }, baseline);
        let mut alone = RateGate::new(RateConfig { form, ..beside() }, baseline);
        for k in 1..200 {
            let window = drawn(&mut random, k, 1.5 * p, p);
            limited.window(&window);
            alone.window(&window);
            let (with, without) = (limited.processes(), alone.processes());
            assert_eq!(without.slo, None);
            assert_eq!(
                [with.floor, with.any, with.rel1, with.rel15, with.rel3].map(f64::to_bits),
                [without.floor, without.any, without.rel1, without.rel15, without.rel3].map(f64::to_bits)
            );
            close(alone.ln_e_fail(), with.floor.min(with.rel15).max(with.any.min(with.rel3)));
            assert_ne!(without.rule(), Rule::Worse);
            assert_eq!(alone.ln_e_pass(0.05).to_bits(), limited.ln_e_pass(0.05).to_bits());
            assert_eq!(alone.threshold().to_bits(), limited.threshold().to_bits());
            let stand = alone.stand(0.05);
            assert_eq!((stand.fires, stand.passes), (alone.fires(), alone.passes(0.05)));
        }
    }
}

/// The share may be high or low, and move: as long as it moves for both, nobody is condemned. 5 % false alarms are allowed
/// here, so that a wrong threshold would show in so few runs.
#[test]
fn without_a_difference_fewer_canaries_are_condemned_than_promised() {
    let allowed = 0.05;
    for (seed, base, moves) in [
        (41, 0.0, false),
        (42, 0.000_5, false),
        (43, 0.02, false),
        (44, 0.15, false),
        (45, 0.5, false),
        (46, 0.02, true),
        (47, 0.0, true),
    ] {
        let (mut random, mut condemned, runs) = (Random(seed), 0, 120);
        for _ in 0..runs {
            let before = Tally::new(18_000, random.bad(18_000, base));
            let mut gate = RateGate::new(RateConfig { alpha_g: allowed, ..beside() }, before);
            let start = random.below(200);
            condemned += usize::from((1..500).any(|k| {
                // A wave of clients without a valid token, or a crawler.
                let p = if moves && (start..start + 40).contains(&k) { base + 0.3 } else { base };
                gate.window(&drawn(&mut random, k, p, p));
                gate.fires()
            }));
        }
        let most = allowed + 3.0 * (allowed * (1.0 - allowed) / f64::from(runs)).sqrt();
        let share = condemned as f64 / f64::from(runs);
        assert!(share <= most, "{share} at {base}, moving: {moves}");
    }
}

#[test]
fn a_canary_that_answers_401_to_everybody_is_found_within_the_first_windows_at_one_percent() {
    let mut random = Random(51);
    for (p_s, windows, bad) in [(0.0, 2, 6), (0.005, 3, 8), (0.05, 4, 11), (0.2, 9, 22)] {
        let mut took = Vec::new();
        let mut served = Vec::new();
        for _ in 0..100 {
            let mut gate = gate(p_s);
            let mut refused = 0;
            let found = (1..200).find(|k| {
                let window = drawn(&mut random, *k, 1.0, p_s);
                refused += window.canary.n;
                gate.window(&window);
                gate.fires()
            });
            took.push(found.unwrap());
            served.push(refused);
        }
        took.sort_unstable();
        served.sort_unstable();
        assert!(took[50] <= windows && served[50] <= bad, "{p_s}: {} windows, {} refused", took[50], served[50]);
    }
}

#[test]
fn one_that_refuses_half_as_many_again_is_no_worse_and_one_that_refuses_three_times_as_many_is() {
    let mut random = Random(52);
    let fires = |random: &mut Random, p_c: f64, p_s: f64| {
        let mut gate = gate(p_s);
        (1..1_500).any(|k| {
            gate.window(&drawn(random, k, p_c, p_s));
            gate.fires()
        })
    };
    assert!((0..5).all(|_| !fires(&mut random, 0.03, 0.02)), "1.5 times: the floor");
    assert!((0..5).all(|_| fires(&mut random, 0.06, 0.02)), "three times");
    assert!((0..5).all(|_| !fires(&mut random, 0.001, 0.0)), "about nothing");
}

#[test]
fn one_that_is_as_good_passes_and_one_that_refuses_more_than_the_margin_does_not() {
    let mut random = Random(53);
    let passes = |random: &mut Random, p_c: f64| {
        let mut gate = gate(0.02);
        (1..600).any(|k| {
            gate.window(&drawn(random, k, p_c, 0.02));
            gate.passes(0.05)
        })
    };
    assert!((0..10).all(|_| passes(&mut random, 0.02)));
    assert!((0..10).all(|_| !passes(&mut random, 0.2)), "10 points is the margin at 5 %");
}

/// 30 000 requests a minute. Without the floor, five 404s in any of them would pause the ramp.
#[test]
fn a_trickle_beside_a_stable_that_refused_nobody_is_no_incident_and_a_wave_is() {
    let mut gate = RateGate::new(beside(), Tally::new(1_800_000, 0));
    for k in 1..100 {
        gate.window(&window(k, (25, 0), (2_475, 2)));
        assert!(!gate.guarded(), "24 of 29 700 in the last minute");
    }
    for k in 100..112 {
        gate.window(&window(k, (25, 0), (2_475, 50)));
    }
    assert!(gate.guarded(), "2 %");
    // Four are no incident, however few the requests.
    let mut gate = RateGate::new(beside(), Tally::new(1_800, 0));
    gate.window(&window(1, (0, 0), (4, 4)));
    assert!(!gate.guarded());
    gate.window(&window(2, (0, 0), (1, 1)));
    assert!(gate.guarded());
}

#[test]
fn the_floor_stands_where_a_limit_would() {
    let gate = gate(0.02);
    close(gate.floor(), 1.5 * gate.p_before());
    assert!(gate.least_failing().unwrap() > gate.floor());
    // The bake looks for what is over the floor.
    let mut bake = BakeGate::new(&gate);
    for k in 1..200 {
        bake.window(&window(k, (250, 7), (0, 0)));
    }
    assert!(!bake.over(), "2.8 %, under the floor of 3 %");
    let fresh = (1..10_000).find(|k| {
        bake.window(&window(200 + k, (250, 250), (0, 0)));
        bake.over()
    });
    assert!(fresh.unwrap() <= 2);
    // All of stable is refused, and so nobody can do worse.
    assert_eq!(RateGate::new(beside(), Tally::new(18_000, 17_900)).least_failing(), None);
}

#[test]
fn a_canary_that_ends_what_stable_refuses_everybody_for_passes_as_a_hot_fix() {
    let mut gate = gate(0.02);
    let passed = (1..100).find(|k| {
        gate.window(&window(*k, (13, 0), (237, 200)));
        gate.hot_fix_passes(0.25)
    });
    assert!(passed.is_some());
    assert!(gate.guarded(), "outside of the guard it could pass by itself");
}

#[test]
fn a_reload_after_any_window_changes_nothing() {
    let mut random = Random(54);
    for form in [Form::Switch, Form::Plain] {
        let mut kept = RateGate::new(RateConfig { form, phi: 1.5, ..beside() }, Tally::new(20_000, 100));
        let mut reloaded = kept.clone();
        for k in 1..150 {
            let window = drawn(&mut random, k, 0.1, 0.02);
            kept.window(&window);
            reloaded.window(&window);
            let mut bytes = Vec::new();
            reloaded.save(&mut bytes);
            for length in 0..bytes.len() {
                assert!(RateGate::load(&mut &bytes[..length]).is_none(), "{length}");
            }
            let mut rest = bytes.as_slice();
            reloaded = RateGate::load(&mut rest).unwrap();
            assert!(rest.is_empty());
            assert_eq!(reloaded, kept);
        }
        // A gate with an SLO is another kind of bytes: none is read for the other.
        let mut bytes = Vec::new();
        RateGate::new(RateConfig { form, ..config() }, Tally::new(20_000, 100)).save(&mut bytes);
        let lead = bytes[0];
        bytes.clear();
        kept.save(&mut bytes);
        assert_ne!(bytes[0], lead);
        bytes[0] = lead;
        assert!(RateGate::load(&mut bytes.as_slice()).is_none_or(|read| read != kept));
    }
}
