//! Real applications, each on what it exposed while a traffic generator wrote down what its users got.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;

use common::exposition::{capture, parse};

#[test]
fn every_capture_reads() {
    let folder = format!("{}/tests/fixtures/apps", env!("CARGO_MANIFEST_DIR"));
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .filter_map(|file| Some(file.unwrap().file_name().to_str()?.strip_suffix(".prom")?.to_owned()))
        .collect();
    names.sort();
    assert!(names.len() >= 19, "{names:?}");
    for name in names {
        assert!(!capture(&name).is_empty(), "{name}");
    }
}

#[test]
fn labels_without_a_value_are_none() {
    let read = parse("# HELP a b\na_total{error_type=\"\",le=\"5\"} 3.0 1700\nb 2\n");
    assert_eq!(read[0].0.keys().collect::<Vec<_>>(), ["__name__", "le"]);
    assert_eq!((read[0].0["le"].as_str(), read[0].1, read[1].1), ("5.0", 3.0, 2.0));
}
