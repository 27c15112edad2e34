//! RollBack: the latch stands, the weight is 0. Requests in flight drain, then the canary's remains go.

use super::{
    State, drain,
    scene::{Scene, alone},
};
use crate::plan::{Plan, Transition};

/// Once nobody is sent to the canary: one backend, and the verdict on the revision.
pub(super) fn step(scene: &Scene) -> Plan {
    let Some(aborted) = &scene.register.aborted else {
        return scene.wait(State::RollBack, "RolledBack", "the attempt is over");
    };
    let message = aborted.message.clone().unwrap_or_default();
    let reason = aborted.cause.as_str();
    // Somebody may have raised it by hand since: the latch stands above any weight.
    let at_zero = scene.route.weight().is_some_and(microapp_api::values::Weight::is_zero);
    if let (true, Some(until)) = (at_zero, drain::until(scene)) {
        return scene.wait(State::RollBack, reason, message).wake_at(until);
    }
    let mut register = match &scene.register.canary {
        Some(canary) if aborted.cause.rejects() => scene.register.rejecting(canary, aborted.cause),
        Some(_) | None => scene.register.clone(),
    };
    register.canary = None;
    register.step = None;
    let write = scene.transition(Transition::Retire, register, alone(&scene.register.stable));
    scene.act(State::RollBack, reason, message, write)
}
