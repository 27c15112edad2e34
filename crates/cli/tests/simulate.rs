//! `simulate` as a person uses it: a manifest and what the traffic is like, nothing else.
#![allow(clippy::unwrap_used)]

use std::{
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;

fn standard() -> String {
    let mut text =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/rollout.yaml")).unwrap();
    let (from, to) = (text.find("  strategy:").unwrap(), text.find("  gates:").unwrap());
    text.replace_range(from..to, "");
    text
}

fn simulate(arguments: &[&str]) -> Output {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), standard()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-microapp"));
    command.env_clear().arg("simulate").arg("-f").arg(file.path()).args(arguments);
    command.output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

const BASE: [&str; 8] = ["--rps", "50", "--stable", "errors=0.005", "--runs", "60", "-o", "json"];

/// The only outcome, and the whole answer.
fn json(arguments: &[&str]) -> Value {
    let output = simulate(&[&BASE, arguments].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn versions_without_a_difference_are_promoted() {
    let answer = json(&[]);
    let outcomes = answer["outcomes"].as_array().unwrap();
    assert_eq!(
        (outcomes.len(), &outcomes[0]["outcome"], &outcomes[0]["runs"]),
        (1, &"promoted".into(), &60.into()),
        "{answer}"
    );
    assert!(outcomes[0]["rampSeconds"]["p50"].as_f64().unwrap() <= 660.0, "{answer}");
}

#[test]
fn a_canary_that_fails_a_fifth_of_its_requests_is_rolled_back() {
    let answer = json(&["--canary", "errors=0.2"]);
    let outcomes = answer["outcomes"].as_array().unwrap();
    assert_eq!((outcomes.len(), &outcomes[0]["outcome"]), (1, &"rolled back".into()), "{answer}");
    let bad = outcomes[0]["badByGate"]["errors"]["p50"].as_f64().unwrap();
    assert!((1.0..=12.0).contains(&bad), "{answer}");
    assert_eq!(outcomes[0]["interval"][1], 1.0);
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_one_does_not() {
    let one = |seed: &str| simulate(&["--rps", "50", "--canary", "errors=5%", "--runs", "9", "--seed", seed]).stdout;
    assert_eq!(one("7"), one("7"));
    let numbers = |text: Vec<u8>| String::from_utf8(text).unwrap().lines().skip(1).collect::<Vec<_>>().join("\n");
    assert_ne!(numbers(one("7")), numbers(one("8")));
}

#[test]
fn what_does_not_read_is_a_usage_error_with_one_sentence() {
    let cases: [(&[&str], &str); 6] = [
        (&["--rps", "50", "--canary", "erors=0.2"], "unknown gate \"erors\"; the rollout has errors"),
        (&["--rps", "50", "--stable", "erors=0.2"], "unknown gate \"erors\"; the rollout has errors"),
        (&["--rps", "50", "--stable", "errors=2x"], "only a canary can be a multiple of stable"),
        (&["--rps", "50", "--canary", "errors=1.5"], "gate errors: 1.5 is no share of requests"),
        (&["--rps", "0"], "the requests per second must be above 0"),
        (&["--rps", "50", "--canary", "errors"], "give GATE=VALUE"),
    ];
    for (arguments, sentence) in cases {
        let output = simulate(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        assert!(stderr(&output).contains(sentence), "{arguments:?}: {}", stderr(&output));
    }
}

#[test]
fn a_person_reads_shares_times_and_bad_responses() {
    let output = simulate(&["--rps", "50", "--canary", "errors=40x", "--runs", "20"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("errors: stable 0.005, canary 0.2 (share of requests that fail)"), "{text}");
    assert!(
        text.contains("rolled back (GateFailed): 100.0 % of the runs (20; 95 % confidence: 83.2 to 100.0 %)"),
        "{text}"
    );
    assert!(text.contains("bad responses that it served"), "{text}");
}
