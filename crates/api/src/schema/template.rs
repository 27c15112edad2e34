//! The embedded pod template: what a Deployment takes, small enough and merged as Kubernetes merges it.

use serde_json::{Map, Value, json};

use super::walk::{each, set};

/// Lists that Kubernetes merges by key. A key must be required or have a default, and a default inside a list makes the
/// file in Git differ from the stored object for ever (Argo CD: OutOfSync; kubectl: "configured"). So `ports`, whose
/// `protocol` would need one, stays whole. And `env` does, since a name may be there twice, as in a Deployment, where the
/// last one counts; a list by key would refuse it.
const KEYED: &[(&str, &[&str])] = &[
    ("spec.containers", &["name"]),
    ("spec.containers[].volumeMounts", &["mountPath"]),
    ("spec.containers[].volumeDevices", &["devicePath"]),
    ("spec.initContainers", &["name"]),
    ("spec.initContainers[].volumeMounts", &["mountPath"]),
    ("spec.initContainers[].volumeDevices", &["devicePath"]),
    ("spec.hostAliases", &["ip"]),
    ("spec.resourceClaims", &["name"]),
    ("spec.schedulingGates", &["name"]),
    ("spec.topologySpreadConstraints", &["topologyKey", "whenUnsatisfiable"]),
    ("spec.volumes", &["name"]),
];

/// Bounds under the CEL rules, which are estimated from them, and on what multiplies: `(path, keyword, bound)`.
const BOUNDS: &[(&str, &str, i64)] = &[
    ("metadata.labels", "maxProperties", 64),
    ("metadata.labels{}", "maxLength", 63),
    ("metadata.annotations", "maxProperties", 256),
    ("spec.restartPolicy", "maxLength", 16),
    ("spec.containers", "maxItems", 16),
    ("spec.containers", "minItems", 1),
    ("spec.initContainers", "maxItems", 16),
    ("spec.volumes", "maxItems", 128),
    ("spec.containers[].name", "maxLength", 63),
    ("spec.initContainers[].name", "maxLength", 63),
    ("spec.containers[].image", "maxLength", 1024),
    ("spec.initContainers[].image", "maxLength", 1024),
    ("spec.containers[].ports", "maxItems", 16),
    ("spec.initContainers[].ports", "maxItems", 16),
    ("spec.containers[].ports[].containerPort", "minimum", 1),
    ("spec.containers[].ports[].containerPort", "maximum", 65535),
    ("spec.containers[].ports[].protocol", "maxLength", 8),
    ("spec.containers[].env", "maxItems", 256),
    ("spec.initContainers[].env", "maxItems", 256),
    ("spec.containers[].env[].name", "maxLength", 253),
    ("spec.initContainers[].env[].name", "maxLength", 253),
    ("spec.containers[].envFrom", "maxItems", 64),
    ("spec.initContainers[].envFrom", "maxItems", 64),
];

/// Fits the schema of a `PodTemplateSpec`.
pub(super) fn fit(template: &mut Value) {
    each(template, &mut |name, node| {
        // 321 696 bytes of JSON with descriptions, above the 262 144 of an annotation; 50 448 without.
        node.remove("description");
        node.remove("title");
        if let Some(Value::Object(properties)) = node.get_mut("properties") {
            // A Deployment refuses the first; nobody writes the second by hand.
            properties.remove("ephemeralContainers");
            properties.remove("managedFields");
        }
        quantity(name, node);
    });
    for field in ["spec", "metadata"] {
        template["properties"][field]["type"] = json!("object");
    }
    template["required"] = json!(["spec"]);
    for (list, keys) in KEYED {
        set(template, list, "x-kubernetes-list-type", json!("map"));
        set(template, list, "x-kubernetes-list-map-keys", json!(keys));
    }
    for list in ["spec.containers", "spec.initContainers"] {
        set(template, &format!("{list}[]"), "required", json!(["name", "image"]));
    }
    for (path, keyword, bound) in BOUNDS {
        set(template, path, keyword, json!(bound));
    }
}

/// As the API server writes quantities (`500m`, `1.5Gi`, `2e3`).
const QUANTITY: &str = r"^[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)(([KMGTPE]i)|[numkMGTPE]|([eE][+-]?[0-9]+))?$";

/// `cpu: 0.5` is fine in a Deployment; an int-or-string would refuse it (cloudnative-pg #1572). So it has no type, and
/// what is no number and no quantity has no room in it: without a bound any tenant could store a list in a list in a list
/// there, deeper than readers of the whole collection go. Ports of probes are int-or-string too, and stay so.
fn quantity(name: &str, node: &mut Map<String, Value>) {
    if node.get("x-kubernetes-int-or-string").is_some() {
        if name == "port" {
            node.insert("maxLength".to_owned(), json!(63));
        } else {
            node.remove("x-kubernetes-int-or-string");
            node.insert("x-kubernetes-preserve-unknown-fields".to_owned(), json!(true));
            node.insert("pattern".to_owned(), json!(QUANTITY));
            node.insert("maxLength".to_owned(), json!(64));
            node.insert("maxItems".to_owned(), json!(0));
            node.insert("maxProperties".to_owned(), json!(0));
        }
    }
}
