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
    ("spec.strategy.readyDeadline", 32),
    ("spec.strategy.warmUp", 32),
    ("spec.strategy.tolerance", 9),
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
    ("status.canary.plan.gates[].baseline.sum", 48),
    ("status.canary.plan.gates[].baseline.phi", 32),
    ("status.canary.plan.gates[].baseline.rps", 32),
    ("status.canary.plan.gates[].baseline.caveat", limits::CAVEAT),
    ("status.gates[].name", 63),
    ("status.gates[].canary", 128),
    ("status.gates[].stable", 128),
    ("status.gates[].message", 2 * limits::MESSAGE),
    ("status.rejected[].revision", REVISION),
    ("status.rejected[].gate", 63),
    ("status.rejected[].message", 2 * limits::MESSAGE),
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

/// Where a gate stands.
const GATES: &[&str] = &["spec.gates[]", "status.canary.plan.gates[]"];

/// Longest strings of a gate: `(path, characters)`.
const GATE_STRINGS: &[(&str, usize)] = &[
    ("name", 63),
    ("errorRate.max", 10),
    ("latency.quantile", 8),
    ("latency.max", 32),
    ("latency.histogram", 253),
    ("latency.matching", 512),
    ("timeToFirstToken.quantile", 8),
    ("timeToFirstToken.max", 32),
    ("timeToFirstToken.histogram", 253),
    ("timeToFirstToken.matching", 512),
    ("timePerOutputToken.quantile", 8),
    ("timePerOutputToken.max", 32),
    ("timePerOutputToken.histogram", 253),
    ("timePerOutputToken.matching", 512),
    ("tokensPerRequest.maxIncrease", 10),
    ("tokenCost.maxPerRequest", 20),
    ("tokenCost.maxIncrease", 10),
    ("tokenBudget.max", 20),
    ("hallucination.max", 10),
    ("hallucination.evaluator", 128),
    ("similarity.max", 10),
    ("similarity.evaluator", 128),
    ("safety.max", 10),
    ("safety.evaluator", 128),
    ("taskCompletion.max", 10),
    ("taskCompletion.evaluator", 128),
    ("feedback.max", 10),
    ("truncation.max", 10),
    ("throttling.max", 10),
    ("modelIdentity.accept[]", 253),
    ("saturation.maxCache", 10),
    ("ratio.bad", 512),
    ("ratio.total", 512),
    ("ratio.max", 10),
    ("query.promql", 2048),
    ("query.min", 32),
    ("query.max", 32),
];

/// Strings that must say something.
const NOT_EMPTY: &[&str] = &[
    "spec.model.provider",
    "spec.model.name",
    "spec.model.version",
    "spec.prompts.configMapRef.name",
    "spec.traffic.gateway.parentRefs[].name",
    "spec.gates[].ratio.bad",
    "spec.gates[].ratio.total",
    "spec.gates[].query.promql",
];

/// Longest lists: `(path, items)`.
const LISTS: &[(&str, usize)] = &[
    ("spec.traffic.gateway.parentRefs", 8),
    ("spec.traffic.gateway.hostnames", 16),
    ("spec.strategy.steps", limits::STEPS),
    ("spec.gates", limits::GATES),
    ("spec.gates[].modelIdentity.accept", 16),
    ("status.canary.plan.gates[].modelIdentity.accept", 24),
    ("status.canary.plan.steps", limits::STEPS),
    ("status.canary.plan.gates", limits::GATES),
    ("status.canary.plan.gates[].fallbacks", 10),
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
    ("spec.gates[].tokensPerRequest.maxPerRequest", 1, 1_000_000_000),
    ("spec.gates[].saturation.maxQueue", 1, 1_000_000),
    ("spec.gates[].query.breaches", 1, 30),
    ("spec.gates[].query.of", 1, 30),
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
    for gate in GATES {
        for (path, characters) in GATE_STRINGS {
            set(schema, &format!("{gate}.{path}"), "maxLength", json!(characters));
        }
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
