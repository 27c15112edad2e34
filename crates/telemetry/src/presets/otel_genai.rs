//! OpenTelemetry GenAI metrics of the pods. The names have changed twice; suffixes depend on the exporter.

use super::{Definition, Generation, NOTHING, Token, Which};
use crate::series::Series;

pub(super) static DEFINITION: Definition = Definition {
    requests: &[
        "gen_ai_client_operation_duration_seconds_count",
        "gen_ai_client_inference_duration_seconds_count",
        "gen_ai_client_operation_duration_count",
        "gen_ai_client_inference_duration_count",
    ],
    user: is_request,
    // `error.type` is set where the operation ended in an error, and nowhere else.
    good: |series| series.label("error_type").is_empty(),
    bad: Which::Among(|series| is_bad(series.label("error_type"))),
    throttled: Which::Among(|series| is_throttled(series.label("error_type"))),
    durations: &[
        "gen_ai_client_operation_duration_seconds",
        "gen_ai_client_inference_duration_seconds",
        "gen_ai_client_operation_duration",
        "gen_ai_client_inference_duration",
    ],
    first_token: &[
        "gen_ai_client_operation_time_to_first_chunk_seconds",
        "gen_ai_client_inference_time_to_first_chunk_seconds",
        "gen_ai_client_operation_time_to_first_chunk",
        "gen_ai_client_inference_time_to_first_chunk",
        "gen_ai_server_time_to_first_token_seconds",
        "gen_ai_server_time_to_first_token",
    ],
    per_token: &[
        "gen_ai_client_operation_time_per_output_chunk_seconds",
        "gen_ai_client_inference_time_per_output_chunk_seconds",
        "gen_ai_client_operation_time_per_output_chunk",
        "gen_ai_client_inference_time_per_output_chunk",
        "gen_ai_server_time_per_output_token_seconds",
        "gen_ai_server_time_per_output_token",
    ],
    // OpenLLMetry's, beside its durations.
    generation: &[
        "llm_chat_completions_streaming_time_to_generate_seconds",
        "llm_openai_chat_completions_streaming_time_to_generate_seconds",
    ],
    tokens: &[
        Generation {
            names: &[("gen_ai_client_token_usage_sum", None)],
            counted: Some("gen_ai_client_token_usage_count"),
        },
        Generation {
            names: &[("gen_ai_client_token_usage_token_sum", None)],
            counted: Some("gen_ai_client_token_usage_token_count"),
        },
        Generation {
            counted: None,
            names: &[
                ("gen_ai_client_inference_usage_input_tokens_total", Some(Token::Input)),
                ("gen_ai_client_inference_usage_output_tokens_total", Some(Token::Output)),
                ("gen_ai_client_inference_usage_cache_read_input_tokens_total", Some(Token::CachedInput)),
            ],
        },
    ],
    model: &["gen_ai_response_model", "gen_ai_request_model"],
    names_answers: true,
    spend: &["gen_ai_usage_cost_sum", "gen_ai_usage_cost_USD_sum"],
    ..NOTHING
};

/// Operations that stand for a user's request; a series without the label counts.
const OPERATIONS: [&str; 5] = ["", "chat", "generate_content", "text_completion", "invoke_agent"];

/// Is it of an operation that a user waits for (no embeddings, no tool calls)?
fn is_request(series: &Series) -> bool {
    OPERATIONS.contains(&series.label("gen_ai_operation_name"))
}

/// Was the request refused because there were too many?
fn is_throttled(error_type: &str) -> bool {
    let text = error_type.to_ascii_lowercase();
    let words = ["ratelimit", "rate_limit", "rate limit", "rate-limit", "rate.limit", "throttl"];
    text == "429" || words.iter().any(|word| text.contains(word))
}

/// Did the request fail through the application? Cancellations and the client's own errors are not its failures, and
/// throttling is a gate of its own.
fn is_bad(error_type: &str) -> bool {
    let text = error_type.to_ascii_lowercase();
    !(text.is_empty()
        || text.contains("cancel")
        || is_throttled(&text)
        || ["400", "401", "403", "404", "422"].contains(&text.as_str()))
}

#[cfg(test)]
mod tests {
    use super::{is_bad, is_throttled};

    #[test]
    fn cancellations_throttling_and_client_errors_are_not_bad() {
        for good in ["", "429", "RateLimitError", "openai.rate_limit", "context canceled", "CancelledError", "404"] {
            assert!(!is_bad(good), "{good}");
        }
        for bad in ["timeout", "_OTHER", "500", "503", "APIConnectionError"] {
            assert!(is_bad(bad), "{bad}");
        }
    }

    #[test]
    fn throttling_is_known_by_its_number_and_its_words() {
        for throttled in ["429", "RateLimitError", "openai.rate_limit", "ThrottlingException"] {
            assert!(is_throttled(throttled), "{throttled}");
        }
        for other in ["", "timeout", "4290", "500"] {
            assert!(!is_throttled(other), "{other}");
        }
    }
}
