//! Envoy's cluster metrics, in milliseconds, where there is a cluster per Service, so one per revision: with Contour, and
//! with Envoy Gateway from 1.9 on where `mergeBackends` is set (otherwise all backends of a rule share one cluster).

use super::{Definition, Door, NOTHING, Scheme, Which};

pub(super) static DEFINITION: Definition = Definition {
    scheme: Scheme::Gateway(Door::Envoy),
    requests: &["envoy_cluster_upstream_rq_completed"],
    bad: Which::Beside("envoy_cluster_upstream_rq_xx", |series| series.label("envoy_response_code_class") == "5"),
    durations: &["envoy_cluster_upstream_rq_time"],
    per_second: 1_000,
    ..NOTHING
};
