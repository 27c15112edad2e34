//! The annotation of each command, and when it counts as taken.
#![allow(clippy::unwrap_used)]
mod common;

use common::{CANARY, OTHER, STABLE, annotations, latch, rolled_back, rollout, view};
use microapp_cli::order::{Fate, Order};
use microapp_cli::{exit::Exit, view::View};
use microapp_core::world::Verb;
use serde_json::{Value, json};

fn running() -> View {
    view(&rollout(), &annotations())
}

fn fate(order: &Order, annotations: &Value) -> Fate {
    order.fate(view(&rollout(), annotations).register.as_ref())
}

#[test]
fn a_promotion_is_meant_for_the_attempt_and_step_in_force() {
    let order = Order::promote(&running(), false, "looks  good\nto me", "nonce").unwrap();
    assert_eq!((order.key(), order.value()), ("microapp.dev/promote", "3/1:nonce looks good to me".to_owned()));
    let order = Order::promote(&running(), true, "", "nonce").unwrap();
    assert_eq!(order.value(), "3/1/skip:nonce");
    let mut annotations = annotations();
    annotations.as_object_mut().unwrap().remove("microapp.dev/step");
    assert_eq!(Order::promote(&view(&rollout(), &annotations), false, "", "nonce").unwrap().value(), "3/-:nonce");
}

#[test]
fn the_bake_cannot_be_promoted_away() {
    let mut annotations = annotations();
    annotations["microapp.dev/step"] = json!("3");
    let failure = Order::promote(&view(&rollout(), &annotations), false, "", "nonce").unwrap_err();
    assert_eq!(failure.exit, Exit::Error);
    assert!(failure.message.contains("bake"), "{failure}");
}

#[test]
fn a_retry_names_the_revision_that_the_spec_asks_for() {
    let (mut rollout, annotations) = rolled_back("GateFailed");
    assert_eq!(
        Order::retry(&view(&rollout, &annotations), "flaky judge", "n").unwrap().value(),
        format!("{CANARY}:n flaky judge")
    );
    rollout["status"]["desiredRevision"] = json!(STABLE);
    assert!(Order::retry(&view(&rollout, &annotations), "", "n").unwrap_err().message.contains("is stable"));
    rollout["status"]["desiredRevision"] = json!("zzzzzzzzzz");
    assert!(Order::retry(&view(&rollout, &annotations), "", "n").unwrap_err().message.contains("was not rejected"));
    assert!(Order::retry(&running(), "", "n").unwrap_err().message.contains("on trial already"));
}

#[test]
fn commands_are_refused_where_nothing_runs() {
    let (rollout, annotations) = rolled_back("GateFailed");
    let view = view(&rollout, &annotations);
    for verb in [Verb::Abort, Verb::Pause, Verb::Resume] {
        let failure = Order::now(&view, verb, "", "n").unwrap_err();
        assert!(failure.message.contains("no attempt runs"), "{failure}");
        assert_eq!(failure.exit, Exit::Error);
    }
    assert!(Order::promote(&view, false, "", "n").unwrap_err().message.contains("no attempt runs"));
}

#[test]
fn a_revision_without_traffic_can_be_aborted_but_not_paused() {
    let (mut rollout, annotations) = rolled_back("GateFailed");
    rollout["status"]["desiredRevision"] = json!(OTHER);
    rollout["status"]["conditions"] = json!([common::condition("Reconciling", "True", "Progressing", "pods")]);
    let view = view(&rollout, &annotations);
    assert_eq!(Order::now(&view, Verb::Abort, "wrong prompt", "n").unwrap().value(), "n wrong prompt");
    assert!(Order::now(&view, Verb::Pause, "", "n").is_err());
}

#[test]
fn an_abort_is_taken_when_the_latch_has_its_token() {
    let order = Order::now(&running(), Verb::Abort, "", "nonce").unwrap();
    let mut annotations = annotations();
    assert_eq!(fate(&order, &annotations), Fate::Waiting);
    annotations["microapp.dev/aborted"] = json!(latch("Command").replace("\"v\":1", "\"v\":1,\"token\":\"nonce\""));
    assert_eq!(fate(&order, &annotations), Fate::Taken(format!("all traffic is on {STABLE}")));
}

#[test]
fn a_pause_is_taken_when_the_route_has_its_token() {
    let order = Order::now(&running(), Verb::Pause, "", "nonce").unwrap();
    let mut annotations = annotations();
    annotations["microapp.dev/tokens"] = json!(r#"{"pause":"older"}"#);
    assert_eq!(fate(&order, &annotations), Fate::Waiting);
    annotations["microapp.dev/tokens"] = json!(r#"{"pause":"nonce","paused":"true"}"#);
    assert!(matches!(fate(&order, &annotations), Fate::Taken(_)));
}

#[test]
fn a_promotion_whose_step_went_by_is_lost_and_says_why() {
    let order = Order::promote(&running(), false, "", "nonce").unwrap();
    let mut next = annotations();
    next["microapp.dev/step"] = json!("2");
    assert!(matches!(fate(&order, &next), Fate::Lost(Exit::Error, message) if message.contains("repeat it")));
    let mut breached = annotations();
    breached["microapp.dev/aborted"] = json!(latch("GateFailed"));
    assert!(matches!(fate(&order, &breached), Fate::Lost(Exit::RolledBack, message) if message.contains("GateFailed")));
    let mut newer = annotations();
    newer["microapp.dev/attempt"] = json!("4");
    assert!(matches!(fate(&order, &newer), Fate::Lost(Exit::Superseded, _)));
}
