//! The running evidence of an attempt: one state per gate, folded from windows, judged against the plan.
//!
//! `fold` takes counts in, `judge` reads verdicts out; nothing else touches it. It survives a restart as one opaque
//! string ([`Evidence::save`]) and the samples since its watermarks.

mod codec;
mod fold;
mod gate;
mod judge;
mod marks;
mod plain;
mod track;
mod unwatched;

use std::sync::Arc;

use jiff::Timestamp;

pub use codec::saved_at;
pub use fold::fold;
pub use gate::{GateEvidence, Seen};
pub use judge::{GateView, Judgement, Preflight, Refusal, Rule, SteppedBack, judge};
pub use track::{Place, Track, started};

use crate::{
    counts::{Unfit, Watch},
    outlook::Settled,
    strategy::Strategy,
    world::World,
};

/// Where the attempt stands while windows come in: the register's attempt, step and time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Position {
    /// The attempt.
    pub attempt: i64,
    /// The step in force, none at weight 0.
    pub step: Option<usize>,
    /// Seconds since the epoch at which the weights last changed (or the attempt began).
    pub since: f64,
    /// A pause is in force, by command or by hand.
    pub paused: bool,
}

impl Position {
    /// Where the register says that the attempt stands.
    pub fn of(world: &World) -> Self {
        let Some(route) = world.route() else {
            return Self { attempt: 0, step: None, since: 0.0, paused: false };
        };
        let register = &route.register;
        let wanted = register.step.and_then(|step| Some(world.plan()?.steps.get(step)?.weight));
        let lowered = wanted.zip(route.weight()).is_some_and(|(wanted, weight)| weight < wanted);
        Self {
            attempt: register.attempt,
            step: register.step,
            since: register.since.map_or(0.0, seconds),
            paused: register.tokens.paused() || lowered,
        }
    }
}

/// Seconds since the epoch.
pub fn seconds(time: Timestamp) -> f64 {
    time.as_nanosecond() as f64 / 1e9
}

/// The evidence of one attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// Whose.
    pub attempt: i64,
    /// The plan that it is judged by; with `Auto` the tolerance is in it once preflight has passed.
    pub strategy: Arc<Strategy>,
    /// The step that the windows now belong to.
    pub step: Option<usize>,
    /// Since when, seconds since the epoch.
    pub since: f64,
    /// Seconds of this step in which a pause was in force.
    pub paused: f64,
    /// Seconds of this step in which the guard was up.
    pub guarded: f64,
    /// Seconds of this step in windows whose counts are the step's: what was lost in between is in none of them.
    pub counted: f64,
    /// The scrape interval, in seconds.
    pub interval: f64,
    /// Stable's baseline was taken; nothing is judged before.
    pub ready: bool,
    /// What preflight refuses, per gate: nothing may start.
    pub refusals: Vec<(String, Unfit)>,
    /// What preflight settled, until status has it.
    pub settled: Option<Settled>,
    /// One per gate of the plan, in its order.
    pub gates: Vec<GateEvidence>,
    /// End of the last window, seconds since the epoch.
    pub last: Option<f64>,
    /// How many windows were folded.
    pub windows: u64,
    /// Nobody gets an answer from the canary any more: weight 0 until a person acts.
    pub hung: bool,
    /// How often the bake stepped back: a second time nothing is raised any more.
    pub backs: u8,
    /// What telemetry needs to go on.
    pub watch: Watch,
    /// The last answer was silence, and why.
    pub silence: Option<crate::counts::Unknown>,
}

impl Evidence {
    /// Nothing seen yet.
    pub fn begin(attempt: i64, strategy: Arc<Strategy>, since: f64) -> Self {
        let gates = strategy.gates.iter().map(|gate| GateEvidence::pending(&gate.name)).collect();
        Self {
            attempt,
            strategy,
            step: None,
            since,
            paused: 0.0,
            guarded: 0.0,
            counted: 0.0,
            interval: 5.0,
            ready: false,
            refusals: Vec::new(),
            settled: None,
            gates,
            last: None,
            windows: 0,
            hung: false,
            backs: 0,
            watch: Watch::default(),
            silence: None,
        }
    }
}
