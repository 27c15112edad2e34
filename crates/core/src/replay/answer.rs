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

/// What the operator did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Nothing changes.
    Hold,
    /// One step up.
    Raise,
    /// The bake's step back, or capacity that was lost.
    Lower,
    /// A person, or an incident of the environment, is the reason that nothing changes.
    Pause,
    /// The canary is stable now.
    Promote,
    /// All traffic is back on stable.
    Rollback,
}

/// What a tick came to, without the gates' numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// What was done.
    pub action: Action,
    /// The canary's share after it, in percent.
    pub weight: f64,
    /// The step in force after it; none at weight 0 before the ramp.
    pub step: Option<usize>,
    /// Why, in one word.
    pub reason: String,
}

impl Outcome {
    pub(super) fn new(action: Action, world: &World, strategy: &Strategy, plan: &Plan) -> Self {
        Self::at(action, world, strategy.last(), &plan.why.reason)
    }

    /// In a world; `last`: the index of the plan's last step.
    pub(crate) fn at(action: Action, world: &World, last: usize, reason: &str) -> Self {
        let route = world.route();
        let (weight, step) = match action {
            Action::Promote => (100.0, Some(last)),
            Action::Hold | Action::Raise | Action::Lower | Action::Pause | Action::Rollback => (
                route.and_then(crate::world::Route::weight).unwrap_or_default().percent(),
                route.and_then(|route| route.register.step),
            ),
        };
        Self { action, weight, step, reason: reason.to_owned() }
    }

    /// Is the attempt over?
    pub const fn is_over(&self) -> bool {
        matches!(self.action, Action::Promote | Action::Rollback)
    }

    fn step_number(&self) -> i64 {
        self.step.map_or(-1, |step| step as i64)
    }

    /// The same answer to another line, without gates.
    pub(super) fn repeat(&self, t: &str) -> String {
        let (weight, step) = (number(self.weight), self.step_number());
        json_of(&Repeat { t: Echo(t), action: self.action, weight, step, reason: &self.reason })
    }
}

impl Action {
    /// A hold is a pause where a person, or an incident of the environment, is the reason.
    pub(crate) fn or_pause(self, plan: &Plan, seen: &Judgement) -> Self {
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
    reason: &'a str,
    gates: Vec<GateAnswer>,
}

/// The answer to a recorded pass; without gates where no plan is known.
pub(crate) fn answer(t: &str, outcome: &Outcome, strategy: Option<&Strategy>, seen: &Judgement) -> String {
    match strategy {
        Some(strategy) => Answer::new(t, outcome, strategy, seen).to_json(),
        None => outcome.repeat(t),
    }
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

#[derive(Serialize)]
struct Repeat<'a> {
    t: Echo<'a>,
    action: Action,
    weight: Value,
    step: i64,
    reason: &'a str,
}

impl<'a> Answer<'a> {
    pub fn new(t: &'a str, outcome: &'a Outcome, strategy: &Strategy, seen: &Judgement) -> Self {
        let gates = strategy.gates.iter().zip(&seen.gates).map(|(gate, view)| GateAnswer::new(gate, view)).collect();
        let (weight, step) = (number(outcome.weight), outcome.step_number());
        Self { t: Echo(t), action: outcome.action, weight, step, reason: &outcome.reason, gates }
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
pub(crate) fn counts(side: Side) -> Value {
    match side {
        Side::Count { above, below, total } if above == below => json!([above, total]),
        Side::Count { above, below, total } => json!([above, below, total]),
        Side::Mean { n, sum } => json!({"n": n, "sum": i64::try_from(sum).unwrap_or(i64::MAX)}),
        Side::Late { bad, good, void, started } => json!([bad, good, void, started]),
        Side::Value { nano } => number(nano as f64 / 1e9),
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
