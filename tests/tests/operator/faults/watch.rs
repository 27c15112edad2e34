//! What watches do not bring, or bring late, twice and in another order.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use microapp_testkit::{Delivery, Profile, PromFault, Version};
use tokio::time::sleep;

use super::{MINUTE, at_25_percent, at_five_percent, promoted, reverted, stable};
use crate::{
    invariants,
    stage::{NAME, NS, Stage},
};

/// Everything that the operator watches.
const KINDS: [&str; 7] =
    ["microapprollouts", "httproutes", "deployments", "services", "controllerrevisions", "pods", "configmaps"];

/// What becomes of the n-th event, of all kinds together.
fn tamper(stage: &Stage, how: fn(u64) -> Delivery) {
    for kind in KINDS {
        let count = AtomicU64::new(0);
        stage.server.tamper_watch(kind, move |_: &Version| how(count.fetch_add(1, Relaxed)));
    }
}

/// A promotion and a rollback with every watch bent like this.
async fn bends(how: fn(u64) -> Delivery) {
    let stage = stable().await;
    tamper(&stage, how);
    stage.upgrade(2);
    promoted(&stage).await;
    fails_again(&stage).await;
}

/// A third revision, which fails.
async fn fails_again(stage: &Stage) {
    stage.prometheus.set_rps(60.0);
    sleep(MINUTE).await;
    stage.profile(3, Profile { error_rate: 1.0, ..Profile::default() });
    stage.upgrade(3);
    stage.until("it is stalled", |stage| stage.reads("Stalled", "True", "GateFailed")).await;
    super::settled(stage, 2).await;
}

/// No two neighbours wait for the same time, so that they change places.
fn mixed(n: u64) -> Delivery {
    Delivery::Late(Duration::from_millis(n.wrapping_mul(2_654_435_761) % 3_000))
}

fn late(_: u64) -> Delivery {
    Delivery::Late(Duration::from_secs(3))
}

fn twice(_: u64) -> Delivery {
    Delivery::Twice
}

#[tokio::test(start_paused = true)]
async fn events_that_come_three_seconds_late_change_no_decision() {
    bends(late).await;
}

#[tokio::test(start_paused = true)]
async fn events_that_come_twice_change_no_decision() {
    bends(twice).await;
}

#[tokio::test(start_paused = true)]
async fn events_that_overtake_each_other_change_no_decision() {
    bends(mixed).await;
}

/// What was lost nobody brings again but the next event of the object, so a step may take longer; nothing wrong is done.
#[tokio::test(start_paused = true)]
async fn events_that_are_lost_delay_and_never_raise() {
    fn fourth(n: u64) -> Delivery {
        if n % 4 == 3 { Delivery::Drop } else { Delivery::Send }
    }
    let mut stage = at_five_percent().await;
    tamper(&stage, fourth);
    sleep(MINUTE * 5).await;
    invariants::hold(&stage, &[5.0, 25.0, 100.0], false);
    // A watch that begins anew brings everything.
    stage.server.heal();
    stage.operators.remove(0).end().await;
    stage.start();
    promoted(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn a_breach_is_reverted_though_a_quarter_of_all_events_is_lost() {
    let stage = at_five_percent().await;
    tamper(&stage, |n| if n % 4 == 1 { Delivery::Drop } else { Delivery::Send });
    super::fails(&stage);
    stage.within(MINUTE, "it is reverted", |stage| stage.aborted()["cause"] == "GateFailed").await;
    assert_eq!(stage.weights().last(), Some(&0), "{stage:?}");
}

/// A watch that says nothing is noticed after 35 s; from then on nothing is raised on what was known.
#[tokio::test(start_paused = true)]
async fn watches_that_say_nothing_raise_nothing_on_old_data_and_lower_all_the_same() {
    for kind in ["microapprollouts", "pods", "deployments"] {
        let stage = stable().await;
        stage.edit(|spec| spec["strategy"]["steps"][0]["dwell"] = "45s".into());
        stage.upgrade(2);
        stage.until("the first step", |stage| stage.weights() == [95, 5]).await;
        stage.server.freeze_watch(kind);
        sleep(MINUTE * 3).await;
        assert_eq!(stage.weights(), [95, 5], "{kind}\n{stage:?}");
        super::fails(&stage);
        stage.within(MINUTE, "it is reverted", |stage| stage.aborted()["cause"] == "GateFailed").await;
        stage.server.thaw_watch(kind);
        reverted(&stage, MINUTE).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_of_the_route_that_says_nothing_loses_no_rollback() {
    let stage = at_five_percent().await;
    stage.server.freeze_watch("httproutes");
    reverts_frozen(&stage).await;
}

async fn reverts_frozen(stage: &Stage) {
    super::fails(stage);
    stage.within(MINUTE, "it is reverted", |stage| stage.aborted()["cause"] == "GateFailed").await;
    stage.server.thaw_watch("httproutes");
    reverted(stage, MINUTE).await;
}

/// A person's word reaches who cannot hear by the list that follows a silence.
#[tokio::test(start_paused = true)]
async fn an_abort_that_no_watch_brings_is_carried_out_when_the_silence_is_noticed() {
    let stage = at_five_percent().await;
    // Nothing else is written that would bring it.
    stage.prometheus.fault(Some(PromFault::Refuse));
    sleep(Duration::from_secs(20)).await;
    stage.server.freeze_watch("microapprollouts");
    stage.command("abort", "a1");
    stage.within(Duration::from_secs(45), "weight 0", |stage| stage.weights() == [100, 0]).await;
    stage.server.thaw_watch("microapprollouts");
    stage.until("it is stalled", |stage| stage.reads("Stalled", "True", "Command")).await;
    super::settled(&stage, 1).await;
}

/// Another API server behind the same address lags: the new process reads a world of some steps ago.
#[tokio::test(start_paused = true)]
async fn a_restart_against_an_api_server_that_lags_writes_nothing_on_what_it_reads() {
    let mut stage = stable().await;
    stage.upgrade(2);
    stage.until("the first step", |stage| stage.weights() == [95, 5]).await;
    let then = stage.server.resource_version();
    stage.until("the second step", |stage| stage.weights() == [75, 25]).await;
    stage.operators.remove(0).end().await;
    for kind in KINDS {
        stage.server.stale_reads(kind, then);
    }
    let before = stage.server.versions("httproutes", NS, NAME).len();
    stage.start();
    sleep(MINUTE * 2).await;
    let ours = stage.server.versions("httproutes", NS, NAME).split_off(before);
    assert!(ours.iter().all(|version| version.actor != "microapp-operator"), "{stage:?}");
    for kind in KINDS {
        stage.server.fresh_reads(kind);
    }
    promoted(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn a_rollback_against_an_api_server_that_lags_comes_when_it_has_caught_up() {
    let mut stage = at_25_percent().await;
    let then = stage.server.resource_version();
    stage.operators.remove(0).end().await;
    for kind in KINDS {
        stage.server.stale_reads(kind, then - 20);
    }
    stage.start();
    super::fails(&stage);
    sleep(MINUTE).await;
    for kind in KINDS {
        stage.server.fresh_reads(kind);
    }
    reverted(&stage, Duration::from_secs(30)).await;
}

/// What a watch asks for is not kept any more: it lists again.
#[tokio::test(start_paused = true)]
async fn a_compaction_in_mid_rollout_is_a_new_list() {
    let stage = at_five_percent().await;
    stage.server.down();
    stage.server.compact();
    sleep(Duration::from_secs(3)).await;
    stage.server.resume();
    promoted(&stage).await;
}
