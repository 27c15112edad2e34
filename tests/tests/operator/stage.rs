//! A cluster with one rollout, its users, Prometheus and the operator, all in this process and on paused time.

use std::{
    fmt,
    sync::{Arc, LazyLock},
    time::Duration,
};

use jiff::Timestamp;
use microapp_operator::{Context, clock::Clock, health::Gates, metrics::Metrics};
use microapp_telemetry::{Answer, PriceTable, Prometheus, QueryError, decode::decode, http::Boxed};
use microapp_testkit::{
    ApiServer, Behaviour, Controllers, FakePrometheus, Pods, Profile, Traffic, Version,
    build::{self, RolloutBuilder},
};
use serde_json::Value;
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// Namespace and name of the rollout.
pub const NS: &str = "shop";
pub const NAME: &str = "invoice";

static CRD: LazyLock<Value> =
    LazyLock::new(|| serde_saphyr::from_str(include_str!("../../../crds/microapprollouts.microapp.dev.yaml")).unwrap());

/// The image of a version.
pub fn image(version: u32) -> String {
    format!("registry.local/{NAME}:{version}")
}

#[derive(Clone, Copy, Debug)]
struct TestClock;

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        microapp_testkit::clock::now()
    }
}

/// The fake Prometheus as the operator's client sees it: the deadline, the size limit and the decoding of HTTP.
pub struct Client(pub Arc<FakePrometheus>);

impl Prometheus for Client {
    fn query<'a>(&'a self, promql: &'a str, time: f64) -> Boxed<'a, Result<Answer, QueryError>> {
        Box::pin(async move {
            let answered = timeout(Duration::from_secs(10), self.0.answer(promql, time)).await;
            let answered = answered.map_err(|_| QueryError::Timeout)?.map_err(|_| QueryError::Connect)?;
            if answered.body.len() > 8 << 20 {
                return Err(QueryError::TooLarge);
            }
            let failed = QueryError::Status { status: answered.status, length: answered.body.len() };
            match decode(&answered.body) {
                Ok(answer) if answered.status == 200 => Ok(answer),
                Err(error) if answered.status == 200 => Err(error.into()),
                Ok(_) | Err(_) => Err(failed),
            }
        })
    }
}

/// One process of the operator.
pub struct Operator {
    pub identity: String,
    pub metrics: Arc<Metrics>,
    pub gates: Arc<Gates>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Operator {
    pub fn start(server: &ApiServer, prometheus: &Arc<FakePrometheus>, identity: &str) -> Self {
        Self::start_with(server, prometheus, identity, |_| {})
    }

    /// With other settings.
    pub fn start_with(
        server: &ApiServer,
        prometheus: &Arc<FakePrometheus>,
        identity: &str,
        change: impl FnOnce(&mut Context),
    ) -> Self {
        let (client, urgent) = (server.client_as(identity), server.client_as(identity));
        let prices = Arc::new(PriceTable::built_in().unwrap());
        let prometheus = Arc::new(Client(prometheus.clone()));
        let mut context = Context::new(client, urgent, prometheus, prices, Arc::new(TestClock), identity.to_owned());
        context.lease = Some(("operator".to_owned(), "microapp-operator".to_owned()));
        change(&mut context);
        let (metrics, gates, stop) = (context.metrics.clone(), Arc::new(Gates::new()), CancellationToken::new());
        let task = tokio::spawn(microapp_operator::run(context, gates.clone(), stop.clone()));
        Self { identity: identity.to_owned(), metrics, gates, stop, task }
    }

    /// As SIGTERM does it. Of a process that the server has declared dead: its remains go, nothing gets through.
    pub async fn end(mut self) {
        self.stop.cancel();
        (&mut self.task).await.unwrap();
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Everything that a test needs.
pub struct Stage {
    pub server: ApiServer,
    pub controllers: Controllers,
    pub prometheus: Arc<FakePrometheus>,
    pub operators: Vec<Operator>,
    started: usize,
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |plural: &str| {
            let mut object = self.server.get(plural, NS, NAME).unwrap_or_default();
            object["metadata"].as_object_mut().map(|metadata| metadata.remove("managedFields"));
            if object["status"]["canary"]["evidence"].is_string() {
                object["status"]["canary"]["evidence"] = "...".into();
            }
            serde_json::to_string_pretty(&object).unwrap_or_default()
        };
        let writes: Vec<_> = self.server.writes_except_events_and_leases();
        writeln!(f, "at {}", microapp_testkit::clock::now())?;
        for write in writes.iter().skip(writes.len().saturating_sub(40)) {
            writeln!(f, "{} {} {} {:?}", write.time, write.agent, write.summary(), write.outcome)?;
        }
        writeln!(f, "{}\n{}", part("microapprollouts"), part("httproutes"))
    }
}

/// A rollout with steps of half a minute and the error gate.
pub fn short() -> RolloutBuilder {
    build::rollout(NS, NAME, &image(1)).steps(&[(1.into(), "20s"), (25.into(), "20s"), (100.into(), "30s")])
}

impl Stage {
    /// A cluster with prompts, gateway, users and the operator, and no rollout yet.
    pub fn empty(traffic: Traffic) -> Self {
        logs();
        let server = ApiServer::new();
        server.install_crd(&CRD);
        for object in build::gateway(NS).into_iter().chain([build::prompts(NS, NAME, "Be brief.")]) {
            server.put("kubectl", object).unwrap();
        }
        let controllers = Controllers::start(&server);
        let prometheus = Arc::new(FakePrometheus::start(&server, traffic));
        let mut stage = Self { server, controllers, prometheus, operators: Vec::new(), started: 0 };
        stage.start();
        stage
    }

    /// The first revision is stable and has had traffic for some minutes.
    pub async fn stable(rollout: RolloutBuilder, rps: f64) -> Self {
        Self::seeded(rollout, Traffic::new(NS, NAME).rps(rps)).await
    }

    /// The same with traffic of one's own.
    pub async fn seeded(rollout: RolloutBuilder, traffic: Traffic) -> Self {
        let stage = Self::empty(traffic);
        stage.put(rollout);
        stage.until("the first revision is stable", |stage| stage.reads("Ready", "True", "InitialRevision")).await;
        sleep(Duration::from_secs(300)).await;
        stage
    }

    /// A second revision, good so far, has had 1 % for some seconds.
    pub async fn at_one_percent() -> Self {
        let stage = Self::stable(short(), 100.0).await;
        stage.upgrade(2);
        stage.until("the first step", |stage| stage.weights() == [99, 1]).await;
        sleep(Duration::from_secs(7)).await;
        stage
    }

    /// One more operator.
    pub fn start(&mut self) -> &Operator {
        self.start_with(|_| {})
    }

    /// One more operator, with other settings.
    pub fn start_with(&mut self, change: impl FnOnce(&mut Context)) -> &Operator {
        self.started += 1;
        let identity = format!("operator-{}", self.started);
        self.operators.push(Operator::start_with(&self.server, &self.prometheus, &identity, change));
        &self.operators[self.operators.len() - 1]
    }

    /// `kubectl apply`.
    pub fn put(&self, rollout: RolloutBuilder) {
        self.server.put("kubectl", rollout.build()).unwrap();
    }

    /// Changes the spec of the rollout.
    pub fn edit(&self, change: impl FnOnce(&mut Value)) {
        assert!(self.server.edit("kubectl", "microapprollouts", NS, NAME, |rollout| change(&mut rollout["spec"])));
    }

    /// Another image.
    pub fn upgrade(&self, version: u32) {
        self.edit(|spec| spec["template"]["spec"]["containers"][0]["image"] = image(version).into());
    }

    /// `kubectl annotate`.
    pub fn command(&self, verb: &str, token_and_reason: &str) {
        self.annotate(&format!("microapp.dev/{verb}"), token_and_reason);
    }

    pub fn annotate(&self, key: &str, value: &str) {
        let annotate = |rollout: &mut Value| rollout["metadata"]["annotations"][key] = value.into();
        assert!(self.server.edit("kubectl", "microapprollouts", NS, NAME, annotate));
    }

    /// Everything that the operator made for the rollout.
    pub fn children(&self) -> Vec<Value> {
        let kinds = ["deployments", "services", "controllerrevisions", "configmaps", "httproutes"];
        let all = kinds.into_iter().flat_map(|plural| self.server.list(plural, NS));
        all.filter(|object| object["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "microapp-operator")
            .collect()
    }

    /// How the pods of a version answer.
    pub fn profile(&self, version: u32, profile: Profile) {
        self.prometheus.profile(Pods::Image(image(version)), profile);
    }

    /// What the pods of a version do.
    pub fn behave(&self, version: u32, behaviour: Behaviour) {
        self.controllers.behave(Pods::Image(image(version)), behaviour);
    }

    pub fn rollout(&self) -> Value {
        self.server.get("microapprollouts", NS, NAME).unwrap_or_default()
    }

    pub fn route(&self) -> Value {
        self.server.get("httproutes", NS, NAME).unwrap_or_default()
    }

    /// An annotation of the route; empty where there is none.
    pub fn register(&self, key: &str) -> String {
        self.route()["metadata"]["annotations"][format!("microapp.dev/{key}")].as_str().unwrap_or_default().to_owned()
    }

    /// The latch.
    pub fn aborted(&self) -> Value {
        serde_json::from_str(&self.register("aborted")).unwrap_or_default()
    }

    /// The weights of the route's backends, in order.
    pub fn weights(&self) -> Vec<i64> {
        weights(&self.route())
    }

    /// A condition: its status and its reason.
    pub fn condition(&self, kind: &str) -> Option<(String, String)> {
        let rollout = self.rollout();
        let found = rollout["status"]["conditions"].as_array()?.iter().find(|one| one["type"] == kind)?.clone();
        Some((found["status"].as_str()?.to_owned(), found["reason"].as_str()?.to_owned()))
    }

    pub fn reads(&self, kind: &str, status: &str, reason: &str) -> bool {
        self.condition(kind) == Some((status.to_owned(), reason.to_owned()))
    }

    /// The revision whose image this is.
    pub fn revision(&self, version: u32) -> String {
        let image = image(version);
        let history = self.server.history();
        let made = history.iter().find(|version| {
            version.key.plural == "deployments"
                && version.object["spec"]["template"]["spec"]["containers"][0]["image"] == image.as_str()
        });
        made.map(|version| version.object["metadata"]["labels"]["microapp.dev/revision"].as_str().unwrap().to_owned())
            .unwrap_or_default()
    }

    pub fn stable_is(&self, version: u32) -> bool {
        let revision = self.revision(version);
        !revision.is_empty() && self.register("stable") == revision
    }

    /// Waits; panics with the state of everything after two hours.
    pub async fn until(&self, what: &str, yes: impl Fn(&Self) -> bool) {
        self.within(Duration::from_secs(2 * 3600), what, yes).await;
    }

    /// Waits no longer than this.
    pub async fn within(&self, limit: Duration, what: &str, yes: impl Fn(&Self) -> bool) {
        let came = timeout(limit, self.server.until(|_| yes(self))).await.is_ok();
        assert!(came, "not within {limit:?}: {what}\n{self:?}");
    }

    /// How many writes there were, events and leases left out.
    pub fn writes(&self) -> usize {
        self.server.writes_except_events_and_leases().len()
    }

    /// Waits until nothing has been written for a while; then reconciling again for an hour writes nothing.
    pub async fn rests(&self) {
        let mut before = self.writes();
        loop {
            sleep(Duration::from_secs(45)).await;
            let now = self.writes();
            if now == before {
                break;
            }
            before = now;
        }
        self.quiet().await;
    }

    /// An hour without any write.
    pub async fn quiet(&self) {
        // Nobody compares at rest, so traffic would only cost time.
        self.prometheus.set_rps(0.0);
        let before = self.writes();
        sleep(Duration::from_secs(3600)).await;
        let written: Vec<_> = self.server.writes_except_events_and_leases().split_off(before);
        let written: Vec<_> = written.iter().map(microapp_testkit::Request::summary).collect();
        assert!(written.is_empty(), "written at rest: {written:?}\n{self:?}");
    }

    /// Every version of the route.
    pub fn routes(&self) -> Vec<Version> {
        self.server.versions("httproutes", NS, NAME)
    }
}

/// The weights of a route's backends.
pub fn weights(route: &Value) -> Vec<i64> {
    let backends = route.pointer("/spec/rules/0/backendRefs").and_then(Value::as_array).cloned().unwrap_or_default();
    backends.iter().map(|backend| backend["weight"].as_i64().unwrap_or(-1)).collect()
}

/// `RUST_LOG=microapp=debug` shows what the operator thinks, with the time of the test.
fn logs() {
    struct Virtual;
    impl tracing_subscriber::fmt::time::FormatTime for Virtual {
        fn format_time(&self, w: &mut tracing_subscriber::fmt::format::Writer<'_>) -> fmt::Result {
            write!(w, "{}", microapp_testkit::clock::now())
        }
    }
    if std::env::var_os("RUST_LOG").is_some() {
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        let _ = tracing_subscriber::fmt().with_env_filter(filter).with_timer(Virtual).with_test_writer().try_init();
    }
}
