//! Envoy's cluster metrics with Contour's names: one cluster per Service, so one per revision. Milliseconds.

use super::{Bad, Definition, Scheme};

pub(super) static DEFINITION: Definition = Definition {
    scheme: Scheme::Gateway,
    requests: &["envoy_cluster_upstream_rq_completed"],
    bad: Bad::Counter { name: "envoy_cluster_upstream_rq_xx", label: "envoy_response_code_class", value: "5" },
    durations: &["envoy_cluster_upstream_rq_time"],
    per_second: 1_000,
    tokens: &[],
};
