//! One rollout in the middle of its attempt, and the small changes that tests make to it.
#![allow(dead_code, clippy::unwrap_used)]

use microapp_api::v1alpha1::MicroAppRollout;
use microapp_cli::view::View;
use microapp_core::register::Register;
use serde_json::{Value, json};

/// The stable revision of the fixtures.
pub const STABLE: &str = "4zx9w8v7t6";
/// The revision on trial.
pub const CANARY: &str = "5d8f9c7b6x";
/// A third one.
pub const OTHER: &str = "2b4c5d6f7g";

/// The object: attempt 3 of `CANARY` is in its second step of four.
pub fn rollout() -> Value {
    json!({
        "apiVersion": "microapp.dev/v1alpha1",
        "kind": "MicroAppRollout",
        "metadata": {"name": "kyc", "namespace": "fintech", "generation": 7, "resourceVersion": "1000", "uid": "u"},
        "spec": {
            "replicas": 2,
            "template": {"spec": {"containers": [{"name": "app", "image": "registry.example/kyc:2"}]}},
            "model": {"provider": "openai", "name": "gpt-5-nano", "version": "2025-08-07"},
            "traffic": {"port": 8080, "gateway": {"parentRefs": [{"name": "public"}]}},
        },
        "status": {
            "observedGeneration": 7,
            "desiredRevision": CANARY,
            "replicas": 2,
            "readyReplicas": 2,
            "stable": {
                "revision": STABLE,
                "image": "registry.example/kyc:1",
                "digest": "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                "model": "openai/gpt-5-nano@2025-06-01",
                "promotedAt": "2026-02-26T12:00:00Z",
            },
            "canary": {
                "revision": CANARY,
                "attempt": 3,
                "step": 1,
                "weight": "5%",
                "startedAt": "2026-03-01T12:00:50Z",
                "plan": {
                    "steps": [
                        {"weight": "1%", "dwellMillis": 120_000},
                        {"weight": "5%", "dwellMillis": 120_000},
                        {"weight": "25%", "dwellMillis": 300_000},
                        {"weight": "100%", "dwellMillis": 1_800_000},
                    ],
                    "gates": [
                        {"name": "errors", "errorRate": {"max": "1%"}, "telemetry": "otel-genai"},
                        {"name": "cost", "tokenCost": {"maxIncrease": "10%"}, "telemetry": "otel-genai"},
                    ],
                    "alpha": "0.01",
                    "beta": "0.05",
                    "epsilon": "0.005",
                    "maxStepMillis": 3_600_000,
                },
                "evidence": "e2.1772366688.000.AAAA",
            },
            "gates": [
                {"name": "errors", "verdict": "Pass", "canary": "3/412", "stable": "12/20400",
                 "message": "good enough for the next step"},
                {"name": "cost", "verdict": "Unknown", "canary": "824000000/412", "stable": "39000000000/20400",
                 "message": "is undecided: more requests are needed; evidence against it none (rolls back at 800), for it 3 (passes at 20)"},
                {"name": "grounded", "verdict": "NotWatched", "message": "not watched: no verdict of stable"},
            ],
            "conditions": [
                condition("Ready", "False", "Progressing", "cost is undecided"),
                condition("Reconciling", "True", "Progressing", "cost is undecided"),
                condition("Available", "True", "StableAvailable", "4zx9w8v7t6 has 2 ready pods"),
                condition("RolledBack", "False", "NoRollback", "the last attempt was not rolled back"),
            ],
            "history": [
                {"revision": OTHER, "attempt": 2, "outcome": "RolledBack", "cause": "GateFailed", "gate": "errors",
                 "maxWeight": "1%", "endedAt": "2026-03-01T10:05:00Z", "message": "gate errors fails at 1%",
                 "image": "registry.example/kyc:1b", "model": "openai/gpt-5-nano@2025-06-01"},
            ],
            "rejected": [{"revision": OTHER, "attempt": 2, "cause": "GateFailed", "gate": "errors"}],
        },
    })
}

/// One condition.
pub fn condition(kind: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({
        "type": kind, "status": status, "reason": reason, "message": message, "observedGeneration": 7,
        "lastTransitionTime": "2026-03-01T12:04:00Z",
    })
}

/// What the route says in the middle of the attempt.
pub fn annotations() -> Value {
    json!({
        "microapp.dev/stable": STABLE,
        "microapp.dev/canary": CANARY,
        "microapp.dev/attempt": "3",
        "microapp.dev/step": "1",
        "microapp.dev/since": "2026-03-01T12:04:00Z",
    })
}

/// The latch of attempt 3.
pub fn latch(cause: &str) -> String {
    json!({"v": 1, "attempt": 3, "cause": cause, "at": "2026-03-01T12:04:30Z"}).to_string()
}

/// The view at 12:05:02.
pub fn view(rollout: &Value, annotations: &Value) -> View {
    let register = serde_json::from_value(annotations.clone()).unwrap();
    View {
        hidden: false,
        rollout: serde_json::from_value::<MicroAppRollout>(rollout.clone()).unwrap(),
        register: Register::read(&register).unwrap(),
        now: "2026-03-01T12:05:02Z".parse().unwrap(),
    }
}

/// The rollout at rest after attempt 3 went back.
pub fn rolled_back(cause: &str) -> (Value, Value) {
    let (mut rollout, mut annotations) = (rollout(), annotations());
    let status = &mut rollout["status"];
    let message = format!("{CANARY} was rejected ({cause}); stable is {STABLE}");
    status["conditions"] =
        json!([condition("Ready", "False", "RolledBack", &message), condition("Stalled", "True", cause, &message),]);
    status["canary"] = Value::Null;
    status["rejected"].as_array_mut().unwrap().push(json!({"revision": CANARY, "attempt": 3, "cause": cause}));
    status["history"].as_array_mut().unwrap().push(json!({
        "revision": CANARY, "attempt": 3, "outcome": "RolledBack", "cause": cause, "maxWeight": "5%",
        "endedAt": "2026-03-01T12:04:30Z", "message": "it was bad",
    }));
    let map = annotations.as_object_mut().unwrap();
    map.remove("microapp.dev/canary");
    map.remove("microapp.dev/step");
    map.insert("microapp.dev/aborted".to_owned(), latch(cause).into());
    map.insert("microapp.dev/rejected".to_owned(), format!("{CANARY}={cause}").into());
    (rollout, annotations)
}
