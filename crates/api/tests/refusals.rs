//! The rules without a cluster. The end-to-end tests apply the same files to a real API server, where the schema's own
//! checks (types, enums, required fields, bounds) speak too.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use kube_cel::{ValidationErrors, Validator};
use microapp_api::schema;
use serde_json::Value;

static SCHEMA: LazyLock<Value> = LazyLock::new(schema::openapi);

/// File name to its text.
fn files(folder: &str) -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries.map(|e| (e.file_name().into_string().unwrap(), fs::read_to_string(e.path()).unwrap())).collect()
}

/// The part of the sentence that the file's first line names.
fn expected(text: &str) -> &str {
    text.lines().next().and_then(|line| line.strip_prefix("# expect: ")).unwrap()
}

fn check(text: &str) -> Result<(), ValidationErrors> {
    let object: Value = serde_saphyr::from_str(text).unwrap();
    Validator::new().validate(&SCHEMA, &object, None)
}

/// Sentences of all rules of the schema.
fn sentences(node: &Value, found: &mut Vec<String>) {
    match node {
        Value::Object(keywords) => {
            if let Some(rules) = keywords.get("x-kubernetes-validations").and_then(Value::as_array) {
                found.extend(rules.iter().map(|rule| rule["message"].as_str().unwrap().to_owned()));
            }
            keywords.values().for_each(|inner| sentences(inner, found));
        }
        Value::Array(items) => items.iter().for_each(|inner| sentences(inner, found)),
        _ => {}
    }
}

#[test]
fn every_refused_object_gets_its_sentence() {
    let mut of_rules = Vec::new();
    sentences(&SCHEMA, &mut of_rules);
    let mut checked = 0;
    for (file, text) in files("refusals") {
        let expected = expected(&text);
        // The others are refused by the schema itself: the API server's own words.
        if of_rules.iter().any(|sentence| sentence.contains(expected)) {
            let errors = check(&text).expect_err(&file);
            assert!(errors.to_string().contains(expected), "{file}: {errors}");
            checked += 1;
        }
    }
    assert!(checked >= of_rules.len() / 2, "only {checked} of the files were refused by a rule");
}

#[test]
fn every_rule_has_an_object_that_it_refuses() {
    let files = files("refusals");
    let mut of_rules = Vec::new();
    sentences(&SCHEMA, &mut of_rules);
    for sentence in of_rules {
        assert!(files.values().any(|text| sentence.contains(expected(text))), "no file is refused with {sentence:?}");
    }
}

#[test]
fn every_rule_admits_the_good_objects() {
    for (file, text) in files("accepted") {
        check(&text).unwrap_or_else(|errors| panic!("{file}: {errors}"));
    }
}
