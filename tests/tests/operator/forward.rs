//! A first revision, and a good second one.

use std::time::Duration;

use microapp_testkit::{Request, Version, build};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    invariants::{self, share},
    stage::{NAME, NS, Stage, image, short},
};
use microapp_testkit::Traffic;

#[tokio::test(start_paused = true)]
async fn a_first_revision_becomes_stable_without_gates_and_reconciling_again_writes_nothing() {
    let stage = Stage::empty(Traffic::new(NS, NAME));
    stage.put(short());
    stage.until("the first revision is stable", |stage| stage.reads("Ready", "True", "InitialRevision")).await;
    let revision = stage.revision(1);
    assert_eq!(revision.len(), 10);
    let rollout = stage.rollout();
    let name = format!("{NAME}-{revision}");
    let digest = stage.server.registry().digest(&image(1));
    let mut children = Vec::new();
    for (plural, name, of_revision) in [
        ("deployments", name.as_str(), true),
        ("services", &name, true),
        ("controllerrevisions", &name, true),
        ("configmaps", &format!("{name}-prompts"), true),
        ("services", NAME, false),
        ("httproutes", NAME, false),
    ] {
        let child = stage.server.get(plural, NS, name).unwrap_or_else(|| panic!("no {plural}/{name}\n{stage:?}"));
        let labels = &child["metadata"]["labels"];
        assert_eq!(labels["app.kubernetes.io/name"], NAME);
        assert_eq!(labels["app.kubernetes.io/managed-by"], "microapp-operator");
        assert_eq!(labels["microapp.dev/rollout"], NAME);
        assert_eq!(labels["microapp.dev/revision"].as_str(), of_revision.then_some(revision.as_str()));
        assert!(labels["app.kubernetes.io/instance"].is_null());
        let owners = child["metadata"]["ownerReferences"].as_array().unwrap();
        assert_eq!(owners.len(), 1);
        assert_eq!(owners[0]["uid"], rollout["metadata"]["uid"]);
        assert_eq!(owners[0]["controller"], true);
        children.push(child);
    }
    let [deployment, _, record, prompts, apex, route] = &children[..] else { panic!() };
    let pinned = format!("registry.local/{NAME}@{digest}");
    assert_eq!(deployment["spec"]["template"]["spec"]["containers"][0]["image"], pinned.as_str());
    assert_eq!(record["data"]["images"]["app"], pinned.as_str());
    assert_eq!(record["revision"], 1);
    assert_eq!(prompts["immutable"], true);
    assert_eq!(prompts["data"], json!({"system.txt": "Be brief."}));
    assert_eq!(apex["spec"]["selector"]["microapp.dev/revision"], revision.as_str());
    assert_eq!(route["spec"]["rules"][0]["backendRefs"][0]["name"], name.as_str());
    assert_eq!(stage.weights(), [100]);
    assert_eq!((stage.register("stable"), stage.register("attempt")), (revision.clone(), "1".to_owned()));
    let status = &rollout["status"];
    assert_eq!(status["stable"]["digest"], digest.as_str());
    assert_eq!(status["observedGeneration"], 1);
    assert!(stage.condition("Reconciling").is_none() && stage.condition("Stalled").is_none());
    let created: Vec<_> = stage.server.history().into_iter().filter(|version| version.previous.is_none()).collect();
    let place = |plural: &str| created.iter().position(|version| version.key.plural == plural).unwrap();
    assert!(place("controllerrevisions") < place("httproutes"), "no record, no traffic");
    invariants::hold(&stage, &[1.0, 25.0, 100.0], false);
    stage.rests().await;
}

/// `Ready` where it says that data is missing.
fn inconclusive(version: &Version) -> Option<Value> {
    let conditions = version.object["status"]["conditions"].as_array()?;
    conditions.iter().find(|one| one["type"] == "Ready" && one["reason"] == "Inconclusive").cloned()
}

#[tokio::test(start_paused = true)]
async fn a_good_revision_goes_through_all_steps_within_40_writes_and_then_nothing_is_asked_any_more() {
    let gates = json!([
        {"name": "errors", "errorRate": {"max": "1%"}},
        {"name": "latency", "latency": {"quantile": "0.95", "max": "2.56s"}},
        {"name": "cost", "tokenCost": {"maxPerRequest": "0.004", "maxIncrease": "10%"}},
        {"name": "grounded", "hallucination": {"max": "4%"}},
    ]);
    let rollout = build::rollout(NS, NAME, &image(1)).set("/spec/strategy", json!({"preset": "Standard"}));
    let stage = Stage::stable(rollout.gates(gates), 200.0).await;
    let (before, first) = (stage.writes(), stage.revision(1));
    stage.upgrade(2);
    stage.until("the second revision is stable", |stage| stage.reads("Ready", "True", "Promoted")).await;
    assert!(stage.stable_is(2), "{stage:?}");
    let mut shares: Vec<f64> = stage
        .routes()
        .iter()
        .filter(|version| version.change != microapp_testkit::Change::Deleted)
        .map(|version| share(&version.object))
        .collect();
    shares.dedup();
    assert_eq!(shares, [0.0, 1.0, 5.0, 25.0, 100.0, 0.0], "{stage:?}");
    invariants::hold(&stage, &[1.0, 5.0, 25.0, 100.0], false);
    let told: Vec<_> = stage.server.versions("microapprollouts", NS, NAME).iter().filter_map(inconclusive).collect();
    assert!(told.is_empty(), "nothing was missing at any time: {told:#?}");
    sleep(Duration::from_secs(60)).await;
    let written = stage.server.writes_except_events_and_leases().split_off(before);
    let written: Vec<_> = written.iter().map(Request::summary).collect();
    assert!(written.len() <= 40, "{}: {written:#?}", written.len());
    invariants::status_follows(&stage);
    assert!(stage.server.get("deployments", NS, &format!("{NAME}-{first}")).is_none(), "the old pods go");
    let deleted = stage.server.writes().into_iter().filter(|request| request.verb == "delete");
    let unbound: Vec<_> = deleted.filter(|request| !request.body["preconditions"]["uid"].is_string()).collect();
    assert!(unbound.is_empty(), "only the very object that was decided on may go: {unbound:#?}");
    let (asked, queries) = (stage.server.requests().len(), stage.prometheus.queries().len());
    stage.rests().await;
    let asked = stage.server.requests().split_off(asked);
    let other = |request: &&Request| request.verb != "watch" && request.target.plural != "leases";
    assert_eq!(asked.iter().filter(other).map(Request::summary).collect::<Vec<_>>(), Vec::<String>::new());
    assert_eq!(stage.prometheus.queries().len(), queries);
}
