//! Two candidates for one lease, on paused time.
#![allow(clippy::unwrap_used)]

mod common;

use std::{sync::Arc, time::Duration};

use common::TestClock;
use microapp_operator::lease::{Candidate, LENGTH, Leadership, MARGIN};
use microapp_testkit::ApiServer;
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

struct Running {
    leadership: Leadership,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

fn start(server: &ApiServer, identity: &str) -> Running {
    let candidate = Candidate {
        client: server.client_as(identity),
        namespace: "operator".to_owned(),
        name: "lease".to_owned(),
        identity: identity.to_owned(),
        clock: Arc::new(TestClock),
    };
    let stop = CancellationToken::new();
    let (leadership, competing) = candidate.run(stop.clone());
    Running { leadership, stop, task: tokio::spawn(competing) }
}

/// Waits until it leads; how long that took.
async fn leads(running: &Running) -> Duration {
    let begun = Instant::now();
    let mut leadership = running.leadership.clone();
    while leadership.term().is_none() {
        leadership.changed().await;
    }
    begun.elapsed()
}

fn holder(server: &ApiServer) -> String {
    let lease = server.get("leases", "operator", "lease").unwrap();
    lease["spec"]["holderIdentity"].as_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn of_two_who_start_together_one_leads_for_as_long_as_it_renews() {
    let server = ApiServer::new();
    let (a, b) = (start(&server, "a"), start(&server, "b"));
    for _ in 0..60 {
        sleep(Duration::from_secs(1)).await;
        let leaders = [&a, &b].into_iter().filter(|one| one.leadership.term().is_some()).count();
        assert_eq!(leaders, 1);
    }
    assert!(a.leadership.is_known() && b.leadership.is_known());
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_stops_gives_the_lease_back_and_the_other_leads_within_its_next_look() {
    let server = ApiServer::new();
    let a = start(&server, "a");
    leads(&a).await;
    let b = start(&server, "b");
    sleep(Duration::from_secs(5)).await;
    a.stop.cancel();
    a.task.await.unwrap();
    assert!(a.leadership.term().is_none());
    assert!(leads(&b).await <= Duration::from_secs(3));
    assert_eq!(holder(&server), "b");
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_dies_is_succeeded_after_the_length_of_its_lease_and_in_a_new_term() {
    let server = ApiServer::new();
    let a = start(&server, "a");
    leads(&a).await;
    let first = a.leadership.term().unwrap();
    let b = start(&server, "b");
    sleep(Duration::from_secs(20)).await;
    a.task.abort();
    let waited = leads(&b).await;
    // It was renewed up to 2 s ago, and looked at up to 2 s ago.
    let slack = Duration::from_secs(3);
    assert!(waited + slack >= LENGTH && waited <= LENGTH + slack, "{waited:?}");
    assert!(b.leadership.term().unwrap() > first);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_cannot_renew_stops_raising_first_and_steps_down_before_another_can_lead() {
    let server = ApiServer::new();
    let a = start(&server, "a");
    leads(&a).await;
    let b = start(&server, "b");
    sleep(Duration::from_secs(20)).await;
    server.fault(microapp_testkit::Match::any().agent("a"), microapp_testkit::Fault::Error(503));
    let cut = Instant::now();
    let mut stopped_raising = None;
    let mut stepped_down = None;
    while b.leadership.term().is_none() {
        sleep(Duration::from_millis(100)).await;
        if !a.leadership.may_raise() {
            stopped_raising.get_or_insert(cut.elapsed());
        }
        if a.leadership.term().is_none() {
            stepped_down.get_or_insert(cut.elapsed());
        }
    }
    let (raising, down) = (stopped_raising.unwrap(), stepped_down.unwrap());
    assert!(raising <= MARGIN + Duration::from_millis(200), "{raising:?}");
    assert!(raising < down && down < cut.elapsed(), "{raising:?} {down:?} {:?}", cut.elapsed());
    assert!(a.leadership.term().is_none());
}
