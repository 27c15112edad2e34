//! Writes in, requests out.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;

use common::{golden, objects, old, wanted};
use jiff::Timestamp;
use microapp_api::conditions::Cause;
use microapp_core::{
    World, Write,
    build::{Request, request},
    lens,
    plan::{Change, Child, Create, Lower, RouteWrite, Transition},
    register::{Aborted, Register},
    world::Backend,
};
use serde_json::{Value, json};

fn world() -> World {
    lens::world(&objects(), "prices", Timestamp::UNIX_EPOCH)
}

fn build(write: &Write) -> Request {
    request(&world(), write).unwrap()
}

fn body(create: Create) -> Value {
    match build(&Write::Create(create)) {
        Request::Create { body, .. } => body,
        other => panic!("{other:?}"),
    }
}

fn patch(write: &Write) -> Value {
    match build(write) {
        Request::Patch { patch, .. } => patch,
        other => panic!("{other:?}"),
    }
}

fn images() -> BTreeMap<String, String> {
    BTreeMap::from([
        ("app".to_owned(), "registry.local:5000/kyc@sha256:bbb".to_owned()),
        ("warm".to_owned(), "registry.local:5000/warm@sha256:aaa".to_owned()),
    ])
}

#[test]
fn the_deployment_has_the_binding_the_snapshot_and_the_size() {
    golden("deployment", &body(Create::Deployment { revision: wanted(), replicas: 1, images: BTreeMap::new() }));
}

#[test]
fn a_pin_names_the_bytes_and_marks_the_template() {
    let pin = Change::Pin { revision: wanted(), version: "42".to_owned(), images: images(), replicas: 2 };
    golden("pin", &patch(&Write::Change(pin)));
}

#[test]
fn a_revision_of_the_past_is_made_from_its_record() {
    let images = BTreeMap::from([("app".to_owned(), "registry.local:5000/kyc@sha256:0ld".to_owned())]);
    golden("deployment-of-the-past", &body(Create::Deployment { revision: old(), replicas: 3, images }));
}

#[test]
fn services_select_one_revision_each() {
    golden("service", &body(Create::Service(wanted())));
    golden("apex", &body(Create::Apex(old())));
}

#[test]
fn the_record_can_make_everything_again() {
    golden("record", &body(Create::Record { revision: wanted(), attempt: 4, images: images() }));
}

#[test]
fn the_snapshot_of_the_prompts_is_immutable() {
    golden("prompts", &body(Create::Prompts(wanted())));
}

fn register() -> Register {
    world().route().unwrap().register.clone()
}

fn backends(weights: [i64; 2]) -> Vec<Backend> {
    [old(), wanted()]
        .into_iter()
        .zip(weights)
        .map(|(revision, weight)| Backend { revision: Some(revision), weight: Some(weight) })
        .collect()
}

#[test]
fn the_route_spells_out_every_default() {
    let register = Register { canary: None, step: None, ..register() };
    let backends = backends([100, 0]).into_iter().take(1).collect();
    golden("route", &body(Create::Route { register: Box::new(register), backends }));
}

#[test]
fn a_transition_carries_the_version_and_changes_only_what_differs() {
    let raise = RouteWrite {
        transition: Transition::Raise,
        version: "901".to_owned(),
        register: Register { step: Some(2), since: Some(Timestamp::UNIX_EPOCH), ..register() },
        backends: backends([75, 25]),
    };
    golden("raise", &patch(&Write::Route(Box::new(raise))));
    let retire = RouteWrite {
        transition: Transition::Retire,
        version: "901".to_owned(),
        register: Register { step: None, canary: None, ..register() },
        backends: backends([100, 0]).into_iter().take(1).collect(),
    };
    golden("retire", &patch(&Write::Route(Box::new(retire))));
}

#[test]
fn a_lower_tests_the_attempt_and_the_pair_and_carries_no_version() {
    let aborted = Aborted {
        v: 1,
        attempt: 4,
        cause: Cause::GateFailed,
        gate: Some("errors".to_owned()),
        at: Timestamp::UNIX_EPOCH,
        canary: Some([19, 412]),
        stable: Some([3, 8000]),
        log_e: Some("7.5".to_owned()),
        token: None,
        message: None,
    };
    let lower = Lower { attempt: 4, pair: [old(), wanted()], aborted };
    let patch = patch(&Write::Lower(Box::new(lower)));
    golden("lower", &patch);
    let paths: Vec<_> = patch.as_array().unwrap().iter().map(|one| one["path"].as_str().unwrap().to_owned()).collect();
    assert!(!paths.iter().any(|path| path.contains("resourceVersion")));
}

#[test]
fn settings_keep_the_weights_that_were_decided_on() {
    let settings = RouteWrite {
        transition: Transition::Settings,
        version: "901".to_owned(),
        register: register(),
        backends: backends([95, 5]),
    };
    golden("settings", &patch(&Write::Route(Box::new(settings))));
}

#[test]
fn what_nothing_records_is_not_made_up() {
    let mut world = world();
    world.arms.clear();
    let create = Create::Deployment { revision: old(), replicas: 1, images: BTreeMap::new() };
    assert!(request(&world, &Write::Create(create)).is_err());
}

#[test]
fn deletes_name_the_child() {
    let deleted = build(&Write::Delete(Child::Prompts(old())));
    assert_eq!(json!(format!("{deleted:?}").contains(&format!("kyc-{}-prompts", old()))), json!(true));
}

#[test]
fn a_prompt_volume_of_the_user_is_pointed_at_the_snapshot_and_no_second_one_is_added() {
    let mut objects = objects();
    let mut rollout = common::rollout();
    rollout["spec"]["template"]["spec"]["volumes"] = json!([
        {"name": "p", "projected": {"sources": [{"configMap": {"name": "kyc-prompts"}}, {"configMap": {"name": "x"}}]}},
    ]);
    objects.rollout = std::sync::Arc::new(rollout);
    let world = lens::world(&objects, "prices", Timestamp::UNIX_EPOCH);
    let revision = world.spec().unwrap().revision.clone();
    let create = Create::Deployment { revision: revision.clone(), replicas: 1, images: BTreeMap::new() };
    let Request::Create { body, .. } = request(&world, &Write::Create(create)).unwrap() else { panic!() };
    let spec = &body["spec"]["template"]["spec"];
    let sources = &spec["volumes"][0]["projected"]["sources"];
    assert_eq!(sources[0]["configMap"]["name"], format!("kyc-{revision}-prompts"));
    assert_eq!(sources[1]["configMap"]["name"], "x");
    assert_eq!(spec["volumes"].as_array().unwrap().len(), 1);
    assert!(spec["containers"][0].get("volumeMounts").is_none());
}

fn template_of(change: impl FnOnce(&mut Value)) -> Value {
    let (mut objects, mut rollout) = (objects(), common::rollout());
    change(&mut rollout["spec"]["template"]);
    objects.rollout = std::sync::Arc::new(rollout);
    let world = lens::world(&objects, "prices", Timestamp::UNIX_EPOCH);
    let revision = world.spec().unwrap().revision.clone();
    let create = Create::Deployment { revision, replicas: 1, images: BTreeMap::new() };
    let Request::Create { body, .. } = request(&world, &Write::Create(create)).unwrap() else { panic!() };
    body["spec"].clone()
}

/// Policies, budgets and spreads of others select pods by them. We select by ours alone.
#[test]
fn labels_of_the_template_survive_whatever_their_name() {
    let labels = json!({
        "app.kubernetes.io/name": "shop", "app.kubernetes.io/managed-by": "Helm", "app.kubernetes.io/instance": "eu",
        "app": "kyc", "team": "kyc", "microapp.dev/rollout": "another", "microapp.dev/revision": "another",
    });
    let spec = template_of(|template| template["metadata"]["labels"] = labels.clone());
    let built = &spec["template"]["metadata"]["labels"];
    for (key, value) in labels.as_object().unwrap() {
        assert_eq!(built[key] == *value, !key.starts_with("microapp.dev/"), "{key}: {built}");
    }
    let selector = spec["selector"]["matchLabels"].as_object().unwrap();
    assert!(selector.keys().all(|key| key.starts_with("microapp.dev/")), "{selector:?}");
    assert!(selector.iter().all(|(key, value)| built[key] == *value), "{built}");
}

/// As in a Deployment: both stay, in their order, and the last one counts.
#[test]
fn a_variable_that_is_named_twice_is_there_twice_in_its_order() {
    let twice = json!([
        {"name": "MODE", "value": "a"}, {"name": "REGION", "value": "eu"}, {"name": "MODE", "value": "$(REGION)-b"},
    ]);
    let spec = template_of(|template| template["spec"]["containers"][0]["env"] = twice.clone());
    let built = spec["template"]["spec"]["containers"][0]["env"].as_array().unwrap();
    let users: Vec<_> = built.iter().filter(|one| one["name"] == "MODE" || one["name"] == "REGION").cloned().collect();
    assert_eq!(json!(users), twice);
}
