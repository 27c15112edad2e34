//! An attempt that ends before its first weight: whatever ends it, the next wish goes on within seconds.

use std::time::Duration;

use microapp_testkit::{Behaviour, Traffic};
use serde_json::json;
use tokio::time::sleep;

use crate::{
    invariants,
    stage::{NAME, NS, Stage, short},
};

const STEPS: [f64; 3] = [1.0, 25.0, 100.0];
const SECONDS: Duration = Duration::from_secs(20);

/// A second revision waits in preflight: stable had no traffic, so there is nothing to compare it with.
async fn waiting() -> Stage {
    let stage = Stage::seeded(short(), Traffic::new(NS, NAME).rps(0.0)).await;
    stage.upgrade(2);
    stage.within(SECONDS * 3, "it waits", |stage| stage.reads("Reconciling", "True", "PreflightFailed")).await;
    sleep(Duration::from_secs(60)).await;
    assert_eq!(stage.register("since"), "", "it never had traffic");
    stage
}

fn runs(stage: &Stage, version: u32) -> bool {
    stage.server.get("deployments", NS, &format!("{NAME}-{}", stage.revision(version))).is_some()
}

async fn settled(stage: &Stage) {
    assert!(!runs(stage, 2), "its pods are gone\n{stage:?}");
    stage.rests().await;
    assert!(stage.stable_is(1));
    invariants::hold(stage, &STEPS, false);
    invariants::status_follows(stage);
}

#[tokio::test(start_paused = true)]
async fn a_newer_revision_takes_the_place_of_one_that_waits_in_preflight() {
    let stage = waiting().await;
    stage.upgrade(3);
    let begun = |stage: &Stage| !stage.revision(3).is_empty() && stage.register("canary") == stage.revision(3);
    stage.within(SECONDS, "the third has its attempt", begun).await;
    assert!(!runs(&stage, 2), "{stage:?}");
    stage.prometheus.set_rps(100.0);
    invariants::promoted(&stage, 3, &STEPS).await;
}

#[tokio::test(start_paused = true)]
async fn two_more_commits_while_one_waits_end_with_the_last() {
    let stage = waiting().await;
    stage.upgrade(3);
    sleep(Duration::from_secs(2)).await;
    stage.upgrade(4);
    let begun = |stage: &Stage| !stage.revision(4).is_empty() && stage.register("canary") == stage.revision(4);
    stage.within(SECONDS, "the fourth has its attempt", begun).await;
    stage.within(SECONDS, "the others are gone", |stage| !runs(stage, 2) && !runs(stage, 3)).await;
}

#[tokio::test(start_paused = true)]
async fn an_abort_of_one_that_waits_in_preflight_comes_to_rest() {
    let stage = waiting().await;
    stage.command("abort", "a1 no traffic tonight");
    stage.within(SECONDS, "it is rejected", |stage| stage.reads("Stalled", "True", "Command")).await;
    stage.within(SECONDS, "its pods are gone", |stage| !runs(stage, 2)).await;
    settled(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn setting_back_one_that_waits_in_preflight_is_ready_again() {
    let stage = waiting().await;
    stage.upgrade(1);
    let ready = |stage: &Stage| stage.condition("Ready").is_some_and(|ready| ready.0 == "True") && !runs(stage, 2);
    stage.within(SECONDS, "the first revision is current", ready).await;
    settled(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn scaling_to_zero_while_one_waits_in_preflight_leaves_nothing_running() {
    let stage = waiting().await;
    stage.edit(|spec| spec["replicas"] = json!(0));
    let nothing = |stage: &Stage| stage.server.list("pods", NS).is_empty();
    stage.within(SECONDS, "no pod runs", nothing).await;
    settled(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn one_whose_pods_are_lost_for_good_is_rejected_ten_minutes_later_and_a_fix_goes_on() {
    let stage = waiting().await;
    sleep(Duration::from_secs(1200)).await;
    stage.behave(2, Behaviour::Unready);
    sleep(Duration::from_secs(590)).await;
    assert!(stage.aborted().is_null(), "the time counts from the loss\n{stage:?}");
    stage.within(Duration::from_secs(60), "it is rejected", |stage| stage.reads("Stalled", "True", "NotReady")).await;
    stage.within(SECONDS, "its pods are gone", |stage| !runs(stage, 2)).await;
    stage.upgrade(3);
    let begun = |stage: &Stage| !stage.revision(3).is_empty() && stage.register("canary") == stage.revision(3);
    stage.within(SECONDS, "the fix has its attempt", begun).await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_blinks_after_half_an_hour_is_no_reason_to_reject() {
    let stage = waiting().await;
    sleep(Duration::from_secs(1800)).await;
    let pod = stage
        .server
        .list("pods", NS)
        .into_iter()
        .find(|pod| pod["metadata"]["labels"]["microapp.dev/revision"] == stage.revision(2).as_str());
    let name = pod.unwrap()["metadata"]["name"].as_str().unwrap().to_owned();
    assert!(stage.server.delete("kubectl", "pods", NS, &name));
    sleep(Duration::from_secs(60)).await;
    assert!(stage.aborted().is_null() && runs(&stage, 2), "{stage:?}");
    stage.controllers.restart(&microapp_testkit::Pods::revision(&stage.revision(2)));
    sleep(Duration::from_secs(60)).await;
    assert!(stage.aborted().is_null() && runs(&stage, 2), "{stage:?}");
    stage.prometheus.set_rps(100.0);
    invariants::promoted(&stage, 2, &STEPS).await;
}

#[tokio::test(start_paused = true)]
async fn an_autoscaler_that_asks_for_more_pods_after_half_an_hour_is_no_reason_to_reject() {
    let stage = waiting().await;
    sleep(Duration::from_secs(1800)).await;
    stage.edit(|spec| spec["replicas"] = json!(8));
    sleep(Duration::from_secs(60)).await;
    assert!(stage.aborted().is_null() && runs(&stage, 2), "{stage:?}");
    stage.prometheus.set_rps(100.0);
    invariants::promoted(&stage, 2, &STEPS).await;
}
