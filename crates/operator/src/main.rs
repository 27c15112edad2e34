//! Parses, wires, and waits for the signal to stop.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context as _;
use clap::{Parser, ValueEnum};
use futures::future::BoxFuture;
use kube_client::{Client, Config};
use microapp_operator::{
    Context,
    clock::SystemClock,
    health::{self, Gates},
    hostnames::Hostnames,
    logs,
};
use microapp_telemetry::{
    Answer, HttpPrometheus, PriceTable, Prometheus, QueryError,
    gateways::{self, Gateways},
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

/// Lets new revisions of small AI applications in step by step, and takes the traffic back on evidence.
#[derive(Debug, Parser)]
#[command(name = "microapp-operator", version)]
struct Arguments {
    /// Work in this namespace alone; may be repeated. Without it: in all of them.
    #[arg(long = "namespace", env = "WATCH_NAMESPACES", value_delimiter = ',')]
    namespaces: Vec<String>,
    /// Address of Prometheus, without /api/v1.
    #[arg(long, env = "PROMETHEUS_URL")]
    prometheus_url: Option<String>,
    /// A namespace that gateways run in; may be repeated. Series of gateways count from nowhere else.
    #[arg(long = "gateway-namespace", env = "GATEWAY_NAMESPACES", value_delimiter = ',')]
    gateway_namespaces: Vec<String>,
    /// A job of Prometheus that scrapes gateways; may be repeated. Series of gateways count from no other one.
    #[arg(long = "gateway-job", env = "GATEWAY_JOBS", value_delimiter = ',')]
    gateway_jobs: Vec<String>,
    /// A host name that rollouts may claim, such as *.{namespace}.example.com; may be repeated. Without it: what the
    /// Gateways admit.
    #[arg(long = "hostname", env = "HOSTNAMES_ALLOWED", value_delimiter = ',')]
    hostnames: Vec<String>,
    /// File with the bearer token for Prometheus; read again for each query.
    #[arg(long, env = "PROMETHEUS_TOKEN_FILE")]
    prometheus_token_file: Option<PathBuf>,
    /// Prices of models: USD per million tokens, as YAML. Without it: the table that comes with the operator.
    #[arg(long, env = "PRICES_FILE")]
    prices: Option<PathBuf>,
    /// Address of /metrics, /healthz and /readyz.
    #[arg(long, env = "METRICS_BIND", default_value = "0.0.0.0:8080")]
    metrics_bind: SocketAddr,
    /// Elect a leader; only the leader writes.
    #[arg(long, env = "LEADER_ELECT", default_value_t = true, action = clap::ArgAction::Set)]
    leader_elect: bool,
    /// Name of the lease.
    #[arg(long, env = "LEASE_NAME", default_value = "microapp-operator")]
    lease_name: String,
    /// Namespace of the lease; without it the operator's own.
    #[arg(long, env = "LEASE_NAMESPACE")]
    lease_namespace: Option<String>,
    /// Writes that may be under way at the same time.
    #[arg(long, env = "CONCURRENCY", default_value_t = 32)]
    concurrency: usize,
    /// Format of the log.
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value_t = LogFormat::Json)]
    log_format: LogFormat,
    /// What is logged, as in RUST_LOG.
    #[arg(long, env = "RUST_LOG", default_value = "info")]
    log: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    Json,
    Text,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Arguments {
        namespaces,
        prometheus_url,
        gateway_namespaces,
        gateway_jobs,
        hostnames,
        prometheus_token_file,
        prices,
        metrics_bind,
        leader_elect,
        lease_name,
        lease_namespace,
        concurrency,
        log_format,
        log,
    } = Arguments::parse();
    let filter = logs::filter(&log).context("--log")?;
    match log_format {
        LogFormat::Json => tracing_subscriber::fmt().json().flatten_event(true).with_env_filter(filter).init(),
        LogFormat::Text => tracing_subscriber::fmt().with_env_filter(filter).init(),
    }
    // Fails only where a provider was chosen already, and then that one serves.
    let _ = rustls::crypto::ring::default_provider().install_default();

    let mut config = Config::infer().await.context("no kubeconfig and not in a cluster")?;
    // Nothing is repeated behind our back.
    config.default_retry = false;
    // A watch ends after 30 s: a connection that says nothing for longer is dead, also where it hangs before its start.
    config.connect_timeout = Some(Duration::from_secs(5));
    config.read_timeout = Some(Duration::from_secs(40));
    config.headers.push((
        "user-agent".parse().context("header name")?,
        concat!("microapp-operator/", env!("CARGO_PKG_VERSION")).parse().context("header")?,
    ));
    let own_namespace = config.default_namespace.clone();
    let client = Client::try_from(config.clone()).context("client")?;
    let urgent = Client::try_from(config).context("client")?;
    let prometheus: Arc<dyn Prometheus> = match &prometheus_url {
        Some(url) => Arc::new(HttpPrometheus::new(url, prometheus_token_file).context("--prometheus-url")?),
        None => Arc::new(Nobody),
    };
    let prices = match prices {
        Some(file) => {
            let text = tokio::fs::read_to_string(&file).await.with_context(|| file.display().to_string())?;
            PriceTable::parse(&text).with_context(|| file.display().to_string())?
        }
        None => PriceTable::built_in().context("prices")?,
    };
    let identity = format!("{}-{:08x}", hostname(), fastrand::u32(..));
    let mut context = Context::new(client, urgent, prometheus, Arc::new(prices), Arc::new(SystemClock), identity);
    context.namespaces = namespaces;
    context.hostnames = Hostnames::new(hostnames);
    let gateways = Gateways { namespaces: gateway_namespaces, jobs: gateway_jobs };
    if gateways.is_empty() {
        tracing::warn!(
            "series of gateways count from any pod: name the gateways with --gateway-namespace and --gateway-job"
        );
    }
    gateways::name(gateways);
    context.concurrency = concurrency;
    context.lease = leader_elect.then(|| (lease_namespace.unwrap_or(own_namespace), lease_name));

    let stop = CancellationToken::new();
    let gates = Arc::new(Gates::new());
    let listener = TcpListener::bind(metrics_bind).await.with_context(|| metrics_bind.to_string())?;
    let end = CancellationToken::new();
    let serving = tokio::spawn(health::serve(listener, gates.clone(), context.metrics.clone(), end.clone()));
    tokio::spawn(signalled(stop.clone())?);
    tracing::info!(version = env!("CARGO_PKG_VERSION"), identity = context.identity, "starts");
    microapp_operator::run(context, gates, stop).await;
    tracing::info!("stopped");
    end.cancel();
    serving.await.context("health")?.context("health")
}

/// Cancels on the first SIGTERM or SIGINT.
fn signalled(stop: CancellationToken) -> anyhow::Result<BoxFuture<'static, ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(Box::pin(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop.cancel();
    }))
}

/// In a pod: its name.
fn hostname() -> String {
    let file = || std::fs::read_to_string("/etc/hostname").map(|name| name.trim().to_owned());
    std::env::var("HOSTNAME").or_else(|_| file()).unwrap_or_else(|_| "operator".to_owned())
}

/// Without an address nobody answers: rollouts are held before their first step, and say so.
#[derive(Debug)]
struct Nobody;

impl Prometheus for Nobody {
    fn query<'a>(&'a self, _: &'a str, _: f64) -> BoxFuture<'a, Result<Answer, QueryError>> {
        Box::pin(async { Err(QueryError::Address) })
    }
}
