//! Bounds of our own fields. Each list and string has one: rules are estimated from them, and status stays small.

use serde_json::{Value, json};

use super::walk::set;
use crate::limits;

/// Longest revision, with room for another hash.
const REVISION: usize = 63;

/// Longest strings: `(path, characters)`.
const STRINGS: &[(&str, usize)] = &[
    ("spec.model.provider", 63),
    ("spec.model.name", 253),
    ("spec.model.version", 128),
    ("spec.model.parameters{}", 1024),
    ("spec.prompts.configMapRef.name", 253),
    ("spec.prompts.mountPath", 512),
    ("spec.traffic.gateway.parentRefs[].group", 253),
    ("spec.traffic.gateway.parentRefs[].kind", 63),
    ("spec.traffic.gateway.parentRefs[].namespace", 63),
    ("spec.traffic.gateway.parentRefs[].name", 253),
    ("spec.traffic.gateway.parentRefs[].sectionName", 253),
    ("spec.traffic.gateway.hostnames[]", 253),
    ("spec.traffic.gateway.timeouts.request", 32),
    ("spec.strategy.steps[].weight", 9),
    ("spec.strategy.steps[].dwell", 32),
    ("spec.strategy.maxStepDuration", 32),
    ("spec.strategy.tolerance", 9),
    ("spec.gates[].name", 63),
    ("spec.gates[].errorRate.max", 10),
    ("spec.gates[].latency.quantile", 8),
    ("spec.gates[].latency.max", 32),
    ("spec.gates[].tokenCost.maxPerRequest", 20),
    ("spec.gates[].tokenCost.maxIncrease", 10),
    ("spec.gates[].hallucination.max", 10),
    ("spec.gates[].hallucination.evaluator", 128),
    ("spec.telemetry.backend", 63),
    ("status.desiredRevision", REVISION),
    ("status.handledRevision", REVISION),
    ("status.selector", 512),
    ("status.stable.revision", REVISION),
    ("status.stable.image", 1024),
    ("status.stable.digest", 128),
    ("status.stable.model", 512),
    ("status.canary.revision", REVISION),
    ("status.canary.weight", 9),
    ("status.canary.evidence", limits::EVIDENCE),
    ("status.canary.plan.steps[].weight", 9),
    ("status.canary.plan.alpha", 32),
    ("status.canary.plan.beta", 32),
    ("status.canary.plan.epsilon", 32),
    ("status.canary.plan.priceDigest", 128),
    ("status.canary.plan.gates[].name", 63),
    ("status.canary.plan.gates[].errorRate.max", 10),
    ("status.canary.plan.gates[].latency.quantile", 8),
    ("status.canary.plan.gates[].latency.max", 32),
    ("status.canary.plan.gates[].tokenCost.maxPerRequest", 20),
    ("status.canary.plan.gates[].tokenCost.maxIncrease", 10),
    ("status.canary.plan.gates[].hallucination.max", 10),
    ("status.canary.plan.gates[].hallucination.evaluator", 128),
    ("status.canary.plan.gates[].baseline.sum", 48),
    ("status.canary.plan.gates[].baseline.phi", 32),
    ("status.gates[].name", 63),
    ("status.gates[].canary", 128),
    ("status.gates[].stable", 128),
    ("status.gates[].message", 2 * limits::MESSAGE),
    ("status.rejected[].revision", REVISION),
    ("status.rejected[].gate", 63),
    ("status.history[].revision", REVISION),
    ("status.history[].gate", 63),
    ("status.history[].image", 1024),
    ("status.history[].digest", 128),
    ("status.history[].model", 512),
    ("status.history[].maxWeight", 9),
    ("status.history[].message", 2 * limits::MESSAGE),
    ("status.conditions[].type", 316),
    ("status.conditions[].status", 7),
    ("status.conditions[].reason", 128),
    ("status.conditions[].message", 2 * limits::MESSAGE),
];

/// Strings that must say something.
const NOT_EMPTY: &[&str] = &[
    "spec.model.provider",
    "spec.model.name",
    "spec.model.version",
    "spec.prompts.configMapRef.name",
    "spec.traffic.gateway.parentRefs[].name",
];

/// Longest lists: `(path, items)`.
const LISTS: &[(&str, usize)] = &[
    ("spec.traffic.gateway.parentRefs", 8),
    ("spec.traffic.gateway.hostnames", 16),
    ("spec.strategy.steps", limits::STEPS),
    ("spec.gates", limits::GATES),
    ("status.canary.plan.steps", limits::STEPS),
    ("status.canary.plan.gates", limits::GATES),
    ("status.canary.plan.gates[].baseline.counts", 4),
    ("status.gates", limits::GATES),
    ("status.rejected", limits::REJECTED),
    ("status.history", limits::HISTORY),
    ("status.conditions", 16),
];

/// Ranges of integers: `(path, least, most)`.
const RANGES: &[(&str, i64, i64)] = &[
    ("spec.replicas", 0, 1000),
    ("spec.traffic.port", 1, 65535),
    ("spec.traffic.gateway.parentRefs[].port", 1, 65535),
];

/// Lists whose items are told apart by a key.
const KEYED: &[(&str, &str)] = &[
    ("spec.gates", "name"),
    ("status.gates", "name"),
    ("status.canary.plan.gates", "name"),
    ("status.conditions", "type"),
];

pub(super) fn apply(schema: &mut Value) {
    for (path, characters) in STRINGS {
        set(schema, path, "maxLength", json!(characters));
    }
    for path in NOT_EMPTY {
        set(schema, path, "minLength", json!(1));
    }
    for (path, items) in LISTS {
        set(schema, path, "maxItems", json!(items));
    }
    set(schema, "spec.model.parameters", "maxProperties", json!(32));
    for (path, least, most) in RANGES {
        set(schema, path, "minimum", json!(least));
        set(schema, path, "maximum", json!(most));
    }
    for (path, key) in KEYED {
        set(schema, path, "x-kubernetes-list-type", json!("map"));
        set(schema, path, "x-kubernetes-list-map-keys", json!([key]));
    }
}
