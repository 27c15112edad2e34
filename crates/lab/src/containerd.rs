//! The lab's own containerd, through `ctr`.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use crate::command::run;
use crate::config::REGISTRY;
use crate::error::{Doing, Result};
use crate::image::{self, Image};
use crate::{Paths, netns};

/// The containerd namespace in which the kubelet looks.
const KUBERNETES: &str = "k8s.io";
/// The one in which images are pushed from: an image there is not on the node, so that pods pull it as in life.
const STAGING: &str = "staging";

fn ctr(paths: &Paths, namespace: &str) -> Command {
    // Inside, because it is `ctr` itself that talks to the registry.
    let mut ctr = netns::command("ctr");
    ctr.arg("--address").arg(paths.containerd_socket()).args(["--namespace", namespace]);
    ctr
}

/// Whether containerd answers.
pub(crate) fn answers(paths: &Paths) -> bool {
    paths.containerd_socket().exists() && run(ctr(paths, KUBERNETES).args(["--timeout", "2s", "version"])).is_ok()
}

/// Imports an archive as it is and returns `name@sha256:…` of every image in it.
pub(crate) fn load(paths: &Paths, archive: &Path) -> Result<Vec<String>> {
    let said = run(ctr(paths, KUBERNETES).args(["images", "import"]).arg(archive))?;
    let images = imported(&said);
    for (reference, pinned) in &images {
        run(ctr(paths, KUBERNETES).args(["images", "tag", "--force", reference, pinned]))?;
    }
    Ok(images.into_iter().map(|(_, pinned)| pinned).collect())
}

/// Reference and pinned reference of the lines `unpacking NAME:TAG (sha256:…)...done`.
fn imported(said: &str) -> Vec<(String, String)> {
    said.lines()
        .filter_map(|line| {
            let (reference, rest) = line.strip_prefix("unpacking ")?.split_once(" (")?;
            let (digest, _) = rest.split_once(')')?;
            let (name, _) = image::split_reference(reference).ok()?;
            Some((reference.to_owned(), format!("{name}@{digest}")))
        })
        .collect()
}

/// Imports an image under its tag and its digest and returns `name@sha256:…`.
pub(crate) fn import(paths: &Paths, reference: &str, image: &Image) -> Result<String> {
    put(paths, KUBERNETES, image)?;
    // The kubelet accepts a reference by digest only if that very reference is known.
    let (full, pinned) = (image::full_name(reference), pinned(reference, image)?);
    run(ctr(paths, KUBERNETES).args(["images", "tag", "--force", &full, &image::full_name(&pinned)]))?;
    Ok(pinned)
}

/// Pushes an image to the lab's registry and returns `10.90.0.10:5000/name@sha256:…`.
pub(crate) fn push(paths: &Paths, reference: &str, image: &Image) -> Result<String> {
    put(paths, STAGING, image)?;
    run(ctr(paths, STAGING).args(["images", "push", "--plain-http", reference]))?;
    run(ctr(paths, STAGING).args(["images", "rm", reference]))?;
    pinned(reference, image)
}

/// The reference in the lab's registry.
pub(crate) fn in_registry(reference: &str) -> String {
    let prefix = format!("{REGISTRY}/");
    if reference.starts_with(&prefix) { reference.to_owned() } else { prefix + reference }
}

fn pinned(reference: &str, image: &Image) -> Result<String> {
    let (name, _) = image::split_reference(reference)?;
    Ok(format!("{name}@{}", image.digest))
}

fn put(paths: &Paths, namespace: &str, image: &Image) -> Result<()> {
    let file = paths.join(format!("run/image-{}.tar", std::process::id()));
    fs::write(&file, &image.archive).doing(|| format!("write {}", file.display()))?;
    let imported = run(ctr(paths, namespace).args(["images", "import"]).arg(&file));
    let _ = fs::remove_file(&file);
    imported.map(drop)
}

/// Ends every container and forgets it, so that runc, the shims and the mounts are cleaned up by those who made them.
pub(crate) fn remove_tasks(paths: &Paths) {
    let list = |what: &str| {
        let ids = run(ctr(paths, KUBERNETES).args(["--timeout", "5s", what, "ls", "--quiet"])).unwrap_or_default();
        ids.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    for (what, verb) in [("tasks", vec!["rm", "--force"]), ("containers", vec!["rm"])] {
        let ids = list(what);
        if !ids.is_empty() {
            let ids: Vec<&OsStr> = ids.iter().map(OsStr::new).collect();
            // What cannot be removed in this way is killed and unmounted afterwards.
            let _ = run(ctr(paths, KUBERNETES).args(["--timeout", "20s", what]).args(&verb).args(ids));
        }
    }
}

/// The ids of the containers that containerd has a state folder for.
pub(crate) fn container_ids(paths: &Paths) -> Vec<String> {
    fs::read_dir(paths.join("ctd/state/io.containerd.runtime.v2.task/k8s.io"))
        .into_iter()
        .flatten()
        .filter_map(|e| e.ok()?.file_name().into_string().ok())
        .collect()
}

/// The socket of a sandbox's shim, which a shim that was killed leaves behind. Its name is the hash that containerd's
/// `shim.SocketAddress` makes of containerd's own socket, the namespace and the id.
pub(crate) fn shim_socket(paths: &Paths, id: &str) -> PathBuf {
    let address = paths.containerd_socket().join(KUBERNETES).join(id);
    let name = image::hex(&Sha256::digest(address.as_os_str().as_encoded_bytes()));
    Path::new("/run/containerd/s").join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shims_socket_has_the_name_that_containerd_gives_it() {
        let paths = Paths::at(Path::new("/l"));
        let expected = "/run/containerd/s/9c23094d4936730b0d7b305df451e5cf67bcf7589db49cd7969d27b6a902d4a7";
        assert_eq!(shim_socket(&paths, "ab").to_str(), Some(expected));
    }

    #[test]
    fn what_was_imported_is_read_from_the_words_of_ctr() {
        let said = "unpacking lab.local/a:1 (sha256:12)...done\nunpacking x@sha256:12 (sha256:12)...done\n";
        assert_eq!(imported(said), [("lab.local/a:1".to_owned(), "lab.local/a@sha256:12".to_owned())]);
    }

    #[test]
    fn a_reference_is_put_into_the_registry_once() {
        assert_eq!(in_registry("app:1"), "10.90.0.10:5000/app:1");
        assert_eq!(in_registry("10.90.0.10:5000/app:1"), "10.90.0.10:5000/app:1");
    }
}
