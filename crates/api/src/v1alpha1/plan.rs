use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Gate, LowTraffic, OnInconclusive, TelemetryPreset};

/// All that an attempt was begun with. Editing the spec in mid-rollout changes none of it.
///
/// Fractions are decimal strings, so that the same attempt reads the same numbers whoever decodes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PinnedPlan {
    /// The steps; the last is the bake.
    pub steps: Vec<PinnedStep>,
    /// Index of the step that the ramp begins with; above 0 where low traffic makes it skip steps.
    #[serde(default)]
    pub first_step: i32,
    /// The gates that block, as resolved.
    #[serde(default)]
    pub gates: Vec<PinnedGate>,
    /// Chance of a false rollback per attempt, over all gates, as a fraction (`0.01`).
    pub alpha: String,
    /// Chance of a false pass per gate and step, as a fraction (`0.05`).
    pub beta: String,
    /// Tolerance: the extra share of bad responses at full traffic that the ramp must exclude, as a fraction (`0.005`).
    /// `Auto` until preflight has chosen it, before the first raise, from what the stable revision did before.
    pub epsilon: String,
    /// What happens where no tolerance fits the traffic.
    #[serde(default)]
    pub low_traffic: LowTraffic,
    /// Digest of the price table, where a gate counts money.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_digest: Option<String>,
    /// How long a step may take until `onInconclusive` acts, in milliseconds.
    pub max_step_millis: i64,
    /// What happens then.
    #[serde(default)]
    pub on_inconclusive: OnInconclusive,
    /// How long gates of time leave out after each raise, in milliseconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub warm_up_millis: i64,
    /// `spec.replicas` at Begin: the smallest basis of sizes during the attempt.
    #[serde(default)]
    pub replicas: i32,
    /// Length of an evidence window in milliseconds: the scrape interval as preflight measured it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval_millis: Option<i64>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde hands over a reference
const fn is_zero(millis: &i64) -> bool {
    *millis == 0
}

/// One step of a pinned plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PinnedStep {
    /// Share of the traffic, such as `0.5%`.
    pub weight: String,
    /// How long it lasts at least, in milliseconds.
    pub dwell_millis: i64,
}

/// One gate of a pinned plan: the gate as listed, its source, and what stable did before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PinnedGate {
    /// The gate with its source.
    #[serde(flatten)]
    pub gate: Gate,
    /// It came from the preset, not from the spec: without data for the stable revision it is not watched.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub defaulted: bool,
    /// Where its numbers may come from, in order of preference, where the stable revision lacks `telemetry`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fallbacks: Vec<TelemetryPreset>,
    /// What the stable revision did before the attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<PinnedBaseline>,
}

/// What a mean is taken over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Per {
    /// A request of whatever kind.
    #[default]
    Request,
    /// An answer: a call to the model that did not fail.
    Answer,
    /// An answer whose tokens were counted, where the source does not count those of all.
    Counted,
    /// A request of a user to the application.
    User,
    /// The same, where not all answers have a token count: those without are taken for like the others.
    UserCounted,
}

/// What the stable revision did before an attempt, for one gate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PinnedBaseline {
    /// Counts: `[bad, total]`, for latency between two bounds `[bad above, bad below, total]`, for a mean
    /// `[requests]`, for a judge `[bad, good, void, started]`.
    pub counts: Vec<i64>,
    /// Sum of a mean, as an integer in its smallest unit (pico-USD, tokens).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sum: Option<String>,
    /// What a mean is taken over, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per: Option<Per>,
    /// Length of the time that was counted, in milliseconds.
    pub millis: i64,
    /// What it counted per second at last, as a decimal, where that is not the mean over all that time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rps: Option<String>,
    /// Time from a request to its verdict, in milliseconds, where it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_millis: Option<i64>,
    /// Overdispersion φ ≥ 1, as a decimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phi: Option<String>,
    /// What people should know of the gate although it works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caveat: Option<String>,
}
