//! Delete: everything of ours has the object as its owner; the garbage collector does the rest.

use super::State;
use crate::plan::Plan;

/// Nothing to do, and nothing to write into an object that goes.
pub(super) fn step() -> Plan {
    Plan::wait(State::Delete, "Deleting", "the rollout is being deleted; its objects go with it")
}
