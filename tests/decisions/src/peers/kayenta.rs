//! Kayenta's rule, with Spinnaker's default judge (NetflixACAJudge).
//!
//! Canary and a baseline of the same size get the same traffic at a fixed weight. After each interval the two time
//! series are compared with the Mann-Whitney test: the metric is `High` when the lower end of the confidence interval of
//! the shift (Hodges, Lehmann) is above a quarter of the estimated shift. With one metric `High` is a score of 0, below
//! the marginal threshold, and the whole canary fails at once; otherwise it goes on, and passes after its lifetime.
//! `effectSize.allowedIncrease` says how much higher the mean must be at least. Points without data are left out. Sources: <https://spinnaker.io/docs/guides/user/canary/judge/>,
//! <https://spinnaker.io/docs/guides/user/canary/best-practices/> (lifetime 3 h, interval 1 h, at least 50 points).

use super::is_due;
use crate::{
    rule::{End, Rule},
    world::{Measure, Sample},
};

/// Normal quantile of 99 %: a two-sided interval of 98 %.
const Z: f64 = 2.326_347_874;
/// The share of the estimated shift that the interval's end must exceed.
const TOLERANCE: f64 = 0.25;

/// A canary analysis.
#[derive(Clone, Debug)]
pub struct Kayenta {
    allowed: f64,
    weight: f64,
    point: f64,
    interval: f64,
    lifetime: f64,
    current: [Sample; 2],
    series: [Vec<f64>; 2],
}

impl Kayenta {
    /// What is measured (a cost has `effectSize.allowedIncrease`, the others its default 1); the canary's share; seconds of one point of the series, of an interval and of the lifetime.
    pub const fn new(measure: Measure, weight: f64, point: f64, interval: f64, lifetime: f64) -> Self {
        const NONE: Sample = Sample { n: 0, bad: 0, started: 0, served: 0, served_bad: 0 };
        let allowed = if matches!(measure, Measure::Cost) { 1.0 + measure.limit() } else { 1.0 };
        Self { allowed, weight, point, interval, lifetime, current: [NONE; 2], series: [Vec::new(), Vec::new()] }
    }
}

/// Is the canary's series higher? In R's words `wilcox.test(canary, baseline, conf.int = TRUE, conf.level = 0.98)`, by the
/// normal approximation to the ranks of the pairwise differences (Hollander, Wolfe 1999, §4.3).
pub fn is_high(canary: &[f64], baseline: &[f64]) -> bool {
    let (m, n) = (canary.len() as f64, baseline.len() as f64);
    let mut shifts: Vec<_> = canary.iter().flat_map(|a| baseline.iter().map(move |b| a - b)).collect();
    let rank = m * n / 2.0 - Z * (m * n * (m + n + 1.0) / 12.0).sqrt();
    if rank < 1.0 {
        return false;
    }
    let middle = shifts.len() / 2;
    let estimate = *shifts.select_nth_unstable_by(middle, f64::total_cmp).1;
    let low = *shifts.select_nth_unstable_by(rank as usize - 1, f64::total_cmp).1;
    low > TOLERANCE * estimate.abs()
}

impl Rule for Kayenta {
    fn weights(&self) -> [f64; 2] {
        [self.weight, self.weight]
    }

    fn scrape(&mut self, t: f64, samples: Option<[Sample; 2]>) -> Option<End> {
        if let Some([canary, baseline]) = samples {
            self.current = [self.current[0] + canary, self.current[1] + baseline];
        }
        if is_due(t, self.point) {
            for (series, sample) in self.series.iter_mut().zip(std::mem::take(&mut self.current)) {
                if sample.n > 0 {
                    series.push(sample.bad as f64 / sample.n as f64);
                }
            }
        }
        let mean = |series: &[f64]| series.iter().sum::<f64>() / series.len() as f64;
        let grown = || mean(&self.series[0]) / mean(&self.series[1]) >= self.allowed;
        if is_due(t, self.interval) && is_high(&self.series[0], &self.series[1]) && grown() {
            return Some(End::RolledBack);
        }
        (t >= self.lifetime).then_some(End::Promoted)
    }

    fn word(&self) -> &'static str {
        ""
    }
}
