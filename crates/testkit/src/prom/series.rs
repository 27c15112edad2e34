//! Series and their samples, as Prometheus' head block has them.

use std::collections::BTreeMap;

use promql_parser::parser::VectorSelector;

/// A series' identity, `__name__` included.
pub(super) type Labels = BTreeMap<String, String>;
/// Milliseconds since 1970 and a value.
pub(super) type Sample = (i64, f64);

/// The bit pattern by which Prometheus says that a series has ended.
const STALE: u64 = 0x7ff0_0000_0000_0002;

pub(super) fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE
}

#[derive(Debug)]
pub(super) struct Series {
    pub labels: Labels,
    pub samples: Vec<Sample>,
}

/// All series.
#[derive(Debug, Default)]
pub(super) struct Database {
    pub series: Vec<Series>,
    index: BTreeMap<Labels, usize>,
}

impl Database {
    /// The place of a series, which is made if it is new.
    pub fn series(&mut self, labels: Labels) -> usize {
        let next = self.series.len();
        let at = *self.index.entry(labels.clone()).or_insert(next);
        if at == next {
            self.series.push(Series { labels, samples: vec![] });
        }
        at
    }

    /// Appends a sample; one that is not newer than the last is out of order and dropped.
    pub fn append(&mut self, series: usize, time: i64, value: f64) {
        let Some(series) = self.series.get_mut(series) else { return };
        if series.samples.last().is_none_or(|(last, _)| *last < time) {
            series.samples.push((time, value));
        }
    }

    /// Marks the end of a series.
    pub fn end(&mut self, series: usize, time: i64) {
        let live = self.series.get(series).and_then(|s| s.samples.last()).is_some_and(|(_, v)| !is_stale(*v));
        if live {
            self.append(series, time, f64::from_bits(STALE));
        }
    }

    /// Loses every sample later than `time`.
    pub fn lose(&mut self, time: i64) {
        for series in &mut self.series {
            series.samples.truncate(series.samples.partition_point(|(at, _)| *at <= time));
        }
    }

    /// Series that a selector picks.
    pub fn select(&self, selector: &VectorSelector) -> Vec<&Series> {
        let matches = |labels: &Labels| {
            let value = |name: &str| labels.get(name).map_or("", String::as_str);
            let all = |list: &[promql_parser::label::Matcher]| list.iter().all(|m| m.is_match(value(&m.name)));
            let alternatives = &selector.matchers.or_matchers;
            selector.name.as_deref().is_none_or(|name| value("__name__") == name)
                && all(&selector.matchers.matchers)
                && (alternatives.is_empty() || alternatives.iter().any(|list| all(list)))
        };
        self.series.iter().filter(|s| matches(&s.labels)).collect()
    }
}

impl Series {
    /// Samples later than `from` and not later than `until`, without the marks of an end.
    pub fn between(&self, from: i64, until: i64) -> Vec<Sample> {
        let first = self.samples.partition_point(|(t, _)| *t <= from);
        let last = self.samples.partition_point(|(t, _)| *t <= until);
        let range = self.samples.get(first..last).unwrap_or_default();
        range.iter().copied().filter(|(_, v)| !is_stale(*v)).collect()
    }

    /// What an instant selector sees: the last sample of the last five minutes, unless the series has ended.
    pub fn instant(&self, at: i64) -> Option<f64> {
        let last = self.samples.partition_point(|(t, _)| *t <= at);
        let (time, value) = *self.samples.get(last.checked_sub(1)?)?;
        (time > at - 300_000 && !is_stale(value)).then_some(value)
    }
}
