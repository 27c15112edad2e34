//! `/healthz`, `/readyz` with its gates by name, `/metrics`.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
    routing::get,
};
use microapp_core::build::Kind;
use tokio::{net::TcpListener, sync::watch};
use tokio_util::sync::CancellationToken;

use crate::{lease::Leadership, metrics::Metrics};

/// What the start waits for.
#[derive(Debug)]
pub struct Gates {
    missing: watch::Sender<BTreeSet<(Kind, Option<String>)>>,
    leadership: Mutex<Option<Leadership>>,
}

impl Default for Gates {
    fn default() -> Self {
        Self::new()
    }
}

impl Gates {
    /// All closed.
    pub fn new() -> Self {
        // Until the fleet says which watches there are, one stands for all.
        let missing = BTreeSet::from([(Kind::Rollout, None)]);
        Self { missing: watch::channel(missing).0, leadership: Mutex::default() }
    }

    /// Which watches there will be.
    pub(crate) fn expect(&self, namespaces: &[String]) {
        let scopes: Vec<_> =
            if namespaces.is_empty() { vec![None] } else { namespaces.iter().cloned().map(Some).collect() };
        let all = Kind::ALL.into_iter().flat_map(|kind| scopes.iter().map(move |scope| (kind, scope.clone())));
        self.missing.send_replace(all.collect());
    }

    pub(crate) fn listed(&self, kind: Kind, scope: Option<&str>) {
        self.missing.send_if_modified(|missing| missing.remove(&(kind, scope.map(str::to_owned))));
    }

    pub(crate) async fn synced(&self) {
        let mut missing = self.missing.subscribe();
        // The sender lives as long as we do.
        let _ = missing.wait_for(BTreeSet::is_empty).await;
    }

    pub(crate) fn lead(&self, leadership: Leadership) {
        *self.leadership.lock().unwrap_or_else(PoisonError::into_inner) = Some(leadership);
    }

    /// The gates by name: our own CRD is served, the caches are filled, the lease is ours or somebody else's.
    pub fn open(&self) -> BTreeMap<&'static str, bool> {
        let missing = self.missing.borrow();
        let lease = self.leadership.lock().unwrap_or_else(PoisonError::into_inner);
        BTreeMap::from([
            ("crd", !missing.iter().any(|(kind, _)| *kind == Kind::Rollout)),
            ("caches", missing.is_empty()),
            ("lease", lease.as_ref().is_some_and(Leadership::is_known)),
        ])
    }

    fn leads(&self) -> bool {
        let lease = self.leadership.lock().unwrap_or_else(PoisonError::into_inner);
        lease.as_ref().is_some_and(|lease| lease.term().is_some())
    }
}

#[derive(Clone)]
struct Shared {
    gates: Arc<Gates>,
    metrics: Arc<Metrics>,
}

/// Serves until `stop`.
pub async fn serve(
    listener: TcpListener,
    gates: Arc<Gates>,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(show))
        .with_state(Shared { gates, metrics });
    axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await
}

async fn ready(State(shared): State<Shared>) -> impl IntoResponse {
    let gates = shared.gates.open();
    let open = gates.values().all(|open| *open);
    let lines = gates.iter().map(|(gate, open)| format!("{gate} {}\n", if *open { "ok" } else { "not yet" }));
    (if open { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, lines.collect::<String>())
}

async fn show(State(shared): State<Shared>) -> impl IntoResponse {
    shared.metrics.leads(shared.gates.leads());
    ([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], shared.metrics.encode())
}
