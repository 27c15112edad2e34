//! The simulated controllers: a Deployment, its pods and a route, on paused time.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use microapp_testkit::{ApiServer, Behaviour, Controllers, Pods, RouteAnswer, clock};
use serde_json::{Value, json};

fn deployment(image: &str, replicas: u32) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "app-r1", "namespace": "ns"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "a"}}, "template": {
            "metadata": {"labels": {"app": "a", "microapp.dev/revision": "r1"}},
            "spec": {"containers": [{"name": "main", "image": image}]}}}})
}

fn ready(server: &ApiServer) -> u64 {
    server.get("deployments", "ns", "app-r1").map_or(0, |d| d["status"]["readyReplicas"].as_u64().unwrap_or(0))
}

fn pods(server: &ApiServer) -> Vec<Value> {
    server.list("pods", "ns")
}

fn container(server: &ApiServer) -> Value {
    pods(server)[0]["status"]["containerStatuses"][0].clone()
}

#[tokio::test(start_paused = true)]
async fn a_deployment_gets_ready_pods_that_report_their_digest() {
    let server = ApiServer::new();
    let _controllers = Controllers::start(&server);
    server.registry().set("reg/app:1", "sha256:aa");
    server.put("test", deployment("reg/app:1", 2)).unwrap();
    server.until(|s| ready(s) == 2).await;
    assert_eq!(clock::elapsed(), Duration::from_millis(3500));
    assert_eq!(container(&server)["imageID"], "reg/app@sha256:aa");
    assert!(pods(&server)[0]["metadata"]["name"].as_str().unwrap().starts_with("app-r1-"));
    let status = server.get("deployments", "ns", "app-r1").unwrap()["status"].clone();
    assert_eq!((&status["observedGeneration"], &status["updatedReplicas"]), (&json!(1), &json!(2)));
    // Pinning: another template, so other pods, and users never without one.
    server.edit("test", "deployments", "ns", "app-r1", |d| {
        d["spec"]["template"]["spec"]["containers"][0]["image"] = json!("reg/app@sha256:aa");
    });
    // 25 % more than two, rounded up, as a Deployment does where it says nothing.
    server.until(|s| pods(s).len() == 3).await;
    server.until(|s| pods(s).len() == 2 && ready(s) == 2).await;
    assert!(
        server
            .versions("deployments", "ns", "app-r1")
            .iter()
            .skip_while(|v| v.object["status"]["readyReplicas"] != 2)
            .all(|v| v.object["status"]["readyReplicas"].as_u64() >= Some(2))
    );
    server.edit("test", "deployments", "ns", "app-r1", |d| d["spec"]["replicas"] = json!(0));
    server.until(|s| pods(s).is_empty()).await;
    server.delete("test", "deployments", "ns", "app-r1");
    assert!(server.list("replicasets", "ns").is_empty());
}

#[tokio::test(start_paused = true)]
async fn pods_fail_as_they_are_told_and_recover() {
    let server = ApiServer::new();
    let controllers = Controllers::start(&server);
    server.put("test", deployment("reg/app:1", 1)).unwrap();
    server.until(|s| ready(s) == 1).await;
    controllers.behave(Pods::image("reg/app:1"), Behaviour::CrashLoop { exit_code: 3 });
    server.until(|s| container(s)["state"]["waiting"]["reason"] == "CrashLoopBackOff").await;
    let crashed = container(&server);
    assert_eq!((&crashed["restartCount"], &crashed["lastState"]["terminated"]["exitCode"]), (&json!(1), &json!(3)));
    server.until(|s| ready(s) == 0).await;
    controllers.behave(Pods::All, Behaviour::OomKilled);
    server.until(|s| container(s)["lastState"]["terminated"]["reason"] == "OOMKilled").await;
    controllers.behave(Pods::All, Behaviour::Healthy);
    server.until(|s| ready(s) == 1).await;
    controllers.behave(Pods::revision("r1"), Behaviour::Unready);
    server.until(|s| ready(s) == 0).await;
    controllers.behave(Pods::revision("r1"), Behaviour::ImagePullBackOff);
    let pod = pods(&server)[0]["metadata"]["name"].as_str().unwrap().to_owned();
    server.delete("test", "pods", "ns", &pod);
    server.until(|s| !pods(s).is_empty() && container(s)["state"]["waiting"]["reason"] == "ImagePullBackOff").await;
    assert_eq!(container(&server)["imageID"], "");
}

#[tokio::test(start_paused = true)]
async fn a_quota_leaves_a_deployment_without_pods_and_says_so() {
    let server = ApiServer::new();
    let controllers = Controllers::start(&server);
    controllers.behave(Pods::All, Behaviour::QuotaExceeded);
    server.put("test", deployment("reg/app:1", 1)).unwrap();
    let failed = |s: &ApiServer| s.get("deployments", "ns", "app-r1").unwrap()["status"]["conditions"][2].clone();
    server.until(|s| failed(s)["type"] == "ReplicaFailure").await;
    assert!(pods(&server).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_route_is_answered_for_each_generation_or_refused() {
    let server = ApiServer::new();
    let controllers = Controllers::start(&server);
    let route = json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": "app", "namespace": "ns"},
        "spec": {"parentRefs": [{"name": "public"}], "rules": [{"backendRefs": [{"name": "app-r1", "port": 80}]}]}});
    server.put("test", route).unwrap();
    let answers =
        |s: &ApiServer| s.get("httproutes", "ns", "app").unwrap()["status"]["parents"][0]["conditions"].clone();
    server.until(|s| answers(s)[0]["status"] == "True").await;
    assert_eq!(answers(&server)[1]["reason"], "BackendNotFound");
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "app-r1", "namespace": "ns"},
        "spec": {"ports": [{"port": 80}]}});
    server.put("test", service).unwrap();
    server.until(|s| answers(s)[1]["status"] == "True").await;
    controllers.answer_routes(RouteAnswer::Refuse("NotAllowedByListeners".into()));
    server.edit("test", "httproutes", "ns", "app", |r| r["spec"]["hostnames"] = json!(["a.example"]));
    server.until(|s| answers(s)[0]["status"] == "False").await;
    assert_eq!(answers(&server)[0]["observedGeneration"], 2);
}
