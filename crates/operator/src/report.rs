//! Report: what a pass decided, in one log line, metrics and events. Never a decision, never a failure.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use kube_runtime::events::{Event, EventType};
use microapp_api::{
    conditions::{Cause, Reason},
    text::clean,
};
use microapp_core::{
    Judgement, Plan, Write,
    build::Kind,
    plan::{Lower, Note, Transition},
    world::{Object, Obstacle, Route, World},
};
use tokio::time::timeout;

use crate::{
    apply::Outcome,
    cache::{Key, meta},
    clock::seconds,
    cluster::CALL,
    error::{CallError, PassError},
    fleet::Fleet,
};

/// Bytes of an event's note: the API server refuses more than 1024.
const NOTE: usize = 1000;

/// One pass.
pub(crate) struct Report<'a> {
    pub world: &'a World,
    pub plan: &'a Plan,
    pub outcome: &'a Outcome,
    /// The newest sample of the canary, seconds since the epoch.
    pub newest: Option<f64>,
    pub decided: Timestamp,
}

/// The gauges of the rollout, as this pass sees it.
pub(crate) fn show(fleet: &Fleet, world: &World, judgement: &Judgement) {
    let key = Key::new(&world.object.namespace, &world.object.name);
    let weight = world.route().and_then(Route::weight).unwrap_or_default();
    let metrics = &fleet.context().metrics;
    fleet.show(&key, || metrics.show(&key, &world.status, weight.as_fraction(), judgement));
}

/// A lower that does not get through: at once in metrics, log and events; the next pass says it in status.
pub(crate) fn blocked(fleet: &Fleet, world: &World, lower: &Lower, error: &CallError) -> Obstacle {
    let object = &world.object;
    let key = Key::new(&object.namespace, &object.name);
    let metrics = &fleet.context().metrics;
    metrics.error(error.category());
    fleet.show(&key, || metrics.blocked(&key));
    let (namespace, name) = (&object.namespace, &object.name);
    tracing::error!(namespace, name, category = error.category(), "lowering does not get through; it is tried again");
    let weight = world.route().and_then(Route::weight).unwrap_or_default();
    let message = format!(
        "attempt {} is over ({}), and its rollback does not get through: {error}. The canary still gets {weight} of the \
         traffic; it is tried again every few seconds",
        lower.attempt, lower.aborted.cause
    );
    let obstacle = Obstacle { reason: Reason::RollbackBlocked, message };
    if error.is_answer() {
        let note = Note {
            warning: true,
            reason: obstacle.reason.as_str().to_owned(),
            action: "Lower".to_owned(),
            message: obstacle.message.clone(),
        };
        publish(fleet, object, &note);
    }
    obstacle
}

pub(crate) fn report(fleet: &Fleet, report: &Report) {
    let Report { world, plan, outcome, newest: _, decided: _ } = report;
    let object = &world.object;
    let metrics = &fleet.context().metrics;
    let attempt = world.route().map_or(0, |route| route.register.attempt);
    let write = plan.write.as_ref().map_or("none", Write::name);
    let (namespace, name, state) = (&object.namespace, &object.name, plan.state.as_str());
    let why = &plan.why;
    match outcome {
        Outcome::Nothing => {
            tracing::debug!(namespace, name, attempt, state, write, reason = why.reason, why = why.message, "waits");
        }
        Outcome::Stale => tracing::debug!(namespace, name, attempt, state, write, "stale"),
        Outcome::Refused(message) => tracing::warn!(namespace, name, attempt, state, write, message, "refused"),
        Outcome::NotYet => tracing::info!(namespace, name, attempt, state, write, "not with this lease"),
        Outcome::Blocked(_) => {}
        Outcome::Written { took, version: _ } => {
            let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            tracing::info!(
                namespace,
                name,
                attempt,
                state,
                write,
                reason = why.reason,
                why = why.message,
                took_ms,
                "decided"
            );
            metrics.wrote(write);
            if matches!(plan.write, Some(Write::Lower(_))) {
                metrics.unblocked(&Key::new(&object.namespace, &object.name));
            }
            count(fleet, report, *took);
            for note in &plan.notes {
                publish(fleet, object, note);
            }
        }
    }
}

/// Ends of attempts, and how fast a bad one ended.
fn count(fleet: &Fleet, report: &Report, took: std::time::Duration) {
    let context = fleet.context();
    match &report.plan.write {
        Some(Write::Lower(lower)) => {
            context.metrics.ended("rolled_back", lower.aborted.cause.as_str());
            context.metrics.rolled_back(took);
            if lower.aborted.cause == Cause::GateFailed
                && let Some(newest) = report.newest
            {
                let since = seconds(context.clock.now()) - newest;
                tracing::info!(
                    namespace = report.world.object.namespace,
                    name = report.world.object.name,
                    detected_after_seconds = since,
                    decided_after_seconds = seconds(report.decided) - newest,
                    "all traffic is on stable"
                );
                context.metrics.detected(since);
            }
        }
        Some(Write::Route(route)) => match route.transition {
            Transition::Promote => context.metrics.ended("promoted", "Promoted"),
            Transition::Reject => context.metrics.ended("rejected", &report.plan.why.reason),
            Transition::Replace
            | Transition::Begin
            | Transition::Raise
            | Transition::StepBack
            | Transition::Retire
            | Transition::Repair
            | Transition::Settings
            | Transition::Command => {}
        },
        Some(Write::Create(_) | Write::Change(_) | Write::Delete(_) | Write::Adopt(_) | Write::Status(_)) | None => {}
    }
}

/// A pass that failed: an event, and what stands in the way, where a person can remove it.
pub(crate) fn failed(fleet: &Fleet, key: &Key, error: &PassError) -> Option<Obstacle> {
    let reason = match error {
        PassError::Call(CallError::Forbidden { .. }) => Reason::Forbidden,
        PassError::Call(CallError::Invalid { .. } | CallError::Refused { .. }) => Reason::Refused,
        PassError::NameTaken { .. } | PassError::Lingers { .. } => Reason::NameTaken,
        PassError::Call(_) | PassError::Build(_) | PassError::Panic => return None,
    };
    let rollout = fleet.cache.get(Kind::Rollout, key)?;
    let object = Object {
        namespace: key.namespace.clone(),
        name: key.name.clone(),
        uid: meta(&rollout, "uid").to_owned(),
        generation: 0,
        deleting: false,
    };
    let note = Note {
        warning: true,
        reason: reason.as_str().to_owned(),
        action: "Reconcile".to_owned(),
        message: error.to_string(),
    };
    publish(fleet, &object, &note);
    Some(Obstacle { reason, message: note.message })
}

/// Best effort: an event that is lost says nothing that status does not say.
fn publish(fleet: &Fleet, object: &Object, note: &Note) {
    let recorder = fleet.context().recorder.clone();
    let reference = ObjectReference {
        api_version: Some(Kind::Rollout.api_version()),
        kind: Some(Kind::Rollout.as_str().to_owned()),
        namespace: Some(object.namespace.clone()),
        name: Some(object.name.clone()),
        uid: Some(object.uid.clone()),
        ..ObjectReference::default()
    };
    let Note { warning, reason, action, message } = note;
    let event = Event {
        type_: if *warning { EventType::Warning } else { EventType::Normal },
        reason: reason.clone(),
        note: Some(clean(message, NOTE)),
        action: action.clone(),
        secondary: None,
    };
    tokio::spawn(async move {
        match timeout(CALL, recorder.publish(&event, &reference)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => tracing::warn!("the event was not taken"),
            Err(_) => tracing::warn!("the event was not taken in time"),
        }
    });
}
