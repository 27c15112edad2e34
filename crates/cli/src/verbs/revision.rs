//! `revision`: what the revision of a manifest is called, before anything is applied.

use std::io::Write;

use crate::{
    cluster::Cluster,
    exit::{Exit, Failure},
    manifest::{Manifest, Names},
};

/// Of what the file alone tells; `None` where the prompts are elsewhere.
///
/// # Errors
/// Exit code 2 for a spec that no operator could use.
pub fn offline(manifest: &Manifest) -> Result<Option<Names>, Failure> {
    manifest.prompts().ok().map(|prompts| manifest.revision(prompts)).transpose()
}

/// With the prompts of the cluster, where the file does not have them.
///
/// # Errors
/// Exit code 1 where they cannot be had, 2 for a spec that no operator could use.
pub async fn online(manifest: &Manifest, cluster: Result<&Cluster, Failure>) -> Result<Names, Failure> {
    let name = match manifest.prompts() {
        Ok(prompts) => return manifest.revision(prompts),
        Err(name) => name,
    };
    let cluster = cluster.map_err(|failure| manifest.unknown(name, &format!("no cluster can be asked: {failure}")))?;
    match cluster.prompts(name).await {
        Ok(Some(prompts)) => manifest.revision(prompts),
        Ok(None) => {
            Err(manifest.unknown(name, &format!("it does not exist in namespace {} of the cluster", cluster.namespace)))
        }
        Err(failure) => Err(manifest.unknown(name, &format!("it cannot be read from the cluster: {failure}"))),
    }
}

/// Prints it.
///
/// # Errors
/// Stdout's.
pub fn say(names: &Names, mut out: impl Write) -> Result<Exit, Failure> {
    writeln!(out, "{}", names.revision)?;
    Ok(Exit::Ok)
}
