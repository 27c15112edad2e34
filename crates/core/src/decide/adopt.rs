//! An object that was created again takes over what its predecessor left, one object a pass, before anything else: until
//! then the register and the children are not its own.

use super::State;
use crate::{
    plan::{Plan, Write},
    world::Orphan,
};

pub(super) fn step(orphan: &Orphan) -> Plan {
    let message =
        format!("takes over {} {}, which an earlier rollout of this name left", orphan.kind.as_str(), orphan.name);
    Plan::wait(State::First, "Progressing", message)
        .write(Write::Adopt(orphan.clone()))
        .note(false, format!("Adopt{}{}", orphan.kind.as_str(), orphan.name))
}
