//! `abort`, `promote`, `pause`, `resume`, `retry`: one annotation, and a wait until the operator has taken it.

use std::{io::Write, iter, time::Duration};

use futures::StreamExt;
use microapp_core::world::Verb;
use tokio::time;

use crate::{
    args::{CommandArgs, PromoteArgs},
    cluster::Cluster,
    exit::{Exit, Failure},
    order::{Fate, Order},
};

/// A minute is long for an operator that runs; a retry is taken when its pods are ready, for which they have ten.
const fn patience(verb: Verb) -> Duration {
    match verb {
        Verb::Retry => Duration::from_secs(15 * 60),
        Verb::Abort | Verb::Promote | Verb::Pause | Verb::Resume => Duration::from_secs(60),
    }
}

/// `abort`, `pause`, `resume`, `retry`.
///
/// # Errors
/// The cluster's, or that the command can mean nothing now.
pub async fn run(cluster: &Cluster, verb: Verb, args: &CommandArgs, out: impl Write) -> Result<Exit, Failure> {
    let view = cluster.view(&args.named.name).await?;
    let order = match verb {
        Verb::Retry => Order::retry(&view, &args.reason, &nonce())?,
        verb => Order::now(&view, verb, &args.reason, &nonce())?,
    };
    give(cluster, &order, args, view.hidden, out).await
}

/// `promote`.
///
/// # Errors
/// The cluster's, or that there is nothing to promote.
pub async fn promote(cluster: &Cluster, args: &PromoteArgs, out: impl Write) -> Result<Exit, Failure> {
    let PromoteArgs { command, skip_step } = args;
    let view = cluster.view(&command.named.name).await?;
    let order = Order::promote(&view, *skip_step, &command.reason, &nonce())?;
    give(cluster, &order, command, view.hidden, out).await
}

/// `hidden`: the route cannot be read, in which one sees that the command was taken.
async fn give(
    cluster: &Cluster,
    order: &Order,
    args: &CommandArgs,
    hidden: bool,
    mut out: impl Write,
) -> Result<Exit, Failure> {
    let name = &args.named.name;
    cluster.annotate(name, order.key(), &order.value()).await?;
    writeln!(out, "microapprollout.microapp.dev/{name} annotated: {}=\"{}\"", order.key(), order.value())?;
    let patience = args.timeout.unwrap_or(patience(order.verb));
    if patience.is_zero() {
        writeln!(out, "the operator acts on this token once; the annotation may stay")?;
        return Ok(Exit::Ok);
    }
    if hidden {
        writeln!(
            out,
            "not waiting: you have no right to read the route of {name}, which shows that the operator took the command; \
             `kubectl microapp status {name}` shows what came of it"
        )?;
        return Ok(Exit::Ok);
    }
    writeln!(out, "waiting for the operator, which acts on this token once; the annotation may stay")?;
    out.flush()?;
    let fate = time::timeout(patience, taken(cluster, name, order)).await.map_err(|_| {
        Failure::time_out(format!("the operator has not taken the command yet; the annotation {} stands", order.key()))
    })??;
    match fate {
        Fate::Taken(meaning) => {
            writeln!(out, "taken: {meaning}")?;
            Ok(Exit::Ok)
        }
        Fate::Lost(exit, message) => Err(Failure { exit, message }),
        Fate::Waiting => Err(Failure::error("the watch of the route ended")),
    }
}

/// Until the route's record shows that the token was taken, or cannot be taken any more.
async fn taken(cluster: &Cluster, name: &str, order: &Order) -> Result<Fate, Failure> {
    let mut registers = std::pin::pin!(cluster.registers(name));
    while let Some(register) = registers.next().await {
        match order.fate(register?.as_ref()) {
            Fate::Waiting => {}
            fate => return Ok(fate),
        }
    }
    Ok(Fate::Waiting)
}

/// Eight characters that no other command of this rollout has.
fn nonce() -> String {
    iter::repeat_with(fastrand::alphanumeric).take(8).collect()
}
