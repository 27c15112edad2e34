//! Reads the environment and serves until SIGTERM.
use std::process::ExitCode;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use invoice_helper::{App, Config, serve, start_faults};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    tracing_subscriber::fmt().json().with_writer(std::io::stdout).init();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "cannot serve");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    // First, so that a SIGTERM during the start is not lost: process 1 of a container has no default handler.
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let config = Config::from_lookup(|name| std::env::var(name).ok())?;
    start_faults(&config.faults);
    let (drain, listen) = (config.drain, config.listen);
    let (revision, model, faults) = (config.revision.clone(), config.model.clone(), config.faults.clone());
    let app = App::new(config);
    let listener = TcpListener::bind(listen).await?;
    tracing::info!(address = %listener.local_addr()?, revision, model, ?faults, "listening");
    serve(app, listener, drain, async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        tracing::info!("stopping");
    })
    .await?;
    Ok(())
}
