//! What stable's pods expose at all: one more question, asked where a gate's own series are missing, so that the refusal
//! can say what there is instead.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use microapp_core::{
    counts::{Counts, Unknown},
    strategy::{Gate, GateKind, Share},
};
use tokio::time::timeout;

use crate::{
    http::Prometheus,
    nearest::nearest,
    presets::{self, Scheme},
    query::{Query, Subject},
    series::{Answer, Series},
    words,
};

/// A refusal does not wait longer for its advice.
const PATIENCE: Duration = Duration::from_secs(3);

/// Labels that say how a request ended, in the spellings of exporters: OpenTelemetry's old and new HTTP conventions,
/// prometheus-fastapi-instrumentator, prometheus_flask_exporter and hand-written ones (`status`), starlette_exporter,
/// starlette-prometheus and express-prom-bundle (`status_code`), prom-client's examples (`code`), Micrometer (`outcome`),
/// Linkerd (`classification`), TGI (`err`). Without the others the answer is small, however many series there are.
const LABELS: &[&str] = &[
    "status",
    "status_code",
    "statusCode",
    "code",
    "http_status",
    "http_status_code",
    "http_response_status_code",
    "response_status",
    "response_status_code",
    "response_code",
    "status_class",
    "outcome",
    "result",
    "classification",
    "error_type",
    "err",
];

/// Metrics by name, each with the values of those labels.
#[derive(Debug, Default)]
pub(crate) struct Exposed(BTreeMap<String, Vec<Series>>);

impl Exposed {
    fn of(answer: Answer) -> Self {
        let mut metrics: BTreeMap<String, Vec<Series>> = BTreeMap::new();
        for series in answer.series.into_iter().filter(|series| !series.name().is_empty()) {
            metrics.entry(series.name().to_owned()).or_default().push(series);
        }
        Self(metrics)
    }

    /// Is there such a metric?
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The names of what the application counts itself.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str).filter(|name| !is_of_others(name))
    }

    /// Its labels that say how a request ended.
    pub(crate) fn labels(&self, name: &str) -> BTreeMap<&str, BTreeSet<&str>> {
        words::labels(self.0.get(name).into_iter().flatten())
    }
}

/// What client libraries, sidecars and Prometheus add to every target, and what the cluster says of every pod
/// (kube-state-metrics, cAdvisor, the rules of kube-prometheus).
fn is_of_others(name: &str) -> bool {
    const PREFIXES: &[&str] = &[
        "process_",
        "python_",
        "nodejs_",
        "go_",
        "jvm_",
        "dotnet_",
        "ruby_",
        "scrape_",
        "promhttp_",
        "otel_scope_",
        "prober_",
        "istio_agent_",
        "envoy_",
        "ALERTS",
    ];
    PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || ["kube_", "container_", "kubelet_"].iter().any(|part| name.contains(part))
        || matches!(name, "up" | "target_info")
        || name.ends_with("_created")
        || name.ends_with("_info")
}

/// The question: names and those labels alone, of all that stable's pods expose.
fn question(subject: &Subject) -> Option<String> {
    let by: Vec<&str> = std::iter::once("__name__").chain(LABELS.iter().copied()).collect();
    subject.selector(Scheme::Pods, &[&subject.stable], false).grouped(&by).ok()
}

/// Has some gate no series under the names that it looks for? `answers`: to `asked`.
pub(crate) fn lacking(subject: &Subject, counts: &Counts, asked: &[Query], answers: &[Answer]) -> Vec<String> {
    let Counts::Baseline { gates, .. } = counts else { return Vec::new() };
    let lacks = |gate: &&Gate| {
        let scheme = presets::scheme(gate.source);
        let refused = gates
            .get(&gate.name)
            .is_some_and(|found| found.as_ref().is_err_and(|unfit| unfit.reason == Unknown::NoData));
        // A query names nothing that could be looked for, and verdicts are nobody's own metrics.
        if !refused || scheme == Scheme::Evals || matches!(gate.kind, GateKind::Query { .. }) {
            return false;
        }
        let brought = asked.iter().zip(answers).filter(|(query, _)| query.scheme == scheme);
        let names: BTreeSet<&str> = brought.flat_map(|(_, answer)| &answer.series).map(Series::name).collect();
        let mut wanted = presets::needed(gate, scheme).into_iter();
        let is_there = |name: String| names.contains(name.as_str());
        match gate.kind {
            GateKind::Share { what: Share::Ratio { .. }, .. } => !wanted.all(is_there),
            _ => !wanted.any(is_there),
        }
    };
    subject.gates.iter().filter(lacks).map(|gate| gate.name.clone()).collect()
}

/// Adds what stable exposes instead, and the nearest that would work, to the refusals of these gates. Where the question
/// is not answered in time, they stay as they are.
pub(crate) async fn advise(
    prometheus: &dyn Prometheus,
    subject: &Subject,
    lacking: &[String],
    counts: &mut Counts,
    now: f64,
) {
    let Counts::Baseline { gates, .. } = counts else { return };
    if lacking.is_empty() {
        return;
    }
    let Some(question) = question(subject) else { return };
    let Ok(Ok(answer)) = timeout(PATIENCE, prometheus.query(&question, now)).await else { return };
    let exposed = Exposed::of(answer);
    for gate in subject.gates.iter().filter(|gate| lacking.contains(&gate.name)) {
        if let (Some(Err(unfit)), Some(advice)) = (gates.get_mut(&gate.name), nearest(gate, &exposed)) {
            unfit.message = format!("{}; {advice}", unfit.message);
        }
    }
}
