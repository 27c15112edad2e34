//! `tolerance: Auto`: the smallest tolerance that the traffic allows, and what to do where none does.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use microapp_api::values::Percent;
use microapp_stats::{lowest_start, smallest_tolerance};

use super::{seconds, slowest, words::rate};
use crate::{
    counts::{Before, Unfit, Unknown},
    explain::span,
    strategy::{Gate, LowTraffic, Strategy},
};

/// Where stable's traffic is not known: 0.5 pp.
const WITHOUT_TRAFFIC_PPM: i64 = 5_000;
/// The largest of the tolerances.
const LARGEST_PPM: i64 = 100_000;
/// The API allows no longer `maxStepDuration`.
const LONGEST: f64 = 720.0 * 3600.0;

/// A tolerance as parts per million.
fn ppm(share: f64) -> i64 {
    (share * 1e6).round() as i64
}

/// Tolerance (parts per million) and first step of a plan, from what stable did before per gate and the scrape interval
/// in seconds: as given; otherwise the smallest of 0.5, 1, 2, 5, 10 pp whose slowest step needs at most half of
/// `maxStepDuration` over all blocking gates; where none fits `lowTraffic` decides. The error names the slowest gate and
/// says what to change.
///
/// # Errors
/// Nothing fits, and steps may not be skipped or skipping does not help.
pub fn choose(
    plan: &Strategy,
    before: &BTreeMap<String, Before>,
    interval: f64,
) -> Result<(i64, usize), (String, Unfit)> {
    if let Some(given) = plan.epsilon_ppm {
        return Ok((given, plan.first));
    }
    let before = &able(plan, before, interval);
    if slowest(plan, before, interval, WITHOUT_TRAFFIC_PPM).is_none() {
        return Ok((WITHOUT_TRAFFIC_PPM, 0));
    }
    let at = |epsilon: f64| slowest(plan, before, interval, ppm(epsilon)).unwrap_or_default();
    let limit = half(plan);
    if let Some(epsilon) = smallest_tolerance(0, limit, at) {
        return Ok((ppm(epsilon), 0));
    }
    let lowest = lowest_start(limit, at).map(|(first, epsilon)| (ppm(epsilon), first));
    match (plan.low_traffic, lowest) {
        (LowTraffic::SkipSteps, Some(start)) => Ok(start),
        (LowTraffic::SkipSteps, None) | (LowTraffic::Hold, _) => Err(refusal(plan, before, interval, lowest)),
    }
}

/// Without the preset's own gates that could not pass with any tolerance: they will not be watched.
fn able(plan: &Strategy, before: &BTreeMap<String, Before>, interval: f64) -> BTreeMap<String, Before> {
    let able = |gate: &&Gate| {
        let known = before.get(&gate.name).and_then(|before| seconds(plan, gate, before, interval, LARGEST_PPM));
        gate.required() || known.is_none_or(|seconds| seconds.into_iter().all(f64::is_finite))
    };
    let gates = plan.gates.iter().filter(able);
    gates.filter_map(|gate| Some((gate.name.clone(), before.get(&gate.name)?.clone()))).collect()
}

/// Seconds that a step may be expected to take.
fn half(plan: &Strategy) -> f64 {
    plan.max_step_millis as f64 / 2000.0
}

/// What is to know of a gate, as part of the sentence that says why it cannot pass: a threshold between two bounds of a
/// histogram, say, under which hardly a request is known to be.
pub(crate) fn but(before: Option<&Before>) -> String {
    let caveat = before.and_then(|before| before.caveat.as_ref());
    caveat.map_or_else(String::new, |caveat| format!(" ({caveat})"))
}

/// The gate and the step that need the most at the largest tolerance, and what would help.
fn refusal(
    plan: &Strategy,
    before: &BTreeMap<String, Before>,
    interval: f64,
    lowest: Option<(i64, usize)>,
) -> (String, Unfit) {
    let mut worst: Option<(f64, &str, usize)> = None;
    for gate in &plan.gates {
        let known = before.get(&gate.name).and_then(|before| seconds(plan, gate, before, interval, LARGEST_PPM));
        for (index, seconds) in known.unwrap_or_default().into_iter().enumerate() {
            if worst.is_none_or(|(most, _, _)| seconds > most) {
                worst = Some((seconds, &gate.name, index));
            }
        }
    }
    let (most, gate, index) = worst.unwrap_or((f64::INFINITY, "", 0));
    let counted = before.get(gate).and_then(super::rps).map_or_else(String::new, rate);
    let weight = plan.steps.get(index).map_or_else(String::new, |step| step.weight.to_string());
    let limit = span(SignedDuration::from_secs(half(plan) as i64));
    let tolerance = Percent::from_ppm(LARGEST_PPM);
    let problem = if most.is_finite() {
        let needed = span(SignedDuration::from_secs(most as i64));
        format!(
            "too little traffic: at {counted} requests/s the step at {weight} would take {needed} even with a tolerance of {tolerance}, and may take {limit}, half of maxStepDuration"
        )
    } else {
        format!(
            "too little traffic, or too bad: from what stable did before ({counted} requests/s) no canary could pass the step at {weight}, even with a tolerance of {tolerance}{}",
            but(before.get(gate))
        )
    };
    let mut help = Vec::new();
    if let (Some((epsilon, first)), LowTraffic::Hold) = (lowest, plan.low_traffic)
        && let Some(step) = plan.steps.get(first)
    {
        let tolerance = Percent::from_ppm(epsilon);
        help.push(format!(
            "set strategy.lowTraffic to SkipSteps (it would begin at {}, with a tolerance of {tolerance})",
            step.weight
        ));
    }
    // Rounded up to whole minutes, as the field takes them.
    let minutes = (2.0 * most / 60.0).ceil();
    if minutes * 60.0 <= LONGEST {
        help.push(format!("set strategy.maxStepDuration to at least {minutes:.0}m"));
    }
    help.push(if most.is_finite() {
        "set strategy.tolerance yourself, and accept that steps may stay undecided".to_owned()
    } else {
        "wait until stable has had more requests, or make stable better first".to_owned()
    });
    let message = format!("{problem}: {}", help.join(", or "));
    (gate.to_owned(), Unfit { reason: Unknown::Undecided, message, fatal: false })
}
