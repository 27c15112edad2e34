//! What holds for any windows.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Random, close, config, gate, late_gate, window};
use microapp_stats::{BakeGate, Form, RateConfig, RateGate, RateWindow, Switch, Tally, inc_absolute, inc_relative};

fn any_window(random: &mut Random, k: u64) -> RateWindow {
    let canary = random.below(12);
    let stable = random.below(250);
    let bad = |random: &mut Random, n: u64| random.below(n / 4 + 1);
    let mut window = window(k, (canary, bad(random, canary)), (stable, bad(random, stable)));
    window.gap = random.below(20) == 0;
    window
}

#[test]
fn requests_that_may_be_probes_pass_nothing_and_hide_no_failure() {
    let (mut probed, mut served) = (gate(), gate());
    for k in 0..400 {
        // Nothing but probes, and nothing but users.
        probed.window(&RateWindow { idle: 3, ..window(k, (3, 0), (250, 1)) });
        served.window(&window(k, (3, 0), (250, 1)));
    }
    close(probed.ln_e_pass(0.05), 0.0);
    assert!(served.passes(0.25) && !probed.passes(0.25) && !probed.hot_fix_passes(0.25));
    for k in 400..440 {
        probed.window(&RateWindow { idle: 3, ..window(k, (3, 1), (250, 1)) });
        served.window(&window(k, (3, 1), (250, 1)));
    }
    assert!(probed.fires() && served.fires());
    close(probed.ln_e_fail(), served.ln_e_fail());
}

#[test]
fn evidence_is_one_without_data() {
    for mut gate in [gate(), late_gate()] {
        for k in 0..30 {
            gate.window(&window(k, (0, 0), (0, 0)));
        }
        let p = gate.processes();
        for ln_e in
            [p.slo.unwrap(), p.floor, p.any, p.rel1, p.rel15, p.rel3, gate.ln_e_pass(0.05), gate.ln_e_hot_fix(0.05)]
        {
            close(ln_e, 0.0);
        }
        assert!(!gate.fires() && !gate.passes(0.05) && !gate.guarded());
    }
}

#[test]
fn a_relative_process_waits_for_requests_of_both_sides() {
    let mut gate = gate();
    gate.window(&window(1, (5, 5), (0, 0)));
    close(gate.processes().rel1, 0.0);
    assert!(gate.processes().slo.unwrap() > 0.0);
    gate.window(&window(2, (0, 0), (200, 1)));
    close(gate.processes().rel1, 0.0);
}

#[test]
fn sums_of_increments_do_not_depend_on_how_windows_are_split() {
    for rho0 in [1.0, 1.5, 3.0] {
        let whole = inc_relative(40.0, 3.0, 960.0, 9.0, rho0, 1.0);
        let parts = [(10.0, 1.0, 240.0, 0.0), (20.0, 0.0, 480.0, 7.0), (10.0, 2.0, 240.0, 2.0)]
            .map(|(nc, xc, ns, xs)| inc_relative(nc, xc, ns, xs, rho0, 1.0));
        for (k, whole) in whole.iter().enumerate() {
            close(parts.iter().map(|part| part[k]).sum(), *whole);
        }
    }
    let whole = inc_absolute(40.0, 3.0, 0.01, 2.0);
    let parts = [(10.0, 1.0), (30.0, 2.0)].map(|(n, x)| inc_absolute(n, x, 0.01, 2.0));
    for (k, whole) in whole.iter().enumerate() {
        close(parts[0][k] + parts[1][k], *whole);
    }
}

#[test]
fn relative_evidence_never_falls_with_bad_ones_of_the_canary_nor_rises_with_those_of_stable() {
    let mut random = Random(7);
    for _ in 0..200 {
        let windows: Vec<_> = (1..20).map(|k| any_window(&mut random, k)).collect();
        let changed = random.below(windows.len() as u64) as usize;
        let run = |change: &dyn Fn(&mut RateWindow)| {
            let mut gate = gate();
            for (k, mut window) in windows.iter().copied().enumerate() {
                if k == changed {
                    change(&mut window);
                }
                gate.window(&window);
            }
            let p = gate.processes();
            [p.rel1, p.rel15, p.rel3]
        };
        let (as_is, canary_worse) = (run(&|_| {}), run(&|w| w.canary.fail = (w.canary.fail + 1).min(w.canary.n)));
        let stable_worse = run(&|w| w.stable.fail = (w.stable.fail + 1).min(w.stable.n));
        let neighbour = run(&|w| w.near = [Some(Tally::new(200, 150)), None]);
        for rule in 0..3 {
            assert!(canary_worse[rule] >= as_is[rule]);
            assert!(stable_worse[rule] <= as_is[rule]);
            assert!(neighbour[rule] <= as_is[rule]);
        }
    }
}

#[test]
fn one_bad_response_never_fires() {
    for k in [1, 50, 3000] {
        let mut gate = gate();
        for before in 1..k {
            gate.window(&window(before, (0, 0), (250, 1)));
        }
        gate.window(&window(k, (1, 1), (249, 0)));
        assert!(!gate.fires());
        assert!(gate.ln_e_fail() < 25.0_f64.ln());
    }
}

#[test]
fn a_hundred_bad_of_a_hundred_stays_finite() {
    let mut process = Switch::default();
    for _ in 0..100 {
        process.step(&inc_absolute(1.0, 1.0, 0.005, 1.0));
    }
    let ln_e = process.ln_e();
    assert!((450.0..470.0).contains(&ln_e), "{ln_e}");
}

#[test]
fn a_new_step_forgets_pass_evidence_and_keeps_fail_evidence() {
    let mut gate = gate();
    gate.window(&window(1, (50, 2), (200, 1)));
    gate.window(&window(2, (0, 0), (200, 1)));
    let before = gate.processes();
    gate.new_step();
    assert_eq!(gate.processes(), before);
    close(gate.ln_e_pass(0.25), 0.0);
    close(gate.ln_e_hot_fix(0.25), 0.0);
    assert_eq!(gate.step_totals(), (Tally::default(), Tally::default()));
    assert_eq!(gate.totals(), (Tally::new(50, 2), Tally::new(400, 2)));
    // Stable's window of the old weight must not be paired with a canary window of the new one.
    gate.window(&window(3, (10, 1), (0, 0)));
    close(gate.processes().rel1, before.rel1);
}

#[test]
fn guarded_windows_count_for_totals_but_not_for_pass_or_baseline() {
    let mut gate = gate();
    gate.window(&window(1, (10, 0), (240, 60)));
    assert!(gate.guarded());
    close(gate.ln_e_pass(0.05), 0.0);
    close(gate.p_hat(), gate.p_before());
    close(gate.processes().slo.unwrap(), 0.0);
    assert!(gate.processes().any < 0.0);
    assert_eq!(gate.step_totals(), (Tally::new(10, 0), Tally::new(240, 60)));
    // It looks at the last minute by time.
    gate.window(&window(12, (10, 0), (240, 0)));
    assert!(gate.guarded());
    gate.window(&window(13, (10, 0), (240, 0)));
    assert!(!gate.guarded());
}

/// Back from 100 %: until the gateway follows, the canary still answers everybody and stable nobody, so that an incident
/// of both shows at the canary alone.
#[test]
fn what_the_canary_answers_alone_passes_nothing_and_stands_in_no_ones_way() {
    let alone = |k, bad| RateWindow { alone: true, ..window(k, (500, bad), (0, 0)) };
    let mut gate = self::gate();
    gate.new_step();
    gate.window(&alone(1, 500));
    gate.window(&alone(2, 500));
    assert!(
        !gate.guarded() && gate.processes().slo.unwrap() > 0.0,
        "no incident of stable's yet, and it is not forgotten"
    );
    close(gate.ln_e_pass(1.0), 0.0);
    gate.window(&window(3, (100, 100), (400, 400)));
    assert!(gate.guarded());
    let good = (4..40).map(|k| window(k, (100, 0), (400, 2)));
    for window in good {
        gate.window(&window);
    }
    assert!(!gate.guarded() && gate.passes(1.0), "{} of {}", gate.ln_e_pass(1.0), gate.pass_threshold());
    let mut good = self::gate();
    good.new_step();
    for k in 1..40 {
        good.window(&alone(k, 0));
    }
    close(good.ln_e_pass(1.0), 0.0);
}

/// Stable's pods hang and answer nobody: a canary that is good all the same is not kept from its users.
#[test]
fn a_good_canary_beside_a_stable_that_answers_nobody_passes() {
    let mut gate = self::gate();
    gate.new_step();
    for k in 1..40 {
        gate.window(&window(k, (500, 0), (0, 0)));
    }
    assert!(gate.passes(0.5), "{} of {}", gate.ln_e_pass(0.5), gate.pass_threshold());
}

#[test]
fn a_threshold_between_two_bounds_counts_low_for_fail_and_high_for_pass() {
    let between = Tally { n: 100, fail: 2, pass: 9 };
    let mut gate = RateGate::new(RateConfig { slo: Some(0.05), ..config() }, Tally { n: 18_000, fail: 300, pass: 720 });
    let (mut low, mut high) = (gate.clone(), gate.clone());
    let stable = Tally { n: 900, fail: 15, pass: 36 };
    let with = |canary| RateWindow { t: 5.0, dt: 5.0, canary, stable, ..RateWindow::default() };
    gate.window(&with(between));
    low.window(&with(Tally::new(100, 2)));
    high.window(&with(Tally::new(100, 9)));
    assert_eq!(gate.processes(), low.processes());
    close(gate.ln_e_pass(0.25), high.ln_e_pass(0.25));
    close(gate.ln_e_hot_fix(0.25), high.ln_e_hot_fix(0.25));
    assert!(gate.p_hat() < gate.p_hat_pass());
}

#[test]
fn too_little_baseline_is_refused() {
    assert!(RateGate::new(config(), Tally::new(300, 12)).refused(1.0));
    assert!(!RateGate::new(config(), Tally::new(18_000, 720)).refused(1.0));
}

#[test]
fn a_reload_after_any_window_changes_nothing() {
    let mut random = Random(11);
    for run in 0..60 {
        let form = if run % 2 == 0 { Form::Switch } else { Form::Plain };
        let seconds = [0.5, 1.0, 4.9, 5.0, 15.0, 90.0][run % 6];
        let mut kept = RateGate::new(RateConfig { form, phi: 1.5, ..config() }, Tally::new(20_000, 100));
        let mut reloaded = kept.clone();
        let mut longest = 0;
        for k in 1..150 {
            let mut window = any_window(&mut random, k);
            (window.t, window.dt) = (1.7e9 + k as f64 * seconds, seconds);
            window.pending = if form == Form::Plain { random.below(9) } else { 0 };
            if random.below(5) == 0 {
                window.near = [Some(Tally::new(100, random.below(100))), None];
            }
            if random.below(40) == 0 {
                kept.new_step();
                reloaded.new_step();
            }
            kept.window(&window);
            reloaded.window(&window);
            let mut bytes = Vec::new();
            reloaded.save(&mut bytes);
            longest = longest.max(bytes.len());
            let mut rest = bytes.as_slice();
            reloaded = RateGate::load(&mut rest).unwrap();
            assert!(rest.is_empty());
            assert_eq!(reloaded, kept);
        }
        assert!(longest <= 1024, "{longest} bytes at {seconds} s");
    }
}

#[test]
fn a_bake_goes_on_after_a_reload() {
    let mut random = Random(13);
    for mut kept in [BakeGate::new(&gate()), BakeGate::new(&late_gate())] {
        for k in 1..200 {
            match k {
                60 => kept.step_back(300.0),
                140 => kept.resume(),
                _ => {}
            }
            let mut bytes = vec![];
            kept.save(&mut bytes);
            let mut reloaded = BakeGate::load(&mut bytes.as_slice()).unwrap();
            let window = any_window(&mut random, k);
            kept.window(&window);
            reloaded.window(&window);
            assert_eq!(reloaded, kept);
        }
    }
}

#[test]
fn bytes_that_are_no_gate_are_refused_and_left_where_they_are() {
    let mut gate = gate();
    gate.window(&window(1, (10, 1), (240, 2)));
    let mut bytes = Vec::new();
    gate.save(&mut bytes);
    for length in 0..bytes.len() {
        let mut cut = &bytes[..length];
        assert!(RateGate::load(&mut cut).is_none(), "{length}");
        assert_eq!(cut.len(), length);
    }
    assert!(BakeGate::load(&mut bytes.as_slice()).is_none());
    bytes[0] ^= 0x80;
    assert!(RateGate::load(&mut bytes.as_slice()).is_none());
}

#[test]
fn gates_saved_one_after_another_come_back_in_that_order() {
    let (rate, bake) = (late_gate(), BakeGate::new(&gate()));
    let mut bytes = Vec::new();
    rate.save(&mut bytes);
    bake.save(&mut bytes);
    let mut rest = bytes.as_slice();
    assert_eq!(RateGate::load(&mut rest), Some(rate));
    assert_eq!(BakeGate::load(&mut rest), Some(bake));
    assert!(rest.is_empty());
}

/// `stand` reckons each part once, and `fires` looks before it reckons: neither says anything else.
#[test]
fn what_is_reckoned_once_is_what_each_question_says() {
    let mut random = Random(5);
    let (mut fired, mut passed) = (0, 0);
    for run in 0..40 {
        let mut gate = if run % 2 == 0 { gate() } else { late_gate() };
        for k in 0..200 {
            let mut window = any_window(&mut random, k);
            // Of six: two as they come, two without fault, so that some pass, and two of a bad canary, so that some fire.
            if run % 6 > 1 {
                (window.stable.fail, window.stable.pass) = (0, 0);
            }
            if run % 6 == 2 || run % 6 == 3 {
                (window.canary.fail, window.canary.pass) = (0, 0);
            }
            gate.window(&window);
            let stand = gate.stand(0.05);
            assert_eq!(stand.ln_fail.to_bits(), gate.ln_e_fail().to_bits());
            assert_eq!(stand.ln_pass.to_bits(), gate.ln_e_pass(0.05).to_bits());
            assert_eq!((stand.fires, stand.fires), (gate.fires(), gate.ln_e_fail() >= gate.threshold()));
            assert_eq!((stand.passes, stand.hot_fix), (gate.passes(0.05), gate.hot_fix_passes(0.05)));
            assert_eq!(stand.hot_fix, gate.ln_e_hot_fix(0.05) >= gate.pass_threshold());
            assert_eq!(stand.rule, gate.processes().rule());
            fired += u32::from(stand.fires);
            passed += u32::from(stand.passes);
        }
    }
    assert!(fired > 100 && passed > 100, "{fired} {passed}");
}
