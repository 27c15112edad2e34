//! Native histograms as counts. A sample holds its buckets; what is needed of them is how many requests were not slower
//! than a threshold, so that the rest of the crate sees the series that a classic histogram would have had.
//!
//! A threshold inside of a bucket is counted twice, as between two classic bounds: with the bucket (for Fail) and without
//! it (for Pass).

use std::collections::{BTreeMap, BTreeSet};

use microapp_core::strategy::GateKind;

use crate::{
    own::{base, per_second},
    presets,
    query::Subject,
    series::{Answer, Histogram, Sample, Series},
};

/// What no bound of a classic histogram holds.
pub(crate) const MARK: char = '|';

/// The bound under a threshold in microseconds, as `le` of a series that is made here.
pub(crate) fn lower(max_micros: i64) -> String {
    format!("{max_micros}{MARK}lower")
}

/// The bound over a threshold.
pub(crate) fn upper(max_micros: i64) -> String {
    format!("{max_micros}{MARK}upper")
}

/// The answer with the series that classic histograms would have had; `None` where nothing is native. A family that has
/// classic series too keeps those.
pub(crate) fn as_classic(answer: &Answer, subject: &Subject) -> Option<Answer> {
    if answer.series.iter().all(|series| series.histograms.is_empty()) {
        return None;
    }
    let mut thresholds: BTreeMap<&str, BTreeSet<(i64, i64)>> = BTreeMap::new();
    for gate in &subject.gates {
        let definition = presets::definition(gate.source);
        match &gate.kind {
            GateKind::Slow { own: Some(own), max_micros, .. } => {
                let base = base(own);
                thresholds.entry(base).or_default().insert((*max_micros, per_second(base)));
            }
            GateKind::Slow { what, max_micros, own: None, .. } => {
                for base in definition.times(*what) {
                    thresholds.entry(base).or_default().insert((*max_micros, definition.per_second(base)));
                }
            }
            _ => {}
        }
    }
    let classic: BTreeSet<&str> =
        answer.series.iter().filter_map(|series| series.name().strip_suffix("_count")).collect();
    let mut series = Vec::with_capacity(answer.series.len());
    for one in &answer.series {
        match thresholds.get(one.name()) {
            Some(wanted) if !one.histograms.is_empty() && !classic.contains(one.name()) => {
                series.extend(counts(one, wanted));
            }
            Some(_) | None if one.histograms.is_empty() => series.push(one.clone()),
            Some(_) | None => {}
        }
    }
    Some(Answer { series, ..answer.clone() })
}

fn counts(native: &Series, wanted: &BTreeSet<(i64, i64)>) -> Vec<Series> {
    let breaks: Vec<i64> = native
        .histograms
        .windows(2)
        .filter(|pair| is_other_schema(&pair[0], &pair[1]))
        .map(|pair| pair[1].at)
        .collect();
    let like = |suffix: &str, le: Option<String>, value: &dyn Fn(&Histogram) -> f64| {
        let mut labels = native.labels.clone();
        labels.set("__name__", &format!("{}{suffix}", native.name()));
        if let Some(le) = le {
            labels.set("le", &le);
        }
        let samples = native.histograms.iter().map(|one| Sample { at: one.at, value: value(one) }).collect();
        Series { labels, samples, breaks: breaks.clone(), ..Series::default() }
    };
    let mut found = vec![like("_count", None, &|one| one.count)];
    for (micros, per_second) in wanted {
        let threshold = *micros as f64 * *per_second as f64 / 1e6;
        // Bounds are powers of a root of two; a threshold that was meant to be one differs by rounding.
        let slack = threshold * 1e-9;
        let under = |test: &dyn Fn(f64, f64) -> bool, one: &Histogram| {
            one.buckets.iter().filter(|(low, high, _)| test(*low, *high)).map(|(.., count)| count).sum()
        };
        let upper_count = |one: &Histogram| under(&|low, _| low < threshold - slack, one);
        let lower_count = |one: &Histogram| under(&|_, high| high <= threshold + slack, one);
        found.push(like("_bucket", Some(upper(*micros)), &upper_count));
        found.push(like("_bucket", Some(lower(*micros)), &lower_count));
    }
    found
}

/// A bucket that held something is gone although nothing was reset: the buckets were merged.
fn is_other_schema(before: &Histogram, after: &Histogram) -> bool {
    after.count >= before.count
        && before.buckets.iter().any(|(low, high, _)| {
            !after.buckets.iter().any(|(l, h, _)| l.to_bits() == low.to_bits() && h.to_bits() == high.to_bits())
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn histogram(at: i64, buckets: &[(f64, f64, f64)]) -> Histogram {
        Histogram { at, count: buckets.iter().map(|(.., count)| count).sum(), buckets: buckets.to_vec() }
    }

    #[test]
    fn a_threshold_inside_of_a_bucket_counts_it_for_one_side_only() {
        let native = Series {
            labels: [("__name__", "d")].into_iter().collect(),
            histograms: vec![histogram(1, &[(0.5, 1.0, 3.0), (1.0, 2.0, 4.0), (2.0, 4.0, 5.0)])],
            ..Series::default()
        };
        let found = counts(&native, &[(1_500_000, 1), (2_000_000, 1)].into());
        let value = |le: &str| found.iter().find(|series| series.label("le") == le).unwrap().samples[0].value;
        assert_eq!(found[0].samples[0].value.to_bits(), 12.0_f64.to_bits());
        let values = [upper(1_500_000), lower(1_500_000), upper(2_000_000), lower(2_000_000)].map(|le| value(&le));
        assert_eq!(values.map(f64::to_bits), [7.0, 3.0, 7.0, 7.0].map(f64::to_bits));
    }

    #[test]
    fn merged_buckets_are_another_schema_and_a_reset_is_not() {
        let fine = histogram(1, &[(1.0, 1.4, 3.0), (1.4, 2.0, 4.0)]);
        assert!(is_other_schema(&fine, &histogram(2, &[(1.0, 2.0, 8.0)])));
        assert!(!is_other_schema(&fine, &histogram(2, &[(1.0, 1.4, 3.0), (1.4, 2.0, 5.0), (2.0, 2.8, 1.0)])));
        assert!(!is_other_schema(&fine, &histogram(2, &[(2.0, 4.0, 1.0)])));
    }
}
