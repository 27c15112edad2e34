//! I17. The operator is upgraded and downgraded in mid-rollout: what another version stored changes no weight.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use super::{MINUTE, at_25_percent, at_five_percent, fails, promoted, reverts, settled};
use crate::{
    invariants,
    stage::{NAME, NS, Stage},
};

/// The CRD of another version: whatever stands in spec and status is kept.
fn any_schema(stage: &Stage) {
    let mut crd: Value =
        serde_saphyr::from_str(include_str!("../../../../crds/microapprollouts.microapp.dev.yaml")).unwrap();
    for part in ["spec", "status"] {
        let fields = &mut crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"][part];
        *fields = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    }
    stage.server.install_crd(&crd);
}

/// Another version of the operator takes over what this one stored, changed as another version would have stored it.
/// Nothing that it writes at once is a weight.
async fn takes_over(stage: &mut Stage, status: impl FnOnce(&mut Value), route: impl FnOnce(&mut Value)) {
    stage.operators.remove(0).end().await;
    any_schema(stage);
    assert!(
        stage.server.edit("another-version", "microapprollouts", NS, NAME, |rollout| status(&mut rollout["status"]))
    );
    assert!(stage.server.edit("another-version", "httproutes", NS, NAME, route));
    let before = invariants::share(&stage.route());
    stage.start();
    sleep(Duration::from_secs(3)).await;
    assert!((invariants::share(&stage.route()) - before).abs() < 1e-9, "{stage:?}");
}

fn remove(object: &mut Value, keys: &[&str]) {
    for key in keys {
        object.as_object_mut().map(|object| object.remove(*key));
    }
}

/// Everything that a later release added to the status and to the route is missing, and the evidence is of a format that
/// is not read any more.
fn as_before(status: &mut Value) {
    remove(status, &["handledRevision", "selector", "gates", "history", "rejected"]);
    let canary = &mut status["canary"];
    canary["evidence"] = json!("e1.1772359200.000.AAAA");
    remove(&mut canary["plan"], &["firstStep", "lowTraffic", "onInconclusive", "replicas", "priceDigest"]);
    for gate in canary["plan"]["gates"].as_array_mut().into_iter().flatten() {
        remove(gate, &["defaulted", "fallbacks"]);
        remove(&mut gate["baseline"], &["per", "rps", "delayMillis", "phi", "caveat"]);
    }
}

fn without_limit(route: &mut Value) {
    // An earlier version wrote "no limit" where the spec gives none.
    route["spec"]["rules"][0]["timeouts"] = json!({"request": "0s"});
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_in_mid_rollout_changes_no_weight() {
    let mut stage = at_25_percent().await;
    takes_over(&mut stage, as_before, without_limit).await;
    promoted(&stage).await;
    let mut stage = at_25_percent().await;
    takes_over(&mut stage, as_before, without_limit).await;
    reverts(&stage, MINUTE).await;
}

/// What a later version might say, in every place that it can.
fn as_later(status: &mut Value) {
    status["phase"] = json!("Verifying");
    status["observedPolicy"] = json!({"name": "strict", "generation": 7});
    status["canary"]["shadow"] = json!({"weight": "1%"});
    status["canary"]["plan"]["shadow"] = json!(["a", 1, null]);
    status["canary"]["plan"]["steps"][0]["pause"] = json!("approval");
    status["canary"]["plan"]["gates"][0]["severity"] = json!("High");
    status["stable"]["attestation"] = json!("sha256:00");
    status["gates"] = json!([{"name": "errors", "verdict": "Degrading", "trend": 3}]);
    let entry = json!({"revision": "0000000000", "attempt": 1, "outcome": "Paused", "cause": "BudgetSpent", "by": "x"});
    status["history"] = json!([entry]);
    status["rejected"] = json!([{"revision": "0000000000", "attempt": 1, "cause": "BudgetSpent"}]);
}

fn with_more(route: &mut Value) {
    let annotations = &mut route["metadata"]["annotations"];
    annotations["microapp.dev/shadow"] = json!("1%");
    annotations["microapp.dev/rejected"] = json!("0000000000=BudgetSpent");
    annotations["microapp.dev/tokens"] = json!(r#"{"freeze":"f1","until":{"at":7}}"#);
}

#[tokio::test(start_paused = true)]
async fn a_downgrade_in_mid_rollout_changes_no_weight() {
    let mut stage = at_25_percent().await;
    takes_over(&mut stage, as_later, with_more).await;
    promoted(&stage).await;
    assert_eq!(stage.register("attempt"), "2", "no attempt is lost\n{stage:?}");
    assert_eq!(stage.register("shadow"), "1%", "what it does not know it leaves");
    let mut stage = at_25_percent().await;
    takes_over(&mut stage, as_later, with_more).await;
    reverts(&stage, MINUTE).await;
}

/// A later version ended the attempt for a cause that this one has no word for: it is over all the same, and the revision
/// is not tried again.
#[tokio::test(start_paused = true)]
async fn a_cause_that_only_a_later_version_knows_ends_the_attempt_and_rejects_the_revision() {
    let mut stage = at_five_percent().await;
    fails(&stage);
    stage.until("it is lowered", |stage| stage.weights() == [100, 0]).await;
    let cause = |route: &mut Value| {
        let annotations = &mut route["metadata"]["annotations"];
        let latch = annotations["microapp.dev/aborted"].as_str().unwrap().replace("GateFailed", "BudgetSpent");
        annotations["microapp.dev/aborted"] = json!(latch);
    };
    takes_over(&mut stage, |_| {}, cause).await;
    sleep(MINUTE * 5).await;
    assert_eq!(stage.register("attempt"), "2", "it is not tried again\n{stage:?}");
    settled(&stage, 1).await;
    assert!(stage.condition("Stalled").is_some_and(|stalled| stalled.0 == "True"), "{stage:?}");

    let rejected =
        stage.register("rejected").replace("=Command", "=BudgetSpent").replace("=GateFailed", "=BudgetSpent");
    let cause = |route: &mut Value| route["metadata"]["annotations"]["microapp.dev/rejected"] = json!(rejected);
    stage.prometheus.set_rps(60.0);
    takes_over(&mut stage, |_| {}, cause).await;
    sleep(MINUTE * 5).await;
    assert_eq!(stage.register("attempt"), "2", "nor after another restart\n{stage:?}");
    let revision = stage.revision(2);
    assert!(stage.register("rejected").starts_with(&revision), "{stage:?}");
    invariants::hold(&stage, &super::STEPS, false);
}

/// A plan of which a word is not known: nothing is raised on it, a breach is still turned back, and a person is told.
#[tokio::test(start_paused = true)]
async fn a_plan_that_only_a_later_version_understands_holds_and_still_rolls_back() {
    let mut stage = at_25_percent().await;
    let later = |status: &mut Value| status["canary"]["plan"]["onInconclusive"] = json!("AskTheModel");
    takes_over(&mut stage, later, |_| {}).await;
    stage.within(MINUTE, "a person is told", |stage| stage.reads("Stalled", "True", "Inconclusive")).await;
    sleep(MINUTE * 2).await;
    assert_eq!(stage.weights(), [75, 25], "{stage:?}");
    reverts(&stage, MINUTE).await;
}

/// A spec with what only a later version knows: where it cannot be read the weight stays, and that is said.
#[tokio::test(start_paused = true)]
async fn a_spec_that_only_a_later_version_understands_freezes_the_weight() {
    let mut stage = at_25_percent().await;
    takes_over(&mut stage, |_| {}, |_| {}).await;
    stage.edit(|spec| {
        spec["shadow"] = json!({"weight": "1%"});
        spec["gates"] = json!([{"name": "errors", "errorRate": {"max": "1%"}, "severity": "High"}]);
    });
    promoted(&stage).await;
    let stage = at_25_percent().await;
    any_schema(&stage);
    stage.edit(|spec| spec["strategy"]["onInconclusive"] = json!("AskTheModel"));
    stage.within(MINUTE * 2, "it is said", |stage| stage.reads("Ready", "False", "InvalidSpec")).await;
    assert_eq!(stage.weights(), [75, 25], "{stage:?}");
    fails(&stage);
    stage.within(MINUTE, "it is reverted", |stage| stage.aborted()["cause"] == "GateFailed").await;
    assert_eq!(stage.weights(), [100, 0], "{stage:?}");
}
