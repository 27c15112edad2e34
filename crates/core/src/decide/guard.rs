//! Guard: what serves stays what its record says, in every state. Somebody's hand, a garbage collector or a lost object
//! is put right within a pass, and nobody is lowered onto what is not there.

use super::{State, capacity, scene::Scene};
use crate::{
    plan::{Change, Create, Plan, Write},
    revision::Revision,
    world::{Apex, Arm},
};

/// What stable and, in an attempt, the canary need to serve.
pub(super) fn step(scene: &Scene) -> Option<Plan> {
    let (message, write) = stable(scene).or_else(|| canary(scene)).or_else(|| apex(scene))?;
    let restores = !matches!(write, Write::Change(Change::Scale { .. } | Change::Select { .. }));
    let Some(revision) = &scene.register.canary else {
        return Some(scene.act(State::Promote, "Promoted", message, write));
    };
    let state = if scene.register.is_latched() { State::RollBack } else { State::Ramp };
    let reason = if message.contains(revision.as_str()) { "CapacityLost" } else { "StableBelowMinimum" };
    let plan = scene.act(state, reason, message, write);
    Some(if restores { plan.note(true, "Restore") } else { plan })
}

/// Are there users whom a lower would send to nothing? A canary without pods serves nobody either.
pub(super) fn may_lower(scene: &Scene) -> bool {
    let share = scene.route.weight().is_none_or(|weight| !weight.is_zero());
    let dead = scene.register.canary.as_ref().is_some_and(|canary| scene.arm(canary).ready() == 0);
    let wanted = scene.spec().is_none_or(|spec| spec.replicas > 0);
    !share || dead || !wanted || scene.arm(&scene.register.stable).stands()
}

/// The lower waits for stable's first ready pod, whatever it is for.
pub(super) fn waits(scene: &Scene, lower: &Plan) -> Plan {
    let stable = &scene.register.stable;
    let arm = scene.arm(stable);
    let weight = scene.route.weight().unwrap_or_default();
    let message = format!(
        "{}; the canary keeps {weight} until stable {stable} has a ready pod to take it, 0 of {} are{}",
        lower.why.message,
        scene.basis,
        capacity::cause(arm, None)
    );
    scene.wait(State::Held, "StableBelowMinimum", message)
}

fn stable(scene: &Scene) -> Option<(String, Write)> {
    let stable = &scene.register.stable;
    let arm = scene.arm(stable);
    let attempt = scene.register.canary.is_some();
    let wanted = match (attempt, scene.spec()) {
        (true, _) => Some(scene.basis),
        (false, spec) => spec.map(|spec| spec.replicas),
    };
    if let Some(write) = service(stable, arm).or_else(|| missing(stable, arm, wanted.unwrap_or(1))) {
        return Some(write);
    }
    if let Some(write) = restored(stable, arm) {
        return Some(write);
    }
    let deployment = arm.deployment.as_ref()?;
    let size = wanted?;
    // While the attempt runs stable keeps its size, whatever an autoscaler asks for meanwhile.
    let wrong = if attempt { deployment.size < size } else { deployment.size != size };
    wrong.then(|| {
        let scale = Change::Scale { revision: stable.clone(), version: deployment.version.clone(), replicas: size };
        (format!("{stable} gets {size} pods"), Write::Change(scale))
    })
}

fn canary(scene: &Scene) -> Option<(String, Write)> {
    let canary = scene.canary()?;
    let arm = scene.arm(canary);
    let plan = scene.plan.as_ref()?;
    let step = plan.steps.get(scene.register.step.unwrap_or(plan.first))?;
    let size = capacity::canary(scene.basis, step.weight);
    service(canary, arm).or_else(|| missing(canary, arm, size)).or_else(|| restored(canary, arm))
}

fn service(revision: &Revision, arm: &Arm) -> Option<(String, Write)> {
    let write = Write::Create(Create::Service(revision.clone()));
    (!arm.service).then(|| (format!("the Service of {revision} is missing"), write))
}

/// A Deployment that is gone comes back with the recorded bytes.
fn missing(revision: &Revision, arm: &Arm, replicas: i32) -> Option<(String, Write)> {
    let (None, Some(record)) = (&arm.deployment, &arm.record) else { return None };
    let create = Create::Deployment { revision: revision.clone(), replicas, images: record.images.clone() };
    Some((format!("the Deployment of {revision} is missing"), Write::Create(create)))
}

/// What somebody changed by hand is as it was recorded again.
pub(super) fn restored(revision: &Revision, arm: &Arm) -> Option<(String, Write)> {
    if let Some(version) = &arm.astray {
        let write = Change::Service { revision: revision.clone(), version: version.clone() };
        return Some((format!("the Service of {revision} selects other pods; it is put right"), Write::Change(write)));
    }
    let (deployment, record) = (arm.deployment.as_ref()?, arm.record.as_ref()?);
    let generation = deployment.changed?;
    let write = Change::Restore {
        revision: revision.clone(),
        version: deployment.version.clone(),
        images: record.images.clone(),
        generation,
    };
    let message = format!("somebody changed the pod template of {revision}; the recorded one comes back");
    Some((message, Write::Change(write)))
}

/// The Service of the rollout's name, on which users are if all else vanishes.
fn apex(scene: &Scene) -> Option<(String, Write)> {
    let stable = &scene.register.stable;
    match &scene.world.apex {
        Apex::Missing => {
            Some(("the Service of the rollout's name follows".to_owned(), Write::Create(Create::Apex(stable.clone()))))
        }
        Apex::Selects { revision, version } if revision.as_ref() != Some(stable) => Some((
            format!("the Service of the rollout's name follows to {stable}"),
            Write::Change(Change::Select { revision: stable.clone(), version: version.clone() }),
        )),
        Apex::Selects { .. } | Apex::Foreign(_) => None,
    }
}

/// Was stable there all through this step? What users got from a Service without pods says nothing about the version.
pub(super) fn stood(scene: &Scene) -> bool {
    let arm = scene.arm(&scene.register.stable);
    let since = scene.register.since.unwrap_or(scene.now);
    arm.service && arm.deployment.is_some() && arm.pods.iter().any(|pod| pod.created.is_none_or(|at| at <= since))
}
