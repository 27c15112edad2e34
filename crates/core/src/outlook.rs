//! The outlook of an attempt, before any user reaches the canary: with which tolerance, from which step on, how long
//! each step will take at the traffic that stable had, and what makes a gate fail. It knows what stable did before and
//! nothing of the canary. Preflight settles on it, status pins it, `why` and `plan` say it.

mod choose;
mod pinned;
mod words;

use std::collections::BTreeMap;

use jiff::SignedDuration;
use microapp_api::values::Weight;
use microapp_stats::{Form, PlannedGate, RateConfig, RateGate, Tally, mean_step_seconds, slower};
use serde::{Deserialize, Serialize};

pub(crate) use choose::but;
pub use choose::choose;
pub(crate) use pinned::pin;

use crate::{
    counts::{Before, Side},
    explain::Unit,
    strategy::{Gate, GateKind, Preset, Share, Strategy},
};

/// What preflight settled. It is pinned in status before the first raise, and then never chosen again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Settled {
    /// The tolerance in parts per million.
    pub epsilon_ppm: i64,
    /// Index of the step that the ramp begins with.
    #[serde(default)]
    pub first: usize,
    /// The scrape interval in seconds.
    pub interval: f64,
    /// What stable did before, per gate that is watched.
    #[serde(default)]
    pub before: BTreeMap<String, Before>,
}

/// One gate's part of the outlook.
#[derive(Clone, Debug, PartialEq)]
pub struct GateOutlook {
    /// Its name.
    pub name: String,
    /// What stable did before.
    pub before: Before,
    /// What it counts per second over all traffic; `None` where that is not known.
    pub rps: Option<f64>,
    /// Expected seconds of each gated step; empty where the traffic is not known, infinite where the step cannot pass.
    pub seconds: Vec<f64>,
    /// The seconds are the least that a step needs, not what is expected: how costs spread is not known before.
    pub least: bool,
    /// What makes it fail.
    pub fails: Fails,
    /// What its sums count.
    pub unit: Unit,
    /// The label that only failed requests have, where none has been seen: nobody knows whether it is set at all.
    pub unseen: Option<&'static str>,
}

/// What makes a gate fail.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fails {
    /// A larger share of bad ones, where stable's is as before; a smaller one never fires.
    Share(f64),
    /// A mean over a limit, from the twentieth window of a step on.
    Mean,
    /// What was measured, over a limit or outside of a set.
    Limit,
    /// What was measured, but it does not roll back: it keeps the ramp where it is.
    Holds,
    /// Nothing: stable is so bad already that no canary can be clearly worse.
    Never,
}

/// One step's part of the outlook.
#[derive(Clone, Debug, PartialEq)]
pub struct StepOutlook {
    /// The canary's share.
    pub weight: Weight,
    /// It lasts at least so long.
    pub dwell: SignedDuration,
    /// Expected seconds of the slowest gate, and its name; `None` for the bake, and where no traffic is known.
    pub slowest: Option<(f64, String)>,
    /// The ramp begins above it.
    pub skipped: bool,
}

/// How an attempt is expected to go.
#[derive(Clone, Debug, PartialEq)]
pub struct Outlook {
    /// The tolerance in parts per million.
    pub epsilon_ppm: i64,
    /// All steps, the bake too.
    pub steps: Vec<StepOutlook>,
    /// The gates that are watched.
    pub gates: Vec<GateOutlook>,
    /// How long a step may take.
    pub max_step: SignedDuration,
}

impl Outlook {
    /// From the plan and what stable did before.
    pub fn of(plan: &Strategy, settled: &Settled) -> Self {
        let Settled { epsilon_ppm, first, interval, before } = settled;
        let gates: Vec<_> = plan
            .gates
            .iter()
            .filter_map(|gate| Some((gate, before.get(&gate.name)?)))
            .map(|(gate, before)| GateOutlook {
                name: gate.name.clone(),
                before: before.clone(),
                rps: rps(before),
                seconds: seconds(plan, gate, before, *interval, *epsilon_ppm).unwrap_or_default(),
                least: matches!(gate.kind, GateKind::Mean { .. } | GateKind::Query { .. }),
                fails: fails(plan, gate, before, *epsilon_ppm),
                unit: Unit::of(gate),
                unseen: unseen(gate, before),
            })
            .collect();
        let slowest = |index: usize| {
            let known = gates.iter().filter_map(|gate| Some((*gate.seconds.get(index)?, gate.name.clone())));
            known.reduce(|slowest, next| if next.0 > slowest.0 { next } else { slowest })
        };
        let steps = plan.steps.iter().enumerate().map(|(index, step)| StepOutlook {
            weight: step.weight,
            dwell: SignedDuration::from_millis(step.dwell_millis),
            slowest: slowest(index),
            skipped: index < *first,
        });
        Self {
            epsilon_ppm: *epsilon_ppm,
            steps: steps.collect(),
            gates,
            max_step: SignedDuration::from_millis(plan.max_step_millis),
        }
    }
}

/// Requests of a rate gate, with the bad ones as both rules count them.
pub(crate) const fn tally(side: Side) -> Option<Tally> {
    match side {
        Side::Count { above, below, total } => Some(Tally { n: total, fail: above, pass: below }),
        Side::Late { bad, void, started, .. } => Some(Tally { n: started.saturating_sub(void), fail: bad, pass: bad }),
        Side::Mean { .. } | Side::Value { .. } => None,
    }
}

/// What stable counted per second; `None` without requests, or where the time is not known.
fn rps(before: &Before) -> Option<f64> {
    let requests = match before.side {
        Side::Mean { n, .. } => n,
        side @ (Side::Count { .. } | Side::Late { .. }) => tally(side)?.n,
        Side::Value { .. } => return None,
    };
    before.rps.or_else(|| (requests > 0 && before.seconds > 0.0).then(|| requests as f64 / before.seconds))
}

/// Seconds until a request of stable is judged: as measured, otherwise from those that were not judged when it was
/// counted.
fn delay(before: &Before) -> f64 {
    let open = match before.side {
        Side::Late { bad, good, void, started } => started.saturating_sub(void).saturating_sub(bad + good),
        Side::Count { .. } | Side::Mean { .. } | Side::Value { .. } => 0,
    };
    before.delay.unwrap_or_else(|| rps(before).map_or(0.0, |rps| open as f64 / rps))
}

/// α of one gate: that of the attempt, shared by all with statistics that block.
pub(crate) fn alpha_g(plan: &Strategy) -> f64 {
    fraction(plan.alpha_ppm) / plan.shared() as f64
}

pub(crate) fn fraction(ppm: i64) -> f64 {
    ppm as f64 / 1e6
}

/// The numbers of a rate gate; `None` for any other.
pub(crate) fn rate_config(plan: &Strategy, gate: &Gate, before: &Before, epsilon_ppm: i64) -> Option<RateConfig> {
    let (slo_ppm, form) = match &gate.kind {
        GateKind::Share { max_ppm, .. } => (*max_ppm, Form::Switch),
        GateKind::Slow { slow_ppm, .. } => (Some(*slow_ppm), Form::Switch),
        GateKind::Judged { max_ppm, .. } => (Some(*max_ppm), Form::Plain),
        GateKind::Mean { .. }
        | GateKind::Budget { .. }
        | GateKind::Model { .. }
        | GateKind::Traffic
        | GateKind::Saturation { .. }
        | GateKind::Query { .. } => return None,
    };
    Some(RateConfig {
        slo: slo_ppm.map(fraction),
        alpha_g: alpha_g(plan),
        beta: fraction(plan.beta_ppm),
        epsilon: fraction(epsilon_ppm),
        phi: before.phi.max(1.0),
        tau: before.seconds.max(3600.0),
        form,
    })
}

/// Expected seconds of each gated step for one gate; `None` where its traffic is not known.
fn seconds(plan: &Strategy, gate: &Gate, before: &Before, interval: f64, epsilon_ppm: i64) -> Option<Vec<f64>> {
    if gate.advisory {
        return None;
    }
    if let GateKind::Query { of, .. } = gate.kind {
        return Some(vec![f64::from(of) * interval; plan.last()]);
    }
    if !gate.kind.is_statistical() {
        return None;
    }
    let rps = rps(before)?;
    let weights = plan.weights();
    match rate_config(plan, gate, before, epsilon_ppm) {
        None => Some(mean_step_seconds(rps, interval, &weights)),
        Some(config) => {
            let planned = PlannedGate { config, baseline: tally(before.side)?, rps, delay: delay(before) };
            Some(microapp_stats::step_seconds(&planned, &weights))
        }
    }
}

/// The slowest gate's seconds of each gated step; `None` where no gate's traffic is known.
fn slowest(plan: &Strategy, before: &BTreeMap<String, Before>, interval: f64, epsilon_ppm: i64) -> Option<Vec<f64>> {
    plan.gates
        .iter()
        .filter_map(|gate| seconds(plan, gate, before.get(&gate.name)?, interval, epsilon_ppm))
        .reduce(|slowest, next| slower(&slowest, &next))
}

/// Most sources say of every request how it ended, and preflight refuses one that does not. The GenAI conventions
/// (OpenTelemetry semantic conventions, `gen_ai.client.operation.duration`) set `error.type` where a request failed, and
/// nothing where it did not.
fn unseen(gate: &Gate, before: &Before) -> Option<&'static str> {
    let is_silent =
        gate.source == Preset::OtelGenai && matches!(gate.kind, GateKind::Share { what: Share::Errors, .. });
    (is_silent && matches!(before.side, Side::Count { above: 0, total: 1.., .. })).then_some("error_type")
}

fn fails(plan: &Strategy, gate: &Gate, before: &Before, epsilon_ppm: i64) -> Fails {
    match gate.kind {
        GateKind::Budget { .. } | GateKind::Query { .. } => return Fails::Limit,
        GateKind::Model { .. } | GateKind::Traffic | GateKind::Saturation { .. } => return Fails::Holds,
        GateKind::Share { .. } | GateKind::Slow { .. } | GateKind::Mean { .. } | GateKind::Judged { .. } => {}
    }
    let Some(config) = rate_config(plan, gate, before, epsilon_ppm) else { return Fails::Mean };
    let Some(baseline) = tally(before.side) else { return Fails::Never };
    RateGate::new(config, baseline).least_failing().map_or(Fails::Never, Fails::Share)
}
