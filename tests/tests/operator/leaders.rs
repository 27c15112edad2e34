//! Two operators: one leads, and only one.

use std::time::Duration;

use microapp_testkit::{Fault, Match, Profile, Request};
use tokio::time::{sleep, timeout};

use crate::{
    invariants,
    stage::{Stage, short},
};

const STEPS: [f64; 3] = [1.0, 25.0, 100.0];

fn decisions(stage: &Stage, agent: &str) -> Vec<Request> {
    stage.server.writes_except_events_and_leases().into_iter().filter(|request| request.agent == agent).collect()
}

fn held(stage: &Stage) -> String {
    let lease = stage.server.get("leases", "operator", "microapp-operator").unwrap_or_default();
    lease["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned()
}

/// A second version at the first step, and a second operator that has been there for a while.
async fn two() -> Stage {
    let mut stage = Stage::stable(short(), 100.0).await;
    stage.start();
    sleep(Duration::from_secs(30)).await;
    stage.upgrade(2);
    stage.until("the first step", |stage| stage.weights() == [99, 1]).await;
    sleep(Duration::from_secs(7)).await;
    stage
}

#[tokio::test(start_paused = true)]
async fn only_the_leader_writes_and_only_it_asks_prometheus() {
    let stage = two().await;
    invariants::promoted(&stage, 2, &STEPS).await;
    assert_eq!(held(&stage), "operator-1");
    assert!(decisions(&stage, "operator-2").is_empty());
}

#[tokio::test(start_paused = true)]
async fn when_the_leader_dies_the_other_goes_on_within_the_lease() {
    let stage = two().await;
    stage.profile(2, Profile { error_rate: 1.0, ..Profile::default() });
    stage.server.crash(Match::any().agent("operator-1"), 1, false);
    stage.server.wait_crashed().await;
    // Ten seconds of lease, two until it is looked at, and a pass with an answer of Prometheus.
    stage.within(Duration::from_secs(20), "it is reverted", |stage| stage.aborted()["cause"] == "GateFailed").await;
    assert_eq!(held(&stage), "operator-2");
    stage.until("it is stalled", |stage| stage.reads("Stalled", "True", "GateFailed")).await;
    stage.rests().await;
    assert!(stage.stable_is(1));
    invariants::hold(&stage, &STEPS, false);
    invariants::status_follows(&stage);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_stops_gives_the_lease_back_and_the_other_goes_on_at_once() {
    let mut stage = two().await;
    let first = stage.operators.remove(0);
    timeout(Duration::from_secs(5), first.end()).await.unwrap();
    stage.within(Duration::from_secs(4), "the other leads", |stage| held(stage) == "operator-2").await;
    invariants::promoted(&stage, 2, &STEPS).await;
    assert!(!decisions(&stage, "operator-2").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_raise_of_a_leader_that_was_is_refused_after_the_other_has_lowered() {
    let stage = two().await;
    // The raise to 25 % leaves the first operator and arrives half a minute later; its lease calls do not get through.
    let raise = |request: &Request| {
        request.is_decision() && request.target.plural == "httproutes" && request.body.to_string().contains("/weight")
            || request.body.to_string().contains("backendRefs")
    };
    let late = Match::any()
        .agent("operator-1")
        .when(move |request| request.target.plural == "httproutes" && request.is_write() && raise(request));
    stage.server.fault(late, Fault::CommitLater(Duration::from_secs(30)));
    let sent = |stage: &Stage| {
        stage.server.requests().iter().any(|request| {
            request.agent == "operator-1"
                && request.target.plural == "httproutes"
                && request.is_write()
                && request.outcome == microapp_testkit::Outcome::Pending
        })
    };
    stage.until("the raise is under way", sent).await;
    stage.server.fault(Match::any().agent("operator-1").plural("leases"), Fault::Error(500));
    stage.profile(2, Profile { error_rate: 1.0, ..Profile::default() });
    stage.within(Duration::from_secs(25), "the other lowers", |stage| stage.aborted()["cause"] == "GateFailed").await;
    sleep(Duration::from_secs(60)).await;
    assert_eq!(held(&stage), "operator-2");
    stage.rests().await;
    assert!(stage.stable_is(1), "{stage:?}");
    invariants::hold(&stage, &STEPS, false);
    invariants::status_follows(&stage);
}

#[tokio::test(start_paused = true)]
async fn without_the_lease_nothing_is_raised() {
    let mut stage = Stage::stable(short(), 100.0).await;
    stage.upgrade(2);
    stage.until("the first step", |stage| stage.weights() == [99, 1]).await;
    stage.server.fault(Match::any().plural("leases"), Fault::Error(503));
    sleep(Duration::from_secs(1200)).await;
    assert_eq!(stage.weights(), [99, 1], "{stage:?}");
    stage.server.heal();
    stage.until("the second revision is stable", |stage| stage.reads("Ready", "True", "Promoted")).await;
    stage.start();
    stage.rests().await;
    invariants::hold(&stage, &STEPS, false);
    invariants::status_follows(&stage);
}
