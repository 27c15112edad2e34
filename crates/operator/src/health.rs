//! `/healthz`, `/readyz` with its gates by name, `/metrics`.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
    routing::get,
};
use microapp_core::build::Kind;
use tokio::{
    net::TcpListener,
    sync::watch,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::{lease::Leadership, metrics::Metrics};

/// A watch that has failed for so long is dead: what it brought is old.
const DEAD: Duration = Duration::from_secs(15);

/// How far the start is, and what of it was lost again.
#[derive(Debug)]
pub struct Gates {
    watches: watch::Sender<BTreeMap<(Kind, Scope), Watched>>,
    leadership: Mutex<Option<Leadership>>,
    /// The HTTPRoutes of this cluster lack a field that we write.
    old_gateway: AtomicBool,
}

/// A namespace, or all of them.
type Scope = Option<String>;

/// One watch.
#[derive(Clone, Copy, Debug, Default)]
struct Watched {
    /// Its first list came.
    listed: bool,
    /// Since when it has been failing.
    failing: Option<Instant>,
    /// It was open and said nothing, not even that it ends. A list does not mend that.
    silent: bool,
}

impl Watched {
    fn is_dead(self) -> bool {
        self.failing.is_some_and(|since| since.elapsed() >= DEAD)
    }
}

/// May a process with these caches lead?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fitness {
    /// It sees everything of at least one namespace that it works in.
    Fit,
    /// It did, and does not any more. It leads where nobody else does: a rollback needs no watch.
    Blind,
    /// Its caches were never filled.
    Unready,
}

impl Default for Gates {
    fn default() -> Self {
        Self::new()
    }
}

/// Without these nothing can be decided. Of ConfigMaps only the prompts are asked.
fn is_essential(kind: Kind) -> bool {
    match kind {
        Kind::Rollout | Kind::Route | Kind::Deployment | Kind::Service | Kind::Record | Kind::Pod => true,
        Kind::ConfigMap => false,
    }
}

impl Gates {
    /// All closed.
    pub fn new() -> Self {
        // Until the fleet says which watches there are, one stands for all.
        let watches = BTreeMap::from([((Kind::Rollout, None), Watched::default())]);
        Self { watches: watch::channel(watches).0, leadership: Mutex::default(), old_gateway: AtomicBool::new(false) }
    }

    /// Which watches there will be.
    pub(crate) fn expect(&self, namespaces: &[String]) {
        let scopes: Vec<_> =
            if namespaces.is_empty() { vec![None] } else { namespaces.iter().cloned().map(Some).collect() };
        let all = Kind::ALL.into_iter().flat_map(|kind| scopes.iter().map(move |scope| (kind, scope.clone())));
        self.watches.send_replace(all.map(|id| (id, Watched::default())).collect());
    }

    fn update(&self, kind: Kind, scope: Option<&str>, change: impl FnOnce(&mut Watched) -> bool) {
        self.watches.send_if_modified(|watches| watches.get_mut(&(kind, scope.map(str::to_owned))).is_some_and(change));
    }

    pub(crate) fn listed(&self, kind: Kind, scope: Option<&str>) {
        self.update(kind, scope, |watched| {
            let failing = watched.failing.filter(|_| watched.silent);
            let changed = !watched.listed || watched.failing != failing;
            *watched = Watched { listed: true, failing, ..*watched };
            changed
        });
    }

    /// It brought something, or it could be opened.
    pub(crate) fn alive(&self, kind: Kind, scope: Option<&str>) {
        self.update(kind, scope, |watched| {
            watched.silent = false;
            watched.listed && watched.failing.take().is_some()
        });
    }

    /// It was open and said nothing until long after its end.
    pub(crate) fn silent(&self, kind: Kind, scope: Option<&str>) {
        self.update(kind, scope, |watched| !std::mem::replace(&mut watched.silent, true));
        self.failing(kind, scope);
    }

    pub(crate) fn failing(&self, kind: Kind, scope: Option<&str>) {
        self.update(kind, scope, |watched| {
            let first = watched.failing.is_none();
            watched.failing.get_or_insert_with(Instant::now);
            first
        });
    }

    /// Returns once everything of a namespace was listed. ConfigMaps may be missing where they cannot be listed.
    pub(crate) async fn synced(&self, namespace: &str) {
        let mut watches = self.watches.subscribe();
        let filled = |watches: &BTreeMap<(Kind, Scope), Watched>| {
            watches
                .iter()
                .filter(|((_, scope), _)| scope.as_deref().is_none_or(|scope| scope == namespace))
                .all(|((kind, _), watched)| watched.listed || !is_essential(*kind) && watched.failing.is_some())
        };
        // The sender lives as long as we do.
        let _ = watches.wait_for(filled).await;
    }

    /// Was the first list of this kind brought, in this namespace?
    pub(crate) fn knows(&self, kind: Kind, namespace: &str) -> bool {
        let watches = self.watches.borrow();
        let mut ours = watches
            .iter()
            .filter(|((of, scope), _)| *of == kind && scope.as_deref().is_none_or(|scope| scope == namespace));
        ours.all(|(_, watched)| watched.listed)
    }

    /// Is what is known of this namespace old?
    pub(crate) fn is_blind(&self, namespace: &str) -> bool {
        let watches = self.watches.borrow();
        let mut ours = watches.iter().filter(|((kind, scope), _)| {
            is_essential(*kind) && scope.as_deref().is_none_or(|scope| scope == namespace)
        });
        ours.any(|(_, watched)| watched.is_dead())
    }

    /// One namespace that can be worked in is enough: a missing right in another one stops nobody.
    pub fn fitness(&self) -> Fitness {
        let watches = self.watches.borrow();
        let mut scopes: BTreeMap<&Scope, (bool, bool)> = BTreeMap::new();
        for ((_, scope), watched) in watches.iter().filter(|((kind, _), _)| is_essential(*kind)) {
            let (listed, seen) = scopes.entry(scope).or_insert((true, true));
            *listed &= watched.listed;
            *seen &= !watched.is_dead();
        }
        let filled: Vec<bool> = scopes.values().filter(|(listed, _)| *listed).map(|(_, seen)| *seen).collect();
        match filled.as_slice() {
            [] => Fitness::Unready,
            seen if seen.contains(&true) => Fitness::Fit,
            _ => Fitness::Blind,
        }
    }

    /// The fitness as it changes, looked at every second too, since watches die by time.
    pub(crate) fn fitness_changes(self: &Arc<Self>, stop: CancellationToken) -> watch::Receiver<Fitness> {
        let (sender, receiver) = watch::channel(self.fitness());
        let gates = self.clone();
        tokio::spawn(async move {
            let mut watches = gates.watches.subscribe();
            loop {
                let fitness = gates.fitness();
                sender.send_if_modified(|known| std::mem::replace(known, fitness) != fitness);
                tokio::select! {
                    () = stop.cancelled() => return,
                    _ = watches.changed() => {}
                    () = sleep(Duration::from_secs(1)) => {}
                }
            }
        });
        receiver
    }

    pub(crate) fn lead(&self, leadership: Leadership) {
        *self.leadership.lock().unwrap_or_else(PoisonError::into_inner) = Some(leadership);
    }

    pub(crate) fn gateway_is_old(&self, old: bool) {
        self.old_gateway.store(old, Ordering::Relaxed);
    }

    /// The gates by name: our own CRD is served, the caches are filled, the lease is ours or somebody else's, the
    /// HTTPRoutes have the fields that are written.
    pub fn open(&self) -> BTreeMap<&'static str, bool> {
        let watches = self.watches.borrow();
        let lease = self.leadership.lock().unwrap_or_else(PoisonError::into_inner);
        BTreeMap::from([
            ("crd", watches.iter().any(|((kind, _), watched)| *kind == Kind::Rollout && watched.listed)),
            ("caches", self.fitness() != Fitness::Unready),
            ("lease", lease.as_ref().is_some_and(Leadership::is_known)),
            ("gateway-api", !self.old_gateway.load(Ordering::Relaxed)),
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
