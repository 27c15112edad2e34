//! The LiteLLM proxy, with a virtual key per revision whose alias is `<namespace>/<rollout>/<revision>`. Counters carry
//! the suffix that Python's client appends. Fallbacks hide errors; an unknown model costs 0 in its counter of USD.

use super::{Definition, Door, Generation, NOTHING, Scheme, Token, Which};

const FAILED: &str = "litellm_proxy_failed_requests_metric_total";

pub(super) static DEFINITION: Definition = Definition {
    scheme: Scheme::Gateway(Door::Litellm),
    requests: &["litellm_proxy_total_requests_metric_total"],
    bad: Which::Beside(FAILED, |series| {
        !["400", "401", "403", "404", "422", "429"].contains(&series.label("exception_status"))
    }),
    throttled: Which::Beside(FAILED, |series| series.label("exception_status") == "429"),
    durations: &["litellm_request_total_latency_metric"],
    first_token: &["litellm_llm_api_time_to_first_token_metric"],
    tokens: &[Generation {
        names: &[
            ("litellm_input_tokens_metric_total", Some(Token::Input)),
            ("litellm_output_tokens_metric_total", Some(Token::Output)),
        ],
    }],
    model: &["model", "requested_model"],
    spend: &["litellm_spend_metric_total"],
    ..NOTHING
};
