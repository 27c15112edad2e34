//! All fields of the status out of the world.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use microapp_api::{
    limits, names,
    text::clean,
    v1alpha1::{Canary, GateStatus, MicroAppRolloutStatus, PinnedPlan, Stable},
    values::{Nano, Weight},
};

use super::{conditions, history};
use crate::{
    counts::Side,
    evidence::{GateView, Judgement, Preflight},
    explain, outlook,
    plan::Plan,
    register::Register,
    revision::Revision,
    world::{Acceptance, Route, World},
};

/// What happens to gate numbers and evidence in the next status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresh {
    /// They stay as they were.
    Keep,
    /// They come along, since a transition is written.
    Transition,
    /// They are the reason for the write.
    Checkpoint,
}

/// The status that the world asks for.
pub fn project(
    world: &World,
    now: Timestamp,
    evidence: &Judgement,
    plan: &Plan,
    refresh: Refresh,
) -> MicroAppRolloutStatus {
    let old = &world.status;
    let mut next = old.clone();
    next.observed_generation = world.object.generation;
    if let Some(spec) = world.spec() {
        next.desired_revision = Some(spec.revision.to_string());
    }
    if let Some(route) = world.route() {
        let register = &route.register;
        next.history = history::entries(world, register, now);
        next.rejected = history::rejected(world, register, now);
        next.stable = stable(world, route, now);
        next.canary = canary(world, route, now);
        renew(&mut next.canary, world, route, evidence);
        settle(&mut next.canary, evidence);
        if let Some(spec) = world.spec()
            && (spec.revision == register.stable && next.stable.is_some()
                || register.rejection(&spec.revision).is_some())
        {
            next.handled_revision = Some(spec.revision.to_string());
        }
        if register.canary.is_none() && next.canary.is_none() && old.canary.is_none() && refresh != Refresh::Keep {
            next.gates.clone_from(&old.gates);
        }
    }
    if refresh != Refresh::Keep && evidence.attempt != 0 {
        next.gates = evidence.gates.iter().map(gate).collect();
    }
    scale(world, &mut next);
    next.conditions = conditions::project(world, now, evidence, plan, refresh);
    next
}

/// Pods of the arm that most of the traffic goes to: an autoscaler must see no idle pods.
fn scale(world: &World, next: &mut MicroAppRolloutStatus) {
    let Some(route) = world.route() else { return };
    let half = Weight::from_ppm(500_000).unwrap_or_default();
    let larger = match (&route.register.canary, route.weight()) {
        (Some(canary), Some(weight)) if weight > half => canary,
        _ => &route.register.stable,
    };
    let arm = world.arm(larger);
    next.selector = Some(names::selector_string(&world.object.name, larger.as_str()));
    next.replicas = i32::try_from(arm.pods.len()).unwrap_or(i32::MAX);
    next.ready_replicas = arm.ready();
}

/// Stable once its route is accepted, or once it was.
fn stable(world: &World, route: &Route, now: Timestamp) -> Option<Stable> {
    let revision = &route.register.stable;
    let old = world.status.stable.as_ref();
    if old.is_none() && route.acceptance != Acceptance::Accepted {
        return None;
    }
    let same = old.filter(|stable| stable.revision == revision.as_str());
    let facts = facts(world, revision);
    Some(Stable {
        revision: revision.to_string(),
        image: facts.image.or_else(|| same?.image.clone()),
        digest: facts.digest.or_else(|| same?.digest.clone()),
        model: facts.model.or_else(|| same?.model.clone()),
        promoted_at: same.and_then(|stable| stable.promoted_at.clone()).or(Some(Time(now))),
    })
}

fn canary(world: &World, route: &Route, now: Timestamp) -> Option<Canary> {
    let register = &route.register;
    let revision = register.canary.as_ref()?;
    let same = world.status.canary.as_ref().filter(|canary| canary.attempt == register.attempt);
    // The plan is pinned by the write that follows Begin.
    let fresh = || {
        let begun = register.step.is_none() && register.since.is_none() && !register.is_latched();
        world.spec().filter(|spec| begun && spec.revision == *revision).map(|spec| spec.strategy.to_pinned())
    };
    Some(Canary {
        revision: revision.to_string(),
        attempt: register.attempt,
        step: step(register),
        weight: route.weight().unwrap_or_default().to_string(),
        started_at: same.and_then(|canary| canary.started_at.clone()).or(Some(Time(now))),
        plan: same.map_or_else(fresh, |canary| canary.plan.clone()),
        evidence: same.and_then(|canary| canary.evidence.clone()),
    })
}

/// A plan that preflight refuses has not let anybody reach the canary: what the spec says now takes its place, or what
/// the refusal asks to be changed would not help before the next revision. Once preflight has passed it stays for good.
fn renew(canary: &mut Option<Canary>, world: &World, route: &Route, evidence: &Judgement) {
    let Register { canary: revision, step, since, attempt, .. } = &route.register;
    let untouched = step.is_none() && since.is_none() && !route.register.is_latched();
    let refused = *attempt == evidence.attempt && matches!(evidence.preflight, Preflight::Refused(_));
    let plan = canary.as_mut().and_then(|canary| canary.plan.as_mut()).filter(|plan| plan.interval_millis.is_none());
    let spec = world.spec().filter(|spec| Some(&spec.revision) == revision.as_ref());
    if let (Some(plan), Some(spec), true) = (plan, spec, untouched && refused) {
        // The size at Begin is no matter of the spec's strategy.
        *plan = PinnedPlan { replicas: plan.replicas, ..spec.strategy.to_pinned() };
    }
}

/// What preflight settled belongs to the plan of its attempt.
fn settle(canary: &mut Option<Canary>, evidence: &Judgement) {
    if let Some(canary) = canary.as_mut().filter(|canary| canary.attempt == evidence.attempt)
        && let (Some(plan), Some(settled)) = (&mut canary.plan, &evidence.settled)
    {
        outlook::pin(plan, settled);
    }
}

/// The step as status has it: -1 at weight 0.
pub(super) fn step(register: &Register) -> i32 {
    register.step.map_or(-1, |step| i32::try_from(step).unwrap_or(i32::MAX))
}

/// Image, digest and model of a revision, as far as anything knows them.
#[derive(Default)]
pub(super) struct Facts {
    pub image: Option<String>,
    pub digest: Option<String>,
    pub model: Option<String>,
}

pub(super) fn facts(world: &World, revision: &Revision) -> Facts {
    let record = world.arm(revision).record.as_ref();
    let spec = world.spec().filter(|spec| spec.revision == *revision);
    let pinned = record.and_then(|record| record.images.values().next());
    let image = spec.and_then(|spec| spec.images.values().next().cloned()).or_else(|| pinned.cloned());
    let model = record.map(|record| record.model.clone()).filter(|model| !model.is_empty());
    Facts {
        image: image.map(|image| clean(&image, limits::IMAGE)),
        digest: pinned.and_then(|image| image.split_once('@')).map(|(_, digest)| clean(digest, limits::DIGEST)),
        model: model.map(|model| clean(&model, limits::MODEL)),
    }
}

fn gate(view: &GateView) -> GateStatus {
    let counts = |side: Option<Side>| side.map(short);
    GateStatus {
        name: view.name.clone(),
        verdict: view.verdict,
        canary: counts(view.seen[0]),
        stable: counts(view.seen[1]),
        message: Some(limits::message(&if view.advisory {
            format!("only advises: {}", explain::gate(view))
        } else {
            explain::gate(view)
        })),
    }
}

/// Counts as status writes them.
fn short(side: Side) -> String {
    match side {
        Side::Count { above, total, .. } => format!("{above}/{total}"),
        Side::Mean { n, sum } => format!("{sum}/{n}"),
        Side::Late { bad, good, void, started } => format!("{bad}/{good}/{void}/{started}"),
        Side::Value { nano } => Nano(nano).to_string(),
    }
}
