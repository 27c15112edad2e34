//! Prometheus away or out of its mind: the weight stays, whatever it says; what was seen counts all the same.

use std::time::Duration;

use microapp_testkit::{Profile, PromFault, Traffic};
use tokio::time::sleep;

use crate::{
    invariants,
    stage::{NAME, NS, Stage, short},
};

const STEPS: [f64; 3] = [1.0, 25.0, 100.0];
/// Longer than the step would need.
const AWAY: Duration = Duration::from_secs(600);

/// Nothing moves while it lasts, and the ramp goes on afterwards.
pub async fn holds(fault: PromFault) {
    let stage = Stage::at_one_percent().await;
    stage.prometheus.fault(Some(fault));
    sleep(AWAY).await;
    assert_eq!(stage.weights(), [99, 1], "{stage:?}");
    assert!(stage.aborted().is_null() && stage.condition("Reconciling").is_some(), "{stage:?}");
    stage.prometheus.fault(None);
    invariants::promoted(&stage, 2, &STEPS).await;
}

#[tokio::test(start_paused = true)]
async fn while_prometheus_refuses_connections_nothing_moves() {
    holds(PromFault::Refuse).await;
}

#[tokio::test(start_paused = true)]
async fn while_prometheus_hangs_nothing_moves() {
    holds(PromFault::Hang).await;
}

#[tokio::test(start_paused = true)]
async fn while_a_login_page_answers_nothing_moves() {
    holds(PromFault::Html).await;
}

#[tokio::test(start_paused = true)]
async fn while_prometheus_answers_503_nothing_moves() {
    holds(PromFault::Status(503)).await;
}

#[tokio::test(start_paused = true)]
async fn while_the_answers_are_empty_nothing_moves() {
    holds(PromFault::Empty).await;
}

#[tokio::test(start_paused = true)]
async fn while_every_value_is_no_number_nothing_moves() {
    holds(PromFault::Nan).await;
}

#[tokio::test(start_paused = true)]
async fn while_the_answers_are_partial_nothing_moves() {
    holds(PromFault::Partial).await;
}

#[tokio::test(start_paused = true)]
async fn while_nothing_is_scraped_nothing_moves() {
    holds(PromFault::Stale).await;
}

#[tokio::test(start_paused = true)]
async fn while_the_clocks_disagree_nothing_moves() {
    holds(PromFault::Skew(-90_000)).await;
}

#[tokio::test(start_paused = true)]
async fn while_the_answers_are_too_large_nothing_moves() {
    holds(PromFault::Huge(9 << 20)).await;
}

/// A server in trouble is left alone: what would ask for data is answered from what is known of it.
#[tokio::test(start_paused = true)]
async fn while_prometheus_answers_503_one_cheap_question_a_second_is_all_that_it_gets() {
    let stage = Stage::at_one_percent().await;
    stage.prometheus.fault(Some(PromFault::Status(503)));
    let before = stage.prometheus.queries().len();
    sleep(AWAY).await;
    let asked = stage.prometheus.queries().split_off(before);
    let probes = asked.iter().filter(|(_, query)| query == "vector(1)").count();
    let others = asked.len() - probes;
    assert!((300..=600).contains(&probes) && others <= 6, "{probes} probes, {others} questions");
}

#[tokio::test(start_paused = true)]
async fn a_breach_that_began_before_prometheus_went_away_is_found_when_it_is_back() {
    let stage = Stage::at_one_percent().await;
    stage.profile(2, Profile { error_rate: 0.1, ..Profile::default() });
    sleep(Duration::from_secs(6)).await;
    stage.prometheus.fault(Some(PromFault::Refuse));
    sleep(AWAY).await;
    assert!(stage.aborted().is_null() && stage.weights() == [99, 1], "{stage:?}");
    stage.prometheus.fault(None);
    stage.within(Duration::from_secs(15), "it is reverted", |stage| stage.aborted()["cause"] == "GateFailed").await;
    stage.rests().await;
    assert!(stage.stable_is(1));
    invariants::hold(&stage, &STEPS, false);
    invariants::status_follows(&stage);
}

#[tokio::test(start_paused = true)]
async fn a_breach_is_found_although_the_scrapes_became_rarer_in_mid_attempt() {
    let traffic = Traffic::new(NS, NAME).rps(100.0).scrape(Duration::from_secs(1));
    let stage = Stage::seeded(short(), traffic).await;
    stage.upgrade(2);
    stage.until("the first step", |stage| stage.weights() == [99, 1]).await;
    sleep(Duration::from_secs(3)).await;
    stage.prometheus.set_scrape(Duration::from_secs(5));
    sleep(Duration::from_secs(3)).await;
    let before = stage.writes();
    stage.profile(2, Profile { error_rate: 0.2, ..Profile::default() });
    let reverted = |stage: &Stage| stage.aborted()["cause"] == "GateFailed";
    stage.within(Duration::from_secs(120), "it is reverted", reverted).await;
    let writes = stage.writes() - before;
    assert!(writes <= 8, "{writes} writes while nothing but numbers changed\n{stage:?}");
    stage.rests().await;
    assert!(stage.stable_is(1));
    invariants::hold(&stage, &STEPS, false);
    invariants::status_follows(&stage);
}

#[tokio::test(start_paused = true)]
async fn a_good_canary_is_promoted_although_the_scrapes_became_rarer_in_mid_attempt() {
    let traffic = Traffic::new(NS, NAME).rps(100.0).scrape(Duration::from_secs(1));
    let stage = Stage::seeded(short(), traffic).await;
    let before = stage.writes();
    stage.upgrade(2);
    stage.until("the first step", |stage| stage.weights() == [99, 1]).await;
    stage.prometheus.set_scrape(Duration::from_secs(10));
    invariants::promoted(&stage, 2, &STEPS).await;
    let writes = stage.writes() - before;
    assert!(writes <= 40, "{writes} writes\n{stage:?}");
}

#[tokio::test(start_paused = true)]
async fn nothing_starts_before_prometheus_has_answered() {
    let stage = Stage::stable(short(), 100.0).await;
    stage.prometheus.fault(Some(PromFault::Refuse));
    stage.upgrade(2);
    stage.until("it says why", |stage| stage.reads("Reconciling", "True", "PrometheusUnavailable")).await;
    sleep(AWAY).await;
    assert_eq!(stage.weights(), [100, 0], "{stage:?}");
    stage.prometheus.fault(None);
    invariants::promoted(&stage, 2, &STEPS).await;
}
