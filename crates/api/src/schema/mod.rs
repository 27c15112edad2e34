//! The CustomResourceDefinition as it is installed: the derived schema, made fit for a real API server in this one
//! place.
//!
//! The derive knows the shapes. It does not know bounds (without which no CEL rule passes the cost estimate), keys of
//! lists, or that `kubectl apply` stores the whole manifest in an annotation of at most 256 KiB. So, in order:
//! [`template`] fits the embedded pod template, [`bounds`] limits every list and string of ours, [`rules`] adds the
//! CEL rules, and the last step removes what Kubernetes does not want.

mod bounds;
mod rules;
mod template;
mod walk;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::{Value, json};

use crate::v1alpha1::MicroAppRollout;

/// The CustomResourceDefinition of `MicroAppRollout`.
///
/// # Panics
/// Never in a build whose tests passed: only if a table of this module names a field that the types do not have.
pub fn crd() -> CustomResourceDefinition {
    let mut crd = MicroAppRollout::crd();
    let slot = crd.spec.versions.first_mut().and_then(|version| version.schema.as_mut());
    let derived = slot.and_then(|schema| schema.open_api_v3_schema.as_mut()).expect("the derive gives a schema");
    let mut schema = serde_json::to_value(&*derived).expect("a schema is JSON");
    finish(&mut schema);
    *derived = serde_json::from_value(schema).expect("the finished schema is one");
    crd
}

/// [`crd`] as the YAML that `crds/` holds.
///
/// # Panics
/// As [`crd`].
pub fn crd_yaml() -> String {
    let yaml = serde_saphyr::to_string(&crd()).expect("a CustomResourceDefinition is YAML");
    format!("# Generated from the types in crates/api by `make gen`.\n{yaml}")
}

/// The OpenAPI schema of one object, for checks without a cluster.
///
/// # Panics
/// As [`crd`].
pub fn openapi() -> Value {
    let version = crd().spec.versions.into_iter().next();
    let schema = version.and_then(|version| version.schema).and_then(|schema| schema.open_api_v3_schema);
    serde_json::to_value(schema.expect("the derive gives a schema")).expect("a schema is JSON")
}

fn finish(schema: &mut Value) {
    template::fit(walk::at(schema, "spec.template"));
    bounds::apply(schema);
    rules::apply(schema);
    // A fresh object reads as in progress until the first status is written.
    walk::set(schema, "status", "default", json!({"observedGeneration": -1}));
    walk::each(schema, &mut |_, node| {
        // `nullable: true` on each optional field would let `null` through to types that have no use for it.
        node.remove("nullable");
        // What Kubernetes does not know as a format.
        if node.get("format").and_then(Value::as_str).is_some_and(|format| format.starts_with('u')) {
            node.remove("format");
        }
        if let Some(Value::String(text)) = node.get_mut("description") {
            *text = text.replace('\n', " ");
        }
    });
}
