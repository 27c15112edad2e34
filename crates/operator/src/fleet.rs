//! All rollouts: one task each, woken by what its pass depends on.

use std::{
    collections::HashMap,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::FutureExt;
use microapp_core::{build::Kind, lens};
use serde_json::Value;
use tokio::sync::{Notify, Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Context,
    cache::{Cache, Key, Said, rollout_of},
    health::Gates,
    lease::Leadership,
    member::Member,
};

/// After the task of a rollout panicked.
const RESTART: Duration = Duration::from_secs(1);

/// The tasks, and what they share.
#[derive(Debug)]
pub struct Fleet {
    context: Arc<Context>,
    /// What the watches said.
    pub cache: Cache,
    /// Do we lead?
    pub leadership: Leadership,
    /// Room for writes.
    pub room: Semaphore,
    gates: Arc<Gates>,
    members: Mutex<HashMap<Key, Handle>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

#[derive(Debug)]
struct Handle {
    wake: Arc<Notify>,
    stop: CancellationToken,
}

impl Fleet {
    /// Nobody yet.
    pub fn new(context: Arc<Context>, leadership: Leadership, gates: Arc<Gates>, stop: CancellationToken) -> Self {
        Self {
            room: Semaphore::new(context.concurrency.max(1)),
            context,
            cache: Cache::default(),
            leadership,
            gates,
            members: Mutex::default(),
            tasks: TaskTracker::new(),
            stop,
        }
    }

    /// What came from outside.
    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// Returns once every watch of the namespace has brought its first list: before that a missing object may be one
    /// not yet seen.
    pub async fn synced(&self, namespace: &str) {
        self.gates.synced(namespace).await;
    }

    /// Is what is known of this kind in this namespace all that there is?
    pub(crate) fn knows(&self, kind: Kind, namespace: &str) -> bool {
        self.gates.knows(kind, namespace)
    }

    /// Has a watch of this namespace been dead for a while?
    pub(crate) fn is_blind(&self, namespace: &str) -> bool {
        self.gates.is_blind(namespace)
    }

    /// A watch is open, or brought something.
    pub(crate) fn alive(&self, kind: Kind, scope: Option<&str>) {
        self.context.metrics.watch_alive(kind, scope);
        self.gates.alive(kind, scope);
    }

    /// A watch that is open says nothing, not even that it ends.
    pub(crate) fn silent(&self, kind: Kind, scope: Option<&str>) {
        self.context.metrics.watch_error(kind, scope);
        self.gates.silent(kind, scope);
    }

    /// A watch or its list failed.
    pub(crate) fn failing(&self, kind: Kind, scope: Option<&str>) {
        self.context.metrics.watch_error(kind, scope);
        self.gates.failing(kind, scope);
    }

    /// What a watch said: into the cache, and to those whom it concerns.
    pub fn hear(self: &Arc<Self>, kind: Kind, scope: Option<&str>, said: &Said) {
        let generation = |object: &Value| object.pointer("/metadata/generation").and_then(Value::as_i64);
        let before = match said {
            Said::Applied(object) if kind == Kind::Rollout => self.cache.get(kind, &Key::of(object)),
            _ => None,
        };
        if let Said::Unreadable(_) = said {
            self.context.metrics.unreadable(kind);
        }
        let touched = self.cache.hear(kind, scope, said);
        for object in &touched {
            match kind {
                Kind::Rollout => {
                    let key = Key::of(object);
                    if self.cache.get(kind, &key).is_none() {
                        self.dismiss(&key);
                        self.wake_all(&key.namespace);
                    } else {
                        self.employ(&key);
                        // Whom it is in conflict with may have changed too.
                        if before.as_deref().is_some_and(|before| generation(before) != generation(object)) {
                            self.wake_all(&key.namespace);
                        }
                    }
                }
                Kind::ConfigMap => match rollout_of(object) {
                    Some(rollout) => self.wake(&rollout),
                    None => self.wake_readers(&Key::of(object)),
                },
                Kind::Route | Kind::Deployment | Kind::Service | Kind::Record | Kind::Pod => {
                    if let Some(rollout) = rollout_of(object) {
                        self.wake(&rollout);
                    }
                }
            }
        }
        if matches!(said, Said::Listing) {
            self.gates.listed(kind, scope);
            // Who waited for them is not named in any of them.
            if kind == Kind::ConfigMap {
                self.wake_scope(scope);
            }
        }
    }

    /// Waits until every pass has finished.
    pub async fn finish(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// The task of a rollout, started where there is none; woken otherwise.
    fn employ(self: &Arc<Self>, key: &Key) {
        let mut members = self.members();
        if let Some(handle) = members.get(key) {
            handle.wake.notify_one();
            return;
        }
        let handle = Handle { wake: Arc::new(Notify::new()), stop: self.stop.child_token() };
        let member = Member::new(self.clone(), key.clone(), handle.wake.clone(), handle.stop.clone());
        let (fleet, whose) = (self.clone(), key.clone());
        self.tasks.spawn(async move {
            // Passes catch their own panics; whatever else panics must not leave a rollout that nobody looks after.
            if AssertUnwindSafe(member.live()).catch_unwind().await.is_err() {
                tracing::error!(namespace = whose.namespace, name = whose.name, "the task of a rollout panicked");
                fleet.context.metrics.error("panic");
                tokio::time::sleep(RESTART).await;
                fleet.members().remove(&whose);
                if !fleet.stop.is_cancelled() && fleet.cache.get(Kind::Rollout, &whose).is_some() {
                    fleet.employ(&whose);
                }
            }
        });
        members.insert(key.clone(), handle);
    }

    fn dismiss(&self, key: &Key) {
        if let Some(handle) = self.members().remove(key) {
            handle.stop.cancel();
        }
        self.context.metrics.forget(key);
    }

    /// Shows the gauges of a rollout that is still there: a pass may end after it went.
    pub(crate) fn show(&self, key: &Key, show: impl FnOnce()) {
        let members = self.members();
        if members.contains_key(key) {
            show();
        }
    }

    fn wake(&self, key: &Key) {
        if let Some(handle) = self.members().get(key) {
            handle.wake.notify_one();
        }
    }

    fn wake_all(&self, namespace: &str) {
        self.wake_scope(Some(namespace));
    }

    fn wake_scope(&self, scope: Option<&str>) {
        let here = |key: &Key| scope.is_none_or(|scope| key.namespace == scope);
        for (_, handle) in self.members().iter().filter(|(key, _)| here(key)) {
            handle.wake.notify_one();
        }
    }

    /// Those whose spec names this ConfigMap.
    fn wake_readers(&self, config_map: &Key) {
        for rollout in self.cache.rollouts(&config_map.namespace) {
            if lens::prompts_name(&rollout) == Some(&config_map.name) {
                self.wake(&Key::of(&rollout));
            }
        }
    }

    fn members(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Handle>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
