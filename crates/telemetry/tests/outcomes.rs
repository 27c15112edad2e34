//! How requests ended, by the captures of real applications and by each preset's own labels.
#![allow(clippy::unwrap_used)]

mod common;

use common::exposition::{capture, parse};
use common::*;
use microapp_core::{
    counts::{Ask, Counts, Side, Watch},
    strategy::{Gate, GateKind, Preset, Share},
};
use microapp_telemetry::{Counted, Subject, side};

fn share(what: Share, source: Preset) -> Gate {
    let max_ppm = (what != Share::ClientErrors).then_some(10_000);
    gate("share", GateKind::Share { what, max_ppm }, source)
}

/// Stable exposed nothing, and then this: bad ones, and of how many requests.
fn counted(exposed: &[common::exposition::Exposed], name: &str, what: Share, source: Preset) -> (u64, u64) {
    let (mut store, pod) = (Store::default(), format!("{name}-aaaaaaaaaa-7d9f-x1"));
    store.exposes(&pod, &[-2.0, 3.0, 8.0, 13.0], exposed);
    let subject = Subject { name: name.to_owned(), ..subject(vec![share(what, source)]) };
    match sides(&store.windows(&subject, 12.0)[0], "share").1 {
        Some(Side::Count { above, below, total }) if above == below => (above, total),
        other => panic!("{name}: {other:?}"),
    }
}

/// Each application got the traffic of apps/truth/B-*.txt twice, and one warm-up call that was answered. Of the 177 calls to
/// the model in it 23 failed (llm400 2, llm401 4, llm404 6, llm500 7, llmreset 1, llmtimeout 3), 10 broke off
/// (streambreak), 5 were refused as too many (llm429), and 13 of the streams were left by their users
/// (streamdisconnect): 2 × (23 + 10) = 66 failures of 2 × 177 + 1 = 355. What an instrumentation misses of them it has
/// counted as good, or nowhere; that is no question of its words.
#[test]
fn calls_to_a_model_of_every_capture_failed_as_often_as_they_did() {
    for (name, failed, total, throttled) in [
        // 26 streams that were left are CancelledError: none of the three.
        ("genai", 66, 355, 10),
        // They are nowhere: 355 - 26.
        ("otelnew", 66, 329, 10),
        // Broken streams are good to these: 2 × 23.
        ("otelnewv2", 46, 355, 10),
        ("otelold", 46, 355, 10),
        ("traceloop", 46, 355, 10),
        // Broken and left ones are nowhere: 355 - 20 - 26.
        ("openlit", 46, 309, 10),
        // As openlit, and of what users left before an answer (disconnect, 12) these calls ended with them.
        ("nodeotel", 46, 328, 10),
        // 30 calls: 3 of InternalServerError and 4 of AuthenticationError, 2 of RateLimitError.
        ("anthropic-genai", 7, 30, 2),
        // 5 of _OTHER; the 3 of GeneratorExit were left.
        ("flask-genai-disconnect", 5, 9, 0),
        ("langchain-agent-genai", 0, 20, 0),
        // The traffic of tests/presets: 22 failed and 6 were throttled, by the generator's log. LangChain's own classes.
        ("presets-genai-langchain", 22, 103, 6),
    ] {
        let exposed = capture(name);
        assert_eq!(counted(&exposed, name, Share::Errors, Preset::OtelGenai), (failed, total), "{name}");
        assert_eq!(counted(&exposed, name, Share::Throttled, Preset::OtelGenai), (throttled, total), "{name}");
    }
}

/// The proxy saw phase B once (truth/B-litellm.txt). Of the 180 requests with the revision's key 41 failed: e500 7 and reset
/// 1, streambreak 10 (APIConnectionError), badmodel 8 and e400 2, e404 6, e401 4, timeout 3; e429 5 were throttled. The 19
/// with a bad key have no alias.
#[test]
fn calls_through_the_proxy_failed_as_often_as_they_did() {
    let exposed = capture("litellm");
    assert_eq!(counted(&exposed, "litellm", Share::Errors, Preset::Litellm), (41, 180));
    assert_eq!(counted(&exposed, "litellm", Share::Throttled, Preset::Litellm), (5, 180));
}

/// Of the 185 requests of users in phase B 45 got HTTP 500 and 10 streams broke off; 14 got 422 and 15 asked for a path that
/// is not there. Each twice. How many requests there were besides (probes, scrapes) is not counted here.
#[test]
fn requests_of_users_of_every_capture_failed_as_often_as_they_did() {
    for (name, failed, refused, throttled) in [
        // FastAPI's own telemetry sees broken streams: 2 × (45 + 10); the 26 left ones are ConnectionError.
        ("openlit", 110, 58, 0),
        ("traceloop", 110, 58, 0),
        // The instrumentation stops at the headers: 2 × 45.
        ("genai", 90, 58, 0),
        ("otelnew", 90, 58, 0),
        ("otelnewv2", 90, 58, 0),
        // The same by its names of before 1.23.
        ("otelold", 90, 58, 0),
        // Express hands the status of the provider on: llm400 2, llm401 4, llm404 6 beside 422 and 404, llm429 5; 28 are left
        // of the 45.
        ("nodeotel", 56, 2 * (2 + 4 + 6 + 14 + 15), 10),
    ] {
        let exposed = capture(name);
        let of = |what| counted(&exposed, name, what, Preset::OtelHttp).0;
        assert_eq!(
            [Share::Errors, Share::ClientErrors, Share::Throttled].map(of),
            [failed, refused, throttled],
            "{name}"
        );
    }
}

/// Ten good requests, and of each preset's labels one that ends in each of the other ways.
#[test]
fn every_preset_tells_who_ended_a_request() {
    let pod = r#"namespace="fintech",pod="shop-aaaaaaaaaa-7d9f-x1""#;
    let rows = |text: &str| parse(&text.replace("POD", pod));
    let istio = rows(
        r#"istio_requests_total{POD,reporter="destination",response_code="200",response_flags="-"} 10
istio_requests_total{POD,reporter="destination",response_code="500",response_flags="-"} 1
istio_requests_total{POD,reporter="destination",response_code="200",response_flags="UC"} 2
istio_requests_total{POD,reporter="destination",response_code="200",grpc_response_status="13"} 4
istio_requests_total{POD,reporter="destination",response_code="401",response_flags="-"} 8
istio_requests_total{POD,reporter="destination",response_code="200",grpc_response_status="3"} 16
istio_requests_total{POD,reporter="destination",response_code="429",response_flags="-"} 32
istio_requests_total{POD,reporter="destination",response_code="200",grpc_response_status="8"} 64
istio_requests_total{POD,reporter="destination",response_code="0",response_flags="DC"} 128
istio_requests_total{POD,reporter="destination",response_code="200",response_flags="DC"} 256
istio_requests_total{POD,reporter="destination",response_code="200",grpc_response_status="1"} 512"#,
    );
    let linkerd = rows(
        r#"response_total{POD,direction="inbound",status_code="200",classification="success"} 10
response_total{POD,direction="inbound",status_code="503",classification="failure"} 1
response_total{POD,direction="inbound",status_code="200",classification="failure",grpc_status="",error="unclassified"} 2
response_total{POD,direction="inbound",status_code="200",classification="failure",grpc_status="14"} 4
response_total{POD,direction="inbound",status_code="404",classification="success"} 8
response_total{POD,direction="inbound",status_code="200",classification="success",grpc_status="16"} 16
response_total{POD,direction="inbound",status_code="429",classification="success"} 32
response_total{POD,direction="inbound",status_code="200",classification="success",grpc_status="8"} 64
response_total{POD,direction="inbound",status_code="200",classification="failure",error="h2(CANCEL)"} 128
response_total{POD,direction="inbound",status_code="499",classification="success"} 256
response_total{POD,direction="inbound",status_code="200",classification="success",grpc_status="1"} 512"#,
    );
    let service = r#"service="fintech-shop-aaaaaaaaaa-http-8080@kubernetesgateway""#;
    let traefik = parse(
        &r#"traefik_service_requests_total{SERVICE,code="200",protocol="http"} 8
traefik_service_requests_total{SERVICE,code="0",protocol="grpc"} 2
traefik_service_requests_total{SERVICE,code="502",protocol="http"} 3
traefik_service_requests_total{SERVICE,code="13",protocol="grpc"} 4
traefik_service_requests_total{SERVICE,code="403",protocol="http"} 8
traefik_service_requests_total{SERVICE,code="5",protocol="grpc-web"} 16
traefik_service_requests_total{SERVICE,code="429",protocol="http"} 32
traefik_service_requests_total{SERVICE,code="8",protocol="grpc"} 64
traefik_service_requests_total{SERVICE,code="499",protocol="http"} 384
traefik_service_requests_total{SERVICE,code="1",protocol="grpc"} 512"#
            .replace("SERVICE", service),
    );
    for (preset, exposed) in [(Preset::Istio, istio), (Preset::Linkerd, linkerd), (Preset::Traefik, traefik)] {
        let of = |what| counted(&exposed, "shop", what, preset);
        let all = [of(Share::Errors), of(Share::ClientErrors), of(Share::Throttled)];
        assert_eq!(all, [(7, 1_033), (24, 1_033), (96, 1_033)], "{}", preset.as_str());
    }
}

#[test]
fn sources_with_less_to_tell_tell_what_they_have() {
    let nginx = parse(
        &["200", "302", "400", "401", "404", "429", "499", "500", "504"]
            .map(|status| {
                format!(
                    "nginx_ingress_controller_requests{{namespace=\"fintech\",service=\"shop-aaaaaaaaaa\",status=\"{status}\"}} 3"
                )
            })
            .join("\n"),
    );
    let of = |what| counted(&nginx, "shop", what, Preset::Nginx);
    // The three redirects are among them.
    assert_eq!([Share::Errors, Share::ClientErrors, Share::Throttled].map(of), [(6, 27), (12, 27), (3, 27)]);

    // Classes alone: 429 is among 4xx.
    let vllm = parse(
        &["2xx", "4xx", "5xx"]
            .map(|status| format!("http_requests_total{{handler=\"/v1/chat/completions\",status=\"{status}\"}} 5"))
            .join("\n"),
    );
    let of = |what| counted(&vllm, "shop", what, Preset::Vllm);
    assert_eq!([Share::Errors, Share::ClientErrors].map(of), [(5, 15), (5, 15)]);
}

/// Envoy has a counter by class, beside the total, and one by status, which is a total of its own.
#[test]
fn envoy_tells_failures_by_class_and_client_errors_by_status() {
    let by_class = [("2", 70), ("3", 5), ("4", 20), ("5", 5)]
        .map(|(class, n)| format!("envoy_cluster_upstream_rq_xx{{CLUSTER,envoy_response_code_class=\"{class}\"}} {n}"));
    let by_status = [("200", 70), ("302", 5), ("401", 9), ("404", 2), ("429", 7), ("499", 2), ("503", 5)]
        .map(|(status, n)| format!("envoy_cluster_upstream_rq{{CLUSTER,envoy_response_code=\"{status}\"}} {n}"));
    let total = "envoy_cluster_upstream_rq_completed{CLUSTER} 100".to_owned();
    let text = [&[total][..], &by_class, &by_status].concat().join("\n");
    let text = text.replace("CLUSTER", r#"envoy_cluster_name="fintech_shop-aaaaaaaaaa_8080""#);
    let exposed = parse(&text);
    assert_eq!(counted(&exposed, "shop", Share::Errors, Preset::Envoy), (5, 100));
    assert_eq!(counted(&exposed, "shop", Share::ClientErrors, Preset::Envoy), (16, 100));
}

/// What preflight says of a gate beside these series of stable: the caveat, or the refusal.
fn preflight(text: &str, gate: Gate) -> Result<Option<String>, String> {
    let mut store = Store::default();
    let exposed = parse(text);
    store.exposes(STABLE, &[-600.0, -300.0, -200.0, -100.0, 0.0], &exposed);
    let name = gate.name.clone();
    let counts = store.ask(&subject(vec![gate]), &Ask::Baseline, &Watch::default(), 0.0);
    let Counts::Baseline { mut gates, .. } = counts else { panic!("{counts:?}") };
    gates.remove(&name).unwrap().map(|before| before.caveat).map_err(|unfit| unfit.message)
}

#[test]
fn preflight_says_that_one_word_can_mean_two_things() {
    let with = |error: &str| {
        format!(
            "{REQUESTS}{{gen_ai_operation_name=\"chat\"}} 50\n{REQUESTS}{{gen_ai_operation_name=\"chat\",{error}}} 5\n"
        )
    };
    let errors = || share(Share::Errors, Preset::OtelGenai);
    assert_eq!(preflight(&with("error_type=\"GeneratorExit\""), errors()), Ok(None));
    let said = preflight(&with("error_type=\"_OTHER\""), errors()).unwrap().unwrap();
    assert_eq!(
        said,
        "gen_ai_client_operation_duration_seconds_count of stable has error_type=\"_OTHER\": the source does not say whether \
         such a request failed or its user left, and each counts as failed"
    );
    // Other gates do not read it.
    assert_eq!(preflight(&with("error_type=\"_OTHER\""), share(Share::Throttled, Preset::OtelGenai)), Ok(None));
}

#[test]
fn preflight_refuses_client_errors_where_nobody_could_see_one() {
    for (text, source, says) in [
        // The revision is the client.
        (format!("{REQUESTS} 50\n"), Preset::OtelGenai, "has nothing for this kind of gate"),
        (
            "litellm_proxy_total_requests_metric_total 50\n".to_owned(),
            Preset::Litellm,
            "has nothing for this kind of gate",
        ),
        (
            "http_server_request_duration_seconds_count 50\n".to_owned(),
            Preset::OtelHttp,
            "no label http_response_status_code",
        ),
        (
            r#"response_total{direction="inbound",classification="success"} 50"#.to_owned(),
            Preset::Linkerd,
            "no label status_code",
        ),
    ] {
        let why = preflight(&text, share(Share::ClientErrors, source)).unwrap_err();
        assert!(why.contains(says), "{}: {why}", source.as_str());
    }
    // Where the statistics by status are switched off nothing could be found, and that is no zero.
    let classes = r#"envoy_cluster_upstream_rq_completed{envoy_cluster_name="fintech_shop-aaaaaaaaaa_8080"} 50"#;
    let why = preflight(classes, share(Share::ClientErrors, Preset::Envoy)).unwrap_err();
    assert!(why.contains("stable has no series envoy_cluster_upstream_rq with"), "{why}");
}

#[test]
fn users_and_calls_are_two_sides() {
    for (preset, whose) in [
        (Preset::OtelHttp, Some(Counted::Users)),
        (Preset::Envoy, Some(Counted::Users)),
        (Preset::Istio, Some(Counted::Users)),
        (Preset::Linkerd, Some(Counted::Users)),
        (Preset::Traefik, Some(Counted::Users)),
        (Preset::Nginx, Some(Counted::Users)),
        (Preset::Vllm, Some(Counted::Users)),
        (Preset::OtelGenai, Some(Counted::Calls)),
        (Preset::Litellm, Some(Counted::Calls)),
        (Preset::Evals, None),
    ] {
        assert_eq!(side(preset), whose, "{}", preset.as_str());
    }
}

/// Requests of both revisions over three scrapes of 5 s, in a window: the canary's side and how many of it pass nothing.
fn window(canary: &str, stable: &str, gate: Gate) -> (Side, Side, u64) {
    let mut store = Store::default();
    for (pod, text) in [(CANARY, canary), (STABLE, stable)] {
        store.exposes(pod, &[-2.0, 3.0, 8.0, 13.0], &parse(text));
    }
    let sides = store.windows(&subject(vec![gate]), 12.0)[0].gates["share"].unwrap();
    (sides.canary.unwrap(), sides.stable.unwrap(), sides.idle)
}

const ASKED: &str = "http_server_request_duration_seconds_count";

fn answered(status: &str, requests: u32) -> String {
    format!("{ASKED}{{http_route=\"/ask\",http_response_status_code=\"{status}\"}} {requests}\n")
}

#[test]
fn who_is_sent_elsewhere_was_not_served_and_is_counted_beside_stable() {
    let gate = |what| share(what, Preset::OtelHttp);
    for status in ["301", "302", "303", "307", "308"] {
        let (canary, stable, idle) = window(&answered(status, 20), &answered("200", 80), gate(Share::ClientErrors));
        assert_eq!((canary, stable, idle), (Side::count(20, 20), Side::count(0, 80), 0), "{status}");
        let (canary, ..) = window(&answered(status, 20), &answered("200", 80), gate(Share::Errors));
        assert_eq!(canary, Side::count(0, 20), "{status}: no failure");
    }
    // The client has the answer already; and a client that goes on with another protocol has its answer.
    for status in ["304", "101"] {
        let (canary, ..) = window(&answered(status, 20), &answered("200", 80), gate(Share::ClientErrors));
        assert_eq!(canary, Side::count(0, 20), "{status}");
    }
}

#[test]
fn every_source_tells_who_was_sent_elsewhere() {
    let pod = r#"namespace="fintech",pod="shop-aaaaaaaaaa-7d9f-x1""#;
    let door = r#"service="fintech-shop-aaaaaaaaaa-http-8080@kubernetesgateway""#;
    let cluster = r#"envoy_cluster_name="fintech_shop-aaaaaaaaaa_8080""#;
    for (preset, good, sent) in [
        (Preset::Istio, r#"istio_requests_total{POD,reporter="destination",response_code="200"}"#, "302"),
        (
            Preset::Linkerd,
            r#"response_total{POD,direction="inbound",classification="success",status_code="200"}"#,
            "303",
        ),
        (Preset::Traefik, r#"traefik_service_requests_total{DOOR,code="200",protocol="http"}"#, "307"),
        (
            Preset::Nginx,
            r#"nginx_ingress_controller_requests{namespace="fintech",service="shop-aaaaaaaaaa",status="200"}"#,
            "308",
        ),
        (Preset::Envoy, r#"envoy_cluster_upstream_rq{CLUSTER,envoy_response_code="200"}"#, "301"),
        (Preset::Vllm, r#"http_requests_total{POD,handler="/v1/chat/completions",status="200"}"#, "3xx"),
    ] {
        let good = good.replace("POD", pod).replace("DOOR", door).replace("CLUSTER", cluster);
        let exposed = parse(&format!("{good} 30\n{} 12", good.replace("200", sent)));
        assert_eq!(counted(&exposed, "shop", Share::ClientErrors, preset), (12, 42), "{}", preset.as_str());
    }
}

#[test]
fn a_status_that_nobody_knows_passes_nothing() {
    let errors = || share(Share::Errors, Preset::OtelHttp);
    for status in ["-1", "0", "weird", "UNKNOWN", "103", "600x", ""] {
        let (canary, _, idle) = window(&answered(status, 20), &answered("200", 80), errors());
        assert_eq!((canary, idle), (Side::count(0, 20), 20), "{status:?}");
    }
    for status in ["200", "2xx", "OK", "200 OK", "204", "302", "404"] {
        let (canary, _, idle) = window(&answered(status, 20), &answered("200", 80), errors());
        assert_eq!((canary, idle), (Side::count(0, 20), 0), "{status:?}");
    }
    // Where stable has no other preflight says so, and where some of it has.
    let why = preflight(&answered("weird", 50), errors()).unwrap_err();
    assert_eq!(
        why,
        format!(
            "{ASKED} of stable says in http_response_status_code how requests ended in words that nobody knows (weird), so that \
             no failure could be seen: this gate could never fail; expose the HTTP status there, or use a `ratio` gate"
        )
    );
    let caveat = preflight(&(answered("weird", 50) + &answered("200", 50)), errors()).unwrap().unwrap();
    assert_eq!(
        caveat,
        "50 of 100 requests of stable have no status that is known (weird): such a request is neither good nor failed, and \
         counts for no Pass"
    );
}

/// Envoy's counter by class does not tell 429 from the other 4xx.
#[test]
fn a_class_of_4xx_that_may_be_throttled_passes_nothing_at_envoy() {
    let text = |revision: &str, class: &str| {
        let cluster = format!("envoy_cluster_name=\"fintech_shop-{revision}_8080\"");
        format!(
            "envoy_cluster_upstream_rq_completed{{{cluster}}} 20\n\
             envoy_cluster_upstream_rq_xx{{{cluster},envoy_response_code_class=\"{class}\"}} 20\n"
        )
    };
    let of =
        |class: &str| window(&text("bbbbbbbbbb", class), &text("aaaaaaaaaa", "2"), share(Share::Errors, Preset::Envoy));
    assert_eq!(of("2"), (Side::count(0, 20), Side::count(0, 20), 0));
    assert_eq!(of("3"), (Side::count(0, 20), Side::count(0, 20), 0));
    assert_eq!(of("4"), (Side::count(0, 20), Side::count(0, 20), 20));
    assert_eq!(of("5"), (Side::count(20, 20), Side::count(0, 20), 0));
}

/// `prometheus_metrics_config` of LiteLLM can switch its counter of failures off; that of all requests has their status.
#[test]
fn a_proxy_without_its_counter_of_failures_has_them_by_their_status() {
    let total = |revision: &str, status: &str| {
        format!(
            "litellm_proxy_total_requests_metric_total{{api_key_alias=\"fintech/shop/{revision}\",requested_model=\"m\",\
             route=\"/chat/completions\",status_code=\"{status}\"}} 20\n"
        )
    };
    let failed = |status: &str, class: &str| {
        format!(
            "litellm_proxy_failed_requests_metric_total{{api_key_alias=\"fintech/shop/bbbbbbbbbb\",\
             route=\"/chat/completions\",exception_status=\"{status}\",exception_class=\"{class}\"}} 20\n"
        )
    };
    let of = |what, canary: String| window(&canary, &total("aaaaaaaaaa", "200"), share(what, Preset::Litellm));
    for (status, bad, idle) in [
        ("200", 0, 0),
        ("500", 20, 0),
        ("404", 20, 0),
        ("302", 20, 0),
        ("429", 0, 20),
        ("499", 0, 20),
        ("None", 0, 20),
        ("", 0, 20),
    ] {
        let (canary, _, none) = of(Share::Errors, total("bbbbbbbbbb", status));
        assert_eq!((canary, none), (Side::count(bad, 20), idle), "{status:?}");
    }
    assert_eq!(of(Share::Throttled, total("bbbbbbbbbb", "429")).0, Side::count(20, 20));
    // With it nothing counts twice, and its classes are surer.
    for (status, class, bad) in [
        ("500", "Openai.InternalServerError", 20),
        ("400", "Bedrock.ServiceQuotaExceededException", 0),
        ("429", "Openai.RateLimitError", 0),
        ("None", "Exception", 20),
    ] {
        let canary = total("bbbbbbbbbb", status) + &failed(status, class);
        assert_eq!(of(Share::Errors, canary).0, Side::count(bad, 20), "{status} {class}");
    }
}

#[test]
fn throttling_is_refused_where_a_source_has_classes_of_statuses_alone() {
    let text = |status: &str| {
        format!(
            "nginx_ingress_controller_requests{{namespace=\"fintech\",service=\"shop-aaaaaaaaaa\",status=\"{status}\"}} 50\n"
        )
    };
    let throttled = || share(Share::Throttled, Preset::Nginx);
    let why = preflight(&(text("2xx") + &text("4xx")), throttled()).unwrap_err();
    assert_eq!(
        why,
        "nginx_ingress_controller_requests of stable has classes of statuses alone in status, so that no 429 could be seen: this \
         gate could never fail; let the source write whole statuses"
    );
    assert_eq!(preflight(&(text("200") + &text("429")), throttled()), Ok(None));
}

#[test]
fn kinds_that_only_a_model_server_counts_say_so() {
    let calls = format!("{REQUESTS} 50\n");
    let why = preflight(&calls, share(Share::Truncated, Preset::Vllm)).unwrap_err();
    assert!(
        why.starts_with(
            "answers that were cut off at the limit of their length are counted by vLLM alone, and stable has no series \
             vllm:request_success_total with "
        ) && why.contains("count them in the application and write ratio: {bad: 'answers_total{finish_reason=\"length\"}'"),
        "{why}"
    );
    let full = gate("full", GateKind::Saturation { max_cache_ppm: Some(900_000), max_queue: None }, Preset::Vllm);
    let why = preflight(&calls, full).unwrap_err();
    assert!(
        why.starts_with("how full a model server is only vLLM says, and stable has no series vllm:kv_cache"),
        "{why}"
    );
}
