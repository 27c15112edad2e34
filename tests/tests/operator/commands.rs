//! What people command, and what else they may want in the middle of a rollout.

use std::time::Duration;

use microapp_testkit::{Profile, PromFault};
use serde_json::json;
use tokio::time::sleep;

use crate::{invariants, stage::Stage};

const STEPS: [f64; 3] = [1.0, 25.0, 100.0];
const SOON: Duration = Duration::from_secs(1);

/// A second version at the first step.

#[tokio::test(start_paused = true)]
async fn an_abort_takes_all_traffic_back_at_once_and_a_retry_tries_the_same_revision_again() {
    let stage = Stage::at_one_percent().await;
    stage.command("abort", "a1 looks wrong");
    stage.within(SOON, "weight 0", |stage| stage.weights() == [100, 0]).await;
    let aborted = stage.aborted();
    assert_eq!((&aborted["cause"], &aborted["token"]), (&json!("Command"), &json!("a1")));
    assert!(aborted["message"].as_str().unwrap().contains("looks wrong"));
    stage.until("the object is stalled", |stage| stage.reads("Stalled", "True", "Command")).await;
    stage.rests().await;
    assert!(stage.stable_is(1) && stage.register("rejected").ends_with("=Command"), "{stage:?}");
    stage.prometheus.set_rps(100.0);
    sleep(Duration::from_secs(300)).await;
    let revision = stage.revision(2);
    stage.command("retry", &format!("{revision}:1 it was the load test"));
    invariants::promoted(&stage, 2, &STEPS).await;
    assert_eq!((stage.register("attempt").as_str(), stage.register("rejected").as_str()), ("3", ""));
}

#[tokio::test(start_paused = true)]
async fn a_pause_keeps_the_weight_and_resume_goes_on() {
    let stage = Stage::at_one_percent().await;
    stage.command("pause", "p1 lunch");
    stage
        .within(Duration::from_secs(5), "it reads as paused", |stage| stage.reads("Paused", "True", "AwaitingApproval"))
        .await;
    sleep(Duration::from_secs(1200)).await;
    assert_eq!(stage.weights(), [99, 1], "{stage:?}");
    stage.command("resume", "r1 back");
    invariants::promoted(&stage, 2, &STEPS).await;
}

#[tokio::test(start_paused = true)]
async fn a_breach_during_a_pause_still_rolls_back() {
    let stage = Stage::at_one_percent().await;
    stage.command("pause", "p1");
    stage.until("it reads as paused", |stage| stage.reads("Paused", "True", "AwaitingApproval")).await;
    stage.profile(2, Profile { error_rate: 0.5, ..Profile::default() });
    stage
        .within(Duration::from_secs(300), "it is reverted", |stage| stage.reads("Stalled", "True", "GateFailed"))
        .await;
    stage.rests().await;
    assert!(stage.stable_is(1));
    invariants::hold(&stage, &STEPS, false);
    invariants::status_follows(&stage);
}

#[tokio::test(start_paused = true)]
async fn promote_with_skip_goes_one_step_on_without_the_gates_and_its_token_is_taken_once() {
    let stage = Stage::at_one_percent().await;
    stage.prometheus.fault(Some(PromFault::Refuse));
    stage.command("promote", "2/0/skip:1 a hot fix");
    stage.within(Duration::from_secs(10), "the second step", |stage| stage.weights() == [75, 25]).await;
    sleep(Duration::from_secs(120)).await;
    assert_eq!(stage.weights(), [75, 25], "one step, not more\n{stage:?}");
    stage.prometheus.fault(None);
    invariants::promoted(&stage, 2, &STEPS).await;
}

#[tokio::test(start_paused = true)]
async fn promote_goes_to_the_last_step_and_the_bake_is_not_skipped() {
    let stage = Stage::at_one_percent().await;
    stage.command("promote", "2/0:1 sure");
    stage.within(Duration::from_secs(10), "all traffic", |stage| stage.weights() == [0, 100]).await;
    let begun = microapp_testkit::clock::now();
    stage.until("the second revision is stable", |stage| stage.stable_is(2)).await;
    let baked = microapp_testkit::clock::now().duration_since(begun);
    assert!(baked.as_secs() >= 29, "{baked}");
    stage.rests().await;
    invariants::hold(&stage, &STEPS, true);
    invariants::status_follows(&stage);
}

#[tokio::test(start_paused = true)]
async fn a_newer_revision_takes_the_place_of_the_one_on_trial() {
    let stage = Stage::at_one_percent().await;
    stage.upgrade(3);
    stage.within(SOON, "weight 0", |stage| stage.weights() == [100, 0]).await;
    assert_eq!(stage.aborted()["cause"], "Superseded");
    invariants::promoted(&stage, 3, &STEPS).await;
    assert_eq!((stage.register("attempt").as_str(), stage.register("rejected").as_str()), ("3", ""));
}

#[tokio::test(start_paused = true)]
async fn setting_the_spec_back_is_an_abort_without_a_verdict() {
    let stage = Stage::at_one_percent().await;
    stage.upgrade(1);
    stage.within(SOON, "weight 0", |stage| stage.weights() == [100, 0]).await;
    assert_eq!(stage.aborted()["cause"], "SetBack");
    stage.until("the first revision is current", |stage| stage.condition("Ready").unwrap().0 == "True").await;
    assert!(stage.stable_is(1) && stage.register("rejected").is_empty());
    stage.rests().await;
    invariants::hold(&stage, &STEPS, false);
    invariants::status_follows(&stage);
}

#[tokio::test(start_paused = true)]
async fn scaling_to_zero_ends_the_attempt_and_scaling_up_begins_another() {
    let stage = Stage::at_one_percent().await;
    stage.edit(|spec| spec["replicas"] = json!(0));
    stage.within(SOON, "weight 0", |stage| stage.weights() == [100, 0]).await;
    assert_eq!(stage.aborted()["cause"], "ScaledToZero");
    stage.until("no pod runs", |stage| stage.server.list("pods", crate::stage::NS).is_empty()).await;
    stage.rests().await;
    assert!(stage.reads("Ready", "True", "ScaledToZero"), "{stage:?}");
    invariants::hold(&stage, &STEPS, false);
    stage.edit(|spec| spec["replicas"] = json!(2));
    stage.prometheus.set_rps(100.0);
    invariants::promoted(&stage, 2, &STEPS).await;
}
