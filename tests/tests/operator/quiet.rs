//! Little traffic: where the ramp begins, and what is said when it does not.

use microapp_testkit::build::RolloutBuilder;
use serde_json::json;

use crate::{
    invariants::{self, share},
    stage::{Stage, short},
};

/// No step may take longer than ten minutes, and there are two requests a second.
fn hurried() -> RolloutBuilder {
    short().set("/spec/strategy/maxStepDuration", "10m").gates(json!([{"name": "errors", "errorRate": {"max": "1%"}}]))
}

#[tokio::test(start_paused = true)]
async fn with_skip_steps_it_begins_at_the_lowest_step_that_fits_and_is_promoted() {
    let stage = Stage::stable(hurried().set("/spec/strategy/lowTraffic", "SkipSteps"), 2.0).await;
    stage.upgrade(2);
    stage.until("the canary has traffic", |stage| stage.weights().len() == 2 && stage.weights()[1] > 0).await;
    let plan = stage.rollout()["status"]["canary"]["plan"].clone();
    assert_eq!((&plan["firstStep"], &plan["lowTraffic"]), (&json!(1), &json!("SkipSteps")), "{plan}");
    assert!(["0.02", "0.05", "0.1"].iter().any(|epsilon| plan["epsilon"] == *epsilon), "{plan}");
    assert!(plan["gates"][0]["baseline"]["counts"][1].as_i64().unwrap() > 500, "{plan}");
    stage.until("the second revision is stable", |stage| stage.reads("Ready", "True", "Promoted")).await;
    let mut shares: Vec<f64> = stage.routes().iter().map(|version| share(&version.object)).collect();
    shares.dedup();
    assert_eq!(shares, [0.0, 25.0, 100.0, 0.0], "{stage:?}");
    invariants::hold(&stage, &[1.0, 25.0, 100.0], false);
    invariants::status_follows(&stage);
}

#[tokio::test(start_paused = true)]
async fn with_hold_it_says_what_to_change_and_begins_when_there_is_more_traffic() {
    let stage = Stage::stable(hurried(), 2.0).await;
    stage.upgrade(2);
    stage.until("preflight says no", |stage| stage.reads("Ready", "False", "PreflightFailed")).await;
    let conditions = stage.rollout()["status"]["conditions"].clone();
    let ready = conditions.as_array().unwrap().iter().find(|condition| condition["type"] == "Ready").unwrap();
    let message = ready["message"].as_str().unwrap();
    for part in ["too little traffic", "lowTraffic to SkipSteps", "begin at 25%", "maxStepDuration to at least"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    stage.prometheus.set_rps(200.0);
    stage.until("the canary has traffic", |stage| stage.weights().len() == 2 && stage.weights()[1] > 0).await;
    assert_eq!(stage.weights(), [99, 1]);
    invariants::hold(&stage, &[1.0, 25.0, 100.0], false);
}
