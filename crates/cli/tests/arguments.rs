//! The command line itself: what is refused, and how it speaks.
#![allow(clippy::unwrap_used)]

use std::process::{Command, Output};

fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-microapp"));
    command.env_clear().args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn help_speaks_of_the_command_as_people_type_it_and_without_colour() {
    for (arguments, usage) in [
        (&["--help"][..], "Usage: kubectl microapp [OPTIONS] <COMMAND>"),
        (&["status", "--help"][..], "Usage: kubectl microapp status [OPTIONS] <NAME>"),
        (&["status", "--help"][..], "kubectl microapp status --wait-for -f - --timeout 45m"),
        (&["revision", "--help"][..], "$ kubectl kustomize overlays/prod | kubectl microapp revision -f -"),
        (&["replay", "--help"][..], "Usage: kubectl microapp replay"),
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(0));
        let help = text(&output.stdout);
        assert!(help.contains(usage), "{help}");
        assert!(!help.contains('\x1b'));
    }
}

#[test]
fn mistakes_on_the_command_line_end_with_2_and_say_so_on_stderr() {
    for arguments in [
        &[][..],
        &["stauts", "kyc"],
        &["status"],
        &["status", "kyc", "-o", "yaml"],
        &["status", "kyc", "--timeout", "soon"],
        &["status", "kyc", "--wait-for"],
        &["status", "kyc", "-f", "x", "--revision", "4zx9w8v7t6"],
        &["revision"],
        &["revision", "-f", "/no/such/file"],
        &["status", "deployment/kyc"],
        &["status", "Kyc"],
        &["abort", "kyc", "--skip-step"],
        &["replay"],
        &["replay", "-f", "x", "--request-timeout", "5"],
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn no_cluster_is_an_error_with_one_sentence() {
    let output = run(&["--kubeconfig", "/no/such/kubeconfig", "why", "kyc"]);
    assert_eq!(output.status.code(), Some(1));
    let sentence = text(&output.stderr);
    assert!(sentence.starts_with("kubectl microapp: no usable kubeconfig: "), "{sentence}");
    assert_eq!(sentence.lines().count(), 1, "{sentence}");
}

#[test]
fn an_api_server_that_does_not_answer_is_an_error() {
    // Port 9 of this machine: nobody listens there.
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let config = r#"{"apiVersion": "v1", "kind": "Config", "current-context": "here",
        "clusters": [{"name": "here", "cluster": {"server": "http://127.0.0.1:9"}}],
        "users": [{"name": "me", "user": {}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me", "namespace": "fintech"}}]}"#;
    std::io::Write::write_all(&mut file, config.as_bytes()).unwrap();
    let path = file.path().to_str().unwrap();
    let output = run(&["status", "kyc", "--kubeconfig", path, "--request-timeout", "2s"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    assert!(text(&output.stderr).contains("answer"), "{}", text(&output.stderr));
    let output = run(&["status", "kyc", "--kubeconfig", path, "--context", "there"]);
    assert_eq!(output.status.code(), Some(1));
}
