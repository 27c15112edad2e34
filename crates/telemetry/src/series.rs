//! What an answer of Prometheus holds.

use microapp_core::counts::Unknown;

use crate::labels::Labels;

/// One sample as Prometheus stored it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Milliseconds since the Unix epoch.
    pub at: i64,
    /// The raw value; may be NaN or infinite.
    pub value: f64,
}

/// One sample of a native histogram.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    /// Milliseconds since the Unix epoch.
    pub at: i64,
    /// All observations.
    pub count: f64,
    /// Lower bound, upper bound, observations between; rising.
    pub buckets: Vec<(f64, f64, f64)>,
}

/// One series of an answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// All labels, `__name__` among them.
    pub labels: Labels,
    /// In order of time.
    pub samples: Vec<Sample>,
    /// Native histograms, in order of time; such a series has no samples.
    pub histograms: Vec<Histogram>,
    /// From the sample before each of these times nothing can be counted.
    pub breaks: Vec<i64>,
}

impl Series {
    /// The value of a label; the empty string where there is none, as PromQL has it.
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).unwrap_or_default()
    }

    /// The metric's name.
    pub fn name(&self) -> &str {
        self.label("__name__")
    }

    /// The value at exactly this time.
    pub fn at(&self, at: i64) -> Option<f64> {
        let index = self.samples.binary_search_by_key(&at, |sample| sample.at).ok()?;
        self.samples.get(index).map(|sample| sample.value)
    }

    /// The last sample before this time.
    pub fn before(&self, at: i64) -> Option<Sample> {
        let index = self.samples.partition_point(|sample| sample.at < at);
        self.samples.get(index.checked_sub(1)?).copied()
    }
}

/// What one query brought.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// In Prometheus' order.
    pub series: Vec<Series>,
    /// The answer is partial.
    pub warnings: Vec<String>,
    /// Remarks on the query; the answer is whole.
    pub infos: Vec<String>,
    /// There is no answer, for this reason: it was a user's own query, and the others go on.
    pub failed: Option<Unknown>,
    /// Prometheus' own clock, from the `Date` header: seconds since the epoch.
    pub date: Option<f64>,
}
