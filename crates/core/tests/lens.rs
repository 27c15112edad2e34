//! Stored objects in, facts out.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;

use common::{child, golden, objects, old, pod, prompts, rollout, route, wanted};
use jiff::Timestamp;
use microapp_api::conditions::Reason;
use microapp_core::{
    World,
    lens::{Objects, Prompts, world},
    world::{Acceptance, Apex, Desired, RouteFact, Signal, Verb},
};
use serde_json::{Value, json};

fn see(objects: &Objects) -> World {
    world(objects, "prices", Timestamp::UNIX_EPOCH)
}

fn with(change: impl FnOnce(&mut Objects)) -> World {
    let mut objects = objects();
    change(&mut objects);
    see(&objects)
}

#[test]
fn the_objects_of_a_running_attempt_become_its_world() {
    golden("world", &see(&objects()));
}

#[test]
fn the_record_keeps_what_is_needed_to_make_the_revision_again() {
    let world = see(&objects());
    let raw = &world.arm(&old()).record.as_ref().unwrap().raw;
    assert_eq!((raw.port, raw.prompts_from.as_deref()), (8080, Some("old-prompts")));
    assert_eq!(raw.template["spec"]["containers"][0]["image"], "registry.local:5000/kyc:0");
}

#[test]
fn commands_are_a_token_and_a_reason() {
    let world = see(&objects());
    assert_eq!(world.commands[&Verb::Abort].token, "t1");
    assert_eq!(world.commands[&Verb::Abort].reason, "it smells");
    assert_eq!(world.commands[&Verb::Pause].reason, "");
}

#[test]
fn a_child_of_somebody_else_is_not_seen_and_a_stranger_under_our_name_is_said() {
    let stranger = |mut object: Value| {
        object["metadata"]["ownerReferences"] = json!([{"uid": "another"}]);
        Arc::new(object)
    };
    let world = with(|objects| {
        objects.deployments = objects.deployments.iter().map(|one| stranger((**one).clone())).collect();
        objects.route = Some(stranger(route()));
        objects.apex = objects.apex.take().map(|apex| stranger((*apex).clone()));
    });
    assert!(world.arms.values().all(|arm| arm.deployment.is_none()));
    assert!(matches!(world.route, RouteFact::Foreign(_)));
    assert!(matches!(world.apex, Apex::Foreign(_)));
}

#[test]
fn a_bare_image_digest_is_none_unless_the_template_names_the_bytes() {
    let status = |image: &str, id: &str| {
        let mut pod = pod(&wanted());
        pod["spec"]["containers"][0]["image"] = json!(image);
        pod["status"]["containerStatuses"][0]["imageID"] = json!(id);
        let world = with(|objects| objects.pods = vec![Arc::new(pod)]);
        world.arm(&wanted()).pods[0].digests.get("app").cloned()
    };
    assert_eq!(status("kyc:1", "sha256:ccc"), None);
    assert_eq!(status("kyc:1", ""), None);
    assert_eq!(status("kyc@sha256:bbb", "sha256:ccc").as_deref(), Some("sha256:bbb"));
    assert_eq!(status("kyc:1", "registry.local:5000/kyc@sha256:bbb").as_deref(), Some("sha256:bbb"));
    assert_eq!(status("kyc:1", "other/name@sha256:bbb"), None, "of another repository than the spec names");
    assert_eq!(status("kyc:1", "docker.io/library/import-2026-11-29@sha256:bbb"), None);
}

#[test]
fn a_pod_says_what_is_wrong_with_it() {
    let signal = |status: Value| {
        let mut pod = pod(&wanted());
        pod["status"]["containerStatuses"][0] = status;
        let world = with(|objects| objects.pods = vec![Arc::new(pod)]);
        let pod = &world.arm(&wanted()).pods[0];
        (pod.signal, pod.waiting.clone())
    };
    let failed = json!({"terminated": {"exitCode": 1, "reason": "Error"}});
    let killed = json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}});
    assert_eq!(signal(json!({"name": "app", "restartCount": 1, "lastState": failed})), (None, None));
    assert_eq!(signal(json!({"name": "app", "restartCount": 2, "lastState": failed})).0, Some(Signal::CrashLoop));
    assert_eq!(signal(json!({"name": "app", "restartCount": 1, "lastState": killed})).0, Some(Signal::OOMKilled));
    let waiting = json!({"waiting": {"reason": "CrashLoopBackOff"}});
    assert_eq!(
        signal(json!({"name": "app", "state": waiting})),
        (Some(Signal::CrashLoop), Some("CrashLoopBackOff".to_owned()))
    );
    let pulling = json!({"waiting": {"reason": "ImagePullBackOff"}});
    assert_eq!(signal(json!({"name": "app", "state": pulling})), (None, Some("ImagePullBackOff".to_owned())));
}

#[test]
fn a_pod_started_when_a_container_of_it_last_did() {
    let started = |state: Value| {
        let mut pod = pod(&wanted());
        pod["status"]["startTime"] = json!("2026-03-01T10:00:00Z");
        pod["status"]["containerStatuses"][0]["state"] = state;
        let world = with(|objects| objects.pods = vec![Arc::new(pod)]);
        world.arm(&wanted()).pods[0].started.unwrap().to_string()
    };
    assert_eq!(started(json!({"running": {"startedAt": "2026-03-01T10:40:07Z"}})), "2026-03-01T10:40:07Z");
    assert_eq!(started(json!({"waiting": {"reason": "CrashLoopBackOff"}})), "2026-03-01T10:00:00Z");
}

#[test]
fn a_terminating_pod_is_no_pod() {
    let mut pod = pod(&wanted());
    pod["metadata"]["deletionTimestamp"] = json!("2026-03-01T11:00:00Z");
    let world = with(|objects| objects.pods = vec![Arc::new(pod)]);
    assert!(world.arm(&wanted()).pods.is_empty());
}

#[test]
fn an_unusable_spec_is_a_value_and_hurts_nothing_else() {
    let bad = |change: fn(&mut Value)| {
        let mut rollout = rollout();
        change(&mut rollout["spec"]);
        with(|objects| objects.rollout = Arc::new(rollout))
    };
    for world in [
        bad(|spec| spec["replicas"] = json!("many")),
        bad(|spec| spec["traffic"]["port"] = json!(0)),
        bad(|spec| spec["template"]["spec"]["containers"] = json!([])),
        bad(|spec| *spec = Value::Null),
        bad(|spec| spec["gates"] = json!([{"name": "errors"}])),
    ] {
        assert!(matches!(&world.desired, Desired::Unusable { reason: Reason::InvalidSpec, .. }), "{:?}", world.desired);
        assert!(world.route().is_some() && world.commands.contains_key(&Verb::Abort));
    }
}

#[test]
fn missing_prompts_are_said_with_what_to_do() {
    let world = with(|objects| objects.prompts = Prompts::Missing);
    let Desired::Unusable { reason, message } = &world.desired else { panic!("{:?}", world.desired) };
    assert_eq!(*reason, Reason::PromptsMissing);
    assert_eq!(
        message,
        "ConfigMap kyc-prompts does not exist in namespace fintech; create it or change spec.prompts.configMapRef.name"
    );
}

#[test]
fn other_prompts_are_another_revision_and_other_replicas_are_not() {
    let revision = |world: &World| world.spec().unwrap().revision.clone();
    let other = with(|objects| objects.prompts = Prompts::Found(json!({"system.md": "be brief"}), Value::Null));
    assert_ne!(revision(&other), wanted());
    let mut larger = rollout();
    larger["spec"]["replicas"] = json!(9);
    assert_eq!(revision(&with(|objects| objects.rollout = Arc::new(larger))), wanted());
    assert_eq!(prompts(), objects().prompts);
}

#[test]
fn a_route_is_accepted_when_every_parent_says_so_of_this_generation() {
    let said = |change: fn(&mut Value)| {
        let mut route = route();
        change(&mut route);
        let world = with(|objects| objects.route = Some(Arc::new(route)));
        world.route().unwrap().acceptance.clone()
    };
    assert_eq!(said(|_| {}), Acceptance::Accepted);
    assert_eq!(said(|route| route["status"] = json!({})), Acceptance::Pending);
    assert_eq!(said(|route| route["metadata"]["generation"] = json!(13)), Acceptance::Pending);
    assert_eq!(
        said(|route| {
            for condition in route["status"]["parents"][0]["conditions"].as_array_mut().unwrap() {
                condition.as_object_mut().unwrap().remove("observedGeneration");
            }
            route["metadata"]["generation"] = json!(13);
        }),
        Acceptance::Accepted,
        "a gateway that names no generation is not waited for"
    );
    assert_eq!(
        said(|route| {
            let conditions = &mut route["status"]["parents"][0]["conditions"];
            conditions[1]["status"] = json!("False");
            conditions[1]["reason"] = json!("BackendNotFound");
        }),
        Acceptance::Refused("public says ResolvedRefs: BackendNotFound".to_owned())
    );
    assert_eq!(
        said(|route| {
            let stale = json!({"parentRef": {"name": "gone"}, "conditions": [{"type": "Accepted", "status": "False"}]});
            route["status"]["parents"].as_array_mut().unwrap().push(stale);
        }),
        Acceptance::Accepted,
        "a parent that the spec does not name any more says nothing"
    );
}

#[test]
fn two_spellings_of_the_same_route_are_one_and_a_change_is_seen() {
    let current = |change: fn(&mut Value)| {
        let mut route = route();
        change(&mut route["spec"]);
        with(|objects| objects.route = Some(Arc::new(route))).route().unwrap().current
    };
    assert!(current(|_| {}));
    assert!(current(|spec| spec["parentRefs"] = json!([{"name": "public", "namespace": "gateways"}])));
    assert!(!current(|spec| spec["parentRefs"] = json!([{"name": "public"}])));
    assert!(!current(|spec| spec["hostnames"] = json!(["kyc.example.org"])));
    assert!(!current(|spec| spec["rules"][0]["timeouts"]["request"] = json!("15s")));
    assert!(!current(|spec| spec["rules"][0]["matches"][0]["path"]["value"] = json!("/admin")));
    assert!(!current(|spec| spec["rules"].as_array_mut().unwrap().push(json!({}))));
}

#[test]
fn an_unreadable_register_is_said_with_the_version_that_said_so() {
    let mut broken = route();
    broken["metadata"]["annotations"]["microapp.dev/attempt"] = json!("four");
    let mut bare = route();
    bare["metadata"].as_object_mut().unwrap().remove("annotations");
    for route in [broken, bare] {
        let world = with(|objects| objects.route = Some(Arc::new(route)));
        assert!(matches!(&world.route, RouteFact::Unreadable { version, .. } if version == "901"), "{:?}", world.route);
    }
}

#[test]
fn the_younger_of_two_rollouts_on_one_host_has_the_conflict() {
    let other = |created: &str, name: &str, host: &str| {
        let mut other = rollout();
        other["metadata"]["creationTimestamp"] = json!(created);
        other["metadata"]["name"] = json!(name);
        other["spec"]["traffic"]["gateway"]["hostnames"] = json!([host]);
        with(|objects| objects.others = vec![Arc::new(other)]).conflict
    };
    assert_eq!(other("2026-02-01T00:00:00Z", "older", "kyc.example.com").as_deref(), Some("older"));
    assert_eq!(other("2026-04-01T00:00:00Z", "younger", "kyc.example.com"), None);
    assert_eq!(other("2026-02-01T00:00:00Z", "older", "elsewhere.example.com"), None);
    assert_eq!(
        other("2026-03-01T10:00:00Z", "a-name-before-ours", "kyc.example.com").as_deref(),
        Some("a-name-before-ours")
    );
}

#[test]
fn an_object_of_another_name_than_its_label_says_belongs_to_no_arm() {
    let lie = child("kyc-other", &wanted(), json!({}));
    let world = with(|objects| objects.services = vec![Arc::new(lie)]);
    assert!(!world.arm(&wanted()).service);
}

#[test]
fn what_an_earlier_rollout_left_is_an_orphan_where_the_annotation_says_so() {
    let left = |object: &Arc<Value>| {
        let mut object = (**object).clone();
        object["metadata"].as_object_mut().unwrap().remove("ownerReferences");
        for (key, value) in [("app.kubernetes.io/managed-by", "microapp-operator"), ("microapp.dev/rollout", "kyc")] {
            object["metadata"]["labels"][key] = json!(value);
        }
        Arc::new(object)
    };
    let mut all = objects();
    all.deployments = all.deployments.iter().map(left).collect();
    all.services = all.services.iter().map(left).collect();
    all.route = all.route.as_ref().map(left);
    assert_eq!(see(&all).orphans, []);
    assert!(matches!(see(&all).route, RouteFact::Foreign(why) if why.contains("microapp.dev/adopt=true")));
    let mut rollout = (*all.rollout).clone();
    rollout["metadata"]["annotations"]["microapp.dev/adopt"] = json!("true");
    all.rollout = Arc::new(rollout);
    let orphans = see(&all).orphans;
    let count = all.deployments.len() + all.services.len() + 1;
    assert_eq!(orphans.len(), count, "{orphans:?}");
    assert_eq!(orphans.last().unwrap().kind, microapp_core::build::Kind::Route, "the register comes last");
}
