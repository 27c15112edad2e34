//! Istio's sidecars, scraped at the pods: of the two reports of a request that of the destination (Istio's standard
//! metrics). Milliseconds. Response code 0: the connection broke.

use super::{Definition, NOTHING, Which};

pub(super) static DEFINITION: Definition = Definition {
    requests: &["istio_requests_total"],
    user: |series| series.label("reporter") == "destination",
    outcome: Some("response_code"),
    bad: Which::Among(|series| {
        let code = series.label("response_code");
        code.starts_with('5') || code == "0"
    }),
    throttled: Which::Among(|series| series.label("response_code") == "429"),
    durations: &["istio_request_duration_milliseconds"],
    per_second: 1_000,
    ..NOTHING
};
