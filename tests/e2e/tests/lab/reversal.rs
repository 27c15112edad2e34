//! A canary that fails requests, and what a person can do then.

use microapp_e2e::{App, beside_others};

#[test]
fn a_canary_that_fails_requests_is_reverted_and_tried_again_only_by_command() {
    let mut app = App::new("reversal").steps(&[("2", "2s"), ("25", "5s"), ("100", "5s")]);
    let stable = app.start();
    app.baseline();
    let turn = beside_others();
    app.users(50.0);
    app.release(&[("FAULT_ERROR_RATE", "1"), ("FAULT_SEED", "7")]);
    let aborted = app.until_reverted(180);
    assert_eq!((aborted.cause.as_str(), aborted.gate.as_deref()), ("GateFailed", Some("errors")));
    assert_eq!(aborted.attempt, 2);
    assert_eq!(app.history.weights(2), [0.0, 2.0, 0.0]);
    let bad = app.history.all().iter().find_map(|seen| seen.canary.clone()).unwrap();
    app.until(30, "the end of the canary's pods", |_| app.pods(&bad).is_empty().then_some(()));
    let (total, failed) = app.answers(&bad);
    assert!((1..=30).contains(&failed) && failed == total, "users got {failed} errors in {total} answers");
    assert_eq!(app.answers(&stable).1, 0, "{}", app.load().summary());

    app.until(30, "the word of the status", |view| (view.condition("Stalled")?.1 == "GateFailed").then_some(()));
    assert_eq!(app.view().condition("Ready").unwrap().1, "RolledBack");
    let (code, said) = app.microapp("status", &["--exit-code"]);
    assert_eq!(code, 4, "{said}");
    let (code, said) = app.microapp("why", &[]);
    assert!(code == 0 && said.contains("errors") && said.contains("retry"), "{said}");

    // What the operator recorded gives the same decisions outside of the cluster, byte for byte.
    let (answers, said) = app.replayed(&bad);
    let acted: Vec<_> = answers.iter().filter(|answer| answer["action"] != "hold").collect();
    let [raise, rollback] = acted.as_slice() else { panic!("{acted:?}") };
    assert_eq!((&raise["action"], &raise["weight"]), (&"raise".into(), &2.into()));
    assert_eq!((&rollback["action"], &rollback["reason"]), (&"rollback".into(), &"GateFailed".into()));
    assert!(said.contains("decisions, all the same byte for byte"), "{said}");

    let (code, said) = app.microapp("retry", &["--reason", "once more"]);
    assert_eq!(code, 0, "{said}");
    app.until(120, "a new attempt", |_| {
        app.history.of(3).iter().any(|seen| seen.canary.as_ref() == Some(&bad)).then_some(())
    });
    let (code, said) = app.microapp("abort", &["--reason", "enough"]);
    assert_eq!(code, 0, "{said}");
    // The gate may have been quicker than the person; the test is about who is.
    let aborted = app.until_reverted(30);
    assert_eq!((aborted.attempt, aborted.cause.as_str()), (3, "Command"));
    app.until(30, "the word of the status", |view| (view.condition("Stalled")?.1 == "Command").then_some(()));
    let (code, said) = app.microapp("status", &["--exit-code"]);
    assert_eq!(code, 6, "{said}");
    drop(turn);
    app.done();
}
