//! Grids of the mixtures and sums in log space.
//!
//! `ln` and `exp` come from `libm`, not from the platform, so that a replay elsewhere gives the same bytes.

use libm::{exp, log as ln, log1p};

/// Odds multipliers r of the fail processes: the alternatives "r times the odds of the null".
pub const FAIL_GRID: [f64; 8] = [1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 200.0];
/// Multipliers q of the rate that is too bad to pass.
pub const PASS_GRID: [f64; 6] = [0.02, 0.1, 0.25, 0.4, 0.55, 0.7];
/// Number of points in [`FAIL_GRID`].
pub const K: usize = FAIL_GRID.len();
/// Windows over which the second half of a switch process enters, whatever the windows' length.
pub const T_MAX: u64 = 2880;

/// Keeps a probability off 0 and 1, where a log would be infinite.
pub(crate) fn clamp(p: f64) -> f64 {
    p.clamp(1e-9, 1.0 - 1e-9)
}

/// ln Σ exp vᵢ, the maximum taken out first, summed in the given order. Minus infinity for no mass at all.
pub fn log_sum_exp(values: &[f64]) -> f64 {
    let max = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if max == f64::NEG_INFINITY {
        return max;
    }
    max + ln(values.iter().map(|v| exp(v - max)).sum())
}

/// ln(exp a + exp b).
pub fn log_add(a: f64, b: f64) -> f64 {
    let (high, low) = if a >= b { (a, b) } else { (b, a) };
    if low == f64::NEG_INFINITY { high } else { high + log1p(exp(low - high)) }
}

/// ln of the mean of exp vᵢ.
pub fn log_mean_exp(values: &[f64]) -> f64 {
    log_sum_exp(values) - ln(values.len() as f64)
}
