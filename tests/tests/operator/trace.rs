//! What the operator records of an attempt, run again: every decision comes out the same, byte for byte.

use std::time::Duration;

use microapp_cli::trace;
use microapp_core::trace::Rerun;
use microapp_testkit::{Match, Profile, build};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::stage::{NAME, NS, Stage, image, short};

/// The lines of a version's trace, as `why --trace` prints them.
fn lines(stage: &Stage, version: u32) -> Vec<String> {
    let name = format!("{NAME}-{}-trace", stage.revision(version));
    let config_map = stage.server.get("configmaps", NS, &name).unwrap_or_else(|| panic!("no {name}\n{stage:?}"));
    trace::lines(&serde_json::from_value(config_map).unwrap()).unwrap()
}

/// Runs all of them; returns the answers.
fn rerun(lines: &[String]) -> Vec<Value> {
    let mut rerun = Rerun::default();
    let one = |line: &String| {
        let replayed = rerun.line(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_eq!(replayed.difference, None, "{line}");
        serde_json::from_str(&replayed.answer).unwrap()
    };
    lines.iter().map(one).collect()
}

fn actions(answers: &[Value]) -> Vec<(String, f64)> {
    let all = answers
        .iter()
        .map(|answer| (answer["action"].as_str().unwrap().to_owned(), answer["weight"].as_f64().unwrap()));
    let mut acted: Vec<_> = all.filter(|(action, _)| action != "hold").collect();
    acted.dedup();
    acted
}

fn acted(expected: &[(&str, f64)]) -> Vec<(String, f64)> {
    expected.iter().map(|(action, weight)| ((*action).to_owned(), *weight)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_promotion_runs_again_decision_by_decision() {
    let stage = Stage::stable(short(), 100.0).await;
    stage.upgrade(2);
    stage.until("the second revision is stable", |stage| stage.reads("Ready", "True", "Promoted")).await;
    sleep(Duration::from_secs(30)).await;
    let lines = lines(&stage, 2);
    let answers = rerun(&lines);
    let expected = acted(&[("raise", 1.0), ("raise", 25.0), ("raise", 100.0), ("promote", 100.0)]);
    assert_eq!(actions(&answers), expected);
    assert!(lines.iter().any(|line| line.contains("\"errors\":{\"canary\":[")), "counts stand in a replay's form, too");
    let named = ["registry.local/", "containers", "MODEL_BASE_URL", "You answer"];
    let template = lines.iter().filter(|line| named[1..].iter().any(|word| line.contains(word))).count();
    assert_eq!(template, 0, "templates and prompts are no inputs of a decision");
    let size = lines.iter().map(String::len).sum::<usize>();
    assert!(lines.len() < 600, "{} lines of {size} bytes", lines.len());
}

#[tokio::test(start_paused = true)]
async fn a_breach_and_the_retry_after_it_run_again_and_a_changed_count_is_found() {
    let stage = Stage::stable(short(), 100.0).await;
    stage.profile(2, Profile { error_rate: 0.5, ..Profile::default() });
    stage.upgrade(2);
    stage.until("it is reverted", |stage| stage.reads("Stalled", "True", "GateFailed")).await;
    let recorded = lines(&stage, 2);
    let answers = rerun(&recorded);
    assert_eq!(actions(&answers).last(), Some(&("rollback".to_owned(), 0.0)));
    let breach = answers.iter().position(|answer| answer["action"] == "rollback").unwrap();
    assert_eq!(answers[breach]["reason"], "GateFailed");

    let forged: Vec<String> = recorded
        .iter()
        .map(|line| {
            let mut line: Value = serde_json::from_str(line).unwrap();
            if let Some(windows) = line.pointer_mut("/pass/counts/Windows/0").and_then(Value::as_array_mut) {
                for window in windows {
                    if let Some(canary) = window.pointer_mut("/gates/errors/Ok/canary") {
                        (canary["above"], canary["below"]) = (json!(0), json!(0));
                    }
                }
            }
            line.to_string()
        })
        .collect();
    let mut rerun_forged = Rerun::default();
    let differs = forged.iter().any(|line| rerun_forged.line(line).unwrap().difference.is_some());
    assert!(differs, "a trace whose counts were changed gives other decisions");

    stage.profile(2, Profile::default());
    stage.command("retry", &format!("{}:1 once more", stage.revision(2)));
    stage.until("it is stable at last", |stage| stage.reads("Ready", "True", "Promoted")).await;
    sleep(Duration::from_secs(30)).await;
    let answers = rerun(&lines(&stage, 2));
    assert_eq!(actions(&answers).last(), Some(&("promote".to_owned(), 100.0)));
}

/// The process that leads is gone; the other one takes over.
async fn die(stage: &Stage) {
    stage.server.crash(Match::any().agent("operator-1"), 1, false);
    stage.server.wait_crashed().await;
}

#[tokio::test(start_paused = true)]
async fn whoever_takes_over_begins_where_status_says_and_records_from_there() {
    let mut stage = Stage::stable(short(), 100.0).await;
    stage.start();
    stage.upgrade(2);
    stage.until("the first step", |stage| stage.weights() == [99, 1]).await;
    sleep(Duration::from_secs(20)).await;
    die(&stage).await;
    stage.until("the second revision is stable", |stage| stage.reads("Ready", "True", "Promoted")).await;
    sleep(Duration::from_secs(30)).await;
    let lines = lines(&stage, 2);
    assert!(lines[0].contains("\"from\":\"nothing\"") && lines[0].contains("\"step\":0"), "{}", lines[0]);
    let expected = acted(&[("raise", 25.0), ("raise", 100.0), ("promote", 100.0)]);
    assert_eq!(actions(&rerun(&lines)), expected);
}

#[tokio::test(start_paused = true)]
async fn the_trace_of_another_process_is_kept_beside_the_own_one() {
    let mut stage = Stage::stable(short(), 100.0).await;
    stage.start();
    stage.profile(2, Profile { error_rate: 0.5, ..Profile::default() });
    stage.upgrade(2);
    stage.until("it is reverted", |stage| stage.reads("Stalled", "True", "GateFailed")).await;
    sleep(Duration::from_secs(30)).await;
    die(&stage).await;
    stage.profile(2, Profile::default());
    stage.command("retry", &format!("{}:1 once more", stage.revision(2)));
    stage.until("it is stable at last", |stage| stage.reads("Ready", "True", "Promoted")).await;
    sleep(Duration::from_secs(30)).await;
    let lines = lines(&stage, 2);
    let begins = lines.iter().filter(|line| line.contains("\"from\":\"nothing\"")).count();
    assert_eq!(begins, 2, "two processes wrote it");
    let acted = actions(&rerun(&lines));
    assert!(acted.contains(&("rollback".to_owned(), 0.0)), "{acted:?}");
    assert_eq!(acted.last(), Some(&("promote".to_owned(), 100.0)));
}

#[tokio::test(start_paused = true)]
async fn a_trace_of_many_hours_stays_within_its_bound_and_its_rest_runs_again() {
    let gates = json!([
        {"name": "errors", "errorRate": {"max": "1%"}},
        {"name": "latency", "latency": {"quantile": "0.95", "max": "2.56s"}},
        {"name": "cost", "tokenCost": {"maxIncrease": "10%"}},
        {"name": "grounded", "hallucination": {"max": "4%"}},
    ]);
    let steps =
        json!({"steps": [{"weight": 10, "dwell": "6h"}, {"weight": 100, "dwell": "60s"}], "maxStepDuration": "48h"});
    let rollout = build::rollout(NS, NAME, &image(1)).set("/spec/strategy", steps);
    let stage = Stage::stable(rollout.gates(gates), 5.0).await;
    stage.upgrade(2);
    stage.until("the first step", |stage| stage.weights() == [90, 10]).await;
    sleep(Duration::from_secs(5 * 3600)).await;
    stage.command("abort", "1 enough");
    stage.until("it is reverted", |stage| stage.reads("Stalled", "True", "Command")).await;
    sleep(Duration::from_secs(30)).await;
    let name = format!("{NAME}-{}-trace", stage.revision(2));
    let config_map = stage.server.get("configmaps", NS, &name).unwrap();
    let size = config_map["binaryData"].to_string().len();
    assert!(size <= 256 * 1024 * 4 / 3 + 100, "{size} characters of base64");
    let lines = lines(&stage, 2);
    assert!(lines[0].contains("\"from\":{\"evidence\":"), "the beginning is gone: {}", &lines[0][..300]);
    let answers = rerun(&lines);
    assert_eq!(actions(&answers).last(), Some(&("rollback".to_owned(), 0.0)));
}
