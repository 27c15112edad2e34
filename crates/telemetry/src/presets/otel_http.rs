//! OpenTelemetry's HTTP server metrics of the pods (semantic conventions 1.23 and later, stable). The top finite bound of
//! their durations is 10 s, unless a View says otherwise.

use super::{Definition, NOTHING, Which};
use crate::outcome::{Counted, Told, UNTOLD};

/// A response that was begun with 200 and broke off has only `error_type`.
const TOLD: Which = Which::Among(Told {
    status: "http_response_status_code",
    grpc: "rpc_response_status_code",
    error: "error_type",
    ..UNTOLD
});

pub(super) static DEFINITION: Definition = Definition {
    side: Some(Counted::Users),
    requests: &["http_server_request_duration_seconds_count", "http_server_request_duration_count"],
    ended: TOLD,
    refused: TOLD,
    throttled: TOLD,
    durations: &["http_server_request_duration_seconds", "http_server_request_duration"],
    ..NOTHING
};
