//! How long steps take.

mod common;

use common::config;
use microapp_stats::{PlannedGate, RateConfig, Tally, auto_tolerance, pass_requests, step_seconds};

const WEIGHTS: [f64; 4] = [0.01, 0.05, 0.25, 1.0];

fn planned(rate: f64, rps: f64) -> PlannedGate {
    let n = (3600.0 * rps).max(100.0 / rate).round();
    let slo = if rate > 0.01 { 0.05 } else { 0.01 };
    PlannedGate {
        config: RateConfig { slo, ..config() },
        baseline: Tally::new(n as u64, (n * rate).round() as u64),
        rps,
    }
}

#[test]
fn requests_to_pass_a_step_are_those_of_the_table() {
    for (delta, none, half_percent) in
        [(0.2, 17, 19), (0.1, 36, 41), (0.05, 70, 93), (0.02, 155, 307), (0.01, 260, 836), (0.005, 391, 2586)]
    {
        assert_eq!(pass_requests(0.005 + delta, 0.0, 0.05, 1.0), Some(none), "{delta}");
        assert_eq!(pass_requests(0.005 + delta, 0.005, 0.05, 1.0), Some(half_percent), "{delta}");
    }
}

#[test]
fn a_rate_out_of_reach_never_passes() {
    assert_eq!(pass_requests(0.01, 0.0085, 0.05, 1.0), None);
    assert_eq!(pass_requests(f64::NAN, 0.0, 0.05, 1.0), None);
}

#[test]
fn the_tolerance_is_the_smallest_that_fits() {
    let table = [
        (1.0, None, None),
        (2.0, Some(0.02), Some(0.05)),
        (5.0, Some(0.01), Some(0.01)),
        (10.0, Some(0.005), Some(0.01)),
        (50.0, Some(0.005), Some(0.005)),
        (500.0, Some(0.005), Some(0.005)),
    ];
    for (rps, errors, latency) in table {
        assert_eq!(auto_tolerance(&[planned(0.005, rps)], &WEIGHTS, 3600.0), errors, "errors at {rps} rps");
        assert_eq!(auto_tolerance(&[planned(0.04, rps)], &WEIGHTS, 3600.0), latency, "latency at {rps} rps");
    }
    let both = [planned(0.005, 10.0), planned(0.04, 10.0)];
    assert_eq!(auto_tolerance(&both, &WEIGHTS, 3600.0), Some(0.01));
}

#[test]
fn the_first_step_takes_half_an_hour_at_one_request_per_second_for_any_tolerance() {
    for (rps, minutes) in [(0.2, 158.0), (0.5, 63.0), (1.0, 32.0)] {
        let gate = planned(0.005, rps);
        for epsilon in [0.01, 0.1] {
            let gate = PlannedGate { config: RateConfig { epsilon, ..gate.config }, ..gate };
            let seconds = step_seconds(&gate, &WEIGHTS);
            assert_eq!(seconds.len(), 3);
            assert!((seconds[0] / 60.0 - minutes).abs() < 1.0, "{} instead of {minutes} min", seconds[0] / 60.0);
        }
    }
    assert!(step_seconds(&planned(0.04, 0.0), &WEIGHTS).iter().all(|seconds| seconds.is_infinite()));
}
