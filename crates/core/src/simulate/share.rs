//! How sure a share is that was seen in so many runs.

/// The interval of Clopper and Pearson (1934) for `hits` of `runs`: it holds the true share with at least `confidence`
/// (0.95: each side is exceeded with at most 2.5 %). The whole of [0, 1] without runs.
#[must_use]
pub fn interval(hits: u64, runs: u64, confidence: f64) -> (f64, f64) {
    if runs == 0 {
        return (0.0, 1.0);
    }
    let side = (1.0 - confidence) / 2.0;
    // P(X ≥ hits) rises with p, P(X ≤ hits) falls.
    let low = if hits == 0 { 0.0 } else { solve(|p| 1.0 - at_most(hits - 1, runs, p) >= side) };
    let high = if hits >= runs { 1.0 } else { solve(|p| at_most(hits, runs, p) <= side) };
    (low, high)
}

/// P(X ≤ k) for a binomial of `n` and `p`.
fn at_most(k: u64, n: u64, p: f64) -> f64 {
    if p <= 0.0 {
        return 1.0;
    }
    if p >= 1.0 {
        return f64::from(u8::from(k >= n));
    }
    let (n, ln_p, ln_q) = (n as f64, libm::log(p), libm::log1p(-p));
    let ln_n = libm::lgamma(n + 1.0);
    let mass = |i: u64| {
        let i = i as f64;
        libm::exp(ln_n - libm::lgamma(i + 1.0) - libm::lgamma(n - i + 1.0) + i * ln_p + (n - i) * ln_q)
    };
    (0..=k).map(mass).sum::<f64>().min(1.0)
}

/// The smallest p of [0, 1] for which it is true; it stays true above.
fn solve(is_above: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if is_above(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    high
}
