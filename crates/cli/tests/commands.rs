//! The verbs against an API server of a few lines: what they write, and that they wait until it is taken.
#![allow(clippy::unwrap_used)]
mod common;

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use common::{CANARY, STABLE, annotations, latch, rolled_back, rollout};
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use kube_client::{Client, client::Body};
use microapp_cli::{
    args::{CommandArgs, Named, PromoteArgs, StatusArgs},
    cluster::Cluster,
    exit::{Exit, Failure},
    manifest::Manifest,
    verbs::{command, revision, status},
};
use microapp_core::{
    lens,
    world::{Desired, Verb},
};
use serde_json::{Value, json};

/// One rollout and its route; `react` is the operator, called with each annotation that is written.
#[derive(Clone)]
struct Server(Arc<Mutex<State>>);

struct State {
    rollout: Value,
    route: Value,
    config_map: Value,
    patches: Vec<(String, Value)>,
    react: fn(&mut Value, &Value),
    /// Nobody may read routes.
    hides: bool,
}

impl Server {
    fn new(rollout: &Value, annotations: &Value, react: fn(&mut Value, &Value)) -> Self {
        let route = json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": {"name": "kyc", "namespace": "fintech", "resourceVersion": "1", "annotations": annotations},
        });
        Self(Arc::new(Mutex::new(State {
            rollout: rollout.clone(),
            route,
            config_map: Value::Null,
            patches: Vec::new(),
            react,
            hides: false,
        })))
    }

    fn cluster(&self) -> Cluster {
        let server = self.clone();
        let service = tower::service_fn(move |request| {
            let server = server.clone();
            async move { Ok::<_, Infallible>(server.answer(request).await) }
        });
        Cluster::new(Client::new(service, "fintech"), "fintech".to_owned(), Duration::from_secs(5))
    }

    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let mut state = self.0.lock().unwrap();
        let query = parts.uri.query().unwrap_or_default().to_owned();
        let is_route = parts.uri.path().contains("httproutes");
        if is_route && state.hides {
            let status = json!({
                "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden", "code": 403,
                "message": "httproutes.gateway.networking.k8s.io \"kyc\" is forbidden: User \"sre\" cannot get resource",
            });
            return Response::builder().status(403).body(Body::from(status.to_string().into_bytes())).unwrap();
        }
        let object = match parts.uri.path() {
            path if path.contains("httproutes") => state.route.clone(),
            path if path.contains("configmaps") => state.config_map.clone(),
            _ => state.rollout.clone(),
        };
        let is_list = query.contains("metadata.name") || query.contains("limit");
        if object.is_null() && !query.contains("watch=true") && !is_list {
            let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound",
                "code": 404, "message": "not found"});
            return Response::builder().status(404).body(Body::from(status.to_string().into_bytes())).unwrap();
        }
        let answer = match parts.method {
            Method::PATCH => {
                let patch: Value = serde_json::from_slice(&body).unwrap();
                state.patches.push((query, patch.clone()));
                let react = state.react;
                react(&mut state.route["metadata"]["annotations"], &patch["metadata"]["annotations"]);
                object
            }
            // A watch: what is there now, once; the stream ends and is asked for again.
            Method::GET if query.contains("watch=true") && object.is_null() => return Response::new(Body::empty()),
            Method::GET if query.contains("watch=true") => json!({"type": "MODIFIED", "object": object}),
            Method::GET if is_list => json!({
                "apiVersion": object["apiVersion"], "kind": "List", "metadata": {"resourceVersion": "1"},
                "items": if object.is_null() { json!([]) } else { json!([object]) },
            }),
            _ => object,
        };
        Response::new(Body::from(format!("{answer}\n").into_bytes()))
    }

    fn hiding(self) -> Self {
        self.0.lock().unwrap().hides = true;
        self
    }

    fn patches(&self) -> Vec<(String, Value)> {
        self.0.lock().unwrap().patches.clone()
    }
}

fn args(reason: &str, timeout: Option<Duration>) -> CommandArgs {
    CommandArgs { named: Named { name: "kyc".to_owned() }, reason: reason.to_owned(), timeout }
}

/// The token of an annotation that was written.
fn token(written: &Value, key: &str) -> String {
    written[key].as_str().unwrap().split(' ').next().unwrap().to_owned()
}

fn deaf(_: &mut Value, _: &Value) {}

fn aborts(route: &mut Value, written: &Value) {
    let token = token(written, "microapp.dev/abort");
    route["microapp.dev/aborted"] =
        json!(latch("Command").replace("\"v\":1", &format!("\"v\":1,\"token\":\"{token}\"")));
}

fn raises(route: &mut Value, written: &Value) {
    route["microapp.dev/step"] = json!("3");
    route["microapp.dev/tokens"] = json!(json!({"promote": token(written, "microapp.dev/promote")}).to_string());
}

async fn given(server: &Server, verb: Verb, args: &CommandArgs) -> (Result<Exit, Failure>, String) {
    let mut out = Vec::new();
    let result = command::run(&server.cluster(), verb, args, &mut out).await;
    (result, String::from_utf8(out).unwrap())
}

#[tokio::test]
async fn an_abort_writes_one_annotation_with_its_manager_and_waits_for_the_latch() {
    let server = Server::new(&rollout(), &annotations(), aborts);
    let (result, out) = given(&server, Verb::Abort, &args("too slow", None)).await;
    assert_eq!(result.unwrap(), Exit::Ok);
    let patches = server.patches();
    assert_eq!(patches.len(), 1);
    let (query, patch) = &patches[0];
    assert!(query.contains("fieldManager=kubectl-microapp"), "{query}");
    let value = patch["metadata"]["annotations"]["microapp.dev/abort"].as_str().unwrap();
    assert!(value.ends_with(" too slow"));
    assert_eq!(patch, &json!({"metadata": {"annotations": {"microapp.dev/abort": value}}}));
    assert!(out.contains(&format!("microapp.dev/abort=\"{value}\"")), "{out}");
    assert!(out.ends_with(&format!("taken: all traffic is on {STABLE}\n")), "{out}");
}

#[tokio::test]
async fn a_promotion_is_done_when_its_step_is_in_force() {
    let server = Server::new(&rollout(), &annotations(), raises);
    let mut out = Vec::new();
    let promote = PromoteArgs { command: args("", None), skip_step: false };
    assert_eq!(command::promote(&server.cluster(), &promote, &mut out).await.unwrap(), Exit::Ok);
    assert!(String::from_utf8(out).unwrap().ends_with("taken: step 4 is in force\n"));
}

#[tokio::test]
async fn without_a_right_to_read_the_route_a_command_is_written_all_the_same() {
    for verb in [Verb::Abort, Verb::Pause, Verb::Resume] {
        let server = Server::new(&rollout(), &annotations(), deaf).hiding();
        let (result, out) = given(&server, verb, &args("now", None)).await;
        assert_eq!(result.unwrap(), Exit::Ok);
        assert_eq!(server.patches().len(), 1, "{verb:?}");
        assert!(out.contains("not waiting: you have no right to read the route of kyc"), "{out}");
    }
    let server = Server::new(&rollout(), &annotations(), deaf).hiding();
    let promote = PromoteArgs { command: args("", None), skip_step: false };
    assert_eq!(command::promote(&server.cluster(), &promote, &mut Vec::new()).await.unwrap(), Exit::Ok);
    let (_, patch) = &server.patches()[0];
    let value = patch["metadata"]["annotations"]["microapp.dev/promote"].as_str().unwrap();
    assert!(value.starts_with("3/1:"), "attempt and step as status has them: {value}");
}

#[tokio::test]
async fn an_operator_that_does_not_answer_is_a_time_out_that_says_what_stands() {
    let server = Server::new(&rollout(), &annotations(), deaf);
    let (result, _) = given(&server, Verb::Pause, &args("", Some(Duration::from_millis(20)))).await;
    let failure = result.unwrap_err();
    assert_eq!(failure.exit, Exit::InProgress);
    assert!(failure.message.contains("microapp.dev/pause stands"), "{failure}");
}

#[tokio::test]
async fn nobody_waits_with_a_time_out_of_0() {
    let server = Server::new(&rollout(), &annotations(), deaf);
    let (result, out) = given(&server, Verb::Pause, &args("", Some(Duration::ZERO))).await;
    assert_eq!(result.unwrap(), Exit::Ok);
    assert!(out.contains("acts on this token once"), "{out}");
}

#[tokio::test]
async fn nothing_is_written_where_nothing_runs() {
    let (rollout, annotations) = rolled_back("GateFailed");
    let server = Server::new(&rollout, &annotations, deaf);
    let (result, out) = given(&server, Verb::Abort, &args("", None)).await;
    assert_eq!(result.unwrap_err().exit, Exit::Error);
    assert!(out.is_empty() && server.patches().is_empty());
}

fn asks(timeout: Option<Duration>, revision: Option<&str>) -> StatusArgs {
    StatusArgs {
        name: Some("kyc".to_owned()),
        revision: revision.map(str::to_owned),
        exit_code: true,
        timeout,
        ..StatusArgs::default()
    }
}

const LONG: Option<Duration> = Some(Duration::from_secs(60));
const SHORT: Option<Duration> = Some(Duration::from_millis(20));

#[tokio::test]
async fn status_waits_for_the_end_and_answers_with_its_code() {
    let (rollout_back, annotations_back) = rolled_back("GateFailed");
    let server = Server::new(&rollout_back, &annotations_back, deaf);
    let exit = status::run(&server.cluster(), &asks(LONG, None), None).await.unwrap();
    assert_eq!(exit, Exit::RolledBack);
    let server = Server::new(&rollout(), &annotations(), deaf);
    assert_eq!(status::run(&server.cluster(), &asks(None, None), None).await.unwrap(), Exit::InProgress);
    let late = status::run(&server.cluster(), &asks(SHORT, Some(CANARY)), None).await.unwrap_err();
    assert_eq!(late.exit, Exit::InProgress);
    assert!(late.message.contains(CANARY), "{late}");
}

/// A manifest with its prompts, and the revision that it asks for.
fn manifest(prompt: &str) -> (Manifest, String) {
    let mut object = rollout();
    object["spec"]["prompts"] = json!({"configMapRef": {"name": "kyc-prompts"}});
    object.as_object_mut().unwrap().remove("status");
    let prompts = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kyc-prompts"},
        "data": {"system.txt": prompt}});
    let mut file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file, format!("{object}\n---\n{prompts}\n").as_bytes()).unwrap();
    let manifest = Manifest::read(file.path()).unwrap();
    let revision = revision::offline(&manifest).unwrap().unwrap().revision.as_str().to_owned();
    (manifest, revision)
}

async fn waits(server: &Server, manifest: &Manifest, timeout: Option<Duration>) -> Result<Exit, Failure> {
    let args = StatusArgs { wait_for: true, exit_code: false, ..asks(timeout, None) };
    status::run(&server.cluster(), &args, Some(manifest)).await
}

#[tokio::test]
async fn a_pipeline_behind_gitops_waits_for_the_revision_of_its_own_manifest() {
    let (manifest, revision) = manifest("be kind");
    // Not applied yet, then not even a rollout: both are in progress, and the time-out says which.
    let server = Server::new(&rollout(), &annotations(), deaf);
    let late = waits(&server, &manifest, SHORT).await.unwrap_err();
    assert_eq!((late.exit, late.message.contains(&revision)), (Exit::InProgress, true), "{late}");
    server.0.lock().unwrap().rollout = Value::Null;
    let late = waits(&server, &manifest, SHORT).await.unwrap_err();
    assert_eq!(late.exit, Exit::InProgress);
    assert!(late.message.contains("there is no rollout kyc in namespace fintech"), "{late}");
    // Stable is what the manifest asks for.
    let mut promoted = rollout();
    promoted["status"]["stable"]["revision"] = json!(revision);
    let server = Server::new(&promoted, &annotations(), deaf);
    assert_eq!(waits(&server, &manifest, LONG).await.unwrap(), Exit::Ok);
    // A manifest of another rollout is none of it.
    let args = StatusArgs { name: Some("other".to_owned()), wait_for: true, ..asks(LONG, None) };
    let usage = status::run(&server.cluster(), &args, Some(&manifest)).await.unwrap_err();
    assert_eq!(usage.exit, Exit::Usage);
}

#[tokio::test]
async fn what_came_of_a_revision_before_the_wait_is_no_answer() {
    let (manifest, revision) = manifest("be kind");
    for outcome in ["Promoted", "RolledBack"] {
        let mut old = rollout();
        old["status"]["history"][0]["revision"] = json!(revision);
        old["status"]["history"][0]["outcome"] = json!(outcome);
        old["status"]["rejected"] = json!([]);
        let server = Server::new(&old, &annotations(), deaf);
        let late = waits(&server, &manifest, SHORT).await.unwrap_err();
        assert_eq!(late.exit, Exit::InProgress, "{outcome}");
    }
}

#[tokio::test]
async fn the_prompts_of_the_cluster_count_where_the_file_has_none() {
    let (whole, revision) = manifest("be kind");
    let mut file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file, whole.rollout.to_string().as_bytes()).unwrap();
    let alone = Manifest::read(file.path()).unwrap();
    assert_eq!(revision::offline(&alone).unwrap(), None);
    let server = Server::new(&rollout(), &annotations(), deaf);
    let config_map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kyc-prompts"},
        "data": {"system.txt": "be kind"}});
    server.0.lock().unwrap().config_map = config_map;
    let names = revision::online(&alone, Ok(&server.cluster())).await.unwrap();
    assert_eq!(names.revision.as_str(), revision);
    server.0.lock().unwrap().config_map = Value::Null;
    let unknown = revision::online(&alone, Ok(&server.cluster())).await.unwrap_err();
    assert_eq!(unknown.exit, Exit::Error);
    assert!(
        unknown.message.contains("ConfigMap kyc-prompts, which is not in the file, and it does not exist"),
        "{unknown}"
    );
}

/// As an operator before the upgrade named it: by its spelling, which the stored object still has.
#[tokio::test]
async fn a_revision_from_before_an_upgrade_is_waited_for_under_its_old_name() {
    let (manifest, revision) = manifest("be kind");
    let mut stored = manifest.rollout.clone();
    stored["spec"]["template"]["spec"]["restartPolicy"] = json!("Always");
    let prompts = manifest.prompts().unwrap();
    let Desired::Usable(spec) = lens::desired(&stored, &prompts, "") else { panic!("usable") };
    let old = spec.raw.written.clone().unwrap();
    assert!(spec.revision.as_str() == revision && old.as_str() != revision);
    let mut promoted = rollout();
    promoted["spec"] = stored["spec"].clone();
    promoted["status"]["desiredRevision"] = json!(old);
    promoted["status"]["stable"]["revision"] = json!(old);
    let server = Server::new(&promoted, &annotations(), deaf);
    assert_eq!(waits(&server, &manifest, LONG).await.unwrap(), Exit::Ok);
}
