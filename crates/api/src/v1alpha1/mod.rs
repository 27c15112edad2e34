//! Version `v1alpha1` of the API group `microapp.dev`.
//!
//! The types decode whatever the API server stores, also objects that an older schema admitted: strings stay strings
//! here, and [`crate::values`] parses them, so that an unusable spec is a value that can be explained and never an
//! object that cannot be read. Absent fields are left out again when encoded; nothing is ever `null`.

mod effective;
mod gates;
mod model;
mod plan;
mod rollout;
mod status;
mod strategy;
mod template;
mod traffic;

pub use effective::EffectiveGate;
pub use gates::{
    ClientErrors, Gate, GateKind, Judged, ModelIdentity, Query, Ratio, Saturation, Share, ShareCheck, Slow, Telemetry,
    TelemetryPreset, TokenBudget, TokenCost, TokensPerRequest, Watches,
};
pub use model::{ConfigMapRef, Model, Prompts};
pub use plan::{Per, PinnedBaseline, PinnedGate, PinnedPlan, PinnedStep};
pub use rollout::{ImagePolicy, MicroAppRollout, MicroAppRolloutSpec};
pub use status::{Canary, GateStatus, HistoryEntry, MicroAppRolloutStatus, Outcome, RejectedRevision, Stable, Verdict};
pub use strategy::{LowTraffic, OnInconclusive, Preset, Step, Strategy};
pub use template::PodTemplate;
pub use traffic::{Gateway, ParentRef, Timeouts, Traffic};
