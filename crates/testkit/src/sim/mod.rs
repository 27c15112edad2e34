//! The other controllers of the cluster: Deployments get pods, pods become ready or do not, routes are accepted.
//!
//! A background task that looks at everything again whenever an object changes or a delay is over. Its writes pass the
//! request log and its faults, but stand in the history under the names of the controllers that it plays.

mod deployments;
mod pods;
mod routes;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::api::ApiServer;
use crate::pods::Pods;

/// How long things take.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// From the creation of a pod to the start of its containers.
    pub pull: Duration,
    /// From the start of a container to its readiness.
    pub ready: Duration,
    /// From the start of a container to its crash, where it crashes.
    pub crash: Duration,
    /// From a new generation of a route to the answer of the gateway's controller.
    pub route: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            pull: Duration::from_millis(1500),
            ready: Duration::from_secs(2),
            crash: Duration::from_millis(500),
            route: Duration::from_millis(200),
        }
    }
}

/// What pods do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// They start and become ready.
    Healthy,
    /// They run and are never ready, or no longer.
    Unready,
    /// The process exits, again and again.
    CrashLoop {
        /// Its exit code.
        exit_code: i32,
    },
    /// The process is killed for its memory, again and again.
    OomKilled,
    /// The image cannot be pulled.
    ImagePullBackOff,
    /// No node takes them.
    Unschedulable,
    /// They cannot be created: a quota.
    QuotaExceeded,
}

/// What the gateway's controller says to routes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteAnswer {
    /// Accepted; references resolved where the Services exist.
    Accept,
    /// `Accepted=False` with this reason.
    Refuse(String),
    /// Nothing.
    Silent,
}

/// State of the simulated cluster.
#[derive(Debug)]
pub(super) struct Cluster {
    timing: Timing,
    rules: Vec<(Pods, Behaviour)>,
    answer: RouteAnswer,
    /// So many pods a namespace takes.
    room: Option<usize>,
    pods: HashMap<String, pods::State>,
    /// When the newest generation of a route was first seen, by uid.
    routes: HashMap<String, (i64, Instant)>,
}

impl Cluster {
    /// The last rule that matches wins.
    fn behaviour(&self, pod: &Value, server: &ApiServer) -> Behaviour {
        let rule = self.rules.iter().rev().find(|(which, _)| which.matches(pod, server.registry()));
        rule.map_or(Behaviour::Healthy, |(_, behaviour)| behaviour.clone())
    }
}

/// A handle to the simulated controllers. They end when it is dropped.
#[derive(Debug)]
pub struct Controllers {
    server: ApiServer,
    cluster: Arc<Mutex<Cluster>>,
    task: JoinHandle<()>,
}

impl Controllers {
    /// Starts them on a server.
    pub fn start(server: &ApiServer) -> Self {
        let cluster = Cluster {
            timing: Timing::default(),
            rules: vec![],
            answer: RouteAnswer::Accept,
            room: None,
            pods: HashMap::new(),
            routes: HashMap::new(),
        };
        let cluster = Arc::new(Mutex::new(cluster));
        let task = tokio::spawn(run(server.clone(), Arc::clone(&cluster)));
        Self { server: server.clone(), cluster, task }
    }

    fn change(&self, change: impl FnOnce(&mut Cluster)) {
        change(&mut lock(&self.cluster));
        self.server.notify();
    }

    /// Changes how long things take from now on.
    pub fn timing(&self, timing: Timing) {
        self.change(|c| c.timing = timing);
    }

    /// Says what pods do from now on, those that run already included. Later rules win.
    pub fn behave(&self, which: Pods, behaviour: Behaviour) {
        self.change(|c| c.rules.push((which, behaviour)));
    }

    /// Says what routes are told from now on.
    pub fn answer_routes(&self, answer: RouteAnswer) {
        self.change(|c| c.answer = answer);
    }

    /// So many pods fit into a namespace from now on: a quota.
    pub fn room(&self, pods: Option<usize>) {
        self.change(|c| c.room = pods);
    }

    /// The containers of these pods end and start again once, as after a liveness probe.
    pub fn restart(&self, which: &Pods) {
        let running = self.server.list("pods", "");
        let chosen = running.iter().filter(|p| which.matches(p, self.server.registry()));
        let uids: Vec<String> = chosen.map(|p| uid(p).to_owned()).collect();
        self.change(|c| {
            for uid in uids {
                if let Some(state) = c.pods.get_mut(&uid) {
                    state.restart();
                }
            }
        });
    }
}

impl Drop for Controllers {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(cluster: &Mutex<Cluster>) -> MutexGuard<'_, Cluster> {
    cluster.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn run(server: ApiServer, cluster: Arc<Mutex<Cluster>>) {
    let mut changes = server.changes();
    loop {
        changes.mark_unchanged();
        let wake = look(&server, &mut lock(&cluster));
        let changed = match wake {
            None => changes.changed().await,
            // A delay that is over is a reason to look again as much as a change is.
            Some(at) => tokio::time::timeout_at(at, changes.changed()).await.unwrap_or(Ok(())),
        };
        if changed.is_err() {
            return;
        }
    }
}

/// Lets each controller do what it can now; says when there will be more to do.
fn look(server: &ApiServer, cluster: &mut Cluster) -> Option<Instant> {
    deployments::step(server, cluster);
    let pods = pods::step(server, cluster);
    deployments::report(server, cluster);
    [pods, routes::step(server, cluster)].into_iter().flatten().min()
}

fn uid(object: &Value) -> &str {
    object["metadata"]["uid"].as_str().unwrap_or_default()
}

fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object["metadata"][field].as_str().unwrap_or_default()
}

/// A condition whose transition time moves only when its status does.
fn condition(old: &Value, kind: &str, status: bool, reason: &str, generation: Option<i64>) -> Value {
    let status = if status { "True" } else { "False" };
    let same = old.as_array().into_iter().flatten().find(|c| c["type"] == kind && c["status"] == status);
    let since =
        same.map_or_else(|| crate::clock::rfc3339(crate::clock::now()).into(), |c| c["lastTransitionTime"].clone());
    let mut condition = serde_json::json!({"type": kind, "status": status, "reason": reason, "message": "",
        "lastTransitionTime": since});
    if let Some(generation) = generation {
        condition["observedGeneration"] = generation.into();
    }
    condition
}
