//! Traefik 3 as a Gateway API gateway: one service per backend of a rule. Its usual bounds end at 5 s
//! (`metrics.prometheus.buckets`). Of gRPC `code` is the gRPC status (traefik 3, `middlewares/metrics/metrics.go`).

use super::{Definition, Door, NOTHING, Scheme, Which};
use crate::outcome::{Counted, Told, UNTOLD};

const TOLD: Which = Which::Among(Told { status: "code", protocol: "protocol", ..UNTOLD });

pub(super) static DEFINITION: Definition = Definition {
    scheme: Scheme::Gateway(Door::Traefik),
    side: Some(Counted::Users),
    requests: &["traefik_service_requests_total"],
    ended: TOLD,
    refused: TOLD,
    throttled: TOLD,
    durations: &["traefik_service_request_duration_seconds"],
    ..NOTHING
};
