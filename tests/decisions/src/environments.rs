//! A good version in every environment, at every traffic and scrape interval: it must not be thrown away.

use std::{fmt::Write as _, time::Instant};

use microapp_core::replay::Malformed;

use crate::{
    alone::{self, Case, Odd},
    cell::{Cell, Share},
    report::{percent, span},
    rule::End,
};

/// Requests per second: the columns.
const RATES: [f64; 5] = [0.2, 0.5, 5.0, 50.0, 500.0];
/// Seconds between two scrapes.
const SCRAPES: [f64; 2] = [5.0, 15.0];
/// What the canary and stable share.
const ENVIRONMENTS: [(&str, Odd); 9] = [
    ("steady", Odd::Nothing),
    ("daily swing", Odd::Daily),
    ("both fail 10 % for three minutes in the ramp", Odd::Incident(0.10)),
    ("both fail 10 % for three minutes in the bake", Odd::BakeIncident(0.10)),
    ("a sharp outage of a minute, pods scraped at moments of their own", Odd::Outage),
    ("stable alone fails 10 % for three minutes", Odd::StableIncident(0.10)),
    ("errors come three at a time", Odd::Bursts),
    ("pods that differ by 10 %", Odd::Pods(0.10)),
    ("no scrape for a minute after each raise", Odd::GapAtRaise),
];

/// One environment at one scrape interval.
#[derive(Debug)]
struct Row {
    environment: &'static str,
    scrape: f64,
    /// In the order of the rates.
    cells: Vec<Cell>,
}

/// All of them, measured.
#[derive(Debug)]
pub struct Environments(Vec<Row>);

impl Environments {
    /// Runs everything.
    ///
    /// # Errors
    /// A case that is none.
    pub fn measure(runs: u64, seed: u64, threads: u64) -> Result<Self, Malformed> {
        let mut rows = Vec::new();
        for (environment, odd) in ENVIRONMENTS {
            for scrape in SCRAPES {
                let start = Instant::now();
                let cell = |rps: f64| {
                    let mut case = Case::errors(environment, rps, scrape, 0.005, 0.005).odd(odd);
                    case.limit = if rps < 1.0 { 6.0 * 3600.0 } else { case.limit };
                    let found = alone::measure(&case, runs, seed, threads)?;
                    Ok(Cell::of(found.into_iter().map(|alone| alone.run).collect()))
                };
                let cells = RATES.into_iter().map(cell).collect::<Result<_, Malformed>>()?;
                eprintln!("{:>6.1} s  {environment}, scrapes every {scrape} s", start.elapsed().as_secs_f64());
                rows.push(Row { environment, scrape, cells });
            }
        }
        Ok(Self(rows))
    }

    /// The promise that these rows check: one line per environment, with the worst of its cells.
    pub fn promises(&self, out: &mut String) {
        for pair in self.0.chunk_by(|one, next| one.environment == next.environment) {
            let cells =
                pair.iter().flat_map(|row| row.cells.iter().zip(RATES).map(move |(cell, rps)| (row, cell, rps)));
            let worst = cells.max_by_key(|(_, cell, _)| cell.share(End::RolledBack).hits);
            let Some((row, cell, rps)) = worst else { continue };
            let found: Share = cell.share(End::RolledBack);
            let kept = match found {
                found if found.upper() <= 0.01 => "yes",
                found if found.value() > 0.01 => "**no**",
                _ => "not shown by so few runs",
            };
            let at = match found.hits {
                0 => String::new(),
                _ => format!(" (the most of ten cells: {rps} requests/s, scrapes every {} s)", row.scrape),
            };
            let _ = writeln!(
                out,
                "| at most 1 % false rollbacks (one-sided 95 %): no difference, {}, at each of 0.2, 0.5, 5, 50 and 500 requests/s with scrapes every 5 and every 15 s | {} of {}{at}, at most {} % | {kept} |",
                row.environment,
                found.hits,
                found.runs,
                percent(found.upper()),
            );
        }
    }

    /// The table.
    pub fn table(&self, out: &mut String) {
        out.push_str("\n## A good version in every environment\n\nPreset `Standard`, `lowTraffic: SkipSteps`, one gate of at most 1 % errors, both fail 0.5 %, φ from preflight. In each cell: how many were rolled back; how many of 100 were promoted within four hours (six below one request a second); when they had all traffic (median).\n\n| environment | scrapes |");
        for rps in RATES {
            let _ = write!(out, " {rps} requests/s |");
        }
        let _ = writeln!(out, "\n|---|---|{}", "---|".repeat(RATES.len()));
        for Row { environment, scrape, cells } in &self.0 {
            let _ = write!(out, "| {environment} | {scrape} s |");
            for cell in cells {
                let full = cell.quantiles(End::Promoted, |run| run.full.unwrap_or(run.seconds));
                let promoted = percent(cell.share(End::Promoted).value());
                let full = full.map_or_else(|| "–".to_owned(), |full| span(full.p50));
                let _ = write!(out, " {}; {promoted}; {full} |", cell.share(End::RolledBack).hits);
            }
            out.push('\n');
        }
        out.push_str("\n*A sharp outage* hits every pod within one scrape, and pods are scraped at moments of their own, so that one arm shows it a scrape before the other. In the bake nobody can say whose an incident is: the rollout steps back and compares.\n");
    }
}
