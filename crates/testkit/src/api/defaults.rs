//! The defaults that a real API server fills in. An operator that compares its intent with what it reads back must
//! see them here, or it fights with them only in production.

use serde_json::{Value, json};

/// Fills in what `apps/v1`, `v1`, the Gateway API's schema and our own schema would.
pub fn fill(plural: &str, object: &mut Value) {
    match plural {
        "deployments" => {
            let spec = &mut object["spec"];
            absent(spec, "replicas", json!(1));
            absent(spec, "revisionHistoryLimit", json!(10));
            absent(spec, "progressDeadlineSeconds", json!(600));
            let strategy =
                json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}});
            absent(spec, "strategy", strategy);
            pod_template(&mut spec["template"]);
        }
        "services" => {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            let number = crate::stable_hash(name.as_bytes());
            let address = format!("10.96.{}.{}", number >> 8 & 0xff, number & 0xff);
            let spec = &mut object["spec"];
            absent(spec, "type", json!("ClusterIP"));
            absent(spec, "clusterIP", json!(address));
            absent(spec, "clusterIPs", json!([address]));
            absent(spec, "sessionAffinity", json!("None"));
            absent(spec, "internalTrafficPolicy", json!("Cluster"));
            absent(spec, "ipFamilies", json!(["IPv4"]));
            absent(spec, "ipFamilyPolicy", json!("SingleStack"));
            for port in each(spec, "ports") {
                absent(port, "protocol", json!("TCP"));
                let own = port["port"].clone();
                absent(port, "targetPort", own);
            }
        }
        "httproutes" => route(&mut object["spec"]),
        "microapprollouts" => {
            absent(&mut object["spec"], "replicas", json!(1));
            // The schema's default, so that a fresh object does not read as handled.
            absent(&mut object["status"], "observedGeneration", json!(-1));
        }
        _ => {}
    }
}

fn route(spec: &mut Value) {
    for parent in each(spec, "parentRefs") {
        absent(parent, "group", json!("gateway.networking.k8s.io"));
        absent(parent, "kind", json!("Gateway"));
    }
    for rule in each(spec, "rules") {
        absent(rule, "matches", json!([{"path": {"type": "PathPrefix", "value": "/"}}]));
        for backend in each(rule, "backendRefs") {
            absent(backend, "group", json!(""));
            absent(backend, "kind", json!("Service"));
            absent(backend, "weight", json!(1));
        }
    }
}

fn pod_template(template: &mut Value) {
    let spec = &mut template["spec"];
    absent(spec, "restartPolicy", json!("Always"));
    absent(spec, "terminationGracePeriodSeconds", json!(30));
    absent(spec, "dnsPolicy", json!("ClusterFirst"));
    absent(spec, "securityContext", json!({}));
    absent(spec, "schedulerName", json!("default-scheduler"));
    for list in ["containers", "initContainers"] {
        for container in each(spec, list) {
            absent(container, "terminationMessagePath", json!("/dev/termination-log"));
            absent(container, "terminationMessagePolicy", json!("File"));
            absent(container, "resources", json!({}));
            let image = container["image"].as_str().unwrap_or_default();
            let tagged = image.rsplit('/').next().is_some_and(|last| last.contains(':') && !last.ends_with(":latest"));
            let policy = if tagged { "IfNotPresent" } else { "Always" };
            absent(container, "imagePullPolicy", json!(policy));
            for port in each(container, "ports") {
                absent(port, "protocol", json!("TCP"));
            }
            for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
                if container[probe].is_object() {
                    let probe = &mut container[probe];
                    absent(probe, "timeoutSeconds", json!(1));
                    absent(probe, "periodSeconds", json!(10));
                    absent(probe, "successThreshold", json!(1));
                    absent(probe, "failureThreshold", json!(3));
                }
            }
        }
    }
    for volume in each(spec, "volumes") {
        for source in ["configMap", "secret", "projected"] {
            if volume[source].is_object() {
                absent(&mut volume[source], "defaultMode", json!(420));
            }
        }
    }
}

fn absent(object: &mut Value, key: &str, default: Value) {
    if object.is_null() {
        *object = json!({});
    }
    if let Some(object) = object.as_object_mut()
        && object.get(key).is_none_or(Value::is_null)
    {
        object.insert(key.into(), default);
    }
}

/// The elements of a list, none where it is missing. (Indexing mutably would leave a null behind.)
fn each<'a>(object: &'a mut Value, key: &str) -> impl Iterator<Item = &'a mut Value> {
    object.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten()
}
