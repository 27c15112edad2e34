//! Traefik 3 as a Gateway API gateway: one service per backend of a rule. Its usual bounds end at 5 s
//! (`metrics.prometheus.buckets`).

use super::{Definition, Door, NOTHING, Scheme, Which};

pub(super) static DEFINITION: Definition = Definition {
    scheme: Scheme::Gateway(Door::Traefik),
    requests: &["traefik_service_requests_total"],
    outcome: Some("code"),
    bad: Which::Among(|series| series.label("code").starts_with('5')),
    throttled: Which::Among(|series| series.label("code") == "429"),
    durations: &["traefik_service_request_duration_seconds"],
    ..NOTHING
};
