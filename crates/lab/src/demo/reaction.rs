//! How long the operator takes from a complete window to the route, by Prometheus' own samples and the API server's
//! audit log.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::cluster::{NAMESPACE, ROLLOUT};
use super::report::Outcome;
use crate::error::{Error, Result};
use crate::{Audit, Lab, Request};

/// The operator's user, as the chart makes it.
pub(crate) const OPERATOR: &str = "system:serviceaccount:microapp-system:microapp-rollouts";
/// The length of a window in milliseconds: the scrape interval.
const WINDOW: i64 = 5_000;
const FAILED: &str = "gen_ai_client_operation_duration_seconds_count";

/// Milliseconds from the last scrape that the deciding window waited for (its time is the scrape's begin) to the answer to
/// the write that put the weight to 0. `audit`: reads on from before the attempt.
pub(crate) fn milliseconds(lab: &Lab, audit: &mut Audit, outcome: &Outcome) -> Result<f64> {
    let what = |what: &str| Error::Invalid(format!("{}: {what}", outcome.revision));
    let aborted = outcome.aborted.as_ref().ok_or_else(|| what("was not reverted"))?;
    let started = outcome.started.ok_or_else(|| what("its status told no beginning"))?;
    let lower = audit.requests()?.into_iter().find(|request| is_write(request) && request.at >= aborted.at);
    let lower = lower.ok_or_else(|| what("no write of its route is in the audit log"))?.at;
    let before = |series: crate::Series| -> Vec<(Timestamp, f64)> {
        series.samples.into_iter().filter(|(at, _)| *at > started && *at <= lower).collect()
    };
    let index = |at: Timestamp| (at.as_millisecond() - started.as_millisecond() + WINDOW - 1).div_euclid(WINDOW);
    let alive = |scrapes: &Vec<(Timestamp, f64)>| {
        // One that is gone is tried once or twice more, and does not answer.
        scrapes.last().is_some_and(|(at, up)| *up > 0.0 && at.as_millisecond() > lower.as_millisecond() - WINDOW)
    };
    let up = lab.samples(&format!("up{{namespace=\"{NAMESPACE}\",pod=~\"{ROLLOUT}-.*\"}}[10m]"))?;
    let targets: Vec<_> = up.into_iter().map(before).filter(alive).collect();
    let mut windows: BTreeMap<i64, Vec<Timestamp>> = BTreeMap::new();
    for (at, _) in targets.iter().flatten() {
        windows.entry(index(*at)).or_default().push(*at);
    }
    let (last, scrapes) = windows
        .iter()
        .rev()
        .find(|(_, scrapes)| scrapes.len() == targets.len())
        .ok_or_else(|| what("no window of it is complete"))?;
    // The decision names what it knew: exactly this window's counts, or the figure would be another window's.
    let pods = format!("namespace=\"{NAMESPACE}\",pod=~\"{ROLLOUT}-{}-.*\"", outcome.revision);
    let failed = lab.samples(&format!("{FAILED}{{{pods},error_type!=\"\"}}[10m]"))?;
    let known: f64 = failed
        .into_iter()
        .map(before)
        .filter_map(|samples| samples.into_iter().rev().find(|(at, _)| index(*at) <= *last))
        .map(|(_, count)| count)
        .sum();
    match aborted.canary {
        Some([bad, _]) if bad as f64 == known => {}
        other => return Err(what(&format!("was decided on {other:?}, but the window before had {known} failures"))),
    }
    let complete = scrapes.iter().max().copied().unwrap_or(started);
    Ok(lower.duration_since(complete).as_secs_f64() * 1000.0)
}

fn is_write(request: &Request) -> bool {
    request.user == OPERATOR
        && request.verb == "patch"
        && request.resource == "httproutes"
        && request.namespace == NAMESPACE
}
