//! Preflight: the attempt exists at weight 0; may users reach the canary? Also where a ramp begins again.

use std::fmt::Write as _;

use microapp_api::{conditions::Cause, v1alpha1::Verdict};

use super::{
    State, capacity, ramp,
    scene::{PROMETHEUS_PATIENCE, ROUTE_DEADLINE, SETTLE, Scene, after, wake},
    urgent,
};
use crate::{
    counts::Unknown,
    evidence::{Preflight, Refusal},
    explain,
    outlook::Outlook,
    plan::Plan,
    status,
    strategy::Strategy,
    world::{Acceptance, Verb},
};

/// What must hold before the first raise, each with its reason; then the raise.
pub(super) fn step(scene: &Scene, plan: &Strategy) -> Plan {
    if let Some(waiting) = not_ready(scene, plan).or_else(|| route(scene)) {
        return waiting;
    }
    if scene.evidence.hung && scene.command(Verb::Promote).is_none() {
        let message =
            "requests to the canary do not come back; it stays at 0 % until `promote`, `abort` or a new revision";
        return scene.wait(State::Held, "NoCompletions", message);
    }
    if scene.evidence.attempt != scene.register.attempt {
        return scene.wait(State::Preflight, "Progressing", "waiting for the evidence of this attempt");
    }
    match &scene.evidence.preflight {
        Preflight::Pending if scene.evidence.silence.is_some() => {
            let message = match scene.evidence.silence {
                Some(Unknown::TooExpensive) => {
                    "Prometheus refuses the question for a limit of its own (--query.max-samples, --query.timeout, or an answer above 8 MiB); nothing starts before it has said what stable did"
                }
                _ => "Prometheus does not answer; nothing starts before it has said what stable did",
            };
            return scene
                .wait(State::Preflight, "PrometheusUnavailable", message)
                .wake_in(scene.now, PROMETHEUS_PATIENCE);
        }
        Preflight::Pending => {
            return scene.wait(State::Preflight, "Progressing", "asking Prometheus what stable did before");
        }
        Preflight::Refused(refusals) => return refused(scene, refusals),
        Preflight::Passed => {}
    }
    if let Some(settling) = settled(scene, plan) {
        return settling;
    }
    if !scene.evidence.canary_seen {
        let message = "waiting for Prometheus to scrape every pod of the canary";
        return scene.wait(State::Preflight, "Progressing", message);
    }
    ramp::commanded(scene, plan, None).unwrap_or_else(|| {
        let pinned = scene.world.status.canary.as_ref().and_then(|canary| Outlook::of_pinned(canary.plan.as_ref()?));
        let why = pinned.map_or_else(String::new, |outlook| format!(": {}", outlook.findings()));
        ramp::raise(scene, plan, plan.first, &format!("preflight passed{why}"))
    })
}

/// What preflight chose stands in status before anybody reaches the canary, so that a restart in between cannot choose
/// again: a wait of one status write.
fn settled(scene: &Scene, plan: &Strategy) -> Option<Plan> {
    let pinned = scene.world.status.canary.as_ref()?.plan.as_ref()?.interval_millis.is_some();
    match &scene.evidence.settled {
        Some(settled) if !pinned => {
            let mut message = format!("preflight passed: {}", Outlook::of(plan, settled).findings());
            for gate in scene.evidence.gates.iter().filter(|gate| gate.verdict == Verdict::NotWatched) {
                let _ = write!(message, "; {} is {}", gate.name, explain::gate(gate));
            }
            if let Some(unwatched) = &scene.evidence.unwatched {
                let _ = write!(message, "; {unwatched}");
            }
            Some(scene.wait(State::Preflight, "Progressing", message))
        }
        None if plan.epsilon_ppm.is_none() => {
            Some(scene.wait(State::Preflight, "Progressing", "waiting for the evidence of this attempt"))
        }
        Some(_) | None => None,
    }
}

/// Too few pods, for at most the deadline since there were enough.
fn not_ready(scene: &Scene, plan: &Strategy) -> Option<Plan> {
    let canary = scene.canary()?;
    let arm = scene.arm(canary);
    let needed = capacity::canary(scene.basis, plan.steps.get(plan.first)?.weight);
    let ready = capacity::calm(arm, scene.now);
    if ready >= needed {
        return None;
    }
    if let Some(write) = ramp::resize(scene, canary, needed) {
        return Some(scene.act(State::Preflight, "CapacityLost", format!("the canary gets {needed} pods"), write));
    }
    let limit = scene.ready_deadline();
    let begun = || scene.world.status.canary.as_ref()?.started_at.as_ref().map(|time| time.0);
    let gone = scene.register.since.or_else(begun).unwrap_or(scene.now);
    let deadline = after(capacity::short_since(arm, needed, scene.now, gone), limit);
    let cause = capacity::cause(arm, None);
    if scene.now >= deadline {
        let message = format!("the canary has {ready} of {needed} ready pods after {}{cause}", capacity::limit(limit));
        return Some(urgent::lower(scene, Cause::NotReady, message, |_| {}));
    }
    let message = format!("the canary has {ready} of {needed} ready pods{cause}; it gets no traffic before");
    let reason = if scene.exposed() { "CapacityLost" } else { "Progressing" };
    let waiting = scene.wait(State::Preflight, reason, message).wake_at(deadline);
    Some(wake(waiting, capacity::calms_at(arm, scene.now)))
}

/// The gateways must have accepted the route. They answer within a moment; a minute without an answer is trouble.
pub(super) fn route(scene: &Scene) -> Option<Plan> {
    let waiting = |reason, message: String| {
        let since = status::unsynced_since(scene.world).unwrap_or(scene.now);
        let plan = scene.wait(State::Preflight, reason, message).wake_in(scene.now, SETTLE);
        let deadline = after(since, ROUTE_DEADLINE);
        if scene.now < deadline { plan.wake_at(deadline) } else { plan }
    };
    match &scene.route.acceptance {
        Acceptance::Accepted => None,
        Acceptance::Pending => {
            let late = status::unsynced_since(scene.world)
                .is_some_and(|since| scene.now.duration_since(since) >= ROUTE_DEADLINE);
            let reason = if late { "RouteNotAccepted" } else { "Progressing" };
            Some(waiting(reason, "no gateway has answered for the route yet; the weight stays".to_owned()))
        }
        Acceptance::Refused(why) => {
            Some(waiting("RouteNotAccepted", format!("the gateway does not accept the route: {why}")))
        }
    }
}

fn refused(scene: &Scene, refusals: &[Refusal]) -> Plan {
    let list: Vec<_> = refusals.iter().map(|refusal| format!("{}: {}", refusal.gate, refusal.message)).collect();
    let fatal = refusals.iter().any(|refusal| refusal.fatal);
    let bounds = refusals.iter().any(|refusal| refusal.fatal && refusal.reason == Unknown::MissingBucket);
    let reason = match (fatal, bounds) {
        (true, true) => "ThresholdAboveBuckets",
        (true, false) => "InvalidSpec",
        (false, _) => "PreflightFailed",
    };
    let plan = scene.wait(State::Preflight, reason, list.join("; "));
    if fatal { plan } else { plan.wake_in(scene.now, PROMETHEUS_PATIENCE * 3) }
}
