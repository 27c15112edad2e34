//! vLLM (V1 engine) in the pods. Requests and errors come from its HTTP server, since errors before the engine are counted
//! nowhere else; the engine's own series have a model and no revision. The server has classes of statuses alone: 429 is
//! among the 4xx.

use super::{Cut, Definition, Generation, NOTHING, Token, Which};
use crate::outcome::{Counted, Told, UNTOLD};

const HTTP: &str = "http_requests_total";

const TOLD: Which = Which::Among(Told { status: "status", ..UNTOLD });

pub(super) static DEFINITION: Definition = Definition {
    side: Some(Counted::Users),
    requests: &[HTTP],
    user: |series| series.name() != HTTP || series.label("handler").starts_with("/v1/"),
    ended: TOLD,
    refused: TOLD,
    truncated: Some(Cut { family: "vllm:request_success_total", label: "finished_reason", value: "length" }),
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
