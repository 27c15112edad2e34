//! Delete: everything of ours has the object as its owner; the garbage collector does the rest. Until it can, since
//! somebody's finalizer holds the object, the canary is watched, and a rollback is still one write of the route.

use jiff::Timestamp;

use super::{State, scene::Scene, urgent};
use crate::{
    evidence::Judgement,
    plan::Plan,
    world::{RouteFact, World},
};

/// Nothing to do, and nothing to write into an object that goes, but what is urgent.
pub(super) fn step(world: &World, now: Timestamp, evidence: &Judgement) -> Plan {
    const MESSAGE: &str = "the rollout is being deleted; its objects go with it";
    match &world.route {
        RouteFact::Present(route) => {
            let scene = Scene::new(world, route, now, evidence);
            urgent::step(&scene).unwrap_or_else(|| scene.wait(State::Delete, "Deleting", MESSAGE))
        }
        RouteFact::Missing | RouteFact::Foreign(_) | RouteFact::Unreadable { .. } => {
            Plan::wait(State::Delete, "Deleting", MESSAGE)
        }
    }
}
