//! A rollback needs one PATCH of the route and nothing else; one that is blocked is seen at once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use microapp_testkit::{Failure, Fault, Match, Profile};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{STEPS, at_one_percent, broken, conditions, event, metrics, series};
use crate::{
    invariants,
    stage::{NAME, NS, Stage, short, weights},
};

/// Told and counted within so long.
const AT_ONCE: Duration = Duration::from_secs(30);

/// The rollback of a canary that fails everything is refused: metrics, status and an event say it while it lasts.
async fn seen(block: impl FnOnce(&Stage) -> Arc<AtomicBool>, words: &str) {
    let stage = at_one_percent().await;
    let closed = block(&stage);
    stage.profile(2, broken());
    let told = |stage: &Stage| {
        stage.reads("Stalled", "True", "RollbackBlocked") && stage.reads("Ready", "False", "RollbackBlocked")
    };
    stage.within(AT_ONCE, "status says it", told).await;
    let seen = metrics(&stage, 0);
    assert_eq!(series(&seen, "microapp_rollback_blocked", &[NAME]), Some(1.0), "{seen}");
    let failed = ["verdict=\"fail\"", "gate=\"errors\"", "advisory=\"false\""];
    assert_eq!(series(&seen, "microapp_gate_verdict", &failed), Some(1.0), "{seen}");
    assert!(conditions(&stage).contains(words), "{}", conditions(&stage));
    assert!(event(&stage, "RollbackBlocked", words), "{stage:?}");
    let before = stage.server.versions("microapprollouts", NS, NAME).len();
    let tries = stage.server.requests().len();
    sleep(Duration::from_secs(600)).await;
    assert!(told(&stage), "{stage:?}");
    let written = stage.server.versions("microapprollouts", NS, NAME).len() - before;
    assert!(written < 8, "it is told once: {written}\n{stage:?}");
    let tries = stage.server.requests().len() - tries;
    assert!(tries > 200, "and tried again all the time: {tries}");
    stage.server.heal();
    closed.store(false, SeqCst);
    stage.within(Duration::from_secs(5), "it is reverted", |stage| weights(&stage.route()) == [100, 0]).await;
    stage.until("it is stalled", |stage| stage.reads("Stalled", "True", "GateFailed")).await;
    assert_eq!(series(&metrics(&stage, 0), "microapp_rollback_blocked", &[NAME]), None);
    invariants::hold(&stage, &STEPS, false);
    invariants::status_follows(&stage);
}

/// A policy that keeps the weights of routes as they are, while the answer says so.
fn policy(stage: &Stage, code: u16) -> Arc<AtomicBool> {
    let closed = Arc::new(AtomicBool::new(true));
    let closes = closed.clone();
    stage.server.admit("httproutes", move |object, live| {
        let backends = "/spec/rules/0/backendRefs";
        let same = live.is_none_or(|live| live.pointer(backends) == object.pointer(backends));
        if same || !closes.load(SeqCst) {
            return Ok(());
        }
        Err(Failure::new(code, "ValidatingAdmissionPolicy 'frozen' denied request: no changes\u{1b}[2J before Monday"))
    });
    closed
}

#[tokio::test(start_paused = true)]
async fn a_right_that_is_missing_for_a_rollback_is_seen_at_once() {
    let block = |stage: &Stage| {
        stage.server.deny("patch", "httproutes");
        Arc::default()
    };
    seen(block, "not allowed to patch HTTPRoute").await;
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_refuses_a_rollback_is_quoted_in_a_clean_sentence() {
    seen(|stage| policy(stage, 422), "'frozen' denied request: no changes\u{fffd}[2J before Monday").await;
}

#[tokio::test(start_paused = true)]
async fn so_is_one_that_forbids_it_or_answers_with_a_code_of_its_own() {
    seen(|stage| policy(stage, 403), "'frozen' denied request").await;
    seen(|stage| policy(stage, 400), "'frozen' denied request").await;
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_is_too_busy_for_a_rollback_is_seen_at_once() {
    let block = |stage: &Stage| {
        stage.server.fault(Match::writes().plural("httproutes"), Fault::TooMany429 { retry_after: 3600 });
        Arc::default()
    };
    seen(block, "answered 429").await;
}

/// Whatever stood in the way before: the one write is made, in a moment.
async fn reverts(within: Duration, evil: impl AsyncFnOnce(&mut Stage)) {
    let mut stage = at_one_percent().await;
    evil(&mut stage).await;
    stage.profile(2, broken());
    stage.within(within, "it is reverted", |stage| weights(&stage.route()).last() != Some(&1)).await;
    invariants::hold(&stage, &STEPS, false);
}

#[tokio::test(start_paused = true)]
async fn prompts_that_cannot_be_read_keep_no_rollback_back() {
    for code in [403, 500, 503] {
        reverts(AT_ONCE, async |stage: &mut Stage| {
            stage.server.fault(Match::any().verb("get").plural("configmaps"), Fault::Error(code));
            stage.operators.remove(0).end().await;
            stage.start();
            sleep(Duration::from_secs(10)).await;
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_abort_is_executed_though_the_changed_prompts_cannot_be_read() {
    for fault in [Fault::Error(503), Fault::Hang] {
        let stage = at_one_percent().await;
        stage.server.fault(Match::any().verb("get").plural("configmaps"), fault);
        let touch = |config_map: &mut Value| config_map["metadata"]["annotations"] = json!({"touched": "yes"});
        assert!(stage.server.edit("kubectl", "configmaps", NS, &format!("{NAME}-prompts"), touch));
        sleep(Duration::from_secs(1)).await;
        stage.command("abort", "a1");
        stage.within(Duration::from_secs(5), "weight 0", |stage| stage.weights() == [100, 0]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_rollout_that_a_finalizer_holds_is_still_watched() {
    reverts(AT_ONCE, async |stage: &mut Stage| {
        let hold = |rollout: &mut Value| rollout["metadata"]["finalizers"] = json!(["backup.example.com/hold"]);
        assert!(stage.server.edit("backup", "microapprollouts", NS, NAME, hold));
        assert!(stage.server.delete("kubectl", "microapprollouts", NS, NAME));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_step_whose_beginning_was_removed_begins_anew_and_is_watched() {
    let strip = |stage: &Stage| {
        let strip = |route: &mut Value| {
            route["metadata"]["annotations"].as_object_mut().unwrap().remove("microapp.dev/since");
        };
        assert!(stage.server.edit("kubectl", "httproutes", NS, NAME, strip));
    };
    let stage = at_one_percent().await;
    strip(&stage);
    stage.within(Duration::from_secs(5), "it is back", |stage| !stage.register("since").is_empty()).await;
    invariants::promoted(&stage, 2, &STEPS).await;
    reverts(AT_ONCE, async |stage: &mut Stage| strip(stage)).await;
}

#[tokio::test(start_paused = true)]
async fn a_canary_whose_plan_was_lost_is_raised_no_more_and_still_turned_back() {
    let stage = Stage::stable(short(), 100.0).await;
    stage.upgrade(2);
    stage.until("the second step", |stage| stage.weights() == [75, 25]).await;
    assert!(stage.server.edit("kubectl", "microapprollouts", NS, NAME, |rollout| rollout["status"] = json!({})));
    sleep(Duration::from_secs(300)).await;
    assert_eq!(stage.weights(), [75, 25], "{stage:?}");
    stage.profile(2, broken());
    stage.within(AT_ONCE, "it is reverted", |stage| stage.aborted()["cause"] == "GateFailed").await;
    stage.until("it is stalled", |stage| stage.reads("Stalled", "True", "GateFailed")).await;
    stage.rests().await;
}

/// A latch has a kilobyte, and all annotations of a route together have 256.
#[tokio::test(start_paused = true)]
async fn a_token_of_any_length_aborts_once_and_keeps_nothing_back() {
    let stage = at_one_percent().await;
    let token = "a".repeat(262_000);
    stage.command("abort", &format!("{token} because \u{1b}[31mof this {}", "é".repeat(10_000)));
    stage.within(Duration::from_secs(1), "weight 0", |stage| stage.weights() == [100, 0]).await;
    assert!(stage.register("aborted").len() <= 1024, "{}", stage.register("aborted"));
    assert!(!stage.register("aborted").contains('\u{1b}') && stage.register("aborted").contains("because"));
    stage.until("it is stalled", |stage| stage.reads("Stalled", "True", "Command")).await;
    stage.rests().await;
    assert!(stage.register("tokens").len() < 1024);
    let status = stage.rollout()["status"].to_string();
    assert!(!status.contains('\u{1b}') && !status.contains("\\u001b") && status.len() < 32 * 1024, "{status}");
}

/// The worst of so many is promised.
const ROUNDS: u64 = 100;

/// I7: the moment in which a canary fails, the API server is gone, and comes back.
#[tokio::test(start_paused = true)]
async fn after_the_api_server_is_back_a_rollback_takes_no_more_than_five_seconds() {
    let mut took = Vec::new();
    let mut stage = at_one_percent().await;
    for round in 0..ROUNDS {
        stage.profile(2, broken());
        // Long enough for the breach to be seen, were anything asked.
        let away = Duration::from_millis(15_000 + 3_700 * round);
        let down = round % 2 == 0;
        if down {
            stage.server.down();
        } else {
            stage.server.stop();
        }
        sleep(away).await;
        stage.server.resume();
        let back = Instant::now();
        stage.within(AT_ONCE, "it is reverted", |stage| weights(&stage.route()).last() != Some(&1)).await;
        took.push(back.elapsed());
        stage.until("it is at rest", |stage| stage.weights() == [100]).await;
        if round + 1 < ROUNDS {
            stage.profile(2, Profile::default());
            sleep(Duration::from_secs(120)).await;
            let again = format!("{}:{round}", stage.revision(2));
            stage.command("retry", &again);
            stage.until("the first step", |stage| stage.weights() == [99, 1]).await;
            sleep(Duration::from_secs(7)).await;
        }
    }
    assert!(took.iter().all(|took| *took <= Duration::from_secs(5)), "{took:?}");
    stage.operators.clear();
}
