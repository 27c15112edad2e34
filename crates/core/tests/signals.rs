//! What pods, Deployments and gateways say of themselves, and what of it counts.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;

use common::{objects, pod, rollout, route, wanted};
use jiff::Timestamp;
use microapp_core::{
    State, World,
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

/// Whoever may have written about the Gateway before: what is said of this generation last counts, in any order.
#[test]
fn of_several_controllers_the_last_word_counts_in_whatever_order_they_stand() {
    let entry = |name: &str, status: &str, seen: i64, at: &str| {
        let condition = |kind: &str| json!({"type": kind, "status": status, "reason": "X", "observedGeneration": seen, "lastTransitionTime": at});
        json!({"parentRef": {"name": "public", "namespace": "gateways"}, "controllerName": name,
            "conditions": [condition("Accepted"), condition("ResolvedRefs")]})
    };
    let read = |entries: &[Value]| {
        let mut route = route();
        route["status"]["parents"] = json!(entries);
        with(|objects| objects.route = Some(Arc::new(route))).route().unwrap().acceptance.clone()
    };
    let [oldest, former, refuser] = [
        entry("oldest.example/c", "True", 2, "2026-01-01T11:00:00Z"),
        entry("former.example/c", "False", 11, "2026-03-01T10:59:00Z"),
        entry("former.example/d", "False", 12, "2026-03-01T11:00:00Z"),
    ];
    let owner = entry("owner.example/c", "True", 12, "2026-03-01T11:00:09Z");
    let orders = [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2], [2, 0, 3, 1]];
    let all = [oldest.clone(), former.clone(), refuser.clone(), owner];
    for order in orders {
        assert_eq!(read(&order.map(|index| all[index].clone())), Acceptance::Accepted, "{order:?}");
    }
    let refused = entry("owner.example/c", "False", 12, "2026-03-01T11:00:09Z");
    let late = entry("owner.example/c", "True", 11, "2026-03-01T11:00:09Z");
    for order in orders {
        let at = |last: &Value| order.map(|index| [&oldest, &former, &oldest, last][index].clone());
        assert!(matches!(read(&at(&refused)), Acceptance::Refused(_)), "{order:?}");
        assert_eq!(read(&at(&late)), Acceptance::Pending, "{order:?}: nobody has spoken of this generation");
    }
}

/// An upgrade of the operator with an unchanged spec starts no rollout: what exists under the name of its spelling keeps it.
#[test]
fn a_revision_that_exists_under_its_old_name_keeps_it_and_nothing_is_begun() {
    let mut spelled = rollout();
    spelled["metadata"]["annotations"] = json!({});
    spelled["spec"]["template"]["spec"]["restartPolicy"] = json!("Always");
    let spelled = Arc::new(spelled);
    let fresh = with(|objects| objects.rollout = spelled.clone());
    let written = fresh.spec().unwrap().raw.written.clone().unwrap();
    assert_eq!(fresh.spec().unwrap().revision, wanted(), "nothing has the old name yet");
    assert_ne!(written, wanted());
    // Stable under its old name, by its children or by the route alone.
    let mut route = route();
    let annotations = route["metadata"]["annotations"].as_object_mut().unwrap();
    annotations.insert("microapp.dev/stable".to_owned(), json!(written.as_str()));
    for key in ["canary", "step", "since"] {
        annotations.remove(&format!("microapp.dev/{key}"));
    }
    route["spec"]["rules"][0]["backendRefs"] = json!([
        {"group": "", "kind": "Service", "name": format!("kyc-{written}"), "port": 8081, "weight": 100},
    ]);
    let nothing_else = |objects: &mut Objects| {
        (objects.deployments, objects.services, objects.config_maps, objects.pods) = Default::default();
    };
    let upgraded = with(|objects| {
        nothing_else(objects);
        objects.rollout = spelled.clone();
        objects.route = Some(Arc::new(route.clone()));
    });
    assert_eq!(upgraded.spec().unwrap().revision, written);
    let plan = microapp_core::decide(&upgraded, Timestamp::UNIX_EPOCH, &microapp_core::Judgement::default());
    assert_eq!(upgraded.route().unwrap().register.stable, written);
    assert!(!matches!(plan.state, State::Prepare | State::Preflight | State::Ramp), "{plan:?}");
    // And the next change of meaning is a revision of its own, under the new rule.
    let mut changed = (*spelled).clone();
    changed["spec"]["traffic"]["port"] = json!(8082);
    let changed = with(|objects| {
        objects.rollout = Arc::new(changed);
        objects.route = Some(Arc::new(route));
    });
    let revision = &changed.spec().unwrap().revision;
    assert!(*revision != written && *revision != wanted());
    assert_ne!(Some(revision), changed.spec().unwrap().raw.written.as_ref());
}
