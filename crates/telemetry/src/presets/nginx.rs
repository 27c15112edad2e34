//! Ingress-nginx, where an Ingress routes to the Services of the revisions. NGINX Gateway Fabric has totals of its
//! instance only: use the application's own metrics there.

use super::{Definition, Door, NOTHING, Scheme, Which};

pub(super) static DEFINITION: Definition = Definition {
    scheme: Scheme::Gateway(Door::Nginx),
    requests: &["nginx_ingress_controller_requests"],
    outcome: Some("status"),
    bad: Which::Among(|series| series.label("status").starts_with('5')),
    throttled: Which::Among(|series| series.label("status") == "429"),
    durations: &["nginx_ingress_controller_request_duration_seconds"],
    ..NOTHING
};
