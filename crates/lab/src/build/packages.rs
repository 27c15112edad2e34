use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::{run, succeeds};
use crate::error::{Error, Result};

/// What must be there, and the Debian package that brings it.
const NEEDED: [(&str, &str); 8] = [
    ("containerd", "containerd"),
    ("ctr", "containerd"),
    ("runc", "runc"),
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("nsenter", "util-linux"),
    ("setsid", "util-linux"),
    ("mount", "mount"),
];
const CNI: &str = "containernetworking-plugins";

/// Installs the packages that are missing.
pub(crate) fn ensure() -> Result<()> {
    let mut missing: Vec<_> = NEEDED.iter().filter(|(p, _)| find(p).is_none()).map(|(_, package)| *package).collect();
    if cni_plugins().is_none() {
        missing.push(CNI);
    }
    missing.dedup();
    install(&missing)
}

pub(crate) fn ensure_pip() -> Result<()> {
    if succeeds(Command::new("python3").args(["-m", "pip", "--version"])) { Ok(()) } else { install(&["python3-pip"]) }
}

fn install(packages: &[&str]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    if find("apt-get").is_none() {
        return Err(Error::Needs(format!("these programs, by their Debian names: {}", packages.join(" "))));
    }
    eprintln!("lab: installing {}", packages.join(" "));
    let apt = || {
        let mut apt = Command::new("apt-get");
        apt.env("DEBIAN_FRONTEND", "noninteractive").arg("--quiet");
        apt
    };
    run(apt().arg("update"))?;
    run(apt().args(["install", "--yes", "--no-install-recommends"]).args(packages)).map(drop)
}

/// The folder of the CNI plug-ins, by distribution.
pub(crate) fn cni_plugins() -> Option<PathBuf> {
    ["/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"]
        .into_iter()
        .map(PathBuf::from)
        .find(|dir| ["ptp", "host-local"].iter().all(|plugin| dir.join(plugin).exists()))
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(system).map(|dir| Path::new(&dir).join(program)).find(|p| p.is_file())
}
