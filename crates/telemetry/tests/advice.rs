//! What a refusal says of what stable exposes instead, on what real applications exposed.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Mutex;

use common::{
    exposition::{Exposed, capture, parse},
    *,
};
use microapp_core::{
    counts::{Ask, Counts, Unfit, Watch},
    strategy::{Gate, GateKind, Mean, OwnHistogram, Preset, Share, Slow},
};
use microapp_telemetry::{Answer, Brings, PriceTable, Prometheus, Query, QueryError, Scheme, Subject, http::Boxed};

/// A store to be asked as Prometheus is; it keeps what was asked, and may fail the question of what there is.
#[derive(Default)]
struct Asked {
    store: Store,
    texts: Mutex<Vec<String>>,
    fails: Option<QueryError>,
    hangs: bool,
}

impl Prometheus for Asked {
    fn query<'a>(&'a self, promql: &'a str, time: f64) -> Boxed<'a, Result<Answer, QueryError>> {
        self.texts.lock().unwrap().push(promql.to_owned());
        let query = Query { scheme: Scheme::Pods, promql: promql.to_owned(), time, from: 0, brings: Brings::Raw };
        Box::pin(async move {
            match &self.fails {
                Some(error) if promql.starts_with("group") => Err(error.clone()),
                _ if self.hangs && promql.starts_with("group") => std::future::pending().await,
                Some(_) | None => Ok(self.store.answer(&query)),
            }
        })
    }
}

impl Asked {
    fn of(exposed: &[Exposed]) -> Self {
        let mut store = Store::default();
        let seconds: Vec<f64> = (0..15).map(|minute| f64::from(minute) * 60.0 - 900.0).collect();
        store.exposes(STABLE, &seconds, exposed);
        Self { store, ..Self::default() }
    }

    async fn baseline(&self, subject: &Subject) -> Counts {
        let (prices, now) = (PriceTable::built_in().unwrap(), at(0.0) as f64 / 1000.0);
        microapp_telemetry::ask(self, subject, &Ask::Baseline, &Watch::default(), &prices, now).await.0
    }

    /// Why preflight refuses the gate, in words.
    async fn refused(&self, gate: Gate) -> Unfit {
        let name = gate.name.clone();
        let Counts::Baseline { mut gates, .. } = self.baseline(&subject(vec![gate])).await else { panic!() };
        gates.remove(&name).unwrap().unwrap_err()
    }

    fn groups(&self) -> usize {
        self.texts.lock().unwrap().iter().filter(|text| text.starts_with("group")).count()
    }
}

async fn said(exposed: &[Exposed], gate: Gate) -> String {
    let message = Asked::of(exposed).refused(gate).await.message;
    assert!(message.chars().count() < 900, "{message}");
    message
}

fn share(what: Share, preset: Preset) -> Gate {
    gate("errors", GateKind::Share { what, max_ppm: Some(10_000) }, preset)
}

fn slow(what: Slow, preset: Preset) -> Gate {
    gate("slow", GateKind::Slow { what, slow_ppm: 50_000, max_micros: 2_500_000, own: None }, preset)
}

fn ratio(bad: &str, total: &str, preset: Preset) -> Gate {
    share(Share::Ratio { bad: bad.to_owned(), total: total.to_owned() }, preset)
}

fn own_slow(histogram: &str) -> Gate {
    let own = Some(OwnHistogram { histogram: histogram.to_owned(), matching: None });
    gate(
        "slow",
        GateKind::Slow { what: Slow::Response, slow_ppm: 50_000, max_micros: 2_500_000, own },
        Preset::OtelHttp,
    )
}

fn cost(preset: Preset) -> Gate {
    gate("cost", GateKind::Mean { what: Mean::Cost, max: None, max_increase_ppm: Some(100_000) }, preset)
}

/// What the exposition would be of these metrics.
fn of(text: &str) -> Vec<Exposed> {
    let lines: Vec<String> = text.split(' ').map(|series| format!("{series} 40\n")).collect();
    parse(&lines.concat())
}

#[tokio::test]
async fn a_refusal_of_errors_says_which_ratio_the_exporters_counters_make() {
    for (name, counter, failed) in [
        ("instrumentator", "http_requests_total", "status"),
        ("handmade", "http_requests_total", "status"),
        ("flask", "flask_http_request_total", "status"),
        ("starletteexp", "starlette_requests_total", "status_code"),
        ("nodeprom", "http_requests_total", "code"),
    ] {
        let said = said(&capture(name), share(Share::Errors, Preset::OtelHttp)).await;
        assert!(
            said.starts_with("stable has no series http_server_request_duration_seconds_count or "),
            "{name}: {said}"
        );
        let bad = format!("{counter}{{{failed}=~\"5..\"}}");
        let write = format!(": write ratio: {{bad: '{bad}', total: '{counter}'}}");
        assert!(
            said.contains(&format!("; stable has {counter} with {failed}=")) && said.contains(&write),
            "{name}: {said}"
        );
        // What it says to write is a gate that works.
        let asked = Asked::of(&capture(name));
        let Counts::Baseline { gates, .. } =
            asked.baseline(&subject(vec![ratio(&bad, counter, Preset::OtelHttp)])).await
        else {
            panic!()
        };
        assert!(gates["errors"].is_ok() && asked.groups() == 0, "{name}: {gates:?}");
    }
    // Names of exporters of which no capture is here: starlette-prometheus, express-prom-bundle, Micrometer.
    for (text, write) in [
        (
            "starlette_requests_total{path_template=\"/ask\"} starlette_responses_total{status_code=\"200\"}",
            r#"{bad: 'starlette_responses_total{status_code=~"5.."}', total: 'starlette_responses_total'}"#,
        ),
        (
            "http_request_duration_seconds_bucket{status_code=\"200\",le=\"1\"} http_request_duration_seconds_count{status_code=\"200\"}",
            r#"{bad: 'http_request_duration_seconds_count{status_code=~"5.."}', total: 'http_request_duration_seconds_count'}"#,
        ),
        (
            "http_server_requests_seconds_count{status=\"200\",outcome=\"SUCCESS\"}",
            r#"{bad: 'http_server_requests_seconds_count{status=~"5.."}', total: 'http_server_requests_seconds_count'}"#,
        ),
        ("tgi_request_count{} tgi_request_success{}", "{bad: 'tgi_request_failure', total: 'tgi_request_count'}"),
    ] {
        let said = said(&of(text), share(Share::Errors, Preset::OtelGenai)).await;
        assert!(said.contains(write), "{said}");
    }
}

#[tokio::test]
async fn a_refusal_of_latency_says_which_histogram_there_is() {
    for (name, histogram) in [
        ("handmade", "http_request_duration_seconds"),
        ("flask", "flask_http_request_duration_seconds"),
        ("starletteexp", "starlette_request_duration_seconds"),
    ] {
        let said = said(&capture(name), slow(Slow::Response, Preset::OtelHttp)).await;
        assert!(
            said.contains(&format!("; stable has the histogram {histogram}: write histogram: {histogram} ")),
            "{said}"
        );
    }
    let sglang = "sglang:e2e_request_latency_seconds_bucket{} sglang:time_to_first_token_seconds_bucket{} \
                  sglang:inter_token_latency_seconds_bucket{} sglang:num_requests_total{}";
    for (what, histogram) in [
        (Slow::Response, "sglang:e2e_request_latency_seconds"),
        (Slow::FirstToken, "sglang:time_to_first_token_seconds"),
        (Slow::PerToken, "sglang:inter_token_latency_seconds"),
    ] {
        let said = said(&of(sglang), slow(what, Preset::Vllm)).await;
        assert!(said.contains(&format!("write histogram: {histogram} beside")), "{said}");
    }
    let tgi = "tgi_request_duration_bucket{} tgi_request_generated_tokens_bucket{} tgi_request_count{}";
    let said = said(&of(tgi), slow(Slow::Response, Preset::Vllm)).await;
    assert!(said.contains("write histogram: tgi_request_duration beside"), "{said}");
}

#[tokio::test]
async fn another_preset_that_has_the_gates_numbers_is_named_first() {
    for (name, gate, preset) in [
        ("genai", share(Share::Errors, Preset::Vllm), "otel-http"),
        ("genai", slow(Slow::Response, Preset::Envoy), "otel-http"),
        ("nodeotel", share(Share::Errors, Preset::Vllm), "otel-http"),
        ("genai", slow(Slow::FirstToken, Preset::OtelHttp), "otel-genai"),
        ("genai", cost(Preset::OtelHttp), "otel-genai"),
        ("anthropic-genai", share(Share::Errors, Preset::OtelHttp), "otel-genai"),
    ] {
        let said = said(&capture(name), gate).await;
        assert!(
            said.ends_with(&format!(": write telemetry: {preset} for this gate, or telemetry.preset: {preset}")),
            "{said}"
        );
    }
    let vllm = "vllm:prompt_tokens_total{} http_requests_total{handler=\"/v1/completions\",status=\"2xx\"}";
    let said = said(&of(vllm), share(Share::Errors, Preset::OtelHttp)).await;
    assert!(said.contains("stable has http_requests_total: write telemetry: vllm for this gate"), "{said}");
}

#[tokio::test]
async fn a_preset_that_leaves_every_series_out_says_so_and_asks_nothing_more() {
    let asked = Asked::of(&capture("instrumentator"));
    let unfit = asked.refused(share(Share::Errors, Preset::Vllm)).await;
    assert_eq!(
        unfit.message,
        "no series of stable's http_requests_total with status=2xx,4xx,5xx, handler=/ask,/stream,none, \
         method=POST is a user's request to the preset vllm, whose requests have a handler under /v1/; for another \
         application write ratio: {bad: 'http_requests_total{status=~\"5..\"}', total: 'http_requests_total'}"
    );
    assert_eq!(asked.groups(), 0, "what there is was in the answer");
}

#[tokio::test]
async fn a_misspelt_name_is_told_with_the_nearest_one() {
    let gate = ratio(r#"http_request_total{status="5xx"}"#, "http_request_total", Preset::OtelHttp);
    let message = said(&capture("instrumentator"), gate).await;
    assert!(message.ends_with("; the nearest is http_requests_total with status=2xx,4xx,5xx"), "{message}");
    let message = said(&capture("instrumentator"), own_slow("http_request_duration_second")).await;
    assert!(message.ends_with("; the nearest is http_request_duration_seconds"), "{message}");
    let far = ratio("orders_failed_total", "orders_total", Preset::OtelHttp);
    let message = said(&capture("flask"), far).await;
    assert!(message.contains("write ratio: {bad: 'flask_http_request_total{status=~\"5..\"}'"), "{message}");
    let gate = ratio("http_requests_total{status=\"5xx\"}", "http_requests_total", Preset::Envoy);
    let message = said(&capture("instrumentator"), gate).await;
    assert!(
        message.contains("stable's pods have it, and envoy reads the gateway: write telemetry: otel-http"),
        "{message}"
    );
}

#[tokio::test]
async fn counters_that_do_not_say_how_requests_ended_are_listed() {
    let text = "app_requests_total{} app_responses_total{} db_requests_total{} app_up{} process_cpu_seconds_total{}";
    let said = said(&of(text), share(Share::Errors, Preset::OtelHttp)).await;
    assert!(
        said.contains("stable counts requests in app_requests_total, app_responses_total: write a ratio gate"),
        "{said}"
    );
    let message = crate::said(&of("widgets_total{} gadgets{}"), share(Share::Errors, Preset::OtelHttp)).await;
    assert!(message.ends_with("; stable has gadgets, widgets_total"), "{message}");
    let streamlit = of("cache_memory_bytes{} session_events_total{} active_sessions{}");
    let message = crate::said(&streamlit, share(Share::Errors, Preset::OtelGenai)).await;
    assert!(
        message.ends_with("(Streamlit counts sessions alone: expose GenAI metrics on a port of their own)"),
        "{message}"
    );
}

#[tokio::test]
async fn a_stable_that_exposes_nothing_is_told_so() {
    let nothing = Asked::default().refused(share(Share::Errors, Preset::OtelGenai)).await.message;
    assert!(nothing.contains("; stable exposes nothing: none of its pods is scraped with the labels"), "{nothing}");
    let cluster = "kube_pod_status_ready{condition=\"true\"} container_network_receive_bytes_total{} ALERTS{} \
                   node_namespace_pod_container:container_memory_rss{}";
    let spans = of(&format!("process_start_time_seconds{{}} python_info{{}} target_info{{}} {cluster}"));
    let message = said(&spans, share(Share::Errors, Preset::OtelGenai)).await;
    assert!(message.contains("; stable exposes nothing of its own: its pods are scraped"), "{message}");
    let app = of(&format!("http_requests_total{{status=\"200\"}} {cluster}"));
    let message = said(&app, slow(Slow::FirstToken, Preset::OtelGenai)).await;
    assert!(message.ends_with("; stable has http_requests_total"), "{message}");
    let mut unscraped = Store::default();
    let labels = [("__name__", "kube_pod_info"), ("namespace", "fintech"), ("pod", STABLE), ("job", "ksm")];
    unscraped.put(&labels, -30.0, 1.0);
    let asked = Asked { store: unscraped, ..Asked::default() };
    let message = asked.refused(share(Share::Errors, Preset::OtelGenai)).await.message;
    assert!(
        message.contains("; stable exposes nothing: none of its pods is scraped"),
        "the cluster knows it: {message}"
    );
}

#[tokio::test]
async fn it_is_asked_once_for_all_gates_and_not_where_a_gate_is_idle_or_fed() {
    let gates = vec![
        share(Share::Errors, Preset::OtelHttp),
        slow(Slow::Response, Preset::OtelGenai),
        cost(Preset::Vllm),
        grounded(),
    ];
    let asked = Asked::of(&capture("flask"));
    let Counts::Baseline { gates, .. } = asked.baseline(&subject(gates)).await else { panic!() };
    assert_eq!(asked.groups(), 1);
    let text = asked.texts.lock().unwrap().last().unwrap().clone();
    assert!(text.starts_with("group by (__name__,status,") && text.contains("namespace=\"fintech\""), "{text}");
    assert!(
        text.ends_with("(\u{7b}namespace=\"fintech\",pod=~\"shop-aaaaaaaaaa-.*\"\u{7d})"),
        "stable's alone: {text}"
    );
    let message = gates["grounded"].clone().unwrap_err().message;
    assert!(message.ends_with('}'), "whoever judges is no pod of stable's: {message}");
    let judges = Asked::of(&capture("flask"));
    judges.refused(grounded()).await;
    assert_eq!(judges.groups(), 0);
    let idle = Asked::of(&parse("http_server_request_duration_seconds_count{http_response_status_code=\"200\"} 0\n"));
    let message = idle.refused(share(Share::Errors, Preset::OtelHttp)).await.message;
    assert!(
        message.ends_with(
            "counted no requests in the whole minutes before: it goes on by itself within two minutes of traffic"
        ) && idle.groups() == 0,
        "{message}"
    );
}

#[tokio::test(start_paused = true)]
async fn without_an_answer_the_refusal_stays_as_it_is() {
    let bare = "stable has no series http_server_request_duration_seconds_count or http_server_request_duration_count or \
             http_server_duration_milliseconds_count (nor 1 more of the preset's) with \
                {namespace=\"fintech\",pod=~\"shop-aaaaaaaaaa-.*\"}";
    for fails in [QueryError::TooLarge, QueryError::Timeout, QueryError::Connect] {
        let asked = Asked { fails: Some(fails), ..Asked::of(&capture("flask")) };
        assert_eq!(asked.refused(share(Share::Errors, Preset::OtelHttp)).await.message, bare);
    }
    let asked = Asked { hangs: true, ..Asked::of(&capture("flask")) };
    assert_eq!(asked.refused(share(Share::Errors, Preset::OtelHttp)).await.message, bare, "a question that hangs");
}

#[tokio::test]
async fn what_somebody_exposes_reaches_no_message_whole() {
    let long = "x".repeat(3_000);
    let mut rows =
        vec![format!("requests_total{{status=\"\\n\\u202e{long}\"}}"), "requests_total{status=\"500\"}".to_owned()];
    for n in 0..2_000 {
        rows.push(format!("requests_of_{n}_total{{status=\"{n}\"}}"));
        rows.push(format!("{}{n}_total{{}}", &long[..200]));
    }
    let text = rows.join(" ");
    let exposed = of(&text);
    for gate in [
        share(Share::Errors, Preset::OtelHttp),
        share(Share::Truncated, Preset::Vllm),
        slow(Slow::Response, Preset::OtelGenai),
        cost(Preset::OtelHttp),
        own_slow("d_seconds"),
        ratio("a", "b", Preset::OtelHttp),
    ] {
        let said = said(&exposed, gate).await;
        assert!(!said.contains(|c: char| c.is_control() || c == '\u{202e}'), "{said:?}");
    }
}
