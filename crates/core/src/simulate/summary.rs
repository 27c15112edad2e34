//! What many runs came to.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{End, Run, interval};

/// All runs, grouped by how they ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// How many there were.
    pub runs: u64,
    /// By end and reason, the most frequent first.
    pub outcomes: Vec<Group>,
}

/// The runs that ended in one way.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    /// `promoted`, `rolled back`, `undecided`, `refused by preflight`.
    pub outcome: &'static str,
    /// The operator's word for it.
    pub reason: String,
    /// How many.
    pub runs: u64,
    /// Their share.
    pub share: f64,
    /// Where the true share lies, with 95 % confidence (Clopper, Pearson).
    pub interval: [f64; 2],
    /// Seconds until it was decided.
    pub seconds: Quantiles,
    /// Requests that the canary had served by then.
    pub requests: Quantiles,
    /// Bad responses that the canary had served by then, over all gates.
    pub bad: Quantiles,
    /// The same per gate.
    pub bad_by_gate: BTreeMap<String, Quantiles>,
    /// Seconds until the canary had all traffic, where every run of the group came so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ramp_seconds: Option<Quantiles>,
    /// Requests that it had served by then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ramp_requests: Option<Quantiles>,
}

/// The middle and the bad end of what was seen (nearest rank).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Quantiles {
    /// Half of the runs were not above it.
    pub p50: f64,
    /// 95 of 100 were not.
    pub p95: f64,
}

impl Quantiles {
    /// Of at least one value; NaN of none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<_> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let rank = |share: f64| {
            let index = (share * values.len() as f64).ceil() as usize;
            values.get(index.saturating_sub(1)).copied().unwrap_or(f64::NAN)
        };
        Self { p50: rank(0.5), p95: rank(0.95) }
    }
}

impl Summary {
    /// Of these runs, whose plan has these gates.
    pub fn of(runs: &[Run], gates: &[String]) -> Self {
        let mut groups: BTreeMap<(End, &str), Vec<&Run>> = BTreeMap::new();
        for run in runs {
            groups.entry((run.end, &run.reason)).or_default().push(run);
        }
        let mut outcomes: Vec<_> =
            groups.iter().map(|((end, reason), of)| Group::of(*end, reason, of, runs.len(), gates)).collect();
        outcomes.sort_by_key(|group| std::cmp::Reverse(group.runs));
        Self { runs: runs.len() as u64, outcomes }
    }
}

impl Group {
    fn of(end: End, reason: &str, of: &[&Run], all: usize, gates: &[String]) -> Self {
        let runs = of.len() as u64;
        let (low, high) = interval(runs, all as u64, 0.95);
        let full: Option<Vec<_>> = of.iter().map(|run| run.full).collect();
        let full = full.as_deref();
        Self {
            outcome: end.as_str(),
            reason: reason.to_owned(),
            runs,
            share: runs as f64 / all as f64,
            interval: [low, high],
            seconds: Quantiles::of(of.iter().map(|run| run.seconds)),
            requests: Quantiles::of(of.iter().map(|run| run.requests as f64)),
            bad: Quantiles::of(of.iter().map(|run| run.bad.iter().sum::<u64>() as f64)),
            bad_by_gate: gates
                .iter()
                .enumerate()
                .map(|(index, name)| {
                    let bad = of.iter().map(|run| run.bad.get(index).copied().unwrap_or(0) as f64);
                    (name.clone(), Quantiles::of(bad))
                })
                .collect(),
            ramp_seconds: full.map(|full| Quantiles::of(full.iter().map(|(seconds, _)| *seconds))),
            ramp_requests: full.map(|full| Quantiles::of(full.iter().map(|(_, requests)| *requests as f64))),
        }
    }
}
