//! `why`: the decision in words, or all that was recorded of it.

use std::io::{self, Write};

use microapp_api::text::printable;

use crate::{
    args::WhyArgs,
    cluster::Cluster,
    exit::{Exit, Failure},
    trace, why,
};

/// Runs the verb.
///
/// # Errors
/// The cluster's, or stdout's; there is no trace, or none that reads.
pub async fn run(cluster: &Cluster, args: &WhyArgs) -> Result<Exit, Failure> {
    let view = cluster.view(&args.named.name).await?;
    if !args.trace {
        writeln!(io::stdout().lock(), "{}", why::paragraphs(&view).join("\n"))?;
        return Ok(Exit::Ok);
    }
    let revision = args.revision.clone().or_else(|| trace::last(&view)).ok_or_else(|| {
        Failure::error("no revision has been on trial in this rollout: the first one becomes stable without gates")
    })?;
    let config_map = cluster.trace(&args.named.name, &revision).await?;
    let mut out = io::stdout().lock();
    for line in trace::lines(&config_map)? {
        writeln!(out, "{}", printable(&line))?;
    }
    Ok(Exit::Ok)
}
