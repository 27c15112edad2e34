//! How a revision starts: on a tight cluster, slowly, with images that cannot be pinned; and what people are told of it.

use std::time::Duration;

use microapp_testkit::{Behaviour, Timing, Traffic};
use serde_json::Value;
use tokio::time::sleep;

use crate::{
    invariants,
    stage::{NAME, NS, Stage, image, short},
};

const STEPS: [f64; 3] = [1.0, 25.0, 100.0];
const SECONDS: Duration = Duration::from_secs(15);

fn said(stage: &Stage, kind: &str, word: &str) -> bool {
    let rollout = stage.rollout();
    let conditions = rollout["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let message = |one: &Value| one["message"].as_str().is_some_and(|message| message.contains(word));
    conditions.iter().any(|one| one["type"] == kind && message(one))
}

fn initial(stage: &Stage) -> bool {
    stage.reads("Ready", "True", "InitialRevision")
}

#[tokio::test(start_paused = true)]
async fn a_namespace_with_room_for_the_pods_and_no_more_is_enough() {
    let stage = Stage::empty(Traffic::new(NS, NAME));
    stage.controllers.room(Some(2));
    stage.put(short());
    stage.within(Duration::from_secs(60), "it is installed", initial).await;
    stage.rests().await;
    assert_eq!(stage.server.list("pods", NS).len(), 2);
    let revision = stage.revision(1);
    let deployment = stage.server.get("deployments", NS, &format!("{NAME}-{revision}")).unwrap();
    let rolling = &deployment["spec"]["strategy"]["rollingUpdate"];
    assert_eq!((&rolling["maxUnavailable"], &rolling["maxSurge"]), (&0.into(), &1.into()), "what serves loses no pod");
}

#[tokio::test(start_paused = true)]
async fn a_quota_that_refuses_pods_is_told_within_seconds_and_a_larger_one_goes_on() {
    let stage = Stage::stable(short(), 100.0).await;
    stage.controllers.room(Some(3));
    stage.upgrade(2);
    let told = |stage: &Stage| said(stage, "Ready", "exceeded quota") && said(stage, "Reconciling", "exceeded quota");
    stage.within(SECONDS, "the quota is told", told).await;
    stage.controllers.room(None);
    invariants::promoted(&stage, 2, &STEPS).await;
}

#[tokio::test(start_paused = true)]
async fn what_kept_pods_from_being_made_is_still_told_after_the_rejection() {
    let stage = Stage::stable(short(), 100.0).await;
    stage.behave(2, Behaviour::QuotaExceeded);
    stage.upgrade(2);
    stage.within(SECONDS, "the quota is told", |stage| said(stage, "Ready", "exceeded quota")).await;
    stage.within(Duration::from_secs(700), "it is rejected", |stage| stage.reads("Stalled", "True", "NotReady")).await;
    stage.rests().await;
    for kind in ["Ready", "Stalled"] {
        assert!(said(&stage, kind, "exceeded quota"), "{stage:?}");
    }
    assert!(stage.rollout()["status"]["rejected"][0]["message"].as_str().unwrap().contains("exceeded quota"));
}

#[tokio::test(start_paused = true)]
async fn an_image_that_cannot_be_pulled_is_told_in_the_nodes_words() {
    let stage = Stage::stable(short(), 20.0).await;
    stage.behave(2, Behaviour::ImagePullBackOff);
    stage.upgrade(2);
    let told = |stage: &Stage| said(stage, "Ready", "ImagePullBackOff") && said(stage, "Ready", &image(2));
    stage.within(SECONDS, "the pull is told", told).await;
    stage.within(Duration::from_secs(700), "it is rejected", |stage| stage.reads("Stalled", "True", "PinFailed")).await;
    stage.rests().await;
    assert!(said(&stage, "Stalled", "ImagePullBackOff"), "{stage:?}");
}

fn slow(seconds: u64) -> Timing {
    Timing { ready: Duration::from_secs(seconds), ..Timing::default() }
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_needs_five_and_a_half_minutes_starts_slowly_once() {
    let stage = Stage::empty(Traffic::new(NS, NAME));
    stage.controllers.timing(slow(330));
    stage.put(short());
    stage.within(Duration::from_secs(360), "it is installed", initial).await;
}

#[tokio::test(start_paused = true)]
async fn a_ready_deadline_of_the_spec_waits_for_a_model_server_that_needs_twenty_minutes() {
    let stage = Stage::empty(Traffic::new(NS, NAME).rps(50.0));
    let patient = short().set("/spec/strategy/readyDeadline", "30m");
    stage.put(patient);
    stage.within(Duration::from_secs(60), "it is installed", initial).await;
    stage.controllers.timing(slow(1200));
    stage.upgrade(2);
    sleep(Duration::from_secs(1100)).await;
    assert!(stage.register("rejected").is_empty(), "{stage:?}");
    invariants::promoted(&stage, 2, &STEPS).await;
}

#[tokio::test(start_paused = true)]
async fn a_ready_deadline_of_two_minutes_rejects_after_two_minutes() {
    let stage = Stage::stable(short().set("/spec/strategy/readyDeadline", "2m"), 20.0).await;
    stage.behave(2, Behaviour::Unready);
    stage.upgrade(2);
    // The pod that is pinned starts once more.
    stage.within(Duration::from_secs(140), "it is rejected", |stage| stage.reads("Stalled", "True", "NotReady")).await;
}

/// The node names another repository for the image of the second revision.
async fn named_otherwise(policy: &str) -> Stage {
    let stage = Stage::stable(short().set("/spec/imagePolicy", policy), 100.0).await;
    stage.server.registry().set_image_id(&image(2), "registry.local/another@sha256:2933d3fc");
    stage.upgrade(2);
    stage
}

#[tokio::test(start_paused = true)]
async fn the_digest_of_another_repository_is_not_pinned_and_the_way_out_is_told() {
    let stage = named_otherwise("Digest").await;
    stage.within(SECONDS, "it is refused", |stage| stage.reads("Stalled", "True", "PinFailed")).await;
    stage.rests().await;
    for word in [image(2).as_str(), "AllowTag", "repository that the spec names"] {
        assert!(said(&stage, "Stalled", word), "{word}\n{stage:?}");
    }
    let recorded = stage.server.list("controllerrevisions", NS);
    assert!(recorded.iter().all(|one| !one["data"]["images"].to_string().contains("2933d3fc")), "{recorded:?}");
    assert!(stage.stable_is(1));
}

#[tokio::test(start_paused = true)]
async fn the_tag_is_used_instead_where_the_spec_allows_it() {
    let stage = named_otherwise("AllowTag").await;
    invariants::promoted(&stage, 2, &STEPS).await;
    let deployment = stage.server.get("deployments", NS, &format!("{NAME}-{}", stage.revision(2))).unwrap();
    assert_eq!(deployment["spec"]["template"]["spec"]["containers"][0]["image"], image(2).as_str());
}

#[tokio::test(start_paused = true)]
async fn the_record_is_written_when_a_pinned_pod_was_ready() {
    let stage = Stage::stable(short(), 20.0).await;
    stage.behave(2, Behaviour::Unready);
    stage.upgrade(2);
    sleep(Duration::from_secs(300)).await;
    let records = |stage: &Stage| stage.server.list("controllerrevisions", NS).len();
    assert_eq!(records(&stage), 1, "{stage:?}");
    stage.behave(2, Behaviour::Healthy);
    stage.within(SECONDS, "it is recorded", |stage| records(stage) == 2).await;
}
