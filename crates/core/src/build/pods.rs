//! The pod template of a revision: the user's, with what tells its pods apart and what they are bound to.

use std::collections::BTreeMap;

use microapp_api::{labels::env, names};
use serde_json::{Map, Value, json};

use super::{Builder, Unbuildable};
use crate::{lens::PINNED, revision::Revision, world::Raw};

/// The labels that nobody else may set.
const OURS: &str = "microapp.dev/";
/// The volume that brings the prompts where the template does not.
const VOLUME: &str = "microapp-prompts";

impl Builder<'_> {
    /// Images are put in where they are given; `pinned` marks a template that names the approved bytes.
    pub(super) fn template(
        &self,
        revision: &Revision,
        images: &BTreeMap<String, String>,
        pinned: bool,
    ) -> Result<Value, Unbuildable> {
        let raw = self.raw(revision)?;
        let rollout = &self.world.object.name;
        let mut template = raw.template.clone();
        if !template.is_object() {
            template = json!({});
        }
        let labels = entry(entry(&mut template, "metadata"), "labels");
        for (key, value) in names::labels_of(rollout, Some(revision.as_str())) {
            // The user's own word stays: policies, budgets and spreads of others select pods by it. We select by ours.
            if key.starts_with(OURS) || labels.get(&key).is_none() {
                labels[key] = json!(value);
            }
        }
        if pinned {
            entry(entry(&mut template, "metadata"), "annotations")[PINNED] = json!("true");
        }
        let spec = entry(&mut template, "spec");
        if let Some(from) = &raw.prompts_from {
            let snapshot = names::prompts(rollout, revision.as_str());
            rewrite(spec, from, &snapshot);
            mount(spec, &snapshot, raw.mount_path.as_deref());
        }
        for container in containers(spec) {
            bind(container, raw, revision, &self.world.object.namespace);
            let image = container["name"].as_str().and_then(|name| images.get(name));
            if let Some(image) = image {
                container["image"] = json!(image);
            }
        }
        Ok(template)
    }
}

/// Containers and init containers.
fn containers(spec: &mut Value) -> impl Iterator<Item = &mut Value> {
    let lists = spec.as_object_mut().into_iter().flat_map(Map::iter_mut);
    lists
        .filter(|(key, _)| matches!(key.as_str(), "containers" | "initContainers"))
        .filter_map(|(_, list)| list.as_array_mut())
        .flatten()
}

/// The object under a key, made where it is missing.
fn entry<'a>(value: &'a mut Value, key: &str) -> &'a mut Value {
    if !value.is_object() {
        *value = json!({});
    }
    let inner = &mut value[key];
    if !inner.is_object() {
        *inner = json!({});
    }
    inner
}

/// The model binding and the resource attributes: who a process that pushes its metrics is. Ours come first, so that the
/// user's variables can refer to them.
fn bind(container: &mut Value, raw: &Raw, revision: &Revision, namespace: &str) {
    let part = |key: &str| raw.model.get(key).and_then(Value::as_str).unwrap_or_default();
    let mut variables = vec![
        json!({"name": env::MODEL_PROVIDER, "value": part("provider")}),
        json!({"name": env::MODEL_NAME, "value": part("name")}),
        json!({"name": env::MODEL_VERSION, "value": part("version")}),
        json!({"name": env::POD_NAME, "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}),
    ];
    // OpenTelemetry's conventions for services and Kubernetes.
    let ours = [
        ("service.version", revision.to_string()),
        ("k8s.namespace.name", namespace.to_owned()),
        ("k8s.pod.name", format!("$({})", env::POD_NAME)),
    ];
    let pairs: Vec<String> = ours.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let is_ours = |pair: &str| {
        let key = pair.split('=').next().unwrap_or_default().trim();
        ours.iter().any(|(own, _)| *own == key)
    };
    let mut attributes = false;
    let users = container["env"].as_array().cloned().unwrap_or_default();
    for mut variable in users.into_iter().filter(|variable| variable["name"] != env::POD_NAME) {
        if variable["name"] == env::OTEL_RESOURCE_ATTRIBUTES {
            attributes = true;
            // One that comes from somewhere else cannot be appended to.
            if let Some(users) = variable.get("value").and_then(Value::as_str) {
                let kept = users.split(',').filter(|pair| !pair.is_empty() && !is_ours(pair));
                let all: Vec<_> = kept.chain(pairs.iter().map(String::as_str)).collect();
                variable["value"] = json!(all.join(","));
            }
        }
        variables.push(variable);
    }
    if !attributes {
        variables.push(json!({"name": env::OTEL_RESOURCE_ATTRIBUTES, "value": pairs.join(",")}));
    }
    container["env"] = Value::Array(variables);
}

/// Every reference to the prompts' ConfigMap becomes one to the snapshot.
fn rewrite(spec: &mut Value, from: &str, snapshot: &str) {
    let point = |reference: Option<&mut Value>| {
        if let Some(reference) = reference
            && reference["name"] == from
        {
            reference["name"] = json!(snapshot);
        }
    };
    for volume in items(spec, "volumes") {
        point(volume.get_mut("configMap"));
        if let Some(projected) = volume.get_mut("projected") {
            for source in items(projected, "sources") {
                point(source.get_mut("configMap"));
            }
        }
    }
    for container in containers(spec) {
        for source in items(container, "envFrom") {
            point(source.get_mut("configMapRef"));
        }
        for variable in items(container, "env") {
            point(variable.get_mut("valueFrom").and_then(|from| from.get_mut("configMapKeyRef")));
        }
    }
}

fn items<'a>(value: &'a mut Value, key: &str) -> impl Iterator<Item = &'a mut Value> {
    value.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten()
}

/// A volume and a mount in every container, where the template has no volume of the prompts.
fn mount(spec: &mut Value, snapshot: &str, path: Option<&str>) {
    let refers = |reference: Option<&Value>| reference.is_some_and(|reference| reference["name"] == snapshot);
    let mounted = items(spec, "volumes").any(|volume| {
        let sources = volume.pointer("/projected/sources").and_then(Value::as_array);
        let projected = sources.is_some_and(|sources| sources.iter().any(|source| refers(source.get("configMap"))));
        refers(volume.get("configMap")) || projected
    });
    let Some(path) = path.filter(|_| !mounted) else { return };
    push(spec, "volumes", json!({"name": VOLUME, "configMap": {"name": snapshot}}));
    for container in containers(spec) {
        if items(container, "volumeMounts").any(|mount| mount["mountPath"] == path) {
            continue;
        }
        push(container, "volumeMounts", json!({"name": VOLUME, "mountPath": path, "readOnly": true}));
    }
}

fn push(value: &mut Value, key: &str, item: Value) {
    match value[key].as_array_mut() {
        Some(list) => list.push(item),
        None => value[key] = json!([item]),
    }
}
