//! Idle: one backend, stable. It is kept as the spec's size says; what is no longer needed goes; a new wish begins.

use microapp_api::conditions::Cause;

use super::{
    State, capacity, drain, guard, preflight,
    prepare::{self, Prepared, Wanted},
    scene::{STEADY, Scene, after, alone, wake},
};
use crate::{
    plan::{Child, Plan, Transition, Write},
    register::Register,
    revision::Revision,
    status,
    world::{Acceptance, Desired, Spec, Verb},
};

/// One pass at rest.
pub(super) fn step(scene: &Scene) -> Plan {
    if let Some(plan) = guard::step(scene).or_else(|| spend(scene)) {
        return plan;
    }
    match &scene.world.desired {
        Desired::Unusable { reason, message } => {
            tidy(scene, None).unwrap_or_else(|| scene.wait(State::Idle, reason.as_str(), message.clone()))
        }
        Desired::Usable(spec) => wanted(scene, spec),
    }
}

/// A usable spec: is there something new in it?
fn wanted(scene: &Scene, spec: &Spec) -> Plan {
    let stable = &scene.register.stable;
    let retried = retry(scene, &spec.revision);
    let rejected = scene.register.rejection(&spec.revision).filter(|_| retried.is_none());
    if spec.revision == *stable || rejected.is_some() || spec.replicas == 0 {
        if let Some(plan) = tidy(scene, None) {
            return plan;
        }
        let plan = match rejected {
            Some(cause) if spec.revision != *stable => {
                let message = format!(
                    "{} was rejected ({cause}); stable is {stable}. A new revision, or `kubectl microapp retry`, tries again",
                    spec.revision
                );
                scene.wait(State::Idle, cause.as_str(), message)
            }
            _ if spec.replicas == 0 => scene.wait(State::Idle, "ScaledToZero", "spec.replicas is 0"),
            _ => rest(scene),
        };
        return plan;
    }
    if let Some(older) = &scene.world.conflict {
        return scene.wait(State::Idle, "RouteConflict", format!("{older} already serves this gateway, host and path"));
    }
    // Otherwise the pods of an attempt that is over would run for as long as the next one takes. What still drains keeps
    // nobody waiting.
    let drains = match tidy(scene, Some(&spec.revision)) {
        Some(plan) if plan.write.is_some() => return plan,
        waits => waits.and_then(|plan| plan.wake),
    };
    let size = match spec.strategy.steps.first() {
        Some(step) if scene.world.status.stable.is_some() => capacity::canary(spec.replicas, step.weight),
        _ => spec.replicas,
    };
    let attempt = scene.register.attempt + 1;
    match prepare::step(scene.world, scene.now, &Wanted { state: State::Prepare, spec, size, attempt }) {
        Prepared::Not(plan) => wake(*plan, drains),
        Prepared::Failed(cause, message) => reject(scene, &spec.revision, cause, message, retried),
        Prepared::Ready => wake(begin(scene, spec, retried), drains),
    }
}

/// At rest: promoted, or still on the way there.
fn rest(scene: &Scene) -> Plan {
    match &scene.route.acceptance {
        Acceptance::Accepted => {}
        Acceptance::Pending | Acceptance::Refused(_) => {
            if let Some(mut plan) = preflight::route(scene) {
                plan.state = State::Idle;
                return plan;
            }
        }
    }
    scene.wait(State::Idle, "Promoted", format!("{} serves everybody", scene.register.stable))
}

/// The new attempt, at weight 0.
fn begin(scene: &Scene, spec: &Spec, retried: Option<String>) -> Plan {
    let steady = after(scene.world.desired_since, STEADY);
    if scene.now < steady {
        return scene.wait(State::Prepare, "Progressing", "ready; begins when the spec rests").wake_at(steady);
    }
    if scene.world.status.stable.is_none() {
        return replace(scene, spec);
    }
    if let Some(mut waiting) = preflight::route(scene) {
        waiting.state = State::Prepare;
        return waiting;
    }
    let mut register = scene.register.forgiving(&spec.revision);
    if let Some(token) = register.aborted.as_ref().and_then(|aborted| aborted.token.clone()) {
        register.tokens = register.tokens.with(Verb::Abort.as_str(), &token);
    }
    if let Some(token) = retried {
        register.tokens = register.tokens.with(Verb::Retry.as_str(), &token);
    }
    register.tokens = register.tokens.with_pause(false);
    let register = Register {
        canary: Some(spec.revision.clone()),
        attempt: register.attempt + 1,
        step: None,
        since: None,
        aborted: None,
        ..register
    };
    let message = format!("attempt {}: {} beside {}", register.attempt, spec.revision, register.stable);
    let action = format!("Begin{}", register.attempt);
    let backends = scene.pair(&spec.revision, microapp_api::values::Weight::ZERO);
    let write = scene.transition(Transition::Begin, register, backends);
    scene.act(State::Prepare, "Progressing", message, write).note(false, action)
}

/// Until `status.stable` stands, a new hash takes the place of the first revision in one write.
fn replace(scene: &Scene, spec: &Spec) -> Plan {
    let register = Register { stable: spec.revision.clone(), since: Some(scene.now), ..scene.register.clone() };
    let write = scene.transition(Transition::Replace, register, alone(&spec.revision));
    scene.act(State::First, "Progressing", format!("{} takes the place of the first revision", spec.revision), write)
}

/// A revision that never began. A retry that came to this is taken, or it would be tried for ever.
fn reject(scene: &Scene, revision: &Revision, cause: Cause, message: String, retried: Option<String>) -> Plan {
    // Nothing of the register keeps these words: status has them before the verdict.
    if !status::says(scene.world, &message) && scene.world.obstacle.is_none() {
        return scene.wait(State::Prepare, cause.as_str(), message);
    }
    let mut register = scene.register.rejecting(revision, cause);
    if let Some(token) = retried {
        register.tokens = register.tokens.with(Verb::Retry.as_str(), &token);
    }
    let write = scene.transition(Transition::Reject, register, alone(&scene.register.stable));
    scene.act(State::Prepare, cause.as_str(), message, write).note(true, format!("Reject{revision}"))
}

/// A retry token for the wanted revision that was not acted on.
fn retry(scene: &Scene, revision: &Revision) -> Option<String> {
    let command = scene.command(Verb::Retry)?;
    (command.token.split(':').next() == Some(revision.as_str())).then(|| command.token.clone())
}

/// Commands that came while nothing runs are taken, so that they cannot hit a later attempt.
fn spend(scene: &Scene) -> Option<Plan> {
    let verb = [Verb::Abort, Verb::Pause, Verb::Resume].into_iter().find(|verb| scene.command(*verb).is_some())?;
    let command = scene.command(verb)?;
    let mut register = scene.register.clone();
    register.tokens = register.tokens.with(verb.as_str(), &command.token);
    let preparing = scene.spec().filter(|spec| {
        spec.revision != register.stable && register.rejection(&spec.revision).is_none() && verb == Verb::Abort
    });
    if let Some(spec) = preparing {
        register = register.rejecting(&spec.revision, Cause::Command);
        let write = scene.transition(Transition::Reject, register, scene.route.backends.clone());
        let message = format!("{} was aborted before it had traffic: {}", spec.revision, command.reason);
        return Some(
            scene.act(State::Prepare, "Command", message, write).note(true, format!("Reject{}", spec.revision)),
        );
    }
    let write = scene.transition(Transition::Command, register, scene.route.backends.clone());
    Some(scene.act(State::Idle, "Progressing", format!("{} came while nothing runs", verb.as_str()), write))
}

/// Deployments and Services of revisions other than stable and the one to keep go once nobody is sent to them; records and
/// prompts stay while they are known.
fn tidy(scene: &Scene, keep: Option<&Revision>) -> Option<Plan> {
    let needed = |revision: &Revision| *revision == scene.register.stable || Some(revision) == keep;
    let mut others = scene.world.arms.iter().filter(|(revision, _)| !needed(revision));
    let remains = others.find_map(|(revision, arm)| {
        let child: fn(Revision) -> Child = if arm.deployment.is_some() {
            Child::Deployment
        } else if arm.service {
            Child::Service
        } else if is_known(scene, revision) {
            return None;
        } else if arm.record.is_some() {
            Child::Record
        } else if arm.prompts {
            Child::Prompts
        } else {
            return None;
        };
        Some((revision, child))
    });
    let (revision, child) = remains?;
    let state = if scene.register.is_latched() { State::RollBack } else { State::Promote };
    // A latched attempt was waited for before its backend went.
    if let Some(until) = drain::until(scene).filter(|_| !scene.register.is_latched()) {
        let message = "the old version drains: its pods go once a gateway has accepted that it gets nothing any more";
        return Some(scene.wait(state, "Promoted", message).wake_at(until));
    }
    let write = Write::Delete(child(revision.clone()));
    Some(scene.act(state, "Progressing", format!("{revision} is not needed any more"), write))
}

/// Promoted lately, rejected, or wanted: its record and prompts are kept.
fn is_known(scene: &Scene, revision: &Revision) -> bool {
    let history = scene.world.status.history.iter().any(|entry| entry.revision == revision.as_str());
    let wanted = scene.spec().is_some_and(|spec| spec.revision == *revision);
    history || wanted || scene.register.rejection(revision).is_some()
}
