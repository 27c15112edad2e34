//! Closed loops on generated traffic: what the operator's own `fold`, `decide` and `after` do with a canary of which
//! everything is known. Pure: a seed gives the same runs on every machine.
//!
//! Requests arrive as a Poisson process and are split by the weight in force; each is bad with the share that the
//! setup gives to its arm and gate, independently. What a request costs is gamma distributed with the mean that is
//! given and the spread of a log-normal of σ = 1 (variation 1.31), so that a window's sum is one draw. Verdicts come
//! for a share of the answers, all of a window's at once, after a delay.

mod share;
mod summary;
pub mod traffic;

use std::collections::{BTreeMap, VecDeque};

pub use share::interval;
pub use summary::{Group, Quantiles, Summary};

use microapp_api::values::Nano;

use self::traffic::Rng;
use crate::{
    counts::{Side, Sides},
    replay::{Action, Malformed, Replay, Start, Tick},
    strategy::{Gate, GateKind, Mean, Strategy},
};

/// How long stable is watched before the attempt, in seconds.
const BASELINE: f64 = 3600.0;
/// Shape of one request's cost: variance / mean² = 1 / shape = e − 1.
const COST_SHAPE: f64 = 1.0 / (std::f64::consts::E - 1.0);
/// The share of requests that are bad where no limit says how many may be: clients with expired tokens, crawlers.
const REFUSED: f64 = 0.01;
/// What a request costs where nobody says it and no gate limits it: 0.001 USD, in pico-USD.
const COST: f64 = 1e9;
/// Tokens of a request, where no limit says what is usual.
const TOKENS: f64 = 1_000.0;

/// The traffic of a simulation. Shares are in [0, 1], costs mean pico-USD per request, in the order of the plan's gates.
#[derive(Clone, Debug, PartialEq)]
pub struct Setup {
    /// Requests per second on both revisions together.
    pub rps: f64,
    /// The scrape interval in seconds: the length of a window.
    pub scrape: f64,
    /// What stable's requests are like, before and during the attempt.
    pub stable: Vec<f64>,
    /// What the canary's are like.
    pub canary: Vec<f64>,
    /// The share of the answers that is judged, on both sides.
    pub judged: f64,
    /// From a window's end to its verdicts, in seconds.
    pub verdict_after: f64,
    /// An attempt that is not decided by then is undecided, in seconds.
    pub limit: f64,
}

impl Setup {
    /// Two healthy revisions: half of each gate's limit is bad, and 1 % where there is none. The limit of time is what the plan allows: each step at
    /// its longest, the bake, and half an hour for a step back.
    pub fn healthy(plan: &Strategy, rps: f64, scrape: f64) -> Self {
        let healthy: Vec<_> = plan.gates.iter().map(|gate| healthy(&gate.kind)).collect();
        let steps = plan.steps.iter().take(plan.last()).map(|step| step.dwell_millis.max(plan.max_step_millis));
        let bake = plan.steps.last().map_or(0, |step| step.dwell_millis);
        let limit = (steps.sum::<i64>() + bake) as f64 / 1000.0 + 1800.0;
        Self { rps, scrape, stable: healthy.clone(), canary: healthy, judged: 1.0, verdict_after: 0.0, limit }
    }

    /// Are all numbers of the kind that they should be?
    fn check(&self, plan: &Strategy) -> Result<(), Malformed> {
        let positive = |name: &str, value: f64| match value {
            value if value.is_finite() && value > 0.0 => Ok(()),
            value => Err(Malformed(format!("{name} must be above 0, not {value}"))),
        };
        positive("the requests per second", self.rps)?;
        positive("the scrape interval", self.scrape)?;
        positive("the limit of time", self.limit)?;
        for (gate, value) in plan.gates.iter().zip(&self.stable).chain(plan.gates.iter().zip(&self.canary)) {
            let share = matches!(
                gate.kind,
                GateKind::Share { .. } | GateKind::Slow { .. } | GateKind::Judged { .. } | GateKind::Model { .. }
            );
            if !value.is_finite() || *value < 0.0 || (share && *value > 1.0) {
                return Err(Malformed(format!("gate {}: {value} is no share of requests", gate.name)));
            }
        }
        if !(0.0..=1.0).contains(&self.judged) || self.judged == 0.0 {
            return Err(Malformed(format!("the judged share must be above 0 and at most 1, not {}", self.judged)));
        }
        Ok(())
    }
}

/// Half of what the gate allows.
fn healthy(kind: &GateKind) -> f64 {
    match kind {
        GateKind::Share { max_ppm, .. } => max_ppm.map_or(REFUSED, |max_ppm| max_ppm as f64 / 2e6),
        GateKind::Judged { max_ppm, .. } => *max_ppm as f64 / 2e6,
        GateKind::Slow { slow_ppm, .. } => *slow_ppm as f64 / 2e6,
        GateKind::Mean { what: Mean::Cost, max, .. } => max.map_or(COST, |limit| limit as f64 / 2.0),
        GateKind::Mean { what: Mean::Tokens, max, .. } => max.map_or(TOKENS, |limit| limit as f64 / 2.0),
        GateKind::Query { min, max, .. } => {
            let limits = || min.iter().chain(max).map(|limit| *limit as f64 / 1e9);
            limits().sum::<f64>() / limits().count().max(1) as f64
        }
        GateKind::Budget { .. } | GateKind::Model { .. } | GateKind::Traffic | GateKind::Saturation { .. } => 0.0,
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// The canary is stable now.
    Promoted,
    /// All traffic is back.
    RolledBack,
    /// Neither, when the time was over.
    Undecided,
    /// Preflight let no user reach the canary.
    Refused,
}

impl End {
    /// As it is printed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Promoted => "promoted",
            Self::RolledBack => "rolled back",
            Self::Undecided => "undecided",
            Self::Refused => "refused by preflight",
        }
    }
}

/// One attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// How it ended.
    pub end: End,
    /// The operator's word for it.
    pub reason: String,
    /// When, in seconds from the raise to the first step.
    pub seconds: f64,
    /// Requests that the canary had served by then.
    pub requests: u64,
    /// When it reached the last step, and its requests until then.
    pub full: Option<(f64, u64)>,
    /// Bad responses that the canary served, per gate; nothing for a cost.
    pub bad: Vec<u64>,
}

/// One attempt on the traffic of run `index` of a seed.
pub fn run(rollout: &serde_json::Value, setup: &Setup, seed: u64, index: u64) -> Result<Run, Malformed> {
    let mut replay = Replay::new(rollout)?;
    let plan = replay.strategy().clone();
    setup.check(&plan)?;
    let mut rng = Rng::split(seed, index);
    let mut arms = [Arm::new(&setup.canary), Arm::new(&setup.stable)];
    replay.begin(Start { scrape: setup.scrape, seconds: BASELINE, ..before(&mut rng, &plan, setup) });
    let mut outcome = replay.drive(&Tick::at(0.0))?;
    let mut run = Run {
        end: End::Undecided,
        reason: String::new(),
        seconds: 0.0,
        requests: 0,
        full: None,
        bad: vec![0; plan.gates.len()],
    };
    if outcome.action != Action::Raise {
        return Ok(Run { end: End::Refused, reason: outcome.reason, ..run });
    }
    for window in 1.. {
        run.seconds = f64::from(window) * setup.scrape;
        let weight = outcome.weight / 100.0;
        let served = [weight, 1.0 - weight].map(|share| rng.poisson(setup.rps * setup.scrape * share));
        run.requests += served[0];
        let sides: [Vec<_>; 2] = [0, 1].map(|arm| arms[arm].window(&mut rng, &plan, setup, served[arm], run.seconds));
        for (total, bad) in run.bad.iter_mut().zip(sides[0].iter().map(|(_, bad)| *bad)) {
            *total += bad;
        }
        let one = |(index, gate): (usize, &Gate)| {
            let (canary, stable) = (Some(sides[0][index].0), Some(sides[1][index].0));
            (gate.name.clone(), Ok(Sides { canary, stable, near: [None, None], idle: 0 }))
        };
        let gates: BTreeMap<_, _> = plan.gates.iter().enumerate().map(one).collect();
        outcome = replay.drive(&Tick { gates, ..Tick::at(run.seconds) })?;
        if run.full.is_none() && outcome.step == Some(plan.last()) {
            run.full = Some((run.seconds, run.requests));
        }
        run.end = match outcome.action {
            Action::Promote => End::Promoted,
            Action::Rollback => End::RolledBack,
            Action::Hold | Action::Raise | Action::Lower | Action::Pause => End::Undecided,
        };
        if run.end != End::Undecided || run.seconds >= setup.limit {
            break;
        }
    }
    run.reason = outcome.reason;
    Ok(run)
}

/// What stable did in the hour before.
fn before(rng: &mut Rng, plan: &Strategy, setup: &Setup) -> Start {
    let n = rng.poisson(setup.rps * BASELINE);
    let mut arm = Arm::new(&setup.stable);
    // Verdicts of that hour are there.
    let now = Setup { verdict_after: 0.0, ..setup.clone() };
    let sides = arm.window(rng, plan, &now, n, 0.0);
    let baseline = plan.gates.iter().zip(sides).map(|(gate, (side, _))| (gate.name.clone(), side)).collect();
    Start { baseline, ..Start::default() }
}

/// One revision: its values, and per gate the verdicts that have not come yet.
struct Arm<'a> {
    values: &'a [f64],
    open: Vec<VecDeque<Verdicts>>,
}

/// Failed and passed verdicts of one window, and when they come.
struct Verdicts {
    due: f64,
    bad: u64,
    good: u64,
}

impl<'a> Arm<'a> {
    fn new(values: &'a [f64]) -> Self {
        Self { values, open: values.iter().map(|_| VecDeque::new()).collect() }
    }

    /// The counts of `n` requests for each gate, and how many of the responses were bad.
    fn window(&mut self, rng: &mut Rng, plan: &Strategy, setup: &Setup, n: u64, end: f64) -> Vec<(Side, u64)> {
        let one = |((gate, value), open): ((&Gate, &f64), &mut VecDeque<Verdicts>)| match gate.kind {
            GateKind::Traffic => (Side::count(0, n), 0),
            GateKind::Query { .. } | GateKind::Saturation { .. } => {
                (Side::Value { nano: Nano::from_f64(*value).unwrap_or_default().0 }, 0)
            }
            GateKind::Budget { .. } => {
                let sum = (n as f64 * value).round();
                (Side::Mean { n, sum: sum as i128 }, 0)
            }
            GateKind::Share { .. } | GateKind::Slow { .. } | GateKind::Model { .. } => {
                let bad = rng.binomial(n, *value);
                (Side::count(bad, n), bad)
            }
            GateKind::Mean { .. } => {
                let sum = rng.gamma(n as f64 * COST_SHAPE) / COST_SHAPE * value;
                (Side::Mean { n, sum: sum.round() as i128 }, 0)
            }
            GateKind::Judged { .. } => {
                let started = rng.binomial(n, setup.judged);
                let bad = rng.binomial(started, *value);
                let unseen = rng.binomial(n - started, *value);
                open.push_back(Verdicts { due: end + setup.verdict_after, bad, good: started - bad });
                let mut come = (0, 0);
                while let Some(first) = open.front().filter(|first| first.due <= end) {
                    come = (come.0 + first.bad, come.1 + first.good);
                    open.pop_front();
                }
                (Side::Late { bad: come.0, good: come.1, void: 0, started }, bad + unseen)
            }
        };
        plan.gates.iter().zip(self.values).zip(&mut self.open).map(one).collect()
    }
}
