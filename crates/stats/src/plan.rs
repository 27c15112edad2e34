//! How long steps will take, and which tolerance fits, computed before any traffic moves and from stable alone.

use libm::log as ln;

use crate::increments::ln_e_pass;
use crate::rate::{RateConfig, RateGate};
use crate::tally::Tally;

/// The tolerances that `Auto` chooses from: shares of all traffic.
pub const TOLERANCES: [f64; 5] = [0.005, 0.01, 0.02, 0.05, 0.10];
/// No step counts so many requests.
const MOST_REQUESTS: u64 = 1 << 50;

/// Smallest number of requests whose expected count at `rate` passes a step that must exclude `p_bad`; `None` when
/// the rate is out of reach, above 0.84 `p_bad`. ln E is convex in n, so bisection finds it.
pub fn pass_requests(p_bad: f64, rate: f64, beta: f64, phi: f64) -> Option<u64> {
    let reachable = rate <= 0.8399 * p_bad;
    if !reachable {
        return None;
    }
    let passes = |n: u64| ln_e_pass(n as f64, rate * n as f64, p_bad, phi) >= ln(1.0 / beta);
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
}

/// Expected seconds of each gated step for one gate: one figure per weight but the last, which is not gated.
/// Infinite where the step is out of reach.
pub fn step_seconds(gate: &PlannedGate, weights: &[f64]) -> Vec<f64> {
    let PlannedGate { config, baseline, rps } = *gate;
    let rate_gate = RateGate::new(config, baseline);
    let rate = rate_gate.p_hat_pass();
    weights
        .windows(2)
        .map(|pair| {
            pass_requests(rate_gate.p_bad(pair[1]), rate, config.beta, config.phi)
                .map_or(f64::INFINITY, |requests| requests as f64 / (pair[0] * rps))
        })
        .collect()
}

/// The smallest tolerance whose slowest step, over all gates, needs at most half of `max_step` seconds; `None` when
/// none does. The gates' own ε is not looked at.
pub fn auto_tolerance(gates: &[PlannedGate], weights: &[f64], max_step: f64) -> Option<f64> {
    TOLERANCES.into_iter().find(|&epsilon| {
        gates.iter().all(|gate| {
            let gate = PlannedGate { config: RateConfig { epsilon, ..gate.config }, ..*gate };
            step_seconds(&gate, weights).into_iter().all(|seconds| seconds <= max_step / 2.0)
        })
    })
}
