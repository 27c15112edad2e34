//! What a rollout's task keeps in memory: the evidence of the running attempt, restored from status where there is one,
//! and since when something has been wanted. All of it may be lost at any moment.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use microapp_api::conditions::Reason;
use microapp_core::{
    Evidence, Judgement, Plan, Position, Revision, Write,
    counts::{Counts, Watch},
    fold, judge,
    lens::Prompts,
    register::Register,
    world::{Desired, Obstacle, Pod, World},
};
use microapp_telemetry::{PodRef, Subject};

use crate::{apply::Outcome, clock::seconds, poll::Poller};

/// An admission policy may have refused it, and policies change.
const REFUSED: SignedDuration = SignedDuration::from_mins(10);

/// The memory of one rollout.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// Of the attempt that the register names.
    pub evidence: Option<Evidence>,
    /// Name and version of the prompts' ConfigMap that was read last, and its content.
    pub prompts: Option<((String, String), Prompts)>,
    wanted: Option<(Wish, Timestamp)>,
    /// A revision of which the API server refused an object, why, and when.
    refused: Option<(Revision, String, Timestamp)>,
    /// What kept the last write from getting through.
    pub obstacle: Option<Obstacle>,
    term: Option<i64>,
    /// How often a plan that preflight refused was replaced.
    plans: u32,
}

/// What is wanted, as far as "since when" asks.
#[derive(Debug, PartialEq, Eq)]
enum Wish {
    Revision(Revision),
    Unusable(Reason),
}

/// Everything that a question to Prometheus is made of.
#[derive(Debug)]
pub(crate) struct Question {
    pub subject: Subject,
    pub watch: Watch,
    pub place: Place,
    pub interval: f64,
}

/// The attempt and the weight that a question is about: an answer about another one is thrown away and asked for again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Place {
    pub attempt: i64,
    pub since: f64,
    /// How often the plan was another one.
    pub plan: u32,
}

impl Memory {
    /// Somebody else may have led since our last term: what we know is then older than what stands in status.
    pub fn enter(&mut self, term: Option<i64>) {
        if term.is_some() && term != self.term {
            if self.term.is_some() {
                self.evidence = None;
            }
            self.term = term;
        }
    }

    /// The API server refused what the spec asks for: until it changes, or a while is over, it is a spec that cannot be
    /// used.
    pub fn refuse(&mut self, world: &World, message: String, now: Timestamp) {
        self.refused = world.spec().map(|spec| (spec.revision.clone(), message, now));
    }

    /// What was in the way is gone once a write got through, or none is wanted any more.
    pub fn passed(&mut self, plan: &Plan, outcome: &Outcome) {
        let through = matches!((&plan.write, outcome), (Some(write), Outcome::Written { .. }) if !matches!(write, Write::Status(_)));
        if through || plan.write.is_none() {
            self.obstacle = None;
        }
    }

    /// The wish, with what the API server said of it.
    pub fn wish(&self, desired: Desired, now: Timestamp) -> Desired {
        match (desired, &self.refused) {
            (Desired::Usable(spec), Some((revision, message, at)))
                if spec.revision == *revision && now.duration_since(*at) < REFUSED =>
            {
                Desired::Unusable { reason: Reason::InvalidSpec, message: message.clone() }
            }
            (desired, _) => desired,
        }
    }

    /// When a refused wish is tried again.
    pub fn retry_at(&self) -> Option<Timestamp> {
        self.refused.as_ref().and_then(|(_, _, at)| at.checked_add(REFUSED).ok())
    }

    /// When this wish was seen first.
    pub fn wanted_since(&mut self, desired: &Desired, now: Timestamp) -> Timestamp {
        let wish = match desired {
            Desired::Usable(spec) => Wish::Revision(spec.revision.clone()),
            Desired::Unusable { reason, message: _ } => Wish::Unusable(*reason),
        };
        match &self.wanted {
            Some((known, since)) if *known == wish => *since,
            _ => {
                self.wanted = Some((wish, now));
                now
            }
        }
    }

    /// The evidence of the attempt with what came in, and what it says.
    pub fn judge(&mut self, world: &World, now: Timestamp, poller: &mut Poller) -> Judgement {
        let Some(register) = world.route().map(|route| &route.register) else {
            self.evidence = None;
            return Judgement::default();
        };
        self.evidence = self.evidence.take().filter(|evidence| evidence.attempt == register.attempt);
        if self.evidence.as_ref().is_some_and(|evidence| is_of_another_plan(evidence, world)) {
            self.evidence = None;
            self.plans = self.plans.wrapping_add(1);
        }
        if let Some(position) = position(world, register) {
            if self.evidence.is_none() {
                self.evidence = restore(world, register, position.since);
            }
            let mail = poller.take(Place { attempt: position.attempt, since: position.since, plan: self.plans });
            if let Some(evidence) = &self.evidence {
                let moved = evidence.step != position.step || evidence.since.to_bits() != position.since.to_bits();
                if moved || mail.is_some() {
                    self.evidence = Some(fold(evidence, &position, &mail.unwrap_or(Counts::None)));
                }
            }
        }
        self.evidence.as_ref().map_or_else(Judgement::default, |evidence| judge(evidence, seconds(now)))
    }

    /// What to ask Prometheus, where an attempt runs.
    pub fn question(&self, world: &World) -> Option<Question> {
        let evidence = self.evidence.as_ref()?;
        let route = world.route()?;
        let register = &route.register;
        let canary = register.canary.as_ref()?;
        let position = position(world, register)?;
        let recorded = world.arm(canary).record.as_ref().map(|record| record.raw.port).filter(|port| *port > 0);
        let subject = Subject {
            namespace: world.object.namespace.clone(),
            name: world.object.name.clone(),
            port: recorded.or_else(|| world.spec().map(|spec| spec.port))?,
            stable: register.stable.to_string(),
            canary: Some(canary.to_string()),
            gates: evidence.strategy.gates.clone(),
            attempt_started: started(world)?,
            step_since: register.step.and(register.since).map(seconds),
            weight_ppm: route.weight().unwrap_or_default().ppm(),
            canary_pods: pods(world, canary),
            stable_pods: pods(world, &register.stable),
            interval: evidence.ready.then_some(evidence.interval),
        };
        let place = Place { attempt: position.attempt, since: position.since, plan: self.plans };
        Some(Question { subject, watch: evidence.watch.clone(), place, interval: evidence.interval })
    }
}

/// Did what preflight refused give way to another plan? Once it has passed the evidence has its plan for good.
fn is_of_another_plan(evidence: &Evidence, world: &World) -> bool {
    !evidence.ready && world.plan().is_some_and(|plan| plan != *evidence.strategy)
}

/// When the attempt began, by the copy in status: the one that a restart finds too.
fn started(world: &World) -> Option<f64> {
    Some(seconds(world.status.canary.as_ref()?.started_at.as_ref()?.0))
}

fn position(world: &World, register: &Register) -> Option<Position> {
    register.canary.as_ref()?;
    let started = started(world)?;
    let plan = world.plan()?;
    let wanted = register.step.and_then(|step| plan.steps.get(step)).map_or_else(Default::default, |step| step.weight);
    let by_hand = world.route().and_then(microapp_core::world::Route::weight).is_some_and(|weight| weight < wanted);
    Some(Position {
        attempt: register.attempt,
        step: register.step,
        since: register.since.map_or(started, seconds),
        paused: register.tokens.paused() || by_hand,
    })
}

/// From the checkpoint in status; from the beginning where there is none that reads.
fn restore(world: &World, register: &Register, since: f64) -> Option<Evidence> {
    let plan = Arc::new(world.plan()?);
    let saved = world.status.canary.as_ref().and_then(|canary| canary.evidence.as_deref());
    let loaded = saved
        .and_then(|text| Evidence::load(text, plan.clone()))
        .filter(|evidence| evidence.attempt == register.attempt);
    Some(loaded.unwrap_or_else(|| Evidence::begin(register.attempt, plan, since)))
}

fn pods(world: &World, revision: &Revision) -> Vec<PodRef> {
    let read = |pod: &Pod| Some(PodRef { name: pod.name.clone(), started: seconds(pod.started?) });
    world.arm(revision).pods.iter().filter(|pod| pod.ready).filter_map(read).collect()
}
