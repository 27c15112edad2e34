//! `revision -f`: the name of a manifest's revision, without a cluster.
#![allow(clippy::unwrap_used)]

use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

use microapp_core::lens::{Prompts, desired};
use microapp_core::world::Desired;
use serde_json::json;

const ROLLOUT: &str = "
apiVersion: microapp.dev/v1alpha1
kind: MicroAppRollout
metadata: {name: kyc, namespace: fintech}
spec:
  template:
    spec:
      containers:
      - {name: app, image: registry.example/kyc:2, resources: {requests: {cpu: 0.5}}}
      volumes:
      - {name: key, secret: {secretName: key, defaultMode: 0400}}
  model: {provider: openai, name: gpt-5-nano, version: \"2025-08-07\"}
  traffic: {port: 8080, gateway: {parentRefs: [{name: public}]}}
";

const PROMPTS: &str = "  prompts: {configMapRef: {name: kyc-prompts}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: other-prompts}
data: {system.txt: be rude}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: kyc-prompts}
data: {system.txt: be kind}
";

fn run(manifest: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-microapp"));
    command.env_clear().args(["revision", "-f", "-", "--kubeconfig", "/no/such/kubeconfig"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(manifest.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn name(manifest: &str) -> String {
    let output = run(manifest);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

#[test]
fn a_manifest_has_the_revision_that_the_operator_gives_the_stored_object() {
    // As the API server stores what kubectl made of it.
    let stored = json!({"metadata": {"name": "kyc", "namespace": "fintech"}, "spec": {
        "replicas": 1,
        "template": {"spec": {
            "containers": [{"name": "app", "image": "registry.example/kyc:2", "resources": {"requests": {"cpu": 0.5}}}],
            "volumes": [{"name": "key", "secret": {"secretName": "key", "defaultMode": 256}}],
        }},
        "model": {"provider": "openai", "name": "gpt-5-nano", "version": "2025-08-07"},
        "prompts": {"configMapRef": {"name": "kyc-prompts"}, "mountPath": "/prompts"},
        "traffic": {"port": 8080, "gateway": {"parentRefs": [{"name": "public"}]}},
    }});
    let prompts = Prompts::Found(json!({"system.txt": "be kind"}), serde_json::Value::Null);
    let Desired::Usable(spec) = desired(&stored, &prompts, "") else { panic!("usable") };
    let manifest = format!("{ROLLOUT}{PROMPTS}");
    assert_eq!(name(&manifest), spec.revision.as_str());
    let listed = manifest.replace("be kind", "be brief");
    assert_ne!(name(&listed), spec.revision.as_str(), "the prompts are part of it");
    assert_ne!(name(ROLLOUT), spec.revision.as_str());
    let spelled = manifest.replace("cpu: 0.5", "cpu: 500m").replace("0400", "256");
    assert_eq!(name(&spelled), spec.revision.as_str(), "and its spelling is not");
}

#[test]
fn prompts_that_are_nowhere_to_be_had_are_an_error_that_says_what_to_do() {
    let (rollout, _) = PROMPTS.split_once("---").unwrap();
    let output = run(&format!("{ROLLOUT}{rollout}"));
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("ConfigMap kyc-prompts, which is not in the file, and no cluster can be asked"), "{said}");
    assert!(said.contains("put it into the file"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn a_manifest_that_no_operator_could_use_is_a_usage_error() {
    for (manifest, word) in [
        (
            ROLLOUT.replace("containers:\n      - {name: app", "containers: []\n      x:\n      - {name: app"),
            "container",
        ),
        (ROLLOUT.replace("port: 8080", "port: 80800"), "traffic.port"),
        (ROLLOUT.replace("kind: MicroAppRollout", "kind: Deployment"), "no MicroAppRollout"),
        (format!("{ROLLOUT}---{ROLLOUT}"), "several"),
        ("{".to_owned(), ""),
    ] {
        let output = run(&manifest);
        assert_eq!(output.status.code(), Some(2), "{manifest}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(word), "{said}");
    }
}
