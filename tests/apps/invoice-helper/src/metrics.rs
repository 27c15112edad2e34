//! The OpenTelemetry GenAI metrics (semantic conventions up to 1.42) in Prometheus form, and the verdicts of our judge.
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus_client::encoding::prometheus_text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::judge::{EVALUATOR, EVALUATOR_VERSION, Verdict};

// A list, not a struct: a label that does not apply (`error_type` on success) is absent, not empty.
type Labels = Vec<(&'static str, String)>;
type Histograms = Family<Labels, Histogram, fn() -> Histogram>;

/// What one operation was: the model's answer is missing when it never came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operation<'a> {
    pub(crate) provider: &'a str,
    pub(crate) request_model: &'a str,
    pub(crate) response_model: Option<&'a str>,
}

impl Operation<'_> {
    fn labels(&self) -> Labels {
        let mut labels = vec![
            ("gen_ai_operation_name", "chat".to_owned()),
            ("gen_ai_provider_name", self.provider.to_owned()),
            ("gen_ai_request_model", self.request_model.to_owned()),
        ];
        labels.extend(self.response_model.map(|model| ("gen_ai_response_model", model.to_owned())));
        labels
    }
}

#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    duration: Histograms,
    tokens: Histograms,
    started: Family<Labels, Counter>,
    results: Family<Labels, Counter>,
    lag: Histograms,
    resident: Gauge,
    /// Labels of the verdicts: which revision of which rollout answered.
    judged: Labels,
}

/// .01 · 2^k up to 81.92 s, the bounds that the conventions give.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.01, 2.0, 14))
}

/// 4^k up to 67 108 864 tokens, the bounds that the conventions give.
fn token_counts() -> Histogram {
    Histogram::new(exponential_buckets(1.0, 4.0, 14))
}

impl Metrics {
    pub(crate) fn new(revision: &str, rollout: Option<&str>) -> Self {
        let mut registry = Registry::default();
        let duration = Histograms::new_with_constructor(seconds);
        let tokens = Histograms::new_with_constructor(token_counts);
        let lag = Histograms::new_with_constructor(seconds);
        let (started, results) = (Family::default(), Family::default());
        let (resident, start) = (Gauge::default(), Gauge::<f64, AtomicU64>::default());
        start.set(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64());
        registry.register(
            "gen_ai_client_operation_duration_seconds",
            "What the user waited for, errors included",
            duration.clone(),
        );
        registry.register("gen_ai_client_token_usage", "Input and output tokens per operation", tokens.clone());
        registry.register("llm_eval_started", "Answers handed to an evaluator", started.clone());
        registry.register("llm_eval_results", "Verdicts of an evaluator", results.clone());
        registry.register("llm_eval_lag_seconds", "From an answer to its verdict", lag.clone());
        registry.register("process_resident_memory_bytes", "Resident memory size in bytes", resident.clone());
        registry.register("process_start_time_seconds", "Start time of the process since unix epoch in seconds", start);
        let mut judged = vec![("revision", revision.to_owned())];
        judged.extend(rollout.map(|rollout| ("rollout", rollout.to_owned())));
        Self { registry, duration, tokens, started, results, lag, resident, judged }
    }

    /// Counts an operation. The series of a success exists from the first answer on, whatever became of it.
    pub(crate) fn operation(&self, operation: Operation<'_>, waited: Duration, error_type: Option<&str>) {
        let mut labels = operation.labels();
        if operation.response_model.is_some() {
            drop(self.duration.get_or_create(&labels));
        }
        labels.extend(error_type.map(|kind| ("error_type", kind.to_owned())));
        self.duration.get_or_create(&labels).observe(waited.as_secs_f64());
    }

    pub(crate) fn usage(&self, operation: Operation<'_>, input: u64, output: u64) {
        for (kind, count) in [("input", input), ("output", output)] {
            let mut labels = operation.labels();
            labels.push(("gen_ai_token_type", kind.to_owned()));
            self.tokens.get_or_create(&labels).observe(count as f64);
        }
    }

    pub(crate) fn evaluation_started(&self) {
        for verdict in [Verdict::Pass, Verdict::Fail] {
            drop(self.results.get_or_create(&self.result(verdict)));
        }
        self.started.get_or_create(&self.sampled()).inc();
    }

    pub(crate) fn evaluation_done(&self, verdict: Verdict, lag: Duration) {
        self.results.get_or_create(&self.result(verdict)).inc();
        let labels = [vec![("evaluator", EVALUATOR.to_owned())], self.judged.clone()].concat();
        self.lag.get_or_create(&labels).observe(lag.as_secs_f64());
    }

    // Every answer is judged: that is a random sample of rate 1.
    fn sampled(&self) -> Labels {
        let mut labels = vec![
            ("evaluator", EVALUATOR.to_owned()),
            ("sampling", "random".to_owned()),
            ("unit", "request".to_owned()),
        ];
        labels.extend(self.judged.iter().cloned());
        labels
    }

    fn result(&self, verdict: Verdict) -> Labels {
        let mut labels = self.sampled();
        labels.push(("evaluator_version", EVALUATOR_VERSION.to_owned()));
        labels.push(("verdict", verdict.as_str().to_owned()));
        labels
    }

    /// The exposition, in [`prometheus_text::CONTENT_TYPE`].
    pub(crate) fn encode(&self) -> Result<String, std::fmt::Error> {
        self.resident.set(resident_bytes().unwrap_or_default());
        let mut text = String::new();
        prometheus_text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

fn resident_bytes() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<i64>().ok().map(|kib| kib * 1024)
}
