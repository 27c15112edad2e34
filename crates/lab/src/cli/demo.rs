use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::FalseyValueParser;
use clap::{Args, Subcommand};
use microapp_lab::demo::{DemoOptions, Fault, Here, exposure, idle, run};
use microapp_lab::{Error, Result};

const WHY_FAST: &str = "\
It takes minutes, not hours, because Prometheus scrapes every second, every answer is judged (in life a sample is),
the faults are plain, and the dwells are seconds. The decisions are made by the same evidence as in production.

With --here it runs on the cluster of the current kubeconfig, which needs a Gateway, a Prometheus that scrapes pods by
the annotations prometheus.io/scrape and prometheus.io/port, and the three images where it can pull them.";

#[derive(Debug, Args)]
#[command(after_help = WHY_FAST)]
pub(super) struct Demo {
    /// Leave the lab running and say how to look around
    #[arg(long, env = "KEEP", value_parser = FalseyValueParser::new())]
    keep: bool,
    /// Requests per second
    #[arg(long, default_value_t = 200.0)]
    rps: f64,
    /// How often the lab's Prometheus scrapes
    #[arg(long, default_value = "1s", value_name = "INTERVAL")]
    scrape: String,
    /// Only these bad revisions
    #[arg(long, value_delimiter = ',', value_name = "FAULT")]
    only: Vec<Fault>,
    /// Where the report goes
    #[arg(long, default_value = "target/demo/report.json", value_name = "FILE")]
    report: PathBuf,
    #[command(flatten)]
    elsewhere: Elsewhere,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "On the cluster of the current kubeconfig")]
struct Elsewhere {
    /// Use that cluster instead of the lab
    #[arg(long)]
    here: bool,
    /// The gateway's address as this machine reaches it
    #[arg(long, env = "GATEWAY", value_name = "URL")]
    gateway: Option<String>,
    /// Prometheus' address as pods reach it
    #[arg(long, env = "PROMETHEUS", value_name = "URL")]
    prometheus: Option<String>,
    /// The Gateway
    #[arg(long, default_value = "projectcontour/public", value_name = "NAMESPACE/NAME")]
    gateway_ref: String,
    /// The operator's image
    #[arg(long, env = "OPERATOR_IMAGE", value_name = "IMAGE")]
    operator_image: Option<String>,
    /// The demo app's image
    #[arg(long, env = "APP_IMAGE", value_name = "IMAGE")]
    app_image: Option<String>,
    /// The stand-in model's image
    #[arg(long, env = "STUB_IMAGE", value_name = "IMAGE")]
    stub_image: Option<String>,
}

impl Demo {
    pub(super) fn run(self) -> Result<ExitCode> {
        let Self { keep, rps, scrape, only, report, elsewhere } = self;
        let faults = if only.is_empty() { Fault::ALL.to_vec() } else { only };
        let here = elsewhere.here.then(|| elsewhere.complete()).transpose()?;
        let options = DemoOptions { keep, rps, scrape, faults, report, here };
        Ok(if run(&options)? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

impl Elsewhere {
    fn complete(self) -> Result<Here> {
        let wanted = [
            ("GATEWAY", self.gateway),
            ("PROMETHEUS", self.prometheus),
            ("OPERATOR_IMAGE", self.operator_image),
            ("APP_IMAGE", self.app_image),
            ("STUB_IMAGE", self.stub_image),
        ];
        let missing: Vec<_> = wanted.iter().filter(|(_, v)| v.is_none()).map(|(name, _)| *name).collect();
        let [Some(address), Some(prometheus), Some(operator), Some(app), Some(stub)] = wanted.map(|(_, value)| value)
        else {
            return Err(Error::Invalid(format!(
                "set {} to run the demo on the cluster of the current kubeconfig (see `lab demo --help`)",
                missing.join(", ")
            )));
        };
        let gateway = self.gateway_ref.split_once('/').map(|(namespace, name)| (namespace.into(), name.into()));
        let gateway = gateway.ok_or_else(|| Error::Invalid("write --gateway-ref NAMESPACE/NAME".into()))?;
        Ok(Here { address, prometheus, gateway, images: [operator, app, stub] })
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Bench {
    /// How long a bad canary is exposed at 1 % of 50 requests a second with 5 s scrapes, and to how many
    Exposure {
        /// How often; the figures are medians
        #[arg(long, default_value_t = 5)]
        runs: usize,
        /// Leave the lab running
        #[arg(long)]
        keep: bool,
    },
    /// What a promoted rollout at rest asks the API server and Prometheus
    Idle {
        /// How long to count
        #[arg(long, default_value_t = 5)]
        minutes: u64,
        /// Leave the lab running
        #[arg(long)]
        keep: bool,
    },
}

impl Bench {
    pub(super) fn run(self) -> Result<ExitCode> {
        let options = |keep| {
            let (faults, report) = (Vec::new(), PathBuf::from("target/bench/report.json"));
            DemoOptions { keep, rps: 200.0, scrape: "1s".into(), faults, report, here: None }
        };
        let reached = match self {
            Self::Exposure { runs, keep } => exposure(runs, &options(keep))?,
            Self::Idle { minutes, keep } => idle(minutes, &options(keep))?,
        };
        Ok(if reached { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
