//! Linkerd's proxies, scraped at the pods: what came in and was classified (Linkerd's proxy metrics). Milliseconds, until
//! the first byte. `classification` is of the whole response, its end too; by itself it takes a gRPC status that is the
//! client's fault for a success, and a cancelled stream for a failure (linkerd2-proxy, `app/core/src/classify.rs`).

use super::{Definition, NOTHING, Which};
use crate::outcome::{Counted, Told, UNTOLD};

const TOLD: Which = Which::Among(Told {
    status: "status_code",
    grpc: "grpc_status",
    error: "error",
    class: "classification",
    ..UNTOLD
});

pub(super) static DEFINITION: Definition = Definition {
    side: Some(Counted::Users),
    requests: &["response_total"],
    user: |series| series.label("direction") == "inbound",
    ended: TOLD,
    refused: TOLD,
    throttled: TOLD,
    durations: &["response_latency_ms"],
    ..NOTHING
};
