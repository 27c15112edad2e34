//! The program itself: how it starts, crashes, leaks and ends.
#![allow(clippy::unwrap_used)]
mod common;

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use common::{ask, get, scrape, standard, start_stub, sum};
use hyper::StatusCode;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// Starts the program and waits for the line that says where it listens.
async fn spawn(settings: &[(&str, &str)]) -> (Child, SocketAddr) {
    let model = start_stub(&[]).await;
    let names = ["MODEL_BASE_URL", "MODEL_PROVIDER", "MODEL_NAME", "MODEL_VERSION", "OTEL_RESOURCE_ATTRIBUTES"];
    let mut child = Command::new(env!("CARGO_BIN_EXE_invoice-helper"))
        .env_clear()
        .envs(names.map(|name| (name, standard(name, model).unwrap())))
        .env("LISTEN", "127.0.0.1:0")
        .envs(settings.iter().copied())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        let line: Value = serde_json::from_str(&line).unwrap();
        if let Some(address) = line["fields"]["address"].as_str() {
            let address = address.parse().unwrap();
            // The pipe must stay open, or the next log line would be an error.
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return (child, address);
        }
    }
    panic!("it ended before it listened")
}

fn terminate(child: &Child) {
    let pid = child.id().unwrap().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
}

#[tokio::test]
async fn it_crashes_when_told() {
    let (mut child, _) = spawn(&[("FAULT_CRASH_AFTER_SECONDS", "0.4")]).await;
    assert_eq!(child.wait().await.unwrap().code(), Some(1));
}

#[tokio::test]
async fn a_leak_shows_in_the_resident_memory() {
    let (_child, app) = spawn(&[("FAULT_LEAK_MB_PER_SECOND", "200")]).await;
    let resident = async || sum(&scrape(app).await, "process_resident_memory_bytes", &[]);
    let first = resident().await;
    assert!(first > 1e6, "{first}");
    while resident().await < first + 40e6 {}
}

#[tokio::test]
async fn after_sigterm_it_serves_on_answers_what_is_in_flight_and_ends_with_0() {
    let settings = [("FAULT_SLOW_RATE", "1"), ("FAULT_SLOW_MS", "900"), ("DRAIN_MS", "500")];
    let (mut child, app) = spawn(&settings).await;
    let slow = tokio::spawn(async move { ask(app, "When is it due?").await });
    // The slow answer takes longer than the drain: whether it was asked before or in it, it is in flight at the end of it.
    assert_eq!(get(app, "/healthz").await.status, StatusCode::OK);
    terminate(&child);
    assert_eq!(get(app, "/healthz").await.status, StatusCode::OK, "endpoints have not settled yet");
    assert_eq!(slow.await.unwrap().status, StatusCode::OK);
    let status = tokio::time::timeout(Duration::from_secs(5), child.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn a_misspelt_fault_is_an_error_at_the_start() {
    let prompts = tempfile::tempdir().unwrap();
    std::fs::write(prompts.path().join("system.md"), "Be brief.").unwrap();
    std::fs::write(prompts.path().join("faults.json"), r#"{"eror_rate": 1}"#).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_invoice-helper"))
        .env_clear()
        .env("PROMPTS_DIR", prompts.path())
        .output()
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stdout).unwrap().contains("eror_rate"));
}
