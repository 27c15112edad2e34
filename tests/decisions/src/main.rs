//! Runs the benchmark and writes the document and its picture.

use std::{fs, path::PathBuf, time::Instant};

use clap::Parser;
use microapp_decisions::{
    cell::Cell,
    environments::Environments,
    figures::Figures,
    plot,
    report::Results,
    table::{SCENARIOS, SETTINGS},
};

/// Decisions, measured: our rule beside those of Flagger, Argo Rollouts and Kayenta.
#[derive(Debug, Parser)]
struct Arguments {
    /// Runs per cell
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    runs: u64,
    /// The same seed gives the same bytes
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Threads; the result does not depend on them
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..))]
    threads: u64,
    /// Where decisions.md and decisions.svg go
    #[arg(long, default_value = "docs/benchmarks")]
    out: PathBuf,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Arguments { runs, seed, threads, out } = Arguments::parse();
    let mut cells = Vec::new();
    for scenario in SCENARIOS {
        let start = Instant::now();
        let row = SETTINGS.iter().map(|setting| Cell::measure(*setting, scenario, runs, seed, threads));
        cells.push(row.collect::<Result<Vec<_>, _>>()?);
        eprintln!("{:>6.1} s  {}", start.elapsed().as_secs_f64(), scenario.name);
    }
    let calm = Environments::measure(runs, seed, threads)?;
    let alone = Figures::measure(runs, seed, threads)?;
    let results = Results { runs, seed, cells };
    let legend: Vec<_> = SETTINGS.iter().map(|setting| setting.name).collect();
    fs::create_dir_all(&out)?;
    fs::write(out.join("decisions.md"), results.markdown("decisions.svg", &calm, &alone))?;
    fs::write(out.join("decisions.svg"), plot::svg(&results.panels(), &legend))?;
    println!("{}", out.join("decisions.md").display());
    Ok(())
}
