//! Every state that a route had, by watch: what must hold always is checked on all of them, not on samples.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::{AsyncBufReadExt, TryStreamExt};
use http::Request;
use kube_client::Client;
use microapp_lab::demo::View;
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::Cluster;
use crate::cluster::RUNTIME;

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
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl History {
    /// Begins to watch the routes of a namespace that has one.
    pub fn watch(cluster: &Cluster, namespace: &str) -> Self {
        let seen = Arc::default();
        let task = RUNTIME.spawn(follow(cluster.client(), namespace.to_owned(), Arc::clone(&seen)));
        Self { seen, task }
    }

    /// All.
    pub fn all(&self) -> Vec<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
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

async fn follow(client: Client, namespace: String, seen: Arc<Mutex<Vec<Seen>>>) {
    let path = format!("/apis/gateway.networking.k8s.io/v1/namespaces/{namespace}/httproutes");
    let mut version = String::from("0");
    loop {
        let uri = format!("{path}?watch=1&resourceVersion={version}");
        let request = Request::get(uri).body(Vec::new()).unwrap();
        if let Ok(events) = client.request_stream(request).await {
            let events = std::pin::pin!(events);
            let mut events = events.lines();
            while let Ok(Some(event)) = events.try_next().await {
                let Ok(mut event) = serde_json::from_str::<Value>(&event) else { continue };
                let route = event["object"].take();
                if event["type"] != "ADDED" && event["type"] != "MODIFIED" {
                    continue;
                }
                if let Some(known) = route["metadata"]["resourceVersion"].as_str() {
                    known.clone_into(&mut version);
                }
                if let Some(one) = read(route) {
                    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                    let same = |last: &Seen| Seen { t: one.t, ..last.clone() } == one;
                    if !seen.last().is_some_and(same) {
                        seen.push(one);
                    }
                }
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
