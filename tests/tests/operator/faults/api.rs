//! An API server that refuses, forgets to answer, hangs, or is not there.

use std::{
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use microapp_testkit::{Fault, Match, Request};
use tokio::time::sleep;

use super::{MINUTE, at_five_percent, fails, promoted, reverted, settled, stable};
use crate::stage::Stage;

/// Every n-th decision, from the first on.
fn every(n: usize) -> Match {
    let count = AtomicUsize::new(0);
    Match::any().when(move |request: &Request| request.is_decision() && count.fetch_add(1, Relaxed).is_multiple_of(n))
}

/// Every write is answered like this for two minutes: nothing moves, nothing is tried in a loop, and what comes after is
/// a promotion like any other.
async fn holds(fault: Fault) {
    let stage = at_five_percent().await;
    stage.server.fault(Match::decisions(), fault);
    let before = stage.server.requests().len();
    sleep(MINUTE * 2).await;
    assert_eq!(stage.weights(), [95, 5], "{fault:?}\n{stage:?}");
    let tries = stage.server.requests().into_iter().skip(before).filter(Request::is_decision).count();
    assert!((1..=120).contains(&tries), "{fault:?}: {tries} tries");
    stage.server.heal();
    promoted(&stage).await;
}

/// The same while a rollback is due: it comes within five seconds after the end.
async fn delays(fault: Fault) {
    let stage = at_five_percent().await;
    stage.server.fault(Match::decisions(), fault);
    fails(&stage);
    sleep(MINUTE).await;
    stage.server.heal();
    reverted(&stage, Duration::from_secs(5)).await;
}

#[tokio::test(start_paused = true)]
async fn while_every_write_meets_a_conflict_nothing_moves() {
    holds(Fault::Conflict409).await;
    delays(Fault::Conflict409).await;
}

#[tokio::test(start_paused = true)]
async fn an_hour_that_the_api_server_asks_to_wait_is_not_waited() {
    holds(Fault::TooMany429 { retry_after: 3600 }).await;
    delays(Fault::TooMany429 { retry_after: 3600 }).await;
}

#[tokio::test(start_paused = true)]
async fn while_every_write_is_answered_500_nothing_moves() {
    holds(Fault::Error(500)).await;
    delays(Fault::Error(500)).await;
}

#[tokio::test(start_paused = true)]
async fn while_every_write_is_answered_503_nothing_moves() {
    holds(Fault::Error(503)).await;
    delays(Fault::Error(503)).await;
}

#[tokio::test(start_paused = true)]
async fn while_every_write_is_answered_504_nothing_moves() {
    holds(Fault::Error(504)).await;
    delays(Fault::Error(504)).await;
}

#[tokio::test(start_paused = true)]
async fn a_promotion_goes_through_though_every_second_write_meets_one_of_them() {
    for fault in [Fault::Conflict409, Fault::TooMany429 { retry_after: 3600 }, Fault::Error(504)] {
        let stage = stable().await;
        stage.server.fault(every(2), fault);
        stage.upgrade(2);
        promoted(&stage).await;
    }
}

/// A 504 may have been carried out: whoever repeats it must find that out.
#[tokio::test(start_paused = true)]
async fn writes_whose_answers_are_lost_are_carried_out_once() {
    let stage = stable().await;
    stage.server.fault(Match::decisions(), Fault::DropAfter);
    stage.upgrade(2);
    promoted(&stage).await;
    assert_eq!(stage.register("attempt"), "2");
    let stage = at_five_percent().await;
    stage.server.fault(Match::decisions(), Fault::DropAfter);
    fails(&stage);
    reverted(&stage, MINUTE).await;
    assert_eq!(stage.register("attempt"), "2");
}

#[tokio::test(start_paused = true)]
async fn a_first_deploy_whose_answers_are_all_lost_is_made_once() {
    let mut stage = stable().await;
    let before = stage.children().len();
    stage.operators.remove(0).end().await;
    let stage = {
        let stage = Stage::empty(microapp_testkit::Traffic::new(crate::stage::NS, crate::stage::NAME).rps(0.0));
        stage.server.fault(Match::decisions(), Fault::DropAfter);
        stage.put(super::quick());
        stage
    };
    stage.until("the first revision is stable", |stage| stage.reads("Ready", "True", "InitialRevision")).await;
    assert_eq!(stage.children().len(), before);
    settled(&stage, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_ramp_goes_on_after_the_api_server_was_stopped_and_killed() {
    let stage = at_five_percent().await;
    stage.server.stop();
    sleep(MINUTE).await;
    stage.server.resume();
    sleep(Duration::from_secs(2)).await;
    stage.server.down();
    sleep(MINUTE).await;
    assert!(stage.weights()[1] <= 25, "{stage:?}");
    stage.server.resume();
    promoted(&stage).await;
}

/// Without etcd an API server answers 500 (`etcdserver: request timed out`) or not at all, and its open watches say
/// nothing.
fn stop_etcd(stage: &Stage) {
    let count = AtomicUsize::new(0);
    let timed_out = move |_: &Request| count.fetch_add(1, Relaxed).is_multiple_of(2);
    stage.server.fault(Match::any().when(timed_out), Fault::Error(500));
    stage.server.fault(Match::any(), Fault::Hang);
    for kind in ["microapprollouts", "httproutes", "deployments", "services", "pods", "configmaps"] {
        stage.server.freeze_watch(kind);
    }
}

#[tokio::test(start_paused = true)]
async fn without_etcd_nothing_moves_and_the_ramp_goes_on_when_it_is_back() {
    let stage = at_five_percent().await;
    stop_etcd(&stage);
    sleep(MINUTE * 3).await;
    assert_eq!(stage.weights(), [95, 5], "{stage:?}");
    stage.server.heal();
    promoted(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn a_rollback_that_etcd_kept_back_comes_within_five_seconds_of_its_return() {
    let stage = at_five_percent().await;
    fails(&stage);
    stop_etcd(&stage);
    sleep(MINUTE * 2).await;
    stage.server.heal();
    reverted(&stage, Duration::from_secs(5)).await;
}
