//! Names that people look for among the presets, and what is meant by them.

use serde_json::Value;

/// Their name, and what to write.
const MEANT: &[(&[&str], &str)] = &[
    (
        &[
            "openai",
            "anthropic",
            "langchain",
            "langgraph",
            "llamaindex",
            "llama-index",
            "traceloop",
            "openllmetry",
            "openlit",
            "bedrock",
            "gemini",
            "mistral",
            "genai",
            "gen-ai",
            "semconv-genai",
        ],
        "calls to the model are read by otel-genai, whichever library instruments the client",
    ),
    (
        &[
            "fastapi",
            "flask",
            "django",
            "starlette",
            "aiohttp",
            "express",
            "nestjs",
            "node",
            "nodejs",
            "spring",
            "http",
        ],
        "requests of users are read by otel-http where OpenTelemetry instruments the server; a Prometheus exporter's own \
         counters by a ratio gate and latency.histogram, which need no preset",
    ),
    (
        &["otel", "opentelemetry", "otlp"],
        "OpenTelemetry's metrics are read by otel-http (requests of users) and otel-genai (calls to the model)",
    ),
    (
        &["prometheus", "custom", "own", "micrometer"],
        "counters and histograms of your own need no preset: write a ratio gate, and latency with histogram",
    ),
    (
        &["tgi", "sglang", "ollama", "triton", "nim", "tensorrt-llm", "llama-cpp"],
        "there is no preset of this server: write a ratio gate over its counters, and latency with histogram",
    ),
    (
        &["streamlit", "gradio"],
        "no HTTP request stands for an answer there: write otel-genai, exposed on a port of its own",
    ),
    (&["contour", "envoy-gateway", "gateway"], "Contour and Envoy Gateway are read by envoy"),
    (&["ingress-nginx", "nginx-ingress"], "ingress-nginx is read by nginx"),
    (
        &["kong", "apisix", "haproxy", "portkey", "envoy-ai-gateway", "nginx-gateway-fabric"],
        "there is no preset of this gateway: write otel-http or otel-genai for the application's own metrics",
    ),
    (
        &["langfuse", "phoenix", "ragas", "deepeval", "opik", "trulens", "nemo-guardrails", "guardrails"],
        "verdicts are read by evals, from whoever exposes its contract (docs/telemetry.md)",
    ),
];

/// What is meant by the first name in a spec that is looked for among the presets and is none, in a sentence.
pub fn meant(spec: &Value) -> Option<String> {
    let gates = spec["gates"].as_array().into_iter().flatten().map(|gate| &gate["telemetry"]);
    let named = std::iter::once(&spec["telemetry"]["preset"]).chain(gates).filter_map(Value::as_str);
    named.into_iter().find_map(|name| {
        let word = name.to_ascii_lowercase().replace('_', "-");
        let (_, meant) = MEANT.iter().find(|(words, _)| words.contains(&word.as_str()))?;
        Some(format!("{word}: {meant}"))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use microapp_api::v1alpha1::TelemetryPreset;
    use serde::Deserialize as _;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_people_look_for_leads_to_a_preset_and_a_preset_is_no_such_word() {
        let of = |name: &str| meant(&json!({"telemetry": {"preset": name}}));
        assert!(of("LangChain").unwrap().contains("otel-genai"));
        assert!(meant(&json!({"gates": [{}, {"telemetry": "llama_index"}]})).unwrap().contains("otel-genai"));
        assert_eq!((of("otel-genai"), of("nonsense"), meant(&json!({}))), (None, None, None));
        for word in MEANT.iter().flat_map(|(words, _)| *words) {
            assert!(TelemetryPreset::deserialize(json!(word)).is_err(), "{word} is a preset");
        }
    }
}
