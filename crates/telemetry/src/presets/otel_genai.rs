//! OpenTelemetry GenAI metrics of the pods. The names have changed twice; suffixes depend on the exporter.

use super::{Definition, Generation, NOTHING, Token, Which};
use crate::{
    outcome::{Counted, Told, UNTOLD},
    series::Series,
};

const TOLD: Which = Which::Among(Told { error: "error_type", ..UNTOLD });

pub(super) static DEFINITION: Definition = Definition {
    side: Some(Counted::Calls),
    requests: &[
        "gen_ai_client_operation_duration_seconds_count",
        "gen_ai_client_inference_duration_seconds_count",
        "gen_ai_client_operation_duration_count",
        "gen_ai_client_inference_duration_count",
    ],
    user: is_request,
    ended: TOLD,
    throttled: TOLD,
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
