//! `plan`: what preflight would say, before anything is applied. What stable did before is given, or asked for.

use std::{env, fs, io::Write};

use jiff::Timestamp;
use microapp_api::v1alpha1::MicroAppRolloutSpec;
use microapp_core::{
    Strategy,
    counts::{Ask, Counts, Watch},
    probes::{Probe, probes},
    replay,
    workers::workers,
};
use microapp_telemetry::{HttpPrometheus, PriceTable, Prometheus, Subject, ask};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    args::PlanArgs,
    cluster::Cluster,
    exit::{Exit, Failure, chain},
    manifest::{Manifest, named},
    plan::{Planned, with_traffic, without_traffic},
    presets,
};

/// What is planned, out of a manifest.
#[derive(Debug)]
pub struct Wanted {
    name: String,
    /// Where the manifest wants it.
    pub namespace: Option<String>,
    port: u16,
    strategy: Strategy,
    /// What asks the pods without being a user.
    probes: Vec<Probe>,
    /// How its pods ask for several processes.
    workers: Option<String>,
}

impl PlanArgs {
    /// Where Prometheus is, when it is to be asked: nothing was given that would be used instead.
    pub fn address(&self) -> Option<String> {
        let address = self.prometheus.clone().or_else(|| env::var("PROMETHEUS").ok());
        address.filter(|url| !url.is_empty() && self.baseline.is_empty())
    }

    /// The prices to reckon with.
    ///
    /// # Errors
    /// Exit code 2 with one sentence for a table that is missing or malformed.
    pub fn price_table(&self) -> Result<PriceTable, Failure> {
        let Some(file) = &self.prices else { return PriceTable::built_in().map_err(Failure::error) };
        let text = fs::read_to_string(file).map_err(|error| named(file, &error.to_string()))?;
        PriceTable::parse(&text).map_err(|error| named(file, &chain(&error)))
    }
}

/// Runs the verb on what is given.
///
/// # Errors
/// Exit code 2 with one sentence for a manifest or counts that do not read.
pub fn offline(args: &PlanArgs, wanted: &Wanted, out: impl Write) -> Result<Exit, Failure> {
    if args.baseline.is_empty() {
        let mut planned = without_traffic(&wanted.strategy);
        let help = "How long the steps take and whether it starts depends on what stable did before: give --baseline, or --prometheus (or $PROMETHEUS) for the rollout in the cluster.";
        planned.lines.push(help.to_owned());
        return say(wanted, &planned, "nothing is known of stable", out);
    }
    let counts = given(args, &wanted.strategy)?;
    say(wanted, &with_traffic(&wanted.strategy, &counts), "from what was given of stable", out)
}

/// Runs the verb with what Prometheus knows of the rollout that is in the cluster.
///
/// # Errors
/// The cluster's, or Prometheus' silence.
pub async fn run(
    cluster: &Cluster,
    url: &str,
    args: &PlanArgs,
    wanted: &Wanted,
    out: impl Write,
) -> Result<Exit, Failure> {
    let prices = args.price_table()?;
    let prometheus = HttpPrometheus::new(url, args.prometheus_token_file.clone())
        .map_err(|error| Failure::usage(format!("--prometheus: {}", chain(&error))))?;
    online(cluster, &prometheus, &prices, wanted, Timestamp::now(), out).await
}

/// The same with a Prometheus at hand.
///
/// # Errors
/// The cluster's, or Prometheus' silence.
pub async fn online(
    cluster: &Cluster,
    prometheus: &dyn Prometheus,
    prices: &PriceTable,
    wanted: &Wanted,
    now: Timestamp,
    out: impl Write,
) -> Result<Exit, Failure> {
    let stable = cluster.stable(&wanted.name).await?;
    let Some(stable) = stable else {
        let mut planned = without_traffic(&wanted.strategy);
        planned.lines.push("The first revision becomes stable when its pods are ready; no gate is asked.".to_owned());
        let from = format!("nothing is stable in namespace {}", cluster.namespace);
        return say(wanted, &planned, &from, out);
    };
    let now = now.as_millisecond() as f64 / 1000.0;
    let subject = Subject {
        namespace: cluster.namespace.clone(),
        name: wanted.name.clone(),
        port: wanted.port,
        stable: stable.clone(),
        canary: None,
        gates: wanted.strategy.gates.clone(),
        attempt_started: now,
        step_since: None,
        weight_ppm: 0,
        canary_pods: Vec::new(),
        stable_pods: Vec::new(),
        interval: None,
        back: None,
        probes: wanted.probes.clone(),
        workers: wanted.workers.clone(),
    };
    let (counts, trouble) = ask(prometheus, &subject, &Ask::Baseline, &Watch::default(), prices, now).await;
    if let Counts::Silent(why) = counts {
        let why = trouble.map_or_else(|| why.as_str().to_owned(), |error| chain(&error));
        return Err(Failure::error(format!("Prometheus: {why}")));
    }
    let from = format!("from what {stable} did before");
    say(wanted, &with_traffic(&wanted.strategy, &counts), &from, out)
}

fn say(wanted: &Wanted, planned: &Planned, from: &str, mut out: impl Write) -> Result<Exit, Failure> {
    writeln!(out, "{}, {from}:\n{}", wanted.name, planned.lines.join("\n"))?;
    Ok(if planned.starts { Exit::Ok } else { Exit::Stalled })
}

/// The manifest.
///
/// # Errors
/// Exit code 2 with one sentence for a file that is missing or malformed.
pub fn read(args: &PlanArgs) -> Result<Wanted, Failure> {
    let manifest = Manifest::read(&args.filename)?;
    let object = &manifest.rollout;
    let spec = MicroAppRolloutSpec::deserialize(&object["spec"]).map_err(|error| {
        let meant = presets::meant(&object["spec"]).map_or_else(String::new, |meant| format!("; {meant}"));
        manifest.says(&format!("the rollout's spec does not read: {error}{meant}"))
    })?;
    Ok(Wanted {
        name: manifest.name()?.to_owned(),
        namespace: manifest.namespace().map(str::to_owned),
        port: u16::try_from(spec.traffic.port).unwrap_or(0),
        strategy: Strategy::resolve(&spec, "").map_err(|error| manifest.says(&error.0))?,
        probes: probes(&object["spec"]["template"]),
        workers: workers(&object["spec"]["template"]),
    })
}

/// `GATE=COUNTS` of the command line, read as the first line of a replay.
fn given(args: &PlanArgs, strategy: &Strategy) -> Result<Counts, Failure> {
    let mut baseline = Map::new();
    for text in &args.baseline {
        let (name, counts) = text.split_once('=').ok_or_else(|| {
            Failure::usage(format!("--baseline {text}: write GATE=BAD/TOTAL, such as errors=900/180000"))
        })?;
        baseline.insert(name.to_owned(), counts_of(counts));
    }
    let line =
        json!({"baseline": baseline, "seconds": args.seconds.as_secs_f64(), "scrape": args.scrape.as_secs_f64()});
    replay::baseline(&line.to_string(), strategy).map_err(|error| Failure::usage(format!("--baseline: {error}")))
}

/// `900/180000` as `[900, 180000]`; the sum and the number of a mean as JSON.
fn counts_of(text: &str) -> Value {
    if let Ok(value) = serde_json::from_str::<Value>(text)
        && (value.is_object() || value.is_array())
    {
        return value;
    }
    let parts = text.split('/').map(|part| part.parse::<u64>().map_or_else(|_| json!(part), Value::from));
    Value::Array(parts.collect())
}
