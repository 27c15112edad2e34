//! What a rollout's task keeps in memory: the evidence of the running attempt, restored from status where there is one,
//! and since when something has been wanted. All of it may be lost at any moment.

use jiff::{SignedDuration, Timestamp};
use microapp_api::conditions::Reason;
use microapp_core::{
    Judgement, Plan, Revision, Write,
    counts::{Counts, Watch},
    evidence::{Place, Track, started},
    lens::Prompts,
    probes::probes,
    workers::workers,
    world::{Desired, Obstacle, Pod, World},
};
use microapp_telemetry::{PodRef, Subject};
use serde_json::Value;
use tokio::time::Instant;

use crate::{apply::Outcome, clock::seconds, error::CallError, poll::Poller};

/// An admission policy may have refused it, and policies change.
const REFUSED: SignedDuration = SignedDuration::from_mins(10);

/// The memory of one rollout.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// The evidence of the attempt that the register names.
    pub track: Track,
    /// Nothing has been remembered yet, or all of it was dropped.
    known: bool,
    /// Name and version of the prompts' ConfigMap that was read last, and its content.
    pub prompts: Option<((String, String), Prompts)>,
    wanted: Option<(Wish, Timestamp)>,
    /// A revision of which the API server refused an object, why, and when.
    refused: Option<(Revision, String, Timestamp)>,
    /// What kept the last write from getting through.
    pub obstacle: Option<Obstacle>,
    /// What blocks a rollback: told once for each new word, so that telling never stands in front of lowering.
    blocked: Blocked,
    /// When prompts that could not be read are asked for again.
    pub unread: Option<Unread>,
    term: Option<i64>,
}

/// What blocks a rollback.
#[derive(Debug, Default)]
struct Blocked {
    /// To be told by the next pass.
    news: Option<Obstacle>,
    told: Option<Obstacle>,
}

/// Prompts that could not be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unread {
    pub again: Instant,
    pub times: u32,
}

/// What a pass knew beside its world.
#[derive(Debug)]
pub(crate) struct Known {
    /// What the evidence says.
    pub judgement: Judgement,
    /// What telemetry brought since the last pass.
    pub counts: Option<Counts>,
    /// Memory began with this pass.
    pub fresh: bool,
    /// The evidence was read out of status.
    pub restored: bool,
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

impl Memory {
    /// Somebody else may have led before this term: what we know is then older than what stands in status.
    pub fn enter(&mut self, term: Option<i64>) {
        if term.is_some() && term != self.term {
            self.track = Track::default();
            self.known = false;
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
        if !matches!(plan.write, Some(Write::Lower(_) | Write::Status(_))) || through {
            self.blocked = Blocked::default();
        }
    }

    /// What the next pass is to say stands in its way: a blocked rollback once, everything else as long as it does.
    pub fn told(&mut self, held: Option<&Obstacle>) -> Option<Obstacle> {
        self.blocked.news.take().or_else(|| held.cloned()).or_else(|| self.obstacle.clone())
    }

    /// Takes what blocks a rollback. Is there something new to tell, and an API server to tell it?
    pub fn tell(&mut self, obstacle: Obstacle, error: &CallError) -> bool {
        if !error.is_answer() || self.blocked.told.as_ref() == Some(&obstacle) {
            return false;
        }
        self.blocked = Blocked { news: Some(obstacle.clone()), told: Some(obstacle) };
        true
    }

    /// When prompts that could not be read are asked for again.
    pub fn read_again(&self) -> Option<Instant> {
        self.unread.map(|unread| unread.again)
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
    pub fn judge(&mut self, world: &World, now: Timestamp, poller: &mut Poller) -> Known {
        let fresh = !std::mem::replace(&mut self.known, true);
        let had = self.track.evidence.is_some();
        let place = self.track.enter(world);
        let restored = !had && self.track.evidence.is_some();
        let counts = place.and_then(|place| poller.take(place));
        let judgement = self.track.see(world, counts.as_ref(), now);
        Known { judgement, counts, fresh, restored }
    }

    /// What to ask Prometheus, where an attempt runs.
    pub fn question(&mut self, world: &World) -> Option<Question> {
        let place = self.track.enter(world)?;
        let evidence = self.track.evidence.as_ref()?;
        let route = world.route()?;
        let register = &route.register;
        let canary = register.canary.as_ref()?;
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
            back: None,
            probes: [canary, &register.stable]
                .into_iter()
                .flat_map(|revision| template(world, revision).map(probes).unwrap_or_default())
                .collect(),
            workers: template(world, &register.stable).and_then(workers),
        };
        Some(Question { subject, watch: evidence.watch.clone(), place, interval: evidence.interval })
    }
}

/// The pod template as the record of a revision has it; of one that is not recorded yet, as the spec has it.
fn template<'a>(world: &'a World, revision: &Revision) -> Option<&'a Value> {
    let recorded = world.arm(revision).record.as_ref().map(|record| &record.raw.template);
    recorded.or_else(|| world.spec().map(|spec| &spec.raw.template))
}

fn pods(world: &World, revision: &Revision) -> Vec<PodRef> {
    let read = |pod: &Pod| Some(PodRef { name: pod.name.clone(), started: seconds(pod.started?) });
    world.arm(revision).pods.iter().filter(|pod| pod.ready).filter_map(read).collect()
}
