//! `plan` in words: what preflight would say of a rollout, from what stable did before. Pure: the operator's own
//! preflight on counts from wherever.

use std::{collections::BTreeMap, sync::Arc};

use jiff::SignedDuration;
use microapp_api::v1alpha1::Verdict;
use microapp_core::{
    Evidence, Position, Strategy,
    counts::{Counts, Side},
    evidence::Preflight,
    explain::{Unit, gate},
    fold, judge,
    outlook::{Outlook, Settled},
};

use crate::view::span;

/// The largest tolerance that `Auto` takes: what a ramp that does not start is measured with.
const LARGEST_PPM: i64 = 100_000;

/// The answer of `plan`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// Line by line.
    pub lines: Vec<String>,
    /// Preflight would let it start.
    pub starts: bool,
}

/// Steps and gates alone, where nothing is known of stable.
pub fn without_traffic(plan: &Strategy) -> Planned {
    let dwell = |millis: i64| span(SignedDuration::from_millis(millis));
    let steps: Vec<_> =
        plan.steps.iter().map(|step| format!("{} at least {}", step.weight, dwell(step.dwell_millis))).collect();
    let gates: Vec<_> = plan.gates.iter().map(|gate| gate.name.as_str()).collect();
    let lines = vec![
        format!("Steps: {}.", steps.join(", ")),
        format!("Gates: {}. Each must pass at each step but the last.", gates.join(", ")),
    ];
    Planned { lines, starts: true }
}

/// What preflight would say of these counts.
pub fn with_traffic(plan: &Strategy, counts: &Counts) -> Planned {
    let at_zero = Position { attempt: 1, step: None, since: 0.0, paused: false };
    let evidence = fold(&Evidence::begin(1, Arc::new(plan.clone()), 0.0), &at_zero, counts);
    let judged = judge(&evidence, 0.0);
    let (outlook, refusals) = match (&judged.preflight, &judged.settled) {
        (Preflight::Passed, Some(settled)) => (Outlook::of(plan, settled), Vec::new()),
        (Preflight::Passed | Preflight::Pending, _) => (Outlook::of(plan, &assumed(plan, counts)), Vec::new()),
        (Preflight::Refused(refusals), _) => (Outlook::of(plan, &assumed(plan, counts)), refusals.clone()),
    };
    let mut lines = vec!["Gates:".to_owned()];
    let (said, whole) = split(outlook.lines());
    lines.extend(said.iter().map(|line| format!("  {line}.")));
    for refusal in &refusals {
        lines.push(format!("  {}: keeps the rollout from starting: {}.", refusal.gate, refusal.message));
    }
    for view in judged.gates.iter().filter(|gate| gate.verdict == Verdict::NotWatched) {
        lines.push(format!("  {}: {}.", view.name, gate(view)));
    }
    lines.extend(judged.unwatched.as_ref().map(|unwatched| format!("  {unwatched}.")));
    let starts = refusals.is_empty() && judged.preflight == Preflight::Passed;
    if starts {
        lines.push(format!("Ramp: {whole}."));
        lines.extend(whole_time(&outlook));
        lines.extend(cost(&outlook));
    } else {
        lines.push("It would not start before that changes.".to_owned());
    }
    Planned { lines, starts }
}

/// The last line is about the whole.
fn split(mut lines: Vec<String>) -> (Vec<String>, String) {
    let whole = lines.pop().unwrap_or_default();
    (lines, whole)
}

/// What can be said of a ramp that does not start: the tolerance as given, or the largest.
fn assumed(plan: &Strategy, counts: &Counts) -> Settled {
    let (before, interval) = match counts {
        Counts::Baseline { gates, interval, pins: _ } => {
            let known = gates.iter().filter_map(|(name, before)| Some((name.clone(), before.as_ref().ok()?.clone())));
            (known.collect(), *interval)
        }
        Counts::None | Counts::Windows(..) | Counts::Silent(_) => (BTreeMap::new(), 0.0),
    };
    Settled { epsilon_ppm: plan.epsilon_ppm.unwrap_or(LARGEST_PPM), first: plan.first, interval, before }
}

/// Seconds of every step that is taken; infinite where one cannot pass.
fn seconds(outlook: &Outlook) -> f64 {
    outlook.steps.iter().filter(|step| !step.skipped).map(microapp_core::outlook::StepOutlook::seconds).sum()
}

fn whole_time(outlook: &Outlook) -> Option<String> {
    let seconds = seconds(outlook);
    let known = outlook.gates.iter().any(|gate| gate.rps.is_some());
    let minutes = (seconds / 60.0).round().max(1.0);
    (seconds.is_finite() && known).then(|| {
        let time = span(SignedDuration::from_secs(minutes as i64 * 60));
        format!("A version as good as stable is expected to be promoted after {time}, the bake included.")
    })
}

/// What the canary answers before the bake, and what that costs where stable's cost is known.
fn cost(outlook: &Outlook) -> Option<String> {
    let rps = outlook.gates.iter().filter_map(|gate| gate.rps).reduce(f64::max)?;
    let gated = outlook.steps.iter().filter(|step| !step.skipped && step.slowest.is_some());
    let requests: f64 = gated.map(|step| step.seconds() * step.weight.as_fraction() * rps).sum();
    if !requests.is_finite() {
        return None;
    }
    let each = outlook.gates.iter().find_map(|gate| match gate.before.side {
        Side::Mean { n, sum } if n > 0 && gate.unit == Unit::Usd => Some(sum as f64 / n as f64 / 1e12),
        Side::Mean { .. } | Side::Count { .. } | Side::Late { .. } | Side::Value { .. } => None,
    });
    let money = each.map_or_else(String::new, |each| format!(", {:.2} USD at what stable costs", each * requests));
    Some(format!("Before the bake the canary is expected to answer {requests:.0} requests{money}."))
}
