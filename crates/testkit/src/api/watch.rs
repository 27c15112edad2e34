//! Watches: the history from a resourceVersion on, as a stream that ends when the client's time is over.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use http_body::Frame;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::dispatch::shape;
use super::failure::Failure;
use super::faults::Delivery;
use super::log::Request;
use super::select;
use super::server::{ApiServer, Inner, Power};
use super::store::{Change, Version};

/// A real server chooses between 30 and 60 minutes when the client does not say.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(45 * 60);
const BOOKMARKS: Duration = Duration::from_secs(60);

struct Watch {
    server: ApiServer,
    request: Request,
    kind: String,
    /// The last resourceVersion that was looked at.
    seen: u64,
    epoch: u64,
    ready: VecDeque<Value>,
    late: Vec<(Instant, Value)>,
    deadline: Instant,
    bookmark: Option<Instant>,
    over: bool,
}

/// Starts a watch after `from`, or with everything that exists.
pub(super) fn stream(
    server: ApiServer,
    request: Request,
    from: Option<u64>,
) -> impl Stream<Item = Result<Frame<Bytes>, io::Error>> + Send + Sync {
    let now = Instant::now();
    let asked = request.query.get("timeoutSeconds").and_then(|s| s.parse().ok());
    let timeout = asked.map_or(DEFAULT_TIMEOUT, Duration::from_secs);
    let bookmarks = request.query.get("allowWatchBookmarks").is_some_and(|b| b == "true");
    let mut watch = Watch {
        epoch: 0,
        seen: 0,
        ready: VecDeque::new(),
        late: vec![],
        deadline: now + timeout,
        bookmark: bookmarks.then_some(now + BOOKMARKS),
        over: false,
        kind: server.kind(&request.target.group, &request.target.plural),
        server,
        request,
    };
    watch.start(from);
    futures::stream::unfold(watch, |mut watch| async move {
        let item = watch.next().await?;
        Some((item, watch))
    })
}

impl Watch {
    fn start(&mut self, from: Option<u64>) {
        let server = self.server.clone();
        let inner = server.lock();
        self.epoch = inner.epoch;
        let target = &self.request.target;
        let stale = inner.stale.get(&target.plural).copied();
        if from.is_some_and(|rv| rv < inner.compacted) {
            let expired = Failure::new(410, "too old resource version");
            self.ready.push_back(json!({"type": "ERROR", "object": expired.status()}));
            self.over = true;
            return;
        }
        let newest = stale.unwrap_or_else(|| inner.store.resource_version());
        self.seen = from.unwrap_or(newest);
        let initial = self.request.query.get("sendInitialEvents").is_some_and(|s| s == "true");
        if from.is_none() || initial {
            self.seen = newest;
            let objects = inner.store.list(&target.group, &target.plural, &target.namespace, stale);
            let selected = objects.iter().filter(|o| self.selects(o));
            let added = selected.map(|o| json!({"type": "ADDED", "object": shape(&self.request, o)}));
            self.ready = added.collect();
        }
        if initial {
            let mut end = self.bookmark_event();
            end["object"]["metadata"]["annotations"] = json!({"k8s.io/initial-events-end": "true"});
            self.ready.push_back(end);
        }
    }

    fn selects(&self, object: &Value) -> bool {
        let text = |name: &str| self.request.query.get(name).map_or("", String::as_str);
        let name = &self.request.target.name;
        (name.is_empty() || object["metadata"]["name"] == name.as_str())
            && select::matches(object, text("labelSelector"), text("fieldSelector"))
    }

    fn bookmark_event(&self) -> Value {
        let target = &self.request.target;
        json!({"type": "BOOKMARK", "object": {"apiVersion": target.api_version(), "kind": self.kind,
            "metadata": {"resourceVersion": self.seen.to_string(), "creationTimestamp": null}}})
    }

    async fn next(&mut self) -> Option<Result<Frame<Bytes>, io::Error>> {
        let mut changes = self.server.changes();
        loop {
            let server = self.server.clone();
            let wake = {
                let inner = server.lock();
                if inner.epoch != self.epoch || inner.is_dead(&self.request.agent) {
                    self.over = true;
                    return Some(Err(io::Error::new(io::ErrorKind::ConnectionReset, "connection reset by peer")));
                }
                if inner.power == Power::Up && !inner.frozen.contains(&self.request.target.plural) {
                    self.read(&inner);
                    Some(self.wake())
                } else {
                    None
                }
            };
            if wake.is_some() {
                if let Some(event) = self.ready.pop_front() {
                    return Some(Ok(Frame::data(Bytes::from(format!("{event}\n")))));
                }
                if self.over || Instant::now() >= self.deadline {
                    return None;
                }
                if self.bookmark.is_some_and(|at| Instant::now() >= at) {
                    self.bookmark = Some(Instant::now() + BOOKMARKS);
                    self.ready.push_back(self.bookmark_event());
                    continue;
                }
            }
            match wake {
                // Frozen: only thawing helps, not even the timeout is kept.
                None => changes.changed().await.ok()?,
                Some(at) => {
                    // Both outcomes lead to another look.
                    let _ = tokio::time::timeout_at(at, changes.changed()).await;
                }
            }
        }
    }

    fn wake(&self) -> Instant {
        let late = self.late.iter().map(|(at, _)| *at);
        late.chain(self.bookmark).fold(self.deadline, Instant::min)
    }

    /// Takes over what the history has in addition, and what was held back long enough.
    fn read(&mut self, inner: &Inner) {
        let (target, now) = (&self.request.target, Instant::now());
        let newest = inner.stale.get(&target.plural).copied().unwrap_or_else(|| inner.store.resource_version());
        let tamper = inner.tampers.get(&target.plural);
        let mine = |v: &&Version| {
            v.key.group == target.group
                && v.key.plural == target.plural
                && (target.namespace.is_empty() || v.key.namespace == target.namespace)
        };
        let from = inner.store.history.partition_point(|v| v.resource_version <= self.seen);
        let until = inner.store.history.partition_point(|v| v.resource_version <= newest);
        for version in inner.store.history.get(from..until).unwrap_or_default().iter().filter(mine) {
            let Some(event) = self.event(version) else { continue };
            match tamper.map_or(Delivery::Send, |t| t(version)) {
                Delivery::Send => self.ready.push_back(event),
                Delivery::Drop => {}
                Delivery::Twice => self.ready.extend([event.clone(), event]),
                Delivery::Late(delay) => self.late.push((now + delay, event)),
            }
        }
        self.seen = self.seen.max(newest);
        let due = self.late.extract_if(.., |(at, _)| *at <= now);
        self.ready.extend(due.map(|(_, event)| event));
    }

    /// An object that comes into the selection is added, one that leaves it is deleted.
    fn event(&self, version: &Version) -> Option<Value> {
        let is = self.selects(&version.object);
        let was = version.previous.as_deref().is_some_and(|o| self.selects(o));
        let kind = match version.change {
            Change::Deleted => was.then_some("DELETED"),
            _ => match (was, is) {
                (false, true) => Some("ADDED"),
                (true, true) => Some("MODIFIED"),
                (true, false) => Some("DELETED"),
                (false, false) => None,
            },
        };
        kind.map(|kind| json!({"type": kind, "object": shape(&self.request, &version.object)}))
    }
}
