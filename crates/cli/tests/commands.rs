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
    verbs::{command, status},
};
use microapp_core::world::Verb;
use serde_json::{Value, json};

/// One rollout and its route; `react` is the operator, called with each annotation that is written.
#[derive(Clone)]
struct Server(Arc<Mutex<State>>);

struct State {
    rollout: Value,
    route: Value,
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
        Self(Arc::new(Mutex::new(State { rollout: rollout.clone(), route, patches: Vec::new(), react, hides: false })))
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
        let object = if is_route { state.route.clone() } else { state.rollout.clone() };
        let answer = match parts.method {
            Method::PATCH => {
                let patch: Value = serde_json::from_slice(&body).unwrap();
                state.patches.push((query, patch.clone()));
                let react = state.react;
                react(&mut state.route["metadata"]["annotations"], &patch["metadata"]["annotations"]);
                object
            }
            // A watch: what is there now, once; the stream ends and is asked for again.
            Method::GET if query.contains("watch=true") => json!({"type": "MODIFIED", "object": object}),
            Method::GET if query.contains("metadata.name") || query.contains("limit") => json!({
                "apiVersion": object["apiVersion"], "kind": "List", "metadata": {"resourceVersion": "1"}, "items": [object],
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

#[tokio::test]
async fn status_waits_for_the_end_and_answers_with_its_code() {
    let wait = |timeout, revision: Option<&str>| StatusArgs {
        named: Named { name: "kyc".to_owned() },
        watch: false,
        output: None,
        revision: revision.map(str::to_owned),
        exit_code: true,
        timeout,
    };
    let (rollout_back, annotations_back) = rolled_back("GateFailed");
    let server = Server::new(&rollout_back, &annotations_back, deaf);
    let exit = status::run(&server.cluster(), &wait(Some(Duration::from_secs(60)), None)).await.unwrap();
    assert_eq!(exit, Exit::RolledBack);
    let server = Server::new(&rollout(), &annotations(), deaf);
    assert_eq!(status::run(&server.cluster(), &wait(None, None)).await.unwrap(), Exit::InProgress);
    let late = status::run(&server.cluster(), &wait(Some(Duration::from_millis(20)), Some(CANARY))).await.unwrap_err();
    assert_eq!(late.exit, Exit::InProgress);
    assert!(late.message.contains(CANARY), "{late}");
}
