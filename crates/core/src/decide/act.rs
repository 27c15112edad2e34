//! Which state's step it is.

use jiff::Timestamp;

use super::{
    State, bake,
    capacity::{self, Capacity},
    held, idle, preflight, ramp, rollback,
    scene::{Scene, wake},
};
use crate::{
    plan::{Plan, Transition},
    register::Register,
    strategy::Strategy,
    world::{Desired, Verb},
};

/// The state that the register and the wish name, and its step.
pub(super) fn step(scene: &Scene) -> Plan {
    if scene.register.canary.is_some() && scene.register.is_latched() {
        return rollback::step(scene);
    }
    if scene.register.canary.is_none() {
        return mend(scene).unwrap_or_else(|| idle::step(scene));
    }
    if let Some(plan) = mend(scene).or_else(|| token(scene)) {
        return plan;
    }
    if let Desired::Unusable { reason, message } = &scene.world.desired {
        return held::frozen(scene, *reason, message);
    }
    let Some(plan) = &scene.plan else { return held::without_plan(scene) };
    if let Some(plan) = held::step(scene) {
        return plan;
    }
    let next = match scene.register.step {
        None => preflight::step(scene, plan),
        Some(step) if step == plan.last() => bake::step(scene, plan),
        Some(step) if step > plan.last() => return held::no_such_step(scene, step),
        Some(step) => ramp::step(scene, plan, step),
    };
    wake(next, capacity_ends(scene, plan))
}

/// When the grace of a canary that lacks pods ends.
fn capacity_ends(scene: &Scene, plan: &Strategy) -> Option<Timestamp> {
    match capacity::of_step(scene, plan, scene.register.step?) {
        Capacity::Short(until) => Some(until).filter(|until| *until > scene.now),
        Capacity::Enough | Capacity::Lost(_) => None,
    }
}

/// The route says what its annotations say, or it is put right. A weight lowered by hand is a pause, not an error.
fn mend(scene: &Scene) -> Option<Plan> {
    let weight = scene.route.weight();
    let wanted = match &scene.register.canary {
        None => Some(microapp_api::values::Weight::ZERO),
        Some(_) => scene.registered_weight(),
    };
    let state = if scene.register.canary.is_some() { State::Ramp } else { State::Idle };
    let raised = match (weight, wanted) {
        (None, _) => true,
        (Some(weight), Some(wanted)) => weight > wanted || (weight < wanted && scene.command(Verb::Resume).is_some()),
        // The plan is lost: what stands, stands.
        (Some(_), None) => false,
    };
    if raised {
        let wanted = wanted.unwrap_or_default();
        let backends = match &scene.register.canary {
            None => super::scene::alone(&scene.register.stable),
            Some(canary) => scene.pair(canary, wanted),
        };
        let mut register = scene.register.clone();
        if let Some(command) = scene.command(Verb::Resume) {
            register.tokens = register.tokens.with_pause(false).with(Verb::Resume.as_str(), &command.token);
        }
        let who = scene.route.stranger.as_deref().unwrap_or("somebody else");
        let message = format!("{who} changed the route; its weights are put back to {wanted} for the canary");
        let write = scene.transition(Transition::Repair, register, backends);
        return Some(scene.act(state, "RouteContested", message, write).note(true, "Repair"));
    }
    // Without its beginning a step would never end.
    if scene.register.canary.is_some() && scene.register.step.is_some() && scene.register.since.is_none() {
        let register = Register { since: Some(scene.now), ..scene.register.clone() };
        let write = scene.transition(Transition::Command, register, scene.route.backends.clone());
        let who = scene.route.stranger.as_deref().unwrap_or("somebody else");
        let message = format!("{who} removed from the route when the step began; the step begins anew");
        return Some(scene.act(state, "RouteContested", message, write).note(true, "Repair"));
    }
    if !scene.route.current && scene.spec().is_some() {
        let write = scene.transition(Transition::Settings, scene.register.clone(), scene.route.backends.clone());
        return Some(scene.act(
            state,
            "Progressing",
            "hostnames, parents or timeouts of the route follow the spec",
            write,
        ));
    }
    None
}

/// Commands that change no weight: pause and resume.
fn token(scene: &Scene) -> Option<Plan> {
    let (verb, command, paused) = match (scene.command(Verb::Pause), scene.command(Verb::Resume)) {
        (Some(command), _) => (Verb::Pause, command, true),
        (None, Some(command)) => (Verb::Resume, command, false),
        (None, None) => return None,
    };
    let mut register = scene.register.clone();
    register.tokens = register.tokens.with_pause(paused).with(verb.as_str(), &command.token);
    let write = scene.transition(Transition::Command, register, scene.route.backends.clone());
    let (reason, word) = if paused { ("AwaitingApproval", "paused") } else { ("Progressing", "resumed") };
    let message = format!("{word} by command: {}", command.reason);
    let state = if paused { State::Held } else { State::Ramp };
    Some(
        scene
            .act(state, reason, message.trim_end_matches(": "), write)
            .note(false, if paused { "Pause" } else { "Resume" }),
    )
}
