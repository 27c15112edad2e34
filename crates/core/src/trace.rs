//! The trace of an attempt: what each pass looked at and what it decided, so that anybody can run the same decisions
//! again and compare them byte for byte.
//!
//! Recorded are facts about objects, counts, verdicts and times. Templates, prompts, environment variables and answers
//! are no inputs of a decision, and are not in it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    after::after,
    counts::{Counts, Watch},
    decide::decide,
    evidence::{Evidence, Judgement, Track, seconds},
    plan::{Plan, StatusWrite, Write},
    replay::{Action, Malformed, Outcome, answer, counts},
    world::{Desired, World},
};

/// One pass.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pass {
    /// When.
    pub now: Timestamp,
    /// What was remembered before it, where the line before does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<From>,
    /// The world, where it is another one than before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub world: Option<Box<World>>,
    /// What telemetry brought.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<Counts>,
}

/// Where a piece of a trace begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum From {
    /// An operator that has just begun: what it knows stands in the world's status.
    Nothing,
    /// Evidence as a checkpoint has it.
    Evidence(String),
}

/// One line of a trace: the pass, and the plan that came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// What it looked at.
    pub pass: Pass,
    /// What it decided.
    pub plan: Plan,
}

impl Line {
    /// The line as people and other programs read it: seconds since `begun`, and the counts of its newest window in the
    /// form of a replay's line, beside the exact pass.
    pub fn export(&self, begun: Timestamp) -> String {
        let t = seconds(self.pass.now) - seconds(begun);
        let newest = match &self.pass.counts {
            Some(Counts::Windows(windows, _)) => windows.last(),
            Some(Counts::None | Counts::Baseline { .. } | Counts::Silent(_)) | None => None,
        };
        let gates: BTreeMap<&str, Value> = newest
            .iter()
            .flat_map(|window| &window.gates)
            .filter_map(|(gate, sides)| {
                let sides = sides.as_ref().ok()?;
                Some((gate.as_str(), json!({"canary": sides.canary.map(counts), "stable": sides.stable.map(counts)})))
            })
            .collect();
        let gap = newest.is_some_and(|window| window.gap);
        text(&json!({"t": t, "gates": gates, "gap": gap, "pass": self.pass, "plan": self.plan}))
    }
}

/// Writes lines as passes come; each only what is new.
#[derive(Debug, Default)]
pub struct Recorder {
    world: Option<World>,
    plan: Option<Plan>,
    begun: bool,
}

impl Recorder {
    /// One pass; `None` where it is as the one before in all that matters. `fresh`: the operator's memory began with it.
    /// `restored`: its evidence was read out of status.
    pub fn pass(
        &mut self,
        now: Timestamp,
        fresh: bool,
        restored: bool,
        world: &World,
        counts: Option<&Counts>,
        plan: &Plan,
    ) -> Option<Line> {
        let world = noted(world, restored || fresh);
        let plan = told(plan);
        let from = (fresh || !self.begun).then_some(From::Nothing);
        let same = self.world.as_ref() == Some(&world);
        let quiet = same && counts.is_none() && from.is_none() && plan.write.is_none();
        if quiet && self.plan.as_ref().is_some_and(|known| said(known) == said(&plan)) {
            return None;
        }
        self.begun = true;
        self.plan = Some(plan.clone());
        let world = if same && from.is_none() {
            None
        } else {
            self.world = Some(world.clone());
            Some(Box::new(world))
        };
        Some(Line { pass: Pass { now, from, world, counts: counts.map(counted) }, plan })
    }

    /// Begins a new piece that can be read by itself: with the evidence as it is after the last pass. `None` where it
    /// cannot be written down without a loss.
    pub fn cut(&mut self, evidence: &Evidence) -> Option<From> {
        let text = evidence.save()?;
        let back = Evidence::load(&text, evidence.strategy.clone())?;
        let plain = |evidence: &Evidence| Evidence { watch: Watch::default(), ..evidence.clone() };
        let whole = plain(&back) == plain(evidence) && counted_watch(&back.watch) == counted_watch(&evidence.watch);
        whole.then(|| {
            self.world = None;
            From::Evidence(text)
        })
    }
}

/// A plan without the time of the next look: that one moves with every pass.
fn said(plan: &Plan) -> Plan {
    Plan { wake: None, ..plan.clone() }
}

/// The world as far as decisions go: of the evidence in status its time, unless it was read.
fn noted(world: &World, whole: bool) -> World {
    let mut world = world.clone();
    if let Some(canary) = &mut world.status.canary
        && let (Some(text), false) = (&mut canary.evidence, whole)
    {
        shorten(text);
    }
    // What was wanted before the attempt began is no part of it.
    if let Desired::Usable(spec) = &mut world.desired {
        spec.raw = std::sync::Arc::default();
    }
    for arm in world.arms.values_mut() {
        if let Some(record) = &mut arm.record {
            record.raw = std::sync::Arc::default();
        }
    }
    world
}

fn shorten(evidence: &mut String) {
    if let Some(end) = evidence.rfind('.') {
        evidence.truncate(end + 1);
    }
}

/// The plan with the evidence in its status cut as in the world.
fn told(plan: &Plan) -> Plan {
    let mut plan = plan.clone();
    if let Some(Write::Status(write)) = &mut plan.write {
        let StatusWrite { status, checkpoint: _ } = &mut **write;
        if let Some(text) = status.canary.as_mut().and_then(|canary| canary.evidence.as_mut()) {
            shorten(text);
        }
    }
    plan
}

/// Watermarks, pins and doubts are telemetry's; no decision looks at them.
fn counted(counts: &Counts) -> Counts {
    match counts {
        Counts::Windows(windows, watch) => Counts::Windows(windows.clone(), counted_watch(watch)),
        Counts::Baseline { gates, interval, pins: _ } => {
            Counts::Baseline { gates: gates.clone(), interval: *interval, pins: BTreeMap::new() }
        }
        other @ (Counts::None | Counts::Silent(_)) => other.clone(),
    }
}

fn counted_watch(watch: &Watch) -> Watch {
    Watch {
        watermarks: BTreeMap::new(),
        pins: BTreeMap::new(),
        per: BTreeMap::new(),
        doubts: BTreeMap::new(),
        ..watch.clone()
    }
}

/// A decision that came out differently.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the decision differs: recorded {recorded}, now {now}")]
pub struct Difference {
    /// As it was recorded.
    pub recorded: String,
    /// As it is now.
    pub now: String,
}

/// What became of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// The answer, in the form of a replay's.
    pub answer: String,
    /// Where the decision is another one than the recorded.
    pub difference: Option<Difference>,
}

/// Runs recorded passes again.
#[derive(Debug, Default)]
pub struct Rerun {
    world: Option<World>,
    track: Track,
    begun: Option<Timestamp>,
}

impl Rerun {
    /// One line.
    ///
    /// # Errors
    /// One sentence for a line that is none, or that needs one which is missing before it.
    pub fn line(&mut self, line: &str) -> Result<Replayed, Malformed> {
        let Line { pass, plan: recorded } = serde_json::from_str(line)
            .map_err(|error| Malformed::new(format!("the line is no recorded pass: {error}")))?;
        let Pass { now, from, world, counts } = pass;
        if let Some(world) = world {
            self.world = Some(*world);
        }
        let world = self.world.as_ref().ok_or_else(|| Malformed::new("the trace begins without a world"))?;
        match from {
            Some(From::Nothing) => self.track = Track::default(),
            Some(From::Evidence(text)) => self.track = Track::resume(&text, world),
            None => {}
        }
        self.track.enter(world);
        let seen = self.track.see(world, counts.as_ref(), now);
        let plan = told(&decide(world, now, &seen));
        let begun = *self.begun.get_or_insert(now);
        let answer = self.answer(world, &plan, &seen, now, seconds(now) - seconds(begun));
        let (recorded, now) = (text(&recorded), text(&plan));
        let difference = (recorded != now).then_some(Difference { recorded, now });
        Ok(Replayed { answer, difference })
    }

    fn answer(&self, world: &World, plan: &Plan, seen: &Judgement, now: Timestamp, t: f64) -> String {
        let t = format!("{t:.3}");
        let action = plan.write.as_ref().and_then(Action::of).unwrap_or(Action::Hold).or_pause(plan, seen);
        let next = plan.write.as_ref().map_or_else(|| world.clone(), |write| after(world, write, now));
        let strategy = self.track.evidence.as_ref().map(|evidence| evidence.strategy.clone());
        let last = strategy.as_ref().map_or(0, |strategy| strategy.last());
        let outcome = Outcome::at(action, &next, last, &plan.why.reason);
        answer(&t, &outcome, strategy.as_deref(), seen)
    }
}

fn text<T: Serialize>(value: &T) -> String {
    // Strings, numbers and maps with string keys: there is nothing in it that could fail.
    serde_json::to_string(value).unwrap_or_default()
}
