//! The whole operator against an API server, a cluster, users and a Prometheus in this process, on paused time.
#![allow(clippy::unwrap_used)]

mod back;
mod bake;
mod byhand;
mod capacity;
mod catalogue;
mod commands;
mod ends;
mod faults;
mod forward;
mod guard;
mod hostile;
mod input;
mod invariants;
mod leaders;
mod pods;
mod prometheus;
mod pushed;
mod quiet;
mod speed;
mod stage;
mod starts;
mod sweep;
mod trace;
