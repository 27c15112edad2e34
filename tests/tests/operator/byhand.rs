//! Somebody else edits what is ours.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    invariants,
    stage::{NAME, NS, Stage, short},
};

const STEPS: [f64; 3] = [1.0, 25.0, 100.0];
const SECONDS: Duration = Duration::from_secs(5);

fn weigh(stage: &Stage, stable: i64, canary: i64) {
    let edited = stage.server.edit("kubectl-edit", "httproutes", NS, NAME, |route| {
        route["spec"]["rules"][0]["backendRefs"][0]["weight"] = json!(stable);
        route["spec"]["rules"][0]["backendRefs"][1]["weight"] = json!(canary);
    });
    assert!(edited);
}

#[tokio::test(start_paused = true)]
async fn a_weight_that_was_raised_by_hand_is_put_back_and_an_event_names_who_did_it() {
    let stage = Stage::at_one_percent().await;
    weigh(&stage, 50, 50);
    stage.within(Duration::from_secs(1), "the weight is put back", |stage| stage.weights() == [99, 1]).await;
    let told = |event: &Value| {
        event["reason"] == "RouteContested" && event["note"].as_str().is_some_and(|note| note.contains("kubectl-edit"))
    };
    let events = stage.server.writes().into_iter().filter(|request| request.target.plural == "events");
    assert!(events.map(|request| request.body).any(|event| told(&event)), "{stage:?}");
    invariants::promoted(&stage, 2, &STEPS).await;
}

#[tokio::test(start_paused = true)]
async fn a_weight_that_was_lowered_by_hand_is_a_pause_until_resume() {
    let stage = Stage::stable(short(), 100.0).await;
    stage.upgrade(2);
    stage.until("the second step", |stage| stage.weights() == [75, 25]).await;
    weigh(&stage, 90, 10);
    stage.within(SECONDS, "it reads as paused", |stage| stage.reads("Paused", "True", "AwaitingApproval")).await;
    sleep(Duration::from_secs(600)).await;
    assert_eq!(stage.weights(), [90, 10], "{stage:?}");
    stage.command("resume", "r1 thanks");
    stage.within(SECONDS, "the step's weight", |stage| stage.weights() == [75, 25]).await;
    invariants::promoted(&stage, 2, &STEPS).await;
}

#[tokio::test(start_paused = true)]
async fn a_weight_that_is_raised_every_three_seconds_never_stays() {
    let stage = Stage::at_one_percent().await;
    for _ in 0..20 {
        weigh(&stage, 0, 100);
        stage.within(Duration::from_secs(1), "it is put back", |stage| stage.weights() == [99, 1]).await;
        sleep(Duration::from_secs(3)).await;
    }
    invariants::promoted(&stage, 2, &STEPS).await;
}

#[tokio::test(start_paused = true)]
async fn a_route_that_is_deleted_in_mid_rollout_comes_back_with_stable_alone() {
    let stage = Stage::at_one_percent().await;
    assert!(stage.server.delete("kubectl", "httproutes", NS, NAME));
    stage.within(SECONDS, "the route is back", |stage| stage.weights() == [100]).await;
    assert!(stage.stable_is(1));
    assert_eq!(stage.aborted()["cause"], "RouteLost");
    // It says nothing about the revision, so that another attempt follows.
    stage.until("the second revision is stable", |stage| stage.stable_is(2)).await;
    assert_eq!(stage.register("attempt"), "3");
    invariants::promoted(&stage, 2, &STEPS).await;
}

#[tokio::test(start_paused = true)]
async fn a_status_that_is_wiped_in_mid_rollout_is_rebuilt_and_nothing_is_raised_without_the_plan() {
    let stage = Stage::at_one_percent().await;
    assert!(stage.server.edit("kubectl", "microapprollouts", NS, NAME, |rollout| rollout["status"] = json!({})));
    stage.within(SECONDS, "it says what is missing", |stage| stage.reads("Stalled", "True", "Inconclusive")).await;
    sleep(Duration::from_secs(1200)).await;
    assert_eq!(stage.weights(), [99, 1], "{stage:?}");
    assert!(stage.stable_is(1));
    assert_eq!(stage.rollout()["status"]["stable"]["revision"], stage.revision(1).as_str());
    stage.command("abort", "a1");
    stage.until("all traffic is on stable", |stage| stage.weights() == [100]).await;
    let again = format!("{}:1", stage.revision(2));
    stage.command("retry", &again);
    invariants::promoted(&stage, 2, &STEPS).await;
}

#[tokio::test(start_paused = true)]
async fn a_status_that_is_wiped_at_rest_is_rebuilt() {
    let stage = Stage::stable(short(), 20.0).await;
    assert!(stage.server.edit("kubectl", "microapprollouts", NS, NAME, |rollout| rollout["status"] = json!({})));
    stage
        .within(SECONDS, "it is ready again", |stage| stage.condition("Ready").is_some_and(|ready| ready.0 == "True"))
        .await;
    stage.rests().await;
    assert!(stage.stable_is(1) && stage.weights() == [100]);
    invariants::status_follows(&stage);
}

#[tokio::test(start_paused = true)]
async fn a_route_whose_annotations_were_stripped_in_mid_rollout_gives_everything_to_stable() {
    let stage = Stage::at_one_percent().await;
    let strip = |route: &mut Value| route["metadata"]["annotations"] = json!({});
    assert!(stage.server.edit("kubectl", "httproutes", NS, NAME, strip));
    stage.within(SECONDS, "stable alone", |stage| stage.weights() == [100]).await;
    assert!(stage.stable_is(1));
    assert_eq!(stage.aborted()["cause"], "RouteLost");
    invariants::promoted(&stage, 2, &STEPS).await;
}

#[tokio::test(start_paused = true)]
async fn a_deployment_and_services_that_are_deleted_at_rest_come_back_with_the_recorded_bytes() {
    let stage = Stage::stable(short(), 20.0).await;
    let name = format!("{NAME}-{}", stage.revision(1));
    let image = |stage: &Stage| {
        let deployment = stage.server.get("deployments", NS, &name).unwrap_or_default();
        deployment["spec"]["template"]["spec"]["containers"][0]["image"].clone()
    };
    let before = image(&stage);
    for (plural, name) in [("deployments", name.as_str()), ("services", &name), ("services", NAME)] {
        assert!(stage.server.delete("kubectl", plural, NS, name));
        stage.within(SECONDS, "it is back", |stage| stage.server.get(plural, NS, name).is_some()).await;
    }
    assert_eq!(image(&stage), before);
    stage.until("it is ready", |stage| stage.condition("Ready").unwrap().0 == "True").await;
    stage.rests().await;
    invariants::status_follows(&stage);
}

#[tokio::test(start_paused = true)]
async fn what_was_orphaned_is_taken_over_only_with_the_annotation_and_serves_on() {
    let stage = Stage::stable(short(), 100.0).await;
    let (stable, old) = (stage.register("stable"), stage.rollout()["metadata"]["uid"].clone());
    let before = unserved(&stage);
    assert!(stage.server.orphan("kubectl", "microapprollouts", NS, NAME));
    sleep(Duration::from_secs(60)).await;
    stage.put(short());
    stage.until("it says whose the route is", |stage| stage.reads("Stalled", "True", "NameTaken")).await;
    let said = stage.rollout()["status"]["conditions"].to_string();
    assert!(said.contains("microapp.dev/adopt=true"), "{said}");
    let orphans: Vec<_> = stage.children().into_iter().filter(|child| owner(child).is_null()).collect();
    assert!(orphans.len() >= 6, "two Services, Deployment, record, prompts and route: {}", orphans.len());

    stage.annotate("microapp.dev/adopt", "true");
    stage.until("it serves again", |stage| stage.condition("Ready").is_some_and(|(status, _)| status == "True")).await;
    assert_eq!(stage.register("stable"), stable, "{stage:?}");
    let new = stage.rollout()["metadata"]["uid"].clone();
    assert_ne!(new, old);
    for child in stage.children() {
        assert_eq!(owner(&child), new, "{} {}", child["kind"], child["metadata"]["name"]);
    }
    stage.upgrade(2);
    invariants::promoted(&stage, 2, &STEPS).await;
    assert_eq!(unserved(&stage), before, "nobody was without an answer in between");
}

/// Requests for which there was no backend at all.
fn unserved(stage: &Stage) -> u64 {
    stage.prometheus.users().get("").map_or(0, |users| users.bad)
}

fn owner(child: &Value) -> Value {
    child["metadata"]["ownerReferences"][0]["uid"].clone()
}
