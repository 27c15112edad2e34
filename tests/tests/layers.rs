//! The crates depend on each other only as drawn, and the core has no I/O in its tree.
#![allow(clippy::unwrap_used)]

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

/// Who may use whom. The package of the tests may use all; the demo apps none of ours but each other.
const ARROWS: &[(&str, &[&str])] = &[
    ("microapp-stats", &[]),
    ("microapp-api", &[]),
    ("microapp-core", &["microapp-api", "microapp-stats"]),
    ("microapp-telemetry", &["microapp-core"]),
    ("microapp-operator", &["microapp-api", "microapp-core", "microapp-telemetry"]),
    ("microapp-cli", &["microapp-api", "microapp-core", "microapp-telemetry"]),
    ("microapp-testkit", &["microapp-api", "microapp-core"]),
    ("microapp-lab", &[]),
    ("invoice-helper", &[]),
    ("model-stub", &[]),
];

/// What a decision must never be able to do.
const IO: [&str; 8] = ["tokio", "hyper", "tower", "reqwest", "kube-client", "kube-runtime", "mio", "rustls"];

/// As it is built here: what other platforms need may never have been downloaded.
fn metadata() -> Metadata {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let host = Command::new(rustc).args(["--print", "host-tuple"]).output().unwrap();
    let host = String::from_utf8(host.stdout).unwrap().trim().to_owned();
    let options = ["--offline".to_owned(), "--locked".to_owned(), format!("--filter-platform={host}")];
    MetadataCommand::new().other_options(options).exec().unwrap()
}

#[test]
fn crates_depend_on_each_other_only_as_drawn() {
    let metadata = metadata();
    let ours: BTreeSet<_> = metadata.workspace_packages().iter().map(|package| package.name.to_string()).collect();
    let drawn: BTreeMap<_, BTreeSet<_>> =
        ARROWS.iter().map(|(from, to)| ((*from).to_owned(), to.iter().map(|to| (*to).to_owned()).collect())).collect();
    let mut known: BTreeSet<_> = drawn.keys().cloned().collect();
    known.extend(["microapp-tests", "microapp-decisions", "microapp-e2e", "microapp-presets"].map(str::to_owned));
    assert_eq!(ours, known, "a crate was added or removed: draw it in this test");
    for package in metadata.workspace_packages() {
        let Some(allowed) = drawn.get(package.name.as_str()) else { continue };
        let used: BTreeSet<_> = package
            .dependencies
            .iter()
            .filter(|dependency| dependency.kind == DependencyKind::Normal && ours.contains(&dependency.name))
            .map(|dependency| dependency.name.clone())
            .collect();
        assert!(used.is_subset(allowed), "{} may use {allowed:?}, and uses {used:?}", package.name);
    }
}

#[test]
fn the_core_and_what_it_uses_can_do_no_io() {
    let metadata = metadata();
    let resolve = metadata.resolve.as_ref().unwrap();
    for name in ["microapp-stats", "microapp-api", "microapp-core"] {
        let root = metadata.workspace_packages().into_iter().find(|package| package.name == name).unwrap().id.clone();
        let (mut open, mut seen) = (vec![root], BTreeSet::new());
        while let Some(id) = open.pop() {
            let node = resolve.nodes.iter().find(|node| node.id == id).unwrap();
            let runs =
                |dep: &&cargo_metadata::NodeDep| dep.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal);
            for dep in node.deps.iter().filter(runs) {
                if seen.insert(dep.pkg.clone()) {
                    open.push(dep.pkg.clone());
                }
            }
        }
        let names: BTreeSet<_> = seen.iter().map(|id| metadata[id].name.to_string()).collect();
        let found: Vec<_> = IO.iter().filter(|io| names.contains(**io)).collect();
        assert!(found.is_empty(), "{name} must not reach {found:?}");
        assert!(names.len() > usize::from(name == "microapp-core") * 10, "{name}: the tree was not read");
    }
}

#[test]
fn versions_and_features_stand_in_the_root_manifest_only() {
    for package in metadata().workspace_packages() {
        let text = std::fs::read_to_string(&package.manifest_path).unwrap();
        for line in text.lines().filter(|line| line.contains('=') && !line.starts_with('#')) {
            let versioned = line.split_once('=').is_some_and(|(key, value)| {
                let value = value.trim();
                !key.contains("workspace")
                    && (value.contains("version") || value.starts_with("\"^") || value.starts_with("\"~"))
            });
            assert!(!versioned, "{}: {line}", package.manifest_path);
        }
    }
}
