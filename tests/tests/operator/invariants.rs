//! What must hold of every version of every object, whatever happens.

use std::collections::BTreeMap;

use microapp_core::{Revision, register::Register};
use microapp_testkit::{Change, Version};
use serde_json::Value;

use crate::stage::{NAME, Stage, weights};

/// What the operator's writes are signed with.
const OURS: &str = "microapp-operator";

fn annotations(object: &Value) -> BTreeMap<String, String> {
    serde_json::from_value(object["metadata"]["annotations"].clone()).unwrap_or_default()
}

/// The register of one version of the route.
pub fn register(version: &Version) -> Register {
    Register::read(&annotations(&version.object)).unwrap().unwrap()
}

/// The canary's share in percent.
pub fn share(object: &Value) -> f64 {
    match weights(object)[..] {
        [stable, canary] => canary as f64 * 100.0 / (stable + canary) as f64,
        _ => 0.0,
    }
}

/// Checks I1, I2, I3, I4 and I5 over the history, with the weights of the plan's steps in percent. An attempt may begin
/// above the first step where its plan says so, and only with `lowTraffic: SkipSteps`; before anybody reaches a canary
/// the plan in status has its tolerance.
///
/// What somebody else wrote is not ours to answer for; that it is put right is another test.
pub fn hold(stage: &Stage, steps: &[f64], skips: bool) {
    let mut last: Option<Register> = None;
    let mut over = 0;
    let mut wanted = 0;
    let mut canary = Value::Null;
    for version in stage.server.history() {
        let object = &version.object;
        match (version.key.plural.as_str(), version.change) {
            ("microapprollouts", _) if version.key.name == NAME => {
                wanted = object["spec"]["replicas"].as_i64().unwrap_or(1);
                canary = object["status"]["canary"].clone();
            }
            ("deployments", change) => {
                let revision = object["metadata"]["labels"]["microapp.dev/revision"].as_str().unwrap_or_default();
                if last.as_ref().is_some_and(|register| register.stable.as_str() == revision) {
                    let size = object["spec"]["replicas"].as_i64().unwrap_or(0);
                    let ours = version.actor == OURS;
                    assert!(change != Change::Deleted || !ours, "I3: the stable Deployment is deleted\n{stage:?}");
                    assert!(size >= wanted || !ours, "I3: stable has {size} of {wanted}\n{stage:?}");
                }
            }
            ("httproutes", Change::Deleted) => last = None,
            ("httproutes", Change::Added | Change::Modified) if version.actor == OURS => {
                let next = register(&version);
                let weights = weights(object);
                let at = format!("{} {weights:?} {next:?}\n{stage:?}", version.time);
                assert_eq!(weights.len(), 1 + usize::from(next.canary.is_some()), "I2: backends, {at}");
                assert!(weights.iter().all(|weight| *weight >= 0), "I2: a weight is not written out, {at}");
                assert!(weights.iter().sum::<i64>() > 0, "I2: nobody gets traffic, {at}");
                let limit = next.step.map_or(0.0, |step| steps[step]);
                let share = share(object);
                assert!(share <= limit + 1e-9, "I1: {share} % in step {:?}, {at}", next.step);
                if let Some(aborted) = &next.aborted {
                    over = over.max(aborted.attempt);
                }
                assert!(share == 0.0 || next.attempt > over, "I4: {share} % after the breach, {at}");
                if let Some(before) = &last {
                    assert!(next.attempt >= before.attempt, "attempts only grow, {at}");
                    let new = next.attempt > before.attempt;
                    assert!(!new || share == 0.0, "I12: a new attempt begins at 0, {at}");
                    let place = |register: &Register| register.step.map_or(-1, |step| i64::try_from(step).unwrap());
                    let from = if new { -1 } else { place(before) };
                    let plan = if canary["attempt"] == next.attempt { &canary["plan"] } else { &Value::Null };
                    let first = plan["firstStep"].as_i64().unwrap_or(0);
                    assert!(first == 0 || plan["lowTraffic"] == "SkipSteps", "I5: begins at step {first}, {at}");
                    let up = place(&next) - if from < 0 { first - 1 } else { from };
                    assert!(up <= 1 || skips, "I5: {up} steps at once, {at}");
                    let settled = plan["intervalMillis"].is_i64() && plan["epsilon"] != "Auto";
                    assert!(settled || share == 0.0 || from >= 0, "raised before status has the tolerance, {at}");
                }
                last = Some(next);
            }
            _ => {}
        }
    }
}

/// Waits until this revision is stable and everything rests; then all that is checked over the history, and now.
pub async fn promoted(stage: &Stage, release: u32, steps: &[f64]) {
    let what = format!("release {release} is stable");
    stage.until(&what, |stage| stage.reads("Ready", "True", "Promoted") && stage.stable_is(release)).await;
    stage.rests().await;
    hold(stage, steps, false);
    status_follows(stage);
}

/// Checks I16 now: status says what the route says.
pub fn status_follows(stage: &Stage) {
    let (route, rollout) = (stage.route(), stage.rollout());
    let register = Register::read(&annotations(&route)).unwrap().unwrap();
    let status = &rollout["status"];
    assert_eq!(status["stable"]["revision"], register.stable.as_str(), "{stage:?}");
    let canary = register.canary.as_ref().map(Revision::as_str);
    assert_eq!(status["canary"]["revision"].as_str(), canary, "{stage:?}");
    assert_eq!(status["observedGeneration"], rollout["metadata"]["generation"], "{stage:?}");
}
