//! Deployments: a ReplicaSet per template, new pods at once, old ones go as the new ones become ready.

use serde_json::{Value, json};

use super::{Behaviour, Cluster, condition, text, uid};
use crate::api::ApiServer;

const ACTOR: &str = "deployment-controller";
/// As the API server's admission says it.
const QUOTA: &str =
    "pods \"app\" is forbidden: exceeded quota: small, requested: pods=1, used: pods=3, limited: pods=3";

fn replicas(deployment: &Value) -> usize {
    deployment["spec"]["replicas"].as_u64().unwrap_or(1) as usize
}

fn template_hash(deployment: &Value) -> String {
    let template = deployment["spec"]["template"].to_string();
    format!("{:016x}", crate::stable_hash(template.as_bytes()))[..10].to_owned()
}

fn is_ready(pod: &Value) -> bool {
    let mut conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    conditions.any(|c| c["type"] == "Ready" && c["status"] == "True")
}

fn owned_by(object: &Value, owner: &str) -> bool {
    object["metadata"]["ownerReferences"].as_array().into_iter().flatten().any(|o| o["uid"] == owner)
}

/// Pods of a Deployment: of its present template, and of earlier ones.
fn pods_of(server: &ApiServer, deployment: &Value) -> (Vec<Value>, Vec<Value>) {
    let namespace = text(deployment, "namespace");
    let sets = server.list("replicasets", namespace);
    let sets: Vec<&str> = sets.iter().filter(|s| owned_by(s, uid(deployment))).map(uid).collect();
    let mut pods = server.list("pods", namespace);
    pods.retain(|p| sets.iter().any(|set| owned_by(p, set)));
    let hash = template_hash(deployment);
    pods.into_iter().partition(|p| p["metadata"]["labels"]["pod-template-hash"] == hash.as_str())
}

/// Creates and deletes pods.
pub(super) fn step(server: &ApiServer, cluster: &Cluster) {
    for deployment in server.list("deployments", "") {
        if text(&deployment, "deletionTimestamp").is_empty() {
            scale(server, cluster, &deployment);
        }
    }
}

fn scale(server: &ApiServer, cluster: &Cluster, deployment: &Value) {
    let namespace = text(deployment, "namespace");
    let remove = |pod: &Value| {
        server.delete(ACTOR, "pods", namespace, text(pod, "name"));
    };
    let set = replica_set(server, deployment);
    let (mut current, old) = pods_of(server, deployment);
    let wanted = replicas(deployment);
    let rolling = &deployment["spec"]["strategy"]["rollingUpdate"];
    let makes_room = deployment["spec"]["strategy"]["type"] == "Recreate" || rolling["maxUnavailable"] == "100%";
    if makes_room && !old.is_empty() {
        old.iter().for_each(remove);
        return;
    }
    let refused = cluster.behaviour(&deployment["spec"]["template"], server) == Behaviour::QuotaExceeded;
    // A new pod beside the old ones needs a place of its own.
    let surge = if old.is_empty() { usize::MAX } else { (wanted + 1).saturating_sub(old.len()) };
    if let Some(set) = set.filter(|_| !refused) {
        for _ in current.len()..wanted.min(surge.max(current.len())) {
            if cluster.room.is_none_or(|room| server.list("pods", namespace).len() < room) {
                create_pod(server, deployment, &set);
            }
        }
    }
    // Those that do not serve go first.
    current.sort_by_key(|pod| !is_ready(pod));
    let surplus = current.len().saturating_sub(wanted);
    current.iter().take(surplus).for_each(remove);
    let ready = current.iter().skip(surplus).filter(|p| is_ready(p)).count();
    let keep = wanted.saturating_sub(ready);
    old.iter().skip(keep).for_each(remove);
}

fn template_metadata(deployment: &Value) -> Value {
    let mut metadata = deployment["spec"]["template"]["metadata"].clone();
    if !metadata["labels"].is_object() {
        metadata = json!({"labels": {}});
    }
    metadata["labels"]["pod-template-hash"] = json!(template_hash(deployment));
    metadata["namespace"] = deployment["metadata"]["namespace"].clone();
    metadata
}

fn owner(object: &Value, api_version: &str, kind: &str) -> Value {
    json!([{"apiVersion": api_version, "kind": kind, "name": object["metadata"]["name"], "uid": uid(object),
        "controller": true, "blockOwnerDeletion": true}])
}

fn replica_set(server: &ApiServer, deployment: &Value) -> Option<Value> {
    let name = format!("{}-{}", text(deployment, "name"), template_hash(deployment));
    if let Some(set) = server.get("replicasets", text(deployment, "namespace"), &name) {
        return Some(set);
    }
    let mut metadata = template_metadata(deployment);
    metadata["name"] = json!(name);
    metadata["ownerReferences"] = owner(deployment, "apps/v1", "Deployment");
    let spec = json!({"replicas": replicas(deployment), "selector": deployment["spec"]["selector"],
        "template": deployment["spec"]["template"]});
    let set = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata, "spec": spec});
    server.put(ACTOR, set).ok()
}

fn create_pod(server: &ApiServer, deployment: &Value, set: &Value) {
    let mut metadata = template_metadata(deployment);
    metadata["name"] = json!(format!("{}-{}", text(set, "name"), server.suffix()));
    metadata["ownerReferences"] = owner(set, "apps/v1", "ReplicaSet");
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata,
        "spec": deployment["spec"]["template"]["spec"], "status": {"phase": "Pending"}});
    // A namespace that is going refuses it, as it should.
    let _ = server.put("replicaset-controller", pod);
}

/// Writes the statuses.
pub(super) fn report(server: &ApiServer, cluster: &Cluster) {
    for deployment in server.list("deployments", "") {
        let (current, old) = pods_of(server, &deployment);
        let ready = current.iter().chain(&old).filter(|p| is_ready(p)).count();
        let (wanted, total) = (replicas(&deployment), current.len() + old.len());
        let updated_ready = current.iter().filter(|p| is_ready(p)).count();
        let before = &deployment["status"]["conditions"];
        let done = updated_ready >= wanted && old.is_empty();
        let may_lack = match &deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] {
            Value::Number(number) => number.as_u64().unwrap_or(0) as usize,
            Value::String(share) if share == "100%" => wanted,
            _ => wanted / 4,
        };
        let available = ready >= wanted - may_lack.min(wanted);
        let reason = if available { "MinimumReplicasAvailable" } else { "MinimumReplicasUnavailable" };
        let progress = if done { "NewReplicaSetAvailable" } else { "ReplicaSetUpdated" };
        let mut conditions = vec![
            condition(before, "Available", available, reason, None),
            condition(before, "Progressing", true, progress, None),
        ];
        let refused = cluster.behaviour(&deployment["spec"]["template"], server) == Behaviour::QuotaExceeded;
        let full = cluster.room.is_some_and(|room| server.list("pods", text(&deployment, "namespace")).len() >= room);
        if refused || full && current.len() < wanted {
            let mut failed = condition(before, "ReplicaFailure", true, "FailedCreate", None);
            failed["message"] = json!(QUOTA);
            conditions.push(failed);
        }
        let mut status = json!({"observedGeneration": deployment["metadata"]["generation"], "conditions": conditions});
        // The real controller leaves zeros out.
        for (field, count) in [
            ("replicas", total),
            ("updatedReplicas", current.len()),
            ("readyReplicas", ready),
            ("availableReplicas", ready),
            ("unavailableReplicas", wanted.saturating_sub(ready)),
        ] {
            if count > 0 {
                status[field] = json!(count);
            }
        }
        let (namespace, name) = (text(&deployment, "namespace"), text(&deployment, "name"));
        if deployment["status"] != status {
            server.edit(ACTOR, "deployments", namespace, name, |d| d["status"] = status);
        }
    }
}
