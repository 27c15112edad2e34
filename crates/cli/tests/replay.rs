//! `replay` as a driver uses it: through pipes, one line at a time, with nothing else to read.
#![allow(clippy::unwrap_used)]

use std::{
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio},
};

use serde_json::{Value, json};

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/rollout.yaml")
}

/// Without a home, a kubeconfig or a path: nothing but its arguments and stdin.
fn command(rollout: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-microapp"));
    command.env_clear().arg("replay").arg("-f").arg(rollout);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(rollout: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = command(rollout).args(arguments).spawn().unwrap();
    // A program that refuses its arguments does not read.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A driver that waits for each answer before it says the next line.
struct Driver {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Driver {
    fn start() -> Self {
        let mut child = command(&fixture()).spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output }
    }

    fn say(&mut self, line: &Value) {
        writeln!(self.input, "{line}").unwrap();
        self.input.flush().unwrap();
    }

    fn ask(&mut self, line: &Value) -> Value {
        self.say(line);
        let mut answer = String::new();
        self.output.read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap()
    }

    fn end(mut self) -> i32 {
        drop(self.input);
        self.child.wait().unwrap().code().unwrap()
    }
}

fn baseline() -> Value {
    json!({"baseline": {"errors": [900, 180_000]}, "seconds": 3600, "scrape": 5})
}

fn window(t: f64, canary: [u64; 2], stable: [u64; 2]) -> Value {
    json!({"t": t, "gates": {"errors": {"canary": canary, "stable": stable}}, "ready": true})
}

#[test]
fn a_driver_that_waits_for_each_answer_closes_the_loop_until_a_bad_canary_is_back() {
    let mut driver = Driver::start();
    driver.say(&baseline());
    let first = driver.ask(&json!({"t": 0, "gates": {}, "ready": true}));
    assert_eq!((&first["action"], first["weight"].as_f64()), (&json!("raise"), Some(1.0)), "{first}");
    let mut last = first;
    for line in 1..60 {
        last = driver.ask(&window(f64::from(line) * 5.0, [3, 3], [1, 247]));
        if last["action"] == "rollback" {
            break;
        }
    }
    assert_eq!((&last["action"], last["weight"].as_f64()), (&json!("rollback"), Some(0.0)), "{last}");
    assert_eq!(last["gates"][0]["verdict"], "fail");
    assert_eq!(driver.end(), 0);
}

#[test]
fn the_same_trace_gives_the_same_bytes_from_a_file_and_from_stdin() {
    let mut trace = Vec::new();
    writeln!(trace, "{}\n{}", baseline(), json!({"t": 0, "gates": {}, "ready": true})).unwrap();
    for line in 1..40 {
        writeln!(trace, "{}", window(f64::from(line) * 5.0, [0, 3], [1, 247])).unwrap();
    }
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&trace).unwrap();
    let from_stdin = run(&fixture(), &["--trace", "-"], str::from_utf8(&trace).unwrap());
    let from_file = run(&fixture(), &["--trace", file.path().to_str().unwrap()], "");
    assert_eq!((from_stdin.status.code(), stderr(&from_stdin)), (Some(0), String::new()));
    assert_eq!(from_stdin.stdout, from_file.stdout);
    assert_eq!(String::from_utf8(from_stdin.stdout).unwrap().lines().count(), 40);
}

#[test]
fn a_malformed_line_ends_with_one_sentence_and_keeps_the_answers_before_it() {
    let good = json!({"t": 0, "gates": {}, "ready": true}).to_string();
    let bad_lines = [
        "no json".to_owned(),
        String::new(),
        json!({"t": 0, "gates": {}}).to_string(),
        json!({"t": 5, "gates": {"erors": {"canary": [0, 1], "stable": [0, 1]}}}).to_string(),
        json!({"t": 5, "gates": {"errors": {"canary": [-1, 1], "stable": [0, 1]}}}).to_string(),
        json!({"t": 5, "gates": {"errors": {"canary": [0.5, 1], "stable": [0, 1]}}}).to_string(),
        json!({"t": 5, "gates": {}, "command": "explode"}).to_string(),
    ];
    for bad in bad_lines {
        let output = run(&fixture(), &[], &format!("{good}\n{bad}\n{good}\n"));
        assert_eq!(output.status.code(), Some(2), "{bad}");
        assert_eq!(String::from_utf8(output.stdout.clone()).unwrap().lines().count(), 1, "{bad}");
        let sentence = stderr(&output);
        assert_eq!(sentence.lines().count(), 1, "{sentence}");
        assert!(sentence.starts_with("kubectl microapp: line 2: "), "{sentence}");
    }
}

#[test]
fn a_last_line_without_its_line_break_is_answered() {
    let output = run(&fixture(), &[], "{\"t\": 0, \"gates\": {}, \"ready\": true}");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(output.stdout.last(), Some(&b'\n'));
}

#[test]
fn a_rollout_that_is_missing_or_malformed_is_a_usage_error_with_one_sentence() {
    let missing = run(Path::new("/no/such/rollout.yaml"), &[], "");
    assert_eq!(missing.status.code(), Some(2));
    assert!(stderr(&missing).contains("/no/such/rollout.yaml"), "{}", stderr(&missing));
    for text in
        ["{", "kind: Deployment", "a: [1", "- 1", "", "kind: MicroAppRollout", "kind: MicroAppRollout\nspec: {}"]
    {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let output = run(file.path(), &[], "{\"t\": 0, \"gates\": {}}\n");
        assert_eq!(output.status.code(), Some(2), "{text:?}");
        assert!(output.stdout.is_empty(), "{text:?}");
        assert_eq!(stderr(&output).lines().count(), 1, "{text:?}: {}", stderr(&output));
    }
}

#[test]
fn a_trace_that_is_missing_is_a_usage_error() {
    let output = run(&fixture(), &["--trace", "/no/such/trace"], "");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("/no/such/trace"));
}

#[test]
fn the_rollout_may_come_from_stdin_when_the_trace_does_not() {
    let mut rollout = String::new();
    std::fs::File::open(fixture()).unwrap().read_to_string(&mut rollout).unwrap();
    let mut trace = tempfile::NamedTempFile::new().unwrap();
    writeln!(trace, "{}", json!({"t": 0, "gates": {}, "ready": true})).unwrap();
    let output = run(Path::new("-"), &["--trace", trace.path().to_str().unwrap()], &rollout);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let both = run(Path::new("-"), &[], &rollout);
    assert_eq!(both.status.code(), Some(2));
    assert!(stderr(&both).contains("cannot both come from stdin"));
}
