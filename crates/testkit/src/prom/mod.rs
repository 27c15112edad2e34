//! A Prometheus whose samples come from simulated users of a rollout in an [`ApiServer`].

mod answer;
mod eval;
mod http;
mod profile;
mod series;
mod target;
mod world;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use answer::{Answered, PromFault, Refused};
pub use profile::{Profile, Traffic};
pub use world::Users;

use crate::api::ApiServer;
use crate::clock;
use crate::pods::Pods;
use world::World;

#[derive(Debug)]
struct State {
    world: World,
    fault: Option<PromFault>,
    queries: Vec<(Timestamp, String)>,
}

/// The fake Prometheus, and the users whose traffic it sees. It ends when it is dropped.
#[derive(Debug)]
pub struct FakePrometheus {
    shared: Shared,
    task: JoinHandle<()>,
}

/// What the background task and the HTTP server need of it.
#[derive(Clone, Debug)]
struct Shared {
    server: ApiServer,
    state: Arc<Mutex<State>>,
    healed: watch::Sender<u64>,
}

impl Shared {
    /// Brings the world up to the present, then looks at the cluster.
    fn sync(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.world.advance(clock::now_millis());
        state.world.refresh(&self.server);
        state
    }

    /// Notes a query.
    fn asked(&self, promql: &str) -> MutexGuard<'_, State> {
        let mut state = self.sync();
        state.queries.push((clock::now(), promql.to_owned()));
        state
    }
}

impl FakePrometheus {
    /// Starts users and scrapes.
    pub fn start(server: &ApiServer, traffic: Traffic) -> Self {
        let world = World::new(traffic, clock::now_millis());
        let state = State { world, fault: None, queries: vec![] };
        let state = Arc::new(Mutex::new(state));
        let shared = Shared { server: server.clone(), state, healed: watch::Sender::new(0) };
        let follower = shared.clone();
        let task = tokio::spawn(async move {
            let mut changes = follower.server.changes();
            loop {
                changes.mark_unchanged();
                drop(follower.sync());
                if changes.changed().await.is_err() {
                    return;
                }
            }
        });
        Self { shared, task }
    }

    /// Says how pods behave under traffic from now on. Later rules win; without one, [`Profile::default`].
    pub fn profile(&self, which: Pods, profile: Profile) {
        let mut state = self.shared.sync();
        state.world.profiles.push((which, Arc::new(profile)));
        state.world.refresh(&self.shared.server);
    }

    /// Changes the traffic from now on, in requests per second.
    pub fn set_rps(&self, rps: f64) {
        self.shared.sync().world.set_rps(rps);
    }

    /// Changes the scrape interval, from each target's next scrape on.
    pub fn set_scrape(&self, interval: std::time::Duration) {
        self.shared.sync().world.traffic.scrape = interval;
    }

    /// What users got until now, by revision. The empty name: no backend at all.
    pub fn users(&self) -> BTreeMap<String, Users> {
        self.shared.sync().world.users.iter().map(|(revision, users)| (revision.to_string(), *users)).collect()
    }

    /// Every query that was asked, with its time.
    pub fn queries(&self) -> Vec<(Timestamp, String)> {
        self.shared.sync().queries.clone()
    }

    /// Sets what goes wrong, or (with `None`) ends it; hanging queries then break.
    pub fn fault(&self, fault: Option<PromFault>) {
        let mut state = self.shared.sync();
        state.world.scraping = fault != Some(PromFault::Stale);
        state.fault = fault;
        drop(state);
        self.shared.healed.send_modify(|n| *n += 1);
    }

    /// Loses the samples of the last while, as one that is killed before its head block was written.
    pub fn lose(&self, last: std::time::Duration) {
        let until = clock::now_millis() - i64::try_from(last.as_millis()).unwrap_or(i64::MAX);
        self.shared.sync().world.database.lose(until);
    }

    /// Answers an instant query at a time in seconds since 1970, as Prometheus' JSON. Faults of the connection do not
    /// apply; those of the data do.
    pub fn query(&self, promql: &str, time: f64) -> Value {
        drop(self.shared.asked(promql));
        answer::json(&self.shared, promql, (time * 1000.0).round() as i64)
    }

    /// The same with every fault: status, content type and bytes as a client gets them.
    ///
    /// # Errors
    /// When the connection is refused or breaks.
    pub async fn answer(&self, promql: &str, time: f64) -> Result<Answered, Refused> {
        answer::answer(&self.shared, promql, (time * 1000.0).round() as i64).await
    }

    /// Serves HTTP on a free port of 127.0.0.1; returns the base URL. For tests in real time: with a paused clock,
    /// tokio jumps over every timeout while it waits for the network.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn serve(&self) -> std::io::Result<String> {
        http::serve(self.shared.clone()).await
    }
}

impl Drop for FakePrometheus {
    fn drop(&mut self) {
        self.task.abort();
    }
}
