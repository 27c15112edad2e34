//! Linkerd's proxies, scraped at the pods: what came in and was classified (Linkerd's proxy metrics). Milliseconds, until
//! the first byte.

use super::{Definition, NOTHING, Which};

pub(super) static DEFINITION: Definition = Definition {
    requests: &["response_total"],
    user: |series| series.label("direction") == "inbound",
    outcome: Some("classification"),
    bad: Which::Among(|series| series.label("classification") == "failure"),
    throttled: Which::Among(|series| series.label("status_code") == "429"),
    durations: &["response_latency_ms"],
    per_second: 1_000,
    ..NOTHING
};
