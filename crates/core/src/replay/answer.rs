//! The answers of a replay.

use microapp_api::v1alpha1::Verdict;
use serde::Serialize;
use serde_json::{Value, json, value::RawValue};

use super::line::nothing;
use crate::{
    counts::{Side, Unknown},
    decide::State,
    evidence::{GateView, Judgement},
    plan::Plan,
    strategy::{Gate, Strategy},
    world::World,
};

/// What a line came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Action {
    Hold,
    Raise,
    Lower,
    Pause,
    Promote,
    Rollback,
}

impl Action {
    /// A hold is a pause where a person, or an incident of the environment, is the reason.
    pub fn or_pause(self, plan: &Plan, seen: &Judgement) -> Self {
        let incident = seen.gates.iter().any(|gate| gate.unknown == Some(Unknown::Guarded));
        let paused = plan.state == State::Held && plan.why.reason == "AwaitingApproval";
        if self == Self::Hold && (incident || paused) { Self::Pause } else { self }
    }
}

/// The answer to one line.
#[derive(Debug, Serialize)]
pub(super) struct Answer<'a> {
    t: Echo<'a>,
    action: Action,
    weight: Value,
    step: i64,
    reason: String,
    gates: Vec<GateAnswer>,
}

/// A number as it was read.
#[derive(Debug)]
struct Echo<'a>(&'a str);

impl Serialize for Echo<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RawValue::from_string(self.0.to_owned()).map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

#[derive(Debug, Serialize)]
struct GateAnswer {
    name: String,
    verdict: &'static str,
    reason: String,
    log_e_fail: f64,
    log_e_pass: f64,
    canary: Value,
    stable: Value,
    step_canary: Value,
    step_stable: Value,
}

/// What repeats once a rollout has ended.
#[derive(Clone, Debug)]
pub(super) struct Ending {
    action: Action,
    weight: Value,
    step: i64,
    reason: String,
}

#[derive(Serialize)]
struct Repeat<'a> {
    t: Echo<'a>,
    action: Action,
    weight: &'a Value,
    step: i64,
    reason: &'a str,
}

impl Ending {
    /// The same answer, without gates.
    pub fn repeat(&self, t: &str) -> String {
        let Self { action, weight, step, reason } = self;
        json_of(&Repeat { t: Echo(t), action: *action, weight, step: *step, reason })
    }
}

impl<'a> Answer<'a> {
    pub fn new(t: &'a str, action: Action, world: &World, strategy: &Strategy, plan: &Plan, seen: &Judgement) -> Self {
        let route = world.route();
        let (weight, step) = match action {
            Action::Promote => (100.0, strategy.last() as i64),
            Action::Hold | Action::Raise | Action::Lower | Action::Pause | Action::Rollback => (
                route.and_then(crate::world::Route::weight).unwrap_or_default().percent(),
                route.and_then(|route| route.register.step).map_or(-1, |step| step as i64),
            ),
        };
        let gates = strategy.gates.iter().zip(&seen.gates).map(|(gate, view)| GateAnswer::new(gate, view)).collect();
        Self { t: Echo(t), action, weight: number(weight), step, reason: plan.why.reason.clone(), gates }
    }
}

impl Answer<'_> {
    pub fn ending(&self) -> Option<Ending> {
        matches!(self.action, Action::Promote | Action::Rollback).then(|| Ending {
            action: self.action,
            weight: self.weight.clone(),
            step: self.step,
            reason: self.reason.clone(),
        })
    }

    pub fn to_json(&self) -> String {
        json_of(self)
    }
}

impl GateAnswer {
    fn new(gate: &Gate, view: &GateView) -> Self {
        let (verdict, reason) = match view.verdict {
            Verdict::Pass => ("pass", if view.hot_fix { "HotFix" } else { "Pass" }),
            Verdict::Fail => ("fail", "Fail"),
            Verdict::Unknown => ("unknown", view.unknown.unwrap_or(Unknown::Undecided).as_str()),
            Verdict::NotWatched => ("unknown", "NotWatched"),
        };
        let counts = |side: Option<Side>| counts(side.unwrap_or_else(|| nothing(gate)));
        Self {
            name: view.name.clone(),
            verdict,
            reason: reason.to_owned(),
            log_e_fail: rounded(view.ln_fail),
            log_e_pass: rounded(view.ln_pass),
            canary: counts(view.seen[0]),
            stable: counts(view.seen[1]),
            step_canary: counts(view.step[0]),
            step_stable: counts(view.step[1]),
        }
    }
}

/// Counts in the form in which they are read.
fn counts(side: Side) -> Value {
    match side {
        Side::Count { above, below, total } if above == below => json!([above, total]),
        Side::Count { above, below, total } => json!([above, below, total]),
        Side::Mean { n, sum } => json!({"n": n, "sum": i64::try_from(sum).unwrap_or(i64::MAX)}),
        Side::Late { bad, good, void, started } => json!([bad, good, void, started]),
    }
}

/// Six decimals, and never minus zero.
fn rounded(ln: f64) -> f64 {
    let rounded = (ln * 1e6).round() / 1e6;
    if rounded == 0.0 { 0.0 } else { rounded }
}

/// A whole number without a point.
fn number(value: f64) -> Value {
    if value.fract() == 0.0 { json!(value as i64) } else { json!(value) }
}

fn json_of<T: Serialize>(value: &T) -> String {
    // Strings, numbers and maps with string keys: there is nothing in it that could fail.
    serde_json::to_string(value).unwrap_or_default()
}
