//! OpenTelemetry's HTTP server metrics of the pods: those of the stable semantic conventions (1.23 and later), and those of
//! before, in milliseconds, which its Python packages write unless `OTEL_SEMCONV_STABILITY_OPT_IN=http` is set. The top finite
//! bound of their durations is 10 s, unless a View says otherwise.

use super::{Definition, NOTHING, Which};
use crate::outcome::{Counted, Told, UNTOLD};

/// A response that was begun with 200 and broke off has only `error_type`.
const TOLD: Which = Which::Among(Told {
    status: "http_response_status_code",
    older: "http_status_code",
    grpc: "rpc_response_status_code",
    error: "error_type",
    ..UNTOLD
});

pub(super) static DEFINITION: Definition = Definition {
    side: Some(Counted::Users),
    requests: &[
        "http_server_request_duration_seconds_count",
        "http_server_request_duration_count",
        "http_server_duration_milliseconds_count",
        "http_server_duration_count",
    ],
    ended: TOLD,
    refused: TOLD,
    throttled: TOLD,
    durations: &[
        "http_server_request_duration_seconds",
        "http_server_request_duration",
        "http_server_duration_milliseconds",
        "http_server_duration",
    ],
    ..NOTHING
};
