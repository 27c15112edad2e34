//! A bad revision per gate: all traffic goes back, and stays.

use microapp_api::conditions::Cause;
use microapp_core::{Revision, register::Rejected};
use microapp_testkit::{Profile, build};
use serde_json::json;

use crate::{
    invariants::{self, register},
    stage::{NAME, NS, Stage, image},
};

/// A second version that is bad in one way, under all four gates and the preset's steps.
async fn reverts(gate: &str, bad: Profile) {
    let gates = json!([
        {"name": "errors", "errorRate": {"max": "1%"}},
        {"name": "latency", "latency": {"quantile": "0.95", "max": "2.56s"}},
        {"name": "cost", "tokenCost": {"maxPerRequest": "0.004", "maxIncrease": "10%"}},
        {"name": "grounded", "hallucination": {"max": "4%"}},
    ]);
    let rollout = build::rollout(NS, NAME, &image(1)).set("/spec/strategy", json!({"preset": "Standard"}));
    let stage = Stage::stable(rollout.gates(gates), 100.0).await;
    stage.profile(2, bad);
    stage.upgrade(2);
    stage.until("the bad revision is reverted", |stage| stage.reads("Stalled", "True", "GateFailed")).await;
    let aborted = stage.aborted();
    assert_eq!(
        (&aborted["gate"], &aborted["cause"], &aborted["attempt"]),
        (&json!(gate), &json!("GateFailed"), &json!(2))
    );
    assert!(
        stage.reads("Ready", "False", "RolledBack") && stage.reads("RolledBack", "True", "GateFailed"),
        "{stage:?}"
    );
    stage.until("the canary's backend is gone", |stage| stage.weights() == [100]).await;
    stage.rests().await;
    assert!(stage.stable_is(1), "{stage:?}");
    let rejected = Rejected { revision: Revision::parse(&stage.revision(2)).unwrap(), cause: Cause::GateFailed };
    assert_eq!(register(stage.routes().last().unwrap()).rejected, [rejected]);
    invariants::hold(&stage, &[1.0, 5.0, 25.0, 100.0], false);
    invariants::status_follows(&stage);
    let left = stage.server.list("deployments", NS);
    assert_eq!(left.len(), 1, "the bad pods are gone");
}

#[tokio::test(start_paused = true)]
async fn a_revision_that_fails_requests_is_reverted_by_the_error_gate() {
    reverts("errors", Profile { error_rate: 0.2, ..Profile::default() }).await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_revision_is_reverted_by_the_latency_gate() {
    reverts("latency", Profile { latency_median: 2.0, latency_p95: 6.0, ..Profile::default() }).await;
}

#[tokio::test(start_paused = true)]
async fn a_revision_that_costs_twice_as_much_is_reverted_by_the_cost_gate() {
    reverts("cost", Profile { input_tokens: 1600.0, output_tokens: 400.0, ..Profile::default() }).await;
}

#[tokio::test(start_paused = true)]
async fn a_revision_that_makes_things_up_is_reverted_by_the_hallucination_gate() {
    reverts("grounded", Profile { hallucination: 0.3, ..Profile::default() }).await;
}
