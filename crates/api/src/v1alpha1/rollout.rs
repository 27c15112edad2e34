// The derive takes one `printcolumn(…)` per column, each with its own `type_`.
#![allow(clippy::duplicated_attributes)]

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{EffectiveGate, Gate, MicroAppRolloutStatus, Model, PodTemplate, Prompts, Strategy, Telemetry, Traffic};

/// What should run, and how a new revision of it is let in.
///
/// `template`, `model`, `traffic.port` and the data of the prompts make the revision; everything else can change
/// without starting a rollout.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "microapp.dev",
    version = "v1alpha1",
    kind = "MicroAppRollout",
    plural = "microapprollouts",
    singular = "microapprollout",
    shortname = "mar",
    category = "rollouts",
    namespaced,
    status = "MicroAppRolloutStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "A small AI application whose new revisions get traffic step by step, and lose it on evidence.",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(
        name = "READY",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#,
        description = "True when the wanted revision is promoted and serves."
    ),
    printcolumn(
        name = "REASON",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#,
        description = "Why it is, or is not, ready."
    ),
    printcolumn(
        name = "STABLE",
        type_ = "string",
        json_path = ".status.stable.revision",
        description = "The promoted revision."
    ),
    printcolumn(
        name = "CANARY",
        type_ = "string",
        json_path = ".status.canary.revision",
        description = "The revision on trial."
    ),
    printcolumn(
        name = "WEIGHT",
        type_ = "string",
        json_path = ".status.canary.weight",
        description = "The canary's share of the traffic."
    ),
    printcolumn(
        name = "STEP",
        type_ = "integer",
        json_path = ".status.canary.step",
        description = "The step in force, counted from 0; -1 before the first."
    ),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct MicroAppRolloutSpec {
    /// Pods of the stable revision; 0 to 1000. Leave it out of Git when an autoscaler sets it.
    #[serde(default = "one")]
    pub replicas: i32,
    /// The pods: what the `template` of a Deployment takes.
    pub template: PodTemplate,
    /// The model that the application talks to; part of the revision.
    pub model: Model,
    /// The prompts, from a ConfigMap that is copied per revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompts: Option<Prompts>,
    /// Where the traffic comes from.
    pub traffic: Traffic,
    /// How a new revision is let in.
    #[serde(default)]
    pub strategy: Strategy,
    /// What a revision must not do worse. Listed gates block. Without any, the preset's are watched: failed requests of
    /// users, failed calls to the model, latency, cost, hallucination; those without data for the stable revision are left
    /// out, but never both kinds of errors.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<Gate>,
    /// Whether pods may run an image that has no digest.
    #[serde(default)]
    pub image_policy: ImagePolicy,
    /// Where the numbers come from, for every gate that does not say otherwise.
    #[serde(default)]
    pub telemetry: Telemetry,
}

const fn one() -> i32 {
    1
}

impl MicroAppRolloutSpec {
    /// The gates that apply: those that are listed, or the preset's where none is.
    pub fn effective_gates(&self) -> Vec<EffectiveGate> {
        if self.gates.is_empty() {
            EffectiveGate::defaults(&self.telemetry)
        } else {
            self.gates.iter().map(|gate| EffectiveGate::listed(gate, &self.telemetry)).collect()
        }
    }
}

/// What to do where a node reports no repository digest for an image given by tag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ImagePolicy {
    /// No traffic before every image is pinned to a digest.
    #[default]
    Digest,
    /// Run the tag as it is; later pods may then run other bytes.
    AllowTag,
}
