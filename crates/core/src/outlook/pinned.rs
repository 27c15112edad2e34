//! What preflight settled, as status keeps it beside the plan.

use microapp_api::{limits::CAVEAT, v1alpha1 as api};

use super::{Outlook, Settled};
use crate::{
    counts::{Before, Per, Side},
    strategy::{AUTO, Strategy, decimal},
};

/// Writes it into the plan of the attempt, once: a plan that has it keeps it.
pub(crate) fn pin(plan: &mut api::PinnedPlan, settled: &Settled) {
    if plan.interval_millis.is_some() {
        return;
    }
    let Settled { epsilon_ppm, first, interval, before } = settled;
    if plan.epsilon == AUTO {
        plan.epsilon = decimal(*epsilon_ppm);
        plan.first_step = i32::try_from(*first).unwrap_or(i32::MAX);
    }
    plan.interval_millis = Some((interval * 1000.0).round() as i64);
    for gate in &mut plan.gates {
        let Some(before) = before.get(&gate.gate.name) else { continue };
        gate.baseline = Some(baseline(before));
        if let Some(source) = before.source {
            (gate.gate.telemetry, gate.fallbacks) = (Some(source), Vec::new());
        }
    }
}

impl Outlook {
    /// Of a plan that preflight has settled; `None` before.
    pub fn of_pinned(plan: &api::PinnedPlan) -> Option<Self> {
        let settled = Settled {
            epsilon_ppm: Strategy::from_pinned(plan)?.epsilon_ppm?,
            first: usize::try_from(plan.first_step).ok()?,
            interval: plan.interval_millis? as f64 / 1000.0,
            before: plan.gates.iter().filter_map(|gate| Some((gate.gate.name.clone(), before(gate)?))).collect(),
        };
        Some(Self::of(&Strategy::from_pinned(plan)?, &settled))
    }
}

fn baseline(before: &Before) -> api::PinnedBaseline {
    // The source stands in the plan's gate.
    let Before { side, seconds, phi, rps, delay, source: _, per, ref caveat } = *before;
    let counts = match side {
        Side::Count { above, below, total } if above == below => vec![above, total],
        Side::Count { above, below, total } => vec![above, below, total],
        Side::Mean { n, .. } => vec![n],
        Side::Late { bad, good, void, started } => vec![bad, good, void, started],
        Side::Value { .. } => vec![],
    };
    api::PinnedBaseline {
        counts: counts.into_iter().map(|count| i64::try_from(count).unwrap_or(i64::MAX)).collect(),
        sum: match side {
            Side::Mean { sum, .. } => Some(sum.to_string()),
            Side::Value { nano } => Some(nano.to_string()),
            Side::Count { .. } | Side::Late { .. } => None,
        },
        per: (per != Per::Request).then_some(per),
        millis: (seconds * 1000.0).round() as i64,
        phi: (phi > 1.0).then(|| format!("{phi:.6}")),
        rps: rps.map(|rps| format!("{rps:.6}")),
        delay_millis: delay.map(|delay| (delay * 1000.0).round() as i64),
        caveat: caveat.as_ref().map(|caveat| caveat.chars().take(CAVEAT).collect()),
    }
}

fn before(gate: &api::PinnedGate) -> Option<Before> {
    let api::PinnedBaseline { counts, sum, per, millis, phi, rps, delay_millis, caveat } = gate.baseline.as_ref()?;
    let counts: Vec<u64> = counts.iter().map(|count| u64::try_from(*count).ok()).collect::<Option<_>>()?;
    let side = match (counts.as_slice(), sum) {
        ([bad, total], None) => Side::count(*bad, *total),
        ([above, below, total], None) => Side::Count { above: *above, below: *below, total: *total },
        ([], Some(nano)) => Side::Value { nano: nano.parse().ok()? },
        ([n], Some(sum)) => Side::Mean { n: *n, sum: sum.parse().ok()? },
        ([bad, good, void, started], None) => Side::Late { bad: *bad, good: *good, void: *void, started: *started },
        _ => return None,
    };
    let phi = phi.as_ref().map_or(Some(1.0), |phi| phi.parse().ok())?;
    let rps = rps.as_ref().map(|rps| rps.parse()).transpose().ok()?;
    let delay = delay_millis.map(|millis| millis as f64 / 1000.0);
    Some(Before {
        // It stands in the gate of the plan.
        source: None,
        side,
        seconds: *millis as f64 / 1000.0,
        phi,
        rps,
        delay,
        per: per.unwrap_or_default(),
        caveat: caveat.clone(),
    })
}
