use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::build::Artifact;
use crate::command::{run, succeeds};
use crate::error::{Doing, Error, Result};

const KUBERNETES: &str = "v1.34.4";
/// The Gateway API's definitions, on which Contour 1.33 runs though its own go.mod has 1.3.
const GATEWAY_API: &str = "sigs.k8s.io/gateway-api@v1.5.1";
const GATEWAY_KINDS: [&str; 9] = [
    "gatewayclasses",
    "gateways",
    "httproutes",
    "grpcroutes",
    "referencegrants",
    "tlsroutes",
    "tcproutes",
    "udproutes",
    "backendtlspolicies",
];
/// What a broken connection to the module proxy looks like; the module is then fetched again.
const NETWORK_TROUBLE: [&str; 6] =
    ["dial tcp", "i/o timeout", "connection reset", "TLS handshake", "unexpected EOF", "502 Bad Gateway"];

/// How a Go program is built.
pub(crate) struct Recipe {
    artifact: Artifact,
    pub(crate) module: PathBuf,
    package: &'static str,
    tags: &'static str,
    link: String,
}

pub(crate) fn recipe(artifact: Artifact, sources: &Path) -> Recipe {
    let (package, tags) = match artifact {
        Artifact::Kubelab | Artifact::Pause | Artifact::Envoy => (".", ""),
        Artifact::Contour => ("github.com/projectcontour/contour/cmd/contour", ""),
        Artifact::Prometheus => {
            ("github.com/prometheus/prometheus/cmd/prometheus", "remove_all_sd,enable_kubernetes_sd")
        }
        Artifact::Promtool => ("github.com/prometheus/prometheus/cmd/promtool", "remove_all_sd,enable_kubernetes_sd"),
        Artifact::Registry => ("github.com/distribution/distribution/v3/cmd/registry", ""),
        Artifact::Helm => ("helm.sh/helm/v3/cmd/helm", ""),
        Artifact::Kwok => ("sigs.k8s.io/kwok/cmd/kwok", ""),
    };
    let link = match artifact {
        // Unstamped, Kubernetes calls itself v0.0.0, and charts that ask for a version refuse it.
        Artifact::Kubelab => {
            let var = "k8s.io/component-base/version";
            format!(
                "-s -w -X {var}.gitVersion={KUBERNETES} -X {var}.gitMajor=1 -X {var}.gitMinor=34 \
                 -X {var}.gitTreeState=clean"
            )
        }
        _ => "-s -w".into(),
    };
    Recipe { artifact, module: sources.join("go").join(artifact.sources()), package, tags, link }
}

impl Recipe {
    /// Everything beside the sources that changes the outcome.
    pub(crate) fn flags(&self) -> Vec<String> {
        let mut flags = vec!["build".into(), "-trimpath".into(), "-mod=readonly".into(), "-buildvcs=false".into()];
        if !self.tags.is_empty() {
            flags.extend(["-tags".into(), self.tags.into()]);
        }
        flags.extend(["-ldflags".into(), self.link.clone()]);
        if self.artifact == Artifact::Contour {
            flags.push(format!("crds={GATEWAY_API}"));
        }
        flags
    }

    fn go(&self) -> Command {
        let mut go = Command::new("go");
        go.current_dir(&self.module).env("CGO_ENABLED", "0").env("GOTOOLCHAIN", "local").env("GO111MODULE", "on");
        go.env_remove("GOFLAGS");
        go
    }
}

/// Builds the program into a folder; Contour's folder gets the definitions of its resources too.
pub(crate) fn build(recipe: &Recipe, into: &Path) -> Result<()> {
    if !succeeds(Command::new("go").arg("version")) {
        return Err(Error::Needs("Go 1.26 or later on the PATH (https://go.dev/dl/)".into()));
    }
    patiently(|| {
        let mut go = recipe.go();
        go.args(recipe.flags().into_iter().filter(|f| !f.starts_with("crds=")));
        run(go.arg("-o").arg(into.join(recipe.artifact.name())).arg(recipe.package))
    })?;
    if recipe.artifact == Artifact::Contour {
        definitions(recipe, &into.join("crds"))?;
    }
    Ok(())
}

/// Copies the definitions out of the module cache, so that starting a lab needs no Go.
fn definitions(recipe: &Recipe, into: &Path) -> Result<()> {
    fs::create_dir_all(into).doing(|| format!("make {}", into.display()))?;
    let answer = patiently(|| run(recipe.go().args(["mod", "download", "-json", GATEWAY_API])))?;
    let dir = serde_json::from_str::<serde_json::Value>(&answer)
        .ok()
        .and_then(|v| Some(PathBuf::from(v.get("Dir")?.as_str()?)))
        .ok_or_else(|| Error::Invalid(format!("`go mod download` gave no folder: {answer}")))?;
    let contour = run(recipe.go().args(["list", "-m", "-f", "{{.Dir}}", "github.com/projectcontour/contour"]))?;
    let contour = Path::new(contour.trim()).join("examples/contour/01-crds.yaml");
    let gateway =
        GATEWAY_KINDS.map(|kind| dir.join(format!("config/crd/experimental/gateway.networking.k8s.io_{kind}.yaml")));
    for file in gateway.iter().chain([&contour]) {
        let target = into.join(file.file_name().unwrap_or_default());
        // Read and written: a copy would also copy the cache's read-only mode.
        let text = fs::read(file).doing(|| format!("read {}", file.display()))?;
        fs::write(&target, text).doing(|| format!("write {}", target.display()))?;
    }
    Ok(())
}

/// Three tries, as long as it is the network that fails.
fn patiently(mut attempt: impl FnMut() -> Result<String>) -> Result<String> {
    for _ in 0..2 {
        match attempt() {
            Err(Error::Command { output, .. }) if NETWORK_TROUBLE.iter().any(|t| output.contains(t)) => {}
            done => return done,
        }
    }
    attempt()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn broken(output: &str) -> Result<String> {
        Err(Error::Command { command: "go".into(), status: "1".into(), output: output.into() })
    }

    #[test]
    fn a_broken_connection_is_tried_again_and_a_broken_source_is_not() {
        let mut tries = 0;
        let done = patiently(|| {
            tries += 1;
            if tries < 3 { broken("read: connection reset by peer") } else { Ok("built".into()) }
        });
        assert_eq!((done.unwrap(), tries), ("built".into(), 3));

        let mut tries = 0;
        let failed = patiently(|| {
            tries += 1;
            broken("main.go:3: undefined: x")
        });
        assert!(failed.is_err());
        assert_eq!(tries, 1);
    }

    #[test]
    fn kubernetes_is_stamped_with_its_version() {
        let flags = recipe(Artifact::Kubelab, Path::new("/s")).flags();
        assert!(flags.iter().any(|f| f.contains("gitVersion=v1.34.4")), "{flags:?}");
    }
}
