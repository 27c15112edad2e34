//! What the watches said, and above it what our own writes returned, until the watches have it too.
//!
//! One store for all kinds, since all objects are kept as JSON: a field that no type of ours knows is kept, and an
//! object of the wrong shape hurts nobody else.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
};

use microapp_api::labels;
use microapp_core::build::Kind;
use serde_json::Value;
use tokio::time::Instant;

use crate::decode::metadata_alone;

/// So long an object that no watch covers, since it lacks our label, is taken as it was read.
pub const STRANGER: Duration = Duration::from_secs(30);

/// Namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl Key {
    /// Both.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// Of an object.
    pub fn of(object: &Value) -> Self {
        Self::new(meta(object, "namespace"), meta(object, "name"))
    }
}

/// What a watch said.
#[derive(Clone, Debug)]
pub enum Said {
    /// A list begins; it replaces what is known in its scope.
    Init,
    /// An object of that list.
    Listed(Arc<Value>),
    /// An object of that list, or of the watch, that cannot be read: what is known of it stands.
    Unreadable(Key),
    /// The list is complete.
    Listing,
    /// An object is new or changed.
    Applied(Arc<Value>),
    /// An object is gone.
    Deleted(Arc<Value>),
}

/// The store. `None` as scope is all namespaces.
#[derive(Debug, Default)]
pub struct Cache {
    inner: RwLock<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    objects: HashMap<(Kind, Key), Arc<Value>>,
    /// Names by kind, namespace and the rollout of their label.
    index: HashMap<(Kind, Key), BTreeSet<String>>,
    /// Put in by a write while a list ran: the list may be older.
    written: HashSet<(Kind, Key)>,
    seen: HashMap<(Kind, Option<String>), HashSet<Key>>,
    /// Deleted by us; the watch may still speak of them. By uid.
    gone: HashMap<(Kind, Key), String>,
    /// Objects without our label, whoever owns them.
    strangers: HashMap<(Kind, Key), (Arc<Value>, Instant)>,
}

impl Cache {
    /// The object of this name.
    pub fn get(&self, kind: Kind, key: &Key) -> Option<Arc<Value>> {
        let id = (kind, key.clone());
        let inner = self.read();
        let stranger = || inner.strangers.get(&id).map(|(object, _)| object);
        inner.objects.get(&id).or_else(stranger).cloned()
    }

    /// Where the object of this name is one that no watch covers: when it must be read again.
    pub fn stranger(&self, kind: Kind, key: &Key) -> Option<Instant> {
        let id = (kind, key.clone());
        let inner = self.read();
        let (_, at) = inner.strangers.get(&id).filter(|_| !inner.objects.contains_key(&id))?;
        Some(*at + STRANGER)
    }

    /// The objects with the rollout's label.
    pub fn children(&self, kind: Kind, rollout: &Key) -> Vec<Arc<Value>> {
        let inner = self.read();
        let names = inner.index.get(&(kind, rollout.clone())).into_iter().flatten();
        names.filter_map(|name| inner.objects.get(&(kind, Key::new(&rollout.namespace, name))).cloned()).collect()
    }

    /// The rollouts of a namespace.
    pub fn rollouts(&self, namespace: &str) -> Vec<Arc<Value>> {
        self.children(Kind::Rollout, &Key::new(namespace, ""))
    }

    /// What a write or a live read returned, unless something newer is known.
    pub fn put(&self, kind: Kind, object: &Arc<Value>) {
        let object = &match kind {
            Kind::ConfigMap => metadata_alone(object.clone()),
            Kind::Rollout | Kind::Route | Kind::Deployment | Kind::Service | Kind::Record | Kind::Pod => object.clone(),
        };
        let id = (kind, Key::of(object));
        let mut inner = self.write();
        let labelled = kind == Kind::Rollout || rollout_of(object).is_some();
        if !labelled {
            inner.strangers.insert(id, (object.clone(), Instant::now()));
            return;
        }
        if inner.objects.get(&id).is_none_or(|known| !is_newer(known, object)) {
            inner.strangers.remove(&id);
            inner.gone.remove(&id);
            inner.written.insert(id.clone());
            inner.insert(id, object.clone());
        }
    }

    /// A live read of a stranger failed: it is taken as it was, for as long again.
    pub fn keep(&self, kind: Kind, key: &Key) {
        if let Some((_, at)) = self.write().strangers.get_mut(&(kind, key.clone())) {
            *at = Instant::now();
        }
    }

    /// A live read found that there is none of this name.
    pub fn forget(&self, kind: Kind, key: &Key) {
        let id = (kind, key.clone());
        let mut inner = self.write();
        inner.strangers.remove(&id);
        inner.remove(&id);
    }

    /// A delete of ours succeeded.
    pub fn deleted(&self, kind: Kind, key: &Key) {
        let id = (kind, key.clone());
        let mut inner = self.write();
        if let Some(object) = inner.objects.get(&id) {
            let uid = meta(object, "uid").to_owned();
            inner.gone.insert(id.clone(), uid);
        }
        inner.remove(&id);
    }

    /// What a watch said. Answers whose objects changed: each by the key of the object and that of its rollout.
    pub fn hear(&self, kind: Kind, scope: Option<&str>, said: &Said) -> Vec<Arc<Value>> {
        let mut inner = self.write();
        let list = (kind, scope.map(str::to_owned));
        match said {
            Said::Init => {
                inner.seen.insert(list, HashSet::new());
                inner.written.retain(|(of, key)| *of != kind || scope.is_some_and(|scope| key.namespace != scope));
                Vec::new()
            }
            Said::Listed(object) => {
                let key = Key::of(object);
                inner.seen.entry(list).or_default().insert(key.clone());
                let id = (kind, key);
                let ours_is_newer =
                    inner.written.contains(&id) && inner.objects.get(&id).is_some_and(|known| is_newer(known, object));
                if !ours_is_newer && !inner.is_gone(&id, object) {
                    inner.insert(id, object.clone());
                }
                vec![object.clone()]
            }
            Said::Unreadable(key) => {
                if let Some(seen) = inner.seen.get_mut(&list) {
                    seen.insert(key.clone());
                }
                Vec::new()
            }
            Said::Listing => {
                let seen = inner.seen.remove(&list).unwrap_or_default();
                let here = |key: &Key| scope.is_none_or(|scope| key.namespace == scope);
                let lost: Vec<_> = inner
                    .objects
                    .keys()
                    .filter(|(of, key)| *of == kind && here(key) && !seen.contains(key))
                    .filter(|id| !inner.written.contains(*id))
                    .cloned()
                    .collect();
                inner.gone.retain(|(of, key), _| *of != kind || !here(key) || seen.contains(key));
                lost.iter().filter_map(|id| inner.remove(id)).collect()
            }
            Said::Applied(object) => {
                let id = (kind, Key::of(object));
                let stale = inner.objects.get(&id).is_some_and(|known| is_newer(known, object));
                if stale || inner.is_gone(&id, object) {
                    return Vec::new();
                }
                inner.gone.remove(&id);
                // Whose it was must hear of it too.
                let before = inner.objects.get(&id).filter(|before| rollout_of(before) != rollout_of(object)).cloned();
                inner.insert(id, object.clone());
                before.into_iter().chain([object.clone()]).collect()
            }
            Said::Deleted(object) => {
                let id = (kind, Key::of(object));
                inner.gone.remove(&id);
                if inner.objects.get(&id).is_some_and(|known| is_newer(known, object)) {
                    return Vec::new();
                }
                // It may have left the selection by losing the label that says whose it is.
                let before = inner.remove(&id);
                vec![before.unwrap_or_else(|| object.clone())]
            }
        }
    }

    // A panic while the lock is held leaves a store that the next list puts right.
    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn insert(&mut self, id: (Kind, Key), object: Arc<Value>) {
        self.remove(&id);
        if let Some(rollout) = group_of(id.0, &object) {
            self.index.entry((id.0, rollout)).or_default().insert(id.1.name.clone());
        }
        self.objects.insert(id, object);
    }

    fn remove(&mut self, id: &(Kind, Key)) -> Option<Arc<Value>> {
        let object = self.objects.remove(id)?;
        if let Some(rollout) = group_of(id.0, &object) {
            let index = (id.0, rollout);
            if let Some(names) = self.index.get_mut(&index) {
                names.remove(&id.1.name);
                if names.is_empty() {
                    self.index.remove(&index);
                }
            }
        }
        Some(object)
    }

    fn is_gone(&self, id: &(Kind, Key), object: &Value) -> bool {
        self.gone.get(id).is_some_and(|uid| uid == meta(object, "uid"))
    }
}

/// What an object is found under: its rollout, and rollouts under their namespace.
fn group_of(kind: Kind, object: &Value) -> Option<Key> {
    match kind {
        Kind::Rollout => Some(Key::new(meta(object, "namespace"), "")),
        Kind::Route | Kind::Deployment | Kind::Service | Kind::Record | Kind::ConfigMap | Kind::Pod => {
            rollout_of(object)
        }
    }
}

/// The rollout that the label names.
pub fn rollout_of(object: &Value) -> Option<Key> {
    let name = object.pointer("/metadata/labels")?.get(labels::ROLLOUT)?.as_str()?;
    Some(Key::new(meta(object, "namespace"), name))
}

/// A text of `metadata`; empty where there is none.
pub fn meta<'a>(object: &'a Value, key: &str) -> &'a str {
    object.pointer("/metadata").and_then(|metadata| metadata.get(key)).and_then(Value::as_str).unwrap_or_default()
}

/// Is `one` newer than `other`? Versions are numbers on every API server that there is; where they are not, nothing is
/// newer than what comes.
fn is_newer(one: &Value, other: &Value) -> bool {
    let version = |object| meta(object, "resourceVersion").parse::<u64>().ok();
    matches!((version(one), version(other)), (Some(one), Some(other)) if one > other)
}
