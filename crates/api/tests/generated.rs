//! The generated manifest, and what a real API server makes of an object.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use microapp_api::schema;
use microapp_api::v1alpha1::{EffectiveGate, GateKind, MicroAppRollout, Telemetry, TelemetryPreset};
use microapp_api::values::{self, Percent, PicoUsd, Quantile, Tolerance, Weight};
use serde_json::{Value, json};

fn here(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

#[test]
fn the_manifest_is_the_one_that_the_types_give() {
    let stored = here("../../crds/microapprollouts.microapp.dev.yaml");
    assert!(stored == schema::crd_yaml(), "crds/ differs from the types: run `make gen` and commit what it writes");
}

#[test]
fn the_manifest_reads_back_as_the_same_definition() {
    let read: CustomResourceDefinition = serde_saphyr::from_str(&schema::crd_yaml()).unwrap();
    assert_eq!(read, schema::crd());
}

#[test]
fn the_manifest_fits_into_the_annotation_of_kubectl_apply() {
    let bytes = serde_json::to_vec(&schema::crd()).unwrap().len();
    assert!(bytes < 200_000, "{bytes} bytes of JSON; the limit is 200 000");
}

/// Calls `visit` with the path and keywords of every node.
fn walk(path: &str, node: &Value, visit: &mut impl FnMut(&str, &Value)) {
    visit(path, node);
    for (name, property) in node["properties"].as_object().into_iter().flatten() {
        walk(&format!("{path}.{name}"), property, visit);
    }
    for inner in ["items", "additionalProperties"] {
        if node[inner].is_object() {
            walk(&format!("{path}[]"), &node[inner], visit);
        }
    }
}

#[test]
fn every_list_and_string_of_ours_has_a_bound() {
    walk("", &schema::openapi(), &mut |path, node| {
        let timed_or_chosen = !node["format"].is_null() || !node["enum"].is_null();
        if path.starts_with(".spec.template") || [".apiVersion", ".kind"].contains(&path) || timed_or_chosen {
            return;
        }
        let bound = match node["type"].as_str() {
            Some("string") => "maxLength",
            Some("array") => "maxItems",
            Some("object") if node["additionalProperties"].is_object() => "maxProperties",
            None if node["x-kubernetes-int-or-string"] == true => "maxLength",
            _ => return,
        };
        assert!(node[bound].is_u64(), "{path} has no {bound}");
    });
}

#[test]
fn no_field_is_a_float_or_null_or_of_a_format_that_kubernetes_does_not_know() {
    let mut nodes = 0;
    walk("", &schema::openapi(), &mut |path, node| {
        nodes += 1;
        assert_ne!(node["type"], "number", "{path}");
        assert!(node["nullable"].is_null(), "{path} admits null");
        if let Some(format) = node["format"].as_str() {
            assert!(["int32", "int64", "date-time"].contains(&format), "{path} has the format {format}");
        }
        assert!(!path.starts_with(".spec.template.") || node["description"].is_null(), "{path} is described");
    });
    assert!(nodes > 1000, "only {nodes} fields: the pod template is missing");
}

#[test]
fn nothing_inside_a_list_of_the_spec_has_a_default() {
    // Such a default makes the file in Git differ from the stored object for ever.
    walk(".spec", &schema::openapi()["properties"]["spec"], &mut |path, node| {
        assert!(!path.contains("[]") || node["default"].is_null(), "{path} has a default");
    });
}

#[test]
fn a_fresh_object_reads_as_in_progress() {
    assert_eq!(schema::openapi()["properties"]["status"]["default"], json!({"observedGeneration": -1}));
    assert_eq!(
        serde_json::to_value(MicroAppRollout::default().status.unwrap_or_default()).unwrap()["observedGeneration"],
        -1
    );
}

#[test]
fn an_object_as_the_api_server_stores_it_is_read_and_written_without_loss() {
    for file in ["tests/stored/minimal.yaml", "tests/stored/every-field.yaml", "tests/stored/quantities.yaml"] {
        let stored: Value = serde_saphyr::from_str(&here(file)).unwrap();
        let typed: MicroAppRollout = serde_json::from_value(stored.clone()).unwrap();
        assert_eq!(serde_json::to_value(&typed).unwrap(), stored, "{file}");
        typed.spec.template.typed().unwrap();
    }
}

#[test]
fn a_quantity_without_quotes_is_a_quantity() {
    let stored: MicroAppRollout = serde_saphyr::from_str(&here("tests/stored/quantities.yaml")).unwrap();
    let pods = stored.spec.template.typed().unwrap().spec.unwrap();
    let requests = pods.containers[0].resources.as_ref().unwrap().requests.as_ref().unwrap();
    assert_eq!(requests["cpu"].0, "0.5");
}

#[test]
fn the_presets_gates_are_gates_that_a_user_could_list() {
    let effective = MicroAppRollout::default().spec.effective_gates();
    let names: Vec<_> = effective.iter().map(|one| one.gate.name.as_str()).collect();
    assert_eq!(names, ["errors", "model-errors", "client-errors", "latency", "cost", "grounded"]);
    assert!(effective.iter().all(|one| one.defaulted && one.gate.kind().is_some()));
}

#[test]
fn without_gates_errors_are_those_of_users_and_those_of_calls_to_the_model() {
    let sources = |preset: TelemetryPreset, name: &str| {
        let gates = EffectiveGate::defaults(&Telemetry { preset, backend: None });
        let one = gates.into_iter().find(|one| one.gate.name == name)?;
        Some(one.sources.into_iter().map(TelemetryPreset::as_str).collect::<Vec<_>>())
    };
    let users = vec!["otel-http", "istio", "linkerd", "envoy", "traefik", "nginx"];
    for calls in [TelemetryPreset::OtelGenai, TelemetryPreset::Litellm] {
        assert_eq!(sources(calls, "errors"), Some(users.clone()), "wherever stable has them");
        assert_eq!(sources(calls, "model-errors"), Some(vec![calls.as_str()]));
        let last = sources(calls, "latency").and_then(|mut sources| sources.pop());
        assert_eq!(last, Some(calls.as_str()), "calls to the model where nobody sees users");
    }
    assert_eq!(sources(TelemetryPreset::OtelGenai, "client-errors"), Some(users.clone()), "of users, beside stable");
    assert_eq!(sources(TelemetryPreset::Envoy, "errors"), Some(vec!["envoy"]), "as the rollout says");
    assert_eq!(sources(TelemetryPreset::Envoy, "model-errors"), Some(vec!["otel-genai"]));
    assert_eq!(sources(TelemetryPreset::Vllm, "model-errors"), None, "the pods are the model");
}

#[test]
fn what_the_schema_admits_the_parsers_read() {
    let stored: MicroAppRollout = serde_saphyr::from_str(&here("tests/accepted/every-field.yaml")).unwrap();
    let strategy = &stored.spec.strategy;
    let ppm: Vec<i64> =
        strategy.effective_steps().iter().map(|s| Weight::from_int_or_string(&s.weight).unwrap().ppm()).collect();
    assert_eq!(ppm, [5_000, 10_000, 22_500, 250_000, 1_000_000]);
    assert_eq!(values::duration(&strategy.effective_steps()[2].dwell).unwrap().as_secs(), 5_400);
    assert_eq!(strategy.tolerance.parse(), Ok(Tolerance::Given(Percent::from_ppm(5_000))));
    for gate in &stored.spec.gates {
        match gate.kind().unwrap() {
            GateKind::ErrorRate(errors) => assert_eq!(errors.max.parse::<Percent>().unwrap().ppm(), 10_000),
            GateKind::Latency(latency) => {
                assert_eq!(latency.quantile.parse::<Quantile>().unwrap().ppm(), 950_000);
                assert_eq!(values::latency_bound(&latency.max).unwrap().as_micros(), 2_560_000);
            }
            GateKind::TokenCost(cost) => {
                let max: PicoUsd = cost.max_per_request.as_deref().unwrap().parse().unwrap();
                assert_eq!(max.0, 4_000_000_000);
            }
            GateKind::Hallucination(judged) => assert_eq!(judged.max.parse::<Percent>().unwrap().ppm(), 40_000),
            other => panic!("{other:?} is no default"),
        }
    }
    let Telemetry { preset, .. } = &stored.spec.telemetry;
    let sources: Vec<_> = stored.spec.gates.iter().map(|gate| gate.source(&stored.spec.telemetry).as_str()).collect();
    assert_eq!(sources, ["envoy", preset.as_str(), "otel-genai", "evals"]);
}
