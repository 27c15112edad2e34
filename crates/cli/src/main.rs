//! Parses and wires: `replay`, `simulate`, and `plan` and `revision` where everything is given, run as they are, every other
//! verb with a client.

use std::{io, process::ExitCode};

use clap::Parser;
use microapp_cli::{
    args::{Cli, ClusterArgs, PlanArgs, RevisionArgs, StatusArgs, Verb},
    cluster::Cluster,
    exit::{Exit, Failure},
    manifest::Manifest,
    verbs::{command, history, plan, replay, revision, simulate, status, why},
};
use microapp_core::world::Verb as Order;
use tokio::runtime;

fn main() -> ExitCode {
    let Cli { cluster, verb } = Cli::parse();
    let result = match verb {
        Verb::Replay(args) => replay::run(&args),
        Verb::Plan(args) => planned(&cluster, &args),
        Verb::Simulate(args) => simulate::run(&args),
        Verb::Revision(args) => named(&cluster, &args),
        other => with_cluster(&cluster, other),
    };
    let exit = result.unwrap_or_else(|failure| {
        let Failure { exit, message } = failure;
        eprintln!("kubectl microapp: {}", microapp_api::text::printable(&message));
        exit
    });
    ExitCode::from(exit.code())
}

/// With a client only where Prometheus is to be asked about the rollout of a cluster.
fn planned(cluster: &ClusterArgs, args: &PlanArgs) -> Result<Exit, Failure> {
    let wanted = plan::read(args)?;
    let Some(url) = args.address() else { return plan::offline(args, &wanted, io::stdout()) };
    let namespace = cluster.namespace.clone().or_else(|| wanted.namespace.clone());
    let cluster = ClusterArgs { namespace, ..cluster.clone() };
    runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(async { plan::run(&Cluster::connect(&cluster).await?, &url, args, &wanted, io::stdout()).await })
}

/// With a client only where the prompts are not in the file.
fn named(cluster: &ClusterArgs, args: &RevisionArgs) -> Result<Exit, Failure> {
    let manifest = Manifest::read(&args.filename)?;
    if let Some(names) = revision::offline(&manifest)? {
        return revision::say(&names, io::stdout());
    }
    let cluster = near(cluster, &manifest);
    runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let cluster = Cluster::connect(&cluster).await;
        revision::say(&revision::online(&manifest, cluster.as_ref().map_err(Failure::clone)).await?, io::stdout())
    })
}

/// The cluster, in the namespace of the manifest where no other is asked for.
fn near(cluster: &ClusterArgs, manifest: &Manifest) -> ClusterArgs {
    let namespace = cluster.namespace.clone().or_else(|| manifest.namespace().map(str::to_owned));
    ClusterArgs { namespace, ..cluster.clone() }
}

fn with_cluster(args: &ClusterArgs, verb: Verb) -> Result<Exit, Failure> {
    let manifest = match &verb {
        Verb::Status(StatusArgs { filename: Some(file), .. }) => Some(Manifest::read(file)?),
        _ => None,
    };
    let near = manifest.as_ref().map_or_else(|| args.clone(), |manifest| near(args, manifest));
    runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let cluster = Cluster::connect(&near).await?;
        match verb {
            Verb::Status(args) => status::run(&cluster, &args, manifest.as_ref()).await,
            Verb::Revision(args) => {
                revision::say(&revision::online(&Manifest::read(&args.filename)?, Ok(&cluster)).await?, io::stdout())
            }
            Verb::Why(args) => why::run(&cluster, &args).await,
            Verb::Abort(args) => command::run(&cluster, Order::Abort, &args, io::stdout()).await,
            Verb::Promote(args) => command::promote(&cluster, &args, io::stdout()).await,
            Verb::Pause(args) => command::run(&cluster, Order::Pause, &args, io::stdout()).await,
            Verb::Resume(args) => command::run(&cluster, Order::Resume, &args, io::stdout()).await,
            Verb::Retry(args) => command::run(&cluster, Order::Retry, &args, io::stdout()).await,
            Verb::History(args) => history::run(&cluster, &args).await,
            Verb::Replay(args) => replay::run(&args),
            Verb::Plan(plan) => plan::offline(&plan, &plan::read(&plan)?, io::stdout()),
            Verb::Simulate(args) => simulate::run(&args),
        }
    })
}
