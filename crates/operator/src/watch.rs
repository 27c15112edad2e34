//! The watches: one per kind and namespace, each noticed as dead after 35 s. Nothing is polled.
//!
//! They are our own and not kube's, since kube decodes a list as a whole: an object of one tenant that does not read
//! would take the list from everybody ([`decode`](crate::decode)). The protocol is the usual one: list in pages, watch
//! from there, list again where the server does not keep that version any more.

use std::{sync::Arc, time::Duration};

use futures::AsyncBufReadExt;
use kube_client::{
    api::{ListParams, Request, WatchParams},
    core::{DynamicObject, Resource},
};
use microapp_api::labels;
use microapp_core::build::Kind;
use serde_json::Value;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::{
    cache::Said,
    cluster::resource,
    decode::{self, Line, Page, Unreadable},
    error::CallError,
    fleet::Fleet,
};

/// A watch ends after so many seconds and is taken up again where it ended.
const TIMEOUT: u32 = 30;
/// So long after its end a watch that says nothing is dead.
const SILENCE: Duration = Duration::from_secs(5);
/// Deadline of one page of a list.
const PAGE: Duration = Duration::from_secs(30);
/// Objects of a page: it is in memory as a whole, and an object can be 1.5 MB.
const ITEMS: u32 = 50;
/// Between two tries at a watch that fails.
const PATIENCE: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(2)];
/// Between two tries at one that we have no right to. The right may come, but not in the next second.
const FORBIDDEN: Duration = Duration::from_secs(10);

/// One watch.
struct Watch {
    fleet: Arc<Fleet>,
    kind: Kind,
    scope: Option<String>,
}

/// Why it must be begun again.
enum Ended {
    /// As it should; from the version that it came to.
    Over,
    /// What it asked for is not kept any more: a list comes first.
    Expired,
    /// It was open and said nothing, not even that it ends.
    Silent,
    Failed(CallError),
}

impl From<CallError> for Ended {
    fn from(error: CallError) -> Self {
        Self::Failed(error)
    }
}

/// Watches a kind in a namespace, or everywhere, until `stop`.
pub(crate) async fn watch(fleet: Arc<Fleet>, kind: Kind, scope: Option<String>, stop: CancellationToken) {
    let watch = Watch { fleet, kind, scope };
    stop.run_until_cancelled(watch.live()).await;
}

impl Watch {
    async fn live(&self) {
        let mut version = None;
        let mut patience = PATIENCE[0];
        // To be open is no sign of life of a watch that was silent when it was open before.
        let mut silent = false;
        loop {
            let begun = Instant::now();
            let ended = match &mut version {
                None => match self.list().await {
                    Ok(listed) => {
                        version = Some(listed);
                        continue;
                    }
                    Err(error) => Ended::Failed(error),
                },
                Some(version) => self.follow(version, silent).await,
            };
            let scope = self.scope.as_deref();
            silent = match ended {
                Ended::Silent => true,
                Ended::Over => false,
                Ended::Expired | Ended::Failed(_) => silent,
            };
            match ended {
                Ended::Silent => {
                    tracing::warn!(kind = self.kind.as_str(), namespace = scope.unwrap_or("all"), "a watch is silent");
                    self.fleet.silent(self.kind, scope);
                    version = None;
                }
                Ended::Over => {
                    patience = PATIENCE[0];
                    self.fleet.alive(self.kind, scope);
                    // Whoever ends every watch at once is not asked in a loop.
                    if begun.elapsed() < PATIENCE[0] {
                        tokio::time::sleep(PATIENCE[0]).await;
                    }
                }
                Ended::Expired => version = None,
                Ended::Failed(error) => {
                    let scope = scope.unwrap_or("all");
                    tracing::warn!(%error, kind = self.kind.as_str(), namespace = scope, "watch");
                    self.fleet.failing(self.kind, self.scope.as_deref());
                    let jitter = 0.5 + fastrand::f64();
                    let forbidden = matches!(error, CallError::Forbidden { .. });
                    tokio::time::sleep(if forbidden { FORBIDDEN } else { patience }.mul_f64(jitter)).await;
                    patience = (patience * 2).min(PATIENCE[1]);
                }
            }
        }
    }

    fn request(&self) -> Request {
        Request::new(DynamicObject::url_path(&resource(self.kind), self.scope.as_deref()))
    }

    /// Ours are found by their label. Of ConfigMaps a rollout may name any.
    fn selector(&self) -> Option<String> {
        match self.kind {
            Kind::Rollout | Kind::ConfigMap => None,
            Kind::Route | Kind::Deployment | Kind::Service | Kind::Record | Kind::Pod => {
                Some(labels::ROLLOUT.to_owned())
            }
        }
    }

    /// All that there is, page by page. The version to watch from.
    async fn list(&self) -> Result<String, CallError> {
        let (kind, scope) = (self.kind, self.scope.as_deref());
        let failed = |error| CallError::of(error, "list", kind);
        let client = self.fleet.context().cluster.client();
        let mut parameters =
            ListParams { label_selector: self.selector(), limit: Some(ITEMS), ..ListParams::default() };
        // Before the first page: what is written from now on is newer than what the list brings.
        self.fleet.hear(kind, scope, &Said::Init);
        loop {
            let request = match kind {
                // Metadata is enough: the one that a rollout names is read when it is needed.
                Kind::ConfigMap => self.request().list_metadata(&parameters),
                Kind::Rollout | Kind::Route | Kind::Deployment | Kind::Service | Kind::Record | Kind::Pod => {
                    self.request().list(&parameters)
                }
            };
            let request = request.map_err(|_| CallError::Other(0))?;
            let text = timeout(PAGE, client.request_text(request)).await.map_err(|_| CallError::Timeout)?;
            let text = text.map_err(failed)?;
            let Page { items, version, next } = decode::page(&text, kind).ok_or(CallError::Garbled("list"))?;
            drop(text);
            for item in items {
                match item {
                    Ok(object) => self.fleet.hear(kind, scope, &Said::Listed(self.kept(object))),
                    Err(bad) => self.skip(&bad),
                }
            }
            let Some(next) = next else {
                self.fleet.hear(kind, scope, &Said::Listing);
                return Ok(version);
            };
            parameters.continue_token = Some(next);
        }
    }

    /// One watch, from `version` on, which goes with it.
    async fn follow(&self, version: &mut String, silent: bool) -> Ended {
        match self.events(version, silent).await {
            Ok(ended) => ended,
            Err(CallError::Gone) => Ended::Expired,
            Err(error) => Ended::Failed(error),
        }
    }

    async fn events(&self, version: &mut String, silent: bool) -> Result<Ended, CallError> {
        let (kind, scope) = (self.kind, self.scope.as_deref());
        let client = self.fleet.context().cluster.client();
        let parameters =
            WatchParams { label_selector: self.selector(), timeout: Some(TIMEOUT), ..WatchParams::default() };
        let request = match kind {
            Kind::ConfigMap => self.request().watch_metadata(&parameters, version),
            Kind::Rollout | Kind::Route | Kind::Deployment | Kind::Service | Kind::Record | Kind::Pod => {
                self.request().watch(&parameters, version)
            }
        };
        let mut request = request.map_err(|_| CallError::Other(0))?;
        // A stream of compressed members, one per event, is more than what decompresses here understands.
        let identity = "identity".parse().map_err(|_| CallError::Other(0))?;
        request.headers_mut().insert("accept-encoding", identity);
        let end = Instant::now() + Duration::from_secs(TIMEOUT.into()) + SILENCE;
        let begun = timeout_at(end, client.request_stream(request)).await;
        let stream = begun.map_err(|_| CallError::Timeout)?.map_err(|error| CallError::of(error, "watch", kind))?;
        let mut stream = std::pin::pin!(stream);
        if !silent {
            self.fleet.alive(kind, scope);
        }
        let mut text = Vec::new();
        loop {
            text.clear();
            let Ok(read) = timeout_at(end, stream.read_until(b'\n', &mut text)).await else {
                return Ok(Ended::Silent);
            };
            match read {
                Ok(0) => return Ok(Ended::Over),
                Ok(_) if !text.ends_with(b"\n") => return Err(CallError::Transport),
                Ok(_) => {}
                Err(_) => return Err(CallError::Transport),
            }
            let Ok(line) = std::str::from_utf8(&text) else { return Err(CallError::Garbled("watch")) };
            match decode::line(line, kind) {
                Line::Applied(object) => {
                    note(version, &object);
                    self.fleet.hear(kind, scope, &Said::Applied(self.kept(object)));
                }
                Line::Deleted(object) => {
                    note(version, &object);
                    self.fleet.hear(kind, scope, &Said::Deleted(self.kept(object)));
                }
                Line::Bookmark(newer) if !newer.is_empty() => *version = newer,
                Line::Bad(bad) => {
                    self.skip(&bad);
                    if !bad.version.is_empty() {
                        version.clone_from(&bad.version);
                    }
                }
                Line::Error(410) => return Ok(Ended::Expired),
                Line::Error(code) => return Err(CallError::Busy(code)),
                Line::Bookmark(_) | Line::Broken => return Err(CallError::Garbled("watch")),
            }
            self.fleet.alive(kind, scope);
        }
    }

    fn kept(&self, object: Arc<Value>) -> Arc<Value> {
        match self.kind {
            Kind::ConfigMap => decode::metadata_alone(object),
            Kind::Rollout | Kind::Route | Kind::Deployment | Kind::Service | Kind::Record | Kind::Pod => object,
        }
    }

    fn skip(&self, bad: &Unreadable) {
        let Unreadable { key, version: _ } = bad;
        let kind = self.kind.as_str();
        tracing::warn!(kind, namespace = key.namespace, name = key.name, "an object cannot be read and is left out");
        self.fleet.hear(self.kind, self.scope.as_deref(), &Said::Unreadable(key.clone()));
    }
}

fn note(version: &mut String, object: &Value) {
    let newer = crate::cache::meta(object, "resourceVersion");
    if !newer.is_empty() {
        newer.clone_into(version);
    }
}
