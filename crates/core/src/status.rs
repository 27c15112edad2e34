//! The status: a copy of what the register, the children and the evidence say. It is written only when it changes,
//! compared without times and without the numbers that move with every scrape.

mod conditions;
mod history;
mod project;

use jiff::Timestamp;

pub(crate) use conditions::unsynced_since;
pub use project::{Refresh, project};

use crate::{
    evidence::{Judgement, Preflight, saved_at},
    plan::{Note, Plan, StatusWrite},
    world::World,
};
use microapp_api::{conditions::Reason, v1alpha1::MicroAppRolloutStatus};

/// The status write that is due, if one is.
pub fn due(world: &World, now: Timestamp, evidence: &Judgement, plan: &Plan) -> Option<StatusWrite> {
    let refresh = refresh(world, now, evidence);
    let next = project(world, now, evidence, plan, refresh);
    let changed = significant(&next) != significant(&world.status);
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

/// What makes a write worth it: no times, no numbers of gates, no numbers in messages.
fn significant(status: &MicroAppRolloutStatus) -> MicroAppRolloutStatus {
    let mut status = status.clone();
    status.gates.clear();
    if let Some(canary) = &mut status.canary {
        canary.evidence = None;
        canary.started_at = None;
    }
    if let Some(stable) = &mut status.stable {
        stable.promoted_at = None;
    }
    for condition in &mut status.conditions {
        condition.last_transition_time = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(Timestamp::UNIX_EPOCH);
        let trouble = condition.reason.parse().is_ok_and(conditions::is_trouble);
        condition.message =
            if trouble { condition.message.replace(|c: char| c.is_ascii_digit(), "") } else { String::new() };
    }
    status
}
