//! Pods that push their metrics: nobody scrapes them, and a canary has no series before its first request.

use std::time::Duration;

use microapp_testkit::{Profile, Traffic};

use crate::{
    invariants,
    stage::{NAME, NS, Stage, short},
};

const STEPS: [f64; 3] = [1.0, 25.0, 100.0];

async fn stage(interval: Duration) -> Stage {
    Stage::seeded(short(), Traffic::new(NS, NAME).rps(100.0).scrape(interval).pushes()).await
}

#[tokio::test(start_paused = true)]
async fn a_good_canary_that_pushes_is_promoted() {
    for interval in [5, 60] {
        let stage = stage(Duration::from_secs(interval)).await;
        stage.upgrade(2);
        invariants::promoted(&stage, 2, &STEPS).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_bad_canary_that_pushes_is_reverted_at_the_first_step() {
    for error_rate in [0.1, 1.0] {
        let stage = stage(Duration::from_secs(5)).await;
        stage.profile(2, Profile { error_rate, ..Profile::default() });
        stage.upgrade(2);
        stage.until("the first step", |stage| stage.weights() == [99, 1]).await;
        let reverted = |stage: &Stage| stage.aborted()["cause"] == "GateFailed";
        stage.within(Duration::from_secs(120), "it is reverted", reverted).await;
        stage.rests().await;
        assert!(stage.stable_is(1));
        invariants::hold(&stage, &STEPS, false);
        invariants::status_follows(&stage);
    }
}

#[tokio::test(start_paused = true)]
async fn a_canary_that_never_pushes_gets_no_more_than_the_first_step() {
    let stage = stage(Duration::from_secs(5)).await;
    stage.profile(2, Profile { silent: true, ..Profile::default() });
    stage.upgrade(2);
    stage.until("the first step", |stage| stage.weights() == [99, 1]).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(stage.weights(), [99, 1], "{stage:?}");
    invariants::hold(&stage, &STEPS, false);
}
