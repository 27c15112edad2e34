//! When what served may go: once a gateway has accepted that it gets nothing any more, and what was under way has ended.

use jiff::Timestamp;

use super::scene::{DRAIN_DEADLINE, SETTLE, Scene, after};
use crate::{status, world::Acceptance};

/// None: nobody is sent there any more. Otherwise when to look again; a gateway's answer comes earlier.
///
/// A gateway that says nothing at all is waited for ten minutes, then the pods go. What never had traffic waits for no
/// gateway.
pub(super) fn until(scene: &Scene) -> Option<Timestamp> {
    let register = scene.register;
    let latched = register.aborted.as_ref().filter(|_| register.is_latched()).map(|aborted| aborted.at);
    let at = latched.or(register.since)?;
    let settled = after(at, SETTLE);
    if scene.now < settled {
        return Some(settled);
    }
    let late = after(at, DRAIN_DEADLINE);
    if register.since.is_none() || scene.now >= late {
        return None;
    }
    match &scene.route.acceptance {
        Acceptance::Pending | Acceptance::Refused(_) => Some(late),
        // It answered late: what it then does takes as long as ever.
        Acceptance::Accepted if status::unsynced_since(scene.world).is_some() => Some(late),
        Acceptance::Accepted => {
            let synced = status::synced_since(scene.world).map(|since| after(since, SETTLE));
            synced.filter(|synced| scene.now < *synced && *synced <= late)
        }
    }
}
