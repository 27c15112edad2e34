//! The evidence of the running attempt from pass to pass: begun, restored from status, dropped when the attempt is
//! another one. The operator and a recorded trace run the same.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Evidence, Judgement, Position, fold, judge, seconds};
use crate::{counts::Counts, register::Register, world::World};

/// The attempt and the weight that a question is about: an answer about another one is thrown away and asked for again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// The attempt.
    pub attempt: i64,
    /// When its weight was written, seconds since the epoch.
    pub since: f64,
    /// How often the plan was another one.
    pub plan: u32,
}

/// What is kept between two passes. It may be lost at any moment: then it is restored from status.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Track {
    /// Of the attempt that the register names.
    pub evidence: Option<Evidence>,
    /// How often a plan that preflight refused was replaced.
    plans: u32,
}

impl Track {
    /// Evidence that was written down, of an attempt that runs by `world`'s plan; nothing where it does not read.
    pub fn resume(text: &str, world: &World) -> Self {
        let evidence = world.watched().and_then(|plan| Evidence::load(text, Arc::new(plan)));
        Self { evidence, plans: 0 }
    }

    /// Looks where the attempt stands. `None` where none runs whose plan is known.
    pub fn enter(&mut self, world: &World) -> Option<Place> {
        let Some(register) = world.route().map(|route| &route.register) else {
            self.evidence = None;
            return None;
        };
        self.evidence = self.evidence.take().filter(|evidence| evidence.attempt == register.attempt);
        if self.evidence.as_ref().is_some_and(|evidence| is_of_another_plan(evidence, world)) {
            self.evidence = None;
            self.plans = self.plans.wrapping_add(1);
        }
        let position = position(world, register)?;
        if self.evidence.is_none() {
            self.evidence = restore(world, register, position.since);
        }
        Some(Place { attempt: position.attempt, since: position.since, plan: self.plans })
    }

    /// Takes what came in since the last pass, and says what the evidence is now.
    pub fn see(&mut self, world: &World, counts: Option<&Counts>, now: Timestamp) -> Judgement {
        let position = world.route().and_then(|route| position(world, &route.register));
        if let (Some(position), Some(evidence)) = (position, &self.evidence) {
            let moved = evidence.step != position.step || evidence.since.to_bits() != position.since.to_bits();
            if moved || counts.is_some() {
                self.evidence = Some(fold(evidence, &position, counts.unwrap_or(&Counts::None)));
            }
        }
        self.evidence.as_ref().map_or_else(Judgement::default, |evidence| judge(evidence, seconds(now)))
    }
}

/// Did what preflight refused give way to another plan? Once it has passed the evidence has its plan for good.
fn is_of_another_plan(evidence: &Evidence, world: &World) -> bool {
    !evidence.ready && world.plan().is_some_and(|plan| plan != *evidence.strategy)
}

/// When the attempt began, by the copy in status: the one that a restart finds too. Seconds since the epoch.
pub fn started(world: &World) -> Option<f64> {
    Some(seconds(world.status.canary.as_ref()?.started_at.as_ref()?.0))
}

/// Where an attempt with a known plan stands; before the first raise since it began.
fn position(world: &World, register: &Register) -> Option<Position> {
    register.canary.as_ref()?;
    let started = started(world)?;
    world.watched()?;
    let position = Position::of(world);
    Some(Position { since: register.since.map_or(started, seconds), ..position })
}

/// From the checkpoint in status; from the beginning where there is none that reads.
fn restore(world: &World, register: &Register, since: f64) -> Option<Evidence> {
    let plan = Arc::new(world.watched()?);
    let saved = world.status.canary.as_ref().and_then(|canary| canary.evidence.as_deref());
    let loaded = saved
        .and_then(|text| Evidence::load(text, plan.clone()))
        .filter(|evidence| evidence.attempt == register.attempt);
    Some(loaded.unwrap_or_else(|| Evidence::begin(register.attempt, plan, since)))
}
