//! Every decision is a pair that somebody can read: `tests/golden/<state>/<sentence>.{in,out}.yaml`.
#![allow(clippy::unwrap_used)]

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use microapp_tests::golden::Case;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden")
}

fn inputs() -> Vec<PathBuf> {
    let mut list: Vec<_> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .flat_map(|state| fs::read_dir(state).unwrap().map(|entry| entry.unwrap().path()))
        .filter(|path| path.to_string_lossy().ends_with(".in.yaml"))
        .collect();
    list.sort();
    list
}

#[test]
fn every_input_gives_its_plan() {
    let base = fs::read_to_string(folder().join("base.yaml")).unwrap();
    let update = env::var_os("UPDATE_GOLDEN").is_some();
    let mut wrong = Vec::new();
    let all = inputs();
    assert!(all.len() >= 30, "the golden pairs are gone: {} are left", all.len());
    for input in all {
        let name = input.strip_prefix(folder()).unwrap().display().to_string();
        let case =
            Case::read(&base, &fs::read_to_string(&input).unwrap()).unwrap_or_else(|why| panic!("{name}: {why}"));
        let outcome = case.run().unwrap_or_else(|why| panic!("{name}: {why}"));
        let text = serde_saphyr::to_string(&outcome).unwrap();
        let path = PathBuf::from(input.to_string_lossy().replace(".in.yaml", ".out.yaml"));
        if update {
            fs::write(&path, text).unwrap();
        } else if fs::read_to_string(&path).ok().as_deref() != Some(text.as_str()) {
            wrong.push(format!("--- {name} is now\n{text}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{}\n{} pairs differ; if that is meant: UPDATE_GOLDEN=1 cargo test -p microapp-tests --test golden",
        wrong.join("\n"),
        wrong.len()
    );
}

#[test]
fn every_output_has_an_input() {
    for state in fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        for path in fs::read_dir(state).unwrap().map(|entry| entry.unwrap().path()) {
            let input = path.to_string_lossy().replace(".out.yaml", ".in.yaml");
            assert!(Path::new(&input).exists(), "{} has no input", path.display());
        }
    }
}
