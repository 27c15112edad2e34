//! `make test-presets`: see README.md beside this package.

mod apps;
mod case;
mod measure;
mod model;
mod process;
mod scenario;
mod scrape;
mod table;
mod traffic;
mod trial;
mod truth;

use std::{
    fs,
    path::PathBuf,
    process::ExitCode,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use futures::future::{try_join, try_join_all};
use microapp_core::{Strategy, counts::Counts};
use microapp_telemetry::PriceTable;
use serde_json::Value;
use tokio::time::sleep;

use crate::{
    apps::{APPS, App, Probe},
    case::{ALL, Mix},
    measure::{Measured, gate, plan, spec, sums},
    model::{Bills, serve},
    scenario::{LATER, SCENARIOS, Scenario, outcome},
    scrape::{Scraping, now},
    table::{Answer, Row, Verdict},
    trial::{Tools, Up, capture, prices},
};

/// Real apps, real Prometheus, foreign traffic: what the presets count, beside the load generator's log.
#[derive(Debug, Parser)]
struct Args {
    /// What `setup.sh` installed.
    #[arg(long, default_value = "target/presets/tools")]
    tools: PathBuf,
    /// Prometheus' program.
    #[arg(long, env = "PROMETHEUS")]
    prometheus: PathBuf,
    /// For logs, captures and the report.
    #[arg(long, default_value = "target/presets")]
    out: PathBuf,
    /// Only these apps or scenarios.
    #[arg(long = "only", value_name = "NAME")]
    only: Vec<String>,
    /// So many apps at a time; four are much for two busy cores.
    #[arg(long, default_value_t = 4)]
    at_once: usize,
    /// Put the captures among telemetry's fixtures.
    #[arg(long)]
    save: bool,
    /// Serve the stand-in for the model alone, on this port, until ^C.
    #[arg(long, value_name = "PORT")]
    model: Option<u16>,
}

/// How long a gateway is used before, in seconds.
const WARMING: u32 = 10;
/// How long a phase of the counting sends, in seconds.
const COUNTING: u32 = 30;
/// And one of a scenario: thirty windows, of which a mean needs twenty.
const JUDGING: u32 = 60;
/// Where captures are kept.
const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../crates/telemetry/tests/fixtures/apps");

#[tokio::main]
async fn main() -> ExitCode {
    // One line, however deep its cause is.
    run().await.unwrap_or_else(|error| {
        eprintln!("presets: {error:#}");
        ExitCode::from(2)
    })
}

async fn run() -> Result<ExitCode> {
    let args = Args::parse();
    let bills = Bills::default();
    let port = serve(args.model.unwrap_or(0), bills.clone()).await?;
    if args.model.is_some() {
        eprintln!("http://127.0.0.1:{port}/ANYBODY/v1");
        tokio::signal::ctrl_c().await?;
        return Ok(ExitCode::SUCCESS);
    }
    let tools = Tools {
        folder: process::absolute(&args.tools)?,
        apps: PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/apps")),
        out: args.out.clone(),
        prometheus: process::absolute(&args.prometheus)?,
        model: port,
        bills,
    };
    for folder in ["logs", "captures"] {
        fs::create_dir_all(args.out.join(folder))?;
    }
    // Whatever is dropped is killed, so an interrupt must drop.
    let wrong = tokio::select! {
        wrong = all(&args, &tools) => wrong?,
        _ = tokio::signal::ctrl_c() => return Ok(ExitCode::from(130)),
    };
    Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Everything that is asked for; how much of it is wrong.
async fn all(args: &Args, tools: &Tools) -> Result<usize> {
    let wanted = |name: &str| args.only.is_empty() || args.only.iter().any(|only| only == name);
    let known = |name: &String| {
        APPS.iter().any(|app| app.name == name) || [SCENARIOS, LATER].concat().iter().any(|one| one.name == name)
    };
    if let Some(unknown) = args.only.iter().find(|name| !known(name)) {
        anyhow::bail!("there is no app and no scenario {unknown}");
    }
    let prices = prices()?;
    let mut report = String::new();
    let mut wrong = 0;
    let mut say = |text: String| {
        print!("{text}");
        report.push_str(&text);
        fs::write(args.out.join("report.txt"), &report)
    };
    let apps: Vec<&'static App> = APPS.iter().filter(|app| wanted(app.name)).collect();
    for some in apps.chunks(args.at_once.max(1)) {
        for row in counted(args, tools, some, &prices).await? {
            wrong += usize::from(row.verdict == Verdict::Wrong);
            say(row.to_string())?;
        }
    }
    for some in [SCENARIOS, LATER] {
        let some: Vec<&Scenario> = some.iter().filter(|one| wanted(one.name)).collect();
        for some in some.chunks(args.at_once.max(1)) {
            for (scenario, lines, right) in judged(tools, some, &prices).await? {
                wrong += usize::from(!right);
                let word = if right { "right" } else { "WRONG" };
                say(format!(
                    "{:<9} {} must {:?}: {word}\n    {}\n",
                    scenario.name,
                    scenario.about,
                    scenario.must,
                    lines.join("\n    ")
                ))?;
            }
        }
    }
    say(format!("{wrong} wrong\n"))?;
    Ok(wrong)
}

/// Waits for the next whole minute: the slices of a baseline lie there.
async fn minute() {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
    sleep(Duration::from_millis(60_000 - since % 60_000 + 500)).await;
}

/// An attempt of several apps at once: what Prometheus knows afterwards.
struct Attempt {
    up: Vec<Up>,
    scraping: Scraping,
    before: Vec<truth::Truth>,
    exposed: Vec<String>,
    /// When the baseline was asked for, and the attempt began.
    began: f64,
}

async fn begin(tools: &Tools, apps: &[&'static App], stable: &[Mix], seconds: u32) -> Result<Attempt> {
    eprintln!("starting {}", apps.iter().map(|app| app.name).collect::<Vec<_>>().join(", "));
    let up = try_join_all(apps.iter().map(|app| Up::start(tools, app))).await?;
    let targets: Vec<_> = up.iter().flat_map(Up::targets).collect();
    let scraping = Scraping::start(&tools.prometheus, &tools.out, &targets).await?;
    scraping.scraped_since(now()).await?;
    // A gateway does not begin with its rollout: that its series exist before tells them from new ones.
    let gateways = up.iter().zip(stable).filter(|(up, _)| up.app.program == apps::Program::Litellm);
    try_join_all(gateways.map(|(up, mix)| up.send(tools, 0, mix, WARMING, "warm"))).await?;
    scraping.scraped_since(now()).await?;
    minute().await;
    let before = trial::alone(tools, &up, stable, seconds).await?;
    scraping.scraped_since(now()).await?;
    let exposed = try_join_all(up.iter().map(Up::exposed)).await?;
    minute().await;
    Ok(Attempt { up, scraping, before, exposed, began: now() })
}

fn mix_of(app: &App) -> Mix {
    // The proxy has none of the app's own paths.
    if app.program == apps::Program::Litellm { case::PROXIED } else { ALL }
}

async fn counted(args: &Args, tools: &Tools, apps: &[&'static App], prices: &PriceTable) -> Result<Vec<Row>> {
    let mixes: Vec<Mix> = apps.iter().map(|app| mix_of(app)).collect();
    let attempt = begin(tools, apps, &mixes, COUNTING).await?;
    let mut plans = Vec::new();
    let mut rows = Vec::new();
    for up in &attempt.up {
        plans.push(offered(up.app, prices, &mut rows)?);
    }
    let measured: Vec<_> =
        attempt.up.iter().zip(&plans).map(|(up, (plan, _))| Measured::new(up.app, plan, up.started)).collect();
    let client = &attempt.scraping.client;
    let befores = try_join_all(measured.iter().map(|one| one.before(client, prices, attempt.began))).await?;
    let sides = |which: usize| {
        try_join_all(attempt.up.iter().zip(&mixes).map(move |(up, mix)| up.send(tools, which, mix, COUNTING, "during")))
    };
    let (stable, canary) = try_join(sides(0), sides(1)).await?;
    // Two more, so that the last window is complete.
    attempt.scraping.scraped_since(now() + 2.0 * scrape::INTERVAL as f64).await?;
    for (place, up) in attempt.up.iter().enumerate() {
        let (windows, _) =
            measured[place].windows(up.app, client, prices, &befores[place], attempt.began, now()).await?;
        let sums = sums(&windows);
        let Counts::Baseline { gates, .. } = &befores[place] else { continue };
        for probe in &plans[place].1 {
            let truth = |truths: &[truth::Truth]| truths[place].expected(probe.what, prices);
            let before = gates.get(probe.name).context("a gate without an answer")?;
            let mut answers = vec![(Answer::Before(before), truth(&attempt.before))];
            let during = sums.get(probe.name).cloned().unwrap_or_default();
            if before.is_ok() {
                answers.push((Answer::During(&during[0]), truth(&canary)));
                answers.push((Answer::During(&during[1]), truth(&stable)));
            }
            rows.push(Row::new(up.app.name, probe.name, &answers));
        }
        let file = format!("presets-{}.prom", up.app.name);
        capture(&args.out.join("captures").join(&file), up, &attempt.exposed[place], &attempt.before[place])?;
        if args.save {
            fs::copy(args.out.join("captures").join(&file), PathBuf::from(FIXTURES).join(&file))?;
        }
    }
    Ok(rows)
}

/// The gates of an app that this API has; the others become rows.
fn offered(app: &'static App, prices: &PriceTable, rows: &mut Vec<Row>) -> Result<(Strategy, Vec<&'static Probe>)> {
    let mut known = Vec::new();
    let mut gates: Vec<Value> = Vec::new();
    for probe in app.gates.iter().copied().flatten() {
        let one = gate(probe)?;
        match plan(&spec(app, None, Some(vec![one.clone()])), prices) {
            Ok(_) => {
                gates.push(one);
                known.push(probe);
            }
            Err(why) => rows.push(Row::unknown(app.name, probe.name, &format!("{why:#}"))),
        }
    }
    ensure!(!known.is_empty(), "{} has no gates", app.name);
    Ok((plan(&spec(app, None, Some(gates)), prices)?, known))
}

type Judged<'a> = (&'a Scenario, Vec<String>, bool);

async fn judged<'a>(tools: &Tools, scenarios: &[&'a Scenario], prices: &PriceTable) -> Result<Vec<Judged<'a>>> {
    let app =
        |one: &Scenario| APPS.iter().find(|app| app.name == one.app).with_context(|| format!("no app {}", one.app));
    let apps = scenarios.iter().map(|one| app(one)).collect::<Result<Vec<_>>>()?;
    let stable: Vec<Mix> = scenarios.iter().map(|one| one.stable).collect();
    let canary: Vec<Mix> = scenarios.iter().map(|one| one.canary).collect();
    let attempt = begin(tools, &apps, &stable, JUDGING).await?;
    let client = &attempt.scraping.client;
    let mut plans = Vec::new();
    for (scenario, app) in scenarios.iter().zip(&apps) {
        let gates = scenario.gates.map(serde_saphyr::from_str::<Vec<Value>>).transpose()?;
        plans.push(plan(&spec(app, scenario.preset, gates), prices)?);
    }
    let measured: Vec<_> =
        attempt.up.iter().zip(&plans).map(|(up, plan)| Measured::new(up.app, plan, up.started)).collect();
    let befores = try_join_all(measured.iter().map(|one| one.before(client, prices, attempt.began))).await?;
    let sides = |which: usize, mixes: Vec<Mix>| {
        try_join_all(attempt.up.iter().zip(mixes).map(move |(up, mix)| up.send(tools, which, mix, JUDGING, "during")))
    };
    try_join(sides(0, stable), sides(1, canary)).await?;
    attempt.scraping.scraped_since(now() + 2.0 * scrape::INTERVAL as f64).await?;
    let mut all = Vec::new();
    for (place, scenario) in scenarios.iter().enumerate() {
        let before = &befores[place];
        let (windows, watch) =
            measured[place].windows(apps[place], client, prices, before, attempt.began, now()).await?;
        let (lines, right) = outcome(&plans[place], before, &windows, &watch, attempt.began, scenario.must);
        all.push((*scenario, lines, right));
    }
    Ok(all)
}
