//! Metrics of our own. Counters and histograms carry no object names; the gauges of a rollout vanish with it. No
//! revision, image, address or text of anybody is a label.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use microapp_api::v1alpha1::{MicroAppRolloutStatus, Verdict};
use microapp_core::{Judgement, build::Kind};
use prometheus_client::{
    encoding::text::encode,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

use tokio::time::Instant;

use crate::cache::Key;

/// A dead watch fails at least this often; where it has not, it lives, though it may bring nothing.
const QUIET: Duration = Duration::from_secs(60);

type Labels = Vec<(&'static str, String)>;
type Ratio = Gauge<f64, std::sync::atomic::AtomicU64>;

/// All of them.
pub struct Metrics {
    registry: Registry,
    conditions: Family<Labels, Gauge>,
    weight: Family<Labels, Ratio>,
    verdicts: Family<Labels, Gauge>,
    blocked: Family<Labels, Gauge>,
    unreadable: Family<Labels, Counter>,
    leader: Gauge,
    rollouts: Family<Labels, Counter>,
    errors: Family<Labels, Counter>,
    watch_errors: Family<Labels, Counter>,
    staleness: Family<Labels, Ratio>,
    writes: Family<Labels, Counter>,
    detect: Histogram,
    rollback: Histogram,
    reconcile: Histogram,
    query: Family<Labels, Histogram>,
    /// The gauges that a rollout has, so that they can go with it.
    shown: Mutex<HashMap<Key, Shown>>,
    /// Per kind and namespace: the first and the last failure of its watch in a row.
    failing: Mutex<HashMap<Watched, (Instant, Instant)>>,
}

/// A kind, in one namespace or in all.
type Watched = (Kind, Option<String>);

#[derive(Debug, Default)]
struct Shown {
    conditions: HashSet<Labels>,
    verdicts: HashSet<Labels>,
    weight: Option<Labels>,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

/// From a millisecond to a minute.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 17))
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All at zero.
    pub fn new() -> Self {
        let mut all = Self {
            registry: Registry::with_prefix("microapp"),
            conditions: Family::default(),
            weight: Family::default(),
            verdicts: Family::default(),
            blocked: Family::default(),
            unreadable: Family::default(),
            leader: Gauge::default(),
            rollouts: Family::default(),
            errors: Family::default(),
            watch_errors: Family::default(),
            staleness: Family::default(),
            writes: Family::default(),
            detect: seconds(),
            rollback: seconds(),
            reconcile: seconds(),
            query: Family::new_with_constructor(seconds),
            shown: Mutex::default(),
            failing: Mutex::default(),
        };
        let r = &mut all.registry;
        r.register("rollout_condition", "1 where the condition is true", all.conditions.clone());
        r.register("rollout_canary_weight_ratio", "The canary's share of the traffic", all.weight.clone());
        r.register("gate_verdict", "1 for the verdict that the gate gives", all.verdicts.clone());
        r.register("rollback_blocked", "1 where a rollback is decided and does not get through", all.blocked.clone());
        r.register("unreadable_objects", "Objects that could not be read and were left out", all.unreadable.clone());
        r.register("leader", "1 where this process leads", all.leader.clone());
        r.register("rollouts", "Attempts that ended, by result and reason", all.rollouts.clone());
        r.register("reconcile_errors", "Calls and passes that failed, by category", all.errors.clone());
        r.register("watch_errors", "Watches that had to be started again, by kind", all.watch_errors.clone());
        r.register("watch_staleness_seconds", "How long the watch of a kind has been failing", all.staleness.clone());
        r.register("writes", "Mutating requests that succeeded, by what they were", all.writes.clone());
        r.register("detect_seconds", "From the newest sample to the route lowered", all.detect.clone());
        r.register("rollback_seconds", "From the decision to lower to the route lowered", all.rollback.clone());
        r.register("reconcile_seconds", "Length of a pass, its request included", all.reconcile.clone());
        r.register("query_seconds", "Length of a question to Prometheus, by outcome", all.query.clone());
        all
    }

    /// In the text format.
    pub fn encode(&self) -> String {
        for kind in Kind::ALL {
            let failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
            let since = failing
                .iter()
                .filter(|((of, _), (_, last))| *of == kind && last.elapsed() <= QUIET)
                .map(|(_, (first, _))| first.elapsed().as_secs_f64())
                .fold(0.0, f64::max);
            drop(failing);
            self.staleness.get_or_create(&vec![("kind", kind.as_str().to_owned())]).set(since);
        }
        let mut text = String::new();
        // Writing into a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    pub(crate) fn error(&self, category: &'static str) {
        self.errors.get_or_create(&vec![("category", category.to_owned())]).inc();
    }

    pub(crate) fn watch_error(&self, kind: Kind, scope: Option<&str>) {
        self.watch_errors.get_or_create(&vec![("kind", kind.as_str().to_owned())]).inc();
        let now = Instant::now();
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        let (first, last) = failing.entry((kind, scope.map(str::to_owned))).or_insert((now, now));
        if last.elapsed() > QUIET {
            *first = now;
        }
        *last = now;
    }

    /// Its watch brought something: it is alive.
    pub(crate) fn watch_alive(&self, kind: Kind, scope: Option<&str>) {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        if !failing.is_empty() {
            failing.remove(&(kind, scope.map(str::to_owned)));
        }
    }

    /// An object that cannot be read was left out.
    pub(crate) fn unreadable(&self, kind: Kind) {
        self.unreadable.get_or_create(&vec![("kind", kind.as_str().to_owned())]).inc();
    }

    /// A lower of the rollout does not get through.
    pub(crate) fn blocked(&self, key: &Key) {
        self.blocked.get_or_create(&labels(key)).set(1);
    }

    /// It did, or none is wanted any more.
    pub(crate) fn unblocked(&self, key: &Key) {
        self.blocked.remove(&labels(key));
    }

    pub(crate) fn wrote(&self, write: &'static str) {
        self.writes.get_or_create(&vec![("write", write.to_owned())]).inc();
    }

    pub(crate) fn ended(&self, result: &'static str, reason: &str) {
        self.rollouts.get_or_create(&vec![("result", result.to_owned()), ("reason", reason.to_owned())]).inc();
    }

    pub(crate) fn detected(&self, seconds: f64) {
        self.detect.observe(seconds);
    }

    pub(crate) fn rolled_back(&self, took: Duration) {
        self.rollback.observe(took.as_secs_f64());
    }

    pub(crate) fn reconcile(&self, took: Duration) {
        self.reconcile.observe(took.as_secs_f64());
    }

    pub(crate) fn query(&self, outcome: &'static str, took: Duration) {
        let labels = vec![("backend", "default".to_owned()), ("outcome", outcome.to_owned())];
        self.query.get_or_create(&labels).observe(took.as_secs_f64());
    }

    pub(crate) fn leads(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// The gauges of a rollout as they are now.
    pub(crate) fn show(&self, key: &Key, status: &MicroAppRolloutStatus, weight: f64, judgement: &Judgement) {
        let base = || labels(key);
        let with = |more: &[(&'static str, &str)]| {
            let mut labels = base();
            labels.extend(more.iter().map(|(label, value)| (*label, (*value).to_owned())));
            labels
        };
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let before = shown.remove(key).unwrap_or_default();
        let mut now = Shown { weight: Some(base()), ..Shown::default() };
        for condition in &status.conditions {
            let labels = with(&[("type", &condition.type_)]);
            self.conditions.get_or_create(&labels).set(i64::from(condition.status == "True"));
            now.conditions.insert(labels);
        }
        for gate in &judgement.gates {
            let labels = with(&[
                ("gate", &gate.name),
                ("verdict", verdict(gate.verdict)),
                ("advisory", if gate.advisory { "true" } else { "false" }),
            ]);
            self.verdicts.get_or_create(&labels).set(1);
            now.verdicts.insert(labels);
        }
        self.weight.get_or_create(&base()).set(weight);
        for labels in before.conditions.difference(&now.conditions) {
            self.conditions.remove(labels);
        }
        for labels in before.verdicts.difference(&now.verdicts) {
            self.verdicts.remove(labels);
        }
        shown.insert(key.clone(), now);
    }

    /// The rollout is gone.
    pub(crate) fn forget(&self, key: &Key) {
        let gone = self.shown.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        let Shown { conditions, verdicts, weight } = gone.unwrap_or_default();
        self.unblocked(key);
        for labels in &conditions {
            self.conditions.remove(labels);
        }
        for labels in &verdicts {
            self.verdicts.remove(labels);
        }
        if let Some(labels) = &weight {
            self.weight.remove(labels);
        }
    }
}

fn labels(key: &Key) -> Labels {
    vec![("namespace", key.namespace.clone()), ("name", key.name.clone())]
}

const fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Fail => "fail",
        Verdict::Unknown => "unknown",
        Verdict::NotWatched => "not_watched",
    }
}
