//! Envoy's cluster metrics, in milliseconds, where there is a cluster per Service, so one per revision: with Contour, and
//! with Envoy Gateway from 1.9 on where `mergeBackends` is set (otherwise all backends of a rule share one cluster).
//!
//! A request counts when its headers come, or when none will (router.cc: `onUpstreamHeaders`, `chargeUpstreamAbort`). What
//! breaks after them has no counter of a cluster: `upstream_rq_rx_reset` is of HTTP/2 alone, and that and
//! `upstream_cx_destroy_remote_with_active_rq` have those that broke before, too, which are 503 here already. Users who
//! leave before the headers are no completed requests.

use super::{Definition, Door, NOTHING, Scheme, Which};
use crate::outcome::{Counted, Told, UNTOLD};

pub(super) static DEFINITION: Definition = Definition {
    scheme: Scheme::Gateway(Door::Envoy),
    side: Some(Counted::Users),
    requests: &["envoy_cluster_upstream_rq_completed"],
    ended: Which::Beside("envoy_cluster_upstream_rq_xx", Told { status: "envoy_response_code_class", ..UNTOLD }),
    refused: Which::Of("envoy_cluster_upstream_rq", Told { status: "envoy_response_code", ..UNTOLD }),
    durations: &["envoy_cluster_upstream_rq_time"],
    per_second: Some(1_000),
    ..NOTHING
};
