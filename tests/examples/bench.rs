//! The figures that need no cluster, one JSON object a line: decisions on generated traffic, and what they cost.

use std::time::Instant;

use microapp_core::replay::Replay;
use microapp_tests::traffic::Rng;
use serde_json::{Value, json};

const RPS: f64 = 50.0;

fn rollout(gates: &Value) -> Value {
    json!({
        "metadata": {"name": "bench"},
        "spec": {
            "replicas": 2,
            "template": {"spec": {"containers": [{"name": "app", "image": "app:2"}]}},
            "model": {"provider": "openai", "name": "gpt-5-nano", "version": "2025-08-07"},
            "traffic": {"port": 8080, "gateway": {"parentRefs": [{"name": "public"}]}},
            "gates": gates
        }
    })
}

/// One closed loop: how it ended, after how many seconds, and how many bad responses the canary gave.
fn run(seed: u64, canary: f64) -> Result<(String, f64, u64, u64), String> {
    let mut rng = Rng::new(seed);
    let mut replay = Replay::new(&rollout(&json!([{"name": "errors", "errorRate": {"max": "1%"}}])))
        .map_err(|why| why.to_string())?;
    let hour = (RPS * 3600.0) as u64;
    let mut say = |line: Value| replay.line(&line.to_string()).map_err(|why| why.to_string());
    say(json!({"baseline": {"errors": [rng.binomial(hour, 0.005), hour]}, "seconds": 3600, "scrape": 5}))?;
    let mut answer = say(json!({"t": 0, "gates": {}}))?.unwrap_or_default();
    let (mut t, mut bad, mut lines) = (0.0, 0, 0);
    while t < 7200.0 {
        t += 5.0;
        lines += 1;
        let parsed: Value = serde_json::from_str(&answer).map_err(|why| why.to_string())?;
        let weight = parsed["weight"].as_f64().unwrap_or_default() / 100.0;
        let (nc, ns) = (rng.poisson(RPS * 5.0 * weight), rng.poisson(RPS * 5.0 * (1.0 - weight)));
        let (xc, xs) = (rng.binomial(nc, canary), rng.binomial(ns, 0.005));
        bad += xc;
        let line = json!({"t": t, "gates": {"errors": {"canary": [xc, nc], "stable": [xs, ns]}}});
        answer = say(line)?.unwrap_or_default();
        for action in ["promote", "rollback"] {
            if answer.contains(&format!("\"action\":\"{action}\"")) {
                return Ok((action.to_owned(), t, bad, lines));
            }
        }
    }
    Ok(("undecided".to_owned(), t, bad, lines))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn say(name: &str, value: f64, unit: &str, n: usize) {
    println!("{}", json!({"name": name, "value": value, "unit": unit, "n": n}));
}

fn main() -> Result<(), String> {
    let same = (1..=20).map(|seed| run(seed, 0.005)).collect::<Result<Vec<_>, _>>()?;
    let promoted: Vec<_> = same.iter().filter(|run| run.0 == "promote" && run.1 <= 3600.0).map(|run| run.1).collect();
    say("replay.no_difference.promoted_in_an_hour", promoted.len() as f64, "runs", same.len());
    say("replay.no_difference.time_to_promotion.median", median(promoted), "s", same.len());
    for share in [1.0, 0.5, 0.2, 0.05] {
        let runs = (1..=21).map(|seed| run(seed, share)).collect::<Result<Vec<_>, _>>()?;
        let name = format!("replay.canary_fails_{}_percent", share * 100.0);
        say(&format!("{name}.rolled_back"), runs.iter().filter(|run| run.0 == "rollback").count() as f64, "runs", 21);
        say(&format!("{name}.time.median"), median(runs.iter().map(|run| run.1).collect()), "s", 21);
        say(
            &format!("{name}.bad_responses.median"),
            median(runs.iter().map(|run| run.2 as f64).collect()),
            "responses",
            21,
        );
    }
    let start = Instant::now();
    let lines: u64 = (1..=40).map(|seed| run(seed, 0.005).map(|run| run.3)).sum::<Result<u64, _>>()?;
    let micros = start.elapsed().as_secs_f64() * 1e6 / lines as f64;
    say("replay.line", micros, "µs", usize::try_from(lines).unwrap_or(0));
    Ok(())
}
