//! Counters and histograms of the user's own, on what real exporters exposed.
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;
mod histograms;

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
