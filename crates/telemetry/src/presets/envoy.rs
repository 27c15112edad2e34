//! Envoy's cluster metrics with Contour's names: one cluster per Service, so one per revision. Milliseconds.

use super::{Definition, NOTHING, Scheme, Which};

pub(super) static DEFINITION: Definition = Definition {
    scheme: Scheme::Gateway,
    requests: &["envoy_cluster_upstream_rq_completed"],
    bad: Which::Beside("envoy_cluster_upstream_rq_xx", |series| series.label("envoy_response_code_class") == "5"),
    durations: &["envoy_cluster_upstream_rq_time"],
    per_second: 1_000,
    ..NOTHING
};
