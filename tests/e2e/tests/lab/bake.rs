//! All traffic on the new revision, and what both need goes away.

use microapp_e2e::{App, beside_others};

/// How long canary and stable are compared after the step back before a person is asked, in seconds.
const TEN_MINUTES: u64 = 600;
/// How long an incident is remembered, in seconds.
const GUARD: u64 = 60;

/// Whose fault it is nobody can say while stable has no traffic: back a step it shows that stable fails, too.
#[test]
fn a_good_revision_is_promoted_although_the_model_went_away_in_its_bake() {
    let mut app = App::new("bake").own_model().steps(&[("20", "5s"), ("100", "45s")]);
    app.start();
    app.baseline();
    let turn = beside_others();
    app.users(100.0);
    app.release(&[("RELEASE", "2")]);
    let canary = app.until_weight(120, 100.0);
    app.models(0);
    app.until(60, "a step back", |view| (view.weight() == 20.0).then_some(()));
    app.until(60, "the word that it is an incident", |view| {
        (view.condition("Ready")?.1 == "EnvironmentIncident").then_some(())
    });
    let (code, said) = app.microapp("why", &[]);
    assert!(code == 0 && said.contains("stable"), "{said}");
    app.models(1);
    // What the canary answers before stable has traffic again, and during the incident, stands in no one's way: the step
    // needs what it needed the first time, and after ten minutes a person would be asked.
    app.until_weight(GUARD + TEN_MINUTES / 2, 100.0);
    assert_eq!(app.until_promoted(300), canary);
    drop(turn);
    assert_eq!(app.history.weights(2), [0.0, 20.0, 100.0, 20.0, 100.0]);
    let (answers, said) = app.replayed(&canary);
    let actions: Vec<_> = answers.iter().filter_map(|answer| answer["action"].as_str()).collect();
    assert!(actions.contains(&"lower") && actions.last() == Some(&"promote"), "{said}");
    assert!(said.contains("decisions, all the same byte for byte"), "{said}");
    app.done();
}
