//! Which state's step it is.

use jiff::{SignedDuration, Timestamp};
use microapp_api::conditions::{Cause, Reason};

use super::{
    State, bake,
    capacity::{self, Capacity},
    guard, held, idle, preflight, ramp, rollback,
    scene::{Scene, after, wake},
    urgent,
};
use crate::{
    plan::{Plan, Transition},
    register::Register,
    strategy::Strategy,
    world::{Desired, Verb},
};

/// The clocks of two nodes may differ by so much.
const SKEW: SignedDuration = SignedDuration::from_mins(1);

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
    if raised && let Some(lower) = unkept(scene) {
        return Some(lower);
    }
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
    // Without its beginning a step would never end, and one that begins in two hours would be blind so long.
    let latest = after(scene.now, SKEW);
    let unbegun = scene.register.since.is_none_or(|since| since > latest);
    if scene.register.canary.is_some() && scene.register.step.is_some() && unbegun {
        let register = Register { since: Some(scene.now), ..scene.register.clone() };
        let write = scene.transition(Transition::Command, register, scene.route.backends.clone());
        let message = match scene.register.since {
            None => {
                let who = scene.route.stranger.as_deref().unwrap_or("somebody else");
                format!("{who} removed from the route when the step began; the step begins anew")
            }
            Some(since) => format!("the route says that the step begins at {since}, which is to come; it begins anew"),
        };
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

/// The API server takes the weights and does not keep them, so that a policy decides who reaches the canary. The one
/// route that no policy can bend is the one without a canary.
fn unkept(scene: &Scene) -> Option<Plan> {
    let obstacle = scene.world.obstacle.as_ref()?;
    let weights = obstacle.reason == Reason::RouteContested && obstacle.message.contains("backendRefs");
    (weights && scene.register.canary.is_some() && guard::may_lower(scene)).then(|| {
        let message = format!("{}; no weight can be given, so all traffic goes to stable", obstacle.message);
        urgent::lower(scene, Cause::Inconclusive, message, |_| {})
    })
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
