//! What pods say by themselves: nobody needs Prometheus for that.

use std::time::Duration;

use microapp_testkit::{Behaviour, PromFault};
use tokio::time::sleep;

use crate::{
    invariants,
    stage::{Stage, short},
};

const STEPS: [f64; 3] = [1.0, 25.0, 100.0];

/// The canary's pods do this at the first step, and Prometheus is away.
async fn reverts(behaviour: Behaviour, cause: &str) {
    let stage = Stage::stable(short(), 100.0).await;
    stage.upgrade(2);
    stage.until("the first step", |stage| stage.weights() == [99, 1]).await;
    stage.prometheus.fault(Some(PromFault::Refuse));
    stage.behave(2, behaviour);
    stage.within(Duration::from_secs(30), "it is reverted", |stage| stage.aborted()["cause"] == cause).await;
    assert_eq!(stage.weights(), [100, 0], "{stage:?}");
    stage.until("the object is stalled", |stage| stage.reads("Stalled", "True", cause)).await;
    stage.rests().await;
    assert!(stage.stable_is(1));
    invariants::hold(&stage, &STEPS, false);
    invariants::status_follows(&stage);
}

#[tokio::test(start_paused = true)]
async fn a_crash_loop_of_the_canary_is_reverted_without_prometheus() {
    reverts(Behaviour::CrashLoop { exit_code: 1 }, "CrashLoop").await;
}

#[tokio::test(start_paused = true)]
async fn a_canary_that_is_killed_for_its_memory_is_reverted_without_prometheus() {
    reverts(Behaviour::OomKilled, "OOMKilled").await;
}

#[tokio::test(start_paused = true)]
async fn lost_capacity_steps_back_to_0_without_a_latch_and_the_ramp_begins_again() {
    let stage = Stage::stable(short(), 100.0).await;
    stage.upgrade(2);
    stage.until("the second step", |stage| stage.weights() == [75, 25]).await;
    stage.behave(2, Behaviour::Unready);
    stage.within(Duration::from_secs(1), "weight 0", |stage| stage.weights() == [100, 0]).await;
    assert!(stage.aborted().is_null(), "{stage:?}");
    sleep(Duration::from_secs(120)).await;
    assert_eq!(stage.weights(), [100, 0], "{stage:?}");
    stage.behave(2, Behaviour::Healthy);
    stage.within(Duration::from_secs(60), "the first step again", |stage| stage.weights() == [99, 1]).await;
    assert_eq!(stage.register("attempt"), "2", "the same attempt");
    invariants::promoted(&stage, 2, &STEPS).await;
}

#[tokio::test(start_paused = true)]
async fn pods_that_never_become_ready_are_rejected_after_ten_minutes_without_any_traffic() {
    let stage = Stage::stable(short(), 20.0).await;
    stage.behave(2, Behaviour::Unready);
    stage.upgrade(2);
    stage.within(Duration::from_secs(700), "it is rejected", |stage| stage.reads("Stalled", "True", "NotReady")).await;
    assert!(stage.stable_is(1) && stage.weights() == [100]);
    stage.rests().await;
    invariants::hold(&stage, &STEPS, false);
    invariants::status_follows(&stage);
}
