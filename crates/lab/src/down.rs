//! Stopping: who starts things first, then what they started, then the store; nothing stays on the machine.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::mount::{UnmountFlags, unmount};

use crate::error::{Doing, Error, Result};
use crate::lock::Lock;
use crate::process::{self, Liveness, Record};
use crate::{Part, Paths, containerd, netns, sysctl, up};

/// Stops the machine's lab; false when there is none.
pub(crate) fn down() -> Result<bool> {
    let lock = Lock::take()?;
    let paths = Paths::from_env()?;
    let owner = lock.owner().unwrap_or_else(|| paths.clone());
    if owner != paths {
        return Err(Error::Elsewhere(owner.text()));
    }
    let any = paths.root().exists() || netns::exists();
    clean(&paths)?;
    lock.set_owner(None)?;
    Ok(any)
}

/// Removes whatever is there of a lab, in whatever state it was left.
pub(crate) fn clean(paths: &Paths) -> Result<()> {
    let stop = |parts: &[Part]| {
        let records: Vec<Record> = parts.iter().filter_map(|p| Record::load(paths, *p)).collect();
        process::terminate(&records, Duration::from_secs(5));
    };
    // Nobody may restart a pod any more.
    stop(&[Part::Kubelet, Part::Kwok, Part::Prometheus, Part::Envoy, Part::Contour, Part::KubeProxy, Part::Kcm]);
    let containers = containerd::container_ids(paths);
    if Record::load(paths, Part::Containerd).is_some_and(|r| r.liveness() == Liveness::Running) {
        containerd::remove_tasks(paths);
    }
    stop(&[Part::Containerd, Part::Scheduler, Part::Registry, Part::Apiserver]);
    stop(&[Part::Etcd]);
    process::kill_stray(paths.root(), &containers);
    unmount_under(paths.root());
    forget_pod_networks();
    if netns::exists() {
        netns::delete(netns::NAME);
    }
    remove_cgroups();
    remove_links(Path::new("/var/log/containers"), paths.root());
    for id in &containers {
        let _ = fs::remove_dir_all(format!("/run/containerd/runc/k8s.io/{id}"));
        let _ = fs::remove_file(containerd::shim_socket(paths, id));
    }
    sysctl::restore(paths);
    remove_state(paths)
}

fn remove_state(paths: &Paths) -> Result<()> {
    let root = paths.root();
    if !root.exists() {
        return Ok(());
    }
    if !paths.is_ours() {
        return Err(Error::Invalid(format!("{} is not the lab's; it stays", root.display())));
    }
    // Whoever was killed last may still be writing.
    let mut result = Ok(());
    process::until(Duration::from_secs(3), || {
        result = fs::remove_dir_all(root);
        result.is_ok() || !root.exists()
    });
    result.doing(|| format!("remove {}", root.display()))
}

/// Unmounts what is mounted below a directory, the deepest first.
fn unmount_under(root: &Path) {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    for point in mount_points(&mounts, root).iter().rev() {
        let _ = unmount(point, UnmountFlags::DETACH);
    }
}

/// The mount points below a directory, sorted; spaces in them are written as octal escapes (proc(5)).
fn mount_points(mountinfo: &str, root: &Path) -> Vec<PathBuf> {
    let mut points: Vec<_> = mountinfo
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(|point| PathBuf::from(point.replace("\\040", " ")))
        .filter(|point| point.starts_with(root) && point != root)
        .collect();
    points.sort();
    points
}

/// Removes the network namespaces of the lab's pods, which the CNI library's cache names, and its entries there.
fn forget_pod_networks() {
    let cache = Path::new("/var/lib/cni/results");
    for entry in fs::read_dir(cache).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some(id) = pod_of(&name) {
            for namespace in pod_namespaces(&fs::read_to_string(entry.path()).unwrap_or_default()) {
                if Path::new("/run/netns").join(&namespace).exists() {
                    netns::delete(&namespace);
                }
            }
            let _ = fs::remove_file(entry.path());
            let _ = fs::remove_file(cache.join(format!("cni-loopback-{id}-lo")));
        }
    }
}

/// The sandbox's id in the name of an entry of the lab's network.
fn pod_of(entry: &str) -> Option<&str> {
    entry.strip_prefix(netns::NAME)?.strip_prefix('-')?.strip_suffix("-eth0")
}

/// The names `cni-…` in an entry of the cache, as in `"sandbox": "/var/run/netns/cni-1234"`.
fn pod_namespaces(entry: &str) -> BTreeSet<String> {
    entry
        .split("/netns/")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .filter(|name| name.starts_with("cni-") && !name.contains('/'))
        .map(str::to_owned)
        .collect()
}

/// Removes the pods' cgroups in every hierarchy; the kernel refuses those that are in use.
fn remove_cgroups() {
    let base = Path::new("/sys/fs/cgroup");
    let hierarchies = fs::read_dir(base).into_iter().flatten().flatten().map(|e| e.path()).filter(|p| !p.is_symlink());
    for dir in hierarchies.chain([base.to_owned()]) {
        remove_cgroup(&dir.join("kubepods"));
    }
}

fn remove_cgroup(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            remove_cgroup(&entry.path());
        }
    }
    let _ = fs::remove_dir(dir);
}

/// Removes the symbolic links that the kubelet makes to the logs of its containers.
fn remove_links(dir: &Path, root: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if fs::read_link(entry.path()).is_ok_and(|target| target.starts_with(root)) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Whether any part of a lab is alive.
pub(crate) fn any_alive(paths: &Paths) -> bool {
    up::records(paths).iter().any(|r| r.liveness() != Liveness::Dead)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_mounts_below_the_directory_are_taken() {
        let info = "1 2 0:1 / /var/lib/lab/a rw - overlay overlay rw\n1 2 0:1 / /var/lib/lab/a/b\\040c rw - tmpfs tmpfs rw\n\
                    1 2 0:1 / /var/lib/labour rw - tmpfs tmpfs rw\n1 2 0:1 / /var/lib/lab rw - ext4 /dev/x rw\n";
        let points = mount_points(info, Path::new("/var/lib/lab"));
        assert_eq!(points, [PathBuf::from("/var/lib/lab/a"), PathBuf::from("/var/lib/lab/a/b c")]);
    }

    #[test]
    fn a_pods_namespace_is_found_in_the_cni_cache() {
        let entry =
            r#"{"result":{"interfaces":[{"sandbox":"/var/run/netns/cni-1-2"},{"sandbox":"/var/run/netns/other"}]}}"#;
        assert_eq!(pod_namespaces(entry).into_iter().collect::<Vec<_>>(), ["cni-1-2"]);
    }

    #[test]
    fn entries_of_other_networks_in_the_cni_cache_are_not_ours() {
        assert_eq!(pod_of("microapp-lab-12ab-eth0"), Some("12ab"));
        assert_eq!(pod_of("flannel-12ab-eth0"), None);
        assert_eq!(pod_of("microapp-laboratory-12ab-eth0"), None);
    }

    #[test]
    fn only_links_into_the_lab_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let link = |name: &str, to: &str| std::os::unix::fs::symlink(to, dir.path().join(name)).unwrap();
        link("ours", "/srv/lab/pod-logs/x");
        link("theirs", "/var/log/pods/x");
        remove_links(dir.path(), Path::new("/srv/lab"));
        let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["theirs"]);
    }

    #[test]
    fn a_directory_without_the_labs_mark_is_not_removed() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("thesis.tex"), "").unwrap();
        assert!(remove_state(&Paths::at(dir.path())).is_err());
        assert!(dir.path().join("thesis.tex").exists());
    }
}
