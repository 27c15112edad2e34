//! One app through one attempt: stable alone, then both revisions, then the questions.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use futures::future::{try_join, try_join_all};
use microapp_telemetry::PriceTable;
use tokio::process::Command;

use crate::{
    apps::{App, Program},
    case::Mix,
    measure::{CANARY, STABLE, pod},
    model::Bills,
    process::{Running, absolute, free_port, get},
    scrape::{NAMESPACE, Target, now},
    traffic::{Door, Vegeta},
    truth::Truth,
};

/// What the run needs.
#[derive(Clone, Debug)]
pub struct Tools {
    /// Virtual environments, Node's modules and vegeta, as `setup.sh` laid them out.
    pub folder: PathBuf,
    /// The apps' sources.
    pub apps: PathBuf,
    /// For logs and captures.
    pub out: PathBuf,
    /// Prometheus' program.
    pub prometheus: PathBuf,
    /// The port of the stand-in for the model.
    pub model: u16,
    /// Its bills.
    pub bills: Bills,
}

/// An app whose revisions run.
#[derive(Debug)]
pub struct Up {
    /// Which.
    pub app: &'static App,
    /// When its pods started.
    pub started: f64,
    _processes: Vec<Running>,
    /// Port of the requests, and of the metrics: stable's, then the canary's.
    ports: [(u16, u16); 2],
}

/// How the revisions are called, in the order of [`Up::ports`].
pub const REVISIONS: [&str; 2] = [STABLE, CANARY];

impl Up {
    /// Starts both revisions and waits until they answer.
    ///
    /// # Errors
    /// One does not start.
    pub async fn start(tools: &Tools, app: &'static App) -> Result<Self> {
        let started = now();
        if app.program == Program::Litellm {
            let (process, ports) = one(tools, app, "gateway").await?;
            return Ok(Self { app, started, _processes: vec![process], ports: [ports, ports] });
        }
        let ((stable, first), (canary, second)) = try_join(one(tools, app, STABLE), one(tools, app, CANARY)).await?;
        Ok(Self { app, started, _processes: vec![stable, canary], ports: [first, second] })
    }

    /// Whom Prometheus scrapes.
    pub fn targets(&self) -> Vec<Target> {
        if self.app.program == Program::Litellm {
            return vec![Target { port: self.ports[0].1, pod: None }];
        }
        let one = |(ports, revision): (&(u16, u16), &str)| Target { port: ports.1, pod: Some(pod(self.app, revision)) };
        self.ports.iter().zip(REVISIONS).map(one).collect()
    }

    /// Sends a mix to one revision; what came of it.
    ///
    /// # Errors
    /// The load generator fails.
    pub async fn send(&self, tools: &Tools, which: usize, mix: Mix, seconds: u32, phase: &str) -> Result<Truth> {
        let revision = REVISIONS[which];
        let caller = caller(self.app, revision);
        let before = tools.bills.of(&caller);
        let proxy = self.app.program == Program::Litellm;
        let door =
            if proxy { Door::Litellm { key: format!("{NAMESPACE}/{}/{revision}", self.app.name) } } else { Door::App };
        let vegeta = Vegeta { program: tools.folder.join("vegeta/vegeta"), folder: tools.out.join("logs") };
        let name = format!("{}.{phase}.{revision}", self.app.name);
        let entries =
            vegeta.send(&name, self.ports[which].0, &door, mix, seconds).await.with_context(|| name.clone())?;
        // Both revisions share the proxy, so its bill is not theirs.
        let bill = (!proxy).then(|| tools.bills.of(&caller).since(before));
        Ok(Truth::new(entries, bill, self.app.model[0], proxy))
    }

    /// What stable exposes now.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn exposed(&self) -> Result<String> {
        let port = self.ports[0].1;
        let (status, body) = get(port, "/metrics").await?;
        // A mount answers with a redirect.
        if status == 200 { Ok(body) } else { Ok(get(port, "/metrics/").await?.1) }
    }
}

fn caller(app: &App, revision: &str) -> String {
    format!("{}.{revision}", app.name)
}

/// Starts one process; gives the ports of its requests and of its metrics.
async fn one(tools: &Tools, app: &'static App, revision: &str) -> Result<(Running, (u16, u16))> {
    let (port, mut metrics, mut health) = (free_port()?, 0, "/healthz");
    let venv = |name: &str, program: &str| absolute(&tools.folder.join(name)).map(|dir| dir.join("bin").join(program));
    let listen = format!("127.0.0.1:{port}");
    let mut command = match app.program {
        Program::Uvicorn { venv: name, workers } => {
            let mut command = Command::new(venv(name, "uvicorn")?);
            command.args(["app_fastapi:app", "--host", "127.0.0.1", "--log-level", "critical"]);
            command.args(["--port", &port.to_string(), "--workers", &workers.to_string()]);
            command
        }
        Program::Gunicorn => {
            let mut command = Command::new(venv("otel", "gunicorn")?);
            command.args(["--threads", "32", "--log-level", "critical", "-b", &listen, "app_flask:app"]);
            command
        }
        Program::Node { own_port } => {
            let mut command = Command::new("node");
            command.args(["--require", "./telemetry.cjs", "./app_express.cjs"]);
            command.env("NODE_PATH", absolute(&tools.folder.join("node/node_modules"))?);
            if own_port {
                metrics = free_port()?;
            }
            command
        }
        Program::Litellm => {
            let mut command = Command::new(venv("litellm", "litellm")?);
            command.args(["--config", "litellm.yaml", "--host", "127.0.0.1", "--port", &port.to_string()]);
            // It does not start without one, and nobody uses it.
            let key: String = (0..32).map(|_| fastrand::alphanumeric()).collect();
            command.env("LITELLM_MASTER_KEY", format!("sk-{key}"));
            command.env("LITELLM_LOCAL_MODEL_COST_MAP", "True");
            health = "/health/liveliness";
            command
        }
    };
    if metrics == 0 {
        metrics = port;
    }
    let mut url = format!("http://127.0.0.1:{}/{}", tools.model, caller(app, revision));
    if app.program == Program::Litellm {
        url.push_str("/v1");
    }
    let sources = absolute(&tools.apps)?;
    command.current_dir(&sources).env("PYTHONPATH", &sources).env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("MODEL_URL", url).env("PORT", port.to_string()).env("METRICS_PORT", metrics.to_string());
    command.env("OPENLIT_PRICING_JSON", sources.join("pricing.json")).envs(app.env.iter().copied());
    let name = format!("{} {revision}", app.name);
    let log = tools.out.join("logs").join(format!("{}.{revision}.app.log", app.name));
    let mut process = Running::start(&name, &mut command, log)?;
    process.ready(port, health).await?;
    Ok((process, (port, metrics)))
}

/// Sends the same mix to stable of all apps at once.
///
/// # Errors
/// The load generator fails.
pub async fn alone(tools: &Tools, up: &[Up], mixes: &[Mix], seconds: u32) -> Result<Vec<Truth>> {
    try_join_all(up.iter().zip(mixes).map(|(up, mix)| up.send(tools, 0, mix, seconds, "before"))).await
}

/// Writes what stable exposed, with the log in front.
///
/// # Errors
/// The file cannot be written.
pub fn capture(file: &Path, up: &Up, exposed: &str, truth: &Truth) -> Result<()> {
    let mut text = format!("# {}: {}\n", up.app.name, up.app.packages);
    for line in truth.summary() {
        writeln!(text, "# {line}")?;
    }
    // What no gate could read.
    let dull = |name: &str| {
        let of_process = ["python_", "nodejs_", "process_"].iter().any(|prefix| name.starts_with(prefix));
        name.contains("_size_") || (of_process && name != "process_start_time_seconds")
    };
    for line in exposed.lines() {
        let name = line.trim_start_matches("# HELP ").trim_start_matches("# TYPE ");
        let name = name.split([' ', '{']).next().unwrap_or_default();
        if !dull(name) {
            text.push_str(line);
            text.push('\n');
        }
    }
    std::fs::write(file, text)?;
    Ok(())
}

/// The prices that come with the operator.
///
/// # Errors
/// They do not read.
pub fn prices() -> Result<PriceTable> {
    PriceTable::built_in().context("the built-in prices")
}
