//! Bake: all traffic on the new revision, the old one warm. It ends by its dwell, with fresh data and evidence under
//! its bound; evidence over it goes back to where stable can be compared.

use jiff::SignedDuration;
use microapp_api::v1alpha1::Verdict;

use super::{
    State, capacity, promote, ramp,
    scene::{Scene, after},
};
use crate::{explain, plan::Plan, strategy::Strategy, world::Verb};

/// One pass of the bake.
pub(super) fn step(scene: &Scene, plan: &Strategy) -> Plan {
    if let Some(lost) = ramp::lost(scene, plan, plan.last()) {
        return lost;
    }
    if let Some(gate) = scene.evidence.gates.iter().find(|gate| gate.over && !gate.advisory) {
        let to = plan.last().checked_sub(1);
        let message = explain::over(gate);
        return ramp::step_back(scene, to, "Inconclusive", message);
    }
    let dwell = SignedDuration::from_millis(plan.steps[plan.last()].dwell_millis);
    let elapsed = scene.elapsed(false);
    let passed = scene.evidence.attempt == scene.register.attempt && ramp::all_pass(&scene.evidence.gates);
    if elapsed < dwell {
        // A command to promote is already here: what is left is the bake, and nobody skips it.
        let message = format!("all traffic is on the new version; the bake lasts {}", explain::span(dwell));
        let mut wait = scene.wait(State::Bake, "Progressing", message).wake_at(after(scene.now, dwell - elapsed));
        if scene.command(Verb::Promote).is_some() {
            wait.why.message.push_str(", a promotion does not shorten it");
        }
        return wait;
    }
    if !passed {
        let unknown = |gate: &&crate::evidence::GateView| gate.verdict == Verdict::Unknown && !gate.advisory;
        let names: Vec<_> = scene.evidence.gates.iter().filter(unknown).map(|gate| gate.name.as_str()).collect();
        let message = format!("the bake is over but for fresh data of {}", names.join(", "));
        return ramp::inconclusive(scene, plan, State::Bake, &message).because("NoData");
    }
    if let Some(canary) = scene.canary() {
        let needed = capacity::canary(scene.basis, plan.steps[plan.last()].weight);
        if let Some(write) = ramp::resize(scene, canary, needed) {
            return scene.act(State::Bake, "Progressing", format!("the new version gets {needed} pods"), write);
        }
        let arm = scene.arm(canary);
        let ready = arm.ready();
        if !capacity::is_tolerable(ready, needed) {
            let message =
                format!("the bake is over but for {ready} of {needed} ready pods{}", capacity::cause(arm, None));
            return ramp::inconclusive(scene, plan, State::Bake, &message).because("CapacityLost");
        }
        return promote::commit(scene, canary);
    }
    scene.wait(State::Bake, "Progressing", "there is nothing to promote")
}
