//! No readable register: a first deploy, or a route that was lost. The stable version is found in its copies.

use jiff::Timestamp;
use microapp_api::conditions::Cause;

use super::{State, first, scene::alone};
use crate::{
    plan::{Create, Plan, RouteWrite, Transition, Write},
    register::{Aborted, Register, Rejected, Tokens},
    revision::Revision,
    world::World,
};

/// With `unreadable` the route exists: its version, and what is wrong with it.
pub(super) fn step(world: &World, now: Timestamp, unreadable: Option<(&String, &String)>) -> Plan {
    let status = world.status.stable.as_ref().and_then(|stable| Revision::parse(&stable.revision));
    let apex = world.apex.revision().cloned();
    let stable = match (status, apex) {
        (None, None) if unreadable.is_none() => return first::step(world, now),
        (None, None) => {
            let message = "the route's register is unreadable and nothing says what is stable; delete the HTTPRoute to start anew";
            return Plan::wait(State::Held, "PinConflict", message);
        }
        (Some(status), Some(apex)) if status != apex => {
            let message = format!(
                "the route is lost; status says that {status} is stable, the Service {apex}; make the Service select the right one, then the route comes back"
            );
            return Plan::wait(State::Held, "PinConflict", message);
        }
        (Some(stable), _) | (None, Some(stable)) => stable,
    };
    if !world.arm(&stable).service {
        let message = format!("the Service of {stable} comes before its route");
        return Plan::wait(State::Idle, "RouteLost", message).write(Write::Create(Create::Service(stable)));
    }
    let register = rebuilt(world, now, &stable);
    let backends = alone(&stable);
    let message = format!("the route was lost; all traffic goes to {stable}, the pinned stable revision");
    let write = match unreadable {
        None => Write::Create(Create::Route { register: Box::new(register), backends }),
        Some((version, _)) => Write::Route(Box::new(RouteWrite {
            transition: Transition::Repair,
            version: version.clone(),
            register,
            backends,
        })),
    };
    Plan::wait(State::Idle, "RouteLost", message).write(write).note(true, "RebuildRoute")
}

/// The register out of the copies. Attempts only grow; an attempt that ran is over.
fn rebuilt(world: &World, now: Timestamp, stable: &Revision) -> Register {
    let running = world.status.canary.as_ref();
    let known = running.map_or(0, |canary| canary.attempt);
    let ended = world.status.history.iter().map(|entry| entry.attempt).max().unwrap_or(0);
    let recorded =
        world.arms.values().filter_map(|arm| arm.record.as_ref()).map(|record| record.attempt).max().unwrap_or(0);
    let attempt = known.max(ended).max(recorded).max(1);
    let rejected = world
        .status
        .rejected
        .iter()
        .filter_map(|one| Some(Rejected { revision: Revision::parse(&one.revision)?, cause: one.cause }))
        .collect();
    let aborted = running.map(|canary| Aborted {
        v: 1,
        attempt: canary.attempt,
        cause: Cause::RouteLost,
        gate: None,
        at: now,
        canary: None,
        stable: None,
        log_e: None,
        token: None,
        message: Some("the route was lost while the attempt ran".to_owned()),
    });
    Register {
        stable: stable.clone(),
        canary: None,
        attempt,
        step: None,
        since: Some(now),
        aborted,
        rejected,
        tokens: spent(world),
    }
}

/// Every command that stands now counts as taken: it was meant for the world before the loss.
fn spent(world: &World) -> Tokens {
    let taken = world.commands.iter().map(|(verb, command)| (verb.as_str().to_owned(), command.token.clone()));
    Tokens { taken: taken.collect() }
}

/// The name is taken by an object that is not ours.
pub(super) fn taken(message: &str) -> Plan {
    Plan::wait(State::Held, "NameTaken", message)
}
