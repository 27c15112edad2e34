//! `histogram`: durations in a histogram of the user's own.
#![allow(clippy::unwrap_used)]

use super::*;

/// Slower than a bound of the histogram, of all.
const fn over(slow: u64, total: u64) -> Side {
    Side::Count { above: slow, below: slow, total }
}

/// By hand from each file: the sum of the `_count` of the matching series, less the sum of their buckets at the bound. In
/// the traffic 19 streams of 3 s were slower than 2.5 s, and each file has it twice.
#[test]
fn an_own_histogram_counts_slow_requests_exactly() {
    let users = Some(r#"{http_target=~"/ask|/stream"}"#);
    for (name, histogram, matching, max_micros, slow_ones) in [
        // 139 + 90 + 142 + 28 requests; 139 + 90 + 104 + 28 within 2 500 ms.
        ("otelold", "http_server_duration_milliseconds", users, 2_500_000, over(38, 399)),
        // The same, 187 scrapes that name no route and 30 of unknown paths, all fast; 33 probes and 185 redirects are left out.
        ("otelold", "http_server_duration_milliseconds", None, 2_500_000, over(38, 616)),
        // 139 + 90 + 122 + 20 + 28; 139 + 90 + 84 + 20 + 28 within 2.5 s.
        (
            "starletteexp",
            "starlette_request_duration_seconds",
            Some(r#"{path=~"/ask|/stream"}"#),
            2_500_000,
            over(38, 399),
        ),
        // 116 + 56 + 8 + 12 + 96 + 28 + 10 + 4; 116 + 56 + 8 + 12 + 58 + 28 + 10 + 4 within 2.5 s.
        ("nodeprom", "http_request_duration_seconds", Some(r#"{route=~"/ask|/stream"}"#), 2_500_000, over(38, 330)),
        // No label: 648; 610 within 2.5 s, and as many within 3 s.
        ("instrumentator", "http_request_duration_highr_seconds", None, 2_500_000, over(38, 648)),
        ("instrumentator", "http_request_duration_highr_seconds", None, 2_560_000, over(38, 648)),
        // Its histogram with handlers ends at 1 s: 257 + 142; 193 + 104 within it.
        (
            "instrumentator",
            "http_request_duration_seconds",
            Some(r#"{handler=~"/ask|/stream"}"#),
            1_000_000,
            over(102, 399),
        ),
        // These two stop their clocks when the headers of a stream are sent: none of 159 + 142, nor of
        // 132 + 142 + 90 + 28.
        ("handmade", "http_request_duration_seconds", Some(r#"{endpoint=~"/ask|/stream"}"#), 2_500_000, over(0, 301)),
        ("flask", "flask_http_request_duration_seconds", Some(r#"{path=~"/ask|/stream"}"#), 2_500_000, over(0, 392)),
        ("flask", "flask_http_request_duration_seconds", Some(r#"{path="/ask",status="500"}"#), 1_000_000, over(6, 90)),
    ] {
        let gate = slow(histogram, matching, max_micros);
        assert_eq!(counted(&capture(name), &gate).0, slow_ones, "{name}: {histogram}{matching:?}");
        assert_eq!(windows(&capture(name), &gate), (slow_ones, slow_ones), "{name}: {histogram}{matching:?}");
        for suffix in ["_bucket", "_count", "_sum"] {
            let gate = slow(&format!("{histogram}{suffix}"), matching, max_micros);
            assert_eq!(counted(&capture(name), &gate).0, slow_ones, "{name}: with {suffix}");
        }
    }
}

#[test]
fn a_threshold_between_two_bounds_counts_twice_and_is_told_in_the_histograms_own_unit() {
    let gate = slow("http_server_duration_milliseconds", Some(r#"{http_target="/stream"}"#), 4_000_000);
    // 142; 104 within 2 500 ms, 142 within 5 000 ms.
    let (side, told) = counted(&capture("otelold"), &gate);
    assert_eq!(side, Side::Count { above: 0, below: 38, total: 142 });
    assert!(
        told.starts_with("its threshold lies between the bucket bounds 2500 and 5000 of http_server_duration"),
        "{told}"
    );
    let (reason, fatal, message) =
        refused(&capture("instrumentator"), &slow("http_request_duration_seconds", None, 2_500_000));
    assert_eq!((reason, fatal), (Unknown::MissingBucket, true));
    assert!(
        message.contains("above the highest finite bucket bound 1.0 s of http_request_duration_seconds"),
        "{message}"
    );
    let (_, _, message) = refused(&capture("otelold"), &slow("http_server_duration_milliseconds", None, 60_000_000));
    assert!(
        message.contains("the highest finite bucket bound 10000.0 ms") && message.ends_with("at most 10s"),
        "{message}"
    );
}

#[test]
fn the_name_of_a_histogram_says_its_unit() {
    // 40 requests, 30 of them within a bound of 2 in the histogram's unit.
    for (name, two_in_micros) in [
        ("http_request_duration_seconds", 2_000_000),
        ("http_request_duration_ms", 2_000),
        ("http_server_duration_milliseconds", 2_000),
        ("api_latency_millis", 2_000),
        ("api_latency_ms_histogram", 2_000),
        ("grpc_server_handling_microseconds", 2),
        ("http_server_duration", 2_000),
        ("answer_time", 2_000_000),
        ("sglang:e2e_request_latency_seconds", 2_000_000),
    ] {
        let app = own(&[
            (&format!("{name}_bucket{{le=\"2\"}}"), 30.0),
            (&format!("{name}_bucket{{le=\"+Inf\"}}"), 40.0),
            (&format!("{name}_count{{}}"), 40.0),
        ]);
        assert_eq!(counted(&app, &slow(name, None, two_in_micros)).0, over(10, 40), "{name}");
    }
    let nanos = own(&[("d_ns_bucket{le=\"2e9\"}", 30.0), ("d_ns_bucket{le=\"+Inf\"}", 40.0), ("d_ns_count{}", 40.0)]);
    assert_eq!(counted(&nanos, &slow("d_ns", None, 2_000_000)).0, over(10, 40));
}

#[test]
fn what_is_no_list_of_matchers_is_refused_for_good() {
    let app = capture("nodeprom");
    for matching in [
        r#"route="/ask""#,
        r#"{route="/ask"} or vector(1)"#,
        "_bucket",
        "{route=}",
        "[5m]",
        r#"{route="/ask"} offset 5m"#,
        r#"{namespace="payments"}"#,
        r#"{namespace="fintech"}"#,
        r#"{__name__="up"}"#,
        r#"{le="2.5"}"#,
        "# all",
    ] {
        let (reason, fatal, message) = refused(&app, &slow("http_request_duration_seconds", Some(matching), 2_500_000));
        assert_eq!((reason, fatal), (Unknown::BadQuery, true), "{matching}: {message}");
        assert!(
            message.starts_with("matching ") && message.contains("write matchers in braces"),
            "{matching}: {message}"
        );
    }
    for (matching, requests) in [(r#"{route!="/healthz"}"#, 360), ("{}", 360), (" ", 360), (r#"{route="/ask",}"#, 234)]
    {
        let counts = over(if requests == 234 { 0 } else { 38 }, requests);
        let gate = slow("http_request_duration_seconds", Some(matching), 2_500_000);
        assert_eq!(counted(&app, &gate).0, counts, "{matching}");
    }
    let (_, fatal, message) = refused(&app, &slow("http request", None, 2_500_000));
    assert!(fatal && message.contains("is no name of a metric"), "{message}");
}

#[test]
fn a_histogram_or_label_that_nobody_has_is_refused_with_what_there_is() {
    let app = capture("nodeprom");
    let (reason, fatal, message) = refused(&app, &slow("http_request_duration_ms", None, 2_500_000));
    assert_eq!((reason, fatal), (Unknown::NoData, false));
    assert!(message.starts_with("stable has no series http_request_duration_ms_count with {"), "{message}");
    let (_, _, message) = refused(&app, &slow("http_request_duration_seconds", Some(r#"{path="/ask"}"#), 2_500_000));
    assert!(
        message.starts_with("no series of stable's http_request_duration_seconds_count has the label path, so that")
            && message
                .contains("stable has http_request_duration_seconds_count with code=200,400,401,404,422,429,… (7"),
        "{message}"
    );
    let summary = own(&[("d_seconds_count{}", 4.0), ("d_seconds_sum{}", 4.0), ("d_seconds{quantile=\"0.9\"}", 1.0)]);
    let (reason, _, message) = refused(&summary, &slow("d_seconds", None, 2_500_000));
    assert!(reason == Unknown::MissingBucket && message.contains("a summary has none"), "{message}");
}

/// Prometheus 3.14 about itself and about another one, see `native.rs`.
#[test]
fn an_own_native_histogram_counts_as_prometheus_counts_it() {
    let answer = decode(include_bytes!("../fixtures/native-prometheus-3.14.json")).unwrap();
    let first = answer.series[0].histograms[0].at;
    let gate = slow("prometheus_http_request_duration_seconds", Some(r#"{handler="/api/v1/query"}"#), 244);
    let mut subject = subject(vec![gate]);
    (subject.attempt_started, subject.interval) = ((first / 1000) as f64, Some(2.0));
    let now = first as f64 / 1000.0 + 16.0;
    let prices = PriceTable::built_in().unwrap();
    let counts = digest(&subject, &Ask::Windows, &Watch::default(), &[answer], &prices, now);
    let Counts::Windows(windows, watch) = counts else { panic!("{counts:?}") };
    let mut sum = [(0, 0, 0); 2];
    for window in &windows {
        let (canary, stable) = sides(window, "own");
        for (sum, side) in sum.iter_mut().zip([canary, stable]) {
            let Some(Side::Count { above, below, total }) = side else { panic!("{window:?}") };
            *sum = (sum.0 + above, sum.1 + below, sum.2 + total);
        }
    }
    assert_eq!(sum, [(21, 28, 40), (21, 26, 40)]);
    let asked = queries(&subject, &Ask::Windows, &watch, now);
    assert!(asked[0].promql.contains("|prometheus_http_request_duration_seconds|"), "{}", asked[0].promql);
}

#[test]
fn a_pinned_histogram_asks_for_its_two_bounds_alone() {
    let gate = slow("http_server_duration_milliseconds_bucket", None, 4_000_000);
    let mut store = Store::default();
    store.exposes(STABLE, &[-900.0, -840.0, -780.0], &capture("otelold"));
    let subject = subject(vec![gate]);
    let Counts::Baseline { pins, .. } = store.ask(&subject, &Ask::Baseline, &Watch::default(), 0.0) else { panic!() };
    let asked = queries(&subject, &Ask::Windows, &Watch { pins, ..Watch::default() }, at(1.0) as f64 / 1000.0);
    let text = &asked[0].promql;
    assert!(
        text.contains("http_server_duration_milliseconds_bucket|http_server_duration_milliseconds_count"),
        "{text}"
    );
    assert!(text.contains(r#"le=~"|2500|2500\\.0|5000|5000\\.0""#), "{text}");
}

#[test]
fn it_is_told_apart_by_a_gateway_as_by_pods() {
    let mut gate = slow("gateway_seconds", None, 1_000_000);
    gate.source = Preset::Envoy;
    let mut store = Store::default();
    for (cluster, slow) in
        [("fintech_shop-bbbbbbbbbb_8080", 3.0), ("fintech_shop-aaaaaaaaaa_8080", 1.0), ("x_shop-bbbbbbbbbb_8080", 9.0)]
    {
        for k in 0..4_u32 {
            for (name, le, value) in
                [("gateway_seconds_count", None, 20.0), ("gateway_seconds_bucket", Some("1"), 20.0 - slow)]
            {
                let labels = [("__name__", name), ("job", "envoy"), ("envoy_cluster_name", cluster)];
                let labels = [&labels[..], le.map(|le| ("le", le)).as_slice()].concat();
                store.put(&labels, f64::from(k) * 5.0 - 2.0, value * f64::from(k + 1));
            }
        }
    }
    let windows = store.windows(&subject(vec![gate]), 8.1);
    assert_eq!(sides(&windows[1], "own"), (Some(over(3, 20)), Some(over(1, 20))));
}
