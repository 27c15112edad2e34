//! `plan` as people type it, with everything given: no cluster, no Prometheus, no kubeconfig.
#![allow(clippy::unwrap_used)]

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output},
};

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/rollout.yaml")
}

fn run(rollout: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-microapp"));
    command.env_clear().arg("plan").arg("-f").arg(rollout).args(arguments);
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The fixture with another strategy and other gates.
fn rollout(strategy: &str, gates: &str) -> tempfile::NamedTempFile {
    let manifest = std::fs::read_to_string(fixture()).unwrap();
    let (before, _) = manifest.split_once("  strategy:").unwrap();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    write!(file, "{before}  strategy: {strategy}\n  gates: {gates}\n").unwrap();
    file
}

const FOUR: &str = r#"[{name: errors, errorRate: {max: "1%"}}, {name: latency, latency: {quantile: "0.95", max: 2.56s}}, {name: cost, tokenCost: {maxIncrease: "10%"}}]"#;
const ERRORS: &str = r#"[{name: errors, errorRate: {max: "1%"}}]"#;

#[test]
fn it_says_how_long_each_step_takes_what_fails_and_what_the_canary_costs() {
    let file = rollout("{preset: Standard}", FOUR);
    let cost = r#"cost={"n":180000,"sum":360000000000000}"#;
    let output = run(
        file.path(),
        &[
            "--baseline",
            "errors=900/180000",
            "--baseline",
            "latency=7200/180000",
            "--baseline",
            cost,
            "--seconds",
            "3600",
        ],
    );
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
    let expected = "\
kyc, from what was given of stable:
Gates:
  errors: stable before: 900 bad of 180000 calls to the model (0.50 %) in 1 h, 50 a second; it can fail, at more than 0.92 % bad; a canary as good is expected to need 1 min 22 s at 1%, 2 min 5 s at 5%, 3 min 48 s at 25%.
  latency: stable before: 7200 bad of 180000 calls to the model (4.00 %) in 1 h, 50 a second; it can fail, at more than 6.09 % bad; a canary as good is expected to need 2 min 18 s at 1%, 8 min 3 s at 5%, 1 min 37 s at 25%.
  cost: stable before: 0.002 USD a request over 180000 requests in 1 h, 50 a second; it can fail, from the twentieth window of a step on; a canary as good needs at least 1 min 49 s at 1%, 1 min 40 s at 5%, 2 min 16 s at 25%.
  errors counts calls to the model; what the app answers is not watched.
Ramp: tolerance 0.5%; expected at stable's traffic: 1% about 2 min 18 s (latency), 5% about 8 min 3 s (latency), 25% 5 min, 100% 30 min.
A version as good as stable is expected to be promoted after 45 min, the bake included.
Before the bake the canary is expected to answer 5026 requests, 10.05 USD at what stable costs.
";
    assert_eq!(text(&output.stdout), expected);
}

#[test]
fn little_traffic_is_said_with_what_to_change_and_ends_with_5() {
    let baseline = ["--baseline", "errors=100/20000", "--seconds", "40000"];
    let output = run(rollout("{preset: Standard}", ERRORS).path(), &baseline);
    assert_eq!(output.status.code(), Some(5), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    for part in [
        "at 0.50 requests/s the step at 1% would take 1 h 3 min",
        "SkipSteps (it would begin at 5%, with a tolerance of 5%)",
        "at least 127m",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let output = run(rollout("{lowTraffic: SkipSteps}", ERRORS).path(), &baseline);
    assert_eq!(output.status.code(), Some(0));
    let said = text(&output.stdout);
    assert!(said.contains("tolerance 5%, begins at 5% since there is little traffic"), "{said}");
    assert!(said.contains("5% about 13 min (errors), 25% about 13 min (errors), 100% 30 min"), "{said}");
}

#[test]
fn a_stable_that_is_too_bad_to_compare_with_is_said() {
    let output = run(&fixture(), &["--baseline", "errors=150000/180000"]);
    assert_eq!(output.status.code(), Some(5));
    let said = text(&output.stdout);
    assert!(
        said.contains("errors: stable before: 150000 bad of 180000 calls to the model (83 %) in 1 h, 50 a second;"),
        "{said}"
    );
    assert!(
        said.contains("it can fail, at more than 86 % bad; a canary as good is expected to need for ever at 1%."),
        "{said}"
    );
    assert!(said.contains("make stable better first"), "{said}");
    let never = run(&fixture(), &["--baseline", "errors=1000000000000/1000000000000"]);
    assert!(text(&never.stdout).contains("it cannot fail: stable is so bad"), "{}", text(&never.stdout));
}

#[test]
fn without_anything_known_of_stable_it_says_the_steps_and_how_to_ask() {
    let output = run(&fixture(), &[]);
    assert_eq!(output.status.code(), Some(0));
    let said = text(&output.stdout);
    assert!(
        said.starts_with("kyc, nothing is known of stable:\nSteps: 1% at least 2 min, 100% at least 30 min.\n"),
        "{said}"
    );
    assert!(said.contains("give --baseline, or --prometheus"), "{said}");
}

#[test]
fn what_does_not_read_ends_with_2_and_one_sentence() {
    for (arguments, part) in [
        (&["--baseline", "errors"][..], "write GATE=BAD/TOTAL"),
        (&["--baseline", "errors=1/2/3"], "[bad, total]"),
        (&["--baseline", "errors=-1/2"], "non-negative integers"),
        (&["--baseline", "latency=1/2"], "unknown gate \"latency\""),
        (&["--baseline", "errors=1/2", "--seconds", "0"], "above 0"),
    ] {
        let output = run(&fixture(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output.stderr).contains(part), "{arguments:?}: {}", text(&output.stderr));
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_preset_that_does_not_exist_is_refused_with_those_that_do_and_what_was_meant() {
    let file = rollout("{preset: Standard}", ERRORS);
    let mut manifest = std::fs::read_to_string(file.path()).unwrap();
    manifest.push_str("  telemetry: {preset: langchain}\n");
    std::fs::write(file.path(), manifest).unwrap();
    let output = run(file.path(), &[]);
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    assert!(said.contains("unknown variant `langchain`, expected one of `otel-genai`, `otel-http`"), "{said}");
    assert!(said.contains("; langchain: calls to the model are read by otel-genai"), "{said}");
}
