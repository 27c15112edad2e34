//! No write without back-off and a word.

use std::time::Duration;

use microapp_testkit::{Failure, Fault, Match, Traffic};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{STEPS, at_one_percent, conditions, stable, writes_of};
use crate::{
    invariants,
    stage::{NAME, NS, Stage, short},
};

const HOUR: Duration = Duration::from_secs(3600);

/// As an API server whose CRDs have no such field: it vanishes without a word.
#[tokio::test(start_paused = true)]
async fn a_field_that_the_crds_do_not_have_is_named_and_written_ever_more_seldom() {
    let stage = Stage::empty(Traffic::new(NS, NAME).rps(50.0));
    stage.server.admit("httproutes", |route, _| {
        for rule in route["spec"]["rules"].as_array_mut().into_iter().flatten() {
            rule.as_object_mut().map(|rule| rule.remove("timeouts"));
        }
        Ok(())
    });
    stage.put(short().set("/spec/traffic/gateway/timeouts", json!({"request": "30s"})));
    stage.within(Duration::from_secs(120), "it says which", |stage| conditions(stage).contains("timeouts")).await;
    assert!(conditions(&stage).contains("Gateway API are older than 1.2"), "{}", conditions(&stage));
    let before = stage.writes();
    sleep(HOUR).await;
    assert!(stage.writes() - before < 40, "{stage:?}");
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_sets_another_size_is_named_and_nothing_is_written_in_a_loop() {
    let stage = stable().await;
    stage.server.admit("deployments", |deployment, _| {
        deployment["spec"]["replicas"] = json!(7);
        Ok(())
    });
    stage.edit(|spec| spec["replicas"] = json!(5));
    stage.within(Duration::from_secs(60), "it says which", |stage| conditions(stage).contains("spec.replicas")).await;
    let before = stage.writes();
    sleep(HOUR).await;
    assert!(stage.writes() - before < 40, "{stage:?}");
}

/// As with the CRD of an older release: what its status does not have is not stored, and comes back as missing each time.
#[tokio::test(start_paused = true)]
async fn a_status_that_the_crd_does_not_keep_is_no_loop_and_keeps_nothing_back() {
    let stage = Stage::empty(Traffic::new(NS, NAME).rps(50.0));
    stage.server.admit("microapprollouts", |rollout, _| {
        if let Some(status) = rollout["status"].as_object_mut() {
            status.remove("conditions");
        }
        Ok(())
    });
    stage.put(short());
    stage.within(Duration::from_secs(120), "it serves", |stage| stage.weights() == [100]).await;
    let before = stage.writes();
    sleep(HOUR).await;
    assert!(stage.writes() - before < 40, "{stage:?}");
}

#[tokio::test(start_paused = true)]
async fn a_size_that_somebody_else_sets_back_each_time_is_no_race() {
    let stage = stable().await;
    let name = format!("{NAME}-{}", stage.revision(1));
    let before = writes_of(&stage, "deployments", 0).len();
    for _ in 0..1200 {
        stage.server.edit("autoscaler", "deployments", NS, &name, |deployment| {
            deployment["spec"]["replicas"] = json!(9);
        });
        sleep(Duration::from_secs(3)).await;
    }
    let written = writes_of(&stage, "deployments", 0).len() - before;
    assert!(written < 120, "{written}");
    assert!(conditions(&stage).contains("keeps changing spec.replicas of Deployment"), "{}", conditions(&stage));
}

#[tokio::test(start_paused = true)]
async fn a_route_that_the_api_server_refuses_is_said_in_its_words() {
    let stage = Stage::empty(Traffic::new(NS, NAME).rps(50.0));
    stage.server.admit("httproutes", |_, live| match live {
        Some(_) => Ok(()),
        None => Err(Failure::new(422, "spec.parentRefs: Invalid value: \"hunter2\": sectionName must be unique")),
    });
    stage.put(short());
    let told = |stage: &Stage| conditions(stage).contains("refused to create HTTPRoute");
    stage.within(Duration::from_secs(60), "it says so", told).await;
    let said = conditions(&stage);
    assert!(said.contains("sectionName must be unique") && !said.contains("hunter2"), "{said}");
    let before = writes_of(&stage, "httproutes", 0).len();
    sleep(Duration::from_secs(600)).await;
    assert!(writes_of(&stage, "httproutes", 0).len() - before < 30, "{stage:?}");
}

#[tokio::test(start_paused = true)]
async fn a_raise_that_a_policy_refuses_is_said_in_its_words() {
    let stage = at_one_percent().await;
    stage.server.admit("httproutes", |route, _| {
        let canary = route["spec"]["rules"][0]["backendRefs"][1]["weight"].as_i64().unwrap_or_default();
        if canary > 1 { Err(Failure::new(422, "denied: no more than 1 % this week")) } else { Ok(()) }
    });
    let told = |stage: &Stage| conditions(stage).contains("denied: no more than 1 % this week");
    stage.within(HOUR, "it says so", told).await;
    assert!(stage.reads("Ready", "False", "Refused"), "{stage:?}");
    let before = writes_of(&stage, "httproutes", 0).len();
    sleep(Duration::from_secs(1200)).await;
    assert!(writes_of(&stage, "httproutes", 0).len() - before < 40, "{stage:?}");
    assert_eq!(stage.weights(), [99, 1]);
}

/// Whatever child loses whichever label of ours: it has it back, and nothing is made twice.
#[tokio::test(start_paused = true)]
async fn a_child_that_loses_our_labels_gets_them_back() {
    for label in ["microapp.dev/rollout", "microapp.dev/revision"] {
        let stage = stable().await;
        let name = format!("{NAME}-{}", stage.revision(1));
        for (plural, name) in [("deployments", name.as_str()), ("services", &name), ("services", NAME)] {
            if name == NAME && label == "microapp.dev/revision" {
                continue;
            }
            let strip = |child: &mut Value| {
                child["metadata"]["labels"].as_object_mut().unwrap().remove(label);
            };
            assert!(stage.server.edit("kubectl", plural, NS, name, strip));
        }
        sleep(Duration::from_secs(60)).await;
        let before = stage.writes();
        sleep(HOUR).await;
        assert_eq!(stage.writes(), before, "{stage:?}");
        let children = stage.children();
        assert_eq!(children.iter().filter(|child| child["kind"] == "Deployment").count(), 1, "{stage:?}");
        stage.upgrade(2);
        invariants::promoted(&stage, 2, &STEPS).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_child_that_a_finalizer_keeps_from_going_is_said() {
    let stage = stable().await;
    let name = format!("{NAME}-{}", stage.revision(1));
    let hold = |child: &mut Value| child["metadata"]["finalizers"] = json!(["example.com/hold"]);
    assert!(stage.server.edit("kubectl", "services", NS, &name, hold));
    assert!(stage.server.delete("kubectl", "services", NS, &name));
    stage.within(Duration::from_secs(180), "it says so", |stage| conditions(stage).contains("example.com/hold")).await;
    let before = stage.server.requests().len();
    sleep(HOUR).await;
    let calls = stage.server.requests().into_iter().skip(before).filter(|call| call.target.plural == "services");
    assert!(calls.filter(|call| call.verb == "create").count() < 60);
}

/// The wait for a place must not outlive the lease that it was decided with.
#[tokio::test(start_paused = true)]
async fn a_raise_that_waited_for_its_place_asks_for_the_lease_again() {
    let mut stage = Stage::stable(short(), 100.0).await;
    stage.operators.remove(0).end().await;
    stage.start_with(|context| context.concurrency = 1);
    stage.upgrade(2);
    stage.until("the first step", |stage| stage.weights() == [99, 1]).await;
    // Others hold the only place, one call after the other; then the lease cannot be renewed.
    stage.server.fault(Match::any().namespace("slow").verb("create"), Fault::Hang);
    for number in 0..12 {
        let other = microapp_testkit::build::rollout("slow", &format!("r{number}"), "registry.local/x:1");
        stage.server.put("kubectl", other.build()).unwrap();
    }
    sleep(Duration::from_secs(5)).await;
    stage.server.fault(Match::any().plural("leases"), Fault::Error(503));
    let cut = microapp_testkit::clock::now();
    sleep(Duration::from_secs(300)).await;
    for version in stage.routes() {
        let share = invariants::share(&version.object);
        let late = version.time.duration_since(cut).as_secs() > 8;
        assert!(share <= 1.0 || !late, "{share} at {}, the lease was lost at {cut}", version.time);
    }
}

/// A condition keeps no control character, so that a refusal which has one must be compared as it was kept: otherwise each
/// pass has news.
#[tokio::test(start_paused = true)]
async fn a_refusal_with_control_characters_is_written_once() {
    let stage = at_one_percent().await;
    stage.server.admit("httproutes", |route, _| {
        let canary = route["spec"]["rules"][0]["backendRefs"][1]["weight"].as_i64().unwrap_or_default();
        let words = "denied:\u{1b}[2J no\u{7}\u{202e} more\r\nthan 1 %\u{0} this week";
        if canary > 1 { Err(Failure::new(422, words)) } else { Ok(()) }
    });
    let told = |stage: &Stage| stage.reads("Ready", "False", "Refused") && conditions(stage).contains("this week");
    stage.within(HOUR, "it says so", told).await;
    assert!(!conditions(&stage).contains(char::is_control), "{stage:?}");
    sleep(Duration::from_secs(60)).await;
    let before = stage.server.versions("microapprollouts", NS, NAME).len();
    sleep(Duration::from_secs(900)).await;
    // Numbers of the gates are checkpointed at 5, 10 … minutes, and nothing else is news.
    let written = stage.server.versions("microapprollouts", NS, NAME).len() - before;
    assert!(told(&stage) && written <= 4, "{written}\n{stage:?}");
}
