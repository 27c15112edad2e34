//! What people do at the wrong moment: in every state another spec, and in every state a deletion.

use std::time::Duration;

use microapp_testkit::{Behaviour, Profile, RouteAnswer, Traffic};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{MINUTE, STEPS, at_25_percent, at_five_percent, fails, promoted, quick, rests, stable};
use crate::{
    invariants,
    stage::{NAME, NS, Stage},
};

/// The states of a rollout, as `decide` knows them.
#[derive(Clone, Copy, Debug)]
enum In {
    First,
    Idle,
    Prepare,
    Preflight,
    Ramp,
    Bake,
    Promote,
    RollBack,
    Rejected,
    Paused,
    Unusable,
}

const STATES: [In; 11] = [
    In::First,
    In::Idle,
    In::Prepare,
    In::Preflight,
    In::Ramp,
    In::Bake,
    In::Promote,
    In::RollBack,
    In::Rejected,
    In::Paused,
    In::Unusable,
];

/// A rollout in this state; what keeps it there ends with [`goes_on`].
async fn stage(state: In) -> Stage {
    match state {
        In::First => {
            let stage = Stage::empty(Traffic::new(NS, NAME).rps(60.0));
            stage.behave(1, Behaviour::Unready);
            stage.put(quick());
            stage.until("its pods are made", |stage| !stage.server.list("pods", NS).is_empty()).await;
            stage
        }
        In::Idle => stable().await,
        In::Prepare => {
            let stage = stable().await;
            stage.behave(2, Behaviour::Unready);
            stage.upgrade(2);
            sleep(Duration::from_secs(10)).await;
            stage
        }
        In::Preflight => {
            let stage = stable().await;
            stage.prometheus.fault(Some(microapp_testkit::PromFault::Refuse));
            stage.upgrade(2);
            stage.until("its attempt begins", |stage| stage.weights() == [100, 0]).await;
            stage
        }
        In::Ramp => at_25_percent().await,
        In::Bake => {
            let stage = stable().await;
            stage.upgrade(2);
            stage.until("all traffic", |stage| stage.weights() == [0, 100]).await;
            sleep(Duration::from_secs(5)).await;
            stage
        }
        In::Promote => {
            let stage = stable().await;
            stage.upgrade(2);
            stage.until("the commit", |stage| stage.stable_is(2)).await;
            stage
        }
        In::RollBack => {
            let stage = at_five_percent().await;
            // The gateway has not yet accepted that the canary gets nothing.
            stage.controllers.answer_routes(RouteAnswer::Silent);
            fails(&stage);
            stage.until("it is lowered", |stage| stage.weights() == [100, 0]).await;
            stage
        }
        In::Rejected => {
            let stage = at_five_percent().await;
            fails(&stage);
            stage.until("it is stalled", |stage| stage.reads("Stalled", "True", "GateFailed")).await;
            stage
        }
        In::Paused => {
            let stage = at_five_percent().await;
            stage.command("pause", "p1");
            stage.until("it is paused", |stage| stage.reads("Paused", "True", "AwaitingApproval")).await;
            stage
        }
        In::Unusable => {
            let stage = at_five_percent().await;
            stage.edit(|spec| spec["prompts"]["configMapRef"]["name"] = json!("nowhere"));
            sleep(MINUTE * 2).await;
            stage
        }
    }
}

/// Nothing keeps it there any more.
fn goes_on(stage: &Stage) {
    stage.prometheus.fault(None);
    stage.controllers.answer_routes(RouteAnswer::Accept);
    let names = |rollout: &mut Value| {
        rollout["spec"]["prompts"]["configMapRef"]["name"] = json!(format!("{NAME}-prompts"));
    };
    stage.server.edit("kubectl", "microapprollouts", NS, NAME, names);
}

#[tokio::test(start_paused = true)]
async fn a_spec_that_is_edited_in_any_state_is_what_is_rolled_out_in_the_end() {
    for state in STATES {
        let stage = stage(state).await;
        stage.upgrade(3);
        goes_on(&stage);
        let what = format!("{state:?}: the third version is stable");
        stage.within(MINUTE * 30, &what, |stage| stage.stable_is(3)).await;
        stage.until(&what, |stage| stage.condition("Ready").is_some_and(|ready| ready.0 == "True")).await;
        rests(&stage).await;
        assert_eq!(stage.weights(), [100], "{state:?}");
        invariants::hold(&stage, &STEPS, false);
        invariants::status_follows(&stage);
    }
}

/// I11: all of it within a minute, whatever the state.
#[tokio::test(start_paused = true)]
async fn a_rollout_that_is_deleted_in_any_state_leaves_nothing_within_a_minute() {
    for state in STATES {
        let stage = stage(state).await;
        assert!(stage.server.delete("kubectl", "microapprollouts", NS, NAME));
        let what = format!("{state:?}: nothing is left");
        let nothing = |stage: &Stage| stage.children().is_empty() && stage.server.list("pods", NS).is_empty();
        stage.within(MINUTE, &what, nothing).await;
        goes_on(&stage);
        // A status that was under way is answered 404.
        sleep(Duration::from_secs(5)).await;
        let before = stage.writes();
        sleep(MINUTE * 5).await;
        assert_eq!(stage.writes(), before, "{state:?}\n{stage:?}");
        invariants::hold(&stage, &STEPS, false);
    }
}

/// A namespace that goes takes everything, and is not written into: each creation would be refused.
#[tokio::test(start_paused = true)]
async fn a_namespace_that_goes_in_mid_rollout_is_left_alone() {
    for state in [In::First, In::Prepare, In::Ramp, In::RollBack] {
        let stage = stage(state).await;
        let before = stage.writes();
        stage.server.terminate_namespace(NS);
        sleep(MINUTE * 5).await;
        assert!(stage.children().is_empty(), "{state:?}\n{stage:?}");
        let written = stage.writes() - before;
        assert!(written <= 3, "{state:?}: {written} writes\n{stage:?}");
        rests(&stage).await;
    }
}

/// A namespace is deleted while a finalizer of somebody else holds the rollout: what goes is not made again in a loop.
#[tokio::test(start_paused = true)]
async fn a_namespace_that_goes_and_a_rollout_that_stays_make_no_loop() {
    let stage = at_five_percent().await;
    let hold = |rollout: &mut Value| rollout["metadata"]["finalizers"] = json!(["backup.example.com/hold"]);
    assert!(stage.server.edit("backup", "microapprollouts", NS, NAME, hold));
    let before = stage.writes();
    stage.server.terminate_namespace(NS);
    sleep(MINUTE * 10).await;
    let written = stage.writes() - before;
    assert!(written <= 3, "{written} writes\n{stage:?}");
}

#[tokio::test(start_paused = true)]
async fn of_two_commits_in_a_second_the_second_is_rolled_out() {
    let states: [(Stage, usize); 2] = [(stable().await, 1), (at_five_percent().await, 2)];
    for (stage, before) in states {
        stage.upgrade(3);
        sleep(Duration::from_millis(400)).await;
        stage.upgrade(4);
        let what = format!("{before}: the last commit is stable");
        stage.until(&what, |stage| stage.reads("Ready", "True", "Promoted") && stage.stable_is(4)).await;
        rests(&stage).await;
        invariants::hold(&stage, &STEPS, false);
        invariants::status_follows(&stage);
        let reached = stage.prometheus.users().get(&stage.revision(3)).map_or(0, |users| users.good + users.bad);
        assert_eq!(reached, 0, "nobody reached what was wanted for less than a second");
    }
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_is_taken_back_within_a_second_is_none() {
    let stage = stable().await;
    stage.upgrade(2);
    sleep(Duration::from_millis(400)).await;
    stage.upgrade(1);
    sleep(MINUTE).await;
    super::settled(&stage, 1).await;
    assert!(stage.register("rejected").is_empty(), "{stage:?}");
}

/// Each annotation of the register alone, in one attempt after the other.
#[tokio::test(start_paused = true)]
async fn whichever_annotation_of_the_route_is_stripped_nothing_is_raised_by_it() {
    for key in ["stable", "canary", "attempt", "step"] {
        let stage = at_five_percent().await;
        assert!(stage.server.edit("kubectl", "httproutes", NS, NAME, |route| {
            route["metadata"]["annotations"].as_object_mut().unwrap().remove(&format!("microapp.dev/{key}"));
        }));
        sleep(Duration::from_secs(2)).await;
        assert!(stage.weights().get(1).is_none_or(|weight| *weight <= 5), "{key}\n{stage:?}");
        stage.profile(2, Profile::default());
        promoted(&stage).await;
    }
}
