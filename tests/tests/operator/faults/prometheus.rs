//! Prometheus is slow, answers twice, loses what it had; processes count from zero again.

use std::time::Duration;

use microapp_testkit::{Pods, Profile, PromFault};
use tokio::time::sleep;

use super::{MINUTE, at_25_percent, at_five_percent, fails, promoted, reverted, reverts, stable};
use crate::{prometheus::holds, stage::Stage};

#[tokio::test(start_paused = true)]
async fn a_prometheus_that_needs_three_seconds_delays_a_rollback_by_no_more_than_that() {
    let stage = at_five_percent().await;
    stage.prometheus.fault(Some(PromFault::Slow(Duration::from_secs(3))));
    reverts(&stage, Duration::from_secs(30)).await;
    let stage = stable().await;
    stage.prometheus.fault(Some(PromFault::Slow(Duration::from_secs(3))));
    stage.upgrade(2);
    promoted(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn while_answers_come_later_than_is_waited_for_nothing_moves() {
    holds(PromFault::Slow(Duration::from_secs(15))).await;
}

/// As from two replicas without deduplication: what is one process counts once.
#[tokio::test(start_paused = true)]
async fn series_that_come_twice_count_once() {
    let stage = at_five_percent().await;
    stage.prometheus.fault(Some(PromFault::Twice));
    fails(&stage);
    reverted(&stage, MINUTE).await;
    let bad: i64 = stage.prometheus.users()[&stage.revision(2)].bad.try_into().unwrap();
    let counted = stage.aborted()["canary"][0].as_i64().unwrap();
    assert!(counted <= bad, "{counted} of {bad}");
    let stage = stable().await;
    stage.prometheus.fault(Some(PromFault::Twice));
    stage.upgrade(2);
    promoted(&stage).await;
}

/// It starts again without its newest block: a minute of samples is gone, and half a minute was never scraped.
async fn loses_its_head(stage: &Stage) {
    stage.prometheus.lose(MINUTE);
    stage.prometheus.fault(Some(PromFault::Stale));
    sleep(Duration::from_secs(15)).await;
    stage.prometheus.fault(Some(PromFault::Refuse));
    sleep(Duration::from_secs(15)).await;
    stage.prometheus.fault(None);
}

#[tokio::test(start_paused = true)]
async fn a_prometheus_that_lost_its_head_delays_a_promotion() {
    let stage = at_25_percent().await;
    loses_its_head(&stage).await;
    promoted(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn a_prometheus_that_lost_its_head_delays_a_rollback() {
    let stage = at_five_percent().await;
    fails(&stage);
    sleep(Duration::from_secs(1)).await;
    loses_its_head(&stage).await;
    reverted(&stage, MINUTE).await;
}

#[tokio::test(start_paused = true)]
async fn counters_that_begin_again_are_counted_on() {
    let stage = at_25_percent().await;
    stage.controllers.restart(&Pods::All);
    sleep(Duration::from_secs(20)).await;
    stage.controllers.restart(&Pods::All);
    promoted(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn a_canary_that_fails_is_reverted_though_its_counters_begin_again() {
    let stage = at_five_percent().await;
    stage.profile(2, Profile { error_rate: 0.3, ..Profile::default() });
    for _ in 0..3 {
        sleep(Duration::from_secs(4)).await;
        stage.controllers.restart(&Pods::All);
    }
    stage.within(MINUTE, "it is reverted", |stage| !stage.aborted().is_null()).await;
    assert_eq!(stage.weights().last(), Some(&0), "{stage:?}");
}
