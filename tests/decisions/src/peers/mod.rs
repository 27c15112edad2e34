//! The rules of others, written anew from their documentation; nothing of their code is here.
//!
//! All are treated kindly: their queries see exact counts (no extrapolation, no lost first sample of a new series), a
//! decision takes effect at once, and their limits are the ones that our gate has.

pub mod argo;
pub mod flagger;
pub mod kayenta;

use std::collections::VecDeque;

use crate::world::{Measure, Sample};

/// The samples that a query over the last so many seconds sees.
#[derive(Clone, Debug)]
pub struct Range {
    seconds: f64,
    samples: VecDeque<(f64, [Sample; 2])>,
}

impl Range {
    /// A query's range.
    pub const fn new(seconds: f64) -> Self {
        Self { seconds, samples: VecDeque::new() }
    }

    /// A scrape.
    pub fn push(&mut self, t: f64, samples: [Sample; 2]) {
        self.samples.push_back((t, samples));
    }

    /// The value at `t`: the share of bad ones, or the canary's mean cost over stable's, less 1. `None`: no data, or
    /// 0 / 0.
    pub fn value(&mut self, t: f64, measure: Measure) -> Option<f64> {
        while self.samples.front().is_some_and(|(end, _)| *end <= t - self.seconds) {
            self.samples.pop_front();
        }
        let sum =
            |arm: usize| self.samples.iter().map(|(_, samples)| samples[arm]).fold(Sample::default(), |a, b| a + b);
        let ratio = |sample: Sample| (sample.n > 0).then(|| sample.bad as f64 / sample.n as f64);
        match measure {
            Measure::Errors | Measure::Latency | Measure::Grounded => ratio(sum(0)),
            Measure::Cost => Some(ratio(sum(0))? / ratio(sum(1))? - 1.0),
        }
    }
}

/// Is `t` a multiple of `interval`? Both are whole seconds.
fn is_due(t: f64, interval: f64) -> bool {
    (t / interval).fract() == 0.0
}
