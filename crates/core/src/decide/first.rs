//! First: nothing is stable, so there is nothing to compare with. Ready pods, then the route; no gates.

use jiff::Timestamp;

use super::{
    State,
    prepare::{self, Prepared, Wanted},
    scene::alone,
};
use crate::{
    plan::{Child, Create, Plan, Write},
    register::{Register, Tokens},
    world::{Desired, World},
};

/// The first attempt of an object.
const ATTEMPT: i64 = 1;

/// The next object that the first revision needs; the route comes last.
pub(super) fn step(world: &World, now: Timestamp) -> Plan {
    let spec = match &world.desired {
        Desired::Usable(spec) => spec,
        Desired::Unusable { reason, message } => return Plan::wait(State::First, reason.as_str(), message.clone()),
    };
    if let Some(older) = &world.conflict {
        let message =
            format!("{older} already serves this gateway, host and path; change spec.traffic of one of the two");
        return Plan::wait(State::First, "RouteConflict", message);
    }
    if spec.replicas == 0 {
        return Plan::wait(State::First, "ScaledToZero", "spec.replicas is 0; nothing starts before it is raised");
    }
    // While nothing is stable a new hash simply replaces the candidate.
    let stale = world.arms.iter().find(|(revision, arm)| **revision != spec.revision && arm.deployment.is_some());
    if let Some((revision, _)) = stale {
        let write = Write::Delete(Child::Deployment(revision.clone()));
        return Plan::wait(State::First, "Progressing", format!("{revision} is not wanted any more")).write(write);
    }
    match prepare::step(world, now, &Wanted { state: State::First, spec, size: spec.replicas, attempt: ATTEMPT }) {
        Prepared::Not(plan) => *plan,
        Prepared::Failed(cause, message) => {
            let message =
                format!("the first revision did not start ({cause}): {message}; change the spec to try again");
            Plan::wait(State::First, "InitialRevisionFailed", message)
        }
        Prepared::Ready => {
            let register = Register {
                stable: spec.revision.clone(),
                canary: None,
                attempt: ATTEMPT,
                step: None,
                since: Some(now),
                aborted: None,
                rejected: Vec::new(),
                tokens: Tokens::default(),
            };
            let backends = alone(&spec.revision);
            let message = format!("{} is ready and gets its route", spec.revision);
            Plan::wait(State::First, "Progressing", message)
                .write(Write::Create(Create::Route { register: Box::new(register), backends }))
        }
    }
}
