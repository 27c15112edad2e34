//! Helpers of the end-to-end tests, which are in `tests/lab` beside this. `make test-e2e` prepares the lab and runs them.
//!
//! Everything here panics with what it saw: its only callers are tests.
#![allow(clippy::unwrap_used)]

mod app;
mod cluster;
mod faults;
mod history;
mod turn;
mod until;

pub use app::{App, kubectl, program};
pub use cluster::Cluster;
pub use faults::{Fault, operator, operator_pods};
pub use history::{History, Seen};
pub use turn::{alone, beside_others};
pub use until::{always, until};

/// What [`Cluster::connect`] and others say where there is no lab.
const HOW: &str = "the end-to-end tests run inside the lab: use `make test-e2e`";
