//! The real controller of kube-runtime on the whole, killed before and after each of its writes.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use kube_client::api::{Api, Patch, PatchParams, PostParams};
use kube_client::{Client, Error};
use kube_runtime::controller::{Action, Controller};
use kube_runtime::watcher;
use microapp_testkit::{ApiServer, Controllers, Key};
use serde_json::{Value, json};
use tokio::time::Instant;

/// A toy operator: a Deployment for each ConfigMap, then two marks on it, one write per pass.
async fn reconcile(map: Arc<ConfigMap>, client: Arc<Client>) -> Result<Action, Error> {
    let name = map.metadata.name.clone().unwrap();
    let deployments: Api<Deployment> = Api::namespaced((*client).clone(), "ns");
    let soon = Action::requeue(Duration::from_secs(1));
    let Some(live) = deployments.get_opt(&name).await? else {
        let owner = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": map.metadata.uid}]);
        let labels = json!({"app": name});
        let wanted = json!({"metadata": {"name": name, "ownerReferences": owner}, "spec": {"replicas": 1,
            "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels},
                "spec": {"containers": [{"name": "c", "image": "reg/c:1"}]}}}});
        deployments.create(&PostParams::default(), &serde_json::from_value(wanted).unwrap()).await?;
        return Ok(soon);
    };
    let ready = live.status.as_ref().and_then(|s| s.ready_replicas) == Some(1);
    let marks = live.metadata.annotations.unwrap_or_default();
    for mark in ["first", "second"] {
        if ready && !marks.contains_key(mark) {
            let patch = json!({"metadata": {"resourceVersion": live.metadata.resource_version,
                "annotations": {mark: "yes"}}});
            deployments.patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await?;
            return Ok(soon);
        }
    }
    Ok(if ready { Action::await_change() } else { soon })
}

fn start(client: Client) -> tokio::task::JoinHandle<()> {
    let maps = Api::<ConfigMap>::namespaced(client.clone(), "ns");
    let controller = Controller::new(maps, watcher::Config::default());
    let run = controller.run(reconcile, |_, _, _| Action::requeue(Duration::from_secs(2)), Arc::new(client));
    tokio::spawn(run.for_each(|_| async {}))
}

fn settled(server: &ApiServer) -> bool {
    server.get("deployments", "ns", "app").is_some_and(|d| d["metadata"]["annotations"]["second"] == "yes")
}

fn world() -> (ApiServer, Controllers) {
    let server = ApiServer::new();
    let controllers = Controllers::start(&server);
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "app", "namespace": "ns"}});
    server.put("test", map).unwrap();
    (server, controllers)
}

/// What is left, without what differs between runs.
fn shape(server: &ApiServer) -> Value {
    let deployment = server.get("deployments", "ns", "app").unwrap();
    json!([deployment["spec"], deployment["metadata"]["annotations"], deployment["status"]["readyReplicas"]])
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_write_ends_in_the_same_world() {
    let (quiet, _controllers) = world();
    let operator = start(quiet.client());
    quiet.until(settled).await;
    operator.abort();
    let writes = quiet.writes_except_events_and_leases().len();
    assert_eq!(writes, 3);
    for commits in [false, true] {
        for k in 1..=writes {
            let (server, _controllers) = world();
            if commits {
                server.crash_after(k);
            } else {
                server.crash_before(k);
            }
            let operator = start(server.client());
            server.wait_crashed().await;
            operator.abort();
            server.heal();
            let operator = start(server.client());
            server.until(settled).await;
            assert_eq!(shape(&server), shape(&quiet), "killed at write {k}, committed: {commits}");
            let before = server.requests().len();
            tokio::time::sleep(Duration::from_secs(3600)).await;
            let later = server.requests().split_off(before);
            assert!(later.iter().all(|r| !r.is_write()), "at rest, nothing is written");
            operator.abort();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_history_has_every_version_and_deletion_takes_children_along() {
    let (server, _controllers) = world();
    let operator = start(server.client());
    server.until(settled).await;
    let versions = server.versions("deployments", "ns", "app");
    let marks: Vec<_> = versions.iter().filter(|v| v.actor == "operator").collect();
    assert_eq!(marks.len(), 3);
    assert!(marks.iter().all(|v| v.request.is_some()));
    operator.abort();
    let start = Instant::now();
    server.delete("test", "configmaps", "ns", "app");
    assert!(server.list("pods", "ns").is_empty() && start.elapsed().is_zero());
    let kinds: BTreeSet<String> =
        server.history().into_iter().map(|v| v.key).map(|Key { plural, .. }| plural).collect();
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), ["configmaps", "deployments", "pods", "replicasets"]);
}
