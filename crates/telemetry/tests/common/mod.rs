//! A Prometheus of a few lines: it keeps samples and evaluates the two forms of query that are asked for, by parsing
//! them. What the matchers do not bring does not come.
#![allow(dead_code, clippy::unwrap_used, clippy::missing_panics_doc)]

pub mod exposition;

use std::collections::{BTreeMap, BTreeSet};

use microapp_core::{
    counts::{Ask, Counts, Side, Unknown, Watch, Window},
    strategy::{Gate, GateKind, Judged, Mean, Preset, Share, Slow},
};
use microapp_telemetry::{Answer, Labels, PodRef, PriceTable, Query, Sample, Series, Subject, digest, queries};
use promql_parser::{
    label::Matchers,
    parser::{self, AggregateExpr, Expr, LabelModifier},
};

/// The attempt begins here: seconds since the epoch.
pub const START: i64 = 1_790_000_000;
pub const REQUESTS: &str = "gen_ai_client_operation_duration_seconds_count";
pub const BUCKETS: &str = "gen_ai_client_operation_duration_seconds_bucket";
pub const STABLE: &str = "shop-aaaaaaaaaa-7d9f-x1";
pub const STABLE_2: &str = "shop-aaaaaaaaaa-7d9f-x2";
pub const CANARY: &str = "shop-bbbbbbbbbb-5c4d-y1";
pub const CANARY_2: &str = "shop-bbbbbbbbbb-5c4d-y2";

/// Name, labels and value of a counter.
pub type Counter<'a> = (&'a str, &'a [(&'a str, &'a str)], f64);

/// Milliseconds since the epoch, `seconds` into the attempt.
pub fn at(seconds: f64) -> i64 {
    START * 1000 + (seconds * 1000.0).round() as i64
}

#[derive(Clone, Debug, Default)]
pub struct Store {
    pub series: BTreeMap<Labels, Vec<Sample>>,
    /// Not yet there at a moment before `at + delay` milliseconds.
    pub delay: i64,
    pub warnings: Vec<String>,
}

impl Store {
    pub fn put(&mut self, labels: &[(&str, &str)], seconds: f64, value: f64) {
        let labels = labels.iter().copied().collect();
        let samples = self.series.entry(labels).or_default();
        samples.push(Sample { at: at(seconds), value });
        samples.sort_by_key(|sample| sample.at);
    }

    /// One scrape of a pod: `up` and these counters, given as (name, labels, value).
    pub fn scrape(&mut self, pod: &str, seconds: f64, counters: &[Counter]) {
        let target = [("namespace", "fintech"), ("pod", pod), ("job", "pods"), ("instance", pod)];
        self.put(&[&[("__name__", "up")], &target[..]].concat(), seconds, 1.0);
        for (name, labels, value) in counters {
            self.put(&[&[("__name__", *name)], &target[..], labels].concat(), seconds, *value);
        }
    }

    /// A scrape with so many requests and errors since the pod started.
    pub fn requests(&mut self, pod: &str, seconds: f64, good: u32, bad: u32) {
        let mut counters: Vec<Counter> = Vec::new();
        if good > 0 {
            counters.push((REQUESTS, &[("gen_ai_operation_name", "chat")], f64::from(good)));
        }
        if bad > 0 {
            counters.push((REQUESTS, &[("gen_ai_operation_name", "chat"), ("error_type", "timeout")], f64::from(bad)));
        }
        self.scrape(pod, seconds, &counters);
    }

    pub fn down(&mut self, pod: &str, seconds: f64) {
        let target = [("namespace", "fintech"), ("pod", pod), ("job", "pods"), ("instance", pod)];
        self.put(&[&[("__name__", "up")], &target[..]].concat(), seconds, 0.0);
    }

    pub fn answer(&self, query: &Query) -> Answer {
        let now = (query.time * 1000.0).round() as i64;
        if let Expr::Aggregate(aggregate) = parser::parse(&query.promql).unwrap() {
            return self.grouped(&aggregate, now);
        }
        let (matchers, range, step) = match parser::parse(&query.promql).unwrap() {
            Expr::MatrixSelector(matrix) => (matrix.vs.matchers, matrix.range, None),
            Expr::Subquery(sub) => match *sub.expr {
                Expr::VectorSelector(vector) => (vector.matchers, sub.range, sub.step),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        };
        let range = i64::try_from(range.as_millis()).unwrap();
        let mut series = Vec::new();
        for (labels, samples) in &self.series {
            if !takes(&matchers, labels) {
                continue;
            }
            let there: Vec<Sample> = samples.iter().copied().filter(|s| s.at + self.delay <= now).collect();
            let samples: Vec<Sample> = match step {
                None => there.into_iter().filter(|s| s.at > now - range && s.at <= now).collect(),
                Some(step) => slices(&there, now, range, i64::try_from(step.as_millis()).unwrap()),
            };
            if !samples.is_empty() {
                series.push(Series { labels: labels.clone(), samples, ..Series::default() });
            }
        }
        Answer { series, warnings: self.warnings.clone(), ..Answer::default() }
    }

    /// `group by (…) (selector)`.
    fn grouped(&self, aggregate: &AggregateExpr, now: i64) -> Answer {
        let (Expr::VectorSelector(vector), Some(LabelModifier::Include(by))) = (&*aggregate.expr, &aggregate.modifier)
        else {
            panic!("{aggregate:?}")
        };
        assert_eq!(aggregate.op.to_string(), "group");
        let fresh = |sample: &Sample| sample.at <= now && sample.at > now - 300_000;
        let there =
            self.series.iter().filter(|(labels, samples)| takes(&vector.matchers, labels) && samples.iter().any(fresh));
        let groups: BTreeSet<Labels> = there
            .map(|(labels, _)| labels.iter().filter(|(name, _)| by.labels.iter().any(|by| by == name)).collect())
            .collect();
        let one = |labels| Series { labels, samples: vec![Sample { at: now, value: 1.0 }], ..Series::default() };
        Answer { series: groups.into_iter().map(one).collect(), ..Answer::default() }
    }

    pub fn ask(&self, subject: &Subject, ask: &Ask, watch: &Watch, seconds: f64) -> Counts {
        let now = at(seconds) as f64 / 1000.0;
        let answers: Vec<Answer> = queries(subject, ask, watch, now).iter().map(|query| self.answer(query)).collect();
        digest(subject, ask, watch, &answers, &PriceTable::built_in().unwrap(), now)
    }

    /// All windows that are complete at that moment.
    pub fn windows(&self, subject: &Subject, seconds: f64) -> Vec<Window> {
        match self.ask(subject, &Ask::Windows, &Watch::default(), seconds) {
            Counts::Windows(windows, _) => windows,
            other => panic!("{other:?}"),
        }
    }

    pub fn watch(&self, subject: &Subject, seconds: f64) -> Watch {
        match self.ask(subject, &Ask::Windows, &Watch::default(), seconds) {
            Counts::Windows(_, watch) => watch,
            other => panic!("{other:?}"),
        }
    }
}

fn slices(samples: &[Sample], now: i64, range: i64, step: i64) -> Vec<Sample> {
    let first = (now - range).div_euclid(step) * step + step;
    (first..=now)
        .step_by(usize::try_from(step).unwrap())
        .filter_map(|t| {
            let last = samples.iter().rfind(|s| s.at <= t && s.at > t - 300_000)?;
            Some(Sample { at: t, value: last.value })
        })
        .collect()
}

fn takes(matchers: &Matchers, labels: &Labels) -> bool {
    matchers.matchers.iter().all(|m| m.is_match(labels.get(&m.name).unwrap_or_default()))
}

pub fn gate(name: &str, kind: GateKind, source: Preset) -> Gate {
    Gate { name: name.to_owned(), kind, source, fallbacks: Vec::new(), defaulted: false, advisory: false }
}

pub fn errors() -> Gate {
    gate("errors", GateKind::Share { what: Share::Errors, max_ppm: Some(10_000) }, Preset::OtelGenai)
}

pub fn latency(max_micros: i64) -> Gate {
    gate("latency", GateKind::Slow { what: Slow::Response, slow_ppm: 50_000, max_micros, own: None }, Preset::OtelGenai)
}

pub fn cost() -> Gate {
    let kind = GateKind::Mean { what: Mean::Cost, max: None, max_increase_ppm: Some(100_000) };
    gate("cost", kind, Preset::OtelGenai)
}

pub fn grounded() -> Gate {
    gate("grounded", GateKind::Judged { what: Judged::Hallucination, max_ppm: 40_000, evaluator: None }, Preset::Evals)
}

/// Both revisions, 5 s windows, 25 %, one old pod each.
pub fn subject(gates: Vec<Gate>) -> Subject {
    let old = |name: &str| PodRef { name: name.to_owned(), started: (START - 86_400) as f64 };
    Subject {
        namespace: "fintech".to_owned(),
        name: "shop".to_owned(),
        port: 8080,
        stable: "aaaaaaaaaa".to_owned(),
        canary: Some("bbbbbbbbbb".to_owned()),
        gates,
        attempt_started: START as f64,
        step_since: None,
        weight_ppm: 250_000,
        canary_pods: vec![old(CANARY)],
        stable_pods: vec![old(STABLE)],
        interval: Some(5.0),
        back: None,
        probes: Vec::new(),
        workers: None,
    }
}

pub fn sides(window: &Window, gate: &str) -> (Option<Side>, Option<Side>) {
    let sides = window.gates[gate].unwrap();
    (sides.canary, sides.stable)
}

pub fn refusal(window: &Window, gate: &str) -> Unknown {
    window.gates[gate].unwrap_err()
}

#[allow(clippy::unnecessary_wraps)]
pub fn count(bad: u64, total: u64) -> Option<Side> {
    Some(Side::count(bad, total))
}
