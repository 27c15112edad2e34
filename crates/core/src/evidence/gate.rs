//! The state of one gate: which kind of process it feeds, and what it has seen.

use microapp_stats::{BakeGate, Form, MeanConfig, MeanGate, MeanWindow, RateGate, RateWindow, Tally};

use super::plain::Plain;
use crate::{
    counts::{Before, Side, Sides, Unfit, Unknown},
    outlook::{alpha_g, but, fraction, rate_config, tally},
    strategy::{Gate, GateKind, Strategy},
};

/// Counts of the attempt and of the step, for people and for the share of requests that completed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Seen {
    /// Canary, then stable, over the attempt.
    pub attempt: [Option<Side>; 2],
    /// The same over the step.
    pub step: [Option<Side>; 2],
}

/// What a gate feeds.
#[derive(Clone, Debug, PartialEq)]
pub enum Process {
    /// Preflight has not answered.
    Pending,
    /// A default of the preset without data for stable: it does not block.
    NotWatched(String),
    /// Counts of bad ones among requests, or late verdicts.
    Rate {
        /// The ramp's processes.
        gate: Box<RateGate>,
        /// The bake's, once it was entered.
        bake: Option<Box<BakeGate>>,
        /// Requests per second of stable before, for the bake.
        rate_before: f64,
        /// Late verdicts: what was started, voided and judged so far, and how much of it was used.
        late: Option<Late>,
    },
    /// Sums over requests.
    Mean(Box<MeanGate>),
    /// Nothing with statistics: a cap, a set, a guard or a value.
    Plain(Plain),
}

/// Levels of late verdicts. A void may arrive after its start was used, so used requests only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Late {
    /// Requests handed to the processes: canary, stable.
    pub used: [u64; 2],
}

/// One gate's evidence.
#[derive(Clone, Debug, PartialEq)]
pub struct GateEvidence {
    /// The gate's name in the plan.
    pub name: String,
    /// What it feeds.
    pub process: Process,
    /// What it has seen.
    pub seen: Seen,
    /// The end of the last window with data, seconds since the epoch.
    pub fresh: Option<f64>,
    /// Why the last window said nothing.
    pub unknown: Option<Unknown>,
    /// A window of this step was used: it may pass.
    pub counted: bool,
    /// It fails, and so many bad ones would not have been enough.
    pub spared: Option<u64>,
}

impl GateEvidence {
    /// Before preflight.
    pub fn pending(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            process: Process::Pending,
            seen: Seen::default(),
            fresh: None,
            unknown: None,
            counted: false,
            spared: None,
        }
    }

    /// Takes what stable did before. An error is the sentence for preflight's refusal.
    pub fn prepare(&mut self, strategy: &Strategy, gate: &Gate, before: &Before) -> Result<(), Unfit> {
        self.process = process(strategy, gate, before)?;
        Ok(())
    }

    /// The weight changed: evidence for passing starts again, evidence for failing goes on.
    pub fn enter(&mut self, bake: Bake, since: f64) {
        self.counted = false;
        self.seen.step = [None, None];
        match &mut self.process {
            Process::Pending | Process::NotWatched(_) => {}
            Process::Plain(plain) => plain.new_step(),
            Process::Mean(gate) => gate.new_step(),
            Process::Rate { gate, bake: state, .. } => {
                gate.new_step();
                match (bake, state.as_deref_mut()) {
                    (Bake::Enter, None) => *state = Some(Box::new(BakeGate::new(gate))),
                    (Bake::Enter, Some(state)) => state.resume(),
                    (Bake::StepBack, Some(state)) if state.over() => state.step_back(since),
                    (Bake::StepBack | Bake::No, _) => {}
                }
            }
        }
    }

    /// One window in which the canary warmed up: there is data, and it says nothing of how fast the version is.
    pub fn warms(&mut self, end: f64) {
        if !matches!(self.process, Process::Pending | Process::NotWatched(_)) {
            (self.unknown, self.fresh) = (None, Some(end));
        }
    }

    /// One window, or why there is none.
    pub fn window(&mut self, kind: &GateKind, frame: &Frame, sides: Result<&Sides, Unknown>) {
        let both = sides.and_then(|sides| match (sides.canary, sides.stable) {
            (Some(canary), _) if canary.is_inconsistent() => Err(Unknown::Inconsistent),
            (_, Some(stable)) if stable.is_inconsistent() => Err(Unknown::Inconsistent),
            (Some(canary), Some(stable)) => Ok((canary, stable, sides.near, sides.idle)),
            // In the bake stable has no traffic; a side that is gone is no more than that.
            (Some(canary), None) if frame.baking || !kind.compares() => {
                Ok((canary, zero_of(canary), [None, None], sides.idle))
            }
            _ => Err(Unknown::NoData),
        });
        let (canary, stable, near, idle) = match both {
            Ok(both) => both,
            Err(unknown) => {
                self.unknown = Some(unknown);
                return;
            }
        };
        if matches!(self.process, Process::Pending | Process::NotWatched(_)) {
            return;
        }
        self.unknown = None;
        self.fresh = Some(frame.end);
        self.seen.add(canary, stable, frame.gap);
        if self.step(kind, frame, canary, stable, near, idle).is_none() {
            self.unknown = Some(Unknown::Ambiguous);
            return;
        }
        self.counted |= !frame.gap;
    }

    /// Feeds the process; `None` when the sides are not of its kind.
    fn step(
        &mut self,
        kind: &GateKind,
        frame: &Frame,
        canary: Side,
        stable: Side,
        near: [Option<Side>; 2],
        idle: u64,
    ) -> Option<()> {
        let seen = self.seen;
        match &mut self.process {
            Process::Pending | Process::NotWatched(_) => {}
            Process::Plain(plain) => plain.window(kind, canary)?,
            Process::Mean(gate) => {
                let (Side::Mean { n: nc, sum: sc }, Side::Mean { n: ns, sum: ss }) = (canary, stable) else {
                    return None;
                };
                // An increase needs stable's traffic, a limit does not.
                if !frame.baking || gate.config().max_per_request.is_some() {
                    gate.window(&MeanWindow { t: frame.end, canary: (nc, sc), stable: (ns, ss), gap: frame.gap });
                }
            }
            Process::Rate { gate, bake, late, .. } => {
                let (canary, stable, pending) = match late {
                    None => (tally(canary)?, tally(stable)?, 0),
                    Some(late) => late.take(&seen, canary, stable)?,
                };
                let window = RateWindow {
                    t: frame.end,
                    dt: frame.length,
                    canary,
                    stable,
                    pending,
                    idle,
                    gap: frame.gap,
                    alone: bake.is_some() && !frame.baking && frame.is_alone(gate.step_totals(), canary, stable),
                    near: near.map(|side| side.and_then(tally)),
                };
                match bake {
                    Some(bake) if frame.baking => bake.window(&window),
                    Some(bake) if bake.stepped_back().is_some() => {
                        gate.window(&window);
                        bake.window(&window);
                    }
                    Some(_) | None => gate.window(&window),
                }
            }
        }
        Some(())
    }
}

/// What a change of weight means for the bake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bake {
    /// Nothing.
    No,
    /// The canary has 100 % from now on.
    Enter,
    /// It had, and does not any more.
    StepBack,
}

/// The window without its gates.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// Its end, seconds since the epoch.
    pub end: f64,
    /// Its length in seconds.
    pub length: f64,
    /// For the absolute processes alone.
    pub gap: bool,
    /// At 100 %.
    pub baking: bool,
    /// The canary's share of the traffic at this step, 0 to 1.
    pub weight: f64,
}

impl Frame {
    /// Has stable had less than a fifth of what the weight leaves it, since the step began? `step`: canary and stable
    /// before this window.
    fn is_alone(&self, step: (Tally, Tally), canary: Tally, stable: Tally) -> bool {
        let (canary, stable) = ((step.0.n + canary.n) as f64, (step.1.n + stable.n) as f64);
        stable * self.weight < canary * (1.0 - self.weight) / 5.0
    }
}

impl Late {
    /// Deltas for the processes out of the levels seen so far, and how many verdicts of the canary are open.
    fn take(&mut self, seen: &Seen, canary: Side, stable: Side) -> Option<(Tally, Tally, u64)> {
        let mut one = |index: usize, window: Side| {
            let (Some(Side::Late { bad, good, void, started }), Side::Late { bad: new, .. }) =
                (seen.attempt[index], window)
            else {
                return None;
            };
            let requests = started.saturating_sub(void);
            let fresh = requests.saturating_sub(self.used[index]);
            self.used[index] += fresh;
            Some((Tally { n: fresh, fail: new, pass: new }, requests.saturating_sub(bad + good)))
        };
        let (canary, open) = one(0, canary)?;
        let (stable, _) = one(1, stable)?;
        Some((canary, stable, open))
    }
}

impl Seen {
    /// A gap spans two weights or lost samples: it belongs to the attempt and to no step.
    fn add(&mut self, canary: Side, stable: Side, gap: bool) {
        let step = (!gap).then_some(&mut self.step);
        for totals in [Some(&mut self.attempt), step].into_iter().flatten() {
            for (total, side) in totals.iter_mut().zip([canary, stable]) {
                *total = Some(total.map_or(side, |total| sum(total, side)));
            }
        }
    }
}

const fn zero_of(side: Side) -> Side {
    match side {
        Side::Count { .. } => Side::count(0, 0),
        Side::Mean { .. } => Side::Mean { n: 0, sum: 0 },
        Side::Late { .. } => Side::Late { bad: 0, good: 0, void: 0, started: 0 },
        Side::Value { .. } => Side::Value { nano: 0 },
    }
}

/// The sum of two sides of one kind; of two kinds the newer one.
fn sum(a: Side, b: Side) -> Side {
    match (a, b) {
        (Side::Count { above, below, total }, Side::Count { above: a, below: b, total: t }) => {
            Side::Count { above: above + a, below: below + b, total: total + t }
        }
        (Side::Mean { n, sum }, Side::Mean { n: m, sum: s }) => Side::Mean { n: n + m, sum: sum + s },
        (Side::Late { bad, good, void, started }, Side::Late { bad: b, good: g, void: v, started: s }) => {
            Side::Late { bad: bad + b, good: good + g, void: void + v, started: started + s }
        }
        (Side::Count { .. } | Side::Mean { .. } | Side::Late { .. } | Side::Value { .. }, newer) => newer,
    }
}

/// The process of a gate, from the plan's numbers and what stable did before.
fn process(strategy: &Strategy, gate: &Gate, before: &Before) -> Result<Process, Unfit> {
    if !gate.kind.is_statistical() {
        return Ok(Process::Plain(Plain::default()));
    }
    let wrong = || Unfit {
        reason: Unknown::Ambiguous,
        message: format!("gate {} was given counts of another kind", gate.name),
        fatal: false,
    };
    let Some(config) = rate_config(strategy, gate, before, strategy.epsilon_ppm.unwrap_or_default()) else {
        return mean(strategy, gate, before).ok_or_else(wrong);
    };
    let baseline = tally(before.side).ok_or_else(wrong)?;
    let process = RateGate::new(config, baseline);
    if baseline.n > 0
        && let Some(index) =
            (strategy.first..strategy.last()).find(|index| process.refused(strategy.next_weight(*index).as_fraction()))
    {
        return Err(Unfit {
            reason: Unknown::Undecided,
            message: format!(
                "gate {}: stable's {} of {} requests before are too few, or too bad, to tell a good canary at {} from a bad one{}; wait for more traffic or allow a larger tolerance",
                gate.name,
                baseline.pass,
                baseline.n,
                strategy.steps[index].weight,
                but(Some(before))
            ),
            fatal: false,
        });
    }
    let rate_before = if before.seconds > 0.0 { baseline.n as f64 / before.seconds } else { 0.0 };
    let late = (config.form == Form::Plain).then(Late::default);
    Ok(Process::Rate { gate: Box::new(process), bake: None, rate_before, late })
}

/// The process of a gate of costs; `None` where it is not one, or was not given sums.
fn mean(strategy: &Strategy, gate: &Gate, before: &Before) -> Option<Process> {
    let GateKind::Mean { what: _, max, max_increase_ppm } = &gate.kind else { return None };
    let Side::Mean { .. } = before.side else { return None };
    Some(Process::Mean(Box::new(MeanGate::new(MeanConfig {
        max_increase: max_increase_ppm.map(fraction),
        max_per_request: max.map(|limit| limit as f64),
        alpha_g: alpha_g(strategy),
        beta: fraction(strategy.beta_ppm),
        // The bake watches a limit, too, and goes back to a step where it is watched once more.
        steps: strategy.last().saturating_sub(strategy.first).max(1) + usize::from(max.is_some()),
    }))))
}
