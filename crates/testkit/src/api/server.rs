//! The API server: state, controls for tests, and what tests ask of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kube_client::Client;
use serde_json::Value;
use tokio::sync::watch;

use super::failure::Failure;
use super::faults::{Crash, Delivery, Fault, Match, Rule};
use super::fields::Manager;
use super::kinds::{self, Kind};
use super::log::Request;
use super::store::{Deletion, Key, Store, Version, Write};
use crate::registry::Registry;

/// Decides about each event of each watch.
pub(super) type Tamper = Arc<dyn Fn(&Version) -> Delivery + Send + Sync>;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Power {
    #[default]
    Up,
    Stopped,
    Down,
}

#[derive(Default)]
pub(super) struct Inner {
    pub store: Store,
    pub kinds: Vec<Kind>,
    pub log: Vec<Request>,
    pub power: Power,
    pub rules: Vec<Rule>,
    pub crash: Option<Crash>,
    /// Clients that are dead; `None` in it means all of them.
    pub dead: BTreeSet<Option<String>>,
    pub denied: BTreeSet<(String, String)>,
    pub frozen: BTreeSet<String>,
    pub tampers: BTreeMap<String, Tamper>,
    pub stale: BTreeMap<String, u64>,
    pub compacted: u64,
    /// Counts what breaks open connections: heal, down, closed watches.
    pub epoch: u64,
}

impl Inner {
    pub fn is_dead(&self, agent: &str) -> bool {
        self.dead.iter().any(|d| d.as_deref().is_none_or(|a| a == agent))
    }
}

/// An in-process Kubernetes API server. Clones are handles to the same one.
#[derive(Clone)]
pub struct ApiServer {
    inner: Arc<Mutex<Inner>>,
    changes: watch::Sender<u64>,
    traffic: watch::Sender<u64>,
    registry: Registry,
}

impl fmt::Debug for ApiServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = self.lock();
        f.debug_struct("ApiServer").field("store", &inner.store).field("requests", &inner.log.len()).finish()
    }
}

impl Default for ApiServer {
    fn default() -> Self {
        Self::new()
    }
}

impl ApiServer {
    /// An empty server that serves what a cluster with Gateway API and our CRD serves.
    pub fn new() -> Self {
        let inner = Inner { kinds: kinds::served(), ..Inner::default() };
        crate::clock::now();
        Self {
            inner: Arc::new(Mutex::new(inner)),
            changes: watch::Sender::new(0),
            traffic: watch::Sender::new(0),
            registry: Registry::default(),
        }
    }

    /// A client named `operator`.
    pub fn client(&self) -> Client {
        self.client_as("operator")
    }

    /// A client whose requests stand under this name in the log unless they carry a user agent.
    pub fn client_as(&self, agent: &str) -> Client {
        Client::new(super::service::service(self.clone(), agent.to_owned()), "default")
    }

    /// The image registry that nodes of this cluster pull from.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that something changed, to open watches and to whoever follows [`changes`](Self::changes).
    pub(crate) fn notify(&self) {
        self.changes.send_modify(|n| *n += 1);
    }

    /// Ends a write of the test or of a controller. One that changed nothing wakes nobody, or controllers that
    /// follow the changes would keep each other awake.
    fn finish(&self, inner: MutexGuard<'_, Inner>, before: u64) {
        let changed = inner.store.resource_version() != before;
        drop(inner);
        if changed {
            self.notify();
        }
    }

    /// Becomes ready whenever an object, or a fault, has changed.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Says that a request came or ended. Apart from changes, because controllers do not care.
    pub(super) fn heard(&self) {
        self.traffic.send_modify(|n| *n += 1);
    }

    /// Waits until a question about the server (objects, faults, requests) has the answer yes.
    pub async fn until(&self, mut yes: impl FnMut(&Self) -> bool) {
        let (mut changes, mut traffic) = (self.changes(), self.traffic.subscribe());
        while !yes(self) {
            futures::future::select(pin!(changes.changed()), pin!(traffic.changed())).await;
        }
    }

    // ---- objects, past the API: neither logged nor hit by faults ----

    /// Reads an object.
    pub fn get(&self, plural: &str, namespace: &str, name: &str) -> Option<Value> {
        let inner = self.lock();
        let key = key(&inner, plural, namespace, name);
        inner.store.objects.get(&key).map(|o| (**o).clone())
    }

    /// Reads all objects of a kind, of one namespace or (empty) of all.
    pub fn list(&self, plural: &str, namespace: &str) -> Vec<Value> {
        let inner = self.lock();
        let group = key(&inner, plural, namespace, "").group;
        inner.store.list(&group, plural, namespace, None).iter().map(|o| (**o).clone()).collect()
    }

    /// Creates or replaces an object, status included, as `kubectl` and controllers of the cluster would.
    ///
    /// # Errors
    /// What the API server would refuse, a kind that it does not serve among it.
    pub fn put(&self, actor: &str, object: Value) -> Result<Value, Failure> {
        let mut inner = self.lock();
        let before = inner.store.resource_version();
        let key = key_of(&inner, &object)?;
        let write = direct(actor);
        let result = if inner.store.objects.contains_key(&key) {
            let mut object = object;
            object["metadata"].as_object_mut().map(|m| m.remove("resourceVersion"));
            object["metadata"].as_object_mut().map(|m| m.remove("uid"));
            if object.get("status").is_none()
                && let Some(status) = inner.store.objects.get(&key).and_then(|live| live.get("status"))
            {
                object["status"] = status.clone();
            }
            inner.store.update(&key, object, &write)
        } else {
            inner.store.create(key, object, &write)
        };
        self.finish(inner, before);
        result.map(|o| (*o).clone())
    }

    /// Changes an object in place. False where there is none.
    pub fn edit(
        &self,
        actor: &str,
        plural: &str,
        namespace: &str,
        name: &str,
        change: impl FnOnce(&mut Value),
    ) -> bool {
        let Some(mut object) = self.get(plural, namespace, name) else { return false };
        change(&mut object);
        let mut inner = self.lock();
        let before = inner.store.resource_version();
        let key = key(&inner, plural, namespace, name);
        let changed = inner.store.update(&key, object, &direct(actor)).is_ok();
        self.finish(inner, before);
        changed
    }

    /// Deletes an object (children follow, finalizers hold). False where there is none.
    pub fn delete(&self, actor: &str, plural: &str, namespace: &str, name: &str) -> bool {
        self.end(actor, (plural, namespace, name), &Deletion::default())
    }

    /// Deletes an object and leaves its children without an owner, as `kubectl delete --cascade=orphan` does.
    pub fn orphan(&self, actor: &str, plural: &str, namespace: &str, name: &str) -> bool {
        self.end(actor, (plural, namespace, name), &Deletion { orphan: true, ..Deletion::default() })
    }

    fn end(&self, actor: &str, (plural, namespace, name): (&str, &str, &str), how: &Deletion) -> bool {
        let mut inner = self.lock();
        let before = inner.store.resource_version();
        let key = key(&inner, plural, namespace, name);
        let deleted = inner.store.delete(&key, how, &direct(actor)).is_ok();
        self.finish(inner, before);
        deleted
    }

    /// Refuses creations in a namespace and deletes what is in it.
    pub fn terminate_namespace(&self, namespace: &str) {
        let mut inner = self.lock();
        inner.store.terminating.insert(namespace.to_owned());
        let keys: Vec<Key> = inner.store.objects.keys().filter(|k| k.namespace == namespace).cloned().collect();
        for key in keys {
            // Some are gone by then: their owner took them along.
            let _ = inner.store.delete(&key, &Deletion::default(), &direct("namespace-controller"));
        }
        drop(inner);
        self.notify();
    }

    /// Every version of every object, in order of commit.
    pub fn history(&self) -> Vec<Version> {
        self.lock().store.history.clone()
    }

    /// The versions of one object.
    pub fn versions(&self, plural: &str, namespace: &str, name: &str) -> Vec<Version> {
        let same = |k: &Key| k.plural == plural && k.namespace == namespace && k.name == name;
        self.lock().store.history.iter().filter(|v| same(&v.key)).cloned().collect()
    }

    /// The last commit.
    pub fn resource_version(&self) -> u64 {
        self.lock().store.resource_version()
    }

    // ---- requests ----

    /// Every request, in order of arrival.
    pub fn requests(&self) -> Vec<Request> {
        self.lock().log.clone()
    }

    /// Requests that ask for a change.
    pub fn writes(&self) -> Vec<Request> {
        self.lock().log.iter().filter(|r| r.is_write()).cloned().collect()
    }

    /// Requests that ask for a change and are neither events nor of leases.
    pub fn writes_except_events_and_leases(&self) -> Vec<Request> {
        self.lock().log.iter().filter(|r| r.is_decision()).cloned().collect()
    }

    // ---- what is served ----

    /// Serves one more resource.
    pub fn install(&self, kind: Kind) {
        self.lock().kinds.push(kind);
    }

    /// Serves what a CustomResourceDefinition (as JSON) defines, with the defaults and the pruning of its schema. Its
    /// rules and formats are not checked.
    pub fn install_crd(&self, crd: &Value) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (spec, version) = (&crd["spec"], &crd["spec"]["versions"][0]);
        let (group, plural) = (text(&spec["group"]), text(&spec["names"]["plural"]));
        let kind = Kind {
            group: group.clone(),
            version: text(&version["name"]),
            plural: plural.clone(),
            kind: text(&spec["names"]["kind"]),
            namespaced: spec["scope"] == "Namespaced",
        };
        let mut inner = self.lock();
        inner.kinds.retain(|k| (&k.group, &k.plural) != (&group, &plural));
        inner.kinds.push(kind);
        inner.store.schemas.insert((group, plural), version["schema"]["openAPIV3Schema"].clone());
    }

    /// Serves nothing of a group any more, as where its CRDs are missing.
    pub fn uninstall(&self, group: &str) {
        self.lock().kinds.retain(|k| k.group != group);
    }

    /// A mutating or validating admission hook for a resource; the second argument is the live object.
    pub fn admit(
        &self,
        plural: &str,
        hook: impl Fn(&mut Value, Option<&Value>) -> Result<(), Failure> + Send + Sync + 'static,
    ) {
        self.lock().store.admission.push((plural.to_owned(), Arc::new(hook)));
    }

    // ---- faults ----

    /// Lets requests fail.
    pub fn fault(&self, matcher: Match, fault: Fault) {
        self.lock().rules.push(Rule { matcher, fault, seen: 0 });
    }

    /// The operator dies before its k-th write (from 1, counted from now, events and leases left out) is committed.
    pub fn crash_before(&self, k: usize) {
        self.crash(Match::decisions(), k, false);
    }

    /// The operator dies after its k-th write is committed and before it hears of it.
    pub fn crash_after(&self, k: usize) {
        self.crash(Match::decisions(), k, true);
    }

    /// The general form: at the k-th request that matches. With [`Match::agent`] only that client dies.
    pub fn crash(&self, matcher: Match, k: usize, commits: bool) {
        self.lock().crash = Some(Crash { matcher, k, commits, seen: 0 });
    }

    /// Whether a crash has happened.
    pub fn crashed(&self) -> bool {
        !self.lock().dead.is_empty()
    }

    /// Waits for the crash. The test then drops the operator, calls [`heal`](Self::heal) and starts a new one.
    pub async fn wait_crashed(&self) {
        self.until(Self::crashed).await;
    }

    /// Ends every fault: crashes, rules, refusals of rights, frozen watches, stops. Hanging requests break.
    pub fn heal(&self) {
        let mut inner = self.lock();
        inner.epoch += 1;
        inner.power = Power::Up;
        inner.rules.clear();
        inner.crash = None;
        inner.dead.clear();
        inner.denied.clear();
        inner.frozen.clear();
        inner.tampers.clear();
        inner.stale.clear();
        drop(inner);
        self.notify();
    }

    fn set(&self, change: impl FnOnce(&mut Inner)) {
        change(&mut self.lock());
        self.notify();
    }

    /// SIGSTOP: requests and watches hang until [`resume`](Self::resume), which then serves them.
    pub fn stop(&self) {
        self.set(|inner| inner.power = Power::Stopped);
    }

    /// SIGKILL: connections are refused and open watches break until [`resume`](Self::resume).
    pub fn down(&self) {
        self.set(|inner| {
            inner.power = Power::Down;
            inner.epoch += 1;
        });
    }

    /// Ends [`stop`](Self::stop) and [`down`](Self::down).
    pub fn resume(&self) {
        self.set(|inner| inner.power = Power::Up);
    }

    /// Takes a right away: 403, and access reviews say so. `*` stands for every verb or resource.
    pub fn deny(&self, verb: &str, plural: &str) {
        self.set(|inner| {
            inner.denied.insert((verb.to_owned(), plural.to_owned()));
        });
    }

    /// Gives it back.
    pub fn allow(&self, verb: &str, plural: &str) {
        self.set(|inner| {
            inner.denied.remove(&(verb.to_owned(), plural.to_owned()));
        });
    }

    /// Watches of this resource stay open and say nothing, not even that they end.
    pub fn freeze_watch(&self, plural: &str) {
        self.set(|inner| {
            inner.frozen.insert(plural.to_owned());
        });
    }

    /// Frozen watches go on where they stood.
    pub fn thaw_watch(&self, plural: &str) {
        self.set(|inner| {
            inner.frozen.remove(plural);
        });
    }

    /// Drops, doubles or delays events of watches of this resource. The closure sees each event of each watch.
    pub fn tamper_watch(&self, plural: &str, tamper: impl Fn(&Version) -> Delivery + Send + Sync + 'static) {
        self.set(|inner| {
            inner.tampers.insert(plural.to_owned(), Arc::new(tamper));
        });
    }

    /// Reads of this resource come from an older resourceVersion: another API server that lags. Writes do not.
    pub fn stale_reads(&self, plural: &str, resource_version: u64) {
        self.set(|inner| {
            inner.stale.insert(plural.to_owned(), resource_version);
        });
    }

    /// Ends [`stale_reads`](Self::stale_reads).
    pub fn fresh_reads(&self, plural: &str) {
        self.set(|inner| {
            inner.stale.remove(plural);
        });
    }

    /// Forgets old versions for watches: those that ask for them get 410 and must list again. The history stays.
    pub fn compact(&self) {
        self.set(|inner| inner.compacted = inner.store.resource_version());
    }

    /// The kind of a served resource.
    pub(super) fn kind(&self, group: &str, plural: &str) -> String {
        let inner = self.lock();
        let kind = inner.kinds.iter().find(|k| k.group == group && k.plural == plural);
        kind.map(|k| k.kind.clone()).unwrap_or_default()
    }

    /// Five characters as generateName appends them.
    pub(crate) fn suffix(&self) -> String {
        self.lock().store.suffix()
    }
}

fn direct(actor: &str) -> Write<'_> {
    let manager = Manager { name: actor, apply: false, subresource: "" };
    Write { manager, request: None, dry_run: false, applied: None }
}

/// The key of a served resource. Where two groups share a plural (events), the core one is meant.
fn key(inner: &Inner, plural: &str, namespace: &str, name: &str) -> Key {
    let kind = inner.kinds.iter().find(|k| k.plural == plural);
    let namespace = if kind.is_some_and(|k| !k.namespaced) { "" } else { namespace };
    let group = kind.map(|k| k.group.clone()).unwrap_or_default();
    Key { group, plural: plural.to_owned(), namespace: namespace.to_owned(), name: name.to_owned() }
}

fn key_of(inner: &Inner, object: &Value) -> Result<Key, Failure> {
    let api_version = object["apiVersion"].as_str().unwrap_or_default();
    let group = api_version.rsplit_once('/').map_or("", |(group, _)| group);
    let kind = inner.kinds.iter().find(|k| k.group == group && object["kind"] == k.kind.as_str());
    let Some(kind) = kind else {
        return Err(Failure::new(404, format!("no matches for kind {} in {api_version}", object["kind"])));
    };
    let text = |field: &str| super::store::meta(object, field).to_owned();
    let namespace = match text("namespace") {
        _ if !kind.namespaced => String::new(),
        empty if empty.is_empty() => "default".to_owned(),
        given => given,
    };
    Ok(Key { group: kind.group.clone(), plural: kind.plural.clone(), namespace, name: text("name") })
}
