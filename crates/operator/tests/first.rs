//! The first revision, rest, repair and names that are taken: everything that needs no Prometheus.
#![allow(clippy::unwrap_used)]

mod common;

use std::{sync::Arc, time::Duration};

use common::{Operator, Silent, condition, rollout, until, weights};
use microapp_testkit::{ApiServer, Controllers, Failure};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

async fn promoted() -> (ApiServer, Controllers, Operator) {
    let server = ApiServer::new();
    let controllers = Controllers::start(&server);
    let operator = Operator::start(&server, "one", Arc::new(Silent));
    server.put("kubectl", rollout("1")).unwrap();
    until(&server, "Ready", "True", "InitialRevision").await;
    (server, controllers, operator)
}

/// What operators wrote.
fn decisions(server: &ApiServer) -> Vec<String> {
    let ours = server.requests().into_iter().filter(|r| r.is_decision() && matches!(r.agent.as_str(), "one" | "two"));
    ours.map(|request| microapp_testkit::Request::summary(&request)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_new_object_gets_its_pods_its_route_and_its_record_and_then_nothing_is_written() {
    let (server, _controllers, operator) = promoted().await;
    assert_eq!(weights(&server), [100]);
    assert_eq!(server.list("deployments", "shop").len(), 1);
    assert_eq!(server.list("controllerrevisions", "shop").len(), 1);
    let image = server.list("deployments", "shop")[0]["spec"]["template"]["spec"]["containers"][0]["image"].clone();
    assert!(image.as_str().unwrap().starts_with("registry.local/invoice@sha256:"), "{image}");
    assert!(operator.gates.open().values().all(|open| *open));
    sleep(Duration::from_secs(5)).await;
    let written = decisions(&server);
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(decisions(&server), written);
}

#[tokio::test(start_paused = true)]
async fn at_rest_nothing_is_asked_but_watches_and_the_lease() {
    let (server, _controllers, _operator) = promoted().await;
    sleep(Duration::from_secs(10)).await;
    let before = server.requests().len();
    sleep(Duration::from_secs(300)).await;
    let asked: Vec<_> = server.requests()[before..]
        .iter()
        .filter(|request| request.agent == "one" && request.verb != "watch" && !request.is_event_or_lease())
        .map(microapp_testkit::Request::summary)
        .collect();
    assert_eq!(asked, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_restart_writes_nothing() {
    let (server, _controllers, operator) = promoted().await;
    sleep(Duration::from_secs(10)).await;
    operator.end().await;
    let written = decisions(&server);
    let _second = Operator::start(&server, "two", Arc::new(Silent));
    sleep(Duration::from_secs(120)).await;
    assert_eq!(decisions(&server), written);
}

#[tokio::test(start_paused = true)]
async fn what_somebody_changes_in_the_route_is_put_right_within_seconds() {
    let (server, _controllers, _operator) = promoted().await;
    let mend = |path: &'static str, value: Value| {
        let server = server.clone();
        async move {
            let before = server.get("httproutes", "shop", "invoice").unwrap();
            let before = before["spec"].clone();
            assert!(server.edit("kubectl-edit", "httproutes", "shop", "invoice", |route| {
                *route.pointer_mut(path).unwrap() = value.clone();
            }));
            let right = server.until(|server| server.get("httproutes", "shop", "invoice").unwrap()["spec"] == before);
            timeout(Duration::from_secs(5), right).await.unwrap();
        }
    };
    mend("/spec/rules/0/backendRefs/0/weight", json!(0)).await;
    mend("/spec/hostnames/0", json!("b.example.com")).await;
    mend("/spec/rules/0/backendRefs", json!([])).await;
    mend("/spec/rules", json!([])).await;
}

#[tokio::test(start_paused = true)]
async fn a_route_that_was_deleted_comes_back_with_stable() {
    let (server, _controllers, _operator) = promoted().await;
    assert!(server.delete("kubectl", "httproutes", "shop", "invoice"));
    let back = server.until(|server| weights(server) == [100]);
    timeout(Duration::from_secs(10), back).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_taken_is_said_and_nothing_of_the_strangers_is_touched() {
    let server = ApiServer::new();
    let _controllers = Controllers::start(&server);
    let route = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"namespace": "shop", "name": "invoice"}, "spec": {"hostnames": ["mine.example.com"]},
    });
    server.put("kubectl", route).unwrap();
    let _operator = Operator::start(&server, "one", Arc::new(Silent));
    server.put("kubectl", rollout("1")).unwrap();
    until(&server, "Stalled", "True", "NameTaken").await;
    assert_eq!(server.get("httproutes", "shop", "invoice").unwrap()["spec"]["hostnames"][0], "mine.example.com");
    assert!(server.delete("kubectl", "httproutes", "shop", "invoice"));
    until(&server, "Ready", "True", "InitialRevision").await;
}

#[tokio::test(start_paused = true)]
async fn an_object_that_cannot_be_used_hurts_only_itself() {
    let server = ApiServer::new();
    let _controllers = Controllers::start(&server);
    let _operator = Operator::start(&server, "one", Arc::new(Silent));
    let mut poison = rollout("1");
    poison["metadata"]["name"] = json!("poison");
    poison["spec"] = json!({"replicas": "many"});
    server.put("kubectl", poison).unwrap();
    server.put("kubectl", rollout("1")).unwrap();
    until(&server, "Ready", "True", "InitialRevision").await;
    let stalled = server.until(|server| {
        let poison = server.get("microapprollouts", "shop", "poison").unwrap();
        let conditions = poison.pointer("/status/conditions").and_then(Value::as_array).cloned().unwrap_or_default();
        conditions.iter().any(|one| one["type"] == "Stalled" && one["reason"] == "InvalidSpec")
    });
    timeout(Duration::from_secs(300), stalled).await.unwrap();
    assert_eq!(condition(&server, "Ready").unwrap().0, "True");
}

#[tokio::test(start_paused = true)]
async fn an_object_that_the_api_server_refuses_is_a_spec_that_cannot_be_used() {
    let server = ApiServer::new();
    let _controllers = Controllers::start(&server);
    server.admit("deployments", |object, _| {
        let bad = object["spec"]["template"]["spec"]["containers"][0]["env"].as_array().unwrap();
        let bad = bad.iter().any(|variable| variable["value"] == "bad");
        if bad { Err(Failure::new(422, "spec.template.spec.containers[0].image: Required value")) } else { Ok(()) }
    });
    let _operator = Operator::start(&server, "one", Arc::new(Silent));
    server.put("kubectl", rollout("bad")).unwrap();
    until(&server, "Stalled", "True", "InvalidSpec").await;
    let tries = |server: &ApiServer| decisions(server).iter().filter(|what| *what == "create deployments").count();
    assert_eq!(tries(&server), 1);
    sleep(Duration::from_secs(1200)).await;
    assert!(tries(&server) <= 3, "{}", tries(&server));
    server.put("kubectl", rollout("good")).unwrap();
    until(&server, "Ready", "True", "InitialRevision").await;
}
