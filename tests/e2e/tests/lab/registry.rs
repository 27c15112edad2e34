//! Digests: what was approved is what runs, whatever becomes of the tag and of the registry.

use std::collections::BTreeSet;

use microapp_e2e::{App, Fault, alone, beside_others, program};
use microapp_lab::{ImageSpec, Lab, Part};
use serde_json::{Value, json};

/// Puts other bytes under the same tag.
fn push(release: &str) -> String {
    let env = vec![("RELEASE".to_owned(), release.to_owned())];
    let spec = ImageSpec { reference: "moving:1".into(), binary: program("invoice-helper"), env };
    Lab::attach().unwrap().push_image(&spec).unwrap()
}

/// What the pods of a revision run, once so many of them are ready.
fn digests(app: &App, revision: &str, count: usize) -> BTreeSet<String> {
    app.until(60, &format!("{count} ready pods"), |_| {
        let ready = |pod: &&Value| pod["status"]["containerStatuses"][0]["ready"] == true;
        let pods = app.pods(revision);
        let ready: Vec<_> = pods.iter().filter(ready).collect();
        let image = |pod: &&Value| pod["status"]["containerStatuses"][0]["imageID"].as_str().unwrap().to_owned();
        (pods.len() == count && ready.len() == count).then(|| ready.iter().map(image).collect())
    })
}

#[test]
fn a_pod_that_comes_later_runs_the_same_digest_though_the_tag_moved() {
    let first = push("before");
    let digest = first.split_once('@').unwrap().1.to_owned();
    let mut app = App::new("tag").with(&json!({"replicas": 1}));
    app = app.image("10.90.0.10:5000/moving:1");
    let _turn = beside_others();
    let revision = app.start();
    assert_eq!(app.view().rollout["status"]["stable"]["digest"], json!(digest));
    let second = push("after");
    assert_ne!(first, second, "the tag did not move");
    app.change(&json!({"replicas": 3}));
    let running = digests(&app, &revision, 3);
    assert_eq!(running.len(), 1, "{running:?}");
    assert!(running.first().unwrap().ends_with(&digest), "{running:?} and {digest}");
    assert_eq!(app.view().desired(), Some(revision.as_str()), "a moved tag is no new revision");
    app.done();
}

#[test]
fn a_rollback_needs_no_registry() {
    let mut app = App::new("registry").steps(&[("20", "10m"), ("100", "5s")]);
    let stable = app.start();
    app.baseline();
    let turn = alone();
    app.users(50.0);
    app.release(&[("RELEASE", "2")]);
    let canary = app.until_weight(60, 20.0);
    let away = Fault::kill(Part::Registry);
    let (code, said) = app.microapp("abort", &["--reason", "the registry is down"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(app.until_reverted(10).cause, "Command");
    app.change(&json!({"replicas": 3}));
    assert_eq!(digests(&app, &stable, 3).len(), 1, "a pod that comes while the registry is down runs the same bytes");
    away.end();
    drop(turn);
    app.until(60, "the end of the canary's pods", |_| app.pods(&canary).is_empty().then_some(()));
    assert_eq!(app.load().summary().all.bad, 0, "{}", app.load().summary());
    app.done();
}
