//! `simulate`: the operator's own decisions on generated traffic, before anything is applied. No cluster, no clock; a
//! seed gives the same bytes.

use std::{
    io::{self, Write},
    num::NonZero,
    thread,
};

use jiff::SignedDuration;
use microapp_core::{
    explain,
    replay::{Malformed, Replay},
    simulate::{self, Group, Quantiles, Run, Setup, Summary},
    strategy::{Gate, GateKind, Mean, Share, Strategy},
};
use serde::Serialize;
use serde_json::Value;

use crate::{
    args::{Amount, Format, Given, SimulateArgs},
    exit::{Exit, Failure},
    json::VERSION,
    manifest::{Manifest, named},
};

/// `simulate -o json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Out<'a> {
    api_version: &'static str,
    kind: &'static str,
    seed: u64,
    rps: f64,
    scrape_seconds: f64,
    limit_seconds: f64,
    traffic: Vec<TrafficOut<'a>>,
    #[serde(flatten)]
    summary: &'a Summary,
}

#[derive(Debug, Serialize)]
struct TrafficOut<'a> {
    gate: &'a str,
    unit: &'static str,
    stable: f64,
    canary: f64,
}

/// Runs the verb.
///
/// # Errors
/// Exit code 2 with one sentence for a file that is missing or malformed, an unknown gate and a number of the wrong kind.
pub fn run(args: &SimulateArgs) -> Result<Exit, Failure> {
    let manifest = Manifest::read(&args.filename)?.rollout;
    let plan =
        Replay::new(&manifest).map_err(|sentence| named(&args.filename, &sentence.to_string()))?.strategy().clone();
    let setup = setup(args, &plan)?;
    let runs = all(&manifest, &setup, args).map_err(|sentence| Failure::usage(sentence.to_string()))?;
    let names: Vec<_> = plan.gates.iter().map(|gate| gate.name.clone()).collect();
    let summary = Summary::of(&runs, &names);
    let text = match args.output {
        Some(Format::Json) => serde_json::to_string_pretty(&Out {
            api_version: VERSION,
            kind: "RolloutSimulation",
            seed: args.seed,
            rps: setup.rps,
            scrape_seconds: setup.scrape,
            limit_seconds: setup.limit,
            traffic: traffic(&plan, &setup),
            summary: &summary,
        })?,
        Some(Format::Wide) | None => table(&plan, &setup, args, &summary),
    };
    writeln!(io::stdout().lock(), "{text}")?;
    Ok(Exit::Ok)
}

/// What the command line says of the traffic; what it does not name is healthy, and the canary like stable.
fn setup(args: &SimulateArgs, plan: &Strategy) -> Result<Setup, Failure> {
    let mut setup = Setup::healthy(plan, args.rps, args.scrape.as_secs_f64());
    setup.judged = args.judged;
    setup.verdict_after = args.verdict_after.as_secs_f64();
    if let Some(limit) = args.limit {
        setup.limit = limit.as_secs_f64();
    }
    for given in &args.stable {
        let (index, gate) = find(plan, &given.gate)?;
        setup.stable[index] = match given.amount {
            Amount::Plain(value) => value * unit(gate).1,
            Amount::Times(_) => {
                return Err(Failure::usage(format!(
                    "--stable {}: only a canary can be a multiple of stable",
                    given.gate
                )));
            }
        };
    }
    setup.canary.clone_from(&setup.stable);
    for Given { gate, amount } in &args.canary {
        let (index, gate) = find(plan, gate)?;
        setup.canary[index] = match amount {
            Amount::Plain(value) => value * unit(gate).1,
            Amount::Times(times) => setup.stable[index] * times,
        };
    }
    Ok(setup)
}

fn find<'a>(plan: &'a Strategy, name: &str) -> Result<(usize, &'a Gate), Failure> {
    plan.gates.iter().enumerate().find(|(_, gate)| gate.name == name).ok_or_else(|| {
        let known: Vec<_> = plan.gates.iter().map(|gate| gate.name.as_str()).collect();
        Failure::usage(format!("unknown gate {name:?}; the rollout has {}", known.join(", ")))
    })
}

/// The unit of a gate's values on the command line, and how many of the simulation's it is.
const fn unit(gate: &Gate) -> (&'static str, f64) {
    match gate.kind {
        GateKind::Share { what: Share::Errors, .. } => ("share of requests that fail", 1.0),
        GateKind::Share { what: Share::ClientErrors, .. } => ("share of requests answered with 4xx or a redirect", 1.0),
        GateKind::Share { .. } => ("share of requests that are bad", 1.0),
        GateKind::Slow { .. } => ("share of requests that are slow", 1.0),
        GateKind::Judged { .. } => ("share of answers that fail their evaluation", 1.0),
        GateKind::Mean { what: Mean::Cost, .. } | GateKind::Budget { .. } => ("USD per request, mean", 1e12),
        GateKind::Mean { what: Mean::Tokens, .. } => ("tokens per request, mean", 1.0),
        GateKind::Model { .. } => ("share of requests that another model answers", 1.0),
        GateKind::Traffic => ("nothing: the canary gets its share", 1.0),
        GateKind::Saturation { .. } => ("fullest gauge, as a share of its limit", 1.0),
        GateKind::Query { .. } => ("answer of the query", 1.0),
    }
}

fn traffic<'a>(plan: &'a Strategy, setup: &Setup) -> Vec<TrafficOut<'a>> {
    let both = setup.stable.iter().zip(&setup.canary);
    let one = |(gate, (stable, canary)): (&'a Gate, (&f64, &f64))| {
        let (unit, scale) = unit(gate);
        TrafficOut { gate: &gate.name, unit, stable: stable / scale, canary: canary / scale }
    };
    plan.gates.iter().zip(both).map(one).collect()
}

/// All runs in their order, whatever the number of threads.
fn all(manifest: &Value, setup: &Setup, args: &SimulateArgs) -> Result<Vec<Run>, Malformed> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get) as u64;
    let (runs, seed) = (args.runs, args.seed);
    thread::scope(|scope| {
        let one = |first: u64| {
            move || {
                (first..runs)
                    .step_by(threads as usize)
                    .map(|index| simulate::run(manifest, setup, seed, index))
                    .collect::<Result<Vec<_>, _>>()
            }
        };
        let workers: Vec<_> = (0..threads.min(runs)).map(|first| scope.spawn(one(first))).collect();
        let mut parts = Vec::new();
        for worker in workers {
            let part = worker.join().map_err(|_| Malformed("a simulation panicked; please report it".to_owned()))??;
            parts.push(part.into_iter());
        }
        let mut all = Vec::new();
        while let Some(run) = parts.get_mut(all.len() % threads as usize).and_then(Iterator::next) {
            all.push(run);
        }
        Ok(all)
    })
}

fn table(plan: &Strategy, setup: &Setup, args: &SimulateArgs, summary: &Summary) -> String {
    let span = |seconds: f64| explain::span(SignedDuration::from_secs(seconds.round() as i64));
    let mut lines = vec![format!(
        "{} runs (seed {}) of {} requests/s, scraped every {} s; undecided after {}",
        summary.runs,
        args.seed,
        setup.rps,
        setup.scrape,
        span(setup.limit)
    )];
    for TrafficOut { gate, unit, stable, canary } in traffic(plan, setup) {
        lines.push(format!("  {gate}: stable {stable}, canary {canary} ({unit})"));
    }
    let number = |value: f64| format!("{value:.0}");
    for group in &summary.outcomes {
        let Group { outcome, reason, runs, share, interval: [low, high], .. } = group;
        let percent = |share: f64| format!("{:.1}", share * 100.0);
        lines.push(String::new());
        lines.push(format!(
            "{outcome} ({reason}): {} % of the runs ({runs}; 95 % confidence: {} to {} %)",
            percent(*share),
            percent(*low),
            percent(*high)
        ));
        let mut row = |name: &str, of: Quantiles, text: &dyn Fn(f64) -> String| {
            lines.push(format!("  {name:<40} median {}, 95 of 100 within {}", text(of.p50), text(of.p95)));
        };
        row("time until decided", group.seconds, &span);
        row("requests on the canary until then", group.requests, &number);
        row("bad responses that it served", group.bad, &number);
        if let (Some(seconds), Some(requests)) = (group.ramp_seconds, group.ramp_requests) {
            row("time until it had all traffic", seconds, &span);
            row("requests on the canary until then", requests, &number);
        }
    }
    lines.join("\n")
}
