//! `kubectl microapp`: what a rollout does and why, commands to it, and its decisions replayed.
//!
//! Each verb reads a [`view::View`] (the object, its route's record, the time) and everything after that is pure:
//! [`outcome`] gives the exit code, [`screen`], [`why`] and [`json`] the text, [`order`] the annotation of a command.
//! [`manifest`] reads what is not applied yet. `replay` needs no cluster and starts without a client.

pub mod args;
pub mod cluster;
pub mod exit;
pub mod json;
pub mod manifest;
pub mod order;
pub mod outcome;
pub mod paint;
pub mod plan;
pub mod presets;
pub mod screen;
pub mod trace;
pub mod verbs;
pub mod view;
pub mod why;
