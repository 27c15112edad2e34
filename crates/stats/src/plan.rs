//! How long steps will take, and which tolerance fits, computed before any traffic moves and from stable alone.
//!
//! Expected, not certain: the number of requests is that whose *expected* counts pass (the planning formula behind
//! Wald 1945), and a run needs more or fewer by chance.

use libm::{exp, expm1, log as ln};

use crate::acs::MIN_BATCHES;
use crate::increments::ln_e_pass;
use crate::mean::PASS_BATCH;
use crate::rate::{RateConfig, RateGate};
use crate::tally::Tally;

/// The tolerances that `Auto` chooses from: shares of all traffic.
pub const TOLERANCES: [f64; 5] = [0.005, 0.01, 0.02, 0.05, 0.10];
/// No step counts so many requests.
const MOST_REQUESTS: u64 = 1 << 50;

/// Smallest number of requests whose expected count at `rate` passes a step that must exclude `p_bad`; `None` when
/// the rate is out of reach, above 0.84 `p_bad`. So many of the requests are still `open`, and count as bad. ln E falls
/// while all are open and is convex in n from there on, so bisection finds it.
pub fn pass_requests(p_bad: f64, rate: f64, open: f64, beta: f64, phi: f64) -> Option<u64> {
    let reachable = rate <= 0.8399 * p_bad;
    if !reachable {
        return None;
    }
    let bad = |n: f64| rate * n + open.min((1.0 - rate) * n);
    let passes = |n: u64| ln_e_pass(n as f64, bad(n as f64), p_bad, phi) >= ln(1.0 / beta);
    let (mut low, mut high) = (0, 1);
    while !passes(high) {
        (low, high) = (high, 2 * high);
        if high > MOST_REQUESTS {
            return None;
        }
    }
    while high - low > 1 {
        let middle = u64::midpoint(low, high);
        if passes(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    Some(high)
}

/// One blocking rate gate as known before the rollout.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PlannedGate {
    /// Its configuration.
    pub config: RateConfig,
    /// What stable did.
    pub baseline: Tally,
    /// Requests per second over both revisions that the gate counts.
    pub rps: f64,
    /// Seconds until a request is judged; 0 where its answer is the judgement.
    pub delay: f64,
}

/// Expected seconds of each gated step for one gate: one figure per weight but the last, which is not gated. That is
/// [`pass_requests`] of a canary as good as stable at the canary's share of the traffic, of which those of the last
/// `delay` seconds are open. Infinite where the step is out
/// of reach, so also where the gate would refuse its baseline.
pub fn step_seconds(gate: &PlannedGate, weights: &[f64]) -> Vec<f64> {
    let PlannedGate { config, baseline, rps, delay } = *gate;
    let rate_gate = RateGate::new(config, baseline);
    let rate = rate_gate.p_hat_pass();
    let seconds = |weight: f64, next: f64| {
        let requests = (!rate_gate.refused(next))
            .then(|| pass_requests(rate_gate.p_bad(next), rate, weight * rps * delay, config.beta, config.phi))
            .flatten();
        requests.map_or(f64::INFINITY, |requests| requests as f64 / (weight * rps))
    };
    weights.windows(2).map(|pair| seconds(pair[0], pair[1])).collect()
}

/// The same for a gate of a mean, in windows of `interval` seconds: 20 windows that have a canary request, and at the
/// last gated step 20 batches of [`PASS_BATCH`] canary requests. It is the least that the step needs: how the values
/// spread is not known before, and a pass may need more.
pub fn mean_step_seconds(rps: f64, interval: f64, weights: &[f64]) -> Vec<f64> {
    let last = weights.len().saturating_sub(2);
    let seconds = |index: usize, weight: f64| {
        let mean = weight * rps * interval;
        // Poisson arrivals: an empty window is none.
        let windows = 1.0 / -expm1(-mean);
        let batch = if index == last { windows_per_batch(mean) } else { 0.0 };
        MIN_BATCHES as f64 * interval * windows.max(batch)
    };
    weights.windows(2).enumerate().map(|(index, pair)| seconds(index, pair[0])).collect()
}

/// Expected number of whole windows until they have [`PASS_BATCH`] requests together, where one has `mean` (Poisson):
/// 1 + Σ P(Poisson(k `mean`) < batch). Far below one batch a window, that is the batch and half a window on top.
fn windows_per_batch(mean: f64) -> f64 {
    if mean < 2.0 {
        return PASS_BATCH as f64 / mean + 0.5;
    }
    let below = |lambda: f64| {
        let mut term = exp(-lambda);
        let mut sum = 0.0;
        for j in 1..=PASS_BATCH {
            sum += term;
            term *= lambda / j as f64;
        }
        sum
    };
    let enough = 2 * PASS_BATCH;
    1.0 + (1..=enough).map(|k| below(k as f64 * mean)).take_while(|p| *p > 1e-9).sum::<f64>()
}

/// The smallest of [`TOLERANCES`] with which every step from `first` on needs at most `limit` seconds. `seconds` gives
/// those of each gated step, over all gates, at a tolerance.
pub fn smallest_tolerance(first: usize, limit: f64, seconds: impl Fn(f64) -> Vec<f64>) -> Option<f64> {
    TOLERANCES.into_iter().find(|epsilon| seconds(*epsilon).into_iter().skip(first).all(|needed| needed <= limit))
}

/// The lowest step from which on any tolerance fits, and the smallest one there; never the last step, where stable has
/// no traffic to compare with.
pub fn lowest_start(limit: f64, seconds: impl Fn(f64) -> Vec<f64>) -> Option<(usize, f64)> {
    let gated = seconds(TOLERANCES[0]).len();
    (0..gated).find_map(|first| Some((first, smallest_tolerance(first, limit, &seconds)?)))
}

/// Element by element the slower of two gates.
pub fn slower(one: &[f64], other: &[f64]) -> Vec<f64> {
    one.iter().zip(other).map(|(one, other)| one.max(*other)).collect()
}

/// The smallest tolerance whose slowest step, over all gates, needs at most half of `max_step` seconds; `None` when
/// none does. The gates' own ε is not looked at.
pub fn auto_tolerance(gates: &[PlannedGate], weights: &[f64], max_step: f64) -> Option<f64> {
    let none = vec![0.0; weights.len().saturating_sub(1)];
    smallest_tolerance(0, max_step / 2.0, |epsilon| {
        let at = |gate: &PlannedGate| PlannedGate { config: RateConfig { epsilon, ..gate.config }, ..*gate };
        gates.iter().fold(none.clone(), |slowest, gate| slower(&slowest, &step_seconds(&at(gate), weights)))
    })
}
