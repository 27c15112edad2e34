//! The exit code of each end, as pipelines wait for it.
#![allow(clippy::unwrap_used)]
mod common;

use common::{CANARY, OTHER, STABLE, annotations, condition, latch, rolled_back, rollout, view};
use microapp_cli::outcome::{Outcome, Wait};
use serde_json::{Value, json};

fn code(rollout: &Value, annotations: &Value, revision: Option<&str>) -> u8 {
    Outcome::read(&view(rollout, annotations), revision).exit().code()
}

#[test]
fn a_running_attempt_is_in_progress() {
    assert_eq!(code(&rollout(), &annotations(), None), 3);
    assert_eq!(code(&rollout(), &annotations(), Some(CANARY)), 3);
}

#[test]
fn a_spec_that_nobody_has_seen_yet_is_in_progress() {
    let mut rollout = rollout();
    rollout["metadata"]["generation"] = json!(8);
    rollout["status"]["conditions"] = json!([condition("Ready", "True", "Promoted", "")]);
    assert_eq!(code(&rollout, &annotations(), None), 3);
    assert_eq!(code(&rollout, &annotations(), Some(CANARY)), 3);
}

#[test]
fn the_stable_revision_is_promoted_whatever_comes_after_it() {
    assert_eq!(code(&rollout(), &annotations(), Some(STABLE)), 0);
    let mut rollout = rollout();
    rollout["status"]["desiredRevision"] = json!(STABLE);
    rollout["status"]["conditions"] = json!([condition("Ready", "True", "Promoted", "")]);
    assert_eq!(code(&rollout, &annotations(), None), 0);
}

#[test]
fn a_failed_gate_a_crash_and_pods_that_never_came_are_rolled_back() {
    for cause in ["GateFailed", "CrashLoop", "OOMKilled", "NotReady", "PinFailed", "Inconclusive"] {
        let (rollout, annotations) = rolled_back(cause);
        assert_eq!(code(&rollout, &annotations, None), 4, "{cause}");
        assert_eq!(code(&rollout, &annotations, Some(CANARY)), 4, "{cause}");
    }
}

#[test]
fn a_latch_that_status_does_not_list_yet_counts() {
    let (mut rollout, mut annotations) = (rollout(), annotations());
    annotations["microapp.dev/aborted"] = json!(latch("Command"));
    rollout["status"]["conditions"] = json!([condition("Stalled", "True", "RolledBack", "aborted by command")]);
    assert_eq!(code(&rollout, &annotations, None), 6);
}

#[test]
fn a_persons_abort_has_a_code_of_its_own() {
    let (rollout, annotations) = rolled_back("Command");
    assert_eq!(code(&rollout, &annotations, None), 6);
}

#[test]
fn a_rejected_revision_that_is_being_tried_again_is_in_progress() {
    let (mut rollout, annotations) = rolled_back("GateFailed");
    rollout["status"]["conditions"] = json!([condition("Reconciling", "True", "Progressing", "pods of it")]);
    assert_eq!(code(&rollout, &annotations, None), 3);
}

#[test]
fn nothing_moves_before_a_person_acts_is_stalled() {
    let mut rollout = rollout();
    for reason in ["Inconclusive", "RouteConflict", "InvalidSpec", "NoCompletions"] {
        rollout["status"]["conditions"] = json!([condition("Stalled", "True", reason, "look")]);
        assert_eq!(code(&rollout, &annotations(), None), 5, "{reason}");
    }
    rollout["status"]["conditions"] = json!([condition("Ready", "True", "ScaledToZero", "spec.replicas is 0")]);
    assert_eq!(code(&rollout, &annotations(), None), 5);
}

#[test]
fn an_unusable_spec_is_not_answered_for_by_the_stable_revision() {
    let mut rollout = rollout();
    rollout["status"]["desiredRevision"] = json!(STABLE);
    rollout["status"]["conditions"] = json!([condition("Reconciling", "True", "PromptsMissing", "no ConfigMap")]);
    assert_eq!(code(&rollout, &annotations(), None), 3);
    rollout["status"]["conditions"] = json!([condition("Stalled", "True", "PromptsMissing", "no ConfigMap")]);
    assert_eq!(code(&rollout, &annotations(), None), 5);
    assert_eq!(code(&rollout, &annotations(), Some(STABLE)), 0);
}

#[test]
fn a_revision_that_the_spec_no_longer_asks_for_keeps_its_own_end() {
    let mut rollout = rollout();
    assert_eq!(code(&rollout, &annotations(), Some(OTHER)), 4);
    assert_eq!(code(&rollout, &annotations(), Some("zzzzzzzzzz")), 3, "never seen: its commit is on its way");
    rollout["status"]["history"][0]["outcome"] = json!("Promoted");
    assert_eq!(code(&rollout, &annotations(), Some(OTHER)), 0);
    rollout["status"]["history"][0]["outcome"] = json!("RolledBack");
    rollout["status"]["history"][0]["cause"] = json!("Superseded");
    assert_eq!(code(&rollout, &annotations(), Some(OTHER)), 7);
    rollout["status"]["desiredRevision"] = json!("zzzzzzzzzz");
    assert_eq!(code(&rollout, &annotations(), Some(CANARY)), 7);
}

#[test]
fn a_wait_ends_when_its_revision_was_wanted_and_another_is_before_anything_was_tried() {
    let (mut rollout, mut wait) = (rollout(), Wait::begin(None));
    let mut read = |rollout: &Value, revision: &str| wait.read(&view(rollout, &annotations()), Some(revision));
    rollout["status"]["conditions"] = json!([condition("Reconciling", "True", "Progressing", "")]);
    assert_eq!(read(&rollout, "zzzzzzzzzz"), Outcome::InProgress, "it is still to come");
    rollout["status"]["desiredRevision"] = json!("zzzzzzzzzz");
    assert_eq!(read(&rollout, "zzzzzzzzzz"), Outcome::InProgress);
    rollout["status"]["desiredRevision"] = json!(CANARY);
    assert_eq!(read(&rollout, "zzzzzzzzzz"), Outcome::Superseded);
}
