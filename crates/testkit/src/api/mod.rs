//! The in-process API server.

mod defaults;
mod dispatch;
mod failure;
mod faults;
mod fields;
mod kinds;
mod log;
mod path;
mod schema;
mod select;
mod server;
mod service;
mod store;
mod watch;

pub use failure::Failure;
pub use faults::{Delivery, Fault, Match};
pub use kinds::Kind;
pub use log::{Outcome, Request};
pub use path::Target;
pub use server::ApiServer;
pub use store::{Change, Key, Version};
