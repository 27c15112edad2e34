//! What to do next, as pure functions.
//!
//! ```text
//! observed objects ──lens──▶ World ─┐
//! counts ──fold──▶ Evidence ──judge─┴─▶ decide ──▶ Plan { at most one Write }
//! after(World, Write) ──▶ World      the same step without a cluster: replay, crash sweep, model
//! ```
//!
//! Nothing here does I/O, reads a clock or fails: the time is an argument, an unusable spec is a value, and whatever
//! the world looks like there is a plan for it.
#![warn(missing_docs)]

pub mod after;
pub mod build;
mod canonical;
pub mod counts;
pub mod decide;
pub mod evidence;
pub mod explain;
pub mod lens;
pub mod outlook;
pub mod plan;
pub mod probes;
pub mod register;
pub mod replay;
pub mod revision;
pub mod simulate;
pub mod status;
pub mod strategy;
pub mod trace;
pub mod workers;
pub mod world;

pub use after::after;
pub use decide::{State, decide};
pub use evidence::{Evidence, Judgement, Position, fold, judge};
pub use plan::{Plan, Write};
pub use revision::Revision;
pub use strategy::Strategy;
pub use world::World;
