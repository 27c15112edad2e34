//! What every state needs at hand: the world, the route, the time, and the few sums that several states share.

use jiff::{SignedDuration, Timestamp};
use microapp_api::values::Weight;

use super::State;
use crate::{
    counts::Ask,
    evidence::Judgement,
    plan::{Note, Plan, RouteWrite, Transition, Why, Write},
    register::Register,
    revision::Revision,
    strategy::Strategy,
    world::{Arm, Backend, Command, Route, Spec, Verb, World},
};

/// A gateway that accepted a change of weight needs so long until it is in effect everywhere, and requests in flight to
/// drain.
pub const SETTLE: SignedDuration = SignedDuration::from_secs(5);
/// So long the pods that served wait for a gateway to accept that they get nothing any more.
pub const DRAIN_DEADLINE: SignedDuration = SignedDuration::from_secs(600);
/// So long the weight stays although the ready pods are too few for it: a pod that is replaced is back by then.
pub const CAPACITY_GRACE: SignedDuration = SignedDuration::from_secs(60);
/// The desired revision must have been the same for so long: two commits in a second are one attempt.
pub const STEADY: SignedDuration = SignedDuration::from_secs(3);
/// Pods must be ready within this where the spec cannot be read.
pub const READY_DEADLINE: SignedDuration = SignedDuration::from_secs(600);
/// A gateway must have accepted the route within this; so long an unusable spec may be a sync in pieces.
pub const ROUTE_DEADLINE: SignedDuration = SignedDuration::from_secs(60);
/// How soon a question that Prometheus could not answer is asked again.
pub const PROMETHEUS_PATIENCE: SignedDuration = SignedDuration::from_secs(5);

/// One pass with a readable route.
#[derive(Debug)]
pub(crate) struct Scene<'a> {
    pub world: &'a World,
    pub route: &'a Route,
    pub register: &'a Register,
    pub now: Timestamp,
    pub evidence: &'a Judgement,
    /// The pinned plan of the running attempt.
    pub plan: Option<Strategy>,
    /// Size that the application must have while the attempt runs.
    pub basis: i32,
}

impl<'a> Scene<'a> {
    pub fn new(world: &'a World, route: &'a Route, now: Timestamp, evidence: &'a Judgement) -> Self {
        let plan = world.plan();
        let wanted = world.spec().map_or(0, |spec| spec.replicas);
        let basis = plan.as_ref().map_or(wanted, |plan| plan.replicas.max(wanted));
        Self { world, route, register: &route.register, now, evidence, plan, basis }
    }

    /// The canary of an attempt that is not over.
    pub fn canary(&self) -> Option<&'a Revision> {
        self.register.canary.as_ref().filter(|_| !self.register.is_latched())
    }

    pub fn spec(&self) -> Option<&'a Spec> {
        self.world.spec()
    }

    pub fn arm(&self, revision: &Revision) -> &'a Arm {
        self.world.arm(revision)
    }

    /// The weight that the register's step asks for; none where the plan is lost.
    pub fn registered_weight(&self) -> Option<Weight> {
        match self.register.step {
            None => Some(Weight::ZERO),
            Some(step) => self.plan.as_ref()?.steps.get(step).map(|step| step.weight),
        }
    }

    /// A command that was not acted on yet.
    pub fn command(&self, verb: Verb) -> Option<&'a Command> {
        self.world.commands.get(&verb).filter(|command| !self.register.took(verb.as_str(), &command.token))
    }

    /// Has the canary had traffic in this attempt? `since` and `step` are first written by a raise, and either may have
    /// been taken away by somebody.
    pub fn exposed(&self) -> bool {
        let weight = self.route.weight().is_none_or(|weight| !weight.is_zero());
        self.register.since.is_some() || self.register.step.is_some() || weight
    }

    /// Pods must be ready within this.
    pub fn ready_deadline(&self) -> SignedDuration {
        self.spec().map_or(READY_DEADLINE, Spec::ready_deadline)
    }

    /// Time in the step that counts for dwell and maxStepDuration: pauses do not, the guard's only where asked.
    pub fn elapsed(&self, without_guard: bool) -> SignedDuration {
        let since = self.register.since.unwrap_or(self.now);
        let idle = self.evidence.paused_seconds + if without_guard { self.evidence.guarded_seconds } else { 0.0 };
        self.now.duration_since(since) - SignedDuration::from_millis((idle * 1000.0) as i64)
    }

    /// The backends of an attempt at a weight.
    pub fn pair(&self, canary: &Revision, weight: Weight) -> Vec<Backend> {
        let (stable, share) = weight.pair();
        [(&self.register.stable, stable), (canary, share)]
            .map(|(revision, weight)| Backend { revision: Some(revision.clone()), weight: Some(i64::from(weight)) })
            .to_vec()
    }

    /// A transition, decided on the version that was read.
    pub fn transition(&self, transition: Transition, register: Register, backends: Vec<Backend>) -> Write {
        Write::Route(Box::new(RouteWrite { transition, version: self.route.version.clone(), register, backends }))
    }

    /// A plan that waits, while the attempt's windows come in.
    pub fn wait(&self, state: State, reason: &str, message: impl Into<String>) -> Plan {
        let mut plan = Plan::wait(state, reason, message);
        if self.canary().is_some() && self.evidence.attempt == self.register.attempt {
            plan.ask = Some(match self.evidence.preflight {
                crate::evidence::Preflight::Passed => Ask::Windows,
                crate::evidence::Preflight::Pending | crate::evidence::Preflight::Refused(_) => Ask::Baseline,
            });
        }
        plan
    }

    /// A plan that writes.
    pub fn act(&self, state: State, reason: &str, message: impl Into<String>, write: Write) -> Plan {
        self.wait(state, reason, message).write(write)
    }
}

/// One backend that gets everything.
pub(crate) fn alone(stable: &Revision) -> Vec<Backend> {
    vec![Backend { revision: Some(stable.clone()), weight: Some(100) }]
}

impl Plan {
    /// Nothing to write.
    pub(crate) fn wait(state: State, reason: &str, message: impl Into<String>) -> Self {
        Self { state, write: None, notes: Vec::new(), wake: None, ask: None, why: Why::new(reason, message) }
    }

    /// With the one write.
    pub(crate) fn write(mut self, write: Write) -> Self {
        self.write = Some(write);
        self
    }

    /// With an event that says what `why` says.
    pub(crate) fn note(mut self, warning: bool, action: impl Into<String>) -> Self {
        let Why { reason, message } = self.why.clone();
        self.notes.push(Note { warning, reason, action: action.into(), message });
        self
    }

    /// Look again at `at`, if not earlier.
    pub(crate) fn wake_at(mut self, at: Timestamp) -> Self {
        self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
        self
    }

    /// Look again after `delay`.
    pub(crate) fn wake_in(self, now: Timestamp, delay: SignedDuration) -> Self {
        let at = now.checked_add(delay).unwrap_or(now);
        self.wake_at(at)
    }
}

/// The plan, which also looks again then.
pub(crate) fn wake(plan: Plan, at: Option<Timestamp>) -> Plan {
    match at {
        Some(at) => plan.wake_at(at),
        None => plan,
    }
}

/// `a + b`, or `a` where that is no time.
pub(crate) fn after(at: Timestamp, delay: SignedDuration) -> Timestamp {
    at.checked_add(delay).unwrap_or(at)
}
