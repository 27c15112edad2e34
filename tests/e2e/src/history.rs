//! Every state that a route had, by watch: what must hold always is checked on all of them, not on samples.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::{AsyncBufReadExt, TryStreamExt};
use http::Request;
use kube_client::Client;
use microapp_lab::demo::View;
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::cluster::RUNTIME;
use crate::{Cluster, until};

/// How far behind the API server a watch may be.
const BEHIND: Duration = Duration::from_secs(30);

/// One state of a route.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// When it was seen, in seconds since 1970.
    pub t: f64,
    /// The stable revision.
    pub stable: String,
    /// The revision on trial.
    pub canary: Option<String>,
    /// The attempt.
    pub attempt: i64,
    /// The step.
    pub step: Option<usize>,
    /// The canary's share of the traffic in percent, by the backends' weights.
    pub weight: f64,
}

/// The states so far.
#[derive(Debug)]
pub struct History {
    log: Arc<Mutex<Log>>,
    task: JoinHandle<()>,
}

/// What the watch has told.
#[derive(Debug, Default)]
struct Log {
    seen: Vec<Seen>,
    /// The `resourceVersion` up to which it has; 0 before the first event.
    version: u64,
}

fn lock(log: &Mutex<Log>) -> MutexGuard<'_, Log> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The `resourceVersion` of an object: ordered numbers within one kind (KEP-5504).
fn version(object: &Value) -> Option<u64> {
    object["metadata"]["resourceVersion"].as_str()?.parse().ok()
}

impl History {
    /// Begins to watch the routes of a namespace that has one.
    pub fn watch(cluster: &Cluster, namespace: &str) -> Self {
        let log = Arc::default();
        let task = RUNTIME.spawn(follow(cluster.client(), namespace.to_owned(), Arc::clone(&log)));
        Self { log, task }
    }

    /// Waits until the watch has told of this state of the route: on a busy machine it comes later than an answer that was
    /// asked for.
    pub(crate) fn reach(&self, route: &Value) {
        if let Some(wanted) = version(route) {
            until(BEHIND, "a watch that is as far as the API server", || {
                (lock(&self.log).version >= wanted).then_some(())
            });
        }
    }

    /// All.
    pub fn all(&self) -> Vec<Seen> {
        lock(&self.log).seen.clone()
    }

    /// Those of one attempt.
    pub fn of(&self, attempt: i64) -> Vec<Seen> {
        self.all().into_iter().filter(|seen| seen.attempt == attempt && seen.canary.is_some()).collect()
    }

    /// The weights of one attempt, each once until it changes.
    pub fn weights(&self, attempt: i64) -> Vec<f64> {
        let mut weights: Vec<_> = self.of(attempt).iter().map(|seen| seen.weight).collect();
        weights.dedup();
        weights
    }
}

impl Drop for History {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn follow(client: Client, namespace: String, log: Arc<Mutex<Log>>) {
    let path = format!("/apis/gateway.networking.k8s.io/v1/namespaces/{namespace}/httproutes");
    loop {
        let from = lock(&log).version;
        let request = Request::get(format!("{path}?watch=1&resourceVersion={from}")).body(Vec::new()).unwrap();
        if let Ok(events) = client.request_stream(request).await {
            let events = std::pin::pin!(events);
            let mut events = events.lines();
            while let Ok(Some(event)) = events.try_next().await {
                let Ok(mut event) = serde_json::from_str::<Value>(&event) else { continue };
                let (kind, object) = (event["type"].take(), event["object"].take());
                let mut log = lock(&log);
                let Some(version) = version(&object) else {
                    // Most likely 410: what it asks for is too long ago. The states in between are lost.
                    log.version = 0;
                    break;
                };
                if kind != "DELETED"
                    && let Some(one) = read(object)
                    && !log.seen.last().is_some_and(|last| Seen { t: one.t, ..last.clone() } == one)
                {
                    log.seen.push(one);
                }
                log.version = version;
            }
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn read(route: Value) -> Option<Seen> {
    let t = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let annotation = |name: &str| route["metadata"]["annotations"][format!("microapp.dev/{name}")].as_str();
    let stable = annotation("stable")?.to_owned();
    let canary = annotation("canary").map(str::to_owned);
    let attempt = annotation("attempt")?.parse().ok()?;
    let step = annotation("step").and_then(|step| step.parse().ok());
    let weight = View { route, ..View::default() }.weight();
    Some(Seen { t, stable, canary, attempt, step, weight })
}
