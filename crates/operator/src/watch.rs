//! The watches: one per kind and namespace, each noticed as dead after 35 s. Nothing is polled.

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use kube_client::{
    Api,
    api::{DynamicObject, PartialObjectMeta},
};
use kube_runtime::watcher::{Config, Event, watcher};
use microapp_api::labels;
use microapp_core::build::Kind;
use tokio_util::sync::CancellationToken;

use crate::{
    cache::Said,
    cluster::{json, resource},
    fleet::Fleet,
};

/// A watch ends after so many seconds and is taken up again where it ended.
const TIMEOUT: u32 = 30;
/// Between two tries at a watch that fails.
const PATIENCE: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(2)];

/// Watches a kind in a namespace, or everywhere, until `stop`.
pub(crate) async fn watch(fleet: Arc<Fleet>, kind: Kind, scope: Option<String>, stop: CancellationToken) {
    let mut config = Config::default().timeout(TIMEOUT);
    let client = fleet.context().cluster.client();
    let resource = resource(kind);
    match kind {
        // Metadata is enough: the one that a rollout names is read when it is needed.
        Kind::ConfigMap => {
            let api: Api<PartialObjectMeta<DynamicObject>> = match &scope {
                None => Api::all_with(client, &resource),
                Some(namespace) => Api::namespaced_with(client, namespace, &resource),
            };
            let events = watcher(api, config).map(|event| event.map(|event| said(&event, kind)));
            follow(&fleet, kind, scope.as_deref(), events, stop).await;
        }
        Kind::Rollout | Kind::Route | Kind::Deployment | Kind::Service | Kind::Record | Kind::Pod => {
            if kind != Kind::Rollout {
                config = config.labels(labels::ROLLOUT);
            }
            let api: Api<DynamicObject> = match &scope {
                None => Api::all_with(client, &resource),
                Some(namespace) => Api::namespaced_with(client, namespace, &resource),
            };
            let events = watcher(api, config).map(|event| event.map(|event| said(&event, kind)));
            follow(&fleet, kind, scope.as_deref(), events, stop).await;
        }
    }
}

fn said<T: serde::Serialize>(event: &Event<T>, kind: Kind) -> Said {
    match event {
        Event::Init => Said::Init,
        Event::InitApply(object) => Said::Listed(json(object, kind)),
        Event::InitDone => Said::Listing,
        Event::Apply(object) => Said::Applied(json(object, kind)),
        Event::Delete(object) => Said::Deleted(json(object, kind)),
    }
}

async fn follow(
    fleet: &Arc<Fleet>,
    kind: Kind,
    scope: Option<&str>,
    events: impl futures::Stream<Item = Result<Said, kube_runtime::watcher::Error>>,
    stop: CancellationToken,
) {
    let mut events = std::pin::pin!(events);
    let mut patience = PATIENCE[0];
    loop {
        let event = tokio::select! {
            () = stop.cancelled() => return,
            event = events.next() => event,
        };
        match event {
            Some(Ok(said)) => {
                if !matches!(said, Said::Init) {
                    patience = PATIENCE[0];
                    fleet.context().metrics.watch_alive(kind);
                }
                fleet.hear(kind, scope, &said);
            }
            Some(Err(error)) => {
                tracing::warn!(%error, kind = kind.as_str(), "watch");
                fleet.context().metrics.watch_error(kind);
                let jitter = patience.mul_f64(0.5 + fastrand::f64());
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(jitter) => {}
                }
                patience = (patience * 2).min(PATIENCE[1]);
            }
            None => return,
        }
    }
}
