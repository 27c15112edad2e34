//! Istio's sidecars, scraped at the pods: of the two reports of a request that of the destination (Istio's standard
//! metrics). Milliseconds. Response code 0: the user was gone before the answer (istio#9292, #49884).

use super::{Definition, NOTHING, Which};
use crate::outcome::{Counted, Told, UNTOLD};

const TOLD: Which =
    Which::Among(Told { status: "response_code", grpc: "grpc_response_status", flags: "response_flags", ..UNTOLD });

pub(super) static DEFINITION: Definition = Definition {
    side: Some(Counted::Users),
    requests: &["istio_requests_total"],
    user: |series| series.label("reporter") == "destination",
    ended: TOLD,
    refused: TOLD,
    throttled: TOLD,
    durations: &["istio_request_duration_milliseconds"],
    ..NOTHING
};
