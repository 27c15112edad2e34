//! `decide`: the next step of one rollout. Total and pure: whatever the world looks like, there is a plan for it.
//!
//! What must happen at once (a breach, an abort) comes before the state's own step, and the copies (status, apex
//! Service, sizes) come after it. One file per state; the deadlines are a table here.

mod act;
mod adopt;
mod bake;
mod capacity;
mod delete;
mod drain;
mod first;
mod guard;
mod held;
mod idle;
mod lost;
mod preflight;
mod prepare;
mod promote;
mod ramp;
mod rollback;
mod scene;
mod urgent;

use jiff::{SignedDuration, Timestamp};
use microapp_api::conditions::Reason;
use serde::{Deserialize, Serialize};

pub use scene::{CAPACITY_GRACE, DRAIN_DEADLINE, PROMETHEUS_PATIENCE, READY_DEADLINE, ROUTE_DEADLINE, SETTLE, STEADY};

use self::scene::Scene;
use crate::{
    evidence::Judgement,
    plan::{Plan, Why, Write},
    status,
    world::{Desired, Obstacle, RouteFact, World},
};

/// Where a rollout stands. Rejected, aborted, superseded and set back are causes, not states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum State {
    /// Nothing is stable yet.
    First,
    /// Stable serves, nothing is wanted.
    Idle,
    /// A new revision gets its pods, at weight 0.
    Prepare,
    /// The attempt exists; stable's data is looked at before any user reaches the canary.
    Preflight,
    /// A step below 100 %.
    Ramp,
    /// 100 %; the old version stays warm.
    Bake,
    /// The new revision is stable; copies and the old pods follow.
    Promote,
    /// All traffic is on stable again; the canary's remains go.
    RollBack,
    /// Nothing moves before something changes; a breach still rolls back.
    Held,
    /// The object goes.
    Delete,
}

impl State {
    /// Only here may a canary's weight go up.
    pub const fn may_raise(self) -> bool {
        matches!(self, Self::Preflight | Self::Ramp)
    }

    /// After so long without progress the state's own policy acts.
    pub const fn deadline(self) -> Option<SignedDuration> {
        match self {
            Self::First | Self::Prepare => Some(READY_DEADLINE),
            Self::Promote | Self::RollBack => Some(ROUTE_DEADLINE),
            // Their deadline is the plan's maxStepDuration, or there is nothing to wait for.
            Self::Preflight | Self::Ramp | Self::Bake | Self::Idle | Self::Held | Self::Delete => None,
        }
    }

    /// The word in logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::First => "First",
            Self::Idle => "Idle",
            Self::Prepare => "Prepare",
            Self::Preflight => "Preflight",
            Self::Ramp => "Ramp",
            Self::Bake => "Bake",
            Self::Promote => "Promote",
            Self::RollBack => "RollBack",
            Self::Held => "Held",
            Self::Delete => "Delete",
        }
    }
}

/// The next step of one rollout.
#[must_use]
pub fn decide(world: &World, now: Timestamp, evidence: &Judgement) -> Plan {
    if world.object.deleting {
        return delete::step(world, now, evidence);
    }
    if let Some(orphan) = world.orphans.first() {
        return adopt::step(orphan);
    }
    let plan = match &world.route {
        RouteFact::Missing => lost::step(world, now, None),
        RouteFact::Unreadable { version, message } => lost::step(world, now, Some((version, message))),
        RouteFact::Foreign(message) => lost::taken(message),
        RouteFact::Present(route) => {
            let scene = Scene::new(world, route, now, evidence);
            match urgent::step(&scene) {
                Some(lower) if guard::may_lower(&scene) => lower,
                Some(lower) => return copies_or_guard(&scene, guard::waits(&scene, &lower)),
                None => return copies_or_guard(&scene, act::step(&scene)),
            }
        }
    };
    copies(world, now, evidence, patience(world, now, plan))
}

/// In an attempt what serves is put right before anything else, the status too.
fn copies_or_guard(scene: &Scene, plan: Plan) -> Plan {
    let Scene { world, now, evidence, .. } = *scene;
    match guard::step(scene).filter(|_| scene.register.canary.is_some()) {
        Some(plan) if world.obstacle.is_none() => plan,
        Some(plan) => copies(world, now, evidence, plan),
        None => copies(world, now, evidence, patience(world, now, plan)),
    }
}

/// A spec that cannot be used may be one of a sync in pieces; when it is not, status says so by then.
fn patience(world: &World, now: Timestamp, plan: Plan) -> Plan {
    let until = scene::after(world.desired_since, ROUTE_DEADLINE);
    match world.desired {
        Desired::Unusable { .. } if now < until => plan.wake_at(until),
        Desired::Unusable { .. } | Desired::Usable(_) => plan,
    }
}

/// The status is a copy that follows each transition: after what is urgent, before what is slow.
fn copies(world: &World, now: Timestamp, evidence: &Judgement, mut plan: Plan) -> Plan {
    if let (Some(obstacle), true) = (&world.obstacle, plan.write.is_some()) {
        return obstructed(world, now, evidence, plan, obstacle);
    }
    match plan.write {
        Some(Write::Lower(_) | Write::Route(_)) => return plan,
        Some(Write::Create(_) | Write::Change(_) | Write::Delete(_) | Write::Adopt(_) | Write::Status(_)) | None => {}
    }
    if let Some(write) = status::due(world, now, evidence, &plan) {
        plan.write = Some(Write::Status(Box::new(write)));
        // The notes belong to the write that was put off; the next pass decides on it again.
        plan.notes = status::notes(world, &plan);
    }
    plan
}

/// A write that did not get through is tried again, and the status says what stands in its way. Lowering waits for no
/// other obstacle than its own, which is told once.
fn obstructed(world: &World, now: Timestamp, evidence: &Judgement, plan: Plan, obstacle: &Obstacle) -> Plan {
    let why = Why::new(obstacle.reason.as_str(), obstacle.message.clone());
    let told = Plan { why, notes: Vec::new(), ..plan.clone() };
    match status::due(world, now, evidence, &told) {
        Some(write) if !matches!(plan.write, Some(Write::Lower(_))) || obstacle.reason == Reason::RollbackBlocked => {
            Plan { write: Some(Write::Status(Box::new(write))), ..told }
        }
        Some(_) | None => plan,
    }
}
