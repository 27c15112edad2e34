//! Flagger's rule.
//!
//! Every `interval` one value per metric is compared with its range: outside of it, or no value at all, is a failed
//! check; a good one moves to the next weight. Failed checks add up and are never forgotten; at `threshold` of them the
//! next tick rolls back, so a canary that is bad from the start is exposed for (threshold + 1) intervals. After the last
//! weight a good check promotes. Sources: <https://docs.flagger.app/usage/how-it-works>,
//! <https://docs.flagger.app/usage/metrics>; the tick of the rollback was measured on Flagger 1.44.0.

use super::{Range, is_due};
use crate::{
    rule::{End, Rule},
    world::{Measure, Sample},
};

/// A canary analysis.
#[derive(Clone, Debug)]
pub struct Flagger {
    measure: Measure,
    interval: f64,
    threshold: u32,
    weights: Vec<f64>,
    range: Range,
    step: usize,
    failed: u32,
}

impl Flagger {
    /// `interval` and the metric's range in seconds, the weights as shares.
    pub fn new(measure: Measure, interval: f64, threshold: u32, range: f64, weights: &[f64]) -> Self {
        Self { measure, interval, threshold, weights: weights.to_vec(), range: Range::new(range), step: 0, failed: 0 }
    }
}

impl Rule for Flagger {
    fn weights(&self) -> [f64; 2] {
        let weight = self.weights.get(self.step).copied().unwrap_or(1.0);
        [weight, 1.0 - weight]
    }

    fn scrape(&mut self, t: f64, samples: Option<[Sample; 2]>) -> Option<End> {
        if let Some(samples) = samples {
            self.range.push(t, samples);
        }
        if !is_due(t, self.interval) {
            return None;
        }
        if self.failed >= self.threshold {
            return Some(End::RolledBack);
        }
        match self.range.value(t, self.measure) {
            Some(value) if value <= self.measure.limit() => self.step += 1,
            Some(_) | None => self.failed += 1,
        }
        (self.step >= self.weights.len()).then_some(End::Promoted)
    }

    fn word(&self) -> &'static str {
        ""
    }
}
