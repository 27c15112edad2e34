//! The command line, in kubectl's words.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
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
    Why(Named),
    /// How a rollout would go, before anything is applied: steps and their time, which gates can fail
    Plan(PlanArgs),
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
}

#[derive(Debug, Args)]
pub struct Named {
    /// The rollout
    #[arg(value_name = "NAME", value_parser = name)]
    pub name: String,
}

#[derive(Debug, Args)]
pub struct StatusArgs {
    #[command(flatten)]
    pub named: Named,
    /// Follow it: repaint on a terminal, one line per change otherwise
    #[arg(short, long)]
    pub watch: bool,
    /// wide, or json (with -w one object a line)
    #[arg(short, long, value_name = "FORMAT")]
    pub output: Option<Format>,
    /// The revision that is asked about; without it the one that the spec asks for now
    #[arg(long, value_name = "REVISION")]
    pub revision: Option<String>,
    /// Say by the exit code how the revision fares; with -w or --timeout wait until it is over
    #[arg(long)]
    pub exit_code: bool,
    /// How long to wait until the revision is promoted or is not going to be [default: 30m with -w --exit-code]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub timeout: Option<Duration>,
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
    /// The trace, one JSON object a line; - reads it from stdin
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
