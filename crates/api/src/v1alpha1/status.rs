use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::PinnedPlan;
use crate::conditions::Cause;

/// What the operator reports. All of it is a copy that can be rebuilt from the route and the children.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MicroAppRolloutStatus {
    /// The generation that this status speaks of; -1 in a fresh object, so that it reads as in progress.
    #[serde(default = "never_observed")]
    pub observed_generation: i64,
    /// The revision that the spec asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired_revision: Option<String>,
    /// The last desired revision that came to an end: promoted, rejected or superseded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handled_revision: Option<String>,
    /// Pods of the arm that `selector` selects.
    #[serde(default)]
    pub replicas: i32,
    /// Those of them that are ready.
    #[serde(default)]
    pub ready_replicas: i32,
    /// Label selector of the arm with the larger weight, for autoscalers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// The promoted revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable: Option<Stable>,
    /// The revision on trial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Canary>,
    /// The gates as of the last transition or checkpoint.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<GateStatus>,
    /// Revisions that are not tried again by themselves, oldest first; at most ten.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<RejectedRevision>,
    /// Attempts that ended, oldest first; at most ten.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<HistoryEntry>,
    /// `Ready`, `Reconciling`, `Stalled`, `Available`, `TrafficSynced`, `GatesPassing`, `RolledBack`, `Paused`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

const fn never_observed() -> i64 {
    -1
}

impl Default for MicroAppRolloutStatus {
    fn default() -> Self {
        Self {
            observed_generation: never_observed(),
            desired_revision: None,
            handled_revision: None,
            replicas: 0,
            ready_replicas: 0,
            selector: None,
            stable: None,
            canary: None,
            gates: Vec::new(),
            rejected: Vec::new(),
            history: Vec::new(),
            conditions: Vec::new(),
        }
    }
}

/// The promoted revision.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stable {
    /// Its hash.
    pub revision: String,
    /// The image of the serving container as the spec gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The digest that it runs, `sha256:…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The model, as `provider/name@version`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// When it became stable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promoted_at: Option<Time>,
}

/// The revision on trial.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Canary {
    /// Its hash.
    pub revision: String,
    /// The number of the attempt.
    pub attempt: i64,
    /// The step in force, counted from 0; -1 before the first.
    pub step: i32,
    /// Its share of the traffic, such as `0.5%`.
    pub weight: String,
    /// When the attempt began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// What the attempt was begun with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PinnedPlan>,
    /// The evidence so far: opaque, versioned, at most 8 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
}

/// A gate as of the last transition or checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GateStatus {
    /// Its name.
    pub name: String,
    /// What it says.
    pub verdict: Verdict,
    /// What the canary did in this attempt: `bad/total`, `sum/n`, `bad/good/void/started`, or a value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<String>,
    /// What the stable revision did meanwhile, in the same form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable: Option<String>,
    /// The verdict in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// What a gate says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Verdict {
    /// The canary is no worse than allowed.
    Pass,
    /// The canary is worse.
    Fail,
    /// Not known; never raises and never rolls back.
    #[default]
    Unknown,
    /// A gate of the preset without data for the stable revision; it does not block.
    NotWatched,
}

/// A revision that is not tried again by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RejectedRevision {
    /// Its hash.
    pub revision: String,
    /// The attempt that rejected it; 0 where none had begun.
    #[serde(default)]
    pub attempt: i64,
    /// Why.
    pub cause: Cause,
    /// The gate that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<String>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
    /// For people: what was told when it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// An attempt that ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HistoryEntry {
    /// The revision on trial.
    pub revision: String,
    /// The number of the attempt.
    pub attempt: i64,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it ended without promotion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// The gate that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<String>,
    /// The image of the serving container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Its digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The model, as `provider/name@version`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The largest weight that it had, such as `25%`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_weight: Option<String>,
    /// When the attempt began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Time>,
    /// The end in words: the gate, what was seen, how strong the evidence was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Outcome {
    /// The first revision of an object became stable, without gates.
    Initial,
    /// The canary became stable.
    Promoted,
    /// All traffic went back to stable.
    RolledBack,
    /// It was given up before it had traffic.
    Rejected,
}
