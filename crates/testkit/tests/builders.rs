//! The builders' objects are accepted and say what they were told.
#![allow(clippy::unwrap_used)]

use microapp_testkit::{ApiServer, build};
use serde_json::json;

#[tokio::test(start_paused = true)]
async fn a_rollout_says_what_its_setters_were_told() {
    let server = ApiServer::new();
    let rollout = build::rollout("ns", "app", "reg/app:1")
        .replicas(4)
        .model("gpt-5-mini", "2025-08-01")
        .steps(&[(json!("0.5%"), "30s"), (json!(100), "5m")])
        .set("/spec/strategy/maxStepDuration", "1h")
        .command("abort", "t1 because")
        .build();
    let stored = server.put("kubectl", rollout).unwrap();
    assert_eq!(stored["metadata"]["generation"], 1);
    assert_eq!(stored["spec"]["strategy"]["steps"][0], json!({"weight": "0.5%", "dwell": "30s"}));
    assert_eq!(stored["spec"]["strategy"]["maxStepDuration"], "1h");
    assert_eq!(stored["metadata"]["annotations"]["microapp.dev/abort"], "t1 because");
    let prompts = server.put("kubectl", build::prompts("ns", "app", "Be brief.")).unwrap();
    assert_eq!(stored["spec"]["prompts"]["configMapRef"]["name"], prompts["metadata"]["name"]);
    for object in build::gateway("ns") {
        server.put("kubectl", object).unwrap();
    }
    assert_eq!(server.list("gateways", "").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_installed_crd_fills_in_its_defaults_and_drops_what_it_does_not_know() {
    let server = ApiServer::new();
    let replicas = json!({"type": "integer", "default": 3});
    let schema = json!({"type": "object", "properties": {"spec": {"properties": {"replicas": replicas}}}});
    let version = json!({"name": "v1", "schema": {"openAPIV3Schema": schema}});
    let names = json!({"plural": "toys", "kind": "Toy"});
    let spec = json!({"group": "example.com", "scope": "Namespaced", "names": names, "versions": [version]});
    server.install_crd(&json!({"spec": spec}));
    let toy = json!({"apiVersion": "example.com/v1", "kind": "Toy", "metadata": {"name": "t"}, "spec": {"typo": 1}});
    assert_eq!(server.put("kubectl", toy).unwrap()["spec"], json!({"replicas": 3}));
    assert!(server.get("toys", "default", "t").is_some());
}
