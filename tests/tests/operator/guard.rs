//! What serves stays what its record says, in every state; nobody is lowered onto what is not there.

use std::time::Duration;

use microapp_testkit::{RouteAnswer, build};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    invariants,
    stage::{NAME, NS, Stage, image, short},
};

const STEPS: [f64; 3] = [1.0, 25.0, 100.0];
const SOON: Duration = Duration::from_secs(1);

fn long() -> build::RolloutBuilder {
    build::rollout(NS, NAME, &image(1)).steps(&[(1.into(), "20s"), (25.into(), "10m"), (100.into(), "30s")])
}

/// The second revision has 25 % for some seconds.
async fn at_25() -> Stage {
    let stage = Stage::stable(long(), 100.0).await;
    stage.upgrade(2);
    stage.until("the second step", |stage| stage.weights() == [75, 25]).await;
    sleep(Duration::from_secs(7)).await;
    stage
}

fn child(stage: &Stage, version: u32) -> String {
    format!("{NAME}-{}", stage.revision(version))
}

fn ready(stage: &Stage, version: u32) -> usize {
    let revision = stage.revision(version);
    let pods = stage.server.list("pods", NS).into_iter();
    pods.filter(|pod| pod["metadata"]["labels"]["microapp.dev/revision"] == revision.as_str())
        .filter(|pod| {
            let conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
            conditions.iter().any(|one| one["type"] == "Ready" && one["status"] == "True")
        })
        .count()
}

fn container(stage: &Stage, name: &str) -> Value {
    let deployment = stage.server.get("deployments", NS, name).unwrap_or_default();
    deployment["spec"]["template"]["spec"]["containers"][0].clone()
}

#[tokio::test(start_paused = true)]
async fn stables_deployment_that_is_deleted_in_an_attempt_is_back_within_a_second_and_is_no_hot_fix() {
    let stage = at_25().await;
    let name = child(&stage, 1);
    let before = container(&stage, &name)["image"].clone();
    assert!(stage.server.delete("kubectl", "deployments", NS, &name));
    stage.within(SOON, "it is back", |stage| stage.server.get("deployments", NS, &name).is_some()).await;
    assert_eq!(container(&stage, &name)["image"], before, "the recorded bytes");
    sleep(Duration::from_secs(120)).await;
    assert_eq!(stage.weights(), [75, 25], "no step is taken for it\n{stage:?}");
    assert_eq!(ready(&stage, 1), 2);
    invariants::promoted(&stage, 2, &STEPS).await;
}

#[tokio::test(start_paused = true)]
async fn an_abort_waits_for_stables_first_pod_where_its_deployment_was_deleted() {
    let stage = at_25().await;
    assert!(stage.server.delete("kubectl", "deployments", NS, &child(&stage, 1)));
    stage.command("abort", "a1");
    let lowered = |stage: &Stage| stage.weights() != [75, 25];
    stage.within(Duration::from_secs(20), "it is lowered", lowered).await;
    assert!(ready(&stage, 1) > 0, "onto pods that are ready\n{stage:?}");
    stage.until("the object is stalled", |stage| stage.reads("Stalled", "True", "Command")).await;
    stage.rests().await;
    assert!(stage.stable_is(1));
    invariants::status_follows(&stage);
}

#[tokio::test(start_paused = true)]
async fn services_that_are_deleted_or_bent_in_an_attempt_are_right_within_a_second() {
    let stage = at_25().await;
    for version in [1, 2] {
        let name = child(&stage, version);
        assert!(stage.server.delete("kubectl", "services", NS, &name));
        stage.within(SOON, "it is back", |stage| stage.server.get("services", NS, &name).is_some()).await;
        let right = stage.server.get("services", NS, &name).unwrap()["spec"]["selector"].clone();
        let bend = |service: &mut Value| service["spec"]["selector"]["tier"] = json!("front");
        assert!(stage.server.edit("kubectl", "services", NS, &name, bend));
        let is_right = |stage: &Stage| stage.server.get("services", NS, &name).unwrap()["spec"]["selector"] == right;
        stage.within(SOON, "it selects its pods again", is_right).await;
    }
    assert!(stage.server.delete("kubectl", "services", NS, NAME));
    stage.within(SOON, "the apex is back", |stage| stage.server.get("services", NS, NAME).is_some()).await;
    assert_eq!(stage.weights(), [75, 25]);
    invariants::promoted(&stage, 2, &STEPS).await;
}

#[tokio::test(start_paused = true)]
async fn an_abort_with_stables_service_deleted_makes_the_service_first() {
    let stage = at_25().await;
    let name = child(&stage, 1);
    assert!(stage.server.delete("kubectl", "services", NS, &name));
    stage.command("abort", "a1");
    stage.within(SOON, "it is lowered", |stage| stage.weights() == [100, 0]).await;
    assert!(stage.server.get("services", NS, &name).is_some());
}

type Change = fn(&mut Value);

/// Every way to change stable's Deployment by hand comes back within a second.
async fn comes_back(stage: &Stage) {
    let name = child(stage, 1);
    let recorded = stage.server.get("deployments", NS, &name).unwrap()["spec"].clone();
    let changes: [(&str, Change); 6] = [
        ("image", |spec| spec["template"]["spec"]["containers"][0]["image"] = json!(image(9))),
        ("env added", |spec| {
            let env = spec["template"]["spec"]["containers"][0]["env"].as_array_mut().unwrap();
            env.push(json!({"name": "DEBUG", "value": "1"}));
        }),
        ("ports removed", |spec| {
            spec["template"]["spec"]["containers"][0].as_object_mut().unwrap().remove("ports");
        }),
        ("undo: the template before the pin", |spec| {
            spec["template"]["metadata"].as_object_mut().unwrap().remove("annotations");
            spec["template"]["spec"]["containers"][0]["image"] = json!(image(1));
        }),
        ("size", |spec| spec["replicas"] = json!(1)),
        ("size 0", |spec| spec["replicas"] = json!(0)),
    ];
    for (what, change) in changes {
        assert!(stage.server.edit("kubectl", "deployments", NS, &name, |deployment| change(&mut deployment["spec"])));
        let same = |stage: &Stage| {
            let spec = stage.server.get("deployments", NS, &name).unwrap()["spec"].clone();
            spec["template"] == recorded["template"] && spec["replicas"] == recorded["replicas"]
        };
        stage.within(SOON, what, same).await;
        sleep(Duration::from_secs(30)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn stables_template_and_size_come_back_at_rest() {
    let stage = Stage::stable(short(), 20.0).await;
    comes_back(&stage).await;
    assert!(stage.server.edit("kubectl", "deployments", NS, &child(&stage, 1), |deployment| {
        deployment["spec"]["template"]["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"] = json!("now");
    }));
    stage.rests().await;
    let deployment = stage.server.get("deployments", NS, &child(&stage, 1)).unwrap();
    let restarted = &deployment["spec"]["template"]["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"];
    assert_eq!(restarted, "now", "a restart by hand is no change of what runs");
    invariants::status_follows(&stage);
}

#[tokio::test(start_paused = true)]
async fn stables_template_and_size_come_back_in_an_attempt() {
    let stage = at_25().await;
    comes_back(&stage).await;
    invariants::promoted(&stage, 2, &STEPS).await;
}

#[tokio::test(start_paused = true)]
async fn a_mutation_that_the_cluster_makes_of_every_write_is_fought_once() {
    let stage = Stage::stable(short(), 20.0).await;
    let name = child(&stage, 1);
    // What a policy does to each write: the ports are gone however often they are put back.
    let server = stage.server.clone();
    let strip = move || {
        server.edit("policy", "deployments", NS, &name, |deployment| {
            deployment["spec"]["template"]["spec"]["containers"][0].as_object_mut().unwrap().remove("ports");
        })
    };
    assert!(strip());
    sleep(Duration::from_secs(5)).await;
    stage.rests().await;
}

#[tokio::test(start_paused = true)]
async fn the_canarys_pods_stay_until_a_gateway_has_accepted_that_they_get_nothing() {
    let stage = at_25().await;
    stage.controllers.answer_routes(RouteAnswer::Silent);
    stage.command("abort", "a1");
    stage.within(SOON, "it is lowered", |stage| stage.weights() == [100, 0]).await;
    let runs = |stage: &Stage| stage.server.get("deployments", NS, &child(stage, 2)).is_some();
    sleep(Duration::from_secs(300)).await;
    assert!(runs(&stage) && ready(&stage, 2) > 0, "the gateway may still send users there\n{stage:?}");
    stage.controllers.answer_routes(RouteAnswer::Accept);
    stage.within(Duration::from_secs(15), "they go", |stage| !runs(stage)).await;
    stage.rests().await;
    invariants::status_follows(&stage);
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_never_answers_is_waited_for_ten_minutes() {
    let stage = at_25().await;
    stage.controllers.answer_routes(RouteAnswer::Silent);
    stage.command("abort", "a1");
    stage.within(SOON, "it is lowered", |stage| stage.weights() == [100, 0]).await;
    let runs = |stage: &Stage| stage.server.get("deployments", NS, &child(stage, 2)).is_some();
    sleep(Duration::from_secs(590)).await;
    assert!(runs(&stage), "{stage:?}");
    stage.within(Duration::from_secs(30), "they go", |stage| !runs(stage)).await;
    stage.rests().await;
}

#[tokio::test(start_paused = true)]
async fn the_old_version_stays_until_a_gateway_has_accepted_the_promotion() {
    let stage = Stage::stable(short(), 100.0).await;
    stage.upgrade(2);
    stage.until("all traffic", |stage| stage.weights() == [0, 100]).await;
    sleep(Duration::from_secs(5)).await;
    stage.controllers.answer_routes(RouteAnswer::Silent);
    stage.until("the commit", |stage| stage.stable_is(2)).await;
    let runs = |stage: &Stage| stage.server.get("deployments", NS, &child(stage, 1)).is_some();
    sleep(Duration::from_secs(300)).await;
    assert!(runs(&stage), "{stage:?}");
    stage.controllers.answer_routes(RouteAnswer::Accept);
    stage.within(Duration::from_secs(20), "it goes", |stage| !runs(stage)).await;
    invariants::promoted(&stage, 2, &STEPS).await;
}
