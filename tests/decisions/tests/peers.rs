//! Each rule does on a hand-made series what its documentation says.
#![allow(clippy::unwrap_used)]

use microapp_decisions::{
    cell::{Cell, bound},
    peers::{
        argo::{Argo, Empty},
        flagger::Flagger,
        kayenta::{Kayenta, is_high},
    },
    rule::{End, Rule},
    table::{SCENARIOS, SETTINGS},
    world::{Measure, Sample},
};

fn sample(bad: u64, n: u64) -> Sample {
    Sample { n, bad, started: 0, served: n, served_bad: bad }
}

/// Scrapes every 5 s; when it ended, and how.
fn drive(rule: &mut dyn Rule, series: impl Fn(f64) -> Option<[Sample; 2]>) -> (f64, End) {
    for tick in 1..5000 {
        let t = f64::from(tick) * 5.0;
        if let Some(end) = rule.scrape(t, series(t)) {
            return (t, end);
        }
    }
    panic!("it never ends");
}

const GOOD: Option<[Sample; 2]> = Some([Sample { n: 10, bad: 0, started: 0, served: 10, served_bad: 0 }; 2]);

const BAD: Option<[Sample; 2]> = Some([
    Sample { n: 10, bad: 10, started: 0, served: 10, served_bad: 10 },
    Sample { n: 10, bad: 0, started: 0, served: 10, served_bad: 0 },
]);

fn near(seen: (f64, End), seconds: f64, end: End) {
    assert!((seen.0 - seconds).abs() < 1e-9 && seen.1 == end, "{seen:?}, not {seconds} s and {end:?}");
}

#[test]
fn flagger_takes_one_interval_more_than_its_threshold() {
    for threshold in [1, 2, 5, 10] {
        let mut rule = Flagger::new(Measure::Errors, 10.0, threshold, 10.0, &[0.01, 0.05, 0.25]);
        near(drive(&mut rule, |_| BAD), f64::from(threshold + 1) * 10.0, End::RolledBack);
    }
}

#[test]
fn flagger_takes_one_good_value_per_step_and_no_value_for_a_failure() {
    let rule = || Flagger::new(Measure::Errors, 60.0, 5, 60.0, &[0.1, 0.2, 0.3, 0.4, 0.5]);
    let mut ramp = rule();
    near(drive(&mut ramp, |_| GOOD), 300.0, End::Promoted);
    near(drive(&mut rule(), |_| None), 360.0, End::RolledBack);
    near(drive(&mut rule(), |_| Some([Sample::default(); 2])), 360.0, End::RolledBack);
    let mut first = rule();
    assert!((first.weights()[0] - 0.1).abs() < 1e-9);
    assert!((1..=12).all(|tick| first.scrape(f64::from(tick) * 5.0, GOOD).is_none()));
    assert!((first.weights()[0] - 0.2).abs() < 1e-9);
}

#[test]
fn flaggers_failed_checks_add_up_and_are_never_forgotten() {
    let mut rule = Flagger::new(Measure::Errors, 10.0, 3, 10.0, &[0.1; 20]);
    // Bad in every fourth interval: the third failure is at 120 s, the rollback one interval later.
    let series = |t: f64| if ((t - 1.0) / 10.0) as u64 % 4 == 3 { BAD } else { GOOD };
    near(drive(&mut rule, series), 130.0, End::RolledBack);
}

#[test]
fn argo_needs_one_failure_more_than_its_limit() {
    let steps = [(0.2, 600.0), (0.4, 600.0)];
    for limit in [0, 3] {
        let mut rule = Argo::new(Measure::Errors, 60.0, limit, 60.0, &steps);
        near(drive(&mut rule, |_| BAD), f64::from(limit + 1) * 60.0, End::RolledBack);
    }
    let mut rule = Argo::new(Measure::Errors, 60.0, 3, 60.0, &steps);
    near(drive(&mut rule, |_| GOOD), 1200.0, End::Promoted);
    let mut late = Argo::new(Measure::Errors, 300.0, 3, 300.0, &steps).starting(600.0, Empty::Error);
    near(drive(&mut late, |_| BAD), 1200.0, End::Promoted);
}

#[test]
fn argos_background_analysis_sees_a_canary_that_fails_all_after_25_minutes() {
    let tens = [0.2, 0.4, 0.6, 0.8].map(|weight| (weight, 600.0));
    let mut rule = Argo::new(Measure::Errors, 300.0, 3, 300.0, &tens).starting(600.0, Empty::Error);
    near(drive(&mut rule, |_| BAD), 1500.0, End::RolledBack);
    assert!((rule.weights()[0] - 0.6).abs() < 1e-9, "60 % of the traffic by then");
}

#[test]
fn argos_fifth_error_in_a_row_aborts_after_forty_seconds() {
    let tens = [(0.2, 600.0)];
    let mut rule = Argo::new(Measure::Errors, 300.0, 3, 300.0, &tens).starting(60.0, Empty::Error);
    near(drive(&mut rule, |_| None), 100.0, End::RolledBack);
    let mut kind = Argo::new(Measure::Errors, 60.0, 0, 60.0, &tens);
    near(drive(&mut kind, |_| None), 600.0, End::Promoted);
}

#[test]
fn a_query_sees_its_range_and_nothing_older() {
    let mut rule = Argo::new(Measure::Errors, 60.0, 0, 60.0, &[(0.5, 600.0)]);
    // Bad for one minute from 61 s on: the measurement at 120 s has it.
    near(drive(&mut rule, |t| if t > 60.0 && t <= 120.0 { BAD } else { GOOD }), 120.0, End::RolledBack);
    let mut late = Argo::new(Measure::Errors, 60.0, 0, 60.0, &[(0.5, 600.0)]).starting(180.0, Empty::Error);
    near(drive(&mut late, |t| if t > 60.0 && t <= 120.0 { BAD } else { GOOD }), 600.0, End::Promoted);
}

#[test]
fn the_rank_test_sees_a_clear_shift_upwards_and_nothing_else() {
    let series = |from: u32| (from..from + 20).map(|i| f64::from(i) / 10.0).collect::<Vec<_>>();
    assert!(is_high(&series(11), &series(1)));
    assert!(!is_high(&series(1), &series(11)), "only an increase is bad");
    assert!(!is_high(&series(2), &series(1)), "a tenth of a spread of two is nothing");
    assert!(!is_high(&[0.0; 60], &[0.0; 60]), "all points equal");
    assert!(!is_high(&[1.0; 2], &[0.0; 2]), "too few points for 98 %");
}

#[test]
fn kayenta_judges_after_each_interval_and_passes_after_its_lifetime() {
    let noisy = |t: f64| t / 5.0 % 3.0;
    let rule = || Kayenta::new(Measure::Errors, 0.05, 5.0, 300.0, 900.0);
    let same = |t: f64| Some([sample(noisy(t) as u64, 10), sample(noisy(t + 5.0) as u64, 10)]);
    near(drive(&mut rule(), same), 900.0, End::Promoted);
    let worse = |t: f64| Some([sample(noisy(t) as u64 + 5, 10), sample(noisy(t) as u64, 10)]);
    near(drive(&mut rule(), worse), 300.0, End::RolledBack);
}

#[test]
fn the_same_seed_gives_the_same_cells_on_any_number_of_threads() {
    let scenario = SCENARIOS.iter().find(|scenario| scenario.name == "errors 1 → 20 %").unwrap();
    for setting in SETTINGS {
        let one = |threads| Cell::measure(setting, *scenario, 6, 3, threads).unwrap();
        assert_eq!(one(1), one(2), "{}", setting.name);
    }
    let ours = Cell::measure(SETTINGS[0], *scenario, 12, 1, 2).unwrap();
    assert_eq!(ours.share(End::RolledBack).hits, 12);
}

#[test]
fn the_bound_is_walds() {
    let scenario = SCENARIOS.iter().find(|scenario| scenario.name == "errors 1 → 100 %").unwrap();
    let (requests, bad) = bound(*scenario).unwrap();
    assert!((requests - 1.0).abs() < 1e-9 && (bad - 1.0).abs() < 1e-9, "ln 100 / ln 100");
    assert!(SCENARIOS.iter().any(|scenario| bound(*scenario).is_none()));
}
