//! Little traffic: where the ramp begins, and what is said when it does not.

use std::{io::Write, time::Duration};

use microapp_api::values::Percent;
use microapp_cli::{args::PlanArgs, cluster::Cluster, exit::Exit, verbs::plan};
use microapp_core::outlook::Outlook;
use microapp_testkit::{Traffic, build::RolloutBuilder};
use serde_json::json;
use tokio::time::sleep;

use crate::{
    invariants::{self, share},
    stage::{Client, NAME, NS, Stage, short},
};

/// No step may take longer than ten minutes, and there are two requests a second.
fn hurried() -> RolloutBuilder {
    short().set("/spec/strategy/maxStepDuration", "10m").gates(json!([{"name": "errors", "errorRate": {"max": "1%"}}]))
}

#[tokio::test(start_paused = true)]
async fn with_skip_steps_it_begins_at_the_lowest_step_that_fits_and_is_promoted() {
    let stage = Stage::stable(hurried().set("/spec/strategy/lowTraffic", "SkipSteps"), 2.0).await;
    // Baselines are of whole minutes: five of them are over 500 requests wherever the scrapes lie.
    sleep(Duration::from_secs(60)).await;
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

/// `kubectl microapp plan` of a rollout, with a price table where one is given.
async fn planned(stage: &Stage, rollout: RolloutBuilder, prices: Option<&str>) -> (Exit, String) {
    let file = |text: &str| {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        write!(file, "{text}").unwrap();
        file
    };
    let (manifest, prices) = (file(&rollout.build().to_string()), prices.map(file));
    let args = PlanArgs {
        filename: manifest.path().to_owned(),
        prometheus: None,
        prometheus_token_file: None,
        prices: prices.as_ref().map(|file| file.path().to_owned()),
        baseline: Vec::new(),
        seconds: Duration::from_secs(3600),
        scrape: Duration::from_secs(5),
    };
    let cluster = Cluster::new(stage.server.client_as("kubectl"), NS.to_owned(), Duration::from_secs(10));
    let (wanted, mut said) = (plan::read(&args).unwrap(), Vec::new());
    let (prometheus, now) = (Client(stage.prometheus.clone()), microapp_testkit::clock::now());
    let prices = args.price_table().unwrap();
    let exit = plan::online(&cluster, &prometheus, &prices, &wanted, now, &mut said).await.unwrap();
    (exit, String::from_utf8(said).unwrap())
}

/// `plan` on the cluster before anything is applied, and what preflight then pins: the same words.
#[tokio::test(start_paused = true)]
async fn plan_says_before_it_is_applied_what_preflight_finds_then() {
    let stage = Stage::stable(short(), 50.0).await;
    let (exit, said) = planned(&stage, short(), None).await;
    assert_eq!(exit, Exit::Ok, "{said}");
    assert!(said.starts_with(&format!("{NAME}, from what {} did before:\n", stage.revision(1))), "{said}");
    stage.upgrade(2);
    stage.until("the canary has traffic", |stage| stage.weights().len() == 2 && stage.weights()[1] > 0).await;
    let pinned = serde_json::from_value(stage.rollout()["status"]["canary"]["plan"].clone()).unwrap();
    let found = Outlook::of_pinned(&pinned).unwrap();
    // Some seconds lie between the two: the same tolerance and gates, and times that are nearly the same.
    let [line, ramp] =
        [found.gates[0].name.clone(), format!("Ramp: tolerance {}", Percent::from_ppm(found.epsilon_ppm))];
    assert!(said.contains(&format!("\n  {line}: stable before: ")) && said.contains(&ramp), "{said}\n{found:?}");
    assert!(said.contains("it can fail, at more than ") && said.contains("expected to be promoted after"), "{said}");
}

/// With prices of its own the operator knows other models: `plan` is told them.
#[tokio::test(start_paused = true)]
async fn plan_reckons_with_the_prices_that_it_is_given() {
    let costs = || short().gates(json!([{"name": "cost", "tokenCost": {"maxIncrease": "10%"}}]));
    let stage = Stage::stable(costs(), 50.0).await;
    let (exit, said) = planned(&stage, costs(), None).await;
    assert_eq!(exit, Exit::Ok, "{said}");
    let twice = "models:\n  gpt-5-nano-2025-08-07: {input: \"0.10\", cachedInput: \"0.01\", output: \"0.80\"}\n";
    let (exit, dearer) = planned(&stage, costs(), Some(twice)).await;
    let usd = |said: &str| {
        let (_, rest) = said.split_once("cost: stable before: ").unwrap();
        rest.split_once(" USD").unwrap().0.parse::<f64>().unwrap()
    };
    assert!(exit == Exit::Ok && (usd(&dearer) / usd(&said) - 2.0).abs() < 0.05, "{said}\n{dearer}");
    let (exit, said) = planned(&stage, costs(), Some("models: {}\n")).await;
    assert_eq!(exit, Exit::Stalled);
    assert!(said.contains("has no price in the price table"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn plan_of_what_is_not_there_yet_says_that_no_gate_is_asked() {
    let stage = Stage::empty(Traffic::new(NS, NAME).rps(50.0));
    let (exit, said) = planned(&stage, short(), None).await;
    assert_eq!(exit, Exit::Ok);
    assert!(said.contains("nothing is stable in namespace shop") && said.contains("no gate is asked"), "{said}");
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
    assert_eq!(stage.weights(), [100, 0]);
    stage.prometheus.set_rps(200.0);
    stage.until("the canary has traffic", |stage| stage.weights().len() == 2 && stage.weights()[1] > 0).await;
    assert_eq!(stage.weights(), [99, 1]);
    invariants::hold(&stage, &[1.0, 25.0, 100.0], false);
}

/// What the refusal asks for helps the attempt that it speaks of.
#[tokio::test(start_paused = true)]
async fn a_strategy_that_is_changed_as_preflight_asks_lets_the_attempt_begin() {
    let stage = Stage::stable(hurried(), 2.0).await;
    stage.upgrade(2);
    stage.until("preflight says no", |stage| stage.reads("Ready", "False", "PreflightFailed")).await;
    stage.edit(|spec| spec["strategy"]["lowTraffic"] = "SkipSteps".into());
    stage.until("the canary has traffic", |stage| stage.weights().len() == 2 && stage.weights()[1] > 0).await;
    assert_eq!(stage.weights(), [75, 25]);
    assert_eq!(stage.rollout()["status"]["canary"]["attempt"], 2);
    // From now on the plan stands, whatever becomes of the spec.
    let plan = stage.rollout()["status"]["canary"]["plan"].clone();
    stage.edit(|spec| spec["strategy"]["tolerance"] = "20%".into());
    stage
        .until("the second revision is stable", |stage| {
            let canary = &stage.rollout()["status"]["canary"];
            assert!(canary.is_null() || canary["plan"] == plan, "{stage:?}");
            stage.reads("Ready", "True", "Promoted")
        })
        .await;
    invariants::hold(&stage, &[1.0, 25.0, 100.0], false);
}
