//! The shell around the core.
//!
//! ```text
//! watches ─▶ cache ─observe─▶ lens ─▶ World ─┐
//! Prometheus ─▶ mailbox ─fold─▶ judge ───────┴─▶ decide ─▶ apply (one request) ─▶ report ─▶ sleep
//! ```
//!
//! Every rollout is a task of its own ([`fleet`]) that runs the pipeline of [`driver`] when something it depends on
//! changed, when its plan asked for it, or when an answer of Prometheus arrived. Everything that touches the outside
//! comes in through [`Context`], so that tests bring their own API server, Prometheus and clock.

mod apply;
mod brake;
pub mod cache;
pub mod clock;
pub mod cluster;
pub mod decode;
mod driver;
pub mod error;
mod evidence;
pub mod fleet;
mod gateway;
pub mod health;
pub mod hostnames;
pub mod lease;
pub mod logs;
mod member;
pub mod metrics;
mod observe;
mod poll;
mod report;
pub mod scheduler;
pub mod trace;
mod watch;

use std::sync::Arc;

use kube_client::Client;
use kube_runtime::events::{Recorder, Reporter};
use microapp_api::labels;
use microapp_core::build::Kind;
use microapp_telemetry::{PriceTable, Prometheus};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    clock::Clock,
    cluster::Cluster,
    fleet::Fleet,
    health::Gates,
    hostnames::Hostnames,
    lease::{Candidate, Leadership},
    metrics::Metrics,
    scheduler::Scheduler,
};

/// Everything that an operator needs from outside.
#[derive(Clone)]
pub struct Context {
    /// The API server.
    pub cluster: Cluster,
    /// Whoever answers the gates' questions.
    pub prometheus: Arc<Scheduler>,
    /// USD per million tokens.
    pub prices: Arc<PriceTable>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The namespaces to work in; empty = all.
    pub namespaces: Vec<String>,
    /// The host names that rollouts may claim.
    pub hostnames: Hostnames,
    /// Writes that may be under way at the same time; lowering does not count.
    pub concurrency: usize,
    /// Who we are, in events and in the lease: different for each process.
    pub identity: String,
    /// Namespace and name of the lease; none = no election.
    pub lease: Option<(String, String)>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// For events.
    recorder: Recorder,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("namespaces", &self.namespaces)
            .field("identity", &self.identity)
            .field("lease", &self.lease)
            .finish_non_exhaustive()
    }
}

impl Context {
    /// With the given API server, Prometheus and clock; all namespaces, no election. Neither client may repeat calls by
    /// itself (see [`cluster`]); `urgent` may be the same one.
    pub fn new(
        client: Client,
        urgent: Client,
        prometheus: Arc<dyn Prometheus>,
        prices: Arc<PriceTable>,
        clock: Arc<dyn Clock>,
        identity: String,
    ) -> Self {
        let reporter = Reporter { controller: labels::MANAGER.to_owned(), instance: Some(identity.clone()) };
        Self {
            recorder: Recorder::new(client.clone(), reporter),
            cluster: Cluster::new(client, urgent),
            prometheus: Scheduler::new(prometheus),
            prices,
            clock,
            namespaces: Vec::new(),
            hostnames: Hostnames::default(),
            concurrency: 32,
            identity,
            lease: None,
            metrics: Arc::new(Metrics::new()),
        }
    }
}

/// Runs until `stop`: then passes finish, and the lease is given back. `gates` says meanwhile how far the start is.
pub async fn run(context: Context, gates: Arc<Gates>, stop: CancellationToken) {
    let context = Arc::new(context);
    // The lease outlives the passes, so that none of them runs without it.
    let end = CancellationToken::new();
    let lease = TaskTracker::new();
    gates.expect(&context.namespaces);
    let fitness = gates.fitness_changes(end.clone());
    let leadership = match &context.lease {
        None => Leadership::alone(),
        Some((namespace, name)) => {
            let candidate = Candidate {
                client: context.cluster.urgent(),
                namespace: namespace.clone(),
                name: name.clone(),
                identity: context.identity.clone(),
                clock: context.clock.clone(),
            };
            let (leadership, competing) = candidate.run_while(fitness, end.clone());
            lease.spawn(competing);
            leadership
        }
    };
    gates.lead(leadership.clone());
    let fleet = Arc::new(Fleet::new(context.clone(), leadership, gates.clone(), stop.clone()));
    let watches = TaskTracker::new();
    let scopes = if context.namespaces.is_empty() {
        vec![None]
    } else {
        context.namespaces.iter().map(|namespace| Some(namespace.clone())).collect()
    };
    for scope in scopes {
        for kind in Kind::ALL {
            watches.spawn(watch::watch(fleet.clone(), kind, scope.clone(), stop.clone()));
        }
    }
    watches.close();
    watches.spawn(gateway::check(context.clone(), gates, stop.clone()));
    stop.cancelled().await;
    fleet.finish().await;
    watches.wait().await;
    end.cancel();
    lease.close();
    lease.wait().await;
}
