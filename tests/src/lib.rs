//! Helpers that the tests of the whole share; the tests are in the folder `tests/` beside this one.

pub mod golden;
pub use microapp_core::simulate::traffic;
