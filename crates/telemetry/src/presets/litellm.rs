//! The LiteLLM proxy, with a virtual key per revision whose alias is `<namespace>/<rollout>/<revision>`. Counters carry
//! the suffix that Python's client appends. Fallbacks hide errors; an unknown model costs 0 in its counter of USD. Labels
//! without a value are "None" (Python's `str`).

use super::{Definition, Door, Generation, NOTHING, Scheme, Token, Which};
use crate::outcome::{Counted, Ending, Told, UNTOLD};

const TOLD: Which = Which::Beside(
    "litellm_proxy_failed_requests_metric_total",
    Told { status: "exception_status", error: "exception_class", silent: Ending::Failed, ..UNTOLD },
);

pub(super) static DEFINITION: Definition = Definition {
    scheme: Scheme::Gateway(Door::Litellm),
    side: Some(Counted::Calls),
    requests: &["litellm_proxy_total_requests_metric_total"],
    user: |series| is_answer(series.label("route")),
    // One that has no status has not been seen to be answered.
    answered: Some(Told { status: "status_code", silent: Ending::Unknown, ..UNTOLD }),
    ended: TOLD,
    throttled: TOLD,
    durations: &["litellm_request_total_latency_metric"],
    first_token: &["litellm_llm_api_time_to_first_token_metric"],
    tokens: &[Generation {
        counted: None,
        // Those that the provider had in its cache are among the input (prometheus.py 1.108.7,
        // `_increment_token_detail_metrics`).
        names: &[
            ("litellm_input_tokens_metric_total", Some(Token::Input)),
            ("litellm_output_tokens_metric_total", Some(Token::Output)),
            ("litellm_input_cached_tokens_metric_total", Some(Token::CachedInput)),
        ],
    }],
    model: &["model", "requested_model"],
    // `standard_logging_payload["model"]` is the deployment's, whatever the provider's answer says.
    model_is: Some("the model is that of the deployment which answered: what the provider answered with is not seen"),
    // The counter of all requests has only the model that was asked for (prometheus.py 1.108.7). These count the good ones.
    by_model: &["litellm_requests_metric_total", "litellm_request_total_latency_metric_count"],
    spend: &["litellm_spend_metric_total"],
    ..NOTHING
};

/// Routes that prepare an answer, or manage something, and are no answer to anybody: by their first segment behind the
/// prefix, and by their last one (`LiteLLMRoutes`, _types.py 1.108.7).
const MANAGE: [&str; 14] = [
    "files",
    "batches",
    "fine_tuning",
    "vector_stores",
    "vector_store",
    "search",
    "containers",
    "assistants",
    "utils",
    "health",
    "metrics",
    "key",
    "model",
    "mcp",
];
const PREPARE: [&str; 6] = ["embeddings", "rerank", "moderations", "models", "count_tokens", "input_tokens"];

/// Does somebody wait for the answer? Series without the label count, and so do routes that nobody knows here: what a
/// provider's own path means is the provider's affair.
fn is_answer(route: &str) -> bool {
    let mut segments = route.split('/').filter(|segment| !segment.is_empty());
    let is_prefix = |segment: &&str| *segment == "openai" || (segment.starts_with('v') && segment.len() == 2);
    let first = segments.clone().find(|segment| !is_prefix(segment)).unwrap_or_default();
    let last = segments.next_back().unwrap_or_default();
    let verb = last.rsplit(':').next().unwrap_or_default();
    !(MANAGE.contains(&first) || PREPARE.contains(&last) || ["embedContent", "countTokens"].contains(&verb))
}

#[cfg(test)]
mod tests {
    use super::is_answer;

    #[test]
    fn a_route_counts_where_somebody_waits_for_the_answer() {
        for answer in [
            "",
            "None",
            "/chat/completions",
            "/v1/chat/completions",
            "/openai/deployments/gpt-5/chat/completions",
            "/v1/responses",
            "/v1/messages",
            "/v1/images/generations",
            "/anthropic/v1/messages",
            "/gemini/v1beta/models/gemini-3:generateContent",
            "/bedrock/model/claude/converse",
        ] {
            assert!(is_answer(answer), "{answer}");
        }
        for other in [
            "/embeddings",
            "/v1/embeddings",
            "/openai/deployments/e/embeddings",
            "/v1/rerank",
            "/v1/moderations",
            "/v1/models",
            "/v1/files/f-1/content",
            "/v1/vector_stores/s/search",
            "/v1/messages/count_tokens",
            "/gemini/v1beta/models/e:embedContent",
            "/health/readiness",
        ] {
            assert!(!is_answer(other), "{other}");
        }
    }
}
