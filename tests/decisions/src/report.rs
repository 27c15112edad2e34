//! The document: what was measured, how, and which of the promises hold.

use std::fmt::Write as _;

use microapp_core::simulate::Quantiles;

use crate::{
    cell::{Cell, Share, bound},
    environments::Environments,
    figures::Figures,
    plot::{Panel, Point},
    rule::{End, Run},
    table::{SCENARIOS, SETTINGS, SOURCES},
    world::{Fault, Measure, Scenario, Weather},
};

/// All cells: per scenario one per setting.
#[derive(Clone, Debug, PartialEq)]
pub struct Results {
    /// How many runs each has.
    pub runs: u64,
    /// Of which seed.
    pub seed: u64,
    /// In the order of the scenarios, then of the settings.
    pub cells: Vec<Vec<Cell>>,
}

/// The panels of the plot: these scenarios against what no difference at 50 requests/s costs.
const PANELS: [&str; 3] = ["errors 1 → 5 %", "errors 1 → 20 %", "errors 1 → 100 %"];

/// Errors, no difference, 50 requests/s, as bad as the others' stable.
fn counts_for_the_plot(scenario: &Scenario) -> bool {
    let usual = Scenario { name: scenario.name, weather: scenario.weather, ..SCENARIOS[0] };
    *scenario == usual
}

pub(crate) fn span(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 120.0 => format!("{seconds:.0} s"),
        seconds if seconds < 7200.0 => format!("{:.1} min", seconds / 60.0),
        seconds => format!("{:.1} h", seconds / 3600.0),
    }
}

pub(crate) fn count(value: f64) -> String {
    format!("{value:.0}")
}

pub(crate) fn percent(share: f64) -> String {
    if share <= 0.0 || share >= 0.1 { format!("{:.0}", share * 100.0) } else { format!("{:.1}", share * 100.0) }
}

/// `3.2 % (1.1–7.0)`.
pub(crate) fn share(share: Share) -> String {
    let (low, high) = share.interval();
    format!("{} % ({}–{})", percent(share.value()), percent(low), percent(high))
}

pub(crate) fn both(quantiles: Option<Quantiles>, text: impl Fn(f64) -> String) -> String {
    quantiles.map_or_else(|| "–".to_owned(), |of| format!("{} / {}", text(of.p50), text(of.p95)))
}

impl Results {
    fn index(name: &str) -> usize {
        SCENARIOS.iter().position(|scenario| scenario.name == name).unwrap_or(0)
    }

    /// False rollbacks of a setting over all scenarios without a difference at 50 requests/s.
    fn false_rollbacks(&self, setting: usize) -> f64 {
        let of: Vec<_> = SCENARIOS
            .iter()
            .zip(&self.cells)
            .filter(|(scenario, _)| counts_for_the_plot(scenario))
            .map(|(_, cells)| cells[setting].share(End::RolledBack).value())
            .collect();
        of.iter().sum::<f64>() / of.len().max(1) as f64
    }

    /// What the plot shows.
    pub fn panels(&self) -> Vec<Panel> {
        let panel = |name: &&str| {
            let cells = &self.cells[Self::index(name)];
            let point = |(index, cell): (usize, &Cell)| Point {
                family: SETTINGS[index].family,
                number: index + 1,
                false_rollbacks: self.false_rollbacks(index),
                bad: cell.mean_bad(),
                missed: cell.share(End::Promoted).value(),
            };
            Panel { title: (*name).to_owned(), points: cells.iter().enumerate().map(point).collect() }
        };
        PANELS.iter().map(panel).collect()
    }

    /// The document in Markdown; `plot` is the picture's file.
    pub fn markdown(&self, plot: &str, calm: &Environments, alone: &Figures) -> String {
        let mut out = String::new();
        self.head(&mut out);
        self.promises(&mut out);
        calm.promises(&mut out);
        alone.promises(&mut out);
        self.frontier(&mut out, plot);
        calm.table(&mut out);
        alone.tables(&mut out);
        for (scenario, cells) in SCENARIOS.iter().zip(&self.cells) {
            table(&mut out, *scenario, cells);
        }
        out.push_str(LIMITS);
        out
    }

    fn head(&self, out: &mut String) {
        let _ = write!(
            out,
            "# Decisions, measured\n\n<!-- Written by `make bench-decisions`; do not edit. -->\n\nThe operator's rule beside the rules of Flagger, Argo Rollouts and Kayenta on the same generated traffic: {} runs per cell, seed {}, scrapes every 5 s, an attempt is undecided after 4 h. Requests arrive as a Poisson process; run *k* of every rule has the same seed, but the streams part when the weights do. Stable fails 1 % of its requests and every rule has the limit of 2 % (latency: 2 % slow, limit 5 %; token cost: +10 %; failed verdicts: 3 %, limit 5 %).\n\nThe others' rules are written anew from their documentation and treated kindly: their queries see exact counts, a decision takes effect at once, and all have an application-specific limit. This compares decision rules, not programs.\n\n| # | setting | what it is |\n|---|---|---|\n",
            self.runs, self.seed
        );
        for (index, (setting, source)) in SETTINGS.iter().zip(SOURCES).enumerate() {
            let _ = writeln!(out, "| {} | {} | {source} |", index + 1, setting.name);
        }
    }

    fn frontier(&self, out: &mut String, plot: &str) {
        let _ = write!(
            out,
            "\n## The frontier\n\n![False rollbacks against bad responses served]({plot})\n\nTo the left: few good versions thrown away (mean over the five scenarios without a difference at 50 requests/s). At the bottom: few bad responses served by a bad version (mean over all its runs). Hollow: some of the bad versions were promoted; what they served after that is not counted.\n\n| # | setting | good versions thrown away |{}\n|---|---|---|{}\n",
            PANELS.iter().fold(String::new(), |text, name| text + &format!(" {name}: bad served, mean (promoted) |")),
            "---|".repeat(PANELS.len())
        );
        for (index, setting) in SETTINGS.iter().enumerate() {
            let _ = write!(out, "| {} | {} | {} % |", index + 1, setting.name, percent(self.false_rollbacks(index)));
            for name in PANELS {
                let cell = &self.cells[Self::index(name)][index];
                let missed = percent(cell.share(End::Promoted).value());
                let _ = write!(out, " {:.1} ({missed} %) |", cell.mean_bad());
            }
            out.push('\n');
        }
    }

    /// The promises that these runs can check, each with its figure and whether it is kept.
    fn promises(&self, out: &mut String) {
        out.push_str("\n## Promises\n\n| promise | measured | kept |\n|---|---|---|\n");
        let mut row = |promise: &str, measured: &str, kept: &str| {
            let _ = writeln!(out, "| {promise} | {measured} | {kept} |");
        };
        let yes = |kept: bool| if kept { "yes" } else { "**no**" };
        let same = |(scenario, _): &(&Scenario, &Vec<Cell>)| scenario.fault == Fault::None;
        for (scenario, cells) in SCENARIOS.iter().zip(&self.cells).filter(same) {
            let share = cells[0].share(End::RolledBack);
            row(
                &format!("at most 1 % false rollbacks (one-sided 95 %): {}", scenario.name),
                &format!("{} of {}, at most {} %", share.hits, share.runs, percent(share.upper())),
                match share {
                    share if share.upper() <= 0.01 => "yes",
                    share if share.value() > 0.01 => "**no**",
                    _ => "not shown by so few runs",
                },
            );
        }
        for name in PANELS {
            let cells = &self.cells[Self::index(name)];
            let missed = cells[0].share(End::Promoted);
            let measured = format!("{} of {}", missed.hits, missed.runs);
            row(&format!("no bad version promoted: {name}"), &measured, yes(missed.hits == 0));
            let (measured, kept) = against(cells, &self.cells[0]);
            let promise = "fewer bad responses (mean) than every setting that always finds it and has at most 5 % false rollbacks when steady";
            row(&format!("{promise}: {name}"), &measured, yes(kept));
        }
        for (name, promised) in [("no difference, stable fails 0.5 %, 50 requests/s", true), (SCENARIOS[0].name, false)]
        {
            let cell = &self.cells[Self::index(name)][0];
            if let Some(full) = cell.quantiles(End::Promoted, |run| run.full.unwrap_or(run.seconds)) {
                let measured = format!("{}, 95 of 100 within {}", span(full.p50), span(full.p95));
                let promise = "a good version has all traffic after at most 11 min (median)";
                let kept = match (full.p50 <= 660.0, promised) {
                    (true, _) => "yes",
                    (false, true) => "**no**",
                    (false, false) => "**no**; the promise is for a stable that fails 0.5 %, this one fails 1 %",
                };
                row(&format!("{promise}: {name}"), &measured, kept);
            }
        }
    }
}

/// Our mean number of bad responses beside that of the best other setting that misses none of these runs and throws away
/// few of the good versions.
fn against(cells: &[Cell], steady: &[Cell]) -> (String, bool) {
    let ours = cells[0].mean_bad();
    let fit = |(cell, steady): (&Cell, &Cell)| {
        cell.share(End::Promoted).hits == 0 && steady.share(End::RolledBack).value() <= 0.05
    };
    let rivals = cells.iter().zip(steady).zip(SETTINGS).skip(1).filter(|((cell, steady), _)| fit((cell, steady)));
    let best = rivals.map(|((cell, _), setting)| (cell.mean_bad(), setting.name)).min_by(|a, b| a.0.total_cmp(&b.0));
    match best {
        Some((bad, who)) => (format!("{ours:.1}, the best of them {bad:.1} ({who})"), ours < bad),
        None => (format!("{ours:.1}, and there is no such setting"), true),
    }
}

fn table(out: &mut String, scenario: Scenario, cells: &[Cell]) {
    let _ = write!(out, "\n## {}{}\n\n", scenario.name[..1].to_uppercase(), &scenario.name[1..]);
    let note = match (scenario.bad, scenario.weather) {
        (true, _) => "Ought to be rolled back; promoted = missed.",
        (false, Weather::Gap) => {
            "Ought to be promoted; rolled back = false. Scrapes fail from the fifth minute to the seventh."
        }
        (false, _) => "Ought to be promoted; rolled back = false.",
    };
    let _ = write!(out, "{note}");
    if let Some((requests, bad)) = bound(scenario) {
        let needed = cells[0].quantiles(End::RolledBack, |run| run.requests as f64);
        let _ = write!(
            out,
            " No test with 1 % false alarms can find it in fewer than {requests:.1} requests ({bad:.1} bad ones) on average; ours needed {} (median / 95th).",
            both(needed, count)
        );
    }
    out.push_str("\n\n| # | rolled back | promoted | undecided | time to rollback | bad responses until then | requests until then | time to all traffic | time to promotion |\n|---|---|---|---|---|---|---|---|---|\n");
    for (index, cell) in cells.iter().enumerate() {
        let of = |end, value: fn(&Run) -> f64| cell.quantiles(end, value);
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            index + 1,
            share(cell.share(End::RolledBack)),
            share(cell.share(End::Promoted)),
            share(cell.share(End::Undecided)),
            both(of(End::RolledBack, |run| run.seconds), span),
            both(of(End::RolledBack, |run| run.bad as f64).filter(|_| scenario.measure != Measure::Cost), count),
            both(of(End::RolledBack, |run| run.requests as f64), count),
            both(of(End::Promoted, |run| run.full.unwrap_or(run.seconds)), span),
            both(of(End::Promoted, |run| run.seconds), span),
        );
    }
    let words = cells[0].words(End::Undecided);
    if !words.is_empty() {
        let words: Vec<_> = words.iter().map(|(word, runs)| format!("{word} ({runs})")).collect();
        let _ = write!(out, "\nWhere ours was undecided its last word was {}.\n", words.join(", "));
    }
}

const LIMITS: &str = "\n## How to read it\n\nShares have Clopper–Pearson intervals of 95 %; times and counts are median / 95th percentile over the runs that ended so. For a token cost there are no bad responses. \"Time to all traffic\" is when the new version served everybody: for the others that is the promotion, for ours the beginning of the bake.\n\nAn undecided rollout of ours is held and a person is asked: `Inconclusive` is a step that is not decided after `maxStepDuration`, or a second step back from the bake; `PreflightFailed` means that an hour of stable was too little to tell a good canary from a bad one, and no user reached it; `Progressing` still gathers evidence, or is in its bake. Verdicts that are still open count as bad for a promotion, so that late verdicts make promotions slow.\n\nLeft out: phases of the scrapes, failed pods, the others' extrapolation of `rate()`, and everything else that is no decision. Kayenta sees a share (or a mean) per point also for latency, and has no steps: a fault that comes at a weight above its 5 % is not visible to it.\n";
