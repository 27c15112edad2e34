//! Native histograms: buckets that are counted one by one, merged ones, and captured ones.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use microapp_core::counts::{Ask, Counts, Side, Unknown, Watch, Window};
use microapp_telemetry::{Answer, Histogram, PriceTable, Series, decode::decode, digest, queries};

/// Buckets of a native histogram at a moment: bounds, and observations between them.
type Buckets<'a> = &'a [(f64, f64, f64)];

fn native(store: &Answer, pod: &str, samples: &[(f64, Buckets)]) -> Answer {
    let labels = [
        ("__name__", "gen_ai_client_operation_duration_seconds"),
        ("namespace", "fintech"),
        ("pod", pod),
        ("job", "pods"),
        ("instance", pod),
    ];
    let histograms = samples
        .iter()
        .map(|(seconds, buckets)| Histogram {
            at: at(*seconds),
            count: buckets.iter().map(|(.., count)| count).sum(),
            buckets: buckets.to_vec(),
        })
        .collect();
    let labels = labels.into_iter().collect();
    let mut answer = store.clone();
    answer.series.push(Series { labels, histograms, ..Series::default() });
    answer
}

fn natives(canary: &[(f64, Buckets)], stable: &[(f64, Buckets)]) -> Vec<Window> {
    let mut store = Store::default();
    for pod in [CANARY, STABLE] {
        for k in 0..4 {
            store.scrape(pod, f64::from(k) * 5.0 - 2.0, &[]);
        }
    }
    let subject = subject(vec![latency(1_500_000)]);
    let now = at(12.0) as f64 / 1000.0;
    let asked = queries(&subject, &Ask::Windows, &Watch::default(), now);
    assert!(asked[0].promql.contains("gen_ai_client_operation_duration_seconds|"), "{}", asked[0].promql);
    let answer = native(&native(&store.answer(&asked[0]), CANARY, canary), STABLE, stable);
    let prices = PriceTable::built_in().unwrap();
    match digest(&subject, &Ask::Windows, &Watch::default(), &[answer], &prices, now) {
        Counts::Windows(windows, _) => windows,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_native_histogram_counts_a_threshold_inside_of_a_bucket_twice() {
    let buckets = |k: f64| [(0.5, 1.0, 10.0 * k), (1.0, 2.0, 4.0 * k), (2.0, 4.0, 1.0 * k)];
    let all: Vec<[(f64, f64, f64); 3]> = [1.0, 2.0, 3.0, 4.0].map(buckets).to_vec();
    let samples: Vec<(f64, Buckets)> =
        all.iter().zip([-2.0, 3.0, 8.0, 13.0]).map(|(buckets, at)| (at, &buckets[..])).collect();
    let windows = natives(&samples, &samples);
    assert_eq!(sides(&windows[0], "latency").0, Some(Side::Count { above: 1, below: 5, total: 15 }));
}

#[test]
fn buckets_that_were_merged_say_nothing_of_that_window_and_count_again_in_the_next() {
    let fine: Buckets = &[(1.0, 1.4, 10.0), (1.4, 2.0, 4.0)];
    let merged: Buckets = &[(1.0, 2.0, 28.0)];
    let next: Buckets = &[(1.0, 2.0, 30.0), (2.0, 4.0, 3.0)];
    let canary = [(-2.0, fine), (3.0, merged), (8.0, next)];
    let steady: Buckets = &[(0.5, 1.0, 10.0)];
    let stable = [(-2.0, steady), (3.0, steady), (8.0, steady), (13.0, steady)];
    let windows = natives(&canary, &stable);
    assert_eq!(refusal(&windows[0], "latency"), Unknown::SchemaChanged);
    assert_eq!(sides(&windows[1], "latency").0, Some(Side::Count { above: 3, below: 5, total: 5 }));
}

/// Prometheus 3.14 about itself and about another one, scraped every 2 s with native histograms, on 2026-11-25. The
/// labels `namespace` and `pod` were given in its configuration.
const NATIVE: &str = include_str!("fixtures/native-prometheus-3.14.json");

#[test]
fn captured_native_histograms_count_as_prometheus_counts_them() {
    let mut answer = decode(NATIVE.as_bytes()).unwrap();
    for series in &mut answer.series {
        if series.name() == "prometheus_http_request_duration_seconds" {
            series.labels.set("__name__", "gen_ai_client_operation_duration_seconds");
        }
    }
    let first = answer.series[0].histograms[0].at;
    let mut subject = subject(vec![latency(244)]);
    (subject.attempt_started, subject.interval) = ((first / 1000) as f64, Some(2.0));
    let now = first as f64 / 1000.0 + 16.0;
    let prices = PriceTable::built_in().unwrap();
    let counts = digest(&subject, &Ask::Windows, &Watch::default(), &[answer], &prices, now);
    let Counts::Windows(windows, _) = counts else { panic!("{counts:?}") };
    let mut sum = [(0, 0, 0); 2];
    for window in &windows {
        let (canary, stable) = sides(window, "latency");
        for (sum, side) in sum.iter_mut().zip([canary, stable]) {
            let Some(Side::Count { above, below, total }) = side else { panic!("{window:?}") };
            *sum = (sum.0 + above, sum.1 + below, sum.2 + total);
        }
    }
    // 0.000244 s lies in the bucket up to 0.000244140625 s, of which `histogram_fraction` said at the last scrape that
    // 24 and 22 requests were not slower.
    assert_eq!(sum, [(21, 28, 40), (21, 26, 40)]);
}
