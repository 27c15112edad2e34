//! The command line, in kubectl's words.

use std::{path::PathBuf, time::Duration};

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use microapp_api::values;

/// See why a rollout goes on, holds or went back, and command it.
///
/// Exit codes: 0 done (with --exit-code: the wanted revision is promoted), 1 error, 2 usage, 3 still in progress at the
/// time-out, 4 rolled back, 5 stalled or unusable, 6 aborted by a person, 7 superseded by another revision.
#[derive(Debug, Parser)]
#[command(name = "kubectl-microapp", bin_name = "kubectl microapp", version, max_term_width = 110)]
#[command(arg_required_else_help = true, propagate_version = false)]
pub struct Cli {
    #[command(flatten)]
    pub cluster: ClusterArgs,
    #[command(subcommand)]
    pub verb: Verb,
}

/// Which cluster and namespace, as kubectl takes them.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Cluster")]
pub struct ClusterArgs {
    /// The namespace; the context's own without it
    #[arg(short, long, global = true, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// The context of the kubeconfig
    #[arg(long, global = true, value_name = "CONTEXT")]
    pub context: Option<String>,
    /// The kubeconfig file; $KUBECONFIG or ~/.kube/config without it
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// How long one request may take, such as 10s; 0 = for ever
    #[arg(long, global = true, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    pub request_timeout: Duration,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// One screen: revisions, weights, step, time left, gates with numbers
    Status(StatusArgs),
    /// The decision in words: what was seen, how strong the evidence is, what happens next and when
    Why(WhyArgs),
    /// How a rollout would go, before anything is applied: steps and their time, which gates can fail
    Plan(PlanArgs),
    /// The revision that a manifest asks for: the name by which status, metrics and `status --wait-for` know it
    Revision(RevisionArgs),
    /// All traffic back to stable, at once; the revision is not tried again by itself
    Abort(CommandArgs),
    /// On to the last step without waiting for the gates; a gate that fails still takes everything back
    Promote(PromoteArgs),
    /// Keep the weight; a gate that fails still takes everything back
    Pause(CommandArgs),
    /// Go on after a pause
    Resume(CommandArgs),
    /// Try a rejected revision again, in a new attempt
    Retry(CommandArgs),
    /// What ran when, who won and why
    History(HistoryArgs),
    /// Every decision of the operator, fed from outside: one JSON object a line in, one out; needs no cluster
    Replay(ReplayArgs),
    /// The operator's own decisions on generated traffic, before anything is applied; needs no cluster
    Simulate(SimulateArgs),
}

#[derive(Debug, Args)]
pub struct Named {
    /// The rollout
    #[arg(value_name = "NAME", value_parser = name)]
    pub name: String,
}

#[derive(Debug, Args)]
pub struct WhyArgs {
    #[command(flatten)]
    pub named: Named,
    /// Print what was recorded of an attempt, one JSON object a line, for `replay`
    #[arg(long)]
    pub trace: bool,
    /// The revision whose trace is wanted; without it the one on trial, or the last one that was
    #[arg(long, value_name = "REVISION", requires = "trace")]
    pub revision: Option<String>,
}

/// After the help of `status`.
const GITOPS: &str = "\
A pipeline behind a GitOps tool, which applies the commit some time later, waits for the revision of its own manifest:

  kubectl kustomize overlays/prod | kubectl microapp status --wait-for -f - --timeout 45m

A revision that the cluster has not seen yet, and a rollout that does not exist yet, are in progress (exit code 3 at
the time-out). What an earlier attempt of the same revision came to is no answer.";

/// After the help of `revision`.
const OFFLINE: &str = "\
Example:

  $ kubectl kustomize overlays/prod | kubectl microapp revision -f -
  5d8f9c7b6x

It needs no cluster where the ConfigMap with the prompts is in the same file, or the spec names none; otherwise the
ConfigMap is read from the cluster. Exit codes: 0 printed, 1 the prompts are neither in the file nor in the cluster,
2 the manifest cannot be used.";

#[derive(Debug, Default, Args)]
#[command(group = ArgGroup::new("of_one").args(["filename", "revision"]), after_help = GITOPS)]
#[command(
    override_usage = "kubectl microapp status [OPTIONS] <NAME>\n       kubectl microapp status [OPTIONS] -f <FILE>"
)]
pub struct StatusArgs {
    /// The rollout; with -f the one of the manifest
    #[arg(value_name = "NAME", value_parser = name, required_unless_present = "filename")]
    pub name: Option<String>,
    /// Follow it: repaint on a terminal, one line per change otherwise
    #[arg(short, long)]
    pub watch: bool,
    /// wide, or json (with -w one object a line)
    #[arg(short, long, value_name = "FORMAT")]
    pub output: Option<Format>,
    /// The revision that is asked about; without it the one that the spec asks for now
    #[arg(long, value_name = "REVISION")]
    pub revision: Option<String>,
    /// The manifest whose revision is asked about, as YAML or JSON; - reads it from stdin. Its prompts are those of the
    /// ConfigMap in the same file, or of the cluster's
    #[arg(short, long, value_name = "FILE")]
    pub filename: Option<PathBuf>,
    /// Wait until the revision of -f or --revision is promoted or is not going to be, and say which by the exit code
    #[arg(long, requires = "of_one")]
    pub wait_for: bool,
    /// Say by the exit code how the revision fares; with -w or --timeout wait until it is over
    #[arg(long)]
    pub exit_code: bool,
    /// How long to wait until the revision is promoted or is not going to be [default: 30m with --wait-for or -w
    /// --exit-code]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub timeout: Option<Duration>,
}

#[derive(Debug, Args)]
#[command(after_help = OFFLINE)]
pub struct RevisionArgs {
    /// The MicroAppRollout, as YAML or JSON; - reads it from stdin
    #[arg(short, long, value_name = "FILE")]
    pub filename: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Wide,
    Json,
}

#[derive(Debug, Args)]
pub struct CommandArgs {
    #[command(flatten)]
    pub named: Named,
    /// Why; it is kept with the decision
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub reason: String,
    /// How long to wait until the operator has taken the command [default: 1m, retry: 15m]; 0 = do not wait
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub timeout: Option<Duration>,
}

#[derive(Debug, Args)]
pub struct PromoteArgs {
    #[command(flatten)]
    pub command: CommandArgs,
    /// Only to the next step
    #[arg(long)]
    pub skip_step: bool,
}

#[derive(Debug, Args)]
pub struct HistoryArgs {
    #[command(flatten)]
    pub named: Named,
    /// wide, or json
    #[arg(short, long, value_name = "FORMAT")]
    pub output: Option<Format>,
}

#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// The MicroAppRollout, as YAML or JSON; - reads it from stdin
    #[arg(short, long, value_name = "ROLLOUT.yaml")]
    pub filename: PathBuf,
    /// The trace, one JSON object a line; - reads it from stdin. One that `why --trace` printed is run pass by pass, and
    /// every decision is compared with the recorded one
    #[arg(long, value_name = "FILE", default_value = "-")]
    pub trace: PathBuf,
}

#[derive(Clone, Debug, Args)]
pub struct PlanArgs {
    /// The MicroAppRollout, as YAML or JSON; - reads it from stdin
    #[arg(short, long, value_name = "ROLLOUT.yaml")]
    pub filename: PathBuf,
    /// The Prometheus that knows the rollout in the cluster; $PROMETHEUS without it
    #[arg(long, value_name = "URL")]
    pub prometheus: Option<String>,
    /// The file with the bearer token for it
    #[arg(long, value_name = "FILE")]
    pub prometheus_token_file: Option<PathBuf>,
    /// The operator's price table, USD per million tokens as YAML, where it is not the one that is built in
    #[arg(long, value_name = "FILE")]
    pub prices: Option<PathBuf>,
    /// What stable did, instead of asking: errors=BAD/TOTAL, latency the same, a judge's BAD/GOOD/VOID/STARTED, a
    /// cost's {"n":REQUESTS,"sum":PICO-USD}; once per gate
    #[arg(long, value_name = "GATE=COUNTS")]
    pub baseline: Vec<String>,
    /// Over how long the baseline was counted
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = seconds)]
    pub seconds: Duration,
    /// How often the pods are scraped
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = seconds)]
    pub scrape: Duration,
}

/// A duration above 0, or a bare number of seconds.
fn seconds(text: &str) -> Result<Duration, String> {
    let duration =
        text.parse::<u32>().map_or_else(|_| duration(text), |seconds| Ok(Duration::from_secs(seconds.into())));
    duration.and_then(|duration| if duration.is_zero() { Err("must be above 0".to_owned()) } else { Ok(duration) })
}

/// Closes the loop of the operator's own decisions with generated traffic, and prints how often each outcome came, after
/// what time and how many requests, and how many bad responses users got.
///
/// Requests arrive as a Poisson process; stable is watched for an hour before. Values are given per gate, by its name in
/// the rollout: for errorRate the share of requests that fail, for latency the share that is too slow, for hallucination
/// the share of failed verdicts (0.02 or 2%), for tokenCost the mean USD per request (0.0004; single requests scatter
/// like a log-normal of sigma 1). A canary's value may be a multiple of stable's (1.5x). What is not named is healthy on
/// stable (half of what the gate allows), and on the canary like stable.
#[derive(Debug, Args)]
pub struct SimulateArgs {
    /// The MicroAppRollout, as YAML or JSON; - reads it from stdin
    #[arg(short, long, value_name = "ROLLOUT.yaml")]
    pub filename: PathBuf,
    /// Requests per second, of both revisions together
    #[arg(long, value_name = "N")]
    pub rps: f64,
    /// What stable is like, such as errors=0.005,latency=2%
    #[arg(long, value_name = "GATE=VALUE", value_delimiter = ',', value_parser = given)]
    pub stable: Vec<Given>,
    /// What the canary is like, such as errors=0.2,cost=1.5x
    #[arg(long, value_name = "GATE=VALUE", value_delimiter = ',', value_parser = given)]
    pub canary: Vec<Given>,
    /// The scrape interval
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    pub scrape: Duration,
    /// How many rollouts
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub runs: u64,
    /// The same seed gives the same bytes
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// The share of answers that is evaluated, on both sides
    #[arg(long, value_name = "SHARE", default_value = "1", value_parser = share)]
    pub judged: f64,
    /// How long after the answer its verdict comes
    #[arg(long, value_name = "DURATION", default_value = "0", value_parser = duration)]
    pub verdict_after: Duration,
    /// When a rollout counts as undecided [default: each step at its longest, the bake and half an hour]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub limit: Option<Duration>,
    /// json
    #[arg(short, long, value_name = "FORMAT")]
    pub output: Option<Format>,
}

/// A gate and what a revision is like there.
#[derive(Clone, Debug, PartialEq)]
pub struct Given {
    /// Its name.
    pub gate: String,
    /// The value.
    pub amount: Amount,
}

/// A value of the simulation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Amount {
    /// A share, or USD.
    Plain(f64),
    /// So many times stable's.
    Times(f64),
}

/// `errors=0.005`, `errors=0.5%`, `cost=1.5x`.
fn given(text: &str) -> Result<Given, String> {
    let (gate, value) = text.split_once('=').ok_or("give GATE=VALUE, such as errors=0.005")?;
    let amount = match value.strip_suffix('x') {
        Some(times) => Amount::Times(number(times)?),
        None => Amount::Plain(share(value)?),
    };
    Ok(Given { gate: gate.to_owned(), amount })
}

/// `0.05` or `5%`.
fn share(text: &str) -> Result<f64, String> {
    match text.strip_suffix('%') {
        Some(percent) => Ok(number(percent)? / 100.0),
        None => number(text),
    }
}

fn number(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(number) if number.is_finite() && number >= 0.0 => Ok(number),
        Ok(_) | Err(_) => Err(format!("{text:?} is no number from 0 up")),
    }
}

/// `1h30m`, `90s`, `500ms`, or `0`.
fn duration(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    values::duration(text).map_err(|error| error.to_string())
}

/// `kyc`, or as kubectl prints it: `microapprollout.microapp.dev/kyc`, `mar/kyc`.
fn name(text: &str) -> Result<String, String> {
    let name = match text.split_once('/') {
        None => text,
        Some(("mar" | "microapprollout" | "microapprollouts", name)) => name,
        Some((kind, name)) if kind.ends_with(".microapp.dev") => name,
        Some((kind, _)) => return Err(format!("{kind} is no kind that this command knows; give the rollout's name")),
    };
    let ours = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.is_empty() || name.len() > 63 || !name.bytes().all(ours) {
        return Err("a rollout's name has lower-case letters, digits and dashes".to_owned());
    }
    Ok(name.to_owned())
}
