//! What the rule does on generated traffic, through the replay interface and nothing else.
#![allow(clippy::unwrap_used)]

use microapp_core::replay::Replay;
use microapp_tests::traffic::Rng;
use serde_json::{Value, json};

const RPS: f64 = 50.0;
const SCRAPE: f64 = 5.0;

fn rollout() -> Value {
    json!({
        "metadata": {"name": "kyc-helper", "namespace": "fintech"},
        "spec": {
            "replicas": 2,
            "template": {"spec": {"containers": [{"name": "app", "image": "app:2", "ports": [{"containerPort": 8080}]}]}},
            "model": {"provider": "openai", "name": "gpt-5-nano", "version": "2025-08-07"},
            "traffic": {"port": 8080, "gateway": {"parentRefs": [{"name": "public"}]}},
            "gates": [{"name": "errors", "errorRate": {"max": "1%"}}]
        }
    })
}

struct Run {
    action: String,
    seconds: f64,
    canary: [u64; 2],
}

/// One rollout on traffic of a seed: windows of 5 s until it ends, at most `limit` seconds.
fn run(seed: u64, stable: f64, canary: f64, limit: f64) -> Run {
    let mut rng = Rng::new(seed);
    let mut replay = Replay::new(&rollout()).unwrap();
    let hour = (RPS * 3600.0) as u64;
    let start = json!({"baseline": {"errors": [rng.binomial(hour, stable), hour]}, "seconds": 3600, "scrape": 5});
    assert!(replay.line(&start.to_string()).unwrap().is_none());
    let mut ask =
        |line: Value| -> Value { serde_json::from_str(&replay.line(&line.to_string()).unwrap().unwrap()).unwrap() };
    let mut answer = ask(json!({"t": 0, "gates": {}, "ready": true}));
    assert_eq!(answer["action"], "raise");
    let (mut t, mut seen) = (0.0, [0, 0]);
    while t < limit {
        t += SCRAPE;
        let weight = answer["weight"].as_f64().unwrap() / 100.0;
        let (n_canary, n_stable) = (rng.poisson(RPS * SCRAPE * weight), rng.poisson(RPS * SCRAPE * (1.0 - weight)));
        let (x_canary, x_stable) = (rng.binomial(n_canary, canary), rng.binomial(n_stable, stable));
        seen = [seen[0] + x_canary, seen[1] + n_canary];
        answer =
            ask(json!({"t": t, "gates": {"errors": {"canary": [x_canary, n_canary], "stable": [x_stable, n_stable]}}}));
        let action = answer["action"].as_str().unwrap().to_owned();
        if action == "promote" || action == "rollback" {
            return Run { action, seconds: t, canary: seen };
        }
    }
    Run { action: "undecided".to_owned(), seconds: t, canary: seen }
}

#[test]
fn a_version_without_a_difference_is_promoted_in_twenty_of_twenty_runs() {
    for seed in 1..=20 {
        let run = run(seed, 0.005, 0.005, 3600.0);
        assert_eq!(run.action, "promote", "seed {seed}: {} after {} s, {:?}", run.action, run.seconds, run.canary);
    }
}

#[test]
fn a_canary_that_fails_a_fifth_is_back_within_a_minute_in_the_median_of_21() {
    let mut runs: Vec<_> = (1..=21).map(|seed| run(seed, 0.005, 0.2, 3600.0)).collect();
    assert!(runs.iter().all(|run| run.action == "rollback"));
    runs.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    assert!(runs[10].seconds <= 60.0, "median {} s, {:?}", runs[10].seconds, runs[10].canary);
}

#[test]
fn the_same_lines_give_the_same_bytes() {
    let lines = [
        r#"{"baseline": {"errors": [900, 180000]}, "seconds": 3600, "scrape": 5}"#,
        r#"{"t": 0, "gates": {}, "ready": true}"#,
        r#"{"t": 5.0, "gates": {"errors": {"canary": [1, 3], "stable": [1, 247]}}}"#,
        r#"{"t": 10.50, "gates": {"errors": {"canary": [0, 2], "stable": [2, 250]}}}"#,
        r#"{"t": 15, "gates": {}}"#,
    ];
    let once = || -> Vec<_> {
        let mut replay = Replay::new(&rollout()).unwrap();
        lines.iter().map(|line| replay.line(line).unwrap()).collect()
    };
    assert_eq!(once(), once());
    assert!(
        once()[3].as_ref().unwrap().starts_with(r#"{"t":10.50,"action":"hold","weight":1,"step":0"#),
        "{:?}",
        once()[3]
    );
}
