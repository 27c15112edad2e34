//! One file per verb.

pub mod command;
pub mod history;
pub mod plan;
pub mod replay;
pub mod revision;
pub mod simulate;
pub mod status;
pub mod why;
