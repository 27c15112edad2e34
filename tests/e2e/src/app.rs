//! One application in a namespace of its own: its rollout, its users, and what its operator makes of it.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use microapp_lab::demo::View;
use microapp_lab::{Lab, LoadConfig, LoadGenerator};
use serde_json::{Value, json};

use crate::{Cluster, HOW, History, beside_others, until};

const ROLLOUT: &str = include_str!("../manifests/rollout.yaml");
const PROMPT: &str = "You answer questions about one invoice. Use only the facts that are given.\n";
/// How long the first revision may take while all other tests begin, too.
const START: Duration = Duration::from_secs(180);
/// Requests a second for the baseline: enough for any test here, and few enough for all of them at a time on two cores.
const BASELINE_RPS: f64 = 25.0;
/// How long two full minutes of the clock may take.
const BASELINE: Duration = Duration::from_secs(240);
/// What the app counts its requests by.
const COUNTED: &str = "gen_ai_client_operation_duration_seconds_count";

/// The rollout `helper` in the namespace `e2e-<test>`.
#[derive(Debug)]
pub struct App {
    /// Where it runs.
    pub cluster: Cluster,
    /// Its namespace.
    pub namespace: String,
    /// Every state that its route had.
    pub history: History,
    /// The object as the user writes it.
    object: Value,
    load: Option<LoadGenerator>,
}

impl App {
    /// An empty namespace with prompts, and a rollout that is not applied yet.
    pub fn new(test: &str) -> Self {
        let cluster = Cluster::connect();
        let namespace = format!("e2e-{test}");
        let path = format!("/api/v1/namespaces/{namespace}");
        cluster.delete(&path);
        until(Duration::from_secs(120), "the end of the namespace of an earlier run", || {
            cluster.find(&path).is_none().then_some(())
        });
        cluster.create("/api/v1/namespaces", &json!({"metadata": {"name": namespace}})).unwrap();
        let mut object: Value = serde_saphyr::from_str(ROLLOUT).unwrap();
        let image = std::env::var("E2E_APP").expect(HOW);
        let container = &mut object["spec"]["template"]["spec"]["containers"][0];
        container["image"] = json!(image);
        container["env"] = json!([{"name": "MODEL_BASE_URL", "value": model(&cluster)}]);
        object["metadata"]["namespace"] = json!(namespace);
        object["spec"]["traffic"]["gateway"]["hostnames"] = json!([format!("{namespace}.test")]);
        let history = History::watch(&cluster, &namespace);
        let app = Self { cluster, namespace, history, object, load: None };
        app.prompt(PROMPT);
        app
    }

    /// Changes the spec by a merge patch, without applying it.
    #[must_use]
    pub fn with(mut self, spec: &Value) -> Self {
        json_patch::merge(&mut self.object["spec"], spec);
        self
    }

    /// Weights and dwells of the steps, without applying them.
    #[must_use]
    pub fn steps(self, steps: &[(&str, &str)]) -> Self {
        let steps: Vec<_> = steps.iter().map(|(weight, dwell)| json!({"weight": weight, "dwell": dwell})).collect();
        self.with(&json!({"strategy": {"steps": steps}}))
    }

    /// Another image, without applying it.
    #[must_use]
    pub fn image(mut self, image: &str) -> Self {
        self.object["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image);
        self
    }

    /// With a stand-in for a model that nobody else asks, without applying it.
    #[must_use]
    pub fn own_model(mut self) -> Self {
        let shared = |group: &str, kind: &str| {
            let mut object = self.cluster.get(&format!("{group}/namespaces/e2e-model/{kind}/model-stub"));
            object["metadata"] = json!({"name": "model-stub", "labels": object["metadata"]["labels"]});
            object.as_object_mut().unwrap().remove("status");
            object
        };
        let (deployment, mut service) = (shared("/apis/apps/v1", "deployments"), shared("/api/v1", "services"));
        for own in ["clusterIP", "clusterIPs"] {
            service["spec"].as_object_mut().unwrap().remove(own);
        }
        self.cluster.create(&self.path("/apis/apps/v1", "deployments"), &deployment).unwrap();
        let service = self.cluster.create(&self.path("/api/v1", "services"), &service).unwrap();
        let env = &mut self.object["spec"]["template"]["spec"]["containers"][0]["env"];
        env[0]["value"] = json!(address(&service));
        self.models(1);
        self
    }

    /// So many pods of its own model, none or one; returns when it is so.
    pub fn models(&self, pods: u32) {
        let path = self.path("/apis/apps/v1", "deployments/model-stub");
        self.cluster.patch(&path, "the-provider", &json!({"spec": {"replicas": pods}}));
        until(Duration::from_secs(120), "the model's pods", || {
            let now = self.cluster.get(&path);
            let is = |count: &str| now["status"][count].as_u64().unwrap_or(0) == u64::from(pods);
            (is("replicas") && is("readyReplicas")).then_some(())
        });
    }

    /// The object as the user writes it.
    pub fn object(&self) -> &Value {
        &self.object
    }

    /// Applies the rollout with these environment variables besides the app's own; another value is another revision.
    pub fn release(&mut self, environment: &[(&str, &str)]) {
        let variables = environment.iter().map(|(name, value)| json!({"name": name, "value": value}));
        let env = self.object["spec"]["template"]["spec"]["containers"][0]["env"].as_array_mut().unwrap();
        env.truncate(1);
        env.extend(variables);
        self.apply();
    }

    /// Changes the spec by a merge patch and applies it.
    pub fn change(&mut self, spec: &Value) {
        json_patch::merge(&mut self.object["spec"], spec);
        self.apply();
    }

    /// Applies the rollout.
    pub fn apply(&self) {
        self.cluster.apply(&self.rollout_path(), &self.object);
    }

    /// Creates the ConfigMap of the prompts or edits it in place.
    pub fn prompt(&self, text: &str) {
        let map = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "prompts"}, "data": {"system.md": text}
        });
        self.cluster.apply(&self.path("/api/v1", "configmaps/prompts"), &map);
    }

    /// The path of something in the namespace.
    pub fn path(&self, group: &str, rest: &str) -> String {
        format!("{group}/namespaces/{}/{rest}", self.namespace)
    }

    fn rollout_path(&self) -> String {
        self.path("/apis/microapp.dev/v1alpha1", "microapprollouts/helper")
    }

    /// The path of the route.
    pub fn route_path(&self) -> String {
        self.path("/apis/gateway.networking.k8s.io/v1", "httproutes/helper")
    }

    /// The rollout and its route now. The history has this state of the route, too.
    pub fn view(&self) -> View {
        let rollout = self.cluster.find(&self.rollout_path()).unwrap_or_default();
        let route = self.cluster.find(&self.route_path()).unwrap_or_default();
        self.history.reach(&route);
        View { rollout, route }
    }

    /// Waits until something holds of the rollout and its route.
    pub fn until<T>(&self, seconds: u64, what: &str, mut holds: impl FnMut(&View) -> Option<T>) -> T {
        let mut last = View::default();
        let waited = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            until(Duration::from_secs(seconds), what, || {
                last = self.view();
                holds(&last)
            })
        }));
        waited.unwrap_or_else(|_| {
            let (status, route) = (&last.rollout["status"], &last.route["metadata"]["annotations"]);
            panic!(
                "{what} did not happen in {}; the status is\n{status:#}\nand the route says\n{route:#}",
                self.namespace
            )
        })
    }

    /// Waits until the canary has a weight of at least this many percent; returns the canary.
    pub fn until_weight(&self, seconds: u64, weight: f64) -> String {
        self.until(seconds, &format!("a weight of {weight} %"), |view| {
            assert_eq!(view.aborted(), None, "the canary was given up");
            view.canary().filter(|_| view.weight() >= weight).map(str::to_owned)
        })
    }

    /// Waits until the attempt of the wanted revision is given up; returns why.
    pub fn until_reverted(&self, seconds: u64) -> microapp_lab::demo::Aborted {
        self.until(seconds, "a rollback", |view| view.aborted().filter(|_| view.weight() == 0.0))
    }

    /// Waits until the revision that the spec asks for is stable and the status says so; returns it.
    pub fn until_promoted(&self, seconds: u64) -> String {
        self.until(seconds, "promotion", |view| {
            assert_eq!(view.aborted().filter(|_| view.canary().is_some()), None, "the canary was given up");
            let desired = view.desired().filter(|_| Self::is_observed(view))?;
            let ready = view.condition("Ready")?.0 == "True";
            (ready && view.stable() == Some(desired) && view.reported_stable() == Some(desired))
                .then(|| desired.to_owned())
        })
    }

    /// Whether the operator has seen the last change of the spec.
    fn is_observed(view: &View) -> bool {
        let generation = &view.rollout["metadata"]["generation"];
        !generation.is_null() && *generation == view.rollout["status"]["observedGeneration"]
    }

    /// The first revision, stable.
    pub fn start(&mut self) -> String {
        self.apply();
        self.until(START.as_secs(), "the first revision's start", |view| {
            let ready = view.condition("Ready")?.0 == "True";
            view.reported_stable().filter(|_| ready).map(str::to_owned)
        })
    }

    /// What preflight needs of stable: two full minutes of the clock with few users, of which Prometheus has seen one begin
    /// and end. Another test may take it away meanwhile, and a first request just before a minute begins comes too late.
    pub fn baseline(&mut self) {
        self.load = Some(LoadGenerator::start(self.requests(BASELINE_RPS)).unwrap());
        until(BASELINE, "two minutes of users", || {
            self.load().read(|responses| {
                let minutes = |t: f64| (t / 60.0).floor();
                let mut good = responses.iter().filter(|response| response.code == 200).map(|response| response.t);
                let (first, last) = (good.next()?, good.next_back()?);
                // A scrape of the second minute must have come, too.
                (minutes(last - 3.0) - minutes(first) >= 2.0).then_some(())
            })
        });
        // It asks Prometheus: not while another test counts the questions, or has taken it away.
        let turn = beside_others();
        let lab = Lab::attach().expect(HOW);
        let counted = format!("changes({COUNTED}{{namespace=\"{}\"}}[15m:1m]) > 0", self.namespace);
        until(BASELINE, "a minute that Prometheus counted", || lab.holds(&counted).unwrap_or(false).then_some(()));
        drop(turn);
        // A test that waits for its turn wastes nothing.
        self.no_users();
    }

    /// Users from now on, so many requests a second; what they got is counted from here.
    pub fn users(&mut self, rps: f64) {
        let log = std::env::var_os("E2E_OUT").map(PathBuf::from);
        let out = log.map(|folder| folder.join(format!("{}.jsonl", self.namespace)));
        self.load = Some(LoadGenerator::start(LoadConfig { out, ..self.requests(rps) }).unwrap());
    }

    /// No more users.
    pub fn no_users(&mut self) {
        self.load = None;
    }

    fn requests(&self, rps: f64) -> LoadConfig {
        LoadConfig { path: "/ask".into(), ..LoadConfig::to(self.host(), rps) }
    }

    fn host(&self) -> String {
        format!("{}.test", self.namespace)
    }

    /// The users' log.
    pub fn load(&self) -> &LoadGenerator {
        self.load.as_ref().expect("the test has no users")
    }

    /// How many answers of a revision users got, and how many of them were bad.
    pub fn answers(&self, revision: &str) -> (u64, u64) {
        let counts = self.load().summary().revisions.get(revision).copied().unwrap_or_default();
        (counts.total, counts.bad)
    }

    /// `kubectl microapp VERB helper …` in the namespace: exit code and what it printed.
    pub fn microapp(&self, verb: &str, args: &[&str]) -> (i32, String) {
        let Output { status, stdout, stderr } =
            kubectl().args(["microapp", verb, "helper", "-n", &self.namespace]).args(args).output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
        (status.code().unwrap_or(-1), said)
    }

    /// Hands the trace of a revision to `replay`, with the rollout as it stands in a file; returns the answers and what was
    /// said about them.
    pub fn replayed(&self, revision: &str) -> (Vec<Value>, String) {
        let folder = tempfile::tempdir().unwrap();
        let (rollout, trace) = (folder.path().join("rollout.json"), folder.path().join("trace.jsonl"));
        std::fs::write(&rollout, self.object.to_string()).unwrap();
        let why = ["microapp", "why", "helper", "-n", &self.namespace, "--trace", "--revision", revision];
        let Output { status, stdout, stderr } = kubectl().args(why).output().unwrap();
        assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
        std::fs::write(&trace, &stdout).unwrap();
        let mut replay = kubectl();
        replay.args(["microapp", "replay", "-f"]).arg(&rollout).arg("--trace").arg(&trace);
        let Output { status, stdout, stderr } = replay.output().unwrap();
        let said = String::from_utf8_lossy(&stderr).into_owned();
        assert!(status.success(), "{said}");
        let answers =
            String::from_utf8_lossy(&stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        (answers, said)
    }

    /// The events about the rollout: reason and note.
    pub fn events(&self) -> Vec<(String, String)> {
        let text = |event: &Value, key: &str| event[key].as_str().unwrap_or_default().to_owned();
        let events = self.cluster.list(&self.path("/apis/events.k8s.io/v1", "events"));
        let ours = events.iter().filter(|event| event["regarding"]["kind"] == "MicroAppRollout");
        ours.map(|event| (text(event, "reason"), text(event, "note"))).collect()
    }

    /// The pods of a revision that are there to stay.
    pub fn pods(&self, revision: &str) -> Vec<Value> {
        let path = self.path("/api/v1", &format!("pods?labelSelector=microapp.dev/revision={revision}"));
        let pods = self.cluster.list(&path).into_iter();
        pods.filter(|pod| pod["metadata"]["deletionTimestamp"].is_null()).collect()
    }

    /// The last word of a test that passed: the namespace goes.
    pub fn done(self) {
        self.cluster.delete(&format!("/api/v1/namespaces/{}", self.namespace));
    }
}

/// A rollout whose test failed must not go on: others wait for an operator that has nothing to do. What there is to see of
/// it is kept beside the logs; with `KEEP` it stays where it is.
impl Drop for App {
    fn drop(&mut self) {
        let Some(folder) = std::env::var_os("E2E_OUT").filter(|_| std::thread::panicking()) else { return };
        let kept = "microapprollouts,httproutes,deployments,pods,configmaps,events";
        let objects = kubectl().args(["get", kept, "--output", "yaml", "--namespace", &self.namespace]).output();
        let file = PathBuf::from(folder).join(format!("{}.yaml", self.namespace));
        if let Err(error) = objects.and_then(|objects| std::fs::write(&file, objects.stdout)) {
            eprintln!("{} could not be written: {error}", file.display());
        }
        if std::env::var_os("KEEP").is_none_or(|keep| keep.is_empty()) {
            // By kubectl: what panics here would end all tests.
            let ended = kubectl().args(["delete", "namespace", &self.namespace, "--wait=false"]).status();
            eprintln!("{}, whose test failed, ends: {ended:?}", self.namespace);
        }
    }
}

/// The address of the stand-in for a model, which `deploy/e2e.sh` started.
fn model(cluster: &Cluster) -> String {
    address(&cluster.get("/api/v1/namespaces/e2e-model/services/model-stub"))
}

fn address(service: &Value) -> String {
    format!("http://{}:8000/v1", service["spec"]["clusterIP"].as_str().unwrap())
}

/// An executable that `deploy/e2e.sh` built.
pub fn program(name: &str) -> PathBuf {
    PathBuf::from(std::env::var_os("E2E_PROGRAMS").expect(HOW)).join(name)
}

/// kubectl with its plug-in on the path.
pub fn kubectl() -> Command {
    let path = std::env::var("PATH").unwrap_or_default();
    let programs = program("");
    let mut kubectl = Command::new("kubectl");
    kubectl.env("PATH", format!("{}:{path}", programs.display()));
    kubectl
}
