//! Gates beside the preset's four: what each of them does to a rollout.

use std::time::Duration;

use microapp_testkit::{Profile, build};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    hostile::{metrics, series},
    invariants,
    stage::{NAME, NS, Stage, image},
};

async fn release(gates: Value, canary: Profile) -> Stage {
    let steps = json!({"steps": [
        {"weight": 5, "dwell": "30s"}, {"weight": 25, "dwell": "30s"}, {"weight": 100, "dwell": "60s"}
    ]});
    let rollout = build::rollout(NS, NAME, &image(1)).set("/spec/strategy", steps);
    let stage = Stage::stable(rollout.gates(gates), 100.0).await;
    stage.profile(2, canary);
    // The raise comes between two scrapes, not a moment after one: that one would be lost to every comparison.
    sleep(Duration::from_millis(1_500)).await;
    stage.upgrade(2);
    stage
}

async fn is_reverted_by(stage: &Stage, gate: &str) {
    stage.until("the bad revision is reverted", |stage| stage.reads("Stalled", "True", "GateFailed")).await;
    let aborted = stage.aborted();
    assert_eq!((&aborted["gate"], &aborted["cause"]), (&json!(gate), &json!("GateFailed")), "{aborted}");
    invariants::hold(stage, &[5.0, 25.0, 100.0], false);
}

#[tokio::test(start_paused = true)]
async fn a_good_revision_passes_guards_caps_sets_and_its_own_counters() {
    let requests = "gen_ai_client_operation_duration_seconds_count";
    let gates = json!([
        {"name": "errors", "errorRate": {"max": "1%"}},
        {"name": "tokens", "tokensPerRequest": {"maxPerRequest": 4000}},
        {"name": "budget", "tokenBudget": {"max": "100"}},
        {"name": "model", "modelIdentity": {}},
        {"name": "share", "shareCheck": {}},
        {"name": "quota", "throttling": {"max": "5%"}},
        {"name": "own", "ratio": {
            "bad": format!("{requests}{{error_type!=\"\"}}"), "total": requests, "max": "1%"
        }},
    ]);
    let stage = release(gates, Profile::default()).await;
    stage.until("it is promoted", |stage| stage.reads("Ready", "True", "Promoted")).await;
    invariants::hold(&stage, &[5.0, 25.0, 100.0], false);
}

/// The calls to its model are as good as before.
#[tokio::test(start_paused = true)]
async fn a_revision_that_answers_401_to_everybody_is_reverted_at_the_first_step() {
    let gates = json!([
        {"name": "errors", "errorRate": {"max": "1%"}},
        {"name": "refused", "clientErrors": {}, "telemetry": "envoy"},
    ]);
    let locked = Profile { refused: 1.0, ..Profile::default() };
    let stage = release(gates, locked).await;
    is_reverted_by(&stage, "refused").await;
    let message = stage.aborted()["message"].as_str().unwrap_or_default().to_owned();
    assert!(message.starts_with("gate refused fails at 5%: canary "), "{message}");
    // 25 a window, of which each is worth a nat or two.
    let served = stage.aborted()["canary"][0].as_u64().unwrap();
    assert!((5..60).contains(&served), "the first windows: {served}");
}

#[tokio::test(start_paused = true)]
async fn a_revision_that_refuses_nobody_is_promoted_beside_one_that_refuses_nobody() {
    let gates = json!([{"name": "refused", "clientErrors": {}, "telemetry": "envoy"}]);
    let stage = release(gates, Profile::default()).await;
    stage.until("it is promoted", |stage| stage.reads("Ready", "True", "Promoted")).await;
    invariants::hold(&stage, &[5.0, 25.0, 100.0], false);
}

#[tokio::test(start_paused = true)]
async fn a_revision_that_needs_more_tokens_is_reverted() {
    let gates = json!([
        {"name": "errors", "errorRate": {"max": "1%"}},
        {"name": "tokens", "tokensPerRequest": {"maxIncrease": "10%"}},
    ]);
    let wordy = Profile { input_tokens: 1_600.0, output_tokens: 400.0, ..Profile::default() };
    is_reverted_by(&release(gates, wordy).await, "tokens").await;
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_is_spent_puts_all_traffic_back_and_says_what_was_spent() {
    let gates = json!([
        {"name": "errors", "errorRate": {"max": "1%"}},
        {"name": "budget", "tokenBudget": {"max": "0.02"}},
    ]);
    let stage = release(gates, Profile::default()).await;
    is_reverted_by(&stage, "budget").await;
    let message = stage.aborted()["message"].as_str().unwrap_or_default().to_owned();
    assert!(message.contains("of 0.02 USD spent"), "{message}");
    // I20: what the route still let through is never above the budget.
    let spent: f64 = message.split_once(": ").unwrap().1.split(' ').next().unwrap().parse().unwrap();
    assert!(spent <= 0.02, "{message}");
}

#[tokio::test(start_paused = true)]
async fn where_another_model_answers_nothing_is_raised_until_a_person_acts() {
    let gates = json!([
        {"name": "errors", "errorRate": {"max": "1%"}},
        {"name": "model", "modelIdentity": {}},
    ]);
    let fallback = Profile { response_model: Some("gpt-4o-mini-2024-07-18".to_owned()), ..Profile::default() };
    let stage = release(gates, fallback).await;
    stage.until("the comparison is void", |stage| stage.reads("Reconciling", "True", "ComparisonVoid")).await;
    tokio::time::sleep(std::time::Duration::from_secs(600)).await;
    assert_eq!(stage.weights(), [95, 5], "{stage:?}");
    assert!(stage.reads("Reconciling", "True", "ComparisonVoid"), "{stage:?}");
}

#[tokio::test(start_paused = true)]
async fn what_only_advises_is_said_and_keeps_nobody() {
    let gates = json!([
        {"name": "errors", "errorRate": {"max": "1%"}},
        {"name": "quota", "throttling": {"max": "5%"}},
    ]);
    let throttled = Profile { error_rate: 0.3, error_type: "429".to_owned(), ..Profile::default() };
    let stage = release(gates, throttled).await;
    stage
        .until("it has all traffic, and the gate is said to advise", |stage| {
            let object = stage.rollout();
            let gates = object["status"]["gates"].as_array().cloned().unwrap_or_default();
            let said = gates.iter().any(|gate| {
                gate["name"] == "quota"
                    && gate["verdict"] == "Fail"
                    && gate["message"].as_str().is_some_and(|text| text.starts_with("only advises"))
            });
            said && stage.weights() == [0, 100]
        })
        .await;
    // What deploy/alerts page for: the label keeps it out of each of them.
    let seen = metrics(&stage, 0);
    let fails = |advisory| series(&seen, "microapp_gate_verdict", &["gate=\"quota\"", "verdict=\"fail\"", advisory]);
    assert_eq!((fails("advisory=\"true\""), fails("advisory=\"false\"")), (Some(1.0), None), "{seen}");
    assert_eq!(series(&seen, "microapp_rollback_blocked", &[NAME]), None, "{seen}");
    stage.until("it is promoted", |stage| stage.reads("Ready", "True", "Promoted")).await;
}

/// Slow for its first seconds, as everything that loads lazily: it is not rejected for that, and for more it is.
#[tokio::test(start_paused = true)]
async fn a_canary_that_is_slow_while_it_warms_up_is_promoted_and_one_that_stays_slow_is_not() {
    let gates = json!([{"name": "latency", "latency": {"quantile": "0.95", "max": "2.56s"}}]);
    let slow = || Profile { latency_median: 4.0, latency_p95: 5.0, ..Profile::default() };
    let stage = release(gates.clone(), slow()).await;
    stage.until("the first step", |stage| stage.weights() == [95, 5]).await;
    sleep(Duration::from_secs(10)).await;
    stage.profile(2, Profile::default());
    stage.until("it is promoted", |stage| stage.reads("Ready", "True", "Promoted")).await;
    invariants::hold(&stage, &[5.0, 25.0, 100.0], false);
    let stage = release(gates, slow()).await;
    is_reverted_by(&stage, "latency").await;
}
