//! Metrics that the pods push by OTLP, to Prometheus itself or through a collector. Nobody scrapes them: there is no `up`,
//! and no staleness. A series begins with its first value, and a process with nothing to tell may push nothing at all.
//!
//! Facts: OpenTelemetry's "Prometheus and OpenMetrics Compatibility" (`target_info`, `job`, `instance`), its resource
//! conventions of Kubernetes, and Prometheus' `otlp.promote_resource_attributes`, which writes dots as underscores.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    query::{Subject, millis},
    series::{Answer, Series},
    target::{Role, Target},
};

/// What stands beside the metrics of every process that pushes, with all of its resource attributes as labels.
pub(crate) const BEAT: &str = "target_info";
/// What one process collects within so many milliseconds is one push: some SDKs note the time of each instrument.
const TOGETHER: i64 = 250;
/// A push is read once it is so old, in milliseconds: a collector may forward it in several parts.
pub(crate) const SETTLE: i64 = 1_000;

/// By which labels the series of pods name their namespace and their pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Names {
    /// `namespace` and `pod`, as a scrape writes them.
    Plain,
    /// `k8s_namespace_name` and `k8s_pod_name`: promoted resource attributes.
    Attributes,
}

impl Names {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::Plain, Self::Attributes];

    /// The label of the namespace.
    pub(crate) const fn namespace(self) -> &'static str {
        match self {
            Self::Plain => "namespace",
            Self::Attributes => "k8s_namespace_name",
        }
    }

    /// The label of the pod.
    pub(crate) const fn pod(self) -> &'static str {
        match self {
            Self::Plain => "pod",
            Self::Attributes => "k8s_pod_name",
        }
    }
}

/// The answer with one time for each push of a process, its first, and without those that may not be whole at `now`
/// (milliseconds since the epoch).
pub(crate) fn together(answer: &Answer, names: Names, now: i64) -> Answer {
    let process = |series: &Series| [names.pod(), "job", "instance"].map(|label| series.label(label).to_owned());
    let mut times: BTreeMap<[String; 3], BTreeSet<i64>> = BTreeMap::new();
    for series in &answer.series {
        let samples = series.samples.iter().map(|sample| sample.at);
        let all = samples.chain(series.histograms.iter().map(|histogram| histogram.at));
        times.entry(process(series)).or_default().extend(all);
    }
    let begun: BTreeMap<_, _> = times.into_iter().map(|(process, times)| (process, firsts(times))).collect();
    let mut answer = answer.clone();
    for series in &mut answer.series {
        let Some(begun) = begun.get(&process(series)) else { continue };
        let first = |at: i64| begun.range(..=at).next_back().copied().unwrap_or(at);
        series.samples.iter_mut().for_each(|sample| sample.at = first(sample.at));
        series.histograms.iter_mut().for_each(|histogram| histogram.at = first(histogram.at));
        series.samples.retain(|sample| sample.at <= now - SETTLE);
        series.histograms.retain(|histogram| histogram.at <= now - SETTLE);
        // Of two values in one push the later one holds the earlier.
        series.samples.reverse();
        series.samples.dedup_by_key(|sample| sample.at);
        series.samples.reverse();
        series.histograms.reverse();
        series.histograms.dedup_by_key(|histogram| histogram.at);
        series.histograms.reverse();
    }
    answer
}

/// The first moment of each push.
fn firsts(times: BTreeSet<i64>) -> BTreeSet<i64> {
    let mut last = None;
    times
        .into_iter()
        .filter(|at| {
            let is_first = last.is_none_or(|first| *at > first + TOGETHER);
            if is_first {
                last = Some(*at);
            }
            is_first
        })
        .collect()
}

/// The moment from which a process that is seen for the first time counts from zero, in milliseconds; `None`: what it
/// pushes first is what it had counted before. `length`: how far pushes are apart, `from`: the first moment that was asked
/// for.
///
/// A process that has counted anything pushes it again and again, so one that pushed nothing for two intervals had counted
/// nothing. For stable, whose exporter may have been cut off for a while with a great past, that is believed of pods that
/// are newer than the question and of a new process in a pod that was heard before.
pub(crate) fn born(target: &Target, all: &[Target], subject: &Subject, from: i64, length: i64) -> Option<i64> {
    let first = *target.answered.first()?;
    let started = target.pod_ref(subject).map(|pod| millis(pod.started)).filter(|started| *started < first);
    let was_quiet = first > from + 2 * length;
    let is_young = started.is_some_and(|started| started >= from);
    let is_next = || {
        let others = all.iter().filter(|other| other.pod == target.pod && other.key != target.key);
        others.filter_map(|other| other.answered.first()).any(|heard| *heard < first)
    };
    let from_zero = match target.role {
        Some(Role::Canary) => was_quiet || is_young,
        Some(Role::Stable) | None => is_young || (was_quiet && is_next()),
    };
    from_zero.then(|| started.map_or(first - length, |started| started.max(first - length)))
}

/// For people, about the first of some gates: how its series and those of the `others` came, and how often. `interval` in
/// seconds.
pub(crate) fn remark(names: Names, others: &[&str], interval: f64) -> String {
    let (namespace, pod) = (names.namespace(), names.pod());
    let too = if others.is_empty() { String::new() } else { format!(" (so are those of {})", others.join(", ")) };
    let every =
        format!("its series are pushed by OTLP every {interval:.0} s{too}, told apart by {namespace} and {pod}");
    if interval <= 15.0 {
        return every;
    }
    format!(
        "{every}: a window of evidence is as long; OTEL_METRIC_EXPORT_INTERVAL=5000 in the template's env makes it 5 s"
    )
}

/// For people: stable pushes, but nothing of what was looked for has the labels that tell pods apart.
pub(crate) fn unpromoted() -> String {
    format!(
        "it pushes by OTLP ({BEAT} with {} and {} is there), so its metrics have other names, lack these two labels, or \
         are refused (delta temporality): promote the resource attributes k8s.namespace.name and k8s.pod.name \
         (otlp.promote_resource_attributes of Prometheus, resource_to_telemetry_conversion of a collector)",
        Names::Attributes.namespace(),
        Names::Attributes.pod(),
    )
}
