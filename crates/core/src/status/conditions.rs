//! Conditions in the form that Flux, Argo CD and Helm understand: `Reconciling` and `Stalled` only when true.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use microapp_api::{
    conditions::{Cause, ConditionType, Reason},
    limits,
    v1alpha1::{Outcome, Verdict},
};

use super::project::Refresh;
use crate::{
    decide::{ROUTE_DEADLINE, SETTLE, State},
    evidence::Judgement,
    plan::{Change, Plan, Write},
    world::{Acceptance, RouteFact, World},
};

/// Something that a person should read: its message counts as a change, and it becomes an event.
pub(super) const fn is_trouble(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::PreflightFailed
            | Reason::ThresholdAboveBuckets
            | Reason::InvalidSpec
            | Reason::PromptsMissing
            | Reason::RouteConflict
            | Reason::RouteNotAccepted
            | Reason::NameTaken
            | Reason::PinConflict
            | Reason::ImagePullFailed
            | Reason::InitialRevisionFailed
            | Reason::NoCompletions
            | Reason::Inconclusive
            | Reason::PrometheusUnavailable
            | Reason::EnvironmentIncident
            | Reason::Forbidden
            | Reason::Refused
            | Reason::NotKept
            | Reason::RouteContested
            | Reason::RollbackBlocked
    )
}

/// The conditions whose message is what the plan says.
pub(super) const SPEAK: [ConditionType; 4] =
    [ConditionType::Ready, ConditionType::Reconciling, ConditionType::Stalled, ConditionType::Paused];

/// How the pass reads to a tool.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reads {
    Ready,
    Progressing,
    Paused,
    Stalled,
}

/// All conditions, with the times of those that did not flip.
pub(super) fn project(
    world: &World,
    now: Timestamp,
    evidence: &Judgement,
    plan: &Plan,
    refresh: Refresh,
) -> Vec<Condition> {
    let reason = plan.why.reason.parse().unwrap_or(Reason::Progressing);
    let (reads, ready, reason) = reads(world, now, plan, reason);
    // What turned it back stays the news, whatever is being cleared away.
    let told = rejected_for(world, now).filter(|_| reads == Reads::Stalled && ready == Reason::RolledBack);
    let message = told.as_ref().unwrap_or(&plan.why.message);
    let mut list =
        vec![(ConditionType::Ready, if reads == Reads::Ready { "True" } else { "False" }, ready, message.clone())];
    match reads {
        Reads::Progressing | Reads::Paused => list.push((ConditionType::Reconciling, "True", reason, message.clone())),
        Reads::Stalled => list.push((ConditionType::Stalled, "True", reason, message.clone())),
        Reads::Ready => {}
    }
    list.push(available(world));
    list.push(synced(world, now));
    list.push(gates(world, evidence, refresh));
    list.push(rolled_back(world));
    let paused = reads == Reads::Paused;
    let (word, said) = if paused { ("True", message.clone()) } else { ("False", String::new()) };
    list.push((ConditionType::Paused, word, if paused { Reason::AwaitingApproval } else { Reason::NotPaused }, said));
    list.into_iter()
        .map(|(kind, status, reason, message)| {
            let old = world.status.conditions.iter().find(|old| old.type_ == kind.as_str());
            let since = old.filter(|old| old.status == status).map(|old| old.last_transition_time.clone());
            Condition {
                type_: kind.as_str().to_owned(),
                status: status.to_owned(),
                reason: reason.as_str().to_owned(),
                message: limits::message(&message),
                observed_generation: Some(world.object.generation),
                last_transition_time: since.unwrap_or(Time(now)),
            }
        })
        .collect()
}

/// One row of the table in the API's documentation: the reading, the reason of `Ready`, and that of its companion.
fn reads(world: &World, now: Timestamp, plan: &Plan, reason: Reason) -> (Reads, Reason, Reason) {
    let patient =
        |since: Timestamp| if now.duration_since(since) < ROUTE_DEADLINE { Reads::Progressing } else { Reads::Stalled };
    match reason {
        Reason::AwaitingApproval => (Reads::Paused, reason, reason),
        // Git syncs in pieces.
        Reason::InvalidSpec | Reason::PromptsMissing => (patient(world.desired_since), reason, reason),
        Reason::RouteNotAccepted => (patient(unsynced_since(world).unwrap_or(now)), reason, reason),
        Reason::RouteConflict
        | Reason::NameTaken
        | Reason::PinConflict
        | Reason::InitialRevisionFailed
        | Reason::ThresholdAboveBuckets
        | Reason::NoCompletions
        | Reason::RollbackBlocked => (Reads::Stalled, reason, reason),
        Reason::Inconclusive if plan.state == State::Held => (Reads::Stalled, reason, reason),
        // What was rejected for it waits for a person, and not for numbers.
        Reason::Inconclusive if rejection(world).is_some() => at_rest(world, plan, reason),
        Reason::ScaledToZero => (Reads::Ready, reason, reason),
        Reason::NoData | Reason::PrometheusUnavailable | Reason::Inconclusive => {
            (Reads::Progressing, Reason::Inconclusive, reason)
        }
        _ => at_rest(world, plan, reason),
    }
}

/// Rejected, promoted, or on the way.
fn at_rest(world: &World, plan: &Plan, reason: Reason) -> (Reads, Reason, Reason) {
    if let Some(cause) = rejection(world).filter(|_| plan.state != State::Prepare) {
        return (Reads::Stalled, Reason::RolledBack, cause.reason());
    }
    // An autoscaler's work is no rollout.
    let scaling = matches!(plan.write, None | Some(Write::Change(Change::Scale { .. })));
    let resting = matches!(plan.state, State::Idle | State::Promote) && scaling && reason == Reason::Promoted;
    let copied = world.status.canary.is_none() && world.spec().is_some() && plan.wake.is_none();
    if resting && copied && world.route().is_some() {
        let last = world.status.history.iter().rev().find(|entry| entry.outcome != Outcome::RolledBack);
        let initial = last.is_none_or(|entry| entry.outcome == Outcome::Initial);
        let word = if initial { Reason::InitialRevision } else { Reason::Promoted };
        return (Reads::Ready, word, word);
    }
    (Reads::Progressing, if is_trouble(reason) { reason } else { Reason::Progressing }, reason)
}

/// Why the wanted revision is not tried again by itself.
fn rejection(world: &World) -> Option<Cause> {
    let register = &world.route()?.register;
    let wanted = &world.spec()?.revision;
    let latched = register.is_latched() && register.canary.as_ref() == Some(wanted);
    let cause = register.aborted.as_ref().filter(|_| latched).map(|aborted| aborted.cause);
    let cause = cause.filter(|cause| cause.rejects()).or_else(|| register.rejection(wanted));
    cause.filter(|_| *wanted != register.stable)
}

/// In words, as the register or, once another attempt has the register, the history has it.
fn rejected_for(world: &World, now: Timestamp) -> Option<String> {
    let register = &world.route()?.register;
    let wanted = &world.spec()?.revision;
    let latched = register.is_latched() && register.canary.as_ref() == Some(wanted);
    let aborted = register.aborted.as_ref().filter(|_| latched).and_then(|aborted| aborted.message.clone());
    let past = || world.status.history.iter().rev().find(|entry| entry.revision == wanted.as_str())?.message.clone();
    let rejected = || {
        super::history::rejected(world, register, now).into_iter().find(|one| one.revision == wanted.as_str())?.message
    };
    aborted.or_else(past).or_else(rejected).filter(|message| !message.is_empty())
}

type Row = (ConditionType, &'static str, Reason, String);

/// Does stable serve?
fn available(world: &World) -> Row {
    let kind = ConditionType::Available;
    let Some(route) = world.route() else {
        return (kind, "False", Reason::NothingStable, "nothing was promoted yet".to_owned());
    };
    let stable = &route.register.stable;
    let ready = world.arm(stable).ready();
    let wanted = world.spec().map_or(1, |spec| spec.replicas);
    if wanted == 0 {
        return (kind, "False", Reason::ScaledToZero, "spec.replicas is 0".to_owned());
    }
    if ready >= wanted.min(world.arm(stable).deployment.as_ref().map_or(0, |deployment| deployment.size)).max(1) {
        (kind, "True", Reason::StableAvailable, format!("{stable} has {ready} ready pods"))
    } else {
        (kind, "False", Reason::StableBelowMinimum, format!("{stable} has {ready} of {wanted} ready pods"))
    }
}

/// When `TrafficSynced` became false.
pub(crate) fn unsynced_since(world: &World) -> Option<Timestamp> {
    let synced =
        world.status.conditions.iter().find(|condition| condition.type_ == ConditionType::TrafficSynced.as_str())?;
    (synced.status == "False").then_some(synced.last_transition_time.0)
}

/// When `TrafficSynced` became true.
pub(crate) fn synced_since(world: &World) -> Option<Timestamp> {
    let synced =
        world.status.conditions.iter().find(|condition| condition.type_ == ConditionType::TrafficSynced.as_str())?;
    (synced.status == "True").then_some(synced.last_transition_time.0)
}

/// Does the route say what the register says, and do the gateways follow?
fn synced(world: &World, now: Timestamp) -> Row {
    let kind = ConditionType::TrafficSynced;
    let route = match &world.route {
        RouteFact::Present(route) => route,
        RouteFact::Missing => return (kind, "False", Reason::RoutePending, "there is no route yet".to_owned()),
        RouteFact::Foreign(why) => return (kind, "False", Reason::NameTaken, why.clone()),
        RouteFact::Unreadable { message, .. } => return (kind, "False", Reason::RouteLost, message.clone()),
    };
    match &route.acceptance {
        Acceptance::Accepted => (kind, "True", Reason::RouteSynced, "every gateway accepted the route".to_owned()),
        Acceptance::Refused(why) => (kind, "False", Reason::RouteNotAccepted, why.clone()),
        Acceptance::Pending => {
            // A gateway answers each change within a moment; that moment is no news.
            let was = world.status.conditions.iter().find(|old| old.type_ == kind.as_str());
            let begun = world.status.canary.as_ref().and_then(|canary| canary.started_at.as_ref());
            let changed = route.register.since.or(begun.map(|time| time.0));
            let fresh = changed.is_none_or(|since| now.duration_since(since) < SETTLE);
            let word = if fresh && was.is_some_and(|old| old.status == "True") { "True" } else { "False" };
            let reason = if word == "True" { Reason::RouteSynced } else { Reason::RoutePending };
            (kind, word, reason, "the gateway has not answered yet".to_owned())
        }
    }
}

/// Numbers of gates cause no write: the word is as of the last transition or checkpoint.
fn gates(world: &World, evidence: &Judgement, refresh: Refresh) -> Row {
    let kind = ConditionType::GatesPassing;
    let running = world.route().is_some_and(|route| route.register.canary.is_some() && !route.register.is_latched());
    if !running {
        return (kind, "Unknown", Reason::NotComparing, "nothing is being compared".to_owned());
    }
    if refresh == Refresh::Keep
        && let Some(old) = world.status.conditions.iter().find(|old| old.type_ == kind.as_str())
    {
        let status = match old.status.as_str() {
            "True" => "True",
            "False" => "False",
            _ => "Unknown",
        };
        return (kind, status, old.reason.parse().unwrap_or(Reason::NotComparing), old.message.clone());
    }
    let blocking = || evidence.gates.iter().filter(|gate| !gate.advisory);
    let count = |verdict| blocking().filter(|gate| gate.verdict == verdict).count();
    let standing = crate::explain::standing(&evidence.gates);
    let message = match &evidence.unwatched {
        Some(unwatched) => format!("{standing}; {unwatched}"),
        None => standing,
    };
    if count(Verdict::Fail) > 0 {
        return (kind, "False", Reason::GateFailed, message);
    }
    if count(Verdict::Pass) > 0 && count(Verdict::Unknown) == 0 {
        return (kind, "True", Reason::GatesPass, message);
    }
    (kind, "Unknown", Reason::Inconclusive, message)
}

fn rolled_back(world: &World) -> Row {
    let kind = ConditionType::RolledBack;
    match world.route().and_then(|route| route.register.aborted.as_ref()) {
        Some(aborted) => (kind, "True", aborted.cause.reason(), aborted.message.clone().unwrap_or_default()),
        None => (kind, "False", Reason::NoRollback, "the last attempt was not rolled back".to_owned()),
    }
}
