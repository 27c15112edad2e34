//! The traffic, by vegeta: nobody here wrote it, and its log of each request is the truth.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::case::{Case, Mix, To};

/// What the apps ask.
const PROMPT: &str = include_str!("../apps/prompt.txt");
/// Users who leave wait so long.
const PATIENCE: &str = "700ms";
/// The others, longer than anything takes.
const PATIENT: &str = "40s";

/// Whom the traffic is sent to.
#[derive(Clone, Debug)]
pub enum Door {
    /// An app.
    App,
    /// The LiteLLM proxy, with the key of a revision.
    Litellm {
        /// The key.
        key: String,
    },
}

/// What a user saw of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saw {
    /// A whole answer with this status.
    Status(u16),
    /// An answer that broke off, or none.
    Broke,
    /// Nothing: they left.
    Left,
}

/// A line of the log.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// What was asked.
    pub case: Case,
    /// What came of it.
    pub saw: Saw,
    /// Until the last byte, in seconds.
    pub seconds: f64,
}

#[derive(Debug, Deserialize)]
struct Line {
    code: u16,
    latency: u64,
    error: String,
    url: String,
}

/// Vegeta, and where its files go.
#[derive(Clone, Debug)]
pub struct Vegeta {
    /// The program.
    pub program: PathBuf,
    /// The folder for targets and logs.
    pub folder: PathBuf,
}

impl Vegeta {
    /// Sends a mix within about so many seconds, and reads the log.
    ///
    /// # Errors
    /// Vegeta fails, or its log has not one line per request.
    pub async fn send(&self, name: &str, port: u16, door: &Door, mix: Mix, seconds: u32) -> Result<Vec<Entry>> {
        let (leaving, staying): (Vec<_>, Vec<_>) = requests(mix).into_iter().partition(|case| case.leaves());
        let (stay, leave) = tokio::try_join!(
            self.attack(format!("{name}.stay"), port, door, &staying, seconds, PATIENT),
            self.attack(format!("{name}.leave"), port, door, &leaving, seconds, PATIENCE),
        )?;
        let log = [stay, leave].concat();
        let sent: u32 = mix.iter().map(|(_, count)| *count).sum();
        ensure!(log.len() == sent as usize, "{name}: {sent} requests, {} lines in the log", log.len());
        Ok(log)
    }

    async fn attack(
        &self,
        name: String,
        port: u16,
        door: &Door,
        cases: &[Case],
        seconds: u32,
        timeout: &str,
    ) -> Result<Vec<Entry>> {
        if cases.is_empty() {
            return Ok(Vec::new());
        }
        let file = |ending: &str| self.folder.join(format!("{name}.{ending}"));
        let mut targets = String::new();
        for case in cases {
            writeln!(targets, "{}", target(port, door, *case))?;
        }
        fs::write(file("targets"), targets)?;
        let rate = format!("{}/{seconds}s", cases.len());
        let mut attack = Command::new(&self.program);
        // Lazily and without an end: each target once.
        attack.args(["attack", "-format=json", "-lazy", "-duration=0", "-rate", &rate, "-timeout", timeout]);
        attack.arg("-targets").arg(file("targets")).arg("-output").arg(file("bin"));
        run(attack).await?;
        let mut encode = Command::new(&self.program);
        encode.args(["encode", "-to", "json", "-output"]).arg(file("log")).arg(file("bin"));
        run(encode).await?;
        read(&file("log"))
    }
}

async fn run(mut command: Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await.context("vegeta does not start")?;
    ensure!(output.status.success(), "vegeta: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

/// All of a mix, in an order that is always the same and not sorted.
fn requests(mix: Mix) -> Vec<Case> {
    let mut all: Vec<Case> = mix.iter().flat_map(|(case, count)| (0..*count).map(|_| *case)).collect();
    fastrand::Rng::with_seed(7).shuffle(&mut all);
    all
}

fn target(port: u16, door: &Door, case: Case) -> Value {
    let url = |path: &str| format!("http://127.0.0.1:{port}{path}");
    let Door::Litellm { key } = door else { return json!({"method": "GET", "url": url(&case.path())}) };
    let mut body =
        json!({"model": "gpt-5-nano", "messages": [{"role": "user", "content": format!("{}: {PROMPT}", case.word)}]});
    match case.word {
        "nomodel" => body["model"] = json!("gpt-nothing"),
        "timeout" => body["timeout"] = json!(0.5),
        _ => {}
    }
    if case.to == To::Stream {
        body["stream"] = json!(true);
        if case.word != "nousage" {
            body["stream_options"] = json!({"include_usage": true});
        }
    }
    let path = format!("/v1/chat/completions?tag={}", case.tag());
    let header = json!({"Authorization": [format!("Bearer {key}")], "Content-Type": ["application/json"]});
    json!({"method": "POST", "url": url(&path), "header": header, "body": STANDARD.encode(body.to_string())})
}

fn read(log: &Path) -> Result<Vec<Entry>> {
    let text = fs::read_to_string(log)?;
    let mut entries = Vec::new();
    for line in text.lines() {
        let line: Line = serde_json::from_str(line).with_context(|| format!("{}: {line}", log.display()))?;
        // The end of the targets, as several workers found it.
        if line.url.is_empty() {
            continue;
        }
        let tag = line.url.split("tag=").nth(1).unwrap_or_default();
        let case = Case::of(tag).with_context(|| format!("{}: no such kind: {tag}", log.display()))?;
        ensure!(!line.error.contains("connection refused"), "{}: the app is gone: {}", log.display(), line.error);
        let saw = match line.code {
            0 if case.leaves() && line.error.contains("Client.Timeout") => Saw::Left,
            0 => Saw::Broke,
            code => Saw::Status(code),
        };
        entries.push(Entry { case, saw, seconds: line.latency as f64 / 1e9 });
    }
    Ok(entries)
}
