//! Seeded simulations against measured figures, within three standard errors.

mod common;

use common::{Random, gate, window};
use microapp_stats::{BakeGate, Plain, RateGate, Switch, inc_absolute, inc_relative, ln_e_pass};

/// Share of hits, which must be within three standard errors of `want`.
#[track_caller]
fn share(hits: usize, runs: usize, want: f64) {
    let (got, error) = (hits as f64 / runs as f64, (want * (1.0 - want) / runs as f64).sqrt());
    assert!((got - want).abs() <= 3.0 * error, "{got} instead of {want}, standard error {error}");
}

/// Mean of the samples, which must be within three standard errors of `want`.
#[track_caller]
fn mean(samples: &[f64], want: f64) {
    let n = samples.len() as f64;
    let mean = samples.iter().sum::<f64>() / n;
    let error = (samples.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n / n).sqrt();
    assert!((mean - want).abs() <= 3.0 * error + 0.05, "{mean} instead of {want}, standard error {error}");
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

#[test]
fn false_alarms_under_continuous_looks_are_as_rare_as_measured() {
    for (p, per_look, want) in [(0.005, 2.0, 0.0046), (0.05, 5.0, 0.0039)] {
        let (mut random, mut hits) = (Random(20), 0);
        for _ in 0..250 {
            let mut process = Plain::default();
            hits += usize::from((0..2000).any(|_| {
                let n = random.poisson(per_look);
                let x = random.bad(n, p);
                process.step(&inc_absolute(n as f64, x as f64, p, 1.0)) >= 100.0_f64.ln()
            }));
        }
        share(hits, 250, want);
    }
}

#[test]
fn false_passes_at_the_boundary_are_as_rare_as_measured() {
    let (mut random, mut hits) = (Random(21), 0);
    for _ in 0..500 {
        let (mut n, mut x) = (0, 0);
        hits += usize::from((0..1000).any(|_| {
            let requests = random.poisson(7.5);
            n += requests;
            x += random.bad(requests, 0.105);
            ln_e_pass(n as f64, x as f64, 0.105, 1.0) >= 20.0_f64.ln()
        }));
    }
    share(hits, 500, 0.0379);
}

#[test]
fn requests_to_detect_are_as_few_as_measured() {
    for (p1, absolute, relative) in [(0.2, 12.7, 14.0), (0.5, 4.1, 4.6), (0.05, 91.4, 95.7)] {
        let mut random = Random(22);
        let runs = if p1 > 0.1 { 1000 } else { 300 };
        let (mut by_absolute, mut by_relative) = (Vec::new(), Vec::new());
        for _ in 0..runs {
            let mut process = Plain::default();
            let found = (1..100_000).find(|_| {
                let x = random.bad(1, p1) as f64;
                process.step(&inc_absolute(1.0, x, 0.005, 1.0)) >= 100.0_f64.ln()
            });
            by_absolute.push(f64::from(found.unwrap_or(i32::MAX)));
            let mut process = Plain::default();
            let found = (1..100_000).find(|_| {
                let (xc, xs) = (random.bad(1, p1) as f64, random.poisson(99.0 * 0.005) as f64);
                process.step(&inc_relative(1.0, xc, 99.0, xs, 1.0, 1.0)) >= 100.0_f64.ln()
            });
            by_relative.push(f64::from(found.unwrap_or(i32::MAX)));
        }
        mean(&by_absolute, absolute);
        mean(&by_relative, relative);
    }
}

#[test]
fn a_change_at_the_start_is_found_after_about_29_windows() {
    let mut random = Random(23);
    let found = (0..150).map(|_| {
        let mut process = Switch::default();
        let at = (1..1500).find(|_| {
            let n = random.poisson(7.5);
            let x = random.bad(n, 0.05);
            process.step(&inc_absolute(n as f64, x as f64, 0.01, 1.0)) >= 800.0_f64.ln()
        });
        f64::from(at.unwrap_or(i32::MAX))
    });
    let median = median(found.collect());
    assert!((24.0..=34.0).contains(&median), "{median}");
}

/// Seconds until the gate fires at 1 % of 50 requests/s, and the bad responses until then.
fn ramp(random: &mut Random, p_c: f64, p_s: f64) -> (f64, f64) {
    let (mut gate, mut bad) = (gate(), 0);
    for k in 1..400 {
        let (nc, ns) = (random.poisson(2.5), random.poisson(247.5));
        let xc = random.bad(nc, p_c);
        bad += xc;
        gate.window(&window(k, (nc, xc), (ns, random.bad(ns, p_s))));
        if gate.fires() {
            return (k as f64 * 5.0, bad as f64);
        }
    }
    (f64::INFINITY, bad as f64)
}

#[test]
fn a_whole_gate_finds_bad_canaries_as_fast_as_measured() {
    let mut random = Random(24);
    for (p_c, p_s, runs, seconds, bad) in [
        (1.0, 0.005, 100, 10.0..=10.0, 3.0..=5.0),
        (0.5, 0.005, 100, 15.0..=20.0, 3.0..=5.0),
        (0.2, 0.005, 60, 35.0..=55.0, 4.0..=6.0),
        (1.0, 0.05, 60, 20.0..=25.0, 10.0..=12.0),
    ] {
        let outcomes: Vec<_> = (0..runs).map(|_| ramp(&mut random, p_c, p_s)).collect();
        let took = median(outcomes.iter().map(|(seconds, _)| *seconds).collect());
        assert!(seconds.contains(&took), "{p_c} beside {p_s}: {took} s");
        let served = median(outcomes.iter().map(|(_, bad)| *bad).collect());
        assert!(bad.contains(&served), "{p_c} beside {p_s}: {served} bad");
    }
}

/// 5 s windows of 50 requests/s over 1/5/25 %; the minutes until the last step passed, `None` when it failed.
fn promotion(random: &mut Random, p: impl Fn(u64) -> f64) -> Option<f64> {
    let mut gate: RateGate = gate();
    let mut k = 0;
    for (weight, next) in [(0.01, 0.05), (0.05, 0.25), (0.25, 1.0)] {
        let mut calm = 0;
        loop {
            k += 1;
            let nc = random.poisson(250.0 * weight);
            let ns = random.poisson(250.0 * (1.0 - weight));
            gate.window(&window(k, (nc, random.bad(nc, p(k))), (ns, random.bad(ns, p(k)))));
            calm += u64::from(!gate.guarded());
            if gate.fires() || k > 1440 {
                return None;
            }
            if calm >= 12 && gate.passes(next) {
                break;
            }
        }
        gate.new_step();
    }
    Some(k as f64 / 12.0)
}

#[test]
fn a_canary_equal_to_stable_is_promoted_also_through_shared_incidents() {
    let mut random = Random(25);
    let minutes: Vec<_> = (0..10).map(|_| promotion(&mut random, |_| 0.005)).collect();
    assert!(minutes.iter().all(Option::is_some), "{minutes:?}");
    let median = median(minutes.into_iter().flatten().collect());
    assert!((4.5..=9.5).contains(&median), "{median} min");
    let shared = |k: u64| if (24..60).contains(&(k % 240)) { 0.1 } else { 0.005 };
    let minutes: Vec<_> = (0..5).map(|_| promotion(&mut random, shared)).collect();
    assert!(minutes.iter().all(Option::is_some), "{minutes:?}");
}

#[test]
fn a_shared_incident_in_the_bake_rolls_nobody_back() {
    let mut random = Random(26);
    let mut back = 0;
    for run in 0..10 {
        let p = |k: u64| if (24..60).contains(&((k + run * 24) % 240)) { 0.1 } else { 0.005 };
        let mut bake = BakeGate::new(&gate());
        for k in 1..360 {
            let weight = if bake.baking() { 1.0 } else { 0.25 };
            let (nc, ns) = (random.poisson(50.0 * weight), random.poisson(50.0 * (1.0 - weight)));
            bake.window(&window(k, (nc, random.bad(nc, p(k))), (ns, random.bad(ns, p(k)))));
            if bake.over() {
                back += 1;
                bake.step_back(k as f64 * 5.0);
            }
            assert!(!bake.fires());
        }
    }
    assert!(back >= 8, "without the step back {back} of 10 would have been rolled back");
}
