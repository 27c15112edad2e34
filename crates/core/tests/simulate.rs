//! The generated traffic has the distributions that it claims, and the loop around the rule ends as it must.
#![allow(clippy::unwrap_used)]

use microapp_core::{
    replay::{Action, Replay, Tick},
    simulate::{self, End, Quantiles, Setup, interval, traffic::Rng},
};
use serde_json::{Value, json};

fn rollout(gates: &Value) -> Value {
    json!({
        "metadata": {"name": "kyc", "namespace": "fintech"},
        "spec": {
            "replicas": 2,
            "template": {"spec": {"containers": [{"name": "app", "image": "app:2"}]}},
            "model": {"provider": "openai", "name": "gpt-5-nano", "version": "2025-08-07"},
            "traffic": {"port": 8080, "gateway": {"parentRefs": [{"name": "public"}]}},
            "gates": gates
        }
    })
}

/// Pearson's χ² of what was drawn against the distribution, per degree of freedom; cells with five or more expected.
fn chi_square(draws: &[u64], mass: impl Fn(u64) -> f64) -> f64 {
    let (low, high) = (draws.iter().min().unwrap(), draws.iter().max().unwrap());
    let (mut sum, mut cells) = (0.0, 0);
    for k in *low..=*high {
        let expected = mass(k) * draws.len() as f64;
        if expected >= 5.0 {
            let seen = draws.iter().filter(|draw| **draw == k).count() as f64;
            sum += (seen - expected).powi(2) / expected;
            cells += 1;
        }
    }
    assert!(cells > 2, "{cells} cells");
    sum / f64::from(cells - 1)
}

fn ln_factorial(k: u64) -> f64 {
    (2..=k).map(|i| (i as f64).ln()).sum()
}

#[test]
fn poisson_counts_follow_poissons_law_on_both_sides_of_the_change_of_method() {
    for (seed, mean) in [(1, 0.3), (2, 9.9), (3, 10.1), (4, 37.5), (5, 240.0)] {
        let mut rng = Rng::new(seed);
        let draws: Vec<_> = (0..40_000).map(|_| rng.poisson(mean)).collect();
        let statistic = chi_square(&draws, |k| (k as f64 * mean.ln() - mean - ln_factorial(k)).exp());
        assert!((0.4..1.8).contains(&statistic), "mean {mean}: {statistic}");
    }
}

#[test]
fn binomial_counts_follow_the_binomial_law_on_both_sides_of_the_change_of_method() {
    for (seed, n, p) in [(1, 3, 0.2), (2, 250, 0.005), (3, 100, 0.11), (4, 4_000, 0.02), (5, 30, 0.9)] {
        let mut rng = Rng::new(seed);
        let draws: Vec<_> = (0..40_000).map(|_| rng.binomial(n, p)).collect();
        assert!(draws.iter().all(|k| *k <= n));
        let mass = |k: u64| {
            let ways = ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k);
            (ways + k as f64 * p.ln() + (n - k) as f64 * (1.0 - p).ln()).exp()
        };
        let statistic = chi_square(&draws, mass);
        assert!((0.3..2.2).contains(&statistic), "{n}, {p}: {statistic}");
    }
    let mut rng = Rng::new(6);
    assert_eq!([rng.binomial(9, 0.0), rng.binomial(9, 1.0), rng.binomial(0, 0.5)], [0, 9, 0]);
}

#[test]
fn gamma_numbers_have_their_mean_and_variance() {
    for (seed, shape) in [(1, 0.58), (2, 1.0), (3, 25.0)] {
        let mut rng = Rng::new(seed);
        let draws: Vec<_> = (0..100_000).map(|_| rng.gamma(shape)).collect();
        let mean = draws.iter().sum::<f64>() / 100_000.0;
        let variance = draws.iter().map(|draw| (draw - mean).powi(2)).sum::<f64>() / 100_000.0;
        assert!((mean / shape - 1.0).abs() < 0.02, "{shape}: mean {mean}");
        assert!((variance / shape - 1.0).abs() < 0.05, "{shape}: variance {variance}");
    }
}

#[test]
fn the_interval_of_clopper_and_pearson_has_the_values_of_their_tables() {
    let close = |(low, high): (f64, f64), want: (f64, f64)| {
        assert!((low - want.0).abs() < 5e-5 && (high - want.1).abs() < 5e-5, "{low} {high}, not {want:?}");
    };
    close(interval(0, 10, 0.95), (0.0, 0.30850));
    close(interval(1, 10, 0.95), (0.00253, 0.44502));
    close(interval(10, 10, 0.95), (0.69150, 1.0));
    close(interval(0, 0, 0.95), (0.0, 1.0));
    // One-sided 95 %: at most 4 of 1 000 is at most 1 %.
    assert!(interval(4, 1000, 0.9).1 < 0.01 && interval(5, 1000, 0.9).1 > 0.01);
}

#[test]
fn quantiles_are_the_nearest_rank() {
    let of = Quantiles::of((1..=20).map(f64::from));
    assert!((of.p50 - 10.0).abs() < 1e-9 && (of.p95 - 19.0).abs() < 1e-9, "{of:?}");
}

#[test]
fn a_late_gate_and_a_cost_gate_decide_in_the_loop_too() {
    let gates = json!([
        {"name": "errors", "errorRate": {"max": "1%"}},
        {"name": "cost", "tokenCost": {"maxIncrease": "10%"}},
        {"name": "grounded", "hallucination": {"max": "8%"}}
    ]);
    let rollout = rollout(&gates);
    let plan = Replay::new(&rollout).unwrap().strategy().clone();
    let healthy = Setup { verdict_after: 30.0, limit: 6.0 * 3600.0, ..Setup::healthy(&plan, 200.0, 5.0) };
    let same = simulate::run(&rollout, &healthy, 1, 0).unwrap();
    assert_eq!(same.end, End::Promoted, "{same:?}");
    let dear = Setup { canary: vec![0.005, 3e9, 0.04], ..healthy.clone() };
    let dear = simulate::run(&rollout, &dear, 1, 1).unwrap();
    assert_eq!((dear.end, dear.full), (End::RolledBack, None), "{dear:?}");
    let wrong = Setup { canary: vec![0.005, 1e9, 0.5], ..healthy };
    let wrong = simulate::run(&rollout, &wrong, 1, 2).unwrap();
    assert_eq!(wrong.end, End::RolledBack, "{wrong:?}");
    assert!(wrong.seconds >= 30.0 && wrong.bad[2] > 0, "no verdict comes before its delay: {wrong:?}");
}

#[test]
fn a_driver_without_text_gets_the_answers_of_the_lines() {
    let rollout = rollout(&json!([{"name": "errors", "errorRate": {"max": "1%"}}]));
    let (mut lines, mut ticks) = (Replay::new(&rollout).unwrap(), Replay::new(&rollout).unwrap());
    lines.line(r#"{"baseline": {"errors": [900, 180000]}, "seconds": 3600, "scrape": 5}"#).unwrap();
    let baseline = [("errors".to_owned(), microapp_core::counts::Side::count(900, 180_000))].into();
    ticks.begin(microapp_core::replay::Start { baseline, ..Default::default() });
    let mut over = 0;
    for window in 0..80 {
        let t = f64::from(window) * 5.0;
        let (text, gates) = if window == 0 {
            (json!({"t": t, "gates": {}}), std::collections::BTreeMap::new())
        } else {
            let (canary, stable) = ([u64::from(window % 4 == 0), 3], [1, 247]);
            let side = |[bad, total]: [u64; 2]| Some(microapp_core::counts::Side::count(bad, total));
            let sides = microapp_core::counts::Sides {
                canary: side(canary),
                stable: side(stable),
                near: [None, None],
                idle: 0,
            };
            let text = json!({"t": t, "gates": {"errors": {"canary": canary, "stable": stable}}});
            (text, [("errors".to_owned(), Ok(sides))].into())
        };
        let answer: Value = serde_json::from_str(&lines.line(&text.to_string()).unwrap().unwrap()).unwrap();
        let outcome = ticks.drive(&Tick { gates, ..Tick::at(t) }).unwrap();
        assert_eq!(answer["action"], json!(outcome.action), "{answer}");
        assert_eq!(answer["reason"], json!(outcome.reason), "{answer}");
        assert_eq!(answer["weight"].as_f64(), Some(outcome.weight), "{answer}");
        over += usize::from(outcome.action == Action::Rollback);
    }
    assert!(over > 1, "it was rolled back, and says so again");
    assert!(ticks.drive(&Tick::at(1.0)).is_err(), "time rises");
}
