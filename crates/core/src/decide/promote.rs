//! Promote: the commit is one write of the route; status, the apex Service and the old pods follow.

use super::{
    State,
    scene::{Scene, alone},
};
use crate::{
    plan::{Plan, Transition},
    register::Register,
    revision::Revision,
};

/// The commit: the new revision is stable from here on.
pub(super) fn commit(scene: &Scene, canary: &Revision) -> Plan {
    let register =
        Register { stable: canary.clone(), canary: None, step: None, since: Some(scene.now), ..scene.register.clone() };
    let write = scene.transition(Transition::Promote, register, alone(canary));
    let message = format!("{canary} went through every step and is stable now");
    scene.act(State::Promote, "Promoted", message, write).note(false, format!("Promote{}", scene.register.attempt))
}
