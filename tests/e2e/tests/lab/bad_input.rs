//! Mistakes that a schema cannot see: a condition and an event say what is wrong, and no weight moves.

use microapp_e2e::App;
use serde_json::json;

/// Waits until a condition and an event give the reason; returns the condition's message.
fn told(app: &App, reason: &str) -> String {
    let message = app.until(120, &format!("{reason} in a condition"), |view| {
        let (status, found, message) = view.condition("Ready")?;
        (status == "False" && found == reason).then(|| message.to_owned())
    });
    app.until(30, &format!("{reason} in an event"), |_| {
        app.events().iter().any(|(found, _)| found == reason).then_some(())
    });
    message
}

#[test]
fn a_missing_config_map_of_prompts_is_named_and_found_when_it_comes() {
    let mut app = App::new("no-prompts").with(&json!({"prompts": {"configMapRef": {"name": "elsewhere"}}}));
    app.apply();
    let message = told(&app, "PromptsMissing");
    assert!(message.contains("elsewhere"), "{message}");
    assert_eq!(app.view().route, json!(null), "no route before there is something to serve");
    app.change(&json!({"prompts": {"configMapRef": {"name": "prompts"}}}));
    app.until_promoted(120);
    app.done();
}

#[test]
fn an_image_that_cannot_be_pulled_is_named_and_replaced_by_one_that_can() {
    let mut app = App::new("no-image").image("10.90.0.10:5000/nowhere:1");
    app.apply();
    let message = told(&app, "ImagePullFailed");
    assert!(message.contains("nowhere:1"), "{message}");
    assert_eq!(app.view().route, json!(null), "no route before there is something to serve");
    app = app.image(&std::env::var("E2E_APP").unwrap());
    app.start();
    app.done();
}

#[test]
fn the_younger_of_two_rollouts_on_one_host_is_refused_and_the_older_one_serves_on() {
    let mut app = App::new("one-host");
    let older = app.start();
    let mut second = app.object().clone();
    second["metadata"]["name"] = json!("younger");
    let path = app.path("/apis/microapp.dev/v1alpha1", "microapprollouts/younger");
    app.cluster.apply(&path, &second);
    let message = app.until(60, "RouteConflict in a condition", |_| {
        let rollout = app.cluster.get(&path);
        let conditions = rollout["status"]["conditions"].as_array()?;
        let stalled = conditions.iter().find(|c| c["type"] == "Stalled" && c["reason"] == "RouteConflict")?;
        stalled["message"].as_str().map(str::to_owned)
    });
    assert!(message.contains("helper"), "{message}");
    app.until(30, "RouteConflict in an event", |_| {
        app.events().iter().any(|(reason, _)| reason == "RouteConflict").then_some(())
    });
    let route = app.path("/apis/gateway.networking.k8s.io/v1", "httproutes/younger");
    assert_eq!(app.cluster.find(&route), None);
    assert_eq!(app.view().reported_stable(), Some(older.as_str()));
    app.done();
}
