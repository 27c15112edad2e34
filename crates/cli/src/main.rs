//! Parses and wires: `replay` and `simulate` run as they are, every other verb with a client.

use std::{io, process::ExitCode};

use clap::Parser;
use microapp_cli::{
    args::{Cli, ClusterArgs, Verb},
    cluster::Cluster,
    exit::{Exit, Failure},
    verbs::{command, history, replay, simulate, status, why},
};
use microapp_core::world::Verb as Order;
use tokio::runtime;

fn main() -> ExitCode {
    let Cli { cluster, verb } = Cli::parse();
    let result = match verb {
        Verb::Replay(args) => replay::run(&args),
        Verb::Simulate(args) => simulate::run(&args),
        other => with_cluster(&cluster, other),
    };
    let exit = result.unwrap_or_else(|failure| {
        let Failure { exit, message } = failure;
        eprintln!("kubectl microapp: {message}");
        exit
    });
    ExitCode::from(exit.code())
}

fn with_cluster(args: &ClusterArgs, verb: Verb) -> Result<Exit, Failure> {
    runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let cluster = Cluster::connect(args).await?;
        match verb {
            Verb::Status(args) => status::run(&cluster, &args).await,
            Verb::Why(args) => why::run(&cluster, &args).await,
            Verb::Abort(args) => command::run(&cluster, Order::Abort, &args, io::stdout()).await,
            Verb::Promote(args) => command::promote(&cluster, &args, io::stdout()).await,
            Verb::Pause(args) => command::run(&cluster, Order::Pause, &args, io::stdout()).await,
            Verb::Resume(args) => command::run(&cluster, Order::Resume, &args, io::stdout()).await,
            Verb::Retry(args) => command::run(&cluster, Order::Retry, &args, io::stdout()).await,
            Verb::History(args) => history::run(&cluster, &args).await,
            Verb::Replay(args) => replay::run(&args),
            Verb::Simulate(args) => simulate::run(&args),
        }
    })
}
