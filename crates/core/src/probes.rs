//! Requests to a pod that no user made: what the kubelet and Prometheus ask for, as the pod template says.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// An HTTP request that is made of every pod again and again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// Its path without query, such as `/healthz`.
    pub path: String,
    /// Seconds from one to the next; `None` where it ends once the pod has started, or is Prometheus' scrape.
    pub period: Option<f64>,
}

/// What Kubernetes takes for `periodSeconds` where it is not given (`core/v1` defaults).
const PERIOD: f64 = 10.0;

/// The probes of all containers of a pod template, and the path that the usual annotation names for scrapes.
pub fn probes(template: &Value) -> Vec<Probe> {
    let mut found = Vec::new();
    for kind in ["containers", "initContainers"] {
        for container in template["spec"][kind].as_array().into_iter().flatten() {
            for (name, repeats) in [("livenessProbe", true), ("readinessProbe", true), ("startupProbe", false)] {
                let probe = &container[name];
                let get = &probe["httpGet"];
                if get.is_object() {
                    let period = probe["periodSeconds"].as_f64().filter(|seconds| *seconds >= 1.0).unwrap_or(PERIOD);
                    found.push(Probe { path: path(&get["path"]), period: repeats.then_some(period) });
                }
            }
        }
    }
    let scraped = &template["metadata"]["annotations"]["prometheus.io/path"];
    if scraped.is_string() {
        found.push(Probe { path: path(scraped), period: None });
    }
    found
}

/// Without query; the root where none is given, as the kubelet asks for it.
fn path(value: &Value) -> String {
    let path = value.as_str().unwrap_or_default().split(['?', '#']).next().unwrap_or_default();
    if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn probes_of_every_container_are_found_with_their_pace() {
        let template = json!({
            "metadata": {"annotations": {"prometheus.io/path": "/internal/metrics"}},
            "spec": {
                "containers": [
                    {"livenessProbe": {"httpGet": {"path": "/alive?full=1", "port": 8080}, "periodSeconds": 5},
                     "readinessProbe": {"tcpSocket": {"port": 8080}},
                     "startupProbe": {"httpGet": {"path": "begun", "port": 8080}, "periodSeconds": 1}},
                    {"readinessProbe": {"httpGet": {"port": 9000}}},
                ],
                "initContainers": [{"restartPolicy": "Always", "livenessProbe": {"httpGet": {"path": "/side"}}}],
            },
        });
        let found = probes(&template);
        let found: Vec<_> = found.iter().map(|probe| (probe.path.as_str(), probe.period)).collect();
        let expected = [
            ("/alive", Some(5.0)),
            ("/begun", None),
            ("/", Some(10.0)),
            ("/side", Some(10.0)),
            ("/internal/metrics", None),
        ];
        assert_eq!(found, expected);
        assert_eq!(probes(&json!({"spec": {}})), []);
    }
}
