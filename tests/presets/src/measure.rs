//! Asks the running Prometheus as `plan` and the operator do, and adds up what comes.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail};
use microapp_api::v1alpha1::MicroAppRolloutSpec;
use microapp_core::{
    Strategy,
    counts::{Ask, Counts, Side, Unknown, Watch, Window},
    probes::probes,
    workers::workers,
};
use microapp_telemetry::{HttpPrometheus, PodRef, PriceTable, Subject, ask};
use serde::Deserialize as _;
use serde_json::{Value, json};

use crate::{
    apps::{App, Probe, Program},
    scrape::NAMESPACE,
};

/// The revisions of every rollout.
pub const STABLE: &str = "aaaaaaaaaa";
/// The new one.
pub const CANARY: &str = "bbbbbbbbbb";

/// The name of a revision's pod.
pub fn pod(app: &App, revision: &str) -> String {
    format!("{}-{revision}-7d9f-x1", app.name)
}

/// A rollout of the app with these gates; `None`: with none, so the defaults.
pub fn spec(app: &App, preset: Option<&str>, gates: Option<Vec<Value>>) -> Value {
    let [name, version] = app.model;
    let provider = if name.starts_with("claude") { "anthropic" } else { "openai" };
    let mut spec = json!({
        "replicas": 1,
        "template": {"spec": {"containers": [{
            "name": "app", "image": "registry.example.com/app:v2", "ports": [{"name": "http", "containerPort": 8080}],
            "readinessProbe": {"httpGet": {"path": "/healthz", "port": 8080}},
        }]}},
        "model": {"provider": provider, "name": name, "version": version},
        "prompts": {"configMapRef": {"name": "prompts"}},
        "traffic": {"port": 8080, "gateway": {"parentRefs": [{"name": "public"}], "hostnames": ["app.example.com"]}},
        "strategy": {"tolerance": "10%"},
    });
    if let Program::Uvicorn { workers: count @ 2.., .. } = app.program {
        let arguments = ["uvicorn", "app:app", "--workers", &count.to_string()].map(str::to_owned);
        spec["template"]["spec"]["containers"][0]["args"] = json!(arguments);
    }
    if let Some(preset) = preset {
        spec["telemetry"] = json!({"preset": preset});
    }
    if let Some(gates) = gates {
        spec["gates"] = json!(gates);
    }
    spec
}

/// The plan of a spec.
///
/// # Errors
/// It names none, in one sentence.
pub fn plan(spec: &Value, prices: &PriceTable) -> Result<Strategy> {
    let spec = MicroAppRolloutSpec::deserialize(spec)?;
    Ok(Strategy::resolve(&spec, prices.digest())?)
}

/// A gate as the API has it.
///
/// # Errors
/// Its YAML does not read.
pub fn gate(probe: &Probe) -> Result<Value> {
    let mut gate: Value = serde_saphyr::from_str(probe.spec).with_context(|| probe.name.to_owned())?;
    gate["name"] = json!(probe.name);
    Ok(gate)
}

/// What is asked about.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The rollout, without a canary.
    subject: Subject,
    started: f64,
}

impl Measured {
    /// Both revisions of an app, whose pods started then.
    pub fn new(app: &App, plan: &Strategy, started: f64) -> Self {
        let subject = Subject {
            namespace: NAMESPACE.to_owned(),
            name: app.name.to_owned(),
            port: 8080,
            stable: STABLE.to_owned(),
            canary: None,
            gates: plan.gates.clone(),
            probes: probes(&spec(app, None, None)["template"]),
            workers: workers(&spec(app, None, None)["template"]),
            attempt_started: started,
            step_since: None,
            weight_ppm: 0,
            canary_pods: Vec::new(),
            stable_pods: vec![PodRef { name: pod(app, STABLE), started }],
            interval: None,
            back: None,
        };
        Self { subject, started }
    }

    /// What stable did before.
    ///
    /// # Errors
    /// Prometheus is silent.
    pub async fn before(&self, prometheus: &HttpPrometheus, prices: &PriceTable, now: f64) -> Result<Counts> {
        match ask(prometheus, &self.subject, &Ask::Baseline, &Watch::default(), prices, now).await {
            (Counts::Silent(why), trouble) => bail!("the baseline is silent: {why:?} {trouble:?}"),
            (counts, _) => Ok(counts),
        }
    }

    /// The windows of an attempt that began then, with what the baseline pinned.
    ///
    /// # Errors
    /// Prometheus is silent.
    pub async fn windows(
        &self,
        app: &App,
        prometheus: &HttpPrometheus,
        prices: &PriceTable,
        before: &Counts,
        attempt: f64,
        now: f64,
    ) -> Result<(Vec<Window>, Watch)> {
        let Counts::Baseline { interval, pins, .. } = before else { bail!("there is no baseline") };
        let subject = Subject {
            canary: Some(CANARY.to_owned()),
            attempt_started: attempt,
            step_since: Some(attempt),
            weight_ppm: 250_000,
            canary_pods: vec![PodRef { name: pod(app, CANARY), started: self.started }],
            interval: Some(*interval),
            ..self.subject.clone()
        };
        let mut watch = Watch { pins: pins.clone(), ..Watch::default() };
        let mut all = Vec::new();
        loop {
            match ask(prometheus, &subject, &Ask::Windows, &watch, prices, now).await {
                (Counts::Windows(windows, next), _) if !windows.is_empty() => {
                    all.extend(windows);
                    watch = next;
                }
                // The rest is still to come.
                (Counts::Windows(..) | Counts::None | Counts::Silent(Unknown::Stale), _) => return Ok((all, watch)),
                (Counts::Silent(why), trouble) => bail!("the windows are silent: {why:?} {trouble:?}"),
                (Counts::Baseline { .. }, _) => bail!("a baseline was not asked for"),
            }
        }
    }
}

/// One side of one gate over all windows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sum {
    /// What was counted; none where no window had this side.
    pub side: Option<Side>,
    /// Why some windows say nothing.
    pub unknown: BTreeSet<Unknown>,
}

/// Both sides of every gate, canary first, over all windows.
pub fn sums(windows: &[Window]) -> BTreeMap<String, [Sum; 2]> {
    let mut sums: BTreeMap<String, [Sum; 2]> = BTreeMap::new();
    for (name, sides) in windows.iter().flat_map(|window| &window.gates) {
        let [canary, stable] = sums.entry(name.clone()).or_default();
        match sides {
            Ok(sides) => {
                canary.side = added(canary.side, sides.canary);
                stable.side = added(stable.side, sides.stable);
            }
            Err(why) => {
                canary.unknown.insert(*why);
                stable.unknown.insert(*why);
            }
        }
    }
    sums
}

fn added(sum: Option<Side>, more: Option<Side>) -> Option<Side> {
    match (sum, more) {
        (Some(Side::Count { above: a, below: b, total: t }), Some(Side::Count { above, below, total })) => {
            Some(Side::Count { above: a + above, below: b + below, total: t + total })
        }
        (Some(Side::Mean { n: m, sum: s }), Some(Side::Mean { n, sum })) => Some(Side::Mean { n: m + n, sum: s + sum }),
        // Values of a time, and verdicts, are not added up here.
        (sum, more) => more.or(sum),
    }
}
