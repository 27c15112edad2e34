//! How good are the decisions? Our rule beside faithful re-implementations of the rules of Flagger, Argo Rollouts and
//! Kayenta, on the same generated traffic.

pub mod alone;
pub mod bench;
pub mod cell;
pub mod detect;
pub mod environments;
pub mod figures;
pub mod ours;
pub mod peers;
pub mod plot;
pub mod report;
pub mod rule;
pub mod table;
pub mod world;
