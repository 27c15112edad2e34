//! The operator dies more than once.

use std::time::Duration;

use microapp_testkit::Match;
use tokio::time::sleep;

use super::{MINUTE, at_five_percent, fails, promoted, reverted, settled, stable};
use crate::stage::{Operator, Stage};

/// Whoever makes a write dies of it, each third one before its commit, until it is ended. How many have died.
async fn each_write_kills(stage: &mut Stage, ended: impl Fn(&Stage) -> bool) -> usize {
    for deaths in 0..100 {
        let doomed = stage.operators.len() - 1;
        let identity = stage.operators[doomed].identity.clone();
        stage.server.crash(Match::decisions().agent(&identity), 1, deaths % 3 != 0);
        stage.until("it dies or is done", |stage| stage.server.crashed() || ended(stage)).await;
        if !stage.server.crashed() {
            stage.server.heal();
            return deaths;
        }
        stage.operators.remove(doomed).end().await;
        stage.server.heal();
        stage.start();
    }
    panic!("a hundred died\n{stage:?}");
}

#[tokio::test(start_paused = true)]
async fn a_promotion_ends_though_every_operator_dies_of_its_first_write() {
    let mut stage = stable().await;
    stage.upgrade(2);
    let deaths = each_write_kills(&mut stage, |stage| stage.reads("Ready", "True", "Promoted")).await;
    assert!(deaths > 10, "{deaths}");
    promoted(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn a_rollback_ends_though_every_operator_dies_of_its_first_write() {
    let mut stage = at_five_percent().await;
    fails(&stage);
    let deaths = each_write_kills(&mut stage, |stage| stage.reads("Stalled", "True", "GateFailed")).await;
    assert!(deaths > 2, "{deaths}");
    reverted(&stage, MINUTE).await;
}

/// A container that is started again is the process that it was before: the lease is its own.
async fn lives(stage: &mut Stage, so_long: Duration) {
    sleep(so_long).await;
    let doomed = stage.operators.pop().unwrap();
    stage.server.crash(Match::any().agent(&doomed.identity), 1, false);
    stage.server.wait_crashed().await;
    let identity = doomed.identity.clone();
    doomed.end().await;
    stage.server.heal();
    stage.operators.push(Operator::start(&stage.server, &stage.prometheus, &identity));
}

/// Out of memory eight seconds after each start, as long as it lasts.
#[tokio::test(start_paused = true)]
async fn a_crash_loop_of_the_operator_neither_keeps_a_rollback_back_nor_raises_what_has_no_evidence() {
    let mut stage = at_five_percent().await;
    for _ in 0..4 {
        lives(&mut stage, Duration::from_secs(2)).await;
    }
    assert!(stage.aborted().is_null() && stage.weights() == [95, 5], "{stage:?}");
    fails(&stage);
    for _ in 0..10 {
        lives(&mut stage, Duration::from_secs(8)).await;
        if stage.aborted()["cause"] == "GateFailed" {
            break;
        }
    }
    reverted(&stage, MINUTE).await;
}

#[tokio::test(start_paused = true)]
async fn an_abort_is_carried_out_in_a_crash_loop_of_the_operator() {
    let mut stage = at_five_percent().await;
    lives(&mut stage, Duration::from_secs(3)).await;
    stage.command("abort", "a1");
    for _ in 0..5 {
        lives(&mut stage, Duration::from_secs(3)).await;
    }
    assert_eq!(stage.aborted()["cause"], "Command", "{stage:?}");
    stage.until("it is stalled", |stage| stage.reads("Stalled", "True", "Command")).await;
    settled(&stage, 1).await;
}
