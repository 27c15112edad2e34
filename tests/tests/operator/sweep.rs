//! Crash anywhere: for every write of a scenario, the operator dies before and after its commit, another one starts,
//! and the end is that of the quiet run, after which nothing is written.

use std::{collections::BTreeMap, time::Duration};

use microapp_testkit::{Match, Profile, PromFault, Traffic, build};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    invariants,
    stage::{NAME, NS, Operator, Stage, image},
};

const STEPS: [f64; 3] = [5.0, 25.0, 100.0];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scenario {
    First,
    Happy,
    Breach,
    Abort,
    /// Before the first weight: stable had no traffic, so preflight waits.
    SupersededEarly,
    AbortedEarly,
    SetBackEarly,
    BreachAt25,
    BreachInTheBake,
    Deleted,
    StatusWiped,
    NoData,
    Commanded,
}

impl Scenario {
    /// Nobody uses the application yet.
    const fn is_early(self) -> bool {
        matches!(self, Self::SupersededEarly | Self::AbortedEarly | Self::SetBackEarly)
    }
}

/// Everything that two ends have in common, without names of pods, times and versions.
#[derive(Debug, PartialEq)]
struct End {
    register: BTreeMap<String, Value>,
    weights: Vec<i64>,
    children: BTreeMap<String, Value>,
    conditions: BTreeMap<String, (String, String)>,
    status: Value,
}

impl End {
    fn of(stage: &Stage) -> Self {
        let annotations = stage.route()["metadata"]["annotations"].as_object().cloned().unwrap_or_default();
        let register = annotations
            .into_iter()
            .filter(|(key, _)| !key.ends_with("/since"))
            .map(|(key, value)| {
                let latch: Option<Value> = value.as_str().and_then(|text| serde_json::from_str(text).ok());
                let latch = latch
                    .filter(Value::is_object)
                    .map(|latch| json!([latch["attempt"], latch["cause"], latch["gate"], latch["token"]]));
                (key, latch.unwrap_or(value))
            })
            .collect();
        let mut children = BTreeMap::new();
        for plural in ["deployments", "services", "controllerrevisions", "configmaps"] {
            for child in stage.server.list(plural, NS) {
                let name = format!("{plural}/{}", child["metadata"]["name"].as_str().unwrap());
                // Records of a process die with it, and decide nothing.
                if name.ends_with("-trace") {
                    continue;
                }
                let images: Vec<_> = child["spec"]["template"]["spec"]["containers"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(|one| one["image"].clone())
                    .collect();
                children.insert(
                    name,
                    json!([
                        child["spec"]["replicas"],
                        child["spec"]["selector"],
                        child["revision"],
                        child["data"]["images"],
                        images
                    ]),
                );
            }
        }
        let rollout = stage.rollout();
        let conditions = rollout["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let text = |one: &Value, key: &str| one[key].as_str().unwrap().to_owned();
        let history = rollout["status"]["history"].as_array().cloned().unwrap_or_default();
        let history: Vec<_> = history
            .iter()
            .map(|entry| json!([entry["revision"], entry["attempt"], entry["outcome"], entry["cause"], entry["gate"]]))
            .collect();
        let mut rejected = rollout["status"]["rejected"].clone();
        for one in rejected.as_array_mut().into_iter().flatten() {
            one["at"].take();
            // What was seen when it was rejected has numbers of its own.
            one["message"].take();
        }
        Self {
            register,
            weights: stage.weights(),
            children,
            conditions: conditions
                .iter()
                .map(|one| (text(one, "type"), (text(one, "status"), text(one, "reason"))))
                .collect(),
            status: json!([
                rollout["status"]["stable"]["revision"],
                rollout["status"]["stable"]["digest"],
                rollout["status"]["canary"],
                rejected,
                history
            ]),
        }
    }
}

/// Plays a scenario; with `crash` the operator dies at its k-th write, before or after the commit. Answers the settled
/// end and how many writes the scenario took.
async fn play(scenario: Scenario, crash: Option<(usize, bool)>) -> (End, usize) {
    let bake = if scenario == Scenario::BreachInTheBake { "5m" } else { "10s" };
    let rollout = build::rollout(NS, NAME, &image(1))
        .steps(&[(5.into(), "5s"), (25.into(), "5s"), (100.into(), bake)])
        .set("/spec/strategy/tolerance", "5%");
    let mut stage = Stage::empty(Traffic::new(NS, NAME).rps(if scenario.is_early() { 0.0 } else { 60.0 }));
    if scenario != Scenario::First {
        stage.put(rollout.clone());
        stage.until("the first revision is stable", |stage| stage.reads("Ready", "True", "InitialRevision")).await;
        sleep(Duration::from_secs(60)).await;
    }
    let before = stage.writes();
    let doomed = stage.operators.pop().unwrap();
    if let Some((k, commits)) = crash {
        stage.server.crash(Match::decisions().agent(&doomed.identity), k, commits);
    }
    let (server, prometheus) = (stage.server.clone(), stage.prometheus.clone());
    let successor = tokio::spawn(async move {
        server.wait_crashed().await;
        doomed.end().await;
        Operator::start(&server, &prometheus, "successor")
    });
    match scenario {
        Scenario::First => {
            stage.put(rollout);
            stage.until("the first revision is stable", |stage| stage.reads("Ready", "True", "InitialRevision")).await;
        }
        Scenario::Happy => {
            stage.upgrade(2);
            stage.until("the second revision is stable", |stage| stage.reads("Ready", "True", "Promoted")).await;
        }
        Scenario::Breach => {
            stage.profile(2, Profile { error_rate: 1.0, ..Profile::default() });
            stage.upgrade(2);
            stage.until("it is reverted", |stage| stage.reads("Stalled", "True", "GateFailed")).await;
        }
        Scenario::Abort => {
            stage.upgrade(2);
            stage.until("the first step", |stage| stage.weights() == [95, 5]).await;
            stage.command("abort", "a1");
            stage.until("it is reverted", |stage| stage.reads("Stalled", "True", "Command")).await;
        }
        Scenario::SupersededEarly | Scenario::AbortedEarly | Scenario::SetBackEarly => early(&stage, scenario).await,
        Scenario::BreachAt25 | Scenario::BreachInTheBake => {
            stage.upgrade(2);
            let at = if scenario == Scenario::BreachAt25 { [75, 25] } else { [0, 100] };
            stage.until("the step", |stage| stage.weights() == at).await;
            stage.profile(2, Profile { error_rate: 1.0, ..Profile::default() });
            stage.until("it is reverted", |stage| stage.reads("Stalled", "True", "GateFailed")).await;
        }
        Scenario::Deleted => {
            stage.upgrade(2);
            stage.until("the first step", |stage| stage.weights() == [95, 5]).await;
            assert!(stage.server.delete("kubectl", "microapprollouts", NS, NAME));
            stage.until("nothing is left", |stage| stage.children().is_empty()).await;
        }
        Scenario::StatusWiped => {
            stage.upgrade(2);
            stage.until("the first step", |stage| stage.weights() == [95, 5]).await;
            assert!(
                stage.server.edit("kubectl", "microapprollouts", NS, NAME, |rollout| rollout["status"] = json!({}))
            );
            stage.until("it is said", |stage| stage.reads("Stalled", "True", "Inconclusive")).await;
            stage.command("abort", "a1");
            stage.until("it is reverted", |stage| stage.reads("Stalled", "True", "Command")).await;
        }
        Scenario::Commanded => {
            stage.upgrade(2);
            stage.until("the first step", |stage| stage.weights() == [95, 5]).await;
            stage.command("promote", "2/0:1 sure");
            stage.until("the second revision is stable", |stage| stage.reads("Ready", "True", "Promoted")).await;
        }
        Scenario::NoData => {
            stage.upgrade(2);
            stage.until("the first step", |stage| stage.weights() == [95, 5]).await;
            stage.prometheus.fault(Some(PromFault::Refuse));
            sleep(Duration::from_secs(180)).await;
            assert_eq!(stage.weights(), [95, 5], "{stage:?}");
            stage.prometheus.fault(None);
            stage.until("the second revision is stable", |stage| stage.reads("Ready", "True", "Promoted")).await;
        }
    }
    // What is not needed any more goes after a settle; a crash there costs a lease more.
    sleep(Duration::from_secs(60)).await;
    let end = stage.writes();
    // Two facts that come at one moment are one status write or two: the last crash may find nothing left to break.
    let taken = end - before;
    let came = crash.is_none_or(|(k, _)| stage.server.crashed() || taken < k);
    assert!(came, "{scenario:?} {crash:?}: {taken} writes");
    sleep(Duration::from_secs(300)).await;
    assert_eq!(stage.writes(), end, "{scenario:?} {crash:?}: written at rest\n{stage:?}");
    invariants::hold(&stage, &STEPS, scenario == Scenario::Commanded);
    if scenario != Scenario::Deleted {
        invariants::status_follows(&stage);
    }
    successor.abort();
    (End::of(&stage), end - before)
}

/// The second revision waits in preflight; then somebody wants something else.
async fn early(stage: &Stage, scenario: Scenario) {
    stage.upgrade(2);
    stage.until("it waits", |stage| stage.reads("Reconciling", "True", "PreflightFailed")).await;
    match scenario {
        Scenario::AbortedEarly => {
            stage.command("abort", "a1");
            stage.until("it is rejected", |stage| stage.reads("Stalled", "True", "Command")).await;
        }
        Scenario::SetBackEarly => {
            stage.upgrade(1);
            stage
                .until("the first is current", |stage| stage.condition("Ready").is_some_and(|one| one.0 == "True"))
                .await;
        }
        _ => {
            stage.upgrade(3);
            stage.prometheus.set_rps(60.0);
            let stable = |stage: &Stage| stage.reads("Ready", "True", "Promoted") && stage.stable_is(3);
            stage.until("the third revision is stable", stable).await;
        }
    }
}

async fn sweep(scenario: Scenario, commits: bool) {
    let (quiet, writes) = play(scenario, None).await;
    assert!(writes >= 8, "{writes} writes");
    for k in 1..=writes {
        let (end, _) = play(scenario, Some((k, commits))).await;
        assert_eq!(end, quiet, "{scenario:?}: dead at write {k} of {writes}, committed: {commits}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_deploy_ends_the_same_when_the_operator_dies_before_any_write() {
    sweep(Scenario::First, false).await;
}

#[tokio::test(start_paused = true)]
async fn a_first_deploy_ends_the_same_when_the_operator_dies_after_any_write() {
    sweep(Scenario::First, true).await;
}

#[tokio::test(start_paused = true)]
async fn a_promotion_ends_the_same_when_the_operator_dies_before_any_write() {
    sweep(Scenario::Happy, false).await;
}

#[tokio::test(start_paused = true)]
async fn a_promotion_ends_the_same_when_the_operator_dies_after_any_write() {
    sweep(Scenario::Happy, true).await;
}

#[tokio::test(start_paused = true)]
async fn a_rollback_ends_the_same_when_the_operator_dies_before_any_write() {
    sweep(Scenario::Breach, false).await;
}

#[tokio::test(start_paused = true)]
async fn a_rollback_ends_the_same_when_the_operator_dies_after_any_write() {
    sweep(Scenario::Breach, true).await;
}

#[tokio::test(start_paused = true)]
async fn an_abort_ends_the_same_when_the_operator_dies_before_any_write() {
    sweep(Scenario::Abort, false).await;
}

#[tokio::test(start_paused = true)]
async fn an_abort_ends_the_same_when_the_operator_dies_after_any_write() {
    sweep(Scenario::Abort, true).await;
}

#[tokio::test(start_paused = true)]
async fn a_revision_superseded_before_its_first_weight_ends_the_same_when_the_operator_dies_before_any_write() {
    sweep(Scenario::SupersededEarly, false).await;
}

#[tokio::test(start_paused = true)]
async fn a_revision_superseded_before_its_first_weight_ends_the_same_when_the_operator_dies_after_any_write() {
    sweep(Scenario::SupersededEarly, true).await;
}

#[tokio::test(start_paused = true)]
async fn an_abort_before_the_first_weight_ends_the_same_when_the_operator_dies_before_any_write() {
    sweep(Scenario::AbortedEarly, false).await;
}

#[tokio::test(start_paused = true)]
async fn an_abort_before_the_first_weight_ends_the_same_when_the_operator_dies_after_any_write() {
    sweep(Scenario::AbortedEarly, true).await;
}

#[tokio::test(start_paused = true)]
async fn setting_back_before_the_first_weight_ends_the_same_when_the_operator_dies_before_any_write() {
    sweep(Scenario::SetBackEarly, false).await;
}

#[tokio::test(start_paused = true)]
async fn setting_back_before_the_first_weight_ends_the_same_when_the_operator_dies_after_any_write() {
    sweep(Scenario::SetBackEarly, true).await;
}

#[tokio::test(start_paused = true)]
async fn a_breach_at_25_percent_ends_the_same_when_the_operator_dies_before_any_write() {
    sweep(Scenario::BreachAt25, false).await;
}

#[tokio::test(start_paused = true)]
async fn a_breach_at_25_percent_ends_the_same_when_the_operator_dies_after_any_write() {
    sweep(Scenario::BreachAt25, true).await;
}

#[tokio::test(start_paused = true)]
async fn a_breach_in_the_bake_ends_the_same_when_the_operator_dies_before_any_write() {
    sweep(Scenario::BreachInTheBake, false).await;
}

#[tokio::test(start_paused = true)]
async fn a_breach_in_the_bake_ends_the_same_when_the_operator_dies_after_any_write() {
    sweep(Scenario::BreachInTheBake, true).await;
}

#[tokio::test(start_paused = true)]
async fn a_deletion_ends_the_same_when_the_operator_dies_before_any_write() {
    sweep(Scenario::Deleted, false).await;
}

#[tokio::test(start_paused = true)]
async fn a_deletion_ends_the_same_when_the_operator_dies_after_any_write() {
    sweep(Scenario::Deleted, true).await;
}

#[tokio::test(start_paused = true)]
async fn a_status_that_is_wiped_ends_the_same_when_the_operator_dies_before_any_write() {
    sweep(Scenario::StatusWiped, false).await;
}

#[tokio::test(start_paused = true)]
async fn a_status_that_is_wiped_ends_the_same_when_the_operator_dies_after_any_write() {
    sweep(Scenario::StatusWiped, true).await;
}

#[tokio::test(start_paused = true)]
async fn a_time_without_data_ends_the_same_when_the_operator_dies_before_any_write() {
    sweep(Scenario::NoData, false).await;
}

#[tokio::test(start_paused = true)]
async fn a_time_without_data_ends_the_same_when_the_operator_dies_after_any_write() {
    sweep(Scenario::NoData, true).await;
}

#[tokio::test(start_paused = true)]
async fn a_promotion_by_command_ends_the_same_when_the_operator_dies_before_any_write() {
    sweep(Scenario::Commanded, false).await;
}

#[tokio::test(start_paused = true)]
async fn a_promotion_by_command_ends_the_same_when_the_operator_dies_after_any_write() {
    sweep(Scenario::Commanded, true).await;
}
