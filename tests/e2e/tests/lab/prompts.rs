//! A revision that differs in nothing but its prompt.

use microapp_e2e::{App, beside_others};

#[test]
fn a_prompt_edited_in_place_is_a_new_revision_that_is_promoted() {
    let mut app = App::new("prompts");
    let first = app.start();
    app.baseline();
    let turn = beside_others();
    app.users(100.0);
    let text = "You answer questions about one invoice. Be brief.\n";
    app.prompt(text);
    let second =
        app.until(30, "a new revision", |view| view.desired().filter(|desired| *desired != first).map(str::to_owned));
    app.until(300, "promotion", |view| {
        assert_eq!(view.aborted(), None);
        (view.reported_stable() == Some(second.as_str()) && view.condition("Ready")?.0 == "True").then_some(())
    });
    assert_eq!(app.history.weights(2), [0.0, 20.0, 100.0]);
    for (revision, is) in [(&first, false), (&second, true)] {
        let snapshot = app.cluster.get(&app.path("/api/v1", &format!("configmaps/helper-{revision}-prompts")));
        assert_eq!(snapshot["immutable"], true);
        assert_eq!(snapshot["data"]["system.md"] == text, is, "{snapshot:#}");
    }
    assert!(app.answers(&second).0 > 0, "{}", app.load().summary());
    drop(turn);
    app.done();
}
