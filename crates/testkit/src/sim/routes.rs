//! HTTPRoutes and Gateways: accepted, refused, or left without an answer.

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Cluster, RouteAnswer, condition, text, uid};
use crate::api::ApiServer;

const ACTOR: &str = "gateway-controller";
const CONTROLLER: &str = "testkit.example/gateway-controller";

/// Answers routes whose time has come; says when the next one's comes.
pub(super) fn step(server: &ApiServer, cluster: &mut Cluster) -> Option<Instant> {
    gateways(server);
    let now = Instant::now();
    let routes = server.list("httproutes", "");
    cluster.routes.retain(|known, _| routes.iter().any(|r| uid(r) == known));
    let mut wake: Option<Instant> = None;
    for route in &routes {
        let generation = route["metadata"]["generation"].as_i64().unwrap_or(0);
        let seen = cluster.routes.entry(uid(route).to_owned()).or_insert((generation, now));
        if seen.0 != generation {
            *seen = (generation, now);
        }
        let due = seen.1 + cluster.timing.route;
        if now < due {
            wake = wake.into_iter().chain([due]).min();
            continue;
        }
        let (accepted, reason) = match &cluster.answer {
            RouteAnswer::Accept => (true, "Accepted"),
            RouteAnswer::Refuse(reason) => (false, reason.as_str()),
            RouteAnswer::Silent => continue,
        };
        let resolved = services_exist(server, route);
        let resolved_reason = if resolved { "ResolvedRefs" } else { "BackendNotFound" };
        let parent = |parent: &Value| {
            let mut before = route["status"]["parents"].as_array().into_iter().flatten();
            let before = before.find(|p| p["parentRef"] == *parent).map_or(&Value::Null, |p| &p["conditions"]);
            json!({"parentRef": parent, "controllerName": CONTROLLER, "conditions": [
                condition(before, "Accepted", accepted, reason, Some(generation)),
                condition(before, "ResolvedRefs", resolved, resolved_reason, Some(generation)),
            ]})
        };
        let parents = route["spec"]["parentRefs"].as_array().into_iter().flatten().map(parent);
        let status = json!({"parents": parents.collect::<Vec<_>>()});
        if route["status"] != status {
            server.edit(ACTOR, "httproutes", text(route, "namespace"), text(route, "name"), |r| r["status"] = status);
        }
    }
    wake
}

fn services_exist(server: &ApiServer, route: &Value) -> bool {
    let rules = route["spec"]["rules"].as_array().into_iter().flatten();
    let mut backends = rules.filter_map(|r| r["backendRefs"].as_array()).flatten();
    let namespace = text(route, "namespace");
    backends.all(|b| server.get("services", namespace, b["name"].as_str().unwrap_or_default()).is_some())
}

fn gateways(server: &ApiServer) {
    for gateway in server.list("gateways", "") {
        let generation = gateway["metadata"]["generation"].as_i64();
        let before = &gateway["status"]["conditions"];
        let conditions = ["Accepted", "Programmed"].map(|kind| condition(before, kind, true, kind, generation));
        let addresses = json!([{"type": "IPAddress", "value": "192.0.2.10"}]);
        let status = json!({"addresses": addresses, "conditions": conditions});
        if gateway["status"] != status {
            let (namespace, name) = (text(&gateway, "namespace"), text(&gateway, "name"));
            server.edit(ACTOR, "gateways", namespace, name, |g| g["status"] = status);
        }
    }
}
