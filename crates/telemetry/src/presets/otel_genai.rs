//! OpenTelemetry GenAI metrics of the pods. The names have changed twice; suffixes depend on the exporter.

use super::{Bad, Definition, Generation, Scheme, Token};
use crate::decode::Series;

pub(super) static DEFINITION: Definition = Definition {
    scheme: Scheme::Pods,
    requests: &[
        "gen_ai_client_operation_duration_seconds_count",
        "gen_ai_client_inference_duration_seconds_count",
        "gen_ai_client_operation_duration_count",
        "gen_ai_client_inference_duration_count",
    ],
    bad: Bad::ErrorType,
    durations: &[
        "gen_ai_client_operation_duration_seconds",
        "gen_ai_client_inference_duration_seconds",
        "gen_ai_client_operation_duration",
        "gen_ai_client_inference_duration",
    ],
    per_second: 1,
    tokens: &[
        Generation { names: &[("gen_ai_client_token_usage_sum", None)] },
        Generation { names: &[("gen_ai_client_token_usage_token_sum", None)] },
        Generation {
            names: &[
                ("gen_ai_client_inference_usage_input_tokens_total", Some(Token::Input)),
                ("gen_ai_client_inference_usage_output_tokens_total", Some(Token::Output)),
                ("gen_ai_client_inference_usage_cache_read_input_tokens_total", Some(Token::CachedInput)),
            ],
        },
    ],
};

/// Operations that stand for a user's request; a series without the label counts.
const OPERATIONS: [&str; 5] = ["", "chat", "generate_content", "text_completion", "invoke_agent"];

/// Is it of an operation that a user waits for (no embeddings, no tool calls)?
pub(crate) fn is_request(series: &Series) -> bool {
    OPERATIONS.contains(&series.label("gen_ai_operation_name"))
}

/// Did the request fail through the application? Cancellations and the client's own errors are not its failures, and
/// throttling is a gate of its own.
pub(crate) fn is_bad(error_type: &str) -> bool {
    let text = error_type.to_ascii_lowercase();
    let throttled = ["ratelimit", "rate_limit", "rate limit", "rate-limit", "rate.limit"];
    !(text.is_empty()
        || text.contains("cancel")
        || throttled.iter().any(|word| text.contains(word))
        || ["429", "400", "401", "403", "404", "422"].contains(&text.as_str()))
}

#[cfg(test)]
mod tests {
    use super::is_bad;

    #[test]
    fn cancellations_throttling_and_client_errors_are_not_bad() {
        for good in ["", "429", "RateLimitError", "openai.rate_limit", "context canceled", "CancelledError", "404"] {
            assert!(!is_bad(good), "{good}");
        }
        for bad in ["timeout", "_OTHER", "500", "503", "APIConnectionError"] {
            assert!(is_bad(bad), "{bad}");
        }
    }
}
