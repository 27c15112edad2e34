//! Simulated users and what Prometheus says of them.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use microapp_testkit::{
    ApiServer, Behaviour, Controllers, FakePrometheus, Pods, Profile, PromFault, Refused, Traffic, clock,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn revision(server: &ApiServer, revision: &str, replicas: u32) {
    let labels = json!({"microapp.dev/revision": revision});
    let name = format!("app-{revision}");
    let container = json!({"name": "app", "image": format!("reg/app:{revision}")});
    let template = json!({"metadata": {"labels": labels}, "spec": {"containers": [container]}});
    let spec = json!({"replicas": replicas, "selector": {"matchLabels": labels}, "template": template});
    let metadata = json!({"name": name, "namespace": "ns"});
    server
        .put("test", json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}))
        .unwrap();
    let spec = json!({"selector": labels, "ports": [{"port": 8080}]});
    server.put("test", json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})).unwrap();
}

fn weights(server: &ApiServer, stable: i64, canary: i64) {
    let backend = |name: &str, weight: i64| json!({"name": name, "port": 8080, "weight": weight});
    let rules = json!([{"backendRefs": [backend("app-r1", stable), backend("app-r2", canary)]}]);
    let route = json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": "app", "namespace": "ns"}, "spec": {"parentRefs": [{"name": "public"}], "rules": rules}});
    server.put("test", route).unwrap();
}

async fn sleep(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

fn now() -> f64 {
    clock::now_millis() as f64 / 1000.0
}

/// Sum of the last values of a query that gives a vector.
fn total(prometheus: &FakePrometheus, promql: &str) -> f64 {
    let answer = prometheus.query(promql, now());
    assert_eq!(answer["status"], "success", "{answer}");
    let values = answer["data"]["result"].as_array().unwrap().iter();
    values.map(|s| s["value"][1].as_str().unwrap().parse::<f64>().unwrap()).sum()
}

fn matrix(answer: &Value) -> Vec<Value> {
    assert_eq!(answer["data"]["resultType"], "matrix", "{answer}");
    answer["data"]["result"].as_array().unwrap().clone()
}

const COUNT: &str = "gen_ai_client_operation_duration_seconds_count";

async fn world(rps: f64) -> (ApiServer, Controllers, FakePrometheus) {
    let server = ApiServer::new();
    let controllers = Controllers::start(&server);
    let prometheus = FakePrometheus::start(&server, Traffic::new("ns", "app").rps(rps).seed(7));
    revision(&server, "r1", 3);
    revision(&server, "r2", 1);
    weights(&server, 90, 10);
    server
        .until(|s| {
            s.list("pods", "ns").iter().filter(|p| p["status"]["conditions"][3]["status"] == "True").count() == 4
        })
        .await;
    (server, controllers, prometheus)
}

#[tokio::test(start_paused = true)]
async fn traffic_follows_the_weights_and_errors_follow_the_profile() {
    let (server, _controllers, prometheus) = world(100.0).await;
    prometheus.profile(Pods::image("reg/app:r2"), Profile { error_rate: 0.2, ..Profile::default() });
    // Until the pods were ready, the gateway answered 503 itself.
    let unready = prometheus.users()["r1"].bad;
    sleep(600).await;
    let users = prometheus.users();
    let (stable, canary) = (users["r1"], users["r2"]);
    let share = (canary.good + canary.bad) as f64 / 60_000.0;
    assert!((share - 0.1).abs() < 0.01, "{share}");
    let errors = canary.bad as f64 / (canary.good + canary.bad) as f64;
    assert!((errors - 0.2).abs() < 0.02, "{errors}");
    assert!(stable.bad - unready < 200, "{stable:?}");
    // Prometheus has it all but what came after the last scrape.
    let counted = total(&prometheus, &format!(r#"{COUNT}{{namespace="ns",pod=~"app-r2-.*"}}"#));
    let all = (canary.good + canary.bad) as f64;
    assert!(counted <= all && counted > all - 150.0, "{counted} of {all}");
    let failed = total(&prometheus, &format!(r#"{COUNT}{{pod=~"app-r2-.*",error_type!=""}}"#));
    assert!((failed / counted - 0.2).abs() < 0.02);
    let gateway = total(&prometheus, r#"envoy_cluster_upstream_rq_completed{envoy_cluster_name="ns_app-r2_8080"}"#);
    assert!((gateway - counted).abs() < 150.0);
    weights(&server, 100, 0);
    sleep(30).await;
    let before = prometheus.users()["r2"];
    sleep(60).await;
    assert_eq!(prometheus.users()["r2"], before);
}

#[tokio::test(start_paused = true)]
async fn a_range_selector_gives_raw_samples_with_each_pods_phase() {
    let (_server, _controllers, prometheus) = world(50.0).await;
    sleep(120).await;
    let promql = format!(
        r#"{{__name__=~"up|{COUNT}|gen_ai_client_operation_duration_seconds_bucket",le=~"|2\\.56",namespace="ns",pod=~"app-r1-.*|app-r2-.*"}}[60s]"#
    );
    let series = matrix(&prometheus.query(&promql, now()));
    let named = |name: &str| series.iter().filter(|s| s["metric"]["__name__"] == name).cloned().collect::<Vec<_>>();
    assert_eq!(named("up").len(), 4);
    let mut phases: Vec<i64> = vec![];
    for up in named("up") {
        let times: Vec<i64> =
            up["values"].as_array().unwrap().iter().map(|v| (v[0].as_f64().unwrap() * 1000.0) as i64).collect();
        assert_eq!(times.len(), 12, "every five seconds");
        assert!(times.windows(2).all(|w| w[1] - w[0] == 5000));
        phases.push(times[0] % 5000);
    }
    phases.dedup();
    assert!(phases.len() > 1, "pods are not scraped at the same moment");
    let buckets = named("gen_ai_client_operation_duration_seconds_bucket");
    assert!(!buckets.is_empty() && buckets.iter().all(|b| b["metric"]["le"] == "2.56"));
}

#[tokio::test(start_paused = true)]
async fn the_past_comes_in_slices_and_tokens_and_verdicts_are_counted() {
    let (_server, _controllers, prometheus) = world(20.0).await;
    let costly = Profile { output_tokens: 400.0, hallucination: 0.3, ..Profile::default() };
    prometheus.profile(Pods::revision("r2"), costly);
    sleep(3600).await;
    let slices = matrix(&prometheus.query(r#"up{namespace="ns",pod=~"app-r1-.*"}[1h:1m]"#, now()));
    assert_eq!(slices.len(), 3);
    assert!(slices.iter().all(|s| s["values"].as_array().unwrap().len() >= 59));
    let mean = |revision: &str| {
        let tokens = |part: &str| {
            let selector =
                format!(r#"gen_ai_client_token_usage_{part}{{gen_ai_token_type="output",pod=~"app-{revision}-.*"}}"#);
            total(&prometheus, &selector)
        };
        tokens("sum") / tokens("count")
    };
    assert!((mean("r1") - 200.0).abs() < 5.0 && (mean("r2") - 400.0).abs() < 15.0);
    let results =
        |verdict: &str| total(&prometheus, &format!(r#"llm_eval_results_total{{revision="r2",verdict="{verdict}"}}"#));
    let share = results("fail") / (results("fail") + results("pass"));
    assert!((share - 0.3).abs() < 0.02, "{share}");
    let started = total(&prometheus, r#"llm_eval_started_total{revision="r2",sampling="random"}"#);
    assert!(started >= results("fail") + results("pass"));
    let names = prometheus.query(r#"group by (__name__) ({namespace="ns",pod=~"app-r1-.*"})"#, now());
    let names = names["data"]["result"].as_array().unwrap();
    assert!(names.iter().any(|s| s["metric"]["__name__"] == COUNT && s["value"][1] == "1"), "{names:?}");
    let by_model = prometheus.query(&format!("count by (gen_ai_response_model) (last_over_time({COUNT}[5m]))"), now());
    assert_eq!(by_model["data"]["result"][0]["metric"]["gen_ai_response_model"], Value::Null);
    assert_eq!(by_model["data"]["result"][1]["metric"]["gen_ai_response_model"], "gpt-5-nano-2025-08-07");
}

#[tokio::test(start_paused = true)]
async fn a_restarted_container_counts_from_zero_and_a_dead_pods_series_end() {
    let (server, controllers, prometheus) = world(50.0).await;
    sleep(120).await;
    let selector = format!(r#"{COUNT}{{pod=~"app-r2-.*",gen_ai_response_model!=""}}"#);
    let before = total(&prometheus, &selector);
    let started = total(&prometheus, r#"process_start_time_seconds{pod=~"app-r2-.*"}"#);
    controllers.restart(&Pods::revision("r2"));
    sleep(20).await;
    assert!(total(&prometheus, &selector) < before);
    assert!(total(&prometheus, r#"process_start_time_seconds{pod=~"app-r2-.*"}"#) > started);
    controllers.behave(Pods::revision("r2"), Behaviour::CrashLoop { exit_code: 1 });
    server
        .until(|s| {
            s.list("pods", "ns").iter().any(|p| p["status"]["containerStatuses"][0]["state"]["waiting"].is_object())
        })
        .await;
    sleep(6).await;
    assert!(total(&prometheus, r#"up{pod=~"app-r2-.*"}"#) < 0.5);
    server.delete("test", "deployments", "ns", "app-r2");
    sleep(1).await;
    assert_eq!(prometheus.query(r#"up{pod=~"app-r2-.*"}"#, now())["data"]["result"], json!([]));
}

#[test]
fn the_same_seed_gives_the_same_numbers() {
    // A runtime of its own for each, so that both begin at the epoch.
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (_server, _controllers, prometheus) = world(50.0).await;
            sleep(300).await;
            (prometheus.users(), total(&prometheus, "gen_ai_client_operation_duration_seconds_sum"))
        })
    };
    assert_eq!(run(), run());
}

#[tokio::test(start_paused = true)]
async fn every_fault_looks_as_it_does_to_a_client() {
    let (_server, _controllers, prometheus) = world(20.0).await;
    sleep(60).await;
    let ask = async || prometheus.answer("up[30s]", now()).await;
    let data = || matrix(&prometheus.query("up[30s]", now()));
    assert_eq!(data().len(), 5, "four pods and the gateway");
    prometheus.fault(Some(PromFault::Refuse));
    assert_eq!(ask().await, Err(Refused));
    prometheus.fault(Some(PromFault::Hang));
    assert!(tokio::time::timeout(Duration::from_secs(10), ask()).await.is_err());
    prometheus.fault(Some(PromFault::Slow(Duration::from_secs(9))));
    let start = tokio::time::Instant::now();
    ask().await.unwrap();
    assert_eq!(start.elapsed().as_secs(), 9);
    prometheus.fault(Some(PromFault::Status(500)));
    assert_eq!(ask().await.unwrap().status, 500);
    prometheus.fault(Some(PromFault::Html));
    assert_eq!(ask().await.unwrap().content_type, "text/html");
    prometheus.fault(Some(PromFault::Nan));
    assert!(data().iter().all(|s| s["values"][0][1] == "NaN"));
    prometheus.fault(Some(PromFault::Empty));
    assert!(data().is_empty());
    prometheus.fault(Some(PromFault::Huge(9 << 20)));
    assert!(ask().await.unwrap().body.len() >= 9 << 20);
    prometheus.fault(Some(PromFault::Partial));
    assert_eq!(data().len(), 3);
    assert!(prometheus.query("up", now())["warnings"].is_array());
    prometheus.fault(Some(PromFault::Twice));
    assert_eq!(data().len(), 10);
    prometheus.fault(Some(PromFault::Skew(60_000)));
    assert!(data()[0]["values"][0][0].as_f64().unwrap() > now());
    prometheus.fault(Some(PromFault::Stale));
    sleep(40).await;
    assert!(data().is_empty());
    prometheus.fault(None);
    sleep(10).await;
    assert_eq!(data().len(), 5);
    assert_eq!(prometheus.query("topk(1, up)", now())["errorType"], "bad_data");
    assert!(prometheus.queries().len() > 15);
}

#[tokio::test]
async fn it_answers_over_http_too() {
    let server = ApiServer::new();
    let prometheus = FakePrometheus::start(&server, Traffic::new("ns", "app"));
    let url = prometheus.serve().await.unwrap();
    let body = "query=1%2B1&time=1772359200";
    let request = format!(
        "POST /api/v1/query HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = tokio::net::TcpStream::connect(url.trim_start_matches("http://")).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains(r#""result":[1772359200.0,"2"]"#), "{answer}");
}
