//! Pods: of stable, where the canary's are well.

use std::time::Duration;

use microapp_testkit::Behaviour;
use tokio::time::sleep;

use super::{MINUTE, at_25_percent, promoted, settled};
use crate::stage::{NAME, NS, Stage};

fn ready(stage: &Stage, version: u32) -> i64 {
    let name = format!("{NAME}-{}", stage.revision(version));
    let deployment = stage.server.get("deployments", NS, &name).unwrap_or_default();
    deployment["status"]["readyReplicas"].as_i64().unwrap_or(0)
}

/// Its pods are unready until the node controller moves them.
#[tokio::test(start_paused = true)]
async fn a_lost_node_of_stable_lowers_nobody_onto_what_is_not_there() {
    let stage = at_25_percent().await;
    stage.behave(1, Behaviour::Unready);
    sleep(Duration::from_secs(1)).await;
    stage.command("abort", "a1");
    sleep(MINUTE).await;
    assert_eq!(ready(&stage, 1), 0);
    assert_eq!(stage.weights(), [75, 25], "the canary keeps its users until stable can take them\n{stage:?}");
    stage.behave(1, Behaviour::Healthy);
    stage.within(Duration::from_secs(5), "weight 0", |stage| stage.weights() == [100, 0]).await;
    stage.until("it is stalled", |stage| stage.reads("Stalled", "True", "Command")).await;
    settled(&stage, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_canary_that_is_well_goes_on_while_stables_node_is_lost() {
    let stage = at_25_percent().await;
    stage.behave(1, Behaviour::Unready);
    sleep(MINUTE * 2).await;
    stage.behave(1, Behaviour::Healthy);
    promoted(&stage).await;
}

/// The pods of both versions that stood on it are made anew elsewhere.
#[tokio::test(start_paused = true)]
async fn a_node_that_is_lost_with_one_pod_of_each_version_stops_nothing() {
    let stage = at_25_percent().await;
    for version in [1, 2] {
        let revision = stage.revision(version);
        let pods = stage.server.list("pods", NS);
        let pod = pods.iter().find(|pod| pod["metadata"]["labels"]["microapp.dev/revision"] == revision.as_str());
        let name = pod.unwrap()["metadata"]["name"].as_str().unwrap().to_owned();
        assert!(stage.server.delete("node-controller", "pods", NS, &name));
    }
    promoted(&stage).await;
}

/// Of both Deployments, which the operator sizes; one on the rollout's `scale` fights nobody.
#[tokio::test(start_paused = true)]
async fn an_autoscaler_of_the_canary_and_of_stable_neither_ends_the_attempt_nor_is_fought_in_a_loop() {
    let stage = at_25_percent().await;
    let before = stage.writes();
    for round in 0..20 {
        for version in [1, 2] {
            let name = format!("{NAME}-{}", stage.revision(version));
            stage.server.edit("horizontal-pod-autoscaler", "deployments", NS, &name, |deployment| {
                deployment["spec"]["replicas"] = (4 + round % 3).into();
            });
        }
        sleep(Duration::from_secs(15)).await;
    }
    assert!(stage.aborted().is_null(), "{stage:?}");
    let written = stage.writes() - before;
    assert!(written < 120, "{written}\n{stage:?}");
    stage.until("it is stable", |stage| stage.stable_is(2)).await;
}
