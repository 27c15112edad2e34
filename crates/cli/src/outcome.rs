//! How one revision fares: the word behind the exit code.

use microapp_api::{
    conditions::{Cause, ConditionType, Reason},
    v1alpha1::{self, HistoryEntry, RejectedRevision},
};
use serde::Serialize;

use crate::{exit::Exit, view::View};

/// Before all attempts.
const BEGINNING: i64 = -1;

/// Where a revision stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Outcome {
    /// It is stable, or was.
    Promoted,
    /// It is being prepared, tried, or waits for a person.
    InProgress,
    /// All traffic went back, and it is not tried again by itself.
    RolledBack,
    /// Nothing moves before a person acts.
    Stalled,
    /// A person took it back.
    Aborted,
    /// Another revision is wanted.
    Superseded,
}

impl Outcome {
    /// The exit code of it.
    pub const fn exit(self) -> Exit {
        match self {
            Self::Promoted => Exit::Ok,
            Self::InProgress => Exit::InProgress,
            Self::RolledBack => Exit::RolledBack,
            Self::Stalled => Exit::Stalled,
            Self::Aborted => Exit::Aborted,
            Self::Superseded => Exit::Superseded,
        }
    }

    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Promoted => "promoted",
            Self::InProgress => "in progress",
            Self::RolledBack => "rolled back",
            Self::Stalled => "stalled",
            Self::Aborted => "aborted by a person",
            Self::Superseded => "superseded by another revision",
        }
    }

    /// Of a cause that ended an attempt.
    pub const fn of(cause: Cause) -> Self {
        match cause {
            Cause::Command => Self::Aborted,
            Cause::Superseded | Cause::SetBack => Self::Superseded,
            Cause::GateFailed
            | Cause::CrashLoop
            | Cause::OOMKilled
            | Cause::NotReady
            | Cause::PinFailed
            | Cause::Inconclusive => Self::RolledBack,
            // Neither is a verdict on the revision: without pods nothing can be tried, without a route it begins again.
            Cause::ScaledToZero => Self::Stalled,
            Cause::RouteLost => Self::InProgress,
        }
    }

    /// How `revision` fares; without one, the revision that the spec asks for now.
    pub fn read(view: &View, revision: Option<&str>) -> Self {
        Self::after(view, revision, BEGINNING)
    }

    /// The same, where what came of attempts up to `before` is no answer.
    fn after(view: &View, revision: Option<&str>, before: i64) -> Self {
        let desired = Self::desired(view);
        match (revision, desired) {
            (None, None) if !view.is_observed() => Self::InProgress,
            // The operator saw the spec and could not make a revision of it.
            (None, None) => Self::wanted(view, None),
            (None, Some(desired)) => Self::wanted(view, Some(desired)),
            (Some(asked), _) if is_stable(view, asked) => Self::Promoted,
            (Some(asked), Some(desired)) if asked == desired => Self::wanted(view, Some(asked)),
            (Some(asked), Some(_)) => Self::past(view, asked, before),
            (Some(_), None) => Self::InProgress,
        }
    }

    /// The revision of the spec as it stands; none before the operator saw it, or where it cannot use it.
    pub fn desired(view: &View) -> Option<&str> {
        let unusable = matches!(
            view.says().and_then(|says| says.reason.parse().ok()),
            Some(Reason::InvalidSpec | Reason::PromptsMissing)
        );
        view.status().desired_revision.as_deref().filter(|_| view.is_observed() && !unusable)
    }

    /// The revision that the spec asks for: the conditions speak of it.
    fn wanted(view: &View, revision: Option<&str>) -> Self {
        if let Some(reason) = view.reason(ConditionType::Stalled) {
            // The reason of a rollback is its cause; one that is none says what else is in the way.
            let named: Option<Cause> = reason.as_str().parse().ok();
            let found = || {
                revision.filter(|_| reason == Reason::RolledBack).and_then(|revision| cause(view, revision, BEGINNING))
            };
            return match (reason, named.or_else(found)) {
                // Undecided is a cause too, where the plan says so; held at a weight it is none.
                (Reason::Inconclusive, _) if view.running().is_some() => Self::Stalled,
                (_, Some(cause)) => Self::of(cause),
                (Reason::RolledBack, None) => Self::RolledBack,
                (_, None) => Self::Stalled,
            };
        }
        let Some(revision) = revision else { return Self::InProgress };
        if is_stable(view, revision) {
            return Self::Promoted;
        }
        match view.reason(ConditionType::Ready) {
            Some(Reason::ScaledToZero) => Self::Stalled,
            _ => Self::InProgress,
        }
    }

    /// A revision that the spec does not ask for any more.
    fn past(view: &View, revision: &str, before: i64) -> Self {
        let ours = |entry: &&HistoryEntry| entry.revision == revision && entry.attempt > before;
        let entry = view.status().history.iter().rev().find(ours);
        match entry.map(|entry| entry.outcome) {
            Some(v1alpha1::Outcome::Promoted | v1alpha1::Outcome::Initial) => Self::Promoted,
            Some(v1alpha1::Outcome::RolledBack | v1alpha1::Outcome::Rejected) => {
                match entry.and_then(|entry| entry.cause).map(Self::of) {
                    Some(outcome @ (Self::RolledBack | Self::Aborted)) => outcome,
                    // Nobody is going to try it again.
                    Some(_) => Self::Superseded,
                    None => Self::RolledBack,
                }
            }
            None => match cause(view, revision, before) {
                Some(cause) => Self::of(cause),
                None if is_on_trial(view, revision) => Self::Superseded,
                // One that the operator has never seen is still to come: a GitOps tool applies it in a while.
                None => Self::InProgress,
            },
        }
    }
}

fn is_stable(view: &View, revision: &str) -> bool {
    view.status().stable.as_ref().is_some_and(|stable| stable.revision == revision)
}

/// Is it the canary of the last attempt?
fn is_on_trial(view: &View, revision: &str) -> bool {
    let register = view.register.as_ref().and_then(|register| register.canary.as_ref());
    register.is_some_and(|canary| canary.as_str() == revision)
        || view.status().canary.as_ref().is_some_and(|canary| canary.revision == revision)
}

/// Why a revision is not tried any more, as attempts after `before` have it.
fn cause(view: &View, revision: &str, before: i64) -> Option<Cause> {
    let latched = view.register.as_ref().filter(|register| {
        register.is_latched()
            && register.attempt > before
            && register.canary.as_ref().is_some_and(|canary| canary.as_str() == revision)
    });
    let (rejected, history) = (&view.status().rejected, &view.status().history);
    latched
        .and_then(|register| register.aborted.as_ref())
        .map(|aborted| aborted.cause)
        .or_else(|| {
            let ours = |old: &&RejectedRevision| old.revision == revision && old.attempt > before;
            rejected.iter().rev().find(ours).map(|old| old.cause)
        })
        .or_else(|| {
            let ours = |old: &&HistoryEntry| old.revision == revision && old.attempt > before;
            history.iter().rev().find(ours).and_then(|entry| entry.cause)
        })
}

/// A wait for one revision. A commit that a GitOps tool has not applied yet may name a revision that was here before: what
/// came of it then is no answer. And one that was wanted for a moment, and never tried, leaves no trace but that.
#[derive(Clone, Copy, Debug)]
pub struct Wait {
    before: i64,
    wanted: bool,
}

impl Wait {
    /// What was over in `view` is no answer; without one everything that is read counts.
    pub fn begin(view: Option<&View>) -> Self {
        let status = view.map(View::status);
        let ended = status.into_iter().flat_map(|status| {
            let rejected = status.rejected.iter().map(|old| old.attempt);
            status.history.iter().map(|old| old.attempt).chain(rejected)
        });
        Self { before: ended.max().unwrap_or(BEGINNING), wanted: false }
    }

    /// How `revision` fares now.
    pub fn read(&mut self, view: &View, revision: Option<&str>) -> Outcome {
        let outcome = Outcome::after(view, revision, self.before);
        let desired = Outcome::desired(view);
        self.wanted |= revision.is_some() && desired == revision;
        let other = self.wanted && desired.is_some() && desired != revision;
        if outcome == Outcome::InProgress && other { Outcome::Superseded } else { outcome }
    }
}
