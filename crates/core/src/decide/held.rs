//! Held: nothing moves before something changes. A breach still rolls back, and fail evidence runs on.

use microapp_api::{conditions::Reason, values::Weight};

use super::{State, scene::Scene};
use crate::{plan::Plan, world::Verb};

/// Every reason to stand still that holds at any weight.
pub(super) fn step(scene: &Scene) -> Option<Plan> {
    // What a person says about the next step comes before what holds it.
    if scene.command(Verb::Promote).is_some() {
        return None;
    }
    if scene.register.tokens.paused() {
        return Some(scene.wait(State::Held, "AwaitingApproval", "paused; `kubectl microapp resume` goes on"));
    }
    by_hand(scene)
}

/// A weight that somebody lowered in the route is a pause at that weight.
fn by_hand(scene: &Scene) -> Option<Plan> {
    let weight = scene.route.weight()?;
    let wanted = scene.registered_weight()?;
    let message = || {
        let who = scene.route.stranger.as_deref().unwrap_or("somebody");
        format!("{who} lowered the canary from {wanted} to {weight} by hand; `kubectl microapp resume` puts it back")
    };
    (weight < wanted).then(|| scene.wait(State::Held, "AwaitingApproval", message()))
}

/// The spec became unusable in mid-rollout: the attempt freezes at its weight.
pub(super) fn frozen(scene: &Scene, reason: Reason, message: &str) -> Plan {
    let weight = scene.route.weight().unwrap_or(Weight::ZERO);
    scene.wait(State::Held, reason.as_str(), format!("{message}; the attempt stays at {weight}"))
}

/// Status was wiped in mid-rollout: without the plan that the attempt was begun with nothing is raised.
pub(super) fn without_plan(scene: &Scene) -> Plan {
    let weight = scene.route.weight().unwrap_or(Weight::ZERO);
    if scene.register.step.is_none() && !scene.exposed() {
        // Begin was the last thing that happened; its status follows now, with the plan.
        return scene.wait(State::Preflight, "Progressing", "the attempt began; its plan is being recorded");
    }
    let message =
        format!("the plan of this attempt is lost; the canary stays at {weight}: abort, or retry after an abort");
    scene.wait(State::Held, "Inconclusive", message)
}

/// The register names a step that the plan does not have: somebody wrote it. Nothing is promoted on it.
pub(super) fn no_such_step(scene: &Scene, step: usize) -> Plan {
    let message = format!(
        "the route names step {step}, which the plan of this attempt does not have; put {} right, or abort",
        microapp_api::labels::route::STEP
    );
    scene.wait(State::Held, "RouteContested", message)
}
