//! What stable did before and does now, with exponential decay.

use libm::{exp, sqrt};

use crate::codec::{Reader, Writer};
use crate::tally::Tally;

/// Decayed counts of stable: requests, bad ones for the fail rules and bad ones for the pass rules.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Baseline {
    n: f64,
    fail: f64,
    pass: f64,
}

impl Baseline {
    pub(crate) fn new(tally: Tally) -> Self {
        Self { n: tally.n as f64, fail: tally.fail as f64, pass: tally.pass as f64 }
    }

    /// N ← e^(−Δ/τ) N + n, and the bad ones likewise.
    pub(crate) fn update(&mut self, stable: Tally, dt: f64, tau: f64) {
        let decay = exp(-dt / tau);
        self.n = decay * self.n + stable.n as f64;
        self.fail = decay * self.fail + stable.fail as f64;
        self.pass = decay * self.pass + stable.pass as f64;
    }

    /// Estimate of stable's bad rate as the fail rules count it.
    pub(crate) fn p_hat(&self) -> f64 {
        self.estimate(self.fail)
    }

    /// The same as the pass rules count it.
    pub(crate) fn p_hat_pass(&self) -> f64 {
        self.estimate(self.pass)
    }

    fn estimate(&self, x: f64) -> f64 {
        (x + 0.5) / (self.n + 50.0)
    }

    /// Lower confidence bound of the pass rate plus the margin of the step, within [1e-4, 0.9].
    pub(crate) fn p_bad(&self, epsilon: f64, next_weight: f64, phi: f64) -> f64 {
        let p = self.p_hat_pass();
        let lower = (p - 1.64 * sqrt(phi * p / self.n.max(1.0))).max(0.0);
        (lower + margin(epsilon, next_weight).max(p / 2.0)).clamp(1e-4, 0.9)
    }

    /// The larger of estimate and raw rate, as the pass rules count.
    pub(crate) fn worst(&self) -> f64 {
        self.p_hat_pass().max(self.pass / self.n.max(1.0))
    }

    pub(crate) fn save(&self, out: &mut Writer) {
        out.f64s(&[self.n, self.fail, self.pass]);
    }

    pub(crate) fn load(bytes: &mut Reader) -> Option<Self> {
        let [n, fail, pass] = bytes.f64s()?;
        Some(Self { n, fail, pass })
    }
}

/// Margin by blast radius: after raising to `next_weight` the excess over all traffic is at most ε, and 20
/// percentage points of the canary's own.
pub(crate) fn margin(epsilon: f64, next_weight: f64) -> f64 {
    (epsilon / next_weight).min(0.2)
}
