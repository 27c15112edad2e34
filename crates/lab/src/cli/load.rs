use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use microapp_lab::{LoadConfig, LoadGenerator, Result};

const LOG: &str = r#"The loop is open: requests leave at the rate, whether or not earlier ones were answered.

A line of the log is {"t":1767225600.125,"code":200,"revision":"v2","ms":12.3}
  t         when the answer was complete, in seconds since 1970
  code      the status; 0 for a failed connection and for a time-out
  revision  the response header x-revision
  ms        milliseconds from when the request was due to the complete answer

SIGINT and SIGTERM end it early; what is on its way is still logged."#;

#[derive(Debug, Args)]
#[command(after_help = LOG)]
pub(super) struct Load {
    /// The Host header, which the gateway routes by
    #[arg(long)]
    host: String,
    /// Requests per second
    #[arg(long)]
    rps: f64,
    /// How long; for ever when it is left out
    #[arg(long)]
    seconds: Option<f64>,
    /// Where the log goes; - is standard output
    #[arg(long, value_name = "FILE.jsonl")]
    out: PathBuf,
    /// The path
    #[arg(long, default_value = "/")]
    path: String,
    /// A body of JSON; makes the method POST
    #[arg(long, value_name = "JSON")]
    body: Option<String>,
    /// The method
    #[arg(long)]
    method: Option<String>,
    /// Seconds after which a request counts as not answered
    #[arg(long, default_value_t = 10.0, value_name = "SECONDS")]
    timeout: f64,
    /// Another address than the lab's gateway, reached from outside the lab
    #[arg(long, value_name = "URL")]
    target: Option<String>,
}

impl Load {
    pub(super) fn run(self) -> Result<()> {
        let Self { host, rps, seconds, out, path, body, method, timeout, target } = self;
        let seconds = seconds.map(|s| Duration::try_from_secs_f64(s).unwrap_or(Duration::ZERO));
        let mut load = LoadConfig::to(host, rps);
        if let Some(target) = target {
            load.target = target;
            load.in_lab = false;
        }
        if let Ok(timeout) = Duration::try_from_secs_f64(timeout) {
            load.timeout = timeout;
        }
        (load.path, load.method, load.body, load.duration, load.out) = (path, method, body, seconds, Some(out));
        (load.keep, load.until_signal) = (false, true);
        eprintln!("lab: {}", LoadGenerator::start(load)?.wait()?);
        Ok(())
    }
}
