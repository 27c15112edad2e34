//! The promise about faults, one small file per family. What holds under which fault stands in [`table`], which is
//! `docs/faults.md` too; tests elsewhere that hold a row of it are named there.

mod api;
mod leaders;
mod page;
mod people;
mod pods;
mod process;
mod prometheus;
mod route;
mod table;
mod versions;
mod watch;

use std::time::Duration;

use microapp_testkit::{Profile, Traffic, build, build::RolloutBuilder};
use tokio::time::sleep;

use crate::{
    invariants,
    stage::{NAME, NS, Stage, image},
};

/// The weights of [`quick`]'s steps in percent.
const STEPS: [f64; 3] = [5.0, 25.0, 100.0];
const MINUTE: Duration = Duration::from_secs(60);

/// A rollout whose steps take seconds and whose tolerance needs few requests.
fn quick() -> RolloutBuilder {
    build::rollout(NS, NAME, &image(1))
        .steps(&[(5.into(), "5s"), (25.into(), "5s"), (100.into(), "20s")])
        .set("/spec/strategy/tolerance", "5%")
}

/// The first revision is stable and has had some traffic.
async fn stable() -> Stage {
    let stage = Stage::empty(Traffic::new(NS, NAME).rps(60.0));
    stage.put(quick());
    stage.until("the first revision is stable", |stage| stage.reads("Ready", "True", "InitialRevision")).await;
    sleep(MINUTE).await;
    stage
}

/// A second revision, good so far, has just got 5 %.
async fn at_five_percent() -> Stage {
    let stage = stable().await;
    stage.upgrade(2);
    stage.until("the first step", |stage| stage.weights() == [95, 5]).await;
    stage
}

/// The same at 25 %.
async fn at_25_percent() -> Stage {
    let stage = stable().await;
    stage.upgrade(2);
    stage.until("the second step", |stage| stage.weights() == [75, 25]).await;
    stage
}

/// Everybody who reaches the second revision gets an error.
fn fails(stage: &Stage) {
    stage.profile(2, Profile { error_rate: 1.0, ..Profile::default() });
}

/// It fails from now on, and all traffic is back within so long; then everything rests.
async fn reverts(stage: &Stage, within: Duration) {
    fails(stage);
    reverted(stage, within).await;
}

/// All traffic is back within so long, since a gate failed; then everything rests.
async fn reverted(stage: &Stage, within: Duration) {
    stage.within(within, "it is reverted", |stage| stage.aborted()["cause"] == "GateFailed").await;
    stage.within(MINUTE, "it is stalled", |stage| stage.reads("Stalled", "True", "GateFailed")).await;
    settled(stage, 1).await;
}

/// The second revision becomes stable, step by step; then everything rests.
async fn promoted(stage: &Stage) {
    let stable = |stage: &Stage| stage.reads("Ready", "True", "Promoted") && stage.stable_is(2);
    stage.until("the second revision is stable", stable).await;
    settled(stage, 2).await;
}

/// Until nothing has been written for two minutes. The sweep waits for longer; here that would be most of the time.
async fn rests(stage: &Stage) {
    stage.prometheus.set_rps(0.0);
    for _ in 0..30 {
        let before = stage.writes();
        sleep(MINUTE * 2).await;
        if stage.writes() == before {
            return;
        }
    }
    panic!("it does not rest\n{stage:?}");
}

/// This version is stable, everything rests, and all that must hold of the history did.
async fn settled(stage: &Stage, version: u32) {
    rests(stage).await;
    assert!(stage.stable_is(version) && stage.weights() == [100], "{stage:?}");
    invariants::hold(stage, &STEPS, false);
    invariants::status_follows(stage);
}
