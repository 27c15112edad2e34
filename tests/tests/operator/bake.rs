//! All traffic on the new version, and something goes wrong: whose fault is it?

use std::time::Duration;

use microapp_testkit::{Profile, build};
use serde_json::json;
use tokio::time::sleep;

use crate::{
    invariants,
    stage::{NAME, NS, Stage, image},
};

const STEPS: [f64; 4] = [1.0, 5.0, 25.0, 100.0];

fn failing() -> Profile {
    Profile { error_rate: 0.1, ..Profile::default() }
}

/// The second version in its bake, with one gate and the preset's steps.
async fn baking() -> Stage {
    let rollout = build::rollout(NS, NAME, &image(1))
        .set("/spec/strategy", json!({"preset": "Standard"}))
        .gates(json!([{"name": "errors", "errorRate": {"max": "1%"}}]));
    let stage = Stage::stable(rollout, 50.0).await;
    stage.upgrade(2);
    everything(&stage).await;
    stage
}

async fn everything(stage: &Stage) {
    stage.within(Duration::from_secs(3600), "all traffic is on the canary", |stage| stage.weights() == [0, 100]).await;
}

#[tokio::test(start_paused = true)]
async fn an_incident_of_both_goes_back_a_step_and_the_good_version_is_promoted_when_it_is_over() {
    let stage = baking().await;
    stage.profile(1, failing());
    stage.profile(2, failing());
    stage.until("back beside stable", |stage| stage.weights() == [75, 25]).await;
    stage.until("stable is seen to fail", |stage| stage.reads("Ready", "False", "EnvironmentIncident")).await;
    sleep(Duration::from_secs(900)).await;
    assert!(stage.weights() == [75, 25] && stage.condition("Stalled").is_none(), "{stage:?}");
    stage.profile(1, Profile::default());
    stage.profile(2, Profile::default());
    everything(&stage).await;
    stage.within(Duration::from_secs(3600), "it is promoted", |stage| stage.reads("Ready", "True", "Promoted")).await;
    assert!(stage.stable_is(2), "{stage:?}");
    stage.rests().await;
    invariants::hold(&stage, &STEPS, false);
    invariants::status_follows(&stage);
}

#[tokio::test(start_paused = true)]
async fn a_version_that_fails_under_full_traffic_alone_gets_there_twice_and_then_waits_for_a_person() {
    let stage = baking().await;
    for _ in 0..2 {
        everything(&stage).await;
        stage.profile(2, failing());
        stage.until("back beside stable", |stage| stage.weights() == [75, 25]).await;
        stage.profile(2, Profile::default());
    }
    stage.until("a person is asked", |stage| stage.reads("Stalled", "True", "Inconclusive")).await;
    sleep(Duration::from_secs(1800)).await;
    assert!(stage.weights() == [75, 25] && stage.aborted().is_null(), "{stage:?}");
    stage.command("abort", "a1");
    stage.until("the canary's backend is gone", |stage| stage.weights() == [100]).await;
    stage.rests().await;
    assert!(stage.stable_is(1), "{stage:?}");
    invariants::hold(&stage, &STEPS, false);
    invariants::status_follows(&stage);
}
