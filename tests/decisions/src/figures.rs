//! The figures about our rule alone: what was promised of it, in which environments, and at which traffic.

use std::{fmt::Write as _, time::Instant};

use microapp_core::{replay::Malformed, simulate::Quantiles};
use serde_json::json;

use crate::{
    alone::{self, Alone, Case, Odd},
    cell::{Cell, Share},
    detect,
    report::{both, count, percent, share, span},
    rule::{End, Run},
};

/// What a row is for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum For {
    /// A bad canary beside a stable that broke: none is promoted.
    BadFix,
    /// Nothing was promised.
    Word,
    /// At most so many requests until the rollback, median.
    Detect(f64),
    /// All traffic within so many seconds, median.
    Fast(f64),
}

/// All rows, measured.
#[derive(Debug)]
pub struct Figures {
    rows: Vec<(For, Case, Vec<Alone>)>,
    /// Requests per second; no difference; a canary that fails 20 %.
    traffic: Vec<(f64, Vec<Alone>, Vec<Alone>)>,
    /// Share of bad ones; requests of ours and of the SPRT; what the ratio may be.
    detect: Vec<(f64, [f64; 2], f64)>,
}

fn rows() -> Vec<(For, Case)> {
    let mut rows = Vec::new();
    for bad in [0.05, 0.10, 0.30] {
        let name = format!("stable broke and fails 30 %, the canary fails {} %", percent(bad));
        rows.push((For::BadFix, Case::errors(name, 50.0, 5.0, 0.005, bad).odd(Odd::Broken(0.30))));
    }
    let fix = "stable broke and fails 30 %, the canary mends it";
    rows.push((For::Word, Case::errors(fix, 50.0, 5.0, 0.005, 0.005).odd(Odd::Broken(0.30))));
    for (bad, limit) in [(0.05, 230.0), (0.20, 30.0), (0.50, 12.0)] {
        let name = format!("four gates share α, 1 % of 50 requests/s, errors 0.5 → {} %", percent(bad));
        let mut case = Case::errors(name, 50.0, 5.0, 0.005, bad);
        case.gates = ["errors", "second", "third", "fourth"]
            .map(|name| json!({"name": name, "errorRate": {"max": "1%"}}))
            .into_iter()
            .collect();
        (case.stable, case.canary) = (vec![0.005; 4], vec![bad, 0.005, 0.005, 0.005]);
        case.strategy = json!({"tolerance": "0.5%", "steps": [
            {"weight": 1, "dwell": "3h"}, {"weight": 100, "dwell": "1m"}
        ], "maxStepDuration": "6h"});
        rows.push((For::Detect(limit), case));
    }
    let name = "no difference, errors, latency and all answers judged within a second, 50 requests/s";
    let mut all = Case::errors(name, 50.0, 5.0, 0.0, 0.0);
    all.gates = json!([
        {"name": "errors", "errorRate": {"max": "1%"}},
        {"name": "latency", "latency": {"quantile": "0.95", "max": "2560ms"}},
        {"name": "judged", "hallucination": {"max": "4%"}}
    ]);
    (all.stable, all.canary) = (vec![0.005, 0.02, 0.01], vec![0.005, 0.02, 0.01]);
    let mut late = all.clone();
    rows.push((For::Fast(1200.0), all));
    "no difference, the same with verdicts after 30 s".clone_into(&mut late.name);
    late.verdict = 30.0;
    rows.push((For::Word, late));
    rows
}

/// Requests per second of the table of times to promotion.
const TRAFFIC: [f64; 11] = [0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 500.0, 5000.0];

fn cell(runs: &[Alone]) -> Cell {
    Cell::of(runs.iter().map(|alone| alone.run.clone()).collect())
}

fn ended(runs: &[Alone], end: End) -> Share {
    cell(runs).share(end)
}

fn quantiles(runs: &[Alone], end: End, value: fn(&Run) -> f64) -> Option<Quantiles> {
    cell(runs).quantiles(end, value)
}

impl Figures {
    /// Runs everything.
    ///
    /// # Errors
    /// A case that is none.
    pub fn measure(runs: u64, seed: u64, threads: u64) -> Result<Self, Malformed> {
        let mut measured = Vec::new();
        for (what, case) in rows() {
            let start = Instant::now();
            let found = alone::measure(&case, runs, seed, threads)?;
            eprintln!("{:>6.1} s  {}", start.elapsed().as_secs_f64(), case.name);
            measured.push((what, case, found));
        }
        let mut traffic = Vec::new();
        for rps in TRAFFIC {
            let start = Instant::now();
            let case = |bad: f64| {
                let mut case = Case::errors("", rps, 5.0, 0.005, bad);
                case.limit = 12.0 * 3600.0;
                case
            };
            let few = (runs / 5).max(1);
            let found = [0.005, 0.20].map(|bad| alone::measure(&case(bad), few, seed, threads));
            let [same, bad] = found;
            traffic.push((rps, same?, bad?));
            eprintln!("{:>6.1} s  time to promotion at {rps} requests/s", start.elapsed().as_secs_f64());
        }
        let detect = [(0.05, 1.20), (0.20, 1.18), (0.50, 1.40)]
            .map(|(bad, limit)| (bad, detect::requests(bad, 20 * runs, seed), limit))
            .to_vec();
        Ok(Self { rows: measured, traffic, detect })
    }

    /// The promises that these rows check.
    pub fn promises(&self, out: &mut String) {
        let mut row = |promise: &str, measured: &str, kept: &str| {
            let _ = writeln!(out, "| {promise} | {measured} | {kept} |");
        };
        let yes = |kept: bool| if kept { "yes" } else { "**no**" };
        for (what, case, runs) in &self.rows {
            let name = &case.name;
            match what {
                For::BadFix => {
                    let found = ended(runs, End::Promoted);
                    let measured = format!("{} of {}", found.hits, found.runs);
                    row(&format!("no bad version promoted as a hot fix: {name}"), &measured, yes(found.hits == 0));
                }
                For::Detect(limit) => {
                    let found = quantiles(runs, End::RolledBack, |run| run.requests as f64);
                    let median = found.map_or(f64::INFINITY, |found| found.p50);
                    let promise = format!("found within {limit:.0} requests of the canary (median): {name}");
                    row(&promise, &format!("{} (median / 95th)", both(found, count)), yes(median <= *limit));
                }
                For::Fast(limit) => {
                    let found = quantiles(runs, End::Promoted, |run| run.full.unwrap_or(run.seconds));
                    let median = found.map_or(f64::INFINITY, |found| found.p50);
                    let promise = format!("all traffic within {} (median): {name}", span(*limit));
                    row(&promise, &format!("{} (median / 95th)", both(found, span)), yes(median <= *limit));
                }
                For::Word => {}
            }
        }
        for (bad, [ours, sprt], limit) in &self.detect {
            let promise = format!(
                "at most {limit:.2} × the requests of an SPRT that knows that {} % fail (absolute, one request a look, α = 1 %)",
                percent(*bad)
            );
            row(&promise, &format!("{:.2} × ({ours:.1} against {sprt:.1})", ours / sprt), yes(ours / sprt <= *limit));
        }
    }

    /// The tables.
    pub fn tables(&self, out: &mut String) {
        out.push_str(
            "\n## Our rule alone\n\nPreset `Standard`, `lowTraffic: SkipSteps`, one gate of at most 1 % errors where the row says nothing else, and a stable that fails 0.5 %. Shares with 95 % intervals, times and counts median / 95th percentile over the runs that ended so. An undecided run is held, or goes on: four hours are watched.\n\n| | rolled back | promoted | undecided | time to rollback | requests until then | bad responses until then | time to all traffic |\n|---|---|---|---|---|---|---|---|\n",
        );
        for (_, case, runs) in &self.rows {
            let _ = writeln!(
                out,
                "| {} | {} | {} | {} | {} | {} | {} | {} |",
                case.name,
                share(ended(runs, End::RolledBack)),
                share(ended(runs, End::Promoted)),
                share(ended(runs, End::Undecided)),
                both(quantiles(runs, End::RolledBack, |run| run.seconds), span),
                both(quantiles(runs, End::RolledBack, |run| run.requests as f64), count),
                both(quantiles(runs, End::RolledBack, |run| run.bad as f64), count),
                both(quantiles(runs, End::Promoted, |run| run.full.unwrap_or(run.seconds)), span),
            );
        }
        out.push_str(
            "\nVerdicts that are still open count as bad for a promotion: where they come late, steps must last until the open ones are few among all.\n\n*A stable that broke* was healthy in the hour before, and its canary is judged as a hot fix.\n\n## Time to promotion\n\n`tolerance: Auto`, `lowTraffic: SkipSteps`, scrapes every 5 s, stable fails 0.5 %, twelve hours are watched. What was excluded: a version that fails so many percentage points more than stable is found out before it has all traffic, with 95 % confidence per step.\n\n| requests/s | begins at | excluded | time to all traffic | promoted | not started | a version that fails 20 %: time to rollback | bad responses | promoted |\n|---|---|---|---|---|---|---|---|---|\n",
        );
        for (rps, same, bad) in &self.traffic {
            let begun: Vec<&Alone> = same.iter().filter(|alone| alone.first.is_some()).collect();
            let usual = |value: fn(&Alone) -> Option<f64>| {
                let values: Vec<f64> = begun.iter().filter_map(|alone| value(alone)).collect();
                (!values.is_empty()).then(|| Quantiles::of(values).p50)
            };
            let text =
                |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| format!("{} %", percent(value)));
            let points =
                usual(|alone| alone.epsilon).map_or_else(|| "–".to_owned(), |share| format!("{} pp", percent(share)));
            let not_begun = Share { hits: (same.len() - begun.len()) as u64, runs: same.len() as u64 };
            let _ = writeln!(
                out,
                "| {rps} | {} | {points} | {} | {} | {} | {} | {} | {} |",
                text(usual(|alone| alone.first)),
                both(quantiles(same, End::Promoted, |run| run.full.unwrap_or(run.seconds)), span),
                share(ended(same, End::Promoted)),
                share(not_begun),
                both(quantiles(bad, End::RolledBack, |run| run.seconds), span),
                both(quantiles(bad, End::RolledBack, |run| run.bad as f64), count),
                share(ended(bad, End::Promoted)),
            );
        }
    }
}
