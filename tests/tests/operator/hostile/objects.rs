//! One tenant's object never hurts another's.

use std::time::Duration;

use microapp_testkit::{Fault, Match};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{STEPS, at_one_percent, broken, metrics, series, stable, tenant, traffic};
use crate::{
    invariants,
    stage::{NAME, NS, Stage, short},
};

const MOMENT: Duration = Duration::from_secs(20);

fn deep(levels: usize) -> Value {
    (0..levels).fold(json!("x"), |inner, _| json!([inner]))
}

/// What a schema of an older release let through.
fn without_schema(stage: &Stage) {
    let mut crd: Value =
        serde_saphyr::from_str(include_str!("../../../../crds/microapprollouts.microapp.dev.yaml")).unwrap();
    let fields = &mut crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    *fields = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    stage.server.install_crd(&crd);
}

/// After a restart a canary that fails is reverted within seconds, whatever stands in the objects of others.
async fn still_reverts(mut stage: Stage) {
    stage.operators.remove(0).end().await;
    stage.start();
    sleep(MOMENT).await;
    stage.profile(2, broken());
    stage.within(Duration::from_secs(30), "it is reverted", |stage| stage.aborted()["cause"] == "GateFailed").await;
    assert!(stage.operators[0].gates.open().values().all(|open| *open));
}

#[tokio::test(start_paused = true)]
async fn a_rollout_that_is_nested_too_deep_stops_nobody_at_a_restart() {
    let stage = at_one_percent().await;
    without_schema(&stage);
    let mut poison = microapp_testkit::build::rollout("attacker", "poison", "x").build();
    poison["spec"]["template"]["spec"]["containers"][0]["resources"] = json!({"limits": {"cpu": deep(200)}});
    stage.server.put("kubectl", poison).unwrap();
    let said = |stage: &Stage| {
        let poison = stage.server.get("microapprollouts", "attacker", "poison").unwrap_or_default();
        poison["status"]["conditions"].to_string()
    };
    stage.within(MOMENT, "it says where", |stage| said(stage).contains("resources.limits.cpu: it is nested")).await;
    still_reverts(stage).await;
}

#[tokio::test(start_paused = true)]
async fn a_time_that_no_library_has_stops_nobody_at_a_restart() {
    let stage = at_one_percent().await;
    let fields = json!([{"manager": "x", "operation": "Update", "apiVersion": "v1", "time": "9999-12-31T23:59:59Z"}]);
    let poison = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": "attacker", "name": "x",
        "managedFields": fields, "creationTimestamp": "-9999-12-31T23:59:59Z"}});
    stage.server.put("kubectl", poison).unwrap();
    for (plural, name) in [("configmaps", format!("{NAME}-prompts")), ("httproutes", NAME.to_owned())] {
        stage.server.edit("kubectl", plural, NS, &name, |object| {
            object["metadata"]["managedFields"] = fields.clone();
        });
    }
    still_reverts(stage).await;
}

#[tokio::test(start_paused = true)]
async fn children_of_any_kind_and_any_depth_stop_nobody_at_a_restart() {
    let stage = at_one_percent().await;
    for (api_version, kind) in [
        ("apps/v1", "Deployment"),
        ("v1", "Service"),
        ("v1", "Pod"),
        ("v1", "ConfigMap"),
        ("apps/v1", "ControllerRevision"),
        ("gateway.networking.k8s.io/v1", "HTTPRoute"),
    ] {
        let metadata = json!({"namespace": "attacker", "name": "x", "labels": {"microapp.dev/rollout": NAME}});
        let body = json!({"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": {"x": deep(500)},
            "data": {"x": deep(300)}});
        stage.server.put("kubectl", body).unwrap();
    }
    still_reverts(stage).await;
}

/// Whose watch cannot be opened neither takes nor keeps the lease from who can work.
#[tokio::test(start_paused = true)]
async fn who_cannot_fill_its_caches_does_not_take_the_lease() {
    let mut stage = stable().await;
    let pods = |request: &microapp_testkit::Request| matches!(request.verb, "list" | "watch");
    stage.server.fault(Match::any().agent("operator-2").plural("pods").when(pods), Fault::Error(403));
    stage.start();
    sleep(MOMENT).await;
    stage.upgrade(2);
    stage.until("the first step", |stage| stage.weights() == [99, 1]).await;
    // The lease of the healthy one runs out, and comes back.
    stage.server.fault(Match::any().agent("operator-1").plural("leases"), Fault::Error(503));
    sleep(Duration::from_secs(12)).await;
    let holder = |stage: &Stage| {
        stage.server.get("leases", "operator", "microapp-operator").unwrap()["spec"]["holderIdentity"].clone()
    };
    assert_eq!(holder(&stage), "operator-1");
    stage.server.heal();
    stage.server.fault(Match::any().agent("operator-2").plural("pods").when(pods), Fault::Error(403));
    stage.profile(2, broken());
    stage.within(Duration::from_secs(30), "it is reverted", |stage| stage.aborted()["cause"] == "GateFailed").await;
    assert!(!stage.operators[1].gates.open()["caches"] && stage.operators[0].gates.open()["caches"]);
}

#[tokio::test(start_paused = true)]
async fn who_loses_a_watch_gives_the_lease_to_who_sees_and_leads_only_where_nobody_does() {
    let mut stage = stable().await;
    let blind = |agent: &str| Match::any().agent(agent).plural("pods").when(|request| request.verb != "get");
    let holder = |stage: &Stage| {
        stage.server.get("leases", "operator", "microapp-operator").unwrap()["spec"]["holderIdentity"].clone()
    };
    stage.server.fault(blind("operator-1"), Fault::Error(500));
    sleep(Duration::from_secs(120)).await;
    assert_eq!(holder(&stage), "operator-1", "alone it leads all the same");
    stage.start();
    stage.within(MOMENT, "who sees leads", |stage| holder(stage) == "operator-2").await;
    sleep(Duration::from_secs(60)).await;
    assert_eq!(holder(&stage), "operator-2");
    stage.upgrade(2);
    invariants::promoted(&stage, 2, &STEPS).await;
}

#[tokio::test(start_paused = true)]
async fn a_namespace_without_rights_stops_nobody_in_another_one() {
    let mut stage = Stage::empty(traffic());
    stage.operators.remove(0).end().await;
    stage.server.fault(Match::any().namespace("missing"), Fault::Error(403));
    stage.start_with(|context| context.namespaces = ["missing", NS, "other"].map(str::to_owned).to_vec());
    stage.put(short());
    tenant(&stage, "other", "registry.local/other:1");
    stage
        .within(Duration::from_secs(90), "it is stable", |stage| stage.reads("Ready", "True", "InitialRevision"))
        .await;
    let route = |stage: &Stage| stage.server.get("httproutes", "other", NAME).is_some();
    stage.within(Duration::from_secs(90), "so is the other", route).await;
    assert!(stage.operators[0].gates.open().values().all(|open| *open));
    sleep(Duration::from_secs(60)).await;
    let seen = metrics(&stage, 0);
    assert!(series(&seen, "microapp_watch_staleness_seconds", &["kind=\"Pod\""]).unwrap() > 10.0, "{seen}");
}

#[tokio::test(start_paused = true)]
async fn without_any_right_to_configmaps_only_who_has_prompts_waits_and_says_so() {
    let mut stage = at_one_percent().await;
    stage.operators.remove(0).end().await;
    stage.server.deny("*", "configmaps");
    stage.start();
    let said = |stage: &Stage| stage.rollout()["status"]["conditions"].to_string();
    stage.within(MOMENT, "it says why", |stage| said(stage).contains("not allowed to get ConfigMap")).await;
    assert_eq!(stage.weights(), [99, 1], "the attempt stays where it is");
    stage.server.allow("*", "configmaps");
    invariants::promoted(&stage, 2, &STEPS).await;
}
