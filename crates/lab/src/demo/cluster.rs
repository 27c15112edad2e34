//! The cluster that the demo runs on: the lab, or the one of the current kubeconfig.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::command;
use crate::error::{Doing, Error, Result};
use crate::{Lab, LoadConfig};

/// The rollout's name and, with `-prompts`, what it is made of.
pub(crate) const ROLLOUT: &str = "invoice-helper";
/// Its namespace.
pub(crate) const NAMESPACE: &str = "demo";
/// Its host name.
pub(crate) const HOST: &str = "invoice.demo.local";

/// How the cluster is reached, and what it is called there.
#[derive(Debug)]
pub(crate) struct Cluster {
    /// None: the current kubeconfig's.
    pub lab: Option<Lab>,
    /// Prometheus as the operator reaches it.
    pub prometheus: String,
    /// The gateway's address for the load; none = the lab's.
    pub address: Option<String>,
    /// Namespace and name of the Gateway.
    pub gateway: (String, String),
    /// Where manifests are kept for whoever wants to read them.
    pub folder: PathBuf,
}

impl Cluster {
    /// A program with the cluster's kubeconfig, where it can reach it.
    pub(crate) fn command(&self, program: &str) -> Command {
        match &self.lab {
            Some(lab) => lab.in_namespace(&Command::new(program)),
            None => Command::new(program),
        }
    }

    /// Runs kubectl.
    pub(crate) fn kubectl(&self, args: &[&str]) -> Result<String> {
        command::run(self.command("kubectl").args(args))
    }

    /// Runs kubectl in the demo's namespace.
    pub(crate) fn get(&self, args: &[&str]) -> Result<String> {
        self.kubectl(&[&["--namespace", NAMESPACE], args].concat())
    }

    /// Applies a manifest and keeps it in the demo's folder.
    pub(crate) fn apply(&self, name: &str, manifest: &str) -> Result<()> {
        let file = self.folder.join(name);
        fs::write(&file, manifest).doing(|| format!("write {}", file.display()))?;
        self.kubectl(&["apply", "--filename", &file.to_string_lossy()]).map(drop)
    }

    /// Installs or upgrades the operator from its chart and waits until it is ready.
    pub(crate) fn install(&self, chart: &str, image: &str) -> Result<()> {
        let (repository, place) = match image.split_once('@') {
            Some((repository, digest)) => (repository, format!("image.digest={digest}")),
            None => image
                .rsplit_once(':')
                .map(|(repository, tag)| (repository, format!("image.tag={tag}")))
                .ok_or_else(|| Error::Invalid(format!("{image:?} is no image: write NAME:TAG or NAME@sha256:…")))?,
        };
        let mut helm = self.command("helm");
        helm.args(["upgrade", "--install", "microapp-rollouts", chart]);
        helm.args(["--namespace", "microapp-system", "--create-namespace", "--wait", "--timeout", "3m"]);
        if self.lab.is_some() {
            // Somebody may have applied the definition by hand before.
            helm.arg("--take-ownership");
        }
        // Rollouts of others on the same cluster are none of the demo's business.
        helm.args(["--set", &format!("watchNamespaces={{{NAMESPACE}}}")]);
        helm.args(["--set", &format!("prometheus.url={}", self.prometheus)]);
        helm.args(["--set", &format!("image.repository={repository}"), "--set", &place]);
        command::run(&mut helm).map(drop)
    }

    /// The load that users are: every answer kept, with its verdict and its tokens.
    pub(crate) fn load(&self, rps: f64) -> LoadConfig {
        let mut load = LoadConfig { path: "/ask".into(), read_body: true, ..LoadConfig::to(HOST, rps) };
        if let Some(address) = &self.address {
            load.target.clone_from(address);
            load.in_lab = false;
        }
        load.out = Some(self.folder.join("load.jsonl"));
        load
    }
}
