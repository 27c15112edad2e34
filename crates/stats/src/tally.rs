//! Counts of one window and of their sums.

use crate::codec::{Reader, Writer};

/// Requests and the bad ones among them, of one side.
///
/// A latency threshold between two histogram bounds gives two counts of bad ones: those above the upper bound for
/// the fail rules and those above the lower bound for the pass rules. Otherwise the two are equal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Requests.
    pub n: u64,
    /// Bad ones for the fail rules.
    pub fail: u64,
    /// Bad ones for the pass rules; at least `fail`.
    pub pass: u64,
}

impl Tally {
    /// `n` requests, `x` of them bad, where fail and pass rules count the same.
    pub fn new(n: u64, x: u64) -> Self {
        Self { n, fail: x, pass: x }
    }

    /// Nothing bad beyond the number of requests.
    pub(crate) fn clamped(self) -> Self {
        Self { n: self.n, fail: self.fail.min(self.n), pass: self.pass.min(self.n) }
    }

    pub(crate) fn save(&self, out: &mut Writer) {
        let Self { n, fail, pass } = *self;
        out.u64(n);
        out.u64(fail);
        out.u64(pass);
    }

    pub(crate) fn load(bytes: &mut Reader) -> Option<Self> {
        Some(Self { n: bytes.u64()?, fail: bytes.u64()?, pass: bytes.u64()? })
    }
}

impl std::ops::Add for Tally {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            n: self.n.saturating_add(other.n),
            fail: self.fail.saturating_add(other.fail),
            pass: self.pass.saturating_add(other.pass),
        }
    }
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

/// One window of one rate gate: integer deltas since the window before.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RateWindow {
    /// End of the window, in seconds since an arbitrary epoch that stays the same.
    pub t: f64,
    /// Length in seconds, for the decay of the baseline.
    pub dt: f64,
    /// The canary's counts.
    pub canary: Tally,
    /// Stable's counts.
    pub stable: Tally,
    /// Late verdicts of the canary that are still open, a level and not a delta; 0 where verdicts are not late.
    pub pending: u64,
    /// So many of the canary's requests may be of nobody (probes, scrapes), or had no answer (throttled, left): they count
    /// for no pass rule, where they would be good ones that no user got.
    pub idle: u64,
    /// The delta is longer than three intervals or spans a change of weight: only absolute processes may use it,
    /// since pooled over two weights it shows a regression that is none (Simpson's paradox).
    pub gap: bool,
    /// The canary answers more than its share, as after a step back that the gateway has not followed yet. An incident of
    /// both shows at the canary alone then, so the window counts for no pass rule.
    pub alone: bool,
    /// Stable's two neighbouring windows where targets are scraped at different moments: a sharp shared outage
    /// that stable's scrapes put there must not look like the canary's.
    pub near: [Option<Tally>; 2],
}
