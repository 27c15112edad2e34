//! The ways to install it, as a real API server reads them.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use microapp_e2e::{Cluster, kubectl};
use serde_json::json;

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Renders the chart and lets the API server judge every object of it.
fn dry_run(namespace: &str, values: &[&str]) {
    let cluster = Cluster::connect();
    let path = format!("/api/v1/namespaces/{namespace}");
    if cluster.find(&path).is_none() {
        cluster.create("/api/v1/namespaces", &json!({"metadata": {"name": namespace}})).unwrap();
    }
    let mut helm = Command::new("helm");
    helm.args(["template", "microapp-rollouts", "charts/microapp-rollouts", "--namespace", namespace]);
    // A helm that does not ask a cluster goes by the version that it was built with.
    helm.args(["--kube-version", "1.34.0"]);
    let rendered = helm.args(["--set", "crds.install=false"]).args(values).current_dir(checkout()).output().unwrap();
    assert!(rendered.status.success(), "{}", String::from_utf8_lossy(&rendered.stderr));
    let mut apply = kubectl()
        .args(["apply", "--dry-run=server", "--namespace", namespace, "--filename", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    apply.stdin.take().unwrap().write_all(&rendered.stdout).unwrap();
    let judged = apply.wait_with_output().unwrap();
    assert!(judged.status.success(), "{}", String::from_utf8_lossy(&judged.stderr));
    let said = String::from_utf8_lossy(&judged.stdout);
    assert!(said.contains("deployment.apps/microapp-rollouts"), "{said}");
    let scoped = values.contains(&"rbac.scope=namespaced");
    // The roles for users are the cluster's in both forms.
    assert_eq!(said.contains("clusterrolebinding"), !scoped, "{said}");
    cluster.delete(&path);
}

#[test]
fn the_chart_is_accepted_for_the_whole_cluster() {
    dry_run("e2e-install-cluster", &["--set", "prometheus.url=http://10.90.0.10:9090"]);
}

#[test]
fn the_chart_is_accepted_for_one_namespace() {
    dry_run("e2e-install-namespaced", &["--set", "rbac.scope=namespaced"]);
}

#[test]
fn everything_generated_is_what_the_chart_and_the_types_say() {
    let check = Command::new("sh").arg("deploy/check.sh").current_dir(checkout()).output().unwrap();
    let said = [check.stdout, check.stderr].concat();
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&said));
}
