//! The definition as a real API server enforces it, with the objects of `crates/api/tests`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use microapp_e2e::Cluster;
use serde_json::{Value, json};

/// Nothing is stored, and a field that the schema does not know is an error, as with `kubectl apply`.
const CREATE: &str =
    "/apis/microapp.dev/v1alpha1/namespaces/default/microapprollouts?dryRun=All&fieldValidation=Strict";

fn files(folder: &str) -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/api/tests").join(folder);
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    let files: BTreeMap<_, _> =
        entries.map(|e| (e.file_name().into_string().unwrap(), fs::read_to_string(e.path()).unwrap())).collect();
    assert!(files.len() >= 3, "the folder was not read");
    files
}

fn create(text: &str) -> Result<Value, String> {
    let mut object: Value = serde_saphyr::from_str(text).unwrap();
    object["metadata"]["namespace"] = json!("default");
    Cluster::connect().create(CREATE, &object)
}

#[test]
fn the_api_server_refuses_every_mistake_with_its_sentence() {
    let mut wrong = Vec::new();
    for (file, text) in files("refusals") {
        let expected = text.lines().next().and_then(|line| line.strip_prefix("# expect: ")).unwrap();
        match create(&text) {
            Err(sentence) if sentence.contains(expected) => {}
            answer => wrong.push(format!("{file}: expected {expected:?}, got {answer:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_api_server_accepts_every_good_object() {
    for (file, text) in files("accepted") {
        create(&text).unwrap_or_else(|sentence| panic!("{file}: {sentence}"));
    }
}
