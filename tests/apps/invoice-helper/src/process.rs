use std::sync::Arc;
use std::time::Duration;

use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;

use crate::App;
use crate::faults::Faults;

/// Connections that are still busy so long after the drain are cut.
const LONGEST_FAREWELL: Duration = Duration::from_secs(10);
const LEAK_PERIOD: Duration = Duration::from_millis(100);

/// Serves until `stop` resolves, then for `drain` more, then until the requests in flight are answered.
pub async fn serve(
    app: Arc<App>,
    listener: TcpListener,
    drain: Duration,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let (stopped, mut stopping) = tokio::sync::watch::channel(false);
    // Small responses: waiting for more to send would add up to 40 ms to each.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    let server = axum::serve(listener, app.router()).with_graceful_shutdown(async move {
        stop.await;
        // Endpoints and gateways learn of it at the same time as we do, and act a moment later.
        tokio::time::sleep(drain).await;
        stopped.send_replace(true);
    });
    let too_long = async move {
        let _ = stopping.wait_for(|stopped| *stopped).await;
        tokio::time::sleep(LONGEST_FAREWELL).await;
    };
    tokio::select! {
        result = async { server.await } => result,
        () = too_long => Ok(()),
    }
}

/// Starts those faults that befall the process rather than a request.
pub fn start_faults(faults: &Faults) {
    if let Some(seconds) = faults.crash_after_seconds {
        let after = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            tracing::error!(seconds, "crashing, as told");
            std::process::exit(1);
        });
    }
    if faults.leak_mb_per_second > 0.0 {
        let bytes = (faults.leak_mb_per_second * LEAK_PERIOD.as_secs_f64() * 1_048_576.0) as usize;
        tokio::spawn(async move {
            let (mut leaked, mut ticks) = (Vec::new(), tokio::time::interval(LEAK_PERIOD));
            loop {
                ticks.tick().await;
                // Written to, so that it is resident.
                leaked.push(vec![1_u8; bytes]);
            }
        });
    }
}
