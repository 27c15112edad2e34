//! Bad input: a condition and an event say what is wrong, and no weight changes.

use std::time::Duration;

use microapp_testkit::{Behaviour, Fault, Match, Pods, RouteAnswer, Traffic, build};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    invariants,
    stage::{NAME, NS, Stage, image, short},
};

const STEPS: [f64; 3] = [1.0, 25.0, 100.0];

fn told(stage: &Stage, reason: &str) -> bool {
    let events = stage.server.writes().into_iter().filter(|request| request.target.plural == "events");
    events.map(|request| request.body).any(|event| event["reason"] == reason)
}

#[tokio::test(start_paused = true)]
async fn prompts_that_are_missing_may_be_a_sync_in_pieces_for_a_minute_and_then_it_is_stalled() {
    let stage = Stage::empty(Traffic::new(NS, NAME));
    stage.put(short().set("/spec/prompts/configMapRef/name", "elsewhere"));
    stage.until("it waits", |stage| stage.reads("Reconciling", "True", "PromptsMissing")).await;
    let begun = microapp_testkit::clock::now();
    stage.until("it is stalled", |stage| stage.reads("Stalled", "True", "PromptsMissing")).await;
    let waited = microapp_testkit::clock::now().duration_since(begun).as_secs();
    assert!((58..=62).contains(&waited), "{waited} s");
    assert!(told(&stage, "PromptsMissing"));
    stage.rests().await;
    stage.server.put("kubectl", build::prompts(NS, "elsewhere", "x")).unwrap();
    let mut prompts = build::prompts(NS, NAME, "Be brief.");
    prompts["metadata"]["name"] = json!("elsewhere");
    stage.server.put("kubectl", prompts).unwrap();
    stage.until("the first revision is stable", |stage| stage.reads("Ready", "True", "InitialRevision")).await;
    stage.rests().await;
}

#[tokio::test(start_paused = true)]
async fn prompts_that_vanish_in_mid_rollout_freeze_the_weight() {
    let stage = Stage::stable(short(), 100.0).await;
    stage.upgrade(2);
    stage.until("the first step", |stage| stage.weights() == [99, 1]).await;
    assert!(stage.server.delete("kubectl", "configmaps", NS, &format!("{NAME}-prompts")));
    stage.until("it is stalled", |stage| stage.reads("Stalled", "True", "PromptsMissing")).await;
    sleep(Duration::from_secs(600)).await;
    assert_eq!(stage.weights(), [99, 1], "{stage:?}");
    stage.server.put("kubectl", build::prompts(NS, NAME, "Be brief.")).unwrap();
    invariants::promoted(&stage, 2, &STEPS).await;
}

#[tokio::test(start_paused = true)]
async fn prompts_that_are_edited_in_place_are_a_new_revision() {
    let stage = Stage::stable(short(), 100.0).await;
    let before = stage.register("stable");
    stage.server.put("kubectl", build::prompts(NS, NAME, "Be kind.")).unwrap();
    stage.until("the new prompts are stable", |stage| stage.reads("Ready", "True", "Promoted")).await;
    let after = stage.register("stable");
    assert_ne!(after, before);
    for (revision, text) in [(before, "Be brief."), (after, "Be kind.")] {
        let snapshot = stage.server.get("configmaps", NS, &format!("{NAME}-{revision}-prompts")).unwrap();
        assert_eq!(snapshot["data"]["system.txt"], text);
    }
    stage.rests().await;
    invariants::hold(&stage, &STEPS, false);
}

/// A route that no gateway takes: no weight changes, and it is said.
async fn not_accepted(answer: RouteAnswer) {
    let stage = Stage::empty(Traffic::new(NS, NAME).rps(100.0));
    stage.controllers.answer_routes(answer.clone());
    stage.put(short());
    stage
        .within(Duration::from_secs(90), "it is stalled", |stage| stage.reads("Stalled", "True", "RouteNotAccepted"))
        .await;
    assert!(told(&stage, "RouteNotAccepted"));
    stage.rests().await;
    stage.prometheus.set_rps(100.0);
    stage.controllers.answer_routes(RouteAnswer::Accept);
    // A gateway's controller that comes back looks at every route again.
    stage.until("the first revision is stable", |stage| stage.reads("Ready", "True", "InitialRevision")).await;
    sleep(Duration::from_secs(300)).await;
    stage.controllers.answer_routes(answer);
    // Gateways answer per generation, so that this one has no answer yet.
    stage.server.edit("kubectl", "httproutes", NS, NAME, |route| route["status"] = json!({}));
    stage.upgrade(2);
    stage.until("it is stalled", |stage| stage.reads("Stalled", "True", "RouteNotAccepted")).await;
    sleep(Duration::from_secs(600)).await;
    assert!(matches!(stage.weights()[..], [100] | [100, 0]), "{stage:?}");
    stage.rests().await;
    stage.prometheus.set_rps(100.0);
    stage.controllers.answer_routes(RouteAnswer::Accept);
    invariants::promoted(&stage, 2, &STEPS).await;
}

#[tokio::test(start_paused = true)]
async fn a_route_without_an_answer_for_a_minute_is_stalled_and_no_weight_changes() {
    not_accepted(RouteAnswer::Silent).await;
}

#[tokio::test(start_paused = true)]
async fn a_route_that_is_refused_is_stalled_and_no_weight_changes() {
    not_accepted(RouteAnswer::Refuse("NotAllowedByListeners".to_owned())).await;
}

#[tokio::test(start_paused = true)]
async fn an_image_that_cannot_be_pulled_is_said_and_rejected_after_ten_minutes() {
    let stage = Stage::stable(short(), 20.0).await;
    stage.behave(2, Behaviour::ImagePullBackOff);
    stage.upgrade(2);
    stage.within(Duration::from_secs(30), "it says so", |stage| told(stage, "ImagePullFailed")).await;
    assert!(stage.reads("Ready", "False", "ImagePullFailed"), "{stage:?}");
    stage.within(Duration::from_secs(700), "it is rejected", |stage| stage.reads("Stalled", "True", "PinFailed")).await;
    assert!(stage.stable_is(1) && stage.weights() == [100]);
    stage.rests().await;
    invariants::hold(&stage, &STEPS, false);
    invariants::status_follows(&stage);
}

#[tokio::test(start_paused = true)]
async fn an_image_without_a_repository_digest_is_rejected_unless_tags_are_allowed() {
    let stage = Stage::stable(short(), 100.0).await;
    stage
        .server
        .registry()
        .set_image_id(&image(2), "sha256:0123456789012345678901234567890123456789012345678901234567890123");
    stage.upgrade(2);
    stage.within(Duration::from_secs(60), "it is rejected", |stage| stage.reads("Stalled", "True", "PinFailed")).await;
    assert!(stage.stable_is(1) && stage.weights() == [100]);
    stage.rests().await;
    stage.prometheus.set_rps(100.0);
    stage.edit(|spec| spec["imagePolicy"] = json!("AllowTag"));
    let again = format!("{}:1", stage.revision(2));
    stage.command("retry", &again);
    invariants::promoted(&stage, 2, &STEPS).await;
}

#[tokio::test(start_paused = true)]
async fn of_two_rollouts_on_one_host_the_younger_is_stalled_until_the_older_goes() {
    let stage = Stage::stable(short(), 20.0).await;
    let host = "/spec/traffic/gateway/hostnames";
    let other = build::rollout(NS, "younger", &image(9)).set(host, json!([format!("{NAME}.example.com")]));
    stage.server.put("kubectl", build::prompts(NS, "younger", "x")).unwrap();
    stage.put(other);
    let conditions = |stage: &Stage| {
        let younger = stage.server.get("microapprollouts", NS, "younger").unwrap();
        younger["status"]["conditions"].as_array().cloned().unwrap_or_default()
    };
    let reads = |stage: &Stage, kind: &str, reason: &str| {
        conditions(stage).iter().any(|one| one["type"] == kind && one["reason"] == reason && one["status"] == "True")
    };
    stage.until("the younger is stalled", |stage| reads(stage, "Stalled", "RouteConflict")).await;
    assert!(told(&stage, "RouteConflict"));
    assert!(stage.server.get("httproutes", NS, "younger").is_none());
    assert_eq!(stage.condition("Ready").unwrap().0, "True");
    stage.rests().await;
    assert!(stage.server.delete("kubectl", "microapprollouts", NS, NAME));
    stage.until("the younger serves", |stage| reads(stage, "Ready", "InitialRevision")).await;
    stage.rests().await;
}

#[tokio::test(start_paused = true)]
async fn a_latency_threshold_above_the_top_finite_bucket_keeps_the_rollout_from_starting() {
    let stage = Stage::stable(short(), 100.0).await;
    let gates = json!([{"name": "latency", "latency": {"quantile": "0.95", "max": "90s"}}]);
    stage.edit(|spec| spec["gates"] = gates);
    stage.upgrade(2);
    stage.until("it is stalled", |stage| stage.reads("Stalled", "True", "ThresholdAboveBuckets")).await;
    assert!(told(&stage, "ThresholdAboveBuckets"));
    sleep(Duration::from_secs(600)).await;
    assert_eq!(stage.weights(), [100, 0], "{stage:?}");
    stage.rests().await;
    invariants::hold(&stage, &STEPS, false);
    invariants::status_follows(&stage);
}

#[tokio::test(start_paused = true)]
async fn a_spec_that_cannot_be_used_freezes_the_weight_and_an_abort_still_works() {
    let stage = Stage::stable(short(), 100.0).await;
    stage.upgrade(2);
    stage.until("the first step", |stage| stage.weights() == [99, 1]).await;
    stage.edit(|spec| spec["strategy"]["steps"] = json!([{"weight": 50, "dwell": "1m"}]));
    stage.until("it is stalled", |stage| stage.reads("Stalled", "True", "InvalidSpec")).await;
    assert_eq!(stage.weights(), [99, 1], "{stage:?}");
    stage.command("abort", "a1");
    stage.within(Duration::from_secs(1), "weight 0", |stage| stage.weights() == [100, 0]).await;
    stage.rests().await;
    assert!(stage.stable_is(1));
    invariants::hold(&stage, &STEPS, false);
}

#[tokio::test(start_paused = true)]
async fn pods_of_a_first_revision_that_never_start_are_said_and_the_next_one_takes_its_place() {
    let stage = Stage::empty(Traffic::new(NS, NAME));
    stage.controllers.behave(Pods::Image(image(1)), Behaviour::CrashLoop { exit_code: 1 });
    stage.put(short());
    stage.until("it is stalled", |stage| stage.reads("Stalled", "True", "InitialRevisionFailed")).await;
    stage.rests().await;
    stage.upgrade(2);
    stage.until("the next one is stable", |stage| stage.reads("Ready", "True", "InitialRevision")).await;
    assert!(stage.stable_is(2));
    let rollout: Value = stage.rollout();
    assert_eq!(rollout["status"]["rejected"].as_array().map_or(0, Vec::len), 0);
    stage.rests().await;
}

#[tokio::test(start_paused = true)]
async fn a_right_that_is_missing_is_said_until_it_is_given() {
    let stage = Stage::stable(short(), 100.0).await;
    stage.server.fault(Match::writes().verb("create").plural("deployments"), Fault::Error(403));
    stage.upgrade(2);
    stage.until("it says what is missing", |stage| stage.reads("Ready", "False", "Forbidden")).await;
    let said = stage.rollout()["status"]["conditions"].to_string();
    assert!(said.contains("not allowed to create Deployment"), "{said}");
    assert!(told(&stage, "Forbidden"));
    let before = stage.server.versions("microapprollouts", NS, NAME).len();
    sleep(Duration::from_secs(600)).await;
    assert_eq!(stage.server.versions("microapprollouts", NS, NAME).len(), before, "it is said once\n{stage:?}");
    stage.server.heal();
    invariants::promoted(&stage, 2, &STEPS).await;
}
