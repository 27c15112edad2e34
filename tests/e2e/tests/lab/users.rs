//! What users get, where the rollout says neither what to watch nor where.

use microapp_e2e::{App, beside_others};
use serde_json::json;

#[test]
fn an_app_that_answers_500_while_its_calls_to_the_model_succeed_is_reverted_at_one_percent() {
    // No gates and no source: the app exposes its calls to the model, the gateway what users got.
    let mut app = App::new("users").with(&json!({"gates": null, "strategy": {"tolerance": "10%"}})).steps(&[
        ("1", "2s"),
        ("25", "5s"),
        ("100", "5s"),
    ]);
    let stable = app.start();
    app.baseline();
    let turn = beside_others();
    app.users(50.0);
    app.release(&[("FAULT_UNUSABLE_RATE", "1")]);
    let aborted = app.until_reverted(240);
    assert_eq!((aborted.cause.as_str(), aborted.gate.as_deref()), ("GateFailed", Some("errors")));
    assert_eq!(app.history.weights(2), [0.0, 1.0, 0.0]);
    let bad = app.history.all().iter().find_map(|seen| seen.canary.clone()).unwrap();
    let (total, failed) = app.answers(&bad);
    assert!((1..=40).contains(&failed) && failed == total, "users got {failed} errors in {total} answers");
    assert_eq!(app.answers(&stable).1, 0, "{}", app.load().summary());
    // The calls themselves were fine, and are said to be.
    let (_, said) = app.microapp("why", &[]);
    assert!(said.contains("errors"), "{said}");
    drop(turn);
    app.done();
}
