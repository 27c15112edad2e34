//! What a command writes, and how one sees that it was taken. Pure: the nonce and the register are arguments.

use microapp_api::{conditions::ConditionType, labels::command};
use microapp_core::{register::Register, world::Verb};

use crate::{
    exit::{Exit, Failure},
    outcome::Outcome,
    view::View,
};

/// One annotation, ready to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// What is commanded.
    pub verb: Verb,
    /// Consumed once; for `promote` and `retry` it begins with what it is meant for.
    pub token: String,
    /// For people.
    pub reason: String,
    /// The attempt that it is meant for; none where it asks for a new one.
    attempt: Option<i64>,
    /// The step that a promotion is meant for.
    step: Option<usize>,
}

/// Where an order stands.
#[derive(Debug, PartialEq, Eq)]
pub enum Fate {
    /// The operator acted on it; what that means, in words.
    Taken(String),
    /// Not yet.
    Waiting,
    /// It cannot be taken any more.
    Lost(Exit, String),
}

impl Order {
    /// `abort`, `pause`, `resume`.
    ///
    /// # Errors
    /// Nothing runs that it could be meant for.
    pub fn now(view: &View, verb: Verb, reason: &str, nonce: &str) -> Result<Self, Failure> {
        let attempt = match (running(view), verb) {
            (Some(register), _) => Some(register.attempt),
            // Before the attempt begins there are pods without traffic, and they can be given up too.
            (None, Verb::Abort) if is_preparing(view) => None,
            // Status may be late: the operator knows whether there is something that it means.
            (None, _) if view.hidden => view.running().map(|canary| canary.attempt),
            (None, _) => return Err(nothing_runs(view, verb)),
        };
        Ok(Self { verb, token: nonce.to_owned(), reason: one_line(reason), attempt, step: None })
    }

    /// `promote`: from the step in force now and from no other.
    ///
    /// # Errors
    /// Nothing runs, or the last step is reached.
    pub fn promote(view: &View, skip_step: bool, reason: &str, nonce: &str) -> Result<Self, Failure> {
        let (attempt, at) = match (running(view), view.running()) {
            (Some(register), _) => (register.attempt, register.step),
            // A step that is not in force any more is refused by the operator.
            (None, Some(canary)) if view.hidden => (canary.attempt, usize::try_from(canary.step).ok()),
            (None, _) => return Err(nothing_runs(view, Verb::Promote)),
        };
        let steps = view.running().and_then(|canary| canary.plan.as_ref()).map(|plan| plan.steps.len());
        if at.zip(steps).is_some_and(|(step, steps)| step + 1 >= steps) {
            return Err(Failure::error(
                "the canary has all traffic already; what is left is the bake, and nobody can shorten it",
            ));
        }
        let step = at.map_or("-".to_owned(), |step| step.to_string());
        let skip = if skip_step { "/skip" } else { "" };
        Ok(Self {
            verb: Verb::Promote,
            token: format!("{attempt}/{step}{skip}:{nonce}"),
            reason: one_line(reason),
            attempt: Some(attempt),
            step: at,
        })
    }

    /// `retry`: of the revision that the spec asks for.
    ///
    /// # Errors
    /// There is nothing to try again.
    pub fn retry(view: &View, reason: &str, nonce: &str) -> Result<Self, Failure> {
        let desired = Outcome::desired(view)
            .ok_or_else(|| Failure::error("the operator has made no revision of the spec as it stands; see `why`"))?;
        if view.status().stable.as_ref().is_some_and(|stable| stable.revision == desired) {
            return Err(Failure::error(format!("{desired} is stable; there is nothing to try again")));
        }
        let on_trial = |register: &Register| register.canary.as_ref().is_some_and(|canary| canary.as_str() == desired);
        if running(view).is_some_and(on_trial) {
            return Err(Failure::error(format!("{desired} is on trial already")));
        }
        let rejected = view.status().rejected.iter().any(|old| old.revision == desired)
            || view.register.as_ref().is_some_and(|register| register.is_latched() && on_trial(register));
        if !rejected {
            return Err(Failure::error(format!("{desired} was not rejected; it is tried without a command")));
        }
        let token = format!("{desired}:{nonce}");
        Ok(Self { verb: Verb::Retry, token, reason: one_line(reason), attempt: None, step: None })
    }

    /// The key of the annotation.
    pub const fn key(&self) -> &'static str {
        match self.verb {
            Verb::Abort => command::ABORT,
            Verb::Promote => command::PROMOTE,
            Verb::Pause => command::PAUSE,
            Verb::Resume => command::RESUME,
            Verb::Retry => command::RETRY,
        }
    }

    /// Its value: `<token> <reason>`.
    pub fn value(&self) -> String {
        format!("{} {}", self.token, self.reason).trim_end().to_owned()
    }

    /// What the route says about it.
    pub fn fate(&self, register: Option<&Register>) -> Fate {
        let Some(register) = register else { return Fate::Waiting };
        if register.took(self.verb.as_str(), &self.token) {
            return Fate::Taken(self.meaning(register));
        }
        let ended = self
            .attempt
            .is_some_and(|attempt| register.attempt != attempt || register.is_latched() || register.canary.is_none());
        if ended && self.verb == Verb::Promote {
            let cause = register.aborted.as_ref().filter(|aborted| Some(aborted.attempt) == self.attempt);
            return match cause.map(|aborted| aborted.cause) {
                Some(cause) => Fate::Lost(
                    Outcome::of(cause).exit(),
                    format!("the attempt ended ({cause}) before the operator took the command"),
                ),
                None => {
                    Fate::Lost(Exit::Superseded, "the attempt ended before the operator took the command".to_owned())
                }
            };
        }
        if self.verb == Verb::Promote && register.step != self.step {
            let message = "the step changed by itself before the operator took the command; look again, and repeat it";
            return Fate::Lost(Exit::Error, message.to_owned());
        }
        Fate::Waiting
    }

    fn meaning(&self, register: &Register) -> String {
        let stable = &register.stable;
        match self.verb {
            Verb::Abort => format!("all traffic is on {stable}"),
            Verb::Promote => match register.step {
                Some(step) => format!("step {} is in force", step + 1),
                None => "the ramp goes on".to_owned(),
            },
            Verb::Pause => "the weight stays; a gate that fails still takes everything back".to_owned(),
            Verb::Resume => "the ramp goes on".to_owned(),
            Verb::Retry => match &register.canary {
                Some(canary) => format!("attempt {} of {canary} began", register.attempt),
                None => "a new attempt began".to_owned(),
            },
        }
    }
}

/// The register of an attempt that is not over.
fn running(view: &View) -> Option<&Register> {
    view.register.as_ref().filter(|register| register.canary.is_some() && !register.is_latched())
}

/// Is a revision on its way that has no attempt yet?
fn is_preparing(view: &View) -> bool {
    let Some(register) = &view.register else { return false };
    let Some(desired) = Outcome::desired(view) else { return !view.is_observed() };
    let known = register.rejected.iter().any(|old| old.revision.as_str() == desired);
    desired != register.stable.as_str() && !known && view.is(ConditionType::Stalled).is_none()
}

fn nothing_runs(view: &View, verb: Verb) -> Failure {
    let name = view.name();
    let why = match (&view.register, &view.status().stable) {
        (None, None) => "nothing is stable yet, so there is nothing to go back to or on from".to_owned(),
        (None, Some(_)) if view.hidden => "status names no attempt that runs".to_owned(),
        (None, Some(_)) => "it has no route yet".to_owned(),
        (Some(register), _) => format!("no attempt runs; {} has all traffic", register.stable),
    };
    Failure::error(format!("{name}: {why}, and `{}` would wait for nothing", verb.as_str()))
}

/// An annotation's reason is shown in one line.
fn one_line(reason: &str) -> String {
    reason.split_whitespace().collect::<Vec<_>>().join(" ")
}
