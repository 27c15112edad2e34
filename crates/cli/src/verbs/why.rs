//! `why`: the decision in words.

use std::io::{self, Write};

use crate::{
    args::Named,
    cluster::Cluster,
    exit::{Exit, Failure},
    why,
};

/// Runs the verb.
///
/// # Errors
/// The cluster's, or stdout's.
pub async fn run(cluster: &Cluster, args: &Named) -> Result<Exit, Failure> {
    let view = cluster.view(&args.name).await?;
    writeln!(io::stdout().lock(), "{}", why::paragraphs(&view).join("\n"))?;
    Ok(Exit::Ok)
}
