//! The real Prometheus, with the labels that a Kubernetes scrape gives.

use std::{
    fmt::Write as _,
    fs,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, bail};
use microapp_telemetry::{HttpPrometheus, Prometheus as _};
use tokio::{
    process::Command,
    time::{Instant, sleep},
};

use crate::process::{Running, free_port};

/// How far two scrapes are apart, in seconds.
pub const INTERVAL: u64 = 2;
/// Longer than a few scrapes of busy apps take.
const PATIENCE: Duration = Duration::from_secs(120);

/// Whom to scrape.
#[derive(Clone, Debug)]
pub struct Target {
    /// On loopback.
    pub port: u16,
    /// Of which pod; none: a gateway.
    pub pod: Option<String>,
}

/// A Prometheus that runs.
#[derive(Debug)]
pub struct Scraping {
    _process: Running,
    /// To ask it.
    pub client: HttpPrometheus,
    targets: usize,
}

/// Seconds since the epoch.
pub fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

impl Scraping {
    /// Starts one in an empty folder.
    ///
    /// # Errors
    /// It does not start.
    pub async fn start(program: &Path, folder: &Path, targets: &[Target]) -> Result<Self> {
        let data = folder.join("prometheus");
        if data.exists() {
            fs::remove_dir_all(&data)?;
        }
        fs::create_dir_all(&data)?;
        let config = data.join("prometheus.yml");
        fs::write(&config, configuration(targets)?)?;
        let port = free_port()?;
        let mut command = Command::new(program);
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!("--storage.tsdb.path={}", data.join("data").display()));
        command.arg(format!("--web.listen-address=127.0.0.1:{port}")).arg("--log.level=warn");
        let mut process = Running::start("prometheus", &mut command, folder.join("prometheus.log"))?;
        process.ready(port, "/-/ready").await?;
        let client = HttpPrometheus::new(&format!("http://127.0.0.1:{port}"), None).context("prometheus")?;
        Ok(Self { _process: process, client, targets: targets.len() })
    }

    /// Waits until each target was scraped twice after `since`, and answered.
    ///
    /// # Errors
    /// Some target does not answer in two minutes.
    pub async fn scraped_since(&self, since: f64) -> Result<()> {
        let begun = Instant::now();
        let settled = since + INTERVAL as f64;
        loop {
            // With the target's labels alone: an exporter has a gauge of this name of its own.
            let promql = format!("count(timestamp(up{{job=~\"pods|gateway\"}} == 1) > {settled:.3})");
            let answer = self.client.query(&promql, now()).await.context("prometheus")?;
            let seen = answer.series.first().and_then(|series| series.samples.last()).map_or(0.0, |last| last.value);
            if seen >= self.targets as f64 {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                bail!("{seen} of {} targets answered a scrape", self.targets);
            }
            sleep(Duration::from_millis(500)).await;
        }
    }
}

fn configuration(targets: &[Target]) -> Result<String> {
    let mut text = format!("global: {{scrape_interval: {INTERVAL}s, scrape_timeout: {INTERVAL}s}}\nscrape_configs:\n");
    for job in ["pods", "gateway"] {
        let own: Vec<&Target> = targets.iter().filter(|target| target.pod.is_some() == (job == "pods")).collect();
        if own.is_empty() {
            continue;
        }
        writeln!(text, "- job_name: {job}\n  static_configs:")?;
        for target in own {
            let labels = target
                .pod
                .as_ref()
                .map_or_else(|| "{}".to_owned(), |pod| format!("{{namespace: {NAMESPACE}, pod: {pod}}}"));
            writeln!(text, "  - {{targets: ['127.0.0.1:{}'], labels: {labels}}}", target.port)?;
        }
    }
    Ok(text)
}

/// Of all rollouts.
pub const NAMESPACE: &str = "fintech";
