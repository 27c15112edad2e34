//! Streams, tokens and models of real applications: each number beside what the traffic generator saw, and each one that
//! would be wrong refused with a sentence, or told of.
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;
mod means;
mod proxies;
mod unfinished;

use common::{exposition::Exposed, exposition::capture, *};
use microapp_core::{
    counts::{Ask, Before, Counts, Per, Side, Unfit, Unknown, Watch, Window},
    strategy::{Gate, GateKind, Mean, Preset, Share, Slow},
};
use microapp_telemetry::Pin;

const MODEL: &str = "gen_ai_response_model";
const PINNED: &str = "gpt-5-nano-2025-08-07";
const INPUT: &str = "gen_ai_client_token_usage_count";
const USAGE: &str = "gen_ai_client_token_usage_sum";
const V2: &str = "opentelemetry.instrumentation.openai_v2";

/// What preflight makes of a gate where stable exposed this, and what it pinned.
fn asked(exposed: &[Exposed], gate: Gate) -> (Result<Before, Unfit>, Pin) {
    let mut store = Store::default();
    store.exposes(STABLE, &[-600.0, -300.0, -60.0], exposed);
    let name = gate.name.clone();
    let subject = subject(vec![gate]);
    let Counts::Baseline { mut gates, pins, .. } = store.ask(&subject, &Ask::Baseline, &Watch::default(), 0.0) else {
        panic!("preflight has a baseline")
    };
    let pin = pins.get(&name).and_then(|text| Pin::read(text)).unwrap_or_default();
    (gates.remove(&name).unwrap(), pin)
}

fn before(name: &str, gate: Gate) -> Before {
    asked(&capture(name), gate).0.unwrap()
}

fn caveat(name: &str, gate: Gate) -> String {
    before(name, gate).caveat.unwrap_or_default()
}

fn refusal(name: &str, gate: Gate) -> Unfit {
    asked(&capture(name), gate).0.unwrap_err()
}

fn tokens() -> Gate {
    gate("tokens", GateKind::Mean { what: Mean::Tokens, max: None, max_increase_ppm: Some(100_000) }, Preset::OtelGenai)
}

fn first_token(max_micros: i64) -> Gate {
    gate("first", GateKind::Slow { what: Slow::FirstToken, slow_ppm: 50_000, max_micros, own: None }, Preset::OtelGenai)
}

fn model() -> Gate {
    let accepted = ["gpt-5-nano", PINNED].map(str::to_owned).to_vec();
    gate("model", GateKind::Model { accepted }, Preset::OtelGenai)
}

fn budget() -> Gate {
    gate("budget", GateKind::Budget { max_pico_usd: 1 }, Preset::OtelGenai)
}

/// As an exporter that sets no labels of the scope.
fn without_scope(name: &str) -> Vec<Exposed> {
    let mut exposed = capture(name);
    for (labels, _) in &mut exposed {
        labels.retain(|label, _| !label.starts_with("otel_scope"));
    }
    exposed
}

fn usage(name: &str, labels: &[(&str, &str)], value: f64) -> Exposed {
    let mut all: std::collections::BTreeMap<String, String> =
        labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    all.insert("__name__".to_owned(), name.to_owned());
    (all, value)
}

/// What stable and the canary exposed, once more in each of three scrapes.
fn windows(canary: &[Counter], stable: &[Counter], gate: Gate) -> Window {
    let mut store = Store::default();
    for k in 0..4 {
        let times = f64::from(k) + 1.0;
        for (pod, rows) in [(CANARY, canary), (STABLE, stable)] {
            let rows: Vec<Counter> = rows.iter().map(|(name, labels, each)| (*name, *labels, each * times)).collect();
            store.scrape(pod, f64::from(k) * 5.0 - 2.0, &rows);
        }
    }
    store.windows(&subject(vec![gate]), 12.0).remove(0)
}

const ANSWERED: &[(&str, &str)] = &[(MODEL, PINNED), ("otel_scope_name", V2)];
const EARLY: &[(&str, &str)] = &[("otel_scope_name", V2)];
const IN: &[(&str, &str)] = &[(MODEL, PINNED), ("gen_ai_token_type", "input")];
const FAILED: &[(&str, &str)] = &[("error_type", "timeout")];

#[test]
fn a_latency_that_is_measured_to_the_headers_is_refused_with_the_way_out() {
    for name in ["otelnewv2", "otelold"] {
        let Unfit { reason, message, fatal } = refusal(name, latency(2_560_000));
        assert_eq!((reason, fatal), (Unknown::StreamsUnmeasured, false));
        assert_eq!(
            message,
            "opentelemetry.instrumentation.openai_v2 measures a stream only to its headers (142 of 299 good calls of \
             stable), so that a slow stream would count as a fast one: set \
             OTEL_SEMCONV_STABILITY_OPT_IN=gen_ai_latest_experimental or use opentelemetry-instrumentation-genai-openai"
        );
    }
}

#[test]
fn a_source_without_a_name_is_known_by_its_good_calls_without_a_model() {
    let (found, _) = asked(&without_scope("otelnewv2"), latency(2_560_000));
    let Unfit { reason, message, .. } = found.unwrap_err();
    assert_eq!(reason, Unknown::StreamsUnmeasured);
    assert!(message.starts_with("142 of 299 good calls of stable name no model that answered"), "{message}");
    for name in ["genai", "otelnew", "openlit", "nodeotel"] {
        let (found, _) = asked(&without_scope(name), latency(2_560_000));
        assert!(found.is_ok(), "{name}: {found:?}");
    }
}

#[test]
fn calls_that_took_far_less_time_than_the_requests_of_the_pods_are_told() {
    // Streams alone, and no scope: nothing of the calls names a model.
    let mut exposed = without_scope("otelnewv2");
    exposed.retain(|(labels, _)| !labels.contains_key(MODEL));
    let told = asked(&exposed, latency(2_560_000)).0.unwrap().caveat.unwrap();
    assert!(told.contains("the calls to the model took 17 s in all, the HTTP requests of the same pods 2"), "{told}");
    let mut exposed = without_scope("genai");
    for (labels, _) in &mut exposed {
        labels.remove(MODEL);
    }
    assert_eq!(asked(&exposed, latency(2_560_000)).0.unwrap().caveat, None, "those took as long");
}

#[test]
fn latencies_that_are_measured_to_the_end_count_the_slow_ones_of_the_traffic() {
    // Each application has seen the 19 slow streams of the generator twice.
    for name in ["genai", "otelnew", "openlit", "nodeotel"] {
        let Before { side, caveat, .. } = before(name, latency(2_560_000));
        let Side::Count { above, .. } = side else { panic!("{side:?}") };
        // openlit's clock begins when the call has returned: two streams that were late would be none of the slow ones.
        let told = (name == "openlit").then(|| {
            "openlit.otel.metrics times a stream from its headers, so that a long wait for them is not seen: use \
             opentelemetry-instrumentation-genai-openai"
                .to_owned()
        });
        assert_eq!((above, caveat), (38, told), "{name}");
    }
}

#[test]
fn bounds_that_are_too_coarse_are_listed_where_they_refuse_a_threshold() {
    let Unfit { reason, message, .. } = refusal("traceloop", latency(2_560_000));
    assert_eq!(reason, Unknown::MissingBucket);
    assert!(
        message.starts_with(
            "latency threshold 2.56s is under the lowest bucket bound 5.0 s of \
             gen_ai_client_operation_duration_seconds: choose at least 5s (its bounds are 5.0, 10.0, 25.0, 50.0"
        ),
        "{message}"
    );
    assert!(before("traceloop", latency(5_000_000)).caveat.is_none());
}

#[test]
fn an_instrumentation_that_does_not_see_streams_break_off_is_told() {
    for (name, told) in [
        (
            "otelnewv2",
            "opentelemetry.instrumentation.openai_v2 calls a stream that breaks off good: set \
             OTEL_SEMCONV_STABILITY_OPT_IN=gen_ai_latest_experimental or use opentelemetry-instrumentation-genai-openai",
        ),
        (
            "traceloop",
            "opentelemetry.instrumentation.openai.v1 calls a stream that breaks off good: use \
             opentelemetry-instrumentation-genai-openai; 46 of 142 streams of stable that began did not end (broken off, or \
             left by the user)",
        ),
        (
            "openlit",
            "openlit.otel.metrics counts a stream that fails nowhere: use opentelemetry-instrumentation-genai-openai",
        ),
        (
            "nodeotel",
            "@opentelemetry/instrumentation-openai counts a stream that breaks off nowhere: count them in the application \
             and watch them with a ratio gate",
        ),
        ("genai", ""),
        ("otelnew", ""),
        ("anthropic-genai", ""),
    ] {
        assert_eq!(caveat(name, errors()), told, "{name}");
    }
    let (found, _) = asked(&without_scope("genai"), errors());
    assert_eq!(
        found.unwrap().caveat.unwrap(),
        "it is not known whether the source counts a stream that breaks off as failed: watch what users get, too"
    );
    let (found, _) = asked(&without_scope("traceloop"), errors());
    assert_eq!(
        found.unwrap().caveat.unwrap(),
        "46 of 142 streams of stable that began did not end (broken off, or left by the user) and are no failures"
    );
}

#[test]
fn the_answers_of_the_application_are_told_of_as_well() {
    let gate = |kind| gate("http", kind, Preset::OtelHttp);
    let slow = GateKind::Slow { what: Slow::Response, slow_ppm: 50_000, max_micros: 2_500_000, own: None };
    let failed = GateKind::Share { what: Share::Errors, max_ppm: Some(10_000) };
    let told = caveat("genai", gate(failed.clone()));
    assert!(told.starts_with("opentelemetry.instrumentation.fastapi calls a stream that breaks off good: "), "{told}");
    assert_eq!(caveat("traceloop", gate(failed)), "", "FastAPI's own telemetry marks them");
    let mut flask = capture("genai");
    for (labels, _) in &mut flask {
        if let Some(scope) = labels.get_mut("otel_scope_name").filter(|scope| scope.ends_with("fastapi")) {
            *scope = "opentelemetry.instrumentation.flask".to_owned();
        }
    }
    let told = asked(&flask, gate(slow.clone())).0.unwrap().caveat.unwrap();
    assert!(
        told.starts_with("opentelemetry.instrumentation.flask measures an answer that is streamed only to"),
        "{told}"
    );
    assert_eq!(caveat("genai", gate(slow)), "");
}

#[test]
fn an_instrumentation_that_counts_no_failure_is_no_source_of_errors() {
    for what in [Share::Errors, Share::Throttled] {
        let gate = gate("errors", GateKind::Share { what, max_ppm: Some(10_000) }, Preset::OtelGenai);
        assert_eq!(
            refusal("langchain-traceloop", gate).message,
            "opentelemetry.instrumentation.langchain counts no failed call, so that this gate could never fail: use \
             opentelemetry-instrumentation-genai-langchain"
        );
    }
}

#[test]
fn a_time_to_the_first_token_is_that_of_streams() {
    // None of the 48 streams of the generator was slow; unstreamed answers are in the server's histogram, at their length.
    let (found, pin) = asked(&capture("openlit"), first_token(640_000));
    assert_eq!(pin.family, "gen_ai_client_operation_time_to_first_chunk_seconds");
    assert_eq!(found.unwrap().side, Side::count(0, 96));
    let mut server = capture("openlit");
    server.retain(|(labels, _)| !labels["__name__"].contains("time_to_first_chunk"));
    let Unfit { reason, message, .. } = asked(&server, first_token(500_000)).0.unwrap_err();
    assert_eq!(reason, Unknown::StreamsUnmeasured);
    assert!(message.starts_with("openlit.otel.metrics also counts answers that are not streamed in"), "{message}");
    assert_eq!(asked(&capture("genai"), first_token(640_000)).0.unwrap().side, Side::count(0, 142));
}

#[test]
fn models_are_those_of_the_answers_that_name_one() {
    let (found, pin) = asked(&capture("otelnewv2"), model());
    let Before { side, caveat, .. } = found.unwrap();
    assert!(pin.some);
    // 157 answers and 56 failed calls, which name the model that was asked for.
    assert_eq!(side, Side::count(0, 213));
    assert_eq!(
        caveat.unwrap(),
        "142 of 299 answers of stable name no model (streams that were counted before their answer was there), and are not \
         looked at"
    );
    assert_eq!(before("genai", model()).caveat, None);
}

#[test]
fn a_canary_that_begins_to_stream_is_no_faster_canary() {
    let rows = |early: f64| {
        [
            (REQUESTS, ANSWERED, 20.0 - early),
            (BUCKETS, &[(MODEL, PINNED), ("otel_scope_name", V2), ("le", "2.56")][..], 18.0 - early),
            (REQUESTS, EARLY, early),
            (BUCKETS, &[("otel_scope_name", V2), ("le", "2.56")][..], early),
        ]
    };
    let seen = |early: f64| windows(&rows(early), &rows(0.0), latency(2_560_000)).gates["latency"];
    assert_eq!(seen(0.0).unwrap().canary, Some(Side::count(2, 20)));
    assert_eq!(seen(15.0), Err(Unknown::StreamsUnmeasured));
    assert_eq!(
        windows(&rows(15.0), &rows(0.0), model()).gates["model"],
        Err(Unknown::StreamsUnmeasured),
        "nor are they of the right model"
    );
}

#[test]
fn a_provider_that_never_names_a_model_is_no_stream() {
    let bedrock: &[(&str, &str)] = &[("gen_ai_provider_name", "aws.bedrock")];
    let openai: &[(&str, &str)] = &[("gen_ai_provider_name", "openai"), (MODEL, PINNED)];
    let rows = [
        (REQUESTS, bedrock, 20.0),
        (REQUESTS, openai, 20.0),
        (BUCKETS, &[("gen_ai_provider_name", "aws.bedrock"), ("le", "2.56")][..], 20.0),
        (BUCKETS, &[("gen_ai_provider_name", "openai"), (MODEL, PINNED), ("le", "2.56")][..], 20.0),
    ];
    let window = windows(&rows, &rows, latency(2_560_000));
    assert_eq!(sides(&window, "latency").0, Some(Side::count(0, 40)));
}

#[test]
fn an_agent_that_names_no_model_is_no_stream() {
    let rows = |name: &str, labels: &[(&str, &str)], bucket: f64| {
        let chat = [&[("gen_ai_operation_name", "chat"), (MODEL, PINNED)][..], labels].concat();
        let agent = [&[("gen_ai_operation_name", "invoke_agent")][..], labels].concat();
        [usage(name, &chat, bucket), usage(name, &agent, bucket)]
    };
    let exposed = [rows(REQUESTS, &[], 50.0), rows(BUCKETS, &[("le", "2.56")], 49.0)].concat();
    assert_eq!(asked(&exposed, latency(2_560_000)).0.unwrap().side, Side::count(2, 100));
}
