//! The API server under the real client and the real watcher, on paused time.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use kube_client::api::{
    Api, ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams, Preconditions,
    WatchEvent, WatchParams,
};
use kube_client::core::PartialObjectMeta;
use kube_client::{Client, Error};
use kube_runtime::WatchStreamExt;
use kube_runtime::watcher::{self, Event, watcher};
use microapp_testkit::{ApiServer, Change, Delivery, Failure, Fault, Match, Outcome, clock};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

fn configmap(name: &str, value: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name, "labels": {"app": "a"}}, "data": {"k": value}})).unwrap()
}

fn maps(client: Client) -> Api<ConfigMap> {
    Api::namespaced(client, "ns")
}

fn routes(client: Client) -> Api<DynamicObject> {
    let resource = ApiResource {
        group: "gateway.networking.k8s.io".into(),
        version: "v1".into(),
        api_version: "gateway.networking.k8s.io/v1".into(),
        kind: "HTTPRoute".into(),
        plural: "httproutes".into(),
    };
    Api::namespaced_with(client, "ns", &resource)
}

fn route() -> DynamicObject {
    serde_json::from_value(json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": "app", "annotations": {"microapp.dev/attempt": "1"}},
        "spec": {"rules": [{"backendRefs": [{"name": "s", "weight": 100}, {"name": "c", "weight": 0}]}]},
    }))
    .unwrap()
}

fn json_patch(operations: Value) -> Patch<Value> {
    Patch::Json(serde_json::from_value(operations).unwrap())
}

fn code(error: Error) -> u16 {
    match error {
        Error::Api(status) => status.code,
        other => panic!("no answer: {other}"),
    }
}

#[tokio::test(start_paused = true)]
async fn created_objects_get_what_the_server_gives_them() {
    let server = ApiServer::new();
    let api = maps(server.client());
    let made = api.create(&PostParams::default(), &configmap("a", "1")).await.unwrap();
    assert_eq!(made.metadata.namespace.as_deref(), Some("ns"));
    assert!(made.metadata.uid.is_some() && made.metadata.resource_version.is_some());
    let created = made.metadata.creation_timestamp.unwrap().0.to_string();
    assert_eq!(created, "2026-03-01T10:00:00Z");
    let again = api.create(&PostParams::default(), &configmap("a", "2")).await.unwrap_err();
    assert!(matches!(&again, Error::Api(s) if s.reason == "AlreadyExists"), "{again}");
    let mut generated = configmap("x", "1");
    generated.metadata.name = None;
    generated.metadata.generate_name = Some("job-".into());
    let generated = api.create(&PostParams::default(), &generated).await.unwrap();
    assert_eq!(generated.metadata.name.unwrap().len(), "job-".len() + 5);
    assert_eq!(api.list(&ListParams::default().labels("app in (a,b)")).await.unwrap().items.len(), 2);
    assert_eq!(api.list(&ListParams::default().fields("metadata.name=a")).await.unwrap().items.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_watcher_sees_create_update_and_delete() {
    let server = ApiServer::new();
    let api = maps(server.client());
    api.create(&PostParams::default(), &configmap("old", "1")).await.unwrap();
    let mut events = watcher(api.clone(), watcher::Config::default()).boxed();
    let mut seen = vec![];
    let follow = async {
        while let Some(event) = events.try_next().await.unwrap() {
            match event {
                Event::InitApply(o) => seen.push(format!("init {}", o.metadata.name.unwrap())),
                Event::Apply(o) => seen.push(format!("apply {} {}", o.metadata.name.unwrap(), o.data.unwrap()["k"])),
                Event::Delete(o) => {
                    seen.push(format!("delete {}", o.metadata.name.unwrap()));
                    return;
                }
                Event::Init | Event::InitDone => {}
            }
        }
    };
    let act = async {
        server.until(|s| s.requests().iter().any(|r| r.verb == "watch")).await;
        // More than two watch timeouts, so that the watcher has to come back from where it was.
        tokio::time::sleep(Duration::from_secs(700)).await;
        api.create(&PostParams::default(), &configmap("new", "1")).await.unwrap();
        let patch = Patch::Merge(json!({"data": {"k": "2"}}));
        api.patch("new", &PatchParams::default(), &patch).await.unwrap();
        api.delete("old", &DeleteParams::default()).await.unwrap();
    };
    tokio::join!(follow, act);
    assert_eq!(seen, ["init old", "apply new 1", "apply new 2", "delete old"]);
    assert_eq!(server.requests().iter().filter(|r| r.verb == "list").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_metadata_watcher_gets_metadata_alone() {
    let server = ApiServer::new();
    let api = maps(server.client());
    api.create(&PostParams::default(), &configmap("a", "1")).await.unwrap();
    let config = watcher::Config::default().streaming_lists();
    let metadata: Api<PartialObjectMeta<ConfigMap>> = Api::namespaced(server.client(), "ns");
    let mut objects = watcher(metadata, config).applied_objects().boxed();
    let first = objects.try_next().await.unwrap().unwrap();
    assert_eq!(first.metadata.name.as_deref(), Some("a"));
    assert!(server.requests().iter().all(|r| r.accept.contains("PartialObjectMetadata") || r.verb == "create"));
}

#[tokio::test(start_paused = true)]
async fn a_watch_with_a_selector_sees_an_object_come_and_go() {
    let server = ApiServer::new();
    let api = maps(server.client());
    let from = server.resource_version().to_string();
    api.create(&PostParams::default(), &configmap("a", "1")).await.unwrap();
    for label in ["b", "a"] {
        let patch = Patch::Merge(json!({"metadata": {"labels": {"app": label}}}));
        api.patch("a", &PatchParams::default(), &patch).await.unwrap();
    }
    let watch = api.watch(&WatchParams::default().labels("app=b").timeout(10), &from).await.unwrap();
    let events: Vec<_> = watch.try_collect().await.unwrap();
    assert!(matches!(events.as_slice(), [WatchEvent::Added(_), WatchEvent::Deleted(_)]), "{events:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stale_write_is_a_conflict_and_an_equal_one_is_nothing() {
    let server = ApiServer::new();
    let api = routes(server.client());
    let first = api.create(&PostParams::default(), &route()).await.unwrap();
    assert_eq!(first.metadata.generation, Some(1));
    let mut second = first.clone();
    second.data["spec"]["hostnames"] = json!(["a.example"]);
    let second = api.replace("app", &PostParams::default(), &second).await.unwrap();
    assert_eq!(second.metadata.generation, Some(2));
    assert_eq!(code(api.replace("app", &PostParams::default(), &first).await.unwrap_err()), 409);
    let again = api.replace("app", &PostParams::default(), &second).await.unwrap();
    assert_eq!(again.metadata.resource_version, second.metadata.resource_version);
    let mut annotated = again.clone();
    annotated.metadata.annotations.get_or_insert_default().insert("x".into(), "y".into());
    let annotated = api.replace("app", &PostParams::default(), &annotated).await.unwrap();
    assert_eq!(annotated.metadata.generation, Some(2), "a generation counts the spec alone");
}

#[tokio::test(start_paused = true)]
async fn a_json_patch_is_refused_as_measured() {
    let server = ApiServer::new();
    let api = routes(server.client());
    let made = api.create(&PostParams::default(), &route()).await.unwrap();
    let old = made.metadata.resource_version.unwrap();
    let attempt = "/metadata/annotations/microapp.dev~1attempt";
    let weight = |n: usize| format!("/spec/rules/0/backendRefs/{n}/weight");
    let send = async |operations: Value| api.patch("app", &PatchParams::default(), &json_patch(operations)).await;
    let lower = json!([{"op": "test", "path": attempt, "value": "1"},
        {"op": "add", "path": weight(0), "value": 95}, {"op": "add", "path": weight(1), "value": 5}]);
    let lowered = send(lower).await.unwrap();
    assert_eq!(lowered.data["spec"]["rules"][0]["backendRefs"][1]["weight"], 5);
    for (refused, operations) in [
        (422, json!([{"op": "test", "path": attempt, "value": "2"}])),
        (422, json!([{"op": "test", "path": "/metadata/resourceVersion", "value": old}])),
        (409, json!([{"op": "replace", "path": "/metadata/resourceVersion", "value": old}])),
        (422, json!([{"op": "remove", "path": "/spec/rules/0/sessionPersistence"}])),
        (422, json!([{"op": "add", "path": "/metadata/labels/x", "value": "y"}])),
    ] {
        assert_eq!(code(send(operations.clone()).await.unwrap_err()), refused, "{operations}");
    }
    let now = lowered.metadata.resource_version.unwrap();
    let versioned = json!([{"op": "replace", "path": "/metadata/resourceVersion", "value": now},
        {"op": "add", "path": weight(1), "value": 7}]);
    assert_eq!(send(versioned).await.unwrap().data["spec"]["rules"][0]["backendRefs"][1]["weight"], 7);
}

#[tokio::test(start_paused = true)]
async fn the_status_has_an_entrance_of_its_own() {
    let server = ApiServer::new();
    let api = routes(server.client());
    let made = api.create(&PostParams::default(), &route()).await.unwrap();
    let patch = Patch::Merge(json!({"status": {"parents": []}, "spec": {"hostnames": ["x"]}}));
    let status = api.patch_status("app", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!(status.data["status"], json!({"parents": []}));
    assert_eq!(status.data["spec"], made.data["spec"]);
    assert_eq!(status.metadata.generation, Some(1));
    let patch = Patch::Merge(json!({"status": null, "spec": {"hostnames": ["x"]}}));
    let spec = api.patch("app", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!(spec.data["status"], json!({"parents": []}));
    assert_eq!(spec.metadata.generation, Some(2));
}

#[tokio::test(start_paused = true)]
async fn apply_takes_back_what_it_no_longer_says_and_respects_other_managers() {
    let server = ApiServer::new();
    let api = routes(server.client());
    let body = |spec: Value| {
        let object = json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": {"name": "app"}, "spec": spec});
        Patch::Apply(object)
    };
    let (one, two) = (PatchParams::apply("one"), PatchParams::apply("two"));
    api.patch("app", &one, &body(json!({"hostnames": ["a"], "rules": []}))).await.unwrap();
    let fewer = api.patch("app", &one, &body(json!({"hostnames": ["a"]}))).await.unwrap();
    assert_eq!(fewer.data["spec"], json!({"hostnames": ["a"]}));
    assert_eq!(code(api.patch("app", &two, &body(json!({"hostnames": ["b"]}))).await.unwrap_err()), 409);
    let forced = api.patch("app", &two.force(), &body(json!({"hostnames": ["b"]}))).await.unwrap();
    let managers = forced.metadata.managed_fields.unwrap();
    let names: Vec<_> = managers.iter().filter_map(|m| m.manager.as_deref()).collect();
    assert_eq!(names, ["two"], "the field has changed hands");
}

#[tokio::test(start_paused = true)]
async fn children_go_with_their_owner_unless_orphaned() {
    for orphan in [false, true] {
        let server = ApiServer::new();
        let api = maps(server.client());
        let owner = api.create(&PostParams::default(), &configmap("owner", "1")).await.unwrap();
        let mut child = configmap("child", "1");
        let reference = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner.metadata.uid}]);
        child.metadata.owner_references = serde_json::from_value(reference).unwrap();
        api.create(&PostParams::default(), &child).await.unwrap();
        let wrong = Preconditions { uid: Some("other".into()), ..Preconditions::default() };
        let params = DeleteParams { preconditions: Some(wrong), ..DeleteParams::default() };
        assert_eq!(code(api.delete("owner", &params).await.unwrap_err()), 409);
        let params = if orphan { DeleteParams::orphan() } else { DeleteParams::background() };
        api.delete("owner", &params).await.unwrap();
        assert_eq!(api.get_opt("child").await.unwrap().is_some(), orphan);
        let gone = server.versions("configmaps", "ns", "owner");
        assert_eq!(gone.last().unwrap().change, Change::Deleted);
    }
}

#[tokio::test(start_paused = true)]
async fn a_finalizer_holds_an_object_until_it_is_taken_off() {
    let server = ApiServer::new();
    let api = maps(server.client());
    let mut held = configmap("held", "1");
    held.metadata.finalizers = Some(vec!["example.com/hold".into()]);
    api.create(&PostParams::default(), &held).await.unwrap();
    api.delete("held", &DeleteParams::default()).await.unwrap();
    assert!(api.get("held").await.unwrap().metadata.deletion_timestamp.is_some());
    let patch = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    api.patch("held", &PatchParams::default(), &patch).await.unwrap();
    assert!(api.get_opt("held").await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn faults_hit_the_requests_that_they_name() {
    let server = ApiServer::new();
    let api = maps(server.client());
    let create = async |name: &str| api.create(&PostParams::default(), &configmap(name, "1")).await;
    server.fault(Match::writes().nth(2), Fault::Error(503));
    server.fault(Match::writes().nth(3), Fault::DropAfter);
    server.fault(Match::writes().nth(4), Fault::TooMany429 { retry_after: 3600 });
    server.fault(Match::writes().nth(5), Fault::Delay(Duration::from_secs(7)));
    server.fault(Match::writes().nth(6), Fault::CommitLater(Duration::from_secs(9)));
    server.fault(Match::writes().nth(7), Fault::Hang);
    create("one").await.unwrap();
    assert_eq!(code(create("two").await.unwrap_err()), 503);
    assert!(matches!(create("three").await.unwrap_err(), Error::Service(_)));
    assert!(server.get("configmaps", "ns", "three").is_some(), "the response was lost, not the write");
    assert_eq!(code(create("four").await.unwrap_err()), 429);
    let start = Instant::now();
    create("five").await.unwrap();
    assert_eq!(start.elapsed().as_secs(), 7);
    assert!(matches!(create("six").await.unwrap_err(), Error::Service(_)));
    assert!(server.get("configmaps", "ns", "six").is_none());
    server.until(|s| s.get("configmaps", "ns", "six").is_some()).await;
    assert_eq!(start.elapsed().as_secs(), 16);
    assert!(timeout(Duration::from_secs(60), create("seven")).await.is_err(), "hangs until the client gives up");
    let outcomes: Vec<_> = server.writes().iter().map(|r| r.outcome).collect();
    let expected = [
        Outcome::Status(201),
        Outcome::Status(503),
        Outcome::Lost(201),
        Outcome::Status(429),
        Outcome::Status(201),
        Outcome::Lost(201),
        Outcome::Pending,
    ];
    assert_eq!(outcomes, expected);
}

#[tokio::test(start_paused = true)]
async fn a_crash_ends_one_client_before_or_after_the_commit() {
    for commits in [false, true] {
        let server = ApiServer::new();
        let (api, rival) = (maps(server.client()), maps(server.client_as("rival")));
        let mut events = watcher(api.clone(), watcher::Config::default()).boxed();
        events.try_next().await.unwrap();
        server.crash(Match::decisions().agent("operator"), 2, commits);
        let create = async |api: &Api<_>, name: &str| api.create(&PostParams::default(), &configmap(name, "1")).await;
        create(&api, "one").await.unwrap();
        assert!(!server.crashed());
        create(&api, "two").await.unwrap_err();
        server.wait_crashed().await;
        assert_eq!(server.get("configmaps", "ns", "two").is_some(), commits);
        api.get("one").await.unwrap_err();
        assert!(events.any(|e| async move { e.is_err() }).await, "its watch broke too");
        create(&rival, "three").await.unwrap();
        server.heal();
        api.get("one").await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_stopped_server_goes_on_where_it_was_and_a_dead_one_refuses() {
    let server = ApiServer::new();
    let api = maps(server.client());
    server.stop();
    let start = Instant::now();
    let later = async {
        tokio::time::sleep(Duration::from_secs(180)).await;
        server.resume();
    };
    let (made, ()) = tokio::join!(async { api.create(&PostParams::default(), &configmap("a", "1")).await }, later);
    made.unwrap();
    assert_eq!(start.elapsed().as_secs(), 180);
    server.down();
    assert!(matches!(api.get("a").await.unwrap_err(), Error::Service(_)));
    server.resume();
    api.get("a").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn frozen_dropped_and_late_watch_events_do_not_arrive_or_arrive_late() {
    let server = ApiServer::new();
    let api = maps(server.client());
    let from = server.resource_version().to_string();
    let watch = api.watch(&WatchParams::default().timeout(280), &from).await.unwrap();
    let mut watch = watch.boxed();
    server.tamper_watch("configmaps", |v| match v.key.name.as_str() {
        "lost" => Delivery::Drop,
        "late" => Delivery::Late(Duration::from_secs(20)),
        "twice" => Delivery::Twice,
        _ => Delivery::Send,
    });
    for name in ["lost", "late", "twice"] {
        api.create(&PostParams::default(), &configmap(name, "1")).await.unwrap();
    }
    let mut names = vec![];
    for _ in 0..3 {
        if let WatchEvent::Added(o) = watch.try_next().await.unwrap().unwrap() {
            names.push(format!("{} {}", o.metadata.name.unwrap(), clock::elapsed().as_secs()));
        }
    }
    assert_eq!(names, ["twice 0", "twice 0", "late 20"]);
    server.freeze_watch("configmaps");
    api.create(&PostParams::default(), &configmap("frozen", "1")).await.unwrap();
    assert!(timeout(Duration::from_secs(3000), watch.try_next()).await.is_err(), "not even the end is told");
    server.thaw_watch("configmaps");
    assert!(matches!(watch.try_next().await.unwrap(), Some(WatchEvent::Added(_))));
    assert!(watch.try_next().await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_lagging_server_shows_the_past_and_a_compacted_one_asks_to_list_again() {
    let server = ApiServer::new();
    let api = maps(server.client());
    api.create(&PostParams::default(), &configmap("a", "1")).await.unwrap();
    let then = server.resource_version();
    api.patch("a", &PatchParams::default(), &Patch::Merge(json!({"data": {"k": "2"}}))).await.unwrap();
    server.stale_reads("configmaps", then);
    assert_eq!(api.get("a").await.unwrap().data.unwrap()["k"], "1");
    let list = api.list(&ListParams::default()).await.unwrap();
    assert_eq!(list.metadata.resource_version.unwrap(), then.to_string());
    server.fresh_reads("configmaps");
    assert_eq!(api.get("a").await.unwrap().data.unwrap()["k"], "2");
    server.compact();
    let mut watch = api.watch(&WatchParams::default(), &then.to_string()).await.unwrap().boxed();
    assert!(matches!(watch.try_next().await.unwrap(), Some(WatchEvent::Error(e)) if e.code == 410));
}

#[tokio::test(start_paused = true)]
async fn rights_admission_and_missing_kinds_refuse() {
    let server = ApiServer::new();
    let api = maps(server.client());
    server.deny("create", "configmaps");
    let create = async || api.create(&PostParams::default(), &configmap("a", "1")).await;
    assert_eq!(code(create().await.unwrap_err()), 403);
    server.allow("create", "configmaps");
    server.admit("configmaps", |object, live| {
        object["data"]["seen"] = json!("yes");
        if live.is_some() { Err(Failure::new(422, "no")) } else { Ok(()) }
    });
    assert_eq!(create().await.unwrap().data.unwrap()["seen"], "yes");
    let patch = Patch::Merge(json!({"data": {"k": "2"}}));
    assert_eq!(code(api.patch("a", &PatchParams::default(), &patch).await.unwrap_err()), 422);
    server.terminate_namespace("ns");
    assert!(server.get("configmaps", "ns", "a").is_none());
    assert_eq!(code(create().await.unwrap_err()), 403);
    server.uninstall("gateway.networking.k8s.io");
    assert_eq!(code(routes(server.client()).get("app").await.unwrap_err()), 404);
}
