//! Stored objects of one rollout, with values that differ so that a swap shows.
#![allow(dead_code, clippy::unwrap_used, clippy::needless_pass_by_value)]

use std::sync::Arc;

use microapp_core::{
    Revision,
    lens::{Objects, Prompts},
};
use serde_json::{Value, json};

pub fn rollout() -> Value {
    json!({
        "apiVersion": "microapp.dev/v1alpha1",
        "kind": "MicroAppRollout",
        "metadata": {
            "namespace": "fintech", "name": "kyc", "uid": "uid-of-kyc", "generation": 7, "resourceVersion": "700",
            "creationTimestamp": "2026-03-01T10:00:00Z",
            "annotations": {"microapp.dev/abort": "t1 it smells", "microapp.dev/pause": "t2"},
        },
        "spec": {
            "replicas": 3,
            "template": {
                "metadata": {"labels": {"team": "kyc"}},
                "spec": {
                    "initContainers": [{"name": "warm", "image": "registry.local:5000/warm:2"}],
                    "containers": [{
                        "name": "app",
                        "image": "registry.local:5000/kyc:1",
                        "ports": [{"containerPort": 8081}],
                        "env": [
                            {"name": "OTEL_RESOURCE_ATTRIBUTES", "value": "team=kyc,service.version=mine"},
                            {"name": "SYSTEM", "valueFrom": {"configMapKeyRef": {"name": "kyc-prompts", "key": "system.md"}}},
                            {"name": "OTHER", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "a"}}},
                        ],
                        "envFrom": [{"configMapRef": {"name": "kyc-prompts"}}],
                        "futureField": {"kept": true},
                    }],
                },
            },
            "model": {"provider": "openai", "name": "gpt-5-nano", "version": "2025-08-07"},
            "prompts": {"configMapRef": {"name": "kyc-prompts"}, "mountPath": "/srv/prompts"},
            "traffic": {"port": 8081, "gateway": {
                "parentRefs": [{"name": "public", "namespace": "gateways"}],
                "hostnames": ["kyc.example.com"],
            }},
            "gates": [{"name": "errors", "errorRate": {"max": "1%"}}],
        },
    })
}

pub fn prompts() -> Prompts {
    Prompts::Found(json!({"system.md": "be kind"}), Value::Null)
}

/// The revision that the spec names.
pub fn wanted() -> Revision {
    let rollout = rollout();
    let digest = microapp_core::revision::prompts_digest(&json!({"system.md": "be kind"}), &Value::Null);
    Revision::of(&rollout["spec"]["template"], &rollout["spec"]["model"], 8081, &digest)
}

/// Another one that once was wanted.
pub fn old() -> Revision {
    Revision::parse("bcdfghjklm").unwrap()
}

/// A child of a revision, owned by the rollout.
pub fn child(name: &str, revision: &Revision, rest: Value) -> Value {
    let mut object = json!({"metadata": {
        "namespace": "fintech", "name": name, "uid": format!("uid-of-{name}"), "resourceVersion": "42",
        "creationTimestamp": "2026-03-01T10:05:00Z",
        "labels": {"microapp.dev/rollout": "kyc", "microapp.dev/revision": revision.as_str()},
        "ownerReferences": [{"uid": "uid-of-kyc"}],
    }});
    for (key, value) in rest.as_object().unwrap() {
        object[key] = value.clone();
    }
    object
}

/// The route in the middle of attempt 4, at step 1.
pub fn route() -> Value {
    let (stable, canary) = (old(), wanted());
    json!({
        "metadata": {
            "namespace": "fintech", "name": "kyc", "resourceVersion": "901", "generation": 12,
            "ownerReferences": [{"uid": "uid-of-kyc"}],
            "annotations": {
                "microapp.dev/stable": stable.as_str(), "microapp.dev/canary": canary.as_str(),
                "microapp.dev/attempt": "4", "microapp.dev/step": "1",
                "microapp.dev/since": "2026-03-01T11:00:00Z", "somebody.else/key": "kept",
            },
            "managedFields": [
                {"manager": "microapp-operator", "time": "2026-03-01T11:00:00Z"},
                {"manager": "contour", "subresource": "status", "time": "2026-03-01T11:00:03Z"},
                {"manager": "kubectl-edit", "time": "2026-03-01T10:59:00Z"},
            ],
        },
        "spec": {
            "hostnames": ["kyc.example.com"],
            "parentRefs": [
                {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "public", "namespace": "gateways"},
            ],
            "rules": [{
                "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                "backendRefs": [
                    {"group": "", "kind": "Service", "name": format!("kyc-{stable}"), "port": 8080, "weight": 95},
                    {"group": "", "kind": "Service", "name": format!("kyc-{canary}"), "port": 8081, "weight": 5},
                ],
                "timeouts": {"request": "0s"},
            }],
        },
        "status": {"parents": [{
            "parentRef": {"name": "public", "namespace": "gateways"},
            "conditions": [
                {"type": "Accepted", "status": "True", "observedGeneration": 12},
                {"type": "ResolvedRefs", "status": "True", "observedGeneration": 12},
            ],
        }]},
    })
}

/// Stable on `old`, attempt 4 on the wanted one.
pub fn objects() -> Objects {
    let (stable, canary) = (old(), wanted());
    let name = |revision: &Revision| format!("kyc-{revision}");
    let all = |objects: Vec<Value>| objects.into_iter().map(Arc::new).collect();
    let pinned =
        json!({"spec": {"replicas": 2, "template": {"metadata": {"annotations": {"microapp.dev/pinned": "true"}}}}});
    let record = json!({
        "revision": 3,
        "data": {
            "v": 1, "port": 8080, "images": {"app": "registry.local:5000/kyc@sha256:0ld"},
            "template": {"spec": {"containers": [{"name": "app", "image": "registry.local:5000/kyc:0"}]}},
            "model": {"provider": "openai", "name": "gpt-5-nano", "version": "2025-01-01"},
            "gateway": {"parentRefs": [{"name": "public"}]},
            "prompts": {"from": "old-prompts", "mountPath": "/old"},
        },
    });
    Objects {
        rollout: Arc::new(rollout()),
        deployments: all(vec![
            child(&name(&canary), &canary, pinned),
            child(&name(&stable), &stable, json!({"spec": {"replicas": 3, "template": {}}})),
        ]),
        services: all(vec![child(&name(&canary), &canary, json!({})), child(&name(&stable), &stable, json!({}))]),
        records: all(vec![child(&name(&stable), &stable, record)]),
        config_maps: all(vec![child(&format!("kyc-{canary}-prompts"), &canary, json!({}))]),
        pods: all(vec![pod(&canary)]),
        route: Some(Arc::new(route())),
        apex: Some(Arc::new(child(
            "kyc",
            &stable,
            json!({
                "spec": {"selector": {"microapp.dev/rollout": "kyc", "microapp.dev/revision": stable.as_str()}},
            }),
        ))),
        prompts: prompts(),
        ..Objects::default()
    }
}

/// A ready pod of the pinned template.
pub fn pod(revision: &Revision) -> Value {
    let mut pod = child(
        &format!("kyc-{revision}-7d4b9-x2x4z"),
        revision,
        json!({
            "spec": {
                "initContainers": [{"name": "warm", "image": "registry.local:5000/warm:2"}],
                "containers": [{"name": "app", "image": "registry.local:5000/kyc:1"}],
            },
            "status": {
                "startTime": "2026-03-01T10:06:00Z",
                "conditions": [{"type": "Ready", "status": "True"}],
                "initContainerStatuses": [{"name": "warm", "imageID": "registry.local:5000/warm@sha256:aaa", "restartCount": 0}],
                "containerStatuses": [{"name": "app", "imageID": "docker-pullable://registry.local:5000/kyc@sha256:bbb", "restartCount": 0}],
            },
        }),
    );
    pod["metadata"]["annotations"] = json!({"microapp.dev/pinned": "true"});
    pod
}

/// Compares with `tests/golden/<name>.json`; `UPDATE_GOLDEN=1` writes it instead. The names of the two revisions are
/// replaced, so that it reads.
pub fn golden(name: &str, value: &impl serde::Serialize) {
    let text = serde_json::to_string_pretty(value)
        .unwrap()
        .replace(wanted().as_str(), "WANTED")
        .replace(old().as_str(), "OLD");
    let path = format!("{}/tests/golden/{name}.json", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text + "\n").unwrap();
        return;
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text.trim(), golden.trim(), "{path} differs; run the test with UPDATE_GOLDEN=1 and read the diff");
}
