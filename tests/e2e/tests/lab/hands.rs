//! A route that somebody edits by hand during a ramp.

use std::time::Duration;

use microapp_e2e::{App, always, beside_others};
use serde_json::json;

/// Gives the canary this share, as with `kubectl edit`.
fn edit(app: &App, share: i64) {
    let view = app.view();
    let mut rules = view.route["spec"]["rules"].clone();
    let canary = view.canary().unwrap().to_owned();
    for backend in rules[0]["backendRefs"].as_array_mut().unwrap() {
        let is_canary = backend["name"].as_str().unwrap().ends_with(&canary);
        backend["weight"] = json!(if is_canary { share } else { 100 - share });
    }
    app.cluster.patch(&app.route_path(), "some-hand", &json!({"spec": {"rules": rules}}));
}

#[test]
fn a_weight_raised_by_hand_is_put_back_and_one_lowered_by_hand_is_a_pause() {
    let mut app = App::new("hands").steps(&[("20", "10m"), ("100", "5s")]);
    app.start();
    app.baseline();
    let turn = beside_others();
    app.users(25.0);
    app.release(&[("RELEASE", "2")]);
    app.until_weight(60, 20.0);

    edit(&app, 80);
    app.until(30, "the weight of the step", |_| (app.history.weights(2) == [0.0, 20.0, 80.0, 20.0]).then_some(()));
    app.until(30, "an event that names the hand", |_| {
        app.events().iter().any(|(reason, note)| reason == "RouteContested" && note.contains("some-hand")).then_some(())
    });

    edit(&app, 5);
    app.until(30, "a pause", |view| (view.condition("Paused")?.1 == "AwaitingApproval").then_some(()));
    always(Duration::from_secs(5), || assert_eq!(app.view().weight(), 5.0));
    let (code, said) = app.microapp("resume", &["--reason", "go on"]);
    assert_eq!(code, 0, "{said}");
    app.until(30, "the weight of the step", |view| (view.weight() == 20.0).then_some(()));
    app.until(30, "the end of the pause", |view| (view.condition("Paused")?.0 == "False").then_some(()));
    drop(turn);
    app.done();
}
