//! An in-process API server with faults, a simulated cluster around it, a clock, builders and a fake Prometheus.
//!
//! Everything runs on tokio's time: under `#[tokio::test(start_paused = true)]` a rollout of hours takes milliseconds
//! and is the same in every run.

mod api;
pub mod build;
pub mod clock;
mod pods;
mod prom;
mod registry;
mod sim;

pub use api::{ApiServer, Change, Delivery, Failure, Fault, Key, Kind, Match, Outcome, Request, Target, Version};
pub use pods::Pods;
pub use prom::{Answered, FakePrometheus, Profile, PromFault, Refused, Traffic, Users};
pub use registry::{Registry, repository};
pub use sim::{Behaviour, Controllers, RouteAnswer, Timing};

/// FNV-1a: a hash that is the same in every build, unlike that of the standard library.
pub(crate) fn stable_hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
