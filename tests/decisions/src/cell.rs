//! One setting in one scenario: many runs, and what they came to.

use std::collections::BTreeMap;

use microapp_core::{
    replay::Malformed,
    simulate::{Quantiles, interval},
};

use crate::{
    bench::spread,
    rule::{self, End, Run},
    table::Setting,
    world::{Fault, Measure, Scenario},
};

/// All runs of one setting in one scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    runs: Vec<Run>,
}

/// A share with its interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// How many.
    pub hits: u64,
    /// Of how many.
    pub runs: u64,
}

impl Share {
    /// As a number.
    pub fn value(self) -> f64 {
        self.hits as f64 / self.runs as f64
    }

    /// Where the true one lies, with 95 % confidence.
    pub fn interval(self) -> (f64, f64) {
        interval(self.hits, self.runs, 0.95)
    }

    /// It is below this with 95 % confidence, one-sided.
    pub fn upper(self) -> f64 {
        interval(self.hits, self.runs, 0.9).1
    }
}

impl Cell {
    /// `runs` attempts on so many threads; the result does not depend on their number.
    pub fn measure(
        setting: Setting,
        scenario: Scenario,
        runs: u64,
        seed: u64,
        threads: u64,
    ) -> Result<Self, Malformed> {
        let run = |index| Ok(rule::run(scenario, &mut *setting.rule(scenario.measure)?, seed, index));
        Ok(Self { runs: spread(runs, threads, run)? })
    }

    /// Out of runs.
    pub const fn of(runs: Vec<Run>) -> Self {
        Self { runs }
    }

    /// How often it ended so.
    pub fn share(&self, end: End) -> Share {
        let hits = self.runs.iter().filter(|run| run.end == end).count() as u64;
        Share { hits, runs: self.runs.len() as u64 }
    }

    /// Of the runs that ended so; none where there is no such run.
    pub fn quantiles(&self, end: End, value: impl Fn(&Run) -> f64) -> Option<Quantiles> {
        let values: Vec<_> = self.runs.iter().filter(|run| run.end == end).map(value).collect();
        (!values.is_empty()).then(|| Quantiles::of(values))
    }

    /// The rule's words for the runs that ended so, with their numbers, the most frequent first.
    pub fn words(&self, end: End) -> Vec<(&str, usize)> {
        let mut words: BTreeMap<&str, usize> = BTreeMap::new();
        for run in self.runs.iter().filter(|run| run.end == end) {
            *words.entry(&run.word).or_default() += 1;
        }
        let mut words: Vec<_> = words.into_iter().collect();
        words.sort_by_key(|(_, runs)| std::cmp::Reverse(*runs));
        words
    }

    /// Bad responses served per run, whatever the end: the mean.
    pub fn mean_bad(&self) -> f64 {
        self.runs.iter().map(|run| run.bad as f64).sum::<f64>() / self.runs.len() as f64
    }
}

/// No test whose false alarms are at most 1 % and that always finds the fault can do with fewer requests on average:
/// ln(1 / α) / KL(p₁ ‖ p₀) (Wald 1945). For faults that are there from the first request on.
pub fn bound(scenario: Scenario) -> Option<(f64, f64)> {
    let (Fault::Always(bad), Measure::Errors | Measure::Latency) = (scenario.fault, scenario.measure) else {
        return None;
    };
    let good = scenario.stable;
    let term = |a: f64, b: f64| if a > 0.0 { a * libm::log(a / b) } else { 0.0 };
    let requests = libm::log(100.0) / (term(bad, good) + term(1.0 - bad, 1.0 - good));
    Some((requests, requests * bad))
}
