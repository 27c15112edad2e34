//! One tenant's object never hurts another's.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use microapp_testkit::{Fault, Match, build};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{STEPS, at_one_percent, broken, metrics, series, stable, tenant, traffic};
use crate::{
    invariants,
    stage::{NAME, NS, Stage, short},
};

const MOMENT: Duration = Duration::from_secs(20);

fn deep(levels: usize) -> Value {
    (0..levels).fold(json!("x"), |inner, _| json!([inner]))
}

/// What a schema of an older release let through.
fn without_schema(stage: &Stage) {
    let mut crd: Value =
        serde_saphyr::from_str(include_str!("../../../../crds/microapprollouts.microapp.dev.yaml")).unwrap();
    let fields = &mut crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    *fields = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    stage.server.install_crd(&crd);
}

/// After a restart a canary that fails is reverted within seconds, whatever stands in the objects of others.
async fn still_reverts(mut stage: Stage) {
    stage.operators.remove(0).end().await;
    stage.start();
    sleep(MOMENT).await;
    stage.profile(2, broken());
    stage.within(Duration::from_secs(30), "it is reverted", |stage| stage.aborted()["cause"] == "GateFailed").await;
    assert!(stage.operators[0].gates.open().values().all(|open| *open));
}

#[tokio::test(start_paused = true)]
async fn a_rollout_that_is_nested_too_deep_stops_nobody_at_a_restart() {
    let stage = at_one_percent().await;
    without_schema(&stage);
    let mut poison = microapp_testkit::build::rollout("attacker", "poison", "x").build();
    poison["spec"]["template"]["spec"]["containers"][0]["resources"] = json!({"limits": {"cpu": deep(200)}});
    stage.server.put("kubectl", poison).unwrap();
    let said = |stage: &Stage| {
        let poison = stage.server.get("microapprollouts", "attacker", "poison").unwrap_or_default();
        poison["status"]["conditions"].to_string()
    };
    stage.within(MOMENT, "it says where", |stage| said(stage).contains("resources.limits.cpu: it is nested")).await;
    still_reverts(stage).await;
}

#[tokio::test(start_paused = true)]
async fn a_time_that_no_library_has_stops_nobody_at_a_restart() {
    let stage = at_one_percent().await;
    let fields = json!([{"manager": "x", "operation": "Update", "apiVersion": "v1", "time": "9999-12-31T23:59:59Z"}]);
    let poison = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": "attacker", "name": "x",
        "managedFields": fields, "creationTimestamp": "-9999-12-31T23:59:59Z"}});
    stage.server.put("kubectl", poison).unwrap();
    for (plural, name) in [("configmaps", format!("{NAME}-prompts")), ("httproutes", NAME.to_owned())] {
        stage.server.edit("kubectl", plural, NS, &name, |object| {
            object["metadata"]["managedFields"] = fields.clone();
        });
    }
    still_reverts(stage).await;
}

#[tokio::test(start_paused = true)]
async fn children_of_any_kind_and_any_depth_stop_nobody_at_a_restart() {
    let stage = at_one_percent().await;
    for (api_version, kind) in [
        ("apps/v1", "Deployment"),
        ("v1", "Service"),
        ("v1", "Pod"),
        ("v1", "ConfigMap"),
        ("apps/v1", "ControllerRevision"),
        ("gateway.networking.k8s.io/v1", "HTTPRoute"),
    ] {
        let metadata = json!({"namespace": "attacker", "name": "x", "labels": {"microapp.dev/rollout": NAME}});
        let body = json!({"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": {"x": deep(500)},
            "data": {"x": deep(300)}});
        stage.server.put("kubectl", body).unwrap();
    }
    still_reverts(stage).await;
}

/// Whose watch cannot be opened neither takes nor keeps the lease from who can work.
#[tokio::test(start_paused = true)]
async fn who_cannot_fill_its_caches_does_not_take_the_lease() {
    let mut stage = stable().await;
    let pods = |request: &microapp_testkit::Request| matches!(request.verb, "list" | "watch");
    stage.server.fault(Match::any().agent("operator-2").plural("pods").when(pods), Fault::Error(403));
    stage.start();
    sleep(MOMENT).await;
    stage.upgrade(2);
    stage.until("the first step", |stage| stage.weights() == [99, 1]).await;
    // The lease of the healthy one runs out, and comes back.
    stage.server.fault(Match::any().agent("operator-1").plural("leases"), Fault::Error(503));
    sleep(Duration::from_secs(12)).await;
    let holder = |stage: &Stage| {
        stage.server.get("leases", "operator", "microapp-operator").unwrap()["spec"]["holderIdentity"].clone()
    };
    assert_eq!(holder(&stage), "operator-1");
    stage.server.heal();
    stage.server.fault(Match::any().agent("operator-2").plural("pods").when(pods), Fault::Error(403));
    stage.profile(2, broken());
    stage.within(Duration::from_secs(30), "it is reverted", |stage| stage.aborted()["cause"] == "GateFailed").await;
    assert!(!stage.operators[1].gates.open()["caches"] && stage.operators[0].gates.open()["caches"]);
}

#[tokio::test(start_paused = true)]
async fn who_loses_a_watch_gives_the_lease_to_who_sees_and_leads_only_where_nobody_does() {
    let mut stage = stable().await;
    let blind = |agent: &str| Match::any().agent(agent).plural("pods").when(|request| request.verb != "get");
    let holder = |stage: &Stage| {
        stage.server.get("leases", "operator", "microapp-operator").unwrap()["spec"]["holderIdentity"].clone()
    };
    stage.server.fault(blind("operator-1"), Fault::Error(500));
    sleep(Duration::from_secs(120)).await;
    assert_eq!(holder(&stage), "operator-1", "alone it leads all the same");
    stage.start();
    stage.within(MOMENT, "who sees leads", |stage| holder(stage) == "operator-2").await;
    sleep(Duration::from_secs(60)).await;
    assert_eq!(holder(&stage), "operator-2");
    stage.upgrade(2);
    invariants::promoted(&stage, 2, &STEPS).await;
}

#[tokio::test(start_paused = true)]
async fn a_namespace_without_rights_stops_nobody_in_another_one() {
    let mut stage = Stage::empty(traffic());
    stage.operators.remove(0).end().await;
    stage.server.fault(Match::any().namespace("missing"), Fault::Error(403));
    stage.start_with(|context| context.namespaces = ["missing", NS, "other"].map(str::to_owned).to_vec());
    stage.put(short());
    tenant(&stage, "other", "registry.local/other:1");
    stage
        .within(Duration::from_secs(90), "it is stable", |stage| stage.reads("Ready", "True", "InitialRevision"))
        .await;
    let route = |stage: &Stage| stage.server.get("httproutes", "other", NAME).is_some();
    stage.within(Duration::from_secs(90), "so is the other", route).await;
    assert!(stage.operators[0].gates.open().values().all(|open| *open));
    sleep(Duration::from_secs(60)).await;
    let seen = metrics(&stage, 0);
    assert!(series(&seen, "microapp_watch_staleness_seconds", &["kind=\"Pod\""]).unwrap() > 10.0, "{seen}");
}

#[tokio::test(start_paused = true)]
async fn without_any_right_to_configmaps_only_who_has_prompts_waits_and_says_so() {
    let mut stage = at_one_percent().await;
    stage.operators.remove(0).end().await;
    stage.server.deny("*", "configmaps");
    stage.start();
    let said = |stage: &Stage| stage.rollout()["status"]["conditions"].to_string();
    stage.within(MOMENT, "it says why", |stage| said(stage).contains("not allowed to get ConfigMap")).await;
    assert_eq!(stage.weights(), [99, 1], "the attempt stays where it is");
    stage.server.allow("*", "configmaps");
    invariants::promoted(&stage, 2, &STEPS).await;
}

/// Everything that was logged while it lives, in this thread.
struct Log {
    lines: Arc<Mutex<Vec<u8>>>,
    _guard: tracing::subscriber::DefaultGuard,
}

impl Log {
    fn begin(filter: &str) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .json()
            .flatten_event(true)
            .with_env_filter(microapp_operator::logs::filter(filter).unwrap())
            .with_writer(move || Lines(writer.clone()))
            .finish();
        Self { lines, _guard: tracing::subscriber::set_default(subscriber) }
    }
}

struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// I13. A word that stands in every place that is somebody's own: variables, prompts, annotations, labels, what
/// Prometheus and the API server answer, values that validation refuses.
#[tokio::test(start_paused = true)]
async fn a_secret_word_is_in_no_log_status_event_or_metric() {
    const CANARY: &str = "canary-7f3a91";
    for level in ["info", "warn"] {
        let log = Log::begin(level);
        let rollout = || {
            short()
                .set("/spec/template/spec/containers/0/env", json!([{"name": "DB_PASSWORD", "value": CANARY}]))
                .set("/spec/template/metadata/annotations", json!({"secret": CANARY}))
                .set("/metadata/annotations", json!({"kubectl.kubernetes.io/last-applied-configuration": CANARY}))
        };
        let stage = Stage::empty(traffic());
        assert!(stage.server.edit("kubectl", "configmaps", NS, &format!("{NAME}-prompts"), |prompts| {
            prompts["data"]["system.md"] = json!(CANARY);
            prompts["metadata"]["annotations"] = json!({"x": CANARY});
        }));
        stage.put(rollout());
        stage.until("the first revision is stable", |stage| stage.reads("Ready", "True", "InitialRevision")).await;
        sleep(Duration::from_secs(300)).await;
        stage.profile(2, microapp_testkit::Profile { error_type: CANARY.to_owned(), ..broken() });
        // What cannot be read, what is refused, and what answers with somebody's page.
        let poison = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": NS, "name": "poison",
            "labels": {"microapp.dev/rollout": NAME}, "annotations": {"x": CANARY}}, "spec": {"x": deep(400), "y": CANARY}});
        stage.server.put("kubectl", poison).unwrap();
        stage.server.admit("deployments", |_, live| match live {
            Some(_) => Ok(()),
            None => Err(microapp_testkit::Failure::new(
                422,
                format!("spec.template.spec.containers[0].env[0].value: Invalid value: \"{CANARY}\": too secret"),
            )),
        });
        stage.upgrade(2);
        sleep(Duration::from_secs(700)).await;
        for fault in [microapp_testkit::PromFault::Html, microapp_testkit::PromFault::Status(503)] {
            stage.prometheus.fault(Some(fault));
            sleep(Duration::from_secs(60)).await;
        }
        stage.prometheus.fault(None);
        stage.server.admit("microapprollouts", |rollout, live| match live {
            Some(live) if live["status"] != rollout["status"] => Err(microapp_testkit::Failure::new(500, CANARY)),
            Some(_) | None => Ok(()),
        });
        stage.command("abort", "a1");
        sleep(Duration::from_secs(60)).await;
        let logged = String::from_utf8_lossy(&log.lines.lock().unwrap()).into_owned();
        assert!(level != "info" || logged.contains("decided"), "the log is looked at: {logged}");
        let events: Vec<_> = stage.server.writes().into_iter().filter(|one| one.target.plural == "events").collect();
        let statuses = stage.server.versions("microapprollouts", NS, NAME);
        let said = [
            logged,
            events.iter().map(|event| event.body.to_string()).collect(),
            statuses.iter().map(|version| version.object["status"].to_string()).collect(),
            metrics(&stage, 0),
            stage.routes().iter().map(|version| version.object.to_string()).collect(),
        ];
        for text in said {
            let at = text.find(CANARY).map(|at| text[at.saturating_sub(300)..].chars().take(400).collect::<String>());
            assert_eq!(at, None);
        }
    }
}

/// The pass reads the prompts while its rollout goes: what it shows at its end must not stay for ever.
#[tokio::test(start_paused = true)]
async fn a_rollout_that_goes_in_the_middle_of_a_pass_leaves_no_gauge() {
    let stage = stable().await;
    let named = |stage: &Stage| metrics(stage, 0).lines().filter(|line| line.contains(NAME)).count();
    assert!(named(&stage) > 0);
    stage.server.fault(Match::any().verb("get").plural("configmaps"), Fault::Delay(Duration::from_secs(2)));
    stage.server.put("kubectl", build::prompts(NS, NAME, "Be kind.")).unwrap();
    sleep(Duration::from_secs(1)).await;
    assert!(stage.server.delete("kubectl", "microapprollouts", NS, NAME), "{stage:?}");
    sleep(Duration::from_secs(120)).await;
    assert_eq!(named(&stage), 0, "{}", metrics(&stage, 0));
}
