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
    ended: TOLD,
    throttled: TOLD,
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
