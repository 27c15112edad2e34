//! The whole thing on real parts. One namespace per test; `deploy/e2e.sh` prepares the lab and runs this inside it.
#![allow(clippy::unwrap_used, clippy::float_cmp)]

mod bad_input;
mod bake;
mod catalogue;
mod hands;
mod idle;
mod install;
mod operator;
mod pods;
mod prometheus;
mod promotion;
mod prompts;
mod registry;
mod reversal;
mod schema;
mod users;
