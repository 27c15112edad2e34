//! The apps: which packages measure them, and which gates are tried on them.

use crate::truth::What;

/// What starts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// FastAPI, in so many worker processes.
    Uvicorn {
        /// Which virtual environment.
        venv: &'static str,
        /// Processes behind the one port.
        workers: u8,
    },
    /// Flask.
    Gunicorn,
    /// Express; OpenTelemetry's exporter has a port of its own there.
    Node {
        /// Are the metrics on that port?
        own_port: bool,
    },
    /// The LiteLLM proxy: one process serves both revisions.
    Litellm,
}

/// A gate of an app, and what it must count.
#[derive(Clone, Copy, Debug)]
pub struct Probe {
    /// Its name.
    pub name: &'static str,
    /// In YAML, without the name.
    pub spec: &'static str,
    /// What it must count.
    pub what: What,
}

/// An app.
#[derive(Clone, Copy, Debug)]
pub struct App {
    /// Its name, which is that of its rollout.
    pub name: &'static str,
    /// What measures it.
    pub packages: &'static str,
    /// What starts it.
    pub program: Program,
    /// The environment that chooses what measures it.
    pub env: &'static [(&'static str, &'static str)],
    /// Name and version of the model.
    pub model: [&'static str; 2],
    /// The gates that are tried.
    pub gates: &'static [&'static [Probe]],
}

const fn probe(name: &'static str, spec: &'static str, what: What) -> Probe {
    Probe { name, spec, what }
}

const GENAI: &[Probe] = &[
    probe("genai-errors", r#"{errorRate: {max: "5%"}, telemetry: otel-genai}"#, What::CallErrors),
    probe("genai-latency", r#"{latency: {quantile: "0.95", max: 2.56s}, telemetry: otel-genai}"#, What::CallSlow),
    probe("genai-cost", r#"{tokenCost: {maxIncrease: "10%"}, telemetry: otel-genai}"#, What::Cost),
    probe("genai-tokens", r#"{tokensPerRequest: {maxIncrease: "10%"}, telemetry: otel-genai}"#, What::Tokens),
    probe("genai-budget", r#"{tokenBudget: {max: "25"}, telemetry: otel-genai}"#, What::Cost),
    probe(
        "genai-ttft",
        r#"{timeToFirstToken: {quantile: "0.95", max: 2.56s}, telemetry: otel-genai}"#,
        What::FirstToken,
    ),
    probe(
        "genai-tpot",
        r#"{timePerOutputToken: {quantile: "0.5", max: 0.32s}, telemetry: otel-genai}"#,
        What::PerToken,
    ),
    probe("genai-throttling", r#"{throttling: {max: "5%"}, telemetry: otel-genai}"#, What::CallTooMany),
    probe("genai-model", r"{modelIdentity: {}, telemetry: otel-genai}", What::OtherModel),
];

const HTTP: &[Probe] = &[
    probe("http-errors", r#"{errorRate: {max: "5%"}, telemetry: otel-http}"#, What::Errors),
    probe("http-refused", r"{clientErrors: {}, telemetry: otel-http}", What::Refused),
    probe("http-latency", r#"{latency: {quantile: "0.95", max: 2.5s}, telemetry: otel-http}"#, What::Slow(2.5)),
    probe("http-throttling", r#"{throttling: {max: "5%"}, telemetry: otel-http}"#, What::TooMany),
    probe("http-share", r"{shareCheck: {}, telemetry: otel-http}", What::Requests),
];

const LITELLM: &[Probe] = &[
    probe("errors", r#"{errorRate: {max: "5%"}, telemetry: litellm}"#, What::CallErrors),
    probe("latency", r#"{latency: {quantile: "0.95", max: 2.5s}, telemetry: litellm}"#, What::CallSlow),
    probe("cost", r#"{tokenCost: {maxIncrease: "10%"}, telemetry: litellm}"#, What::Cost),
    probe("tokens", r#"{tokensPerRequest: {maxIncrease: "10%"}, telemetry: litellm}"#, What::Tokens),
    probe("budget", r#"{tokenBudget: {max: "25"}, telemetry: litellm}"#, What::Cost),
    probe("ttft", r#"{timeToFirstToken: {quantile: "0.95", max: 2.5s}, telemetry: litellm}"#, What::FirstToken),
    probe("throttling", r#"{throttling: {max: "5%"}, telemetry: litellm}"#, What::CallTooMany),
    probe("model", r"{modelIdentity: {}, telemetry: litellm}", What::OtherModel),
    probe("share", r"{shareCheck: {}, telemetry: litellm}", What::Requests),
];

/// A ratio over one's own counters.
macro_rules! ratio {
    ($name:literal, $bad:literal, $total:literal) => {
        probe(
            $name,
            concat!(r#"{ratio: {bad: '"#, $bad, r#"', total: '"#, $total, r#"', max: "5%"}}"#),
            What::Answered5xx,
        )
    };
}

/// A latency by one's own histogram.
macro_rules! latency {
    ($histogram:literal, $matching:literal) => {
        probe(
            "latency",
            concat!(
                r#"{latency: {quantile: "0.95", max: 2.5s, histogram: "#,
                $histogram,
                ", matching: '",
                $matching,
                "'}}"
            ),
            What::OwnSlow(2.5),
        )
    };
}

const INSTRUMENTATOR: &[Probe] = &[
    ratio!("ratio", r#"http_requests_total{status="5xx"}"#, r#"http_requests_total{handler!~"/healthz|/metrics"}"#),
    // Misspelt: this exporter groups its codes.
    ratio!("ratio-500", r#"http_requests_total{status="500"}"#, r#"http_requests_total{handler!~"/healthz|/metrics"}"#),
    ratio!("ratio-code", r#"http_requests_total{code=~"5.."}"#, r#"http_requests_total{handler!~"/healthz|/metrics"}"#),
    ratio!(
        "ratio-metric",
        r#"http_request_total{status="5xx"}"#,
        r#"http_requests_total{handler!~"/healthz|/metrics"}"#
    ),
];
const STARLETTE_EXPORTER: &[Probe] = &[
    ratio!(
        "ratio",
        r#"starlette_requests_total{status_code=~"5.."}"#,
        r#"starlette_requests_total{path!~"/healthz|/metrics"}"#
    ),
    latency!("starlette_request_duration_seconds", r#"{path!~"/healthz|/metrics"}"#),
];
const STARLETTE_PROMETHEUS: &[Probe] = &[ratio!(
    "ratio",
    r#"starlette_responses_total{status_code=~"5.."}"#,
    r#"starlette_responses_total{path_template!~"/healthz|/metrics"}"#
)];
const FLASK: &[Probe] = &[
    ratio!(
        "ratio",
        r#"flask_http_request_duration_seconds_count{status=~"5.."}"#,
        r#"flask_http_request_duration_seconds_count{path!~"/healthz|/metrics"}"#
    ),
    latency!("flask_http_request_duration_seconds", r#"{path!~"/healthz|/metrics"}"#),
];
const HANDMADE: &[Probe] = &[
    ratio!("ratio", r#"http_requests_total{status=~"5.."}"#, r#"http_requests_total{path!~"/healthz|/metrics/?"}"#),
    latency!("http_request_duration_seconds", r#"{path!~"/healthz|/metrics/?"}"#),
];
const PROM_CLIENT: &[Probe] = &[
    ratio!("ratio", r#"http_requests_total{code=~"5.."}"#, r#"http_requests_total{route!~"/healthz|/metrics"}"#),
    latency!("http_request_duration_seconds", r#"{route!~"/healthz|/metrics"}"#),
];
const BUNDLE: &[Probe] = &[
    ratio!(
        "ratio",
        r#"http_request_duration_seconds_count{status_code=~"5.."}"#,
        r#"http_request_duration_seconds_count{path!~"/healthz|/metrics"}"#
    ),
    latency!("http_request_duration_seconds", r#"{path!~"/healthz|/metrics"}"#),
];
const OTEL_OLD: &[Probe] = &[
    ratio!(
        "ratio",
        r#"http_server_duration_milliseconds_count{http_status_code=~"5.."}"#,
        r#"http_server_duration_milliseconds_count{http_target=~"/ask|/stream|/agent"}"#
    ),
    latency!("http_server_duration_milliseconds", r#"{http_target=~"/ask|/stream|/agent"}"#),
];

const NANO: [&str; 2] = ["gpt-5-nano", "2025-08-07"];
const HAIKU: [&str; 2] = ["claude-haiku-4-5", "20251001"];

const fn python(venv: &'static str) -> Program {
    Program::Uvicorn { venv, workers: 1 }
}

/// All of them.
pub const APPS: &[App] = &[
    App {
        name: "genai-openai",
        packages: "opentelemetry-instrumentation-genai-openai; -fastapi with its old names",
        program: python("otel"),
        env: &[("HTTP", "otel"), ("GENAI", "genai-openai")],
        model: NANO,
        gates: &[GENAI, HTTP, OTEL_OLD],
    },
    App {
        name: "openai-v2",
        packages: "opentelemetry-instrumentation-openai-v2 as it comes; -fastapi with its new names",
        program: python("openai-v2"),
        env: &[("HTTP", "otel"), ("GENAI", "openai-v2"), ("OTEL_SEMCONV_STABILITY_OPT_IN", "http")],
        model: NANO,
        gates: &[GENAI, HTTP],
    },
    App {
        name: "openai-v2-latest",
        packages: "the same with gen_ai_latest_experimental",
        program: python("openai-v2"),
        env: &[
            ("HTTP", "otel"),
            ("GENAI", "openai-v2"),
            ("OTEL_SEMCONV_STABILITY_OPT_IN", "http,gen_ai_latest_experimental"),
        ],
        model: NANO,
        gates: &[GENAI, HTTP],
    },
    App {
        name: "openllmetry-openai",
        packages: "opentelemetry-instrumentation-openai (OpenLLMetry); FastAPI's own telemetry",
        program: python("otel"),
        env: &[("HTTP", "native"), ("GENAI", "openllmetry-openai")],
        model: NANO,
        gates: &[GENAI, HTTP],
    },
    App {
        name: "openllmetry-langchain",
        packages: "opentelemetry-instrumentation-langchain (OpenLLMetry); starlette_exporter",
        program: python("otel"),
        env: &[("HTTP", "starlette_exporter"), ("GENAI", "openllmetry-langchain")],
        model: NANO,
        gates: &[GENAI, STARLETTE_EXPORTER],
    },
    App {
        name: "genai-langchain",
        packages: "opentelemetry-instrumentation-genai-langchain",
        program: python("otel"),
        env: &[("HTTP", "none"), ("GENAI", "genai-langchain")],
        model: NANO,
        gates: &[GENAI],
    },
    App {
        name: "openlit",
        packages: "openlit, which measures FastAPI too",
        program: python("openlit"),
        env: &[("HTTP", "none"), ("GENAI", "openlit")],
        model: NANO,
        gates: &[GENAI, HTTP, OTEL_OLD],
    },
    App {
        name: "genai-anthropic",
        packages: "opentelemetry-instrumentation-genai-anthropic; prometheus-fastapi-instrumentator",
        program: python("otel"),
        env: &[("HTTP", "instrumentator"), ("GENAI", "genai-anthropic"), ("MODEL", "claude-haiku-4-5")],
        model: HAIKU,
        gates: &[GENAI, INSTRUMENTATOR],
    },
    App {
        name: "openllmetry-anthropic",
        packages: "opentelemetry-instrumentation-anthropic (OpenLLMetry); starlette-prometheus",
        program: python("otel"),
        env: &[("HTTP", "starlette-prometheus"), ("GENAI", "openllmetry-anthropic"), ("MODEL", "claude-haiku-4-5")],
        model: HAIKU,
        gates: &[GENAI, STARLETTE_PROMETHEUS],
    },
    App {
        name: "handmade",
        packages: "a middleware with prometheus_client, as tutorials have it",
        program: python("otel"),
        env: &[("HTTP", "handmade"), ("GENAI", "none")],
        model: NANO,
        gates: &[HANDMADE],
    },
    App {
        name: "workers",
        packages: "two workers of uvicorn; genai-openai, -fastapi with its new names",
        program: Program::Uvicorn { venv: "otel", workers: 2 },
        env: &[("HTTP", "otel"), ("GENAI", "genai-openai"), ("OTEL_SEMCONV_STABILITY_OPT_IN", "http")],
        model: NANO,
        gates: &[GENAI, HTTP],
    },
    App {
        name: "flask",
        packages: "opentelemetry-instrumentation-genai-openai, blocking; prometheus_flask_exporter",
        program: Program::Gunicorn,
        env: &[("HTTP", "prometheus_flask_exporter"), ("GENAI", "genai-openai")],
        model: NANO,
        gates: &[GENAI, FLASK],
    },
    App {
        name: "node-otel",
        packages: "@opentelemetry/instrumentation-http, -openai",
        program: Program::Node { own_port: true },
        env: &[("HTTP", "otel"), ("GENAI", "otel")],
        model: NANO,
        gates: &[GENAI, HTTP],
    },
    App {
        name: "node-express",
        packages: "@opentelemetry/instrumentation-http with -express; @traceloop/instrumentation-openai",
        program: Program::Node { own_port: true },
        env: &[("HTTP", "otel-express"), ("GENAI", "traceloop")],
        model: NANO,
        gates: &[GENAI, HTTP],
    },
    App {
        name: "node-prom-client",
        packages: "express and prom-client, as tutorials have it",
        program: Program::Node { own_port: false },
        env: &[("HTTP", "prom-client"), ("GENAI", "none")],
        model: NANO,
        gates: &[PROM_CLIENT],
    },
    App {
        name: "node-bundle",
        packages: "express-prom-bundle",
        program: Program::Node { own_port: false },
        env: &[("HTTP", "express-prom-bundle"), ("GENAI", "none")],
        model: NANO,
        gates: &[BUNDLE],
    },
    App {
        name: "litellm",
        packages: "the LiteLLM proxy",
        program: Program::Litellm,
        env: &[],
        model: NANO,
        gates: &[LITELLM],
    },
];
