//! Replay: the operator's own `fold`, `decide` and `after`, fed from outside one line at a time. Nothing else is read:
//! no cluster, no clock, no randomness. The same lines give the same bytes.

mod answer;
mod line;
mod stage;

use std::sync::Arc;

use jiff::Timestamp;
use microapp_api::v1alpha1::MicroAppRolloutSpec;
use serde::Deserialize;
use serde_json::Value;

pub use answer::{Action, Outcome};
pub(crate) use answer::{answer, counts};
pub use line::{Command, Malformed, Start, Tick};

use self::{answer::Answer, line::Line};
use crate::{
    counts::{Counts, Watch, Window},
    decide::decide,
    evidence::{Evidence, Judgement, Position, fold, judge},
    plan::{Plan, StatusWrite, Transition, Write},
    strategy::Strategy,
    world::World,
};

/// More passes than any line needs; a rollout that writes for ever is a bug, and this ends it.
const PASSES: usize = 32;

/// What stable did before, out of the optional first line of a trace: what preflight is told.
///
/// # Errors
/// One sentence for a line that is not one, or that speaks of other gates.
pub fn baseline(line: &str, strategy: &Strategy) -> Result<Counts, Malformed> {
    let start = Start::parse(line, strategy)?.ok_or_else(|| Malformed::new("there is no baseline in it"))?;
    Ok(start.counts(strategy))
}

/// One rollout, driven by lines.
#[derive(Debug)]
pub struct Replay {
    strategy: Arc<Strategy>,
    spec: Value,
    world: World,
    evidence: Evidence,
    start: Option<Start>,
    /// Time of the last tick; none before the first.
    last: Option<f64>,
    ended: Option<Outcome>,
    commands: u64,
}

impl Replay {
    /// A rollout out of its manifest: the attempt exists at weight 0, with all its pods.
    pub fn new(rollout: &Value) -> Result<Self, Malformed> {
        let raw = rollout.get("spec").ok_or_else(|| Malformed::new("the rollout has no spec"))?;
        let spec = MicroAppRolloutSpec::deserialize(raw)
            .map_err(|error| Malformed(format!("the rollout's spec does not read: {error}")))?;
        let strategy = Strategy::resolve(&spec, "").map_err(|error| Malformed(error.0))?;
        let world = stage::set(rollout, &spec, &strategy, stage::FIRST)?;
        let strategy = Arc::new(strategy);
        let evidence = Evidence::begin(stage::FIRST, strategy.clone(), 0.0);
        Ok(Self { strategy, spec: rollout.clone(), world, evidence, start: None, last: None, ended: None, commands: 0 })
    }

    /// One line in, one answer out; none for the baseline. After an error nothing has changed.
    pub fn line(&mut self, text: &str) -> Result<Option<String>, Malformed> {
        if self.start.is_none() {
            if let Some(start) = Start::parse(text, &self.strategy)? {
                self.begin(start);
                return Ok(None);
            }
            self.begin(Start::default());
        }
        let Line { tick, t_text } = Line::parse(text, &self.strategy)?;
        self.in_order(&tick, &t_text)?;
        let (outcome, seen) = self.tick(&tick);
        Ok(Some(match seen {
            Some(seen) => Answer::new(&t_text, &outcome, &self.strategy, &seen).to_json(),
            None => outcome.repeat(&t_text),
        }))
    }

    /// The same for a driver in this process: no text in between, so that millions of windows are cheap. `t` must rise.
    pub fn drive(&mut self, tick: &Tick) -> Result<Outcome, Malformed> {
        if self.start.is_none() {
            self.begin(Start::default());
        }
        self.in_order(tick, &tick.t.to_string())?;
        Ok(self.tick(tick).0)
    }

    /// The plan in force.
    pub fn strategy(&self) -> &Strategy {
        &self.strategy
    }

    /// The plan as preflight settled it: with the tolerance and the first step that it chose.
    pub fn settled(&self) -> &Strategy {
        &self.evidence.strategy
    }

    /// What stable did before: preflight's answer. Before the first tick; later it changes nothing.
    pub fn begin(&mut self, start: Start) {
        if self.last.is_none() {
            self.prepare(start);
        }
    }

    fn prepare(&mut self, start: Start) {
        let baseline = start.counts(&self.strategy);
        self.evidence = fold(&self.evidence, &Position::of(&self.world), &baseline);
        self.start = Some(start);
    }

    fn in_order(&self, tick: &Tick, text: &str) -> Result<(), Malformed> {
        match self.last {
            Some(last) if tick.t <= last => Err(Malformed(format!("t must rise: {text} after {last}"))),
            None if tick.t < 0.0 => Err(Malformed::new("t must not be negative")),
            Some(_) | None => Ok(()),
        }
    }

    /// What the tick comes to, and what was seen; nothing is looked at once the attempt is over.
    fn tick(&mut self, tick: &Tick) -> (Outcome, Option<Judgement>) {
        let now = instant(tick.t);
        let length = tick.t - self.last.unwrap_or(0.0).min(tick.t);
        self.last = Some(tick.t);
        if let Some(ended) = &self.ended {
            if tick.command != Some(Command::Retry) {
                return (ended.clone(), None);
            }
            self.retry();
        } else {
            self.count(tick, length);
            self.command(tick.command);
        }
        stage::pods(&mut self.world, tick);
        let seen = judge(&self.evidence, tick.t);
        let (action, plan) = self.run(tick, now, &seen);
        let outcome = Outcome::new(action, &self.world, &self.strategy, &plan);
        self.ended = outcome.is_over().then(|| outcome.clone());
        (outcome, Some(seen))
    }

    /// The tick's counts belong to the weight of the answer before.
    fn count(&mut self, tick: &Tick, length: f64) {
        // At weight 0 a line without gates is a driver's first word, not missing data.
        if tick.gates.is_empty() && self.evidence.step.is_none() {
            return;
        }
        let window = Window { end: tick.t, length, gates: tick.gates.clone(), gap: tick.gap, inside_step: true };
        let watch = Watch { canary_seen: true, newest: None, ..Watch::default() };
        self.evidence = fold(&self.evidence, &Position::of(&self.world), &Counts::Windows(vec![window], watch));
    }

    fn command(&mut self, command: Option<Command>) {
        let Some(command) = command else { return };
        self.commands += 1;
        stage::command(&mut self.world, command, self.commands);
    }

    /// A new attempt at weight 0, with fresh evidence.
    fn retry(&mut self) {
        let attempt = self.evidence.attempt + 1;
        self.ended = None;
        if let Ok(spec) = MicroAppRolloutSpec::deserialize(&self.spec["spec"])
            && let Ok(world) = stage::set(&self.spec, &spec, &self.strategy, attempt)
        {
            self.world = world;
        }
        self.evidence = Evidence::begin(attempt, self.strategy.clone(), 0.0);
        if let Some(start) = self.start.take() {
            self.prepare(start);
        }
    }

    /// Decide → after until there is no write.
    fn run(&mut self, tick: &Tick, now: Timestamp, seen: &Judgement) -> (Action, Plan) {
        self.evidence.watch.canary_seen = true;
        let mut judgement = Judgement { canary_seen: true, ..seen.clone() };
        let mut action = Action::Hold;
        let mut acted: Option<Plan> = None;
        for _ in 0..PASSES {
            let plan = decide(&self.world, now, &judgement);
            let Some(write) = plan.write.clone() else {
                let plan = acted.unwrap_or(plan);
                return (action.or_pause(&plan, seen), plan);
            };
            if let Some(done) = Action::of(&write) {
                if done == Action::Raise && action == Action::Raise {
                    break;
                }
                action = done;
                acted = Some(plan);
            }
            let write = self.with_evidence(write);
            self.world = crate::after::after(&self.world, &write, now);
            stage::settle(&mut self.world, tick);
            if matches!(action, Action::Rollback | Action::Promote) {
                break;
            }
            self.evidence = fold(&self.evidence, &Position::of(&self.world), &Counts::None);
            judgement = judge(&self.evidence, tick.t);
        }
        let plan = acted.unwrap_or_else(|| decide(&self.world, now, &judgement));
        (action, plan)
    }

    /// What `apply` does with a checkpoint.
    fn with_evidence(&self, write: Write) -> Write {
        match write {
            Write::Status(mut status) if status.checkpoint => {
                let StatusWrite { status: next, checkpoint: _ } = &mut *status;
                if let Some(canary) = &mut next.canary {
                    canary.evidence = self.evidence.save();
                }
                Write::Status(status)
            }
            other => other,
        }
    }
}

impl Action {
    /// What a write means to a driver.
    pub(crate) fn of(write: &Write) -> Option<Self> {
        match write {
            Write::Lower(_) => Some(Self::Rollback),
            Write::Route(write) => match write.transition {
                Transition::Raise => Some(Self::Raise),
                Transition::StepBack => Some(Self::Lower),
                Transition::Promote => Some(Self::Promote),
                Transition::Replace
                | Transition::Begin
                | Transition::Retire
                | Transition::Reject
                | Transition::Repair
                | Transition::Settings
                | Transition::Command => None,
            },
            Write::Create(_) | Write::Change(_) | Write::Delete(_) | Write::Adopt(_) | Write::Status(_) => None,
        }
    }
}

/// Seconds of a trace as an instant; nanoseconds, so that 0.1 + 0.2 is 0.3.
fn instant(t: f64) -> Timestamp {
    Timestamp::from_nanosecond((t * 1e9).round() as i128).unwrap_or(Timestamp::MAX)
}
