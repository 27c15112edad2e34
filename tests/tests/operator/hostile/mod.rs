//! Somebody means harm, or does it all the same: objects that nobody can read, policies that change what is written,
//! rights that go, finalizers that hold. Nobody else is hurt, a rollback needs one PATCH of the route, and whoever must
//! act is told.

mod objects;
mod rollback;
mod writes;

use microapp_testkit::{Profile, Request, Traffic};
use serde_json::Value;

use crate::stage::{NAME, NS, Stage, short};

const STEPS: [f64; 3] = [1.0, 25.0, 100.0];

/// Everybody who reaches it gets an error.
fn broken() -> Profile {
    Profile { error_rate: 1.0, ..Profile::default() }
}

/// A second revision, good so far, at 1 %.
async fn at_one_percent() -> Stage {
    Stage::at_one_percent().await
}

/// The decisions on objects of one kind from the n-th on.
fn writes_of(stage: &Stage, plural: &str, from: usize) -> Vec<Request> {
    let all = stage.server.writes_except_events_and_leases();
    all.into_iter().skip(from).filter(|request| request.target.plural == plural).collect()
}

/// All conditions of the rollout as one text.
fn conditions(stage: &Stage) -> String {
    stage.rollout()["status"]["conditions"].to_string()
}

/// Was an event of this reason written whose note has this?
fn event(stage: &Stage, reason: &str, has: &str) -> bool {
    let events = stage.server.writes().into_iter().filter(|request| request.target.plural == "events");
    let has =
        |event: &Value| event["reason"] == reason && event["note"].as_str().is_some_and(|note| note.contains(has));
    events.map(|request| request.body).any(|event| has(&event))
}

/// The metrics of the n-th operator.
pub fn metrics(stage: &Stage, operator: usize) -> String {
    stage.operators[operator].metrics.encode()
}

/// The value of a series; none where it is not there.
pub fn series(metrics: &str, name: &str, labels: &[&str]) -> Option<f64> {
    let line = metrics
        .lines()
        .find(|line| line.split(['{', ' ']).next() == Some(name) && labels.iter().all(|label| line.contains(label)))?;
    line.rsplit(' ').next()?.parse().ok()
}

/// Another rollout in a namespace of its own, with its gateway and prompts.
fn tenant(stage: &Stage, namespace: &str, image: &str) {
    use microapp_testkit::build;
    let prompts = build::prompts(namespace, NAME, "Be kind.");
    for object in build::gateway(namespace).into_iter().chain([prompts]) {
        stage.server.put("kubectl", object).unwrap();
    }
    stage.server.put("kubectl", build::rollout(namespace, NAME, image).build()).unwrap();
}

/// A cluster with the operator, users and the first revision of one rollout, where the rest is the test's to say.
async fn stable() -> Stage {
    Stage::stable(short(), 100.0).await
}

/// Nothing of `shop/invoice` is wrong, and a first revision became stable within a moment.
fn traffic() -> Traffic {
    Traffic::new(NS, NAME).rps(50.0)
}
