//! Ramp: one step below 100 %. Up on evidence from inside the step; down without a latch where pods or answers are lost.

use jiff::{SignedDuration, Timestamp};
use microapp_api::{conditions::Cause, v1alpha1::Verdict};

use super::{
    State,
    capacity::{self, Capacity},
    guard,
    scene::{Scene, after, wake},
    urgent,
};
use crate::{
    counts::Unknown,
    evidence::{GateView, SteppedBack},
    explain,
    plan::{Change, Plan, Transition, Write},
    register::Register,
    revision::Revision,
    strategy::{OnInconclusive, Strategy},
    world::Verb,
};

/// How often pods are scraped where preflight did not measure it, in milliseconds.
const USUAL_INTERVAL: i64 = 5_000;

/// One pass of a step.
pub(super) fn step(scene: &Scene, plan: &Strategy, index: usize) -> Plan {
    if let Some(lost) = lost(scene, plan, index) {
        return lost;
    }
    if let Some(commanded) = commanded(scene, plan, Some(index)) {
        return commanded;
    }
    let dwell = SignedDuration::from_millis(plan.steps[index].dwell_millis);
    let hot_fix = blockers(&scene.evidence.gates).any(|gate| gate.hot_fix && gate.verdict == Verdict::Pass);
    let passed = scene.evidence.attempt == scene.register.attempt && all_pass(&scene.evidence.gates);
    if passed && hot_fix && !guard::stood(scene) {
        let message = "the canary is better than a stable whose pods were gone in this step, which says nothing about the \
                       version; `promote` or `abort`, or it goes on once stable can be compared";
        return inconclusive(scene, plan, State::Ramp, message);
    }
    match scene.evidence.stepped_back {
        Some(SteppedBack::Again) => {
            let message = "the bake looked bad a second time; `promote` or `abort`";
            return inconclusive(scene, plan, State::Held, message).because("Inconclusive");
        }
        Some(SteppedBack::Undecided) if !passed => {
            let message = "the bake looked bad, and ten minutes beside stable did not decide; `promote` or `abort`, or \
                           it goes on once every gate passes";
            return inconclusive(scene, plan, State::Held, message).because("Inconclusive");
        }
        Some(SteppedBack::Undecided | SteppedBack::Deciding) | None => {}
    }
    let elapsed = scene.elapsed(!hot_fix);
    if !passed {
        let reason = blocking(scene);
        let due = counts_due(scene).filter(|_| reason == "Progressing");
        let message = match due {
            Some(_) => format!("{} of the traffic; its first counts are not there yet", plan.steps[index].weight),
            None => explain::waiting(&scene.evidence.gates),
        };
        let waiting = wake(inconclusive(scene, plan, State::Ramp, &message).because(reason), due);
        return if elapsed < dwell { waiting.wake_at(after(scene.now, dwell - elapsed)) } else { waiting };
    }
    if elapsed < dwell {
        let message = format!("every gate passes; the step lasts at least {}", explain::span(dwell));
        return scene.wait(State::Ramp, "Progressing", message).wake_at(after(scene.now, dwell - elapsed));
    }
    if let Some(waiting) = super::preflight::route(scene) {
        return waiting;
    }
    raise(scene, plan, index + 1, "every gate passed")
}

/// The gates that may keep a step.
fn blockers(gates: &[GateView]) -> impl Iterator<Item = &GateView> {
    gates.iter().filter(|gate| gate.verdict != Verdict::NotWatched && !gate.advisory)
}

/// Do all gates that are watched pass? A plan without any watched gate passes nothing.
pub(super) fn all_pass(gates: &[GateView]) -> bool {
    let mut watched = blockers(gates).peekable();
    watched.peek().is_some() && watched.all(|gate| gate.verdict == Verdict::Pass)
}

/// The word for what keeps the step: an incident before missing data before plain patience.
fn blocking(scene: &Scene) -> &'static str {
    let unknown = || blockers(&scene.evidence.gates).filter_map(|gate| gate.unknown);
    let any = |test: fn(Unknown) -> bool| unknown().any(test);
    if scene.evidence.silence.is_some() {
        return "PrometheusUnavailable";
    }
    if any(|unknown| matches!(unknown, Unknown::Guarded | Unknown::Saturated)) {
        return "EnvironmentIncident";
    }
    if any(|unknown| matches!(unknown, Unknown::Void | Unknown::ShareMismatch)) {
        return "ComparisonVoid";
    }
    let early = counts_due(scene).is_some();
    let patience = |unknown| match unknown {
        Unknown::Undecided | Unknown::Guarded | Unknown::Saturated => true,
        Unknown::NoData => early,
        _ => false,
    };
    match unknown().find(|unknown| !patience(*unknown)) {
        Some(_) => "NoData",
        None => "Progressing",
    }
}

/// When the first counts of the step must be there, where they are not and that is to come: the scrape after the change of
/// weight has to be over in all targets, and nothing is missing before.
fn counts_due(scene: &Scene) -> Option<Timestamp> {
    blockers(&scene.evidence.gates).find(|gate| gate.unknown == Some(Unknown::NoData))?;
    let interval = scene.world.status.canary.as_ref().and_then(|canary| canary.plan.as_ref()?.interval_millis);
    let three = SignedDuration::from_millis(interval.unwrap_or(USUAL_INTERVAL).saturating_mul(3));
    let due = after(scene.register.since?, three);
    (scene.now < due).then_some(due)
}

/// Below its share of pods, or without answers: weight 0, no latch. Weight 0 also where the canary hangs.
pub(super) fn lost(scene: &Scene, plan: &Strategy, index: usize) -> Option<Plan> {
    let canary = scene.canary()?;
    let weight = plan.steps.get(index)?.weight;
    if let Capacity::Lost(to) = capacity::of_step(scene, plan, index) {
        let arm = scene.arm(canary);
        let (ready, needed) = (arm.ready(), capacity::share(plan.replicas, weight));
        let back = to.and_then(|to| plan.steps.get(to)).map_or_else(|| "0".to_owned(), |step| step.weight.to_string());
        let message = format!(
            "the canary has {ready} ready pods of the {needed} that {weight} needs{}; weight {back} until they are back",
            capacity::cause(arm, None)
        );
        return Some(step_back(scene, to, "CapacityLost", message));
    }
    if scene.evidence.hung && scene.evidence.attempt == scene.register.attempt {
        let message = format!(
            "fewer than a fifth of the requests that {weight} should bring came back from the canary; weight 0"
        );
        return Some(step_back(scene, None, "NoCompletions", message));
    }
    None
}

/// To an earlier step, or to weight 0; the same attempt goes on.
pub(super) fn step_back(scene: &Scene, to: Option<usize>, reason: &str, message: String) -> Plan {
    let Some(canary) = scene.canary() else { return scene.wait(State::Held, reason, message) };
    if !guard::may_lower(scene) {
        return guard::waits(scene, &scene.wait(State::Held, reason, message));
    }
    let weight = to.and_then(|to| scene.plan.as_ref()?.steps.get(to)).map_or_else(Default::default, |step| step.weight);
    let register = Register { step: to, since: Some(scene.now), ..scene.register.clone() };
    let write = scene.transition(Transition::StepBack, register, scene.pair(canary, weight));
    scene.act(State::Ramp, reason, message, write).note(true, format!("StepBackTo{weight}"))
}

/// `promote`: to the last step, or one step on. It overrides Pass, never Fail, capacity or the bake.
pub(super) fn commanded(scene: &Scene, plan: &Strategy, index: Option<usize>) -> Option<Plan> {
    let command = scene.command(Verb::Promote)?;
    let target = Target::parse(&command.token)?;
    if target.attempt != scene.register.attempt || target.step != index {
        return None;
    }
    let next = if target.skip { index.map_or(plan.first, |index| index + 1) } else { plan.last() };
    let mut plan = raise(scene, plan, next.min(plan.last()), "by command");
    if let Some(Write::Route(write)) = &mut plan.write {
        write.register.tokens = write.register.tokens.with_pause(false).with(Verb::Promote.as_str(), &command.token);
    }
    Some(plan)
}

/// The target of a promote token: `<attempt>/<step>[/skip][:nonce]`; step `-` is weight 0.
struct Target {
    attempt: i64,
    step: Option<usize>,
    skip: bool,
}

impl Target {
    fn parse(token: &str) -> Option<Self> {
        let target = token.split(':').next()?;
        let mut parts = target.split('/');
        let attempt = parts.next()?.parse().ok()?;
        let step = match parts.next()? {
            "-" => None,
            step => Some(step.parse().ok()?),
        };
        let skip = match parts.next() {
            None => false,
            Some("skip") => true,
            Some(_) => return None,
        };
        Some(Self { attempt, step, skip })
    }
}

/// One step up: pods first, then the weight.
pub(super) fn raise(scene: &Scene, plan: &Strategy, to: usize, why: &str) -> Plan {
    let (Some(canary), Some(step)) = (scene.canary(), plan.steps.get(to)) else {
        return scene.wait(State::Held, "Inconclusive", "there is no such step");
    };
    let state = if to <= plan.first { State::Preflight } else { State::Ramp };
    let needed = capacity::canary(scene.basis, step.weight);
    if let Some(write) = resize(scene, canary, needed) {
        let message = format!("{why}; {} needs {needed} pods", step.weight);
        return scene.act(state, "Progressing", message, write);
    }
    let arm = scene.arm(canary);
    let ready = capacity::calm(arm, scene.now);
    if ready < needed {
        let message = format!(
            "{why}; {} waits for its pods: {ready} of {needed} ready pods{}",
            step.weight,
            capacity::cause(arm, None)
        );
        let waiting = inconclusive(scene, plan, state, &message).because("CapacityLost");
        return wake(waiting, capacity::calms_at(arm, scene.now));
    }
    let register = Register { step: Some(to), since: Some(scene.now), ..scene.register.clone() };
    let write = scene.transition(Transition::Raise, register, scene.pair(canary, step.weight));
    let message = format!(
        "{why}; {} of the traffic for at least {}",
        step.weight,
        explain::span(SignedDuration::from_millis(step.dwell_millis))
    );
    scene.act(state, "Progressing", message, write).note(false, format!("RaiseTo{}", step.weight))
}

/// More pods, where a step needs them. Fewer only after the attempt.
pub(super) fn resize(scene: &Scene, revision: &Revision, needed: i32) -> Option<Write> {
    let deployment = scene.arm(revision).deployment.as_ref()?;
    (deployment.size < needed).then(|| {
        Write::Change(Change::Scale {
            revision: revision.clone(),
            version: deployment.version.clone(),
            replicas: needed,
        })
    })
}

/// Undecided: until `maxStepDuration` it waits, then the plan's own word counts.
pub(super) fn inconclusive(scene: &Scene, plan: &Strategy, state: State, message: &str) -> Plan {
    let limit = SignedDuration::from_millis(plan.max_step_millis);
    let elapsed = scene.elapsed(true);
    if elapsed < limit {
        return scene.wait(state, "Progressing", message).wake_at(after(scene.now, limit - elapsed));
    }
    let message = format!("undecided after {}: {message}", explain::span(limit));
    match plan.on_inconclusive {
        OnInconclusive::Hold => scene.wait(State::Held, "Inconclusive", message),
        OnInconclusive::Rollback => urgent::lower(scene, Cause::Inconclusive, message, |_| {}),
    }
}

impl Plan {
    /// Another word for the same wait, unless it is more than a wait.
    pub(super) fn because(mut self, reason: &str) -> Self {
        if self.write.is_none() && self.why.reason == "Progressing" {
            reason.clone_into(&mut self.why.reason);
        }
        self
    }
}
