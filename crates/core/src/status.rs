//! The status: a copy of what the register, the children and the evidence say. It is written only when it changes,
//! compared without times and without the numbers that move with every scrape.

mod conditions;
mod history;
mod project;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use microapp_api::{
    conditions::{Cause, ConditionType, Reason},
    limits,
    v1alpha1::{Canary, MicroAppRolloutStatus, Stable},
};

pub(crate) use conditions::{synced_since, unsynced_since};
pub use project::{Refresh, project};

use crate::{
    decide::State,
    evidence::{Judgement, Preflight, saved_at},
    plan::{Note, Plan, StatusWrite},
    world::World,
};

/// The status write that is due, if one is.
pub fn due(world: &World, now: Timestamp, evidence: &Judgement, plan: &Plan) -> Option<StatusWrite> {
    let refresh = refresh(world, now, evidence);
    let next = project(world, now, evidence, plan, refresh);
    let changed = !is_same(&world.status, &next, is_news(world, plan));
    let checkpoint = refresh != Refresh::Keep && evidence.attempt != 0 && next.canary.is_some();
    (changed || refresh == Refresh::Checkpoint).then_some(StatusWrite { status: next, checkpoint })
}

/// Events for what no transition says: a ramp that does not start, a spec that cannot be used.
pub fn notes(world: &World, plan: &Plan) -> Vec<Note> {
    let Ok(reason) = plan.why.reason.parse::<Reason>() else { return Vec::new() };
    let said = world.status.conditions.iter().any(|condition| {
        matches!(condition.type_.as_str(), "Ready" | "Reconciling" | "Stalled")
            && condition.reason == plan.why.reason
            && condition.observed_generation == Some(world.object.generation)
    });
    if said || !conditions::is_trouble(reason) {
        return Vec::new();
    }
    vec![Note {
        warning: true,
        reason: plan.why.reason.clone(),
        action: plan.state.as_str().to_owned(),
        message: plan.why.message.clone(),
    }]
}

/// Are fresh gate numbers and evidence to be part of the next write?
fn refresh(world: &World, now: Timestamp, evidence: &Judgement) -> Refresh {
    let Some(route) = world.route() else { return Refresh::Keep };
    let register = &route.register;
    let Some(copy) = &world.status.canary else { return Refresh::Transition };
    let step = register.step.map_or(-1, |step| i32::try_from(step).unwrap_or(i32::MAX));
    if copy.attempt != register.attempt || register.is_latched() || copy.step != step {
        return Refresh::Transition;
    }
    let unsaved = copy.evidence.is_none() && evidence.preflight == Preflight::Passed;
    let since = register.since.unwrap_or(now);
    // Evidence that ends before the checkpoint's time would leave it as due as it was, and be written for ever.
    let due = evidence.attempt == register.attempt
        && last_checkpoint(since, now).is_some_and(|point| {
            evidence.last.is_some_and(|last| last >= point)
                && copy.evidence.as_deref().and_then(saved_at).is_none_or(|saved| saved < point)
        });
    if unsaved || (due && register.step.is_some()) { Refresh::Checkpoint } else { Refresh::Keep }
}

/// The last of 15 s, 1, 5, 10, 20 … minutes into the step that has passed; seconds since the epoch.
fn last_checkpoint(since: Timestamp, now: Timestamp) -> Option<f64> {
    let elapsed = now.duration_since(since).as_secs();
    let point = match elapsed {
        ..15 => return None,
        15..60 => 15,
        60..300 => 60,
        300..600 => 300,
        600.. => elapsed / 600 * 600,
    };
    Some((since.as_millisecond() / 1000 + point) as f64)
}

/// Is what the plan says worth a write although its reason stays? A wait that a person can do something about is, and
/// its end; what is over in a moment is not, nor what gates say of a step, which moves with every scrape.
fn is_news(world: &World, plan: &Plan) -> bool {
    const MISSING: &str = " ready pods: ";
    let ready = world.status.conditions.iter().find(|condition| condition.type_ == ConditionType::Ready.as_str());
    let waits = matches!(plan.state, State::Idle | State::Held | State::RollBack);
    let lacks = plan.why.message.contains(MISSING) || ready.is_some_and(|ready| ready.message.contains(MISSING));
    let rejects = plan.why.reason.parse::<Cause>().is_ok();
    plan.write.is_none() && (waits || lacks || rejects)
}

/// Does the status say this already? Numbers apart, which it does not follow.
pub(crate) fn says(world: &World, message: &str) -> bool {
    let ready = world.status.conditions.iter().find(|condition| condition.type_ == ConditionType::Ready.as_str());
    ready.is_some_and(|ready| words(&ready.message).eq(words(&limits::message(message))))
}

/// Is there nothing in it that is worth a write? Times, numbers of gates and numbers in messages are not.
fn is_same(old: &MicroAppRolloutStatus, new: &MicroAppRolloutStatus, news: bool) -> bool {
    let MicroAppRolloutStatus {
        observed_generation,
        desired_revision,
        handled_revision,
        replicas,
        ready_replicas,
        selector,
        stable,
        canary,
        gates: _,
        rejected,
        history,
        conditions,
    } = old;
    *observed_generation == new.observed_generation
        && *desired_revision == new.desired_revision
        && *handled_revision == new.handled_revision
        && *replicas == new.replicas
        && *ready_replicas == new.ready_replicas
        && *selector == new.selector
        && both(stable.as_ref(), new.stable.as_ref(), is_same_stable)
        && both(canary.as_ref(), new.canary.as_ref(), is_same_canary)
        && *rejected == new.rejected
        && *history == new.history
        && conditions.len() == new.conditions.len()
        && conditions.iter().zip(&new.conditions).all(|(old, new)| is_same_condition(old, new, news))
}

fn both<T>(old: Option<&T>, new: Option<&T>, test: fn(&T, &T) -> bool) -> bool {
    match (old, new) {
        (Some(old), Some(new)) => test(old, new),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

fn is_same_stable(old: &Stable, new: &Stable) -> bool {
    let Stable { revision, image, digest, model, promoted_at: _ } = old;
    *revision == new.revision && *image == new.image && *digest == new.digest && *model == new.model
}

fn is_same_canary(old: &Canary, new: &Canary) -> bool {
    let Canary { revision, attempt, step, weight, started_at: _, plan, evidence: _ } = old;
    (attempt, step) == (&new.attempt, &new.step)
        && *revision == new.revision
        && *weight == new.weight
        && *plan == new.plan
}

fn is_same_condition(old: &Condition, new: &Condition, news: bool) -> bool {
    let Condition { type_, status, reason, message, observed_generation, last_transition_time: _ } = old;
    let speaks = news && conditions::SPEAK.iter().any(|kind| kind.as_str() == type_);
    let trouble = || speaks || reason.parse().is_ok_and(conditions::is_trouble);
    *type_ == new.type_
        && *status == new.status
        && *reason == new.reason
        && *observed_generation == new.observed_generation
        && (*message == new.message || !trouble() || words(message).eq(words(&new.message)))
}

fn words(message: &str) -> impl Iterator<Item = char> {
    message.chars().filter(|c| !c.is_ascii_digit() && *c != '.')
}
