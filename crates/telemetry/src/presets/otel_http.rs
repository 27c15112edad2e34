//! OpenTelemetry's HTTP server metrics of the pods (semantic conventions 1.23 and later, stable). The top finite bound of
//! their durations is 10 s, unless a View says otherwise.

use super::{Definition, NOTHING, Which};

pub(super) static DEFINITION: Definition = Definition {
    requests: &["http_server_request_duration_seconds_count", "http_server_request_duration_count"],
    // A response that was begun with 200 and broke off has only `error_type`.
    outcome: Some("http_response_status_code"),
    good: |series| {
        series.label("error_type").is_empty() && !series.label("http_response_status_code").starts_with(['4', '5'])
    },
    bad: Which::Among(|series| {
        let error = series.label("error_type");
        series.label("http_response_status_code").starts_with('5')
            || (!error.is_empty() && !error.starts_with('4') && !error.to_ascii_lowercase().contains("cancel"))
    }),
    throttled: Which::Among(|series| series.label("http_response_status_code") == "429"),
    durations: &["http_server_request_duration_seconds", "http_server_request_duration"],
    ..NOTHING
};
