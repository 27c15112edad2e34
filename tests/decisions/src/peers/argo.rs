//! Argo Rollouts' rule.
//!
//! Steps set a weight and pause; an analysis in the background takes a measurement every `interval`. More than
//! `failureLimit` failed measurements abort (3 = the fourth one does), whatever lies between them; when the steps are
//! over the rollout is promoted and the analysis ends. A measurement without data is an error; five errors in a row
//! (`consecutiveErrorLimit` 4), ten seconds apart, abort too. Source:
//! <https://argo-rollouts.readthedocs.io/en/stable/features/analysis/>.

use super::Range;
use crate::{
    rule::{End, Rule},
    world::{Measure, Sample},
};

/// What a measurement without a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Empty {
    /// `result[0]` of nothing: an error.
    Error,
    /// A condition that lets it pass, such as `isNaN(result[0]) || …`.
    Success,
}

/// A canary with background analysis.
#[derive(Clone, Debug)]
pub struct Argo {
    measure: Measure,
    interval: f64,
    failure_limit: u32,
    empty: Empty,
    /// Weight, and how long the pause after it is.
    steps: Vec<(f64, f64)>,
    range: Range,
    next: f64,
    failed: u32,
    errors: u32,
    t: f64,
}

impl Argo {
    /// `interval`, the query's range and the time of the first measurement in seconds.
    pub fn new(measure: Measure, interval: f64, failure_limit: u32, range: f64, steps: &[(f64, f64)]) -> Self {
        Self {
            measure,
            interval,
            failure_limit,
            empty: Empty::Success,
            steps: steps.to_vec(),
            range: Range::new(range),
            next: interval,
            failed: 0,
            errors: 0,
            t: 0.0,
        }
    }

    /// The analysis starts at a later time (`startingStep`), at once, with this reading of no data.
    #[must_use]
    pub fn starting(self, at: f64, empty: Empty) -> Self {
        Self { next: at, empty, ..self }
    }

    fn step(&self) -> Option<f64> {
        let mut end = 0.0;
        self.steps.iter().find_map(|(weight, pause)| {
            end += pause;
            (self.t < end).then_some(*weight)
        })
    }
}

impl Rule for Argo {
    fn weights(&self) -> [f64; 2] {
        let weight = self.step().unwrap_or(1.0);
        [weight, 1.0 - weight]
    }

    fn scrape(&mut self, t: f64, samples: Option<[Sample; 2]>) -> Option<End> {
        self.t = t;
        if let Some(samples) = samples {
            self.range.push(t, samples);
        }
        if t >= self.next {
            self.next = t + self.interval;
            match self.range.value(t, self.measure) {
                Some(value) => {
                    self.errors = 0;
                    self.failed += u32::from(value > self.measure.limit());
                }
                None if self.empty == Empty::Error => {
                    self.errors += 1;
                    self.next = t + 10.0;
                }
                None => self.errors = 0,
            }
            if self.failed > self.failure_limit || self.errors > 4 {
                return Some(End::RolledBack);
            }
        }
        self.step().is_none().then_some(End::Promoted)
    }

    fn word(&self) -> &'static str {
        ""
    }
}
