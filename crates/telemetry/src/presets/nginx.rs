//! Ingress-nginx, where an Ingress routes to the Services of the revisions. NGINX Gateway Fabric has totals of its
//! instance only: use the application's own metrics there.

use super::{Definition, Door, NOTHING, Scheme, Which};
use crate::outcome::{Counted, Told, UNTOLD};

const TOLD: Which = Which::Among(Told { status: "status", ..UNTOLD });

pub(super) static DEFINITION: Definition = Definition {
    scheme: Scheme::Gateway(Door::Nginx),
    side: Some(Counted::Users),
    requests: &["nginx_ingress_controller_requests"],
    ended: TOLD,
    refused: TOLD,
    throttled: TOLD,
    durations: &["nginx_ingress_controller_request_duration_seconds"],
    ..NOTHING
};
