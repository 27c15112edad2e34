//! Generated files are as they would be generated now. Offline: nothing here needs a cluster or helm.
#![allow(clippy::unwrap_used)]

use std::{
    path::{Path, PathBuf},
    process::Command,
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

#[test]
fn the_crd_is_what_the_types_say() {
    let file = root().join("crds/microapprollouts.microapp.dev.yaml");
    let kept = std::fs::read_to_string(&file).unwrap();
    assert!(kept == microapp_api::schema::crd_yaml(), "{} is out of date: run `make gen`", file.display());
}

#[test]
fn the_copies_in_chart_and_base_are_the_generated_ones() {
    let output = Command::new(root().join("deploy/check.sh")).arg("copies").current_dir(root()).output().unwrap();
    assert!(
        output.status.success(),
        "run `make gen`:\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The operator is not the first to go where a node is short: what it guards would go on without it.
#[test]
fn the_operator_has_a_priority_by_default() {
    for file in ["charts/microapp-rollouts/values.yaml", "deploy/base/operator.yaml"] {
        let text = std::fs::read_to_string(root().join(file)).unwrap();
        assert!(text.lines().any(|line| line.trim() == "priorityClassName: system-cluster-critical"), "{file}");
    }
}
