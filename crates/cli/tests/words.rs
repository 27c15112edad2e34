//! What `status` and `why` say of one object, word for word.
#![allow(clippy::unwrap_used)]
mod common;

use common::{CANARY, STABLE, annotations, condition, rolled_back, rollout, view};
use microapp_cli::{json::StatusOut, paint::Paint, screen, verbs::history, why};
use serde_json::{Value, json};

fn screen_of(rollout: &Value, annotations: &Value) -> String {
    screen::lines(&view(rollout, annotations), false, Paint::none()).join("\n")
}

#[test]
fn status_shows_revisions_weights_steps_time_and_gates_on_one_screen() {
    let expected = "\
fintech/kyc  Progressing: cost is undecided
stable   4zx9w8v7t6    95%  registry.example/kyc:1  sha256:9f86d081884c  openai/gpt-5-nano@2025-06-01  since 3 d
canary   5d8f9c7b6x     5%  attempt 3, began 4 min 12 s ago
steps    1%─[5%]─25%─100%   1 min 2 s in this step, at least 58 s to go
gates    numbers as of 14 s ago
  errors    Pass        canary 3 bad of 412 calls to the model (0.73 %); stable 12 bad of 20400 calls to the model (0.06 %)
  cost      Unknown     canary 0.000002 USD a request over 412 requests; stable 0.000001 USD a request over 20400 requests
            is undecided: more requests are needed; evidence against it none (rolls back at 800), for it 3 (passes at 20)
  grounded  NotWatched
            not watched: no verdict of stable
last     attempt 2 of 2b4c5d6f7g: rolled back (GateFailed, errors), 2 h ago: gate errors fails at 1%";
    assert_eq!(screen_of(&rollout(), &annotations()), expected);
}

#[test]
fn a_log_gets_one_line_that_does_not_move_with_the_clock() {
    let mut later = view(&rollout(), &annotations());
    later.now = "2026-03-01T12:05:09Z".parse().unwrap();
    let line = screen::line(&view(&rollout(), &annotations()));
    assert_eq!(
        line,
        "12:05:02Z in progress  stable 4zx9w8v7t6 95%  canary 5d8f9c7b6x 5%  1%─[5%]─25%─100%  errors Pass, cost Unknown, \
         grounded NotWatched  Progressing: cost is undecided"
    );
    assert_eq!(line.split_once(' ').unwrap().1, screen::line(&later).split_once(' ').unwrap().1);
}

#[test]
fn before_the_first_step_the_bar_starts_with_no_traffic() {
    let (mut rollout, mut annotations) = (rollout(), annotations());
    rollout["status"]["canary"]["step"] = json!(-1);
    rollout["status"]["canary"]["weight"] = json!("0%");
    annotations.as_object_mut().unwrap().remove("microapp.dev/step");
    assert!(screen_of(&rollout, &annotations).contains("\nsteps    [0%]─1%─5%─25%─100%\n"));
    let text = why::paragraphs(&view(&rollout, &annotations)).join("\n");
    assert!(text.contains("has 0% of the traffic (before the first step)"), "{text}");
    assert!(text.contains("Next: 1% of the traffic as soon as stable's own numbers are there"), "{text}");
}

#[test]
fn colour_is_asked_for_and_never_assumed() {
    assert!(!screen_of(&rollout(), &annotations()).contains('\x1b'));
}

#[test]
fn why_says_what_was_seen_and_what_happens_next_and_when() {
    let expected = "\
kyc: 5d8f9c7b6x is on trial in attempt 3 and has 5% of the traffic (step 2 of 4); 4zx9w8v7t6 is stable and has 95%.
The operator says: cost is undecided (Progressing).
What the gates saw in attempt 3, as of 14 s ago:
  errors: canary 3 bad of 412 calls to the model (0.73 %); stable 12 bad of 20400 calls to the model (0.06 %). The canary is good enough for the next step.
  cost: canary 0.000002 USD a request over 412 requests; stable 0.000001 USD a request over 20400 requests. The gate is undecided: more requests are needed; evidence against it none (rolls back at 800), for it 3 (passes at 20).
  grounded is not watched: no verdict of stable
The last attempt that ended: attempt 2 of 2b4c5d6f7g: rolled back (GateFailed, errors), 2 h ago: gate errors fails at 1%. It had up to 1%.
Next: 25% of the traffic at 12:06:00Z (in 58 s) at the earliest, when every gate passes on the same window. As of now cost did not pass. Still undecided at 13:04:00Z, it is held for a person (pauses and incidents do not count). A gate that fails sends all traffic back to stable at once.";
    assert_eq!(why::paragraphs(&view(&rollout(), &annotations())).join("\n"), expected);
}

#[test]
fn why_says_what_preflight_found_and_how_long_the_steps_take() {
    let mut rollout = rollout();
    let plan = &mut rollout["status"]["canary"]["plan"];
    plan["intervalMillis"] = json!(5_000);
    plan["gates"][0]["baseline"] = json!({"counts": [90, 18_000], "millis": 3_600_000, "phi": "1.25"});
    plan["gates"][1]["baseline"] = json!({"counts": [18_000], "sum": "36000000000", "millis": 3_600_000});
    let text = why::paragraphs(&view(&rollout, &annotations())).join("\n");
    let expected = "\
What preflight found:
  errors: stable before: 90 bad of 18000 calls to the model (0.50 %) in 1 h, 5.0 a second, in bursts of 1.2; it can fail, at more than 0.93 % bad; a canary as good is expected to need 17 min at 1%, 27 min at 5%, 1 h 3 min at 25%.
  cost: stable before: 0.000002 USD a request over 18000 requests in 1 h, 5.0 a second; it can fail, from the twentieth window of a step on; a canary as good needs at least 7 min 32 s at 1%, 2 min 20 s at 5%, 17 min at 25%.
  tolerance 0.5%; expected at stable's traffic: 1% about 17 min (errors), 5% about 27 min (errors), 25% about 1 h 3 min (errors), 100% 30 min; 25% is expected to take 1 h 3 min, more than half of maxStepDuration (1 h), and may stay undecided: set strategy.tolerance to a larger share or to Auto, or maxStepDuration to at least 127m.
";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn why_says_how_a_rejected_revision_is_tried_again() {
    let (rollout, annotations) = rolled_back("GateFailed");
    let text = why::paragraphs(&view(&rollout, &annotations)).join("\n");
    assert!(text.contains(&format!("{STABLE} is stable and has all traffic; the spec asks for {CANARY}.")), "{text}");
    let next = format!(
        "Next: nothing by itself. {CANARY} is not tried again before a new revision or `kubectl microapp retry kyc`."
    );
    assert!(text.ends_with(&next), "{text}");
}

#[test]
fn why_names_the_command_that_ends_a_pause() {
    let mut rollout = rollout();
    rollout["status"]["conditions"] = json!([
        condition("Reconciling", "True", "AwaitingApproval", "paused"),
        condition("Paused", "True", "AwaitingApproval", "paused")
    ]);
    let text = why::paragraphs(&view(&rollout, &annotations())).join("\n");
    assert!(text.contains("Next: nothing is raised before `kubectl microapp resume kyc`. A gate that fails"), "{text}");
}

#[test]
fn why_of_the_bake_says_when_it_is_promoted() {
    let (mut rollout, mut annotations) = (rollout(), annotations());
    rollout["status"]["canary"]["step"] = json!(3);
    rollout["status"]["canary"]["weight"] = json!("100%");
    annotations["microapp.dev/step"] = json!("3");
    let text = why::paragraphs(&view(&rollout, &annotations)).join("\n");
    assert!(text.contains("Next: promotion at 12:34:00Z (in 28 min 58 s) at the earliest,"), "{text}");
}

#[test]
fn a_fresh_object_says_that_the_operator_has_not_seen_it() {
    let mut rollout = rollout();
    rollout.as_object_mut().unwrap().remove("status");
    let text = why::paragraphs(&view(&rollout, &json!({}))).join("\n");
    assert!(text.contains("nothing is stable yet"), "{text}");
    assert!(text.contains("look whether it runs"), "{text}");
    assert!(screen_of(&rollout, &json!({})).ends_with("the operator has not seen the last change yet"));
}

#[test]
fn json_has_a_version_of_its_own_and_the_exit_code() {
    let view = view(&rollout(), &annotations());
    let out = serde_json::to_value(StatusOut::of(&view, None)).unwrap();
    assert_eq!(out["apiVersion"], "cli.microapp.dev/v1alpha1");
    assert_eq!(out["kind"], "RolloutStatus");
    assert_eq!((&out["outcome"], &out["exitCode"]), (&json!("InProgress"), &json!(3)));
    assert_eq!(out["weights"], json!({"stable": 95.0, "canary": 5.0}));
    assert_eq!(out["canary"]["dwellMillisLeft"], 58_000);
    assert_eq!(out["canary"]["steps"][1], json!({"weight": "5%", "dwellMillis": 120_000}));
    assert_eq!(out["gates"][0]["canary"], "3/412");
}

#[test]
fn history_is_a_table_with_the_reason_of_each_end() {
    let (rollout, annotations) = rolled_back("GateFailed");
    let view = view(&rollout, &annotations);
    let expected = "\
ATTEMPT  REVISION    ENDED      MAX  MODEL                         IMAGE                    HOW
2        2b4c5d6f7g  10:05:00Z  1%   openai/gpt-5-nano@2025-06-01  registry.example/kyc:1b  rolled back (GateFailed, errors): gate errors fails at 1%
3        5d8f9c7b6x  12:04:30Z  5%   -                             -                        rolled back (GateFailed): it was bad";
    assert_eq!(history::table(&view, false), expected);
}

/// Appends it to every text that somebody else may have written.
fn poison(value: &mut Value, evil: &str) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(|inner| poison(inner, evil)),
        Value::Object(map) => {
            for (key, inner) in map {
                match inner {
                    Value::String(text) if matches!(key.as_str(), "message" | "image" | "model" | "digest") => {
                        text.push_str(evil);
                    }
                    inner => poison(inner, evil),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Whoever may annotate a rollout or name an image writes what an SRE's terminal prints.
#[test]
fn nothing_that_an_object_says_moves_a_cursor_or_fakes_a_line() {
    let evil = "\u{1b}[2K\u{1b}[1A\u{7}\r\nPromoted: everything is fine\u{202e}\u{9b}31m";
    let (mut rollout, annotations) = rolled_back("Command");
    poison(&mut rollout["status"], evil);
    let view = view(&rollout, &annotations);
    let lines = screen::lines(&view, true, Paint::none());
    let said = [lines.clone(), why::paragraphs(&view), vec![screen::line(&view)]].concat();
    let table = history::table(&view, true);
    assert!(said.iter().any(|line| line.contains("everything is fine")) && table.contains("everything is fine"));
    for line in said.iter().map(String::as_str).chain(table.lines()) {
        assert!(!line.chars().any(|c| c.is_control() || c == '\u{202e}'), "{line:?}");
        assert!(!line.trim_start().starts_with("Promoted: everything"), "{line:?}");
    }
}
