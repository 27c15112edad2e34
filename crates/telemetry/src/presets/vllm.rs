//! vLLM (V1 engine) in the pods. Requests and errors come from its HTTP server, since errors before the engine are counted
//! nowhere else; the engine's own series have a model and no revision.

use super::{Definition, Generation, NOTHING, Token, Which};

const HTTP: &str = "http_requests_total";

pub(super) static DEFINITION: Definition = Definition {
    requests: &[HTTP],
    user: |series| series.name() != HTTP || series.label("handler").starts_with("/v1/"),
    outcome: Some("status"),
    good: |series| !series.label("status").starts_with(['4', '5']),
    bad: Which::Among(|series| series.label("status").starts_with('5')),
    truncated: Which::Of("vllm:request_success_total", |series| series.label("finished_reason") == "length"),
    durations: &["vllm:e2e_request_latency_seconds"],
    first_token: &["vllm:time_to_first_token_seconds"],
    per_token: &["vllm:inter_token_latency_seconds", "vllm:time_per_output_token_seconds"],
    tokens: &[Generation {
        counted: None,
        names: &[
            ("vllm:prompt_tokens_total", Some(Token::Input)),
            ("vllm:generation_tokens_total", Some(Token::Output)),
        ],
    }],
    model: &["model_name"],
    cache: &["vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"],
    queue: &["vllm:num_requests_waiting"],
    ..NOTHING
};
