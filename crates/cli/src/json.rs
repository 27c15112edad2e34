//! What `-o json` prints. Its shape has a version of its own, apart from the API's.

use microapp_api::v1alpha1::{Canary, GateStatus, HistoryEntry, RejectedRevision, Stable};
use serde::Serialize;

use crate::{outcome::Outcome, view::View};

pub(crate) const VERSION: &str = "cli.microapp.dev/v1alpha1";

/// `status -o json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusOut<'a> {
    api_version: &'static str,
    kind: &'static str,
    namespace: Option<&'a str>,
    name: String,
    /// The time of reading.
    at: String,
    /// The revision that `outcome` speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<&'a str>,
    outcome: Outcome,
    /// What the program would return with `--exit-code`.
    exit_code: u8,
    observed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    desired_revision: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    weights: Weights,
    #[serde(skip_serializing_if = "Option::is_none")]
    stable: Option<&'a Stable>,
    #[serde(skip_serializing_if = "Option::is_none")]
    canary: Option<CanaryOut<'a>>,
    gates: &'a [GateStatus],
    rejected: &'a [RejectedRevision],
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<&'a HistoryEntry>,
}

/// Percent of the traffic.
#[derive(Debug, Serialize)]
struct Weights {
    stable: f64,
    canary: f64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct CanaryOut<'a> {
    revision: &'a str,
    attempt: i64,
    step: i32,
    running: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    steps: Vec<StepOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    step_since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dwell_millis_left: Option<i128>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct StepOut<'a> {
    weight: &'a str,
    dwell_millis: i64,
}

impl<'a> StatusOut<'a> {
    /// Of a view; `revision` is the one that was asked about.
    pub fn of(view: &'a View, revision: Option<&'a str>) -> Self {
        let status = view.status();
        let outcome = Outcome::read(view, revision);
        let (stable, canary) = view.weights();
        let says = view.says();
        Self {
            api_version: VERSION,
            kind: "RolloutStatus",
            namespace: view.rollout.metadata.namespace.as_deref(),
            name: view.name(),
            at: view.now.to_string(),
            revision: revision.or(status.desired_revision.as_deref()),
            outcome,
            exit_code: outcome.exit().code(),
            observed: view.is_observed(),
            desired_revision: status.desired_revision.as_deref(),
            reason: says.map(|says| says.reason.as_str()),
            message: says.map(|says| says.message.as_str()),
            weights: Weights { stable: stable.percent(), canary: canary.percent() },
            stable: status.stable.as_ref(),
            canary: status.canary.as_ref().map(|canary| CanaryOut::of(view, canary)),
            gates: &status.gates,
            rejected: &status.rejected,
            last: status.history.last(),
        }
    }
}

impl<'a> CanaryOut<'a> {
    fn of(view: &View, canary: &'a Canary) -> Self {
        let timing = view.timing();
        let steps = canary.plan.as_ref().map_or(&[][..], |plan| &plan.steps);
        Self {
            revision: &canary.revision,
            attempt: canary.attempt,
            step: canary.step,
            running: view.running().is_some(),
            steps: steps.iter().map(|step| StepOut { weight: &step.weight, dwell_millis: step.dwell_millis }).collect(),
            step_since: timing.map(|timing| timing.since.to_string()),
            dwell_millis_left: timing.map(|timing| timing.left().as_millis()),
        }
    }
}

/// `history -o json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HistoryOut<'a> {
    api_version: &'static str,
    kind: &'static str,
    namespace: Option<&'a str>,
    name: String,
    /// Oldest first.
    items: &'a [HistoryEntry],
}

impl<'a> HistoryOut<'a> {
    /// Of a view.
    pub fn of(view: &'a View) -> Self {
        Self {
            api_version: VERSION,
            kind: "RolloutHistory",
            namespace: view.rollout.metadata.namespace.as_deref(),
            name: view.name(),
            items: &view.status().history,
        }
    }
}
