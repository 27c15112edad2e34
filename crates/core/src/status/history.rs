//! What ended, and how. Each end is noticed by its difference to the copy in status, so it is written once.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use microapp_api::{
    conditions::{Cause, ConditionType},
    limits,
    v1alpha1::{HistoryEntry, Outcome, RejectedRevision},
};

use super::project::facts;
use crate::{register::Register, revision::Revision, world::World};

/// How many entries are kept.
const KEPT: usize = 10;

/// The history with what the register says ended since.
pub(super) fn entries(world: &World, register: &Register, now: Timestamp) -> Vec<HistoryEntry> {
    let mut list = world.status.history.clone();
    if let Some(entry) = ended(world, register, now) {
        let known = |old: &HistoryEntry| {
            old.attempt == entry.attempt && old.revision == entry.revision && old.outcome == entry.outcome
        };
        if !list.iter().any(known) {
            list.push(entry);
        }
    }
    let surplus = list.len().saturating_sub(KEPT);
    list.drain(..surplus);
    list
}

fn ended(world: &World, register: &Register, now: Timestamp) -> Option<HistoryEntry> {
    let status = &world.status;
    let copy = status.canary.as_ref();
    if let Some(aborted) = register.aborted.as_ref().filter(|aborted| aborted.attempt == register.attempt) {
        let revision = register.canary.clone().or_else(|| Revision::parse(&copy?.revision))?;
        let mut entry = entry(world, &revision, register.attempt, Outcome::RolledBack, now);
        entry.cause = Some(aborted.cause);
        entry.gate.clone_from(&aborted.gate);
        entry.message = aborted.message.as_deref().map(limits::message);
        entry.ended_at = Some(Time(aborted.at));
        return Some(entry);
    }
    match (&status.stable, copy) {
        // The canary of the copy is the register's stable: it was promoted.
        (_, Some(copy)) if copy.revision == register.stable.as_str() && register.canary.is_none() => {
            Some(entry(world, &register.stable, register.attempt, Outcome::Promoted, now))
        }
        // A status that was lost later on does not make a first revision of what is stable.
        (None, None) if register.attempt == 1 && register.canary.is_none() => {
            let accepted = world.route().is_some_and(|route| route.acceptance == crate::world::Acceptance::Accepted);
            accepted.then(|| entry(world, &register.stable, register.attempt, Outcome::Initial, now))
        }
        _ => None,
    }
}

fn entry(world: &World, revision: &Revision, attempt: i64, outcome: Outcome, now: Timestamp) -> HistoryEntry {
    let copy = world.status.canary.as_ref().filter(|canary| canary.attempt == attempt);
    let facts = facts(world, revision);
    HistoryEntry {
        revision: revision.to_string(),
        attempt,
        outcome,
        cause: None,
        gate: None,
        image: facts.image,
        digest: facts.digest,
        model: facts.model,
        max_weight: copy.map(|canary| canary.weight.clone()),
        started_at: copy.and_then(|canary| canary.started_at.clone()),
        ended_at: Some(Time(now)),
        message: None,
    }
}

/// What status said of a revision that never began, before it was rejected.
fn message(world: &World, revision: &Revision) -> Option<String> {
    let ready = world.status.conditions.iter().find(|condition| condition.type_ == ConditionType::Ready.as_str())?;
    let of_it = ready.message.contains(revision.as_str());
    of_it.then(|| ready.message.chars().take(400).collect())
}

/// The rejected revisions of the register, with what is known of them.
pub(super) fn rejected(world: &World, register: &Register, now: Timestamp) -> Vec<RejectedRevision> {
    let aborted = register.aborted.as_ref().filter(|aborted| aborted.cause.rejects());
    let make = |revision: &Revision, cause: Cause| {
        let old = world.status.rejected.iter().find(|old| old.revision == revision.as_str() && old.cause == cause);
        let told = || message(world, revision).filter(|_| aborted.is_none_or(|aborted| aborted.cause != cause));
        let said = aborted.filter(|aborted| aborted.cause == cause).and_then(|aborted| aborted.message.clone());
        let gate = aborted.filter(|aborted| aborted.cause == cause).and_then(|aborted| aborted.gate.clone());
        old.cloned().unwrap_or_else(|| RejectedRevision {
            revision: revision.to_string(),
            attempt: aborted.map_or(0, |aborted| aborted.attempt),
            cause,
            gate,
            at: Some(Time(now)),
            message: said.or_else(told),
        })
    };
    register.rejected.iter().map(|known| make(&known.revision, known.cause)).collect()
}
