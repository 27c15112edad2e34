//! Asymptotic confidence sequences for means (Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas 2024, *Time-uniform
//! central limit theory and asymptotic confidence sequences*), tuned to be tightest at 60 batches.

use libm::{exp, expm1, log as ln, log1p, sqrt};

use crate::codec::{Reader, Writer};

/// Batches at which the sequence is tightest.
const T_OPT: f64 = 60.0;
/// Batches before the normal approximation is trusted.
pub(crate) const MIN_BATCHES: u64 = 20;
/// Where evidence is cut off: a difference without any variance would be infinite evidence.
pub const MAX_NATS: f64 = 700.0;

/// ρ² of the mixture, for an error probability below one half.
pub fn acs_rho2(alpha: f64) -> f64 {
    (-2.0 * ln(2.0 * alpha) + ln(-2.0 * ln(2.0 * alpha)) + 1.0) / T_OPT
}

/// Lower bound of the mean after `t` batches with this mean and population variance.
pub fn acs_lower(mean: f64, var: f64, t: u64, alpha: f64) -> f64 {
    let (t, rho2) = (t as f64, acs_rho2(alpha));
    let tr = t * rho2 + 1.0;
    mean - sqrt(var) * sqrt(2.0 * tr / (t * t * rho2) * ln(1.0 + sqrt(tr) / (2.0 * alpha)))
}

/// The same as evidence: at least ln(1/α) exactly when the lower bound is at least 0. Minus infinity for a mean of
/// at most 0, and at most [`MAX_NATS`].
pub fn acs_ln_e(mean: f64, var: f64, t: u64, alpha: f64) -> f64 {
    if mean <= 0.0 || t == 0 {
        return f64::NEG_INFINITY;
    }
    let (t, rho2) = (t as f64, acs_rho2(alpha));
    let tr = t * rho2 + 1.0;
    let z = t * t * mean * mean * rho2 / (2.0 * var * tr);
    // expm1 overflows at 709; var = 0 makes z infinite.
    let ln_expm1 = if z > 30.0 { z + log1p(-exp(-z)) } else { ln(expm1(z)) };
    (ln(2.0) + ln_expm1 - ln(tr) / 2.0).min(MAX_NATS)
}

/// Running mean and population variance (Welford's method).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Moments {
    t: u64,
    mean: f64,
    m2: f64,
}

impl Moments {
    /// One batch.
    pub fn add(&mut self, d: f64) {
        self.t += 1;
        let error = d - self.mean;
        self.mean += error / self.t as f64;
        self.m2 += error * (d - self.mean);
    }

    /// Batches so far.
    pub fn t(&self) -> u64 {
        self.t
    }

    /// Mean of the batches.
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// Population variance of the batches.
    pub fn variance(&self) -> f64 {
        if self.t == 0 { 0.0 } else { self.m2 / self.t as f64 }
    }

    /// Evidence that `sign` times the mean is above 0.
    pub(crate) fn evidence(&self, sign: f64, alpha: f64) -> f64 {
        evidence(sign * self.mean, self.variance(), self.t, alpha)
    }

    pub(crate) fn save(&self, out: &mut Writer) {
        out.u64(self.t);
        out.f64s(&[self.mean, self.m2]);
    }

    pub(crate) fn load(bytes: &mut Reader) -> Option<Self> {
        let t = bytes.u64()?;
        let [mean, m2] = bytes.f64s()?;
        Some(Self { t, mean, m2 })
    }
}

/// A gate's evidence: none, ln E = 0, before 20 batches or against the sign of the mean; always finite.
pub(crate) fn evidence(mean: f64, var: f64, t: u64, alpha: f64) -> f64 {
    if t < MIN_BATCHES { 0.0 } else { acs_ln_e(mean, var, t, alpha).max(0.0) }
}

/// Running moments of pairs (a, b), from which those of a − f b follow for any f: the margin of a step is known only
/// when it is asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct PairMoments {
    a: Moments,
    b: Moments,
    cross: f64,
}

impl PairMoments {
    pub(crate) fn add(&mut self, a: f64, b: f64) {
        let before = a - self.a.mean;
        self.a.add(a);
        self.b.add(b);
        self.cross += before * (b - self.b.mean);
    }

    /// Evidence that the mean of a − f b is below 0.
    pub(crate) fn evidence_below(&self, f: f64, alpha: f64) -> f64 {
        let m2 = self.a.m2 - 2.0 * f * self.cross + f * f * self.b.m2;
        let var = m2.max(0.0) / self.a.t.max(1) as f64;
        evidence(f * self.b.mean - self.a.mean, var, self.a.t, alpha)
    }

    pub(crate) fn save(&self, out: &mut Writer) {
        self.a.save(out);
        self.b.save(out);
        out.f64(self.cross);
    }

    pub(crate) fn load(bytes: &mut Reader) -> Option<Self> {
        Some(Self { a: Moments::load(bytes)?, b: Moments::load(bytes)?, cross: bytes.f64()? })
    }
}
