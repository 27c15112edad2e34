//! An operator under test: the testkit's API server and clock, and a Prometheus that says nothing.
#![allow(dead_code, clippy::unwrap_used)]

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use microapp_operator::{Context, clock::Clock, health::Gates};
use microapp_telemetry::{Answer, PriceTable, Prometheus, QueryError};
use microapp_testkit::ApiServer;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

#[derive(Clone, Copy, Debug)]
pub struct TestClock;

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        microapp_testkit::clock::now()
    }
}

/// Never answers.
#[derive(Clone, Copy, Debug)]
pub struct Silent;

impl Prometheus for Silent {
    fn query<'a>(&'a self, _: &'a str, _: f64) -> futures::future::BoxFuture<'a, Result<Answer, QueryError>> {
        Box::pin(async { Err(QueryError::Connect) })
    }
}

/// One process.
#[derive(Debug)]
pub struct Operator {
    pub stop: CancellationToken,
    pub task: JoinHandle<()>,
    pub gates: Arc<Gates>,
}

impl Operator {
    pub fn start(server: &ApiServer, identity: &str, prometheus: Arc<dyn Prometheus>) -> Self {
        let client = server.client_as(identity);
        let prices = Arc::new(PriceTable::built_in().unwrap());
        let mut context =
            Context::new(client.clone(), client, prometheus, prices, Arc::new(TestClock), identity.to_owned());
        context.lease = Some(("operator".to_owned(), "microapp-operator".to_owned()));
        let stop = CancellationToken::new();
        let gates = Arc::new(Gates::new());
        let task = tokio::spawn(microapp_operator::run(context, gates.clone(), stop.clone()));
        Self { stop, task, gates }
    }

    /// As SIGTERM does it.
    pub async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

/// A rollout of one container; `version` makes the revision.
pub fn rollout(version: &str) -> Value {
    json!({
        "apiVersion": "microapp.dev/v1alpha1",
        "kind": "MicroAppRollout",
        "metadata": {"namespace": "shop", "name": "invoice"},
        "spec": {
            "replicas": 2,
            "template": {"spec": {"containers": [{
                "name": "app", "image": "registry.local/invoice:1", "ports": [{"containerPort": 8080}],
                "env": [{"name": "V", "value": version}],
            }]}},
            "model": {"provider": "openai", "name": "gpt-5-nano", "version": "2025-08-07"},
            "traffic": {"port": 8080, "gateway": {"parentRefs": [{"name": "public"}], "hostnames": ["a.example.com"]}},
            "strategy": {"steps": [
                {"weight": 1, "dwell": "30s"}, {"weight": 25, "dwell": "30s"}, {"weight": 100, "dwell": "60s"},
            ]},
            "gates": [{"name": "errors", "errorRate": {"max": "1%"}}],
        },
    })
}

/// A condition of the rollout: its status and its reason.
pub fn condition(server: &ApiServer, kind: &str) -> Option<(String, String)> {
    let rollout = server.get("microapprollouts", "shop", "invoice")?;
    let conditions = rollout.pointer("/status/conditions")?.as_array()?;
    let found = conditions.iter().find(|condition| condition["type"] == kind)?;
    Some((found["status"].as_str()?.to_owned(), found["reason"].as_str()?.to_owned()))
}

/// Waits until the condition reads so; panics with the rollout after an hour.
pub async fn until(server: &ApiServer, kind: &str, status: &str, reason: &str) {
    let wanted = Some((status.to_owned(), reason.to_owned()));
    let waiting = server.until(|server| condition(server, kind) == wanted);
    let came = tokio::time::timeout(Duration::from_secs(3600), waiting).await.is_ok();
    assert!(came, "{kind} never was {status}/{reason}: {:#?}", server.get("microapprollouts", "shop", "invoice"));
}

/// Weights of the route, in the order of its backends.
pub fn weights(server: &ApiServer) -> Vec<i64> {
    let route = server.get("httproutes", "shop", "invoice").unwrap_or_default();
    let backends = route.pointer("/spec/rules/0/backendRefs").and_then(Value::as_array).cloned().unwrap_or_default();
    backends.iter().map(|backend| backend["weight"].as_i64().unwrap_or(-1)).collect()
}
