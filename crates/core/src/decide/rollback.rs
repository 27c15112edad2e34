//! RollBack: the latch stands, the weight is 0. Requests in flight drain, then the canary's remains go.

use super::{
    State,
    scene::{SETTLE, Scene, after, alone},
};
use crate::plan::{Plan, Transition};

/// After the settle: one backend, and the verdict on the revision.
pub(super) fn step(scene: &Scene) -> Plan {
    let Some(aborted) = &scene.register.aborted else {
        return scene.wait(State::RollBack, "RolledBack", "the attempt is over");
    };
    let message = aborted.message.clone().unwrap_or_default();
    let reason = aborted.cause.as_str();
    let settled = after(aborted.at, SETTLE);
    // Somebody may have raised it by hand since: the latch stands above any weight.
    let at_zero = scene.route.weight().is_some_and(microapp_api::values::Weight::is_zero);
    if at_zero && scene.now < settled {
        return scene.wait(State::RollBack, reason, message).wake_at(settled);
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
