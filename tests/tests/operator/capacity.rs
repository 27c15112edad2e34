//! Pods of the canary that are lost while users reach it: the weight follows the ready share, after a grace.

use std::time::Duration;

use microapp_testkit::{Behaviour, Pods, build::RolloutBuilder};
use serde_json::Value;
use tokio::time::sleep;

use crate::{
    invariants,
    stage::{NS, Stage, short, weights},
};

const STEPS: [f64; 3] = [1.0, 25.0, 100.0];

fn baking(replicas: i64) -> RolloutBuilder {
    short().replicas(replicas).steps(&[(1.into(), "20s"), (25.into(), "20s"), (100.into(), "600s")])
}

/// The second revision has had all traffic for five minutes of ten.
async fn in_the_bake(replicas: i64) -> Stage {
    let stage = Stage::stable(baking(replicas), 100.0).await;
    stage.upgrade(2);
    stage.until("all traffic", |stage| stage.weights() == [0, 100]).await;
    sleep(Duration::from_secs(300)).await;
    stage
}

fn pods(stage: &Stage) -> Vec<String> {
    let revision = stage.revision(2);
    let mut names: Vec<_> = stage
        .server
        .list("pods", NS)
        .iter()
        .filter(|pod| pod["metadata"]["labels"]["microapp.dev/revision"] == revision.as_str())
        .map(|pod| pod["metadata"]["name"].as_str().unwrap_or_default().to_owned())
        .collect();
    names.sort();
    names
}

/// The bake goes on and ends when it would have.
async fn goes_on(stage: &Stage) {
    let before = stage.routes().len();
    stage.within(Duration::from_secs(330), "it is promoted", |stage| stage.stable_is(2)).await;
    let since: Vec<_> = stage.routes().split_off(before);
    let kept = |object: &Value| matches!(weights(object)[..], [0, 100] | [100]);
    assert!(since.iter().all(|version| kept(&version.object)), "{stage:?}");
    stage.rests().await;
    invariants::hold(stage, &STEPS, false);
}

#[tokio::test(start_paused = true)]
async fn one_pod_of_three_that_is_evicted_in_the_bake_stops_nothing() {
    let stage = in_the_bake(3).await;
    assert!(stage.server.delete("eviction", "pods", NS, &pods(&stage)[0]));
    goes_on(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn one_pod_of_twenty_that_restarts_in_the_bake_stops_nothing() {
    let stage = in_the_bake(20).await;
    stage.controllers.restart(&Pods::Named(pods(&stage)[0].clone()));
    goes_on(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn one_pod_of_four_that_is_lost_for_good_stops_nothing() {
    let stage = in_the_bake(4).await;
    stage.controllers.behave(Pods::Named(pods(&stage)[0].clone()), Behaviour::Unready);
    goes_on(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn half_the_pods_lost_for_good_keep_a_weight_that_the_others_carry() {
    let stage = in_the_bake(4).await;
    for name in &pods(&stage)[..2] {
        stage.controllers.behave(Pods::Named(name.clone()), Behaviour::Unready);
    }
    sleep(Duration::from_secs(45)).await;
    assert_eq!(stage.weights(), [0, 100], "the grace\n{stage:?}");
    let follows = |stage: &Stage| stage.weights() == [75, 25];
    stage.within(Duration::from_secs(30), "the weight follows", follows).await;
    sleep(Duration::from_secs(300)).await;
    assert_eq!(stage.weights(), [75, 25], "{stage:?}");
    assert!(stage.aborted().is_null());
    stage.controllers.behave(Pods::All, Behaviour::Healthy);
    invariants::promoted(&stage, 2, &STEPS).await;
}
