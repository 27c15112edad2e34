//! Counters and histograms of the user's own, on what real exporters exposed.
#![allow(clippy::unwrap_used)]

mod common;

use common::{
    exposition::{Exposed, capture, parse},
    *,
};
use microapp_core::{
    counts::{Ask, Before, Counts, Side, Unfit, Unknown, Watch},
    strategy::{Gate, GateKind, OwnHistogram, Preset, Share, Slow},
};
use microapp_telemetry::{PriceTable, decode::decode, digest, queries};

fn ratio(bad: &str, total: &str) -> Gate {
    let what = Share::Ratio { bad: bad.to_owned(), total: total.to_owned() };
    gate("own", GateKind::Share { what, max_ppm: Some(500_000) }, Preset::OtelHttp)
}

fn slow(histogram: &str, matching: Option<&str>, max_micros: i64) -> Gate {
    let own = Some(OwnHistogram { histogram: histogram.to_owned(), matching: matching.map(str::to_owned) });
    gate("own", GateKind::Slow { what: Slow::Response, slow_ppm: 50_000, max_micros, own }, Preset::OtelHttp)
}

/// What preflight finds where stable exposed nothing but zeros at first, and then all of this.
fn before(exposed: &[Exposed], gate: &Gate) -> Result<Before, Unfit> {
    let mut store = Store::default();
    // A slice of the baseline is a minute.
    let seconds: Vec<f64> = (0..15).map(|minute| f64::from(minute) * 60.0 - 900.0).collect();
    store.exposes(STABLE, &seconds, exposed);
    let counts = store.ask(&subject(vec![gate.clone()]), &Ask::Baseline, &Watch::default(), 0.0);
    let Counts::Baseline { mut gates, .. } = counts else { panic!("{counts:?}") };
    gates.remove(&gate.name).unwrap()
}

/// The counts of stable, and what to know of the gate.
fn counted(exposed: &[Exposed], gate: &Gate) -> (Side, String) {
    let before = before(exposed, gate).unwrap_or_else(|unfit| panic!("{}", unfit.message));
    (before.side, before.caveat.unwrap_or_default())
}

/// Why the gate cannot be used, which waiting may or may not mend.
fn refused(exposed: &[Exposed], gate: &Gate) -> (Unknown, bool, String) {
    let unfit = before(exposed, gate).unwrap_err();
    (unfit.reason, unfit.fatal, unfit.message)
}

/// What the windows count of a canary that exposed all of this, and of a stable that did.
fn windows(exposed: &[Exposed], gate: &Gate) -> (Side, Side) {
    let mut store = Store::default();
    for pod in [CANARY, STABLE] {
        store.exposes(pod, &[-2.0, 3.0, 8.0], exposed);
    }
    let windows = store.windows(&subject(vec![gate.clone()]), 9.0);
    let mut both = windows.iter().map(|window| sides(window, "own")).filter(|(side, _)| *side != Some(none(*side)));
    let (canary, stable) = both.next().unwrap();
    (canary.unwrap(), stable.unwrap())
}

fn none(like: Option<Side>) -> Side {
    match like {
        Some(Side::Count { .. }) | None => Side::count(0, 0),
        Some(other) => panic!("{other:?}"),
    }
}

#[test]
fn a_ratio_that_reads_as_the_exporter_writes_counts_every_failure() {
    // Twice the traffic of phase B, of which the app answered 45 requests with 500. Of 648 requests 219 were probes and
    // scrapes (/healthz, /metrics).
    let app = capture("instrumentator");
    let (side, caveat) = counted(&app, &ratio(r#"http_requests_total{status="5xx"}"#, "http_requests_total"));
    assert_eq!((side, caveat.as_str()), (Side::count(90, 429), ""));
    let gate = ratio(
        r#"http_requests_total{status=~"5..",handler=~"/ask|/stream"}"#,
        r#"http_requests_total{handler=~"/ask|/stream"}"#,
    );
    assert_eq!(counted(&app, &gate), (Side::count(90, 399), String::new()));
}

#[test]
fn a_bad_counter_that_nobody_has_is_refused_with_what_there_is() {
    let gate = ratio(r#"http_request_total{status="5xx"}"#, "http_requests_total");
    assert_eq!(
        refused(&capture("instrumentator"), &gate),
        (
            Unknown::NoData,
            false,
            "stable has no metric http_request_total, so that nothing would ever count as bad: stable has \
             http_requests_total with status=2xx,4xx,5xx, handler=/ask,/stream,none, \
             method=POST; write http_requests_total{status=~\"5..\"}; a counter that begins with its first failure \
             must be set to 0 when the process starts"
                .to_owned()
        )
    );
}

#[test]
fn a_label_that_nobody_has_is_refused_with_the_labels_there_are() {
    for (name, total, label, write) in [
        ("instrumentator", "http_requests_total", "code", r#"http_requests_total{status=~"5.."}"#),
        ("handmade", "http_requests_total", "status_code", r#"http_requests_total{status=~"5.."}"#),
        ("nodeprom", "http_requests_total", "status", r#"http_requests_total{code=~"5.."}"#),
        ("flask", "flask_http_request_total", "status_code", r#"flask_http_request_total{status=~"5.."}"#),
        ("starletteexp", "starlette_requests_total", "status", r#"starlette_requests_total{status_code=~"5.."}"#),
        (
            "otelold",
            "http_server_duration_milliseconds_count",
            "status_code",
            r#"http_server_duration_milliseconds_count{http_status_code=~"5.."}"#,
        ),
        (
            "otelnew",
            "http_server_request_duration_seconds_count",
            "http_status_code",
            r#"http_server_request_duration_seconds_count{http_response_status_code=~"5.."}"#,
        ),
    ] {
        let bad = format!("{total}{{{label}=~\"5..\"}}");
        let (reason, fatal, message) = refused(&capture(name), &ratio(&bad, total));
        assert_eq!((reason, fatal), (Unknown::NoData, false), "{name}");
        let says = format!(
            "no series of stable's {total} has the label {label}, so that {bad} could never match and the gate never \
             fail: stable has {total} with "
        );
        assert!(message.starts_with(&says) && message.ends_with(&format!("; write {write}")), "{name}: {message}");
        // What it says to write works.
        assert!(before(&capture(name), &ratio(write, total)).is_ok(), "{name}");
    }
}

#[test]
fn a_value_that_has_not_come_yet_is_told_with_the_values_there_are() {
    // Exceptions never reach the `.inc()` of a middleware written by hand: 90 answers with 500 are not in it.
    let gate = ratio(r#"http_requests_total{status=~"5.."}"#, "http_requests_total");
    assert_eq!(
        counted(&capture("handmade"), &gate),
        (
            Side::count(0, 331),
            "no series of stable matches http_requests_total{status=~\"5..\"} yet; status is 200, 404, 422: make \
             sure that failures read so"
                .to_owned()
        )
    );
    let gate = ratio(r#"http_requests_total{status="500"}"#, "http_requests_total");
    assert_eq!(
        counted(&capture("instrumentator"), &gate).1,
        "no series of stable matches http_requests_total{status=\"500\"} yet; status is 2xx, 4xx, 5xx: \
         status=\"500\" can match none of their kind: write status=~\"5..\""
    );
    let gate = ratio(r#"flask_http_request_total{status="5xx"}"#, "flask_http_request_total");
    assert!(counted(&capture("flask"), &gate).1.ends_with("can match none of their kind: write status=~\"5..\""));
    let spring = own(&[
        (r#"http_server_requests_seconds_count{outcome="SUCCESS",status="200"}"#, 40.0),
        (r#"http_server_requests_seconds_count{outcome="CLIENT_ERROR",status="404"}"#, 2.0),
    ]);
    for (written, advice) in [
        (r#"{outcome=~"5.."}"#, "can match none of their kind: write outcome=\"SERVER_ERROR\""),
        (r#"{outcome="server_error"}"#, "can match none of their kind: write outcome=\"SERVER_ERROR\""),
        (r#"{outcome="SERVER_ERROR"}"#, "make sure that failures read so"),
    ] {
        let gate = ratio(&format!("http_server_requests_seconds_count{written}"), "http_server_requests_seconds_count");
        let told = counted(&spring, &gate).1;
        assert!(told.ends_with(advice), "{written}: {told}");
    }
    let gate = ratio(r#"http_requests_total{status="5xx",handler="/aks"}"#, "http_requests_total");
    let told = counted(&capture("instrumentator"), &gate).1;
    assert!(told.ends_with("yet; handler is /ask: make sure that failures read so"), "of those with 5xx: {told}");
}

#[test]
fn a_total_that_leaves_failures_out_is_refused() {
    let gate = ratio(r#"http_requests_total{status=~"[45].."}"#, r#"http_requests_total{status=~"2.."}"#);
    assert_eq!(
        refused(&capture("handmade"), &gate).2,
        "http_requests_total{status=~\"2..\"} leaves out by its label status what http_requests_total{status=~\"[45]..\"} \
         counts, so that failures would not be among the requests: let total count every request"
    );
    for total in [r#"http_requests_total{status!="404"}"#, r#"http_requests_total{status=~"[25].."}"#] {
        let gate = ratio(r#"http_requests_total{status=~"5.."}"#, total);
        assert!(before(&capture("handmade"), &gate).is_ok(), "{total}");
    }
}

/// Requests of a metric with these labels and values.
fn own(rows: &[(&str, f64)]) -> Vec<Exposed> {
    let lines: Vec<String> = rows.iter().map(|(series, value)| format!("{series} {value}\n")).collect();
    parse(&lines.concat())
}

#[test]
fn a_matcher_that_leaves_out_what_nobody_has_is_no_filter() {
    let app = capture("instrumentator");
    let (_, fatal, message) = refused(&app, &ratio(r#"http_requests_total{code!~"2.."}"#, "http_requests_total"));
    assert!(!fatal && message.contains("has the label code, so that "), "{message}");
    assert!(message.contains("takes every request for a bad one: stable has http_requests_total with"), "{message}");
    let gate =
        ratio(r#"http_requests_total{status="5xx",path!="/healthz"}"#, r#"http_requests_total{path!="/healthz"}"#);
    assert_eq!(
        counted(&app, &gate),
        (
            Side::count(90, 429),
            "path!=\"/healthz\" leaves nothing out, since no series of stable's http_requests_total has this label"
                .to_owned()
        )
    );
    let gate = ratio(r#"http_requests_total{status!~"2..|4.."}"#, "http_requests_total");
    assert_eq!(counted(&app, &gate), (Side::count(90, 429), String::new()), "a filter that has something to do");
}

#[test]
fn a_label_of_failures_alone_may_be_absent_while_nothing_has_failed() {
    let healthy = own(&[("jobs_total{queue=\"a\"}", 40.0)]);
    for bad in [r#"jobs_total{error!=""}"#, r#"jobs_total{error=~".+"}"#, r#"jobs_total{error_type="timeout"}"#] {
        let (side, told) = counted(&healthy, &ratio(bad, "jobs_total"));
        assert_eq!(side, Side::count(0, 40), "{bad}");
        assert!(told.contains("yet: make sure that failures carry it"), "{bad}: {told}");
    }
    let failing = own(&[("jobs_total{queue=\"a\"}", 40.0), ("jobs_total{error=\"timeout\",queue=\"a\"}", 2.0)]);
    assert_eq!(
        counted(&failing, &ratio(r#"jobs_total{error!=""}"#, "jobs_total")),
        (Side::count(2, 42), String::new())
    );
    // A status is no label of failures alone, and a value that is asked for by name may be misspelt.
    for bad in [r#"jobs_total{status!=""}"#, r#"jobs_total{error="timeout"}"#] {
        assert_eq!(refused(&healthy, &ratio(bad, "jobs_total")).0, Unknown::NoData, "{bad}");
    }
    let told = refused(&healthy, &ratio(r#"jobs_total{error="timeout"}"#, "jobs_total")).2;
    assert!(
        told.ends_with("stable has jobs_total with queue=a; where only failures carry it, write error!=\"\""),
        "{told}"
    );
    let without = own(&[("jobs_total{}", 40.0), ("jobs_total{status=\"ok\"}", 4.0)]);
    let gate = ratio(r#"jobs_total{status=""}"#, "jobs_total");
    assert_eq!(counted(&without, &gate), (Side::count(40, 44), String::new()), "asked for on purpose");
}

#[test]
fn a_bound_that_no_bucket_has_is_refused_for_good_in_whichever_spelling() {
    let gate = |le: &str| {
        ratio(
            &format!("flask_http_request_duration_seconds_bucket{{le=\"{le}\"}}"),
            "flask_http_request_duration_seconds_count",
        )
    };
    let app = capture("flask");
    let (reason, fatal, message) = refused(&app, &gate("3"));
    assert_eq!((reason, fatal), (Unknown::MissingBucket, true));
    assert!(
        message.starts_with("no series of stable is flask_http_request_duration_seconds_bucket{le=\"3\"}, and none")
    );
    let (side, told) = counted(&app, &gate("5"));
    assert_eq!(side, counted(&app, &gate("5.0")).0);
    assert!(
        told.contains("counts the requests that were fast enough: for slow ones write latency with histogram"),
        "{told}"
    );
    assert_eq!(windows(&app, &gate("5")), windows(&app, &gate("5.0")));
}

#[test]
fn a_total_that_nothing_is_is_refused_with_what_there_is() {
    let app = capture("instrumentator");
    let (_, fatal, message) = refused(&app, &ratio("a_total", r#"http_requests_total{path="/ask"}"#));
    assert!(!fatal);
    assert!(message.starts_with("no series of stable's http_requests_total has the label path, so that"), "{message}");
    let (_, _, message) = refused(&app, &ratio("a_total", r#"http_requests_total{handler="/aks"}"#));
    assert!(
        message.starts_with("no series of stable is http_requests_total{handler=\"/aks\"}: stable has http"),
        "{message}"
    );
    let (_, _, message) = refused(&app, &ratio("a_total", "b_total"));
    assert!(message.starts_with("stable has no series b_total with {namespace="), "{message}");
}

#[test]
fn what_somebody_wrote_into_a_label_reaches_no_message_whole() {
    let long = "x".repeat(5_000);
    let mut rows = vec![(format!("a_total{{status=\"\\n\\u202e{long}\"}}"), 1.0)];
    rows.extend((0..500).map(|n| (format!("a_total{{status=\"v{n}\",path=\"/{n}/{long}\"}}"), 1.0)));
    let rows: Vec<(&str, f64)> = rows.iter().map(|(series, value)| (series.as_str(), *value)).collect();
    for gate in [
        ratio("a_total{code=\"500\"}", "a_total"),
        ratio("a_total{status=\"500\"}", "a_total"),
        ratio(&format!("a_total{{status=\"{}\"}}", &long[..400]), "a_total"),
        ratio("b_total", "a_total"),
        ratio("b_total", "a_total{code=\"500\"}"),
    ] {
        let said = match before(&own(&rows), &gate) {
            Ok(before) => before.caveat.unwrap(),
            Err(unfit) => unfit.message,
        };
        assert!(said.chars().count() < 600, "{} characters: {said}", said.chars().count());
        assert!(!said.contains(|c: char| c.is_control() || c == '\u{202e}'), "{said:?}");
    }
}

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
    let answer = decode(include_bytes!("fixtures/native-prometheus-3.14.json")).unwrap();
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
