//! Log likelihood ratios of one window, one per grid point.
//!
//! φ ≥ 1 divides all counts: a cluster of up to φ correlated requests then weighs as one (Jensen's inequality).

use libm::log as ln;

use crate::grid::{FAIL_GRID, K, PASS_GRID, clamp, log_mean_exp};

/// Null "the rate is at most `p0`": for each odds multiplier r,
/// `x ln(p_r / p0) + (n − x) ln((1 − p_r) / (1 − p0))` with `p_r = r p0 / (1 − p0 + r p0)`, in nats.
///
/// Valid for every rate up to `p0`, also when it moves: each request's factor has mean 1 at `p0` and less below.
pub fn inc_absolute(n: f64, x: f64, p0: f64, phi: f64) -> [f64; K] {
    let p0 = clamp(p0);
    let (n, x) = (n / phi, x / phi);
    FAIL_GRID.map(|r| {
        let p = clamp(r * p0 / (1.0 - p0 + r * p0));
        x * ln(p / p0) + (n - x) * ln((1.0 - p) / (1.0 - p0))
    })
}

/// Null "the canary's rate is at most `rho0` times stable's", whatever stable's is and however it moves:
/// `x_c ln(θ_r / θ_0) + x_s ln((1 − θ_r) / (1 − θ_0))` with `θ_r = n_c ρ0 r / (n_c ρ0 r + n_s)`, in nats.
///
/// Uses the observed counts, never the nominal weight. All zero when either side had no request. It is linear in
/// `xc` and `xs`, so verdicts that come later than their requests (`xc > nc`) keep their weight.
pub fn inc_relative(nc: f64, xc: f64, ns: f64, xs: f64, rho0: f64, phi: f64) -> [f64; K] {
    if nc <= 0.0 || ns <= 0.0 {
        return [0.0; K];
    }
    let d0 = nc * rho0 + ns;
    FAIL_GRID.map(|r| {
        let d = nc * rho0 * r + ns;
        (xc * ln(r * d0 / d) + xs * ln(d0 / d)) / phi
    })
}

/// ln E against "the rate is at least `p_bad`", plain form, on cumulative counts of the current step.
///
/// Each term grows with `p_bad`, so it may move with the baseline. A rate above about 0.84 `p_bad` never passes.
pub fn ln_e_pass(n: f64, x: f64, p_bad: f64, phi: f64) -> f64 {
    let p = clamp(p_bad);
    log_mean_exp(&PASS_GRID.map(|q| (x * ln(q) + (n - x) * ln((1.0 - q * p) / (1.0 - p))) / phi))
}

/// The rate at which the mildest alternative of [`inc_absolute`] neither wins nor loses, 1.23 `p0` for a small one; 1
/// where `p0` leaves no room above it.
pub(crate) fn break_even(p0: f64) -> f64 {
    let p0 = clamp(p0);
    let r = FAIL_GRID[0];
    let p = clamp(r * p0 / (1.0 - p0 + r * p0));
    let lost = -ln((1.0 - p) / (1.0 - p0));
    if p <= p0 { 1.0 } else { lost / (ln(p / p0) + lost) }
}
