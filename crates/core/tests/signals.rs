//! What pods, Deployments and gateways say of themselves, and what of it counts.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;

use common::{objects, pod, rollout, route, wanted};
use jiff::Timestamp;
use microapp_core::{
    World,
    lens::{Objects, world},
    world::{Acceptance, Pod, Signal},
};
use serde_json::{Value, json};

fn with(change: impl FnOnce(&mut Objects)) -> World {
    let mut objects = objects();
    change(&mut objects);
    world(&objects, "prices", Timestamp::UNIX_EPOCH)
}

fn seen(change: impl FnOnce(&mut Value)) -> Vec<Pod> {
    let mut pod = pod(&wanted());
    change(&mut pod);
    with(|objects| objects.pods = vec![Arc::new(pod)]).arm(&wanted()).pods.clone()
}

fn failed(name: &str, reason: &str) -> Value {
    json!({"name": name, "restartCount": 3, "lastState": {"terminated": {
        "exitCode": 1, "reason": reason, "startedAt": "2026-03-01T10:59:00Z", "finishedAt": "2026-03-01T11:00:00Z",
    }}})
}

#[test]
fn only_containers_that_serve_give_a_signal() {
    let init = seen(|pod| pod["status"]["initContainerStatuses"] = json!([failed("warm", "Error")]));
    assert_eq!(init[0].signal, None, "an init container that waits by failing");
    let sidecar = seen(|pod| {
        pod["spec"]["containers"].as_array_mut().unwrap().push(json!({"name": "istio-proxy", "image": "proxy"}));
        pod["status"]["containerStatuses"].as_array_mut().unwrap().push(failed("istio-proxy", "OOMKilled"));
    });
    assert_eq!(sidecar[0].signal, None, "an injected one, killed once");
    let app = seen(|pod| pod["status"]["containerStatuses"] = json!([failed("app", "OOMKilled")]));
    assert_eq!(app[0].signal, Some(Signal::OOMKilled));
    assert_eq!(app[0].exited.unwrap().to_string(), "2026-03-01T11:00:00Z");
    let again = seen(|pod| pod["status"]["containerStatuses"] = json!([failed("app", "Error")]));
    assert_eq!(
        (again[0].signal, again[0].exited.unwrap().to_string().as_str()),
        (Some(Signal::CrashLoop), "2026-03-01T10:59:00Z")
    );
}

#[test]
fn a_pod_that_was_never_ready_is_one_that_starts() {
    let ready = |status: &str, since: &str| {
        let condition = json!([{"type": "Ready", "status": status, "lastTransitionTime": since}]);
        let pods = seen(|pod| pod["status"]["conditions"] = condition);
        (pods[0].served, pods[0].unready.map(|at| at.to_string()))
    };
    assert_eq!(ready("False", "2026-03-01T10:06:00Z"), (false, Some("2026-03-01T10:06:00Z".to_owned())));
    assert_eq!(ready("False", "2026-03-01T10:30:00Z"), (true, Some("2026-03-01T10:30:00Z".to_owned())));
    assert_eq!(ready("True", "2026-03-01T10:06:20Z"), (true, None));
}

#[test]
fn a_pod_that_is_over_is_no_replica() {
    for (phase, pods) in [("Failed", 0), ("Succeeded", 0), ("Running", 1), ("Pending", 1)] {
        assert_eq!(seen(|pod| pod["status"]["phase"] = json!(phase)).len(), pods, "{phase}");
    }
}

#[test]
fn why_pods_cannot_be_made_is_one_line_of_the_clusters_own_words() {
    let refused = with(|objects| {
        let mut deployment = (*objects.deployments[0]).clone();
        let message = "pods \"kyc\" is forbidden:\n\u{202e}exceeded quota: small";
        deployment["status"] = json!({"conditions": [
            {"type": "Available", "status": "False", "lastTransitionTime": "2026-03-01T11:00:00Z"},
            {"type": "ReplicaFailure", "status": "True", "lastTransitionTime": "2026-03-01T11:00:01Z", "message": message},
        ]});
        objects.deployments[0] = Arc::new(deployment);
    });
    let deployment = refused.arm(&wanted()).deployment.clone().unwrap();
    assert_eq!(deployment.failure.as_ref().unwrap().message, "pods \"kyc\" is forbidden: exceeded quota: small");
    assert_eq!(deployment.short.unwrap().to_string(), "2026-03-01T11:00:00Z");
    let unscheduled = seen(|pod| {
        let message = "0/1 nodes are available: 1 node(s) didn't match pod anti-affinity rules.";
        pod["status"]["conditions"] = json!([
            {"type": "Ready", "status": "False"},
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message},
        ]);
    });
    assert_eq!(unscheduled[0].waiting.as_deref(), Some("Unschedulable"));
    assert!(unscheduled[0].detail.as_ref().unwrap().contains("anti-affinity"));
}

/// What the route reads as where two controllers have written about its one parent.
fn two(former: &Value, present: &Value) -> Acceptance {
    let entry = |name: &str, of: &Value| {
        let condition = |kind: &str| json!({"type": kind, "status": of["status"], "reason": "X", "observedGeneration": of["seen"], "lastTransitionTime": of["at"]});
        json!({"parentRef": {"name": "public", "namespace": "gateways"}, "controllerName": name,
            "conditions": [condition("Accepted"), condition("ResolvedRefs")]})
    };
    let mut route = route();
    route["status"]["parents"] =
        json!([entry("former.example/controller", former), entry("present.example/controller", present)]);
    with(|objects| objects.route = Some(Arc::new(route))).route().unwrap().acceptance.clone()
}

#[test]
fn the_entry_of_a_former_controller_says_nothing() {
    let now = json!({"status": "True", "seen": 12, "at": "2026-03-01T11:00:00Z"});
    for former in [
        json!({"status": "True", "seen": 3, "at": "2026-02-01T11:00:00Z"}),
        json!({"status": "False", "seen": 3, "at": "2026-02-01T11:00:00Z"}),
        json!({"status": "False", "seen": 12, "at": "2026-02-01T11:00:00Z"}),
    ] {
        assert_eq!(two(&former, &now), Acceptance::Accepted, "{former}");
        assert_eq!(two(&now, &former), Acceptance::Accepted, "{former}, in the other order");
    }
    let refuses = json!({"status": "False", "seen": 12, "at": "2026-03-01T11:00:00Z"});
    let former = json!({"status": "True", "seen": 3, "at": "2026-02-01T11:00:00Z"});
    assert!(matches!(two(&former, &refuses), Acceptance::Refused(_)));
    let late = json!({"status": "True", "seen": 11, "at": "2026-03-01T10:00:00Z"});
    assert_eq!(two(&former, &late), Acceptance::Pending, "neither speaks of this generation");
}

#[test]
fn a_generation_of_0_is_none() {
    let none = json!({"status": "True", "seen": 0, "at": "2026-03-01T11:00:00Z"});
    assert_eq!(two(&none, &none), Acceptance::Accepted);
}

#[test]
fn another_spelling_of_the_same_template_is_the_same_revision() {
    let spelled = |policy: &str| {
        let mut rollout = rollout();
        rollout["spec"]["template"]["spec"]["restartPolicy"] = json!(policy);
        rollout
    };
    let name = |world: &World| world.spec().unwrap().revision.clone();
    let same = with(|objects| objects.rollout = Arc::new(spelled("Always")));
    assert_eq!(name(&same), wanted(), "a default that is written out is none");
}
