//! One form for all spellings of a pod template that mean the same to Kubernetes: what says a default is left out, and a
//! quantity is a number. Whatever is not listed here stays as it is written: two spellings too many cost an attempt, one
//! too few would run something else than what is wanted.

use serde_json::{Map, Value, json};

/// Fields of the pod's spec that say what is so without them.
const POD: &[(&str, &str)] = &[
    ("restartPolicy", "\"Always\""),
    ("dnsPolicy", "\"ClusterFirst\""),
    ("schedulerName", "\"default-scheduler\""),
    ("terminationGracePeriodSeconds", "30"),
    ("enableServiceLinks", "true"),
    ("hostNetwork", "false"),
    ("hostPID", "false"),
    ("hostIPC", "false"),
    ("shareProcessNamespace", "false"),
    ("securityContext", "{}"),
    ("affinity", "{}"),
    ("nodeSelector", "{}"),
    ("volumes", "[]"),
    ("initContainers", "[]"),
    ("tolerations", "[]"),
    ("imagePullSecrets", "[]"),
    ("hostAliases", "[]"),
    ("topologySpreadConstraints", "[]"),
    ("readinessGates", "[]"),
];
/// The same of a container.
const CONTAINER: &[(&str, &str)] = &[
    ("terminationMessagePath", "\"/dev/termination-log\""),
    ("terminationMessagePolicy", "\"File\""),
    ("resources", "{}"),
    ("securityContext", "{}"),
    ("lifecycle", "{}"),
    ("stdin", "false"),
    ("stdinOnce", "false"),
    ("tty", "false"),
    ("workingDir", "\"\""),
    ("command", "[]"),
    ("args", "[]"),
    ("env", "[]"),
    ("envFrom", "[]"),
    ("ports", "[]"),
    ("volumeMounts", "[]"),
    ("volumeDevices", "[]"),
];
const PROBE: &[(&str, &str)] = &[
    ("initialDelaySeconds", "0"),
    ("timeoutSeconds", "1"),
    ("periodSeconds", "10"),
    ("successThreshold", "1"),
    ("failureThreshold", "3"),
];
const HTTP: &[(&str, &str)] = &[("scheme", "\"HTTP\""), ("path", "\"/\""), ("host", "\"\""), ("httpHeaders", "[]")];
const PORT: &[(&str, &str)] = &[("protocol", "\"TCP\""), ("hostPort", "0"), ("hostIP", "\"\""), ("name", "\"\"")];
const MOUNT: &[(&str, &str)] = &[("readOnly", "false"), ("subPath", "\"\""), ("subPathExpr", "\"\"")];
const METADATA: &[(&str, &str)] = &[("labels", "{}"), ("annotations", "{}")];

/// The form of a stored `PodTemplateSpec`.
pub(crate) fn template(stored: &Value) -> Value {
    let mut template = without_nulls(stored);
    if let Some(metadata) = template.get_mut("metadata") {
        drop_defaults(metadata, METADATA);
    }
    if template.get("metadata").is_some_and(|metadata| *metadata == json!({})) {
        remove(&mut template, "metadata");
    }
    let Some(spec) = template.get_mut("spec") else { return template };
    for list in ["containers", "initContainers"] {
        each(spec, list, container);
    }
    each(spec, "volumes", volume);
    drop_defaults(spec, POD);
    template
}

fn container(container: &mut Value) {
    if let Some(resources) = container.get_mut("resources") {
        for side in ["requests", "limits"] {
            if let Some(Value::Object(amounts)) = resources.get_mut(side) {
                amounts.values_mut().for_each(amount);
            }
        }
        drop_defaults(resources, &[("requests", "{}"), ("limits", "{}"), ("claims", "[]")]);
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = container.get_mut(probe) {
            if let Some(http) = probe.get_mut("httpGet") {
                drop_defaults(http, HTTP);
            }
            drop_defaults(probe, PROBE);
        }
    }
    each(container, "ports", |port| drop_defaults(port, PORT));
    each(container, "volumeMounts", |mount| drop_defaults(mount, MOUNT));
    each(container, "env", |variable| {
        drop_defaults(variable, &[("value", "\"\"")]);
        if let Some(field) = variable.pointer_mut("/valueFrom/fieldRef") {
            drop_defaults(field, &[("apiVersion", "\"v1\"")]);
        }
    });
    let usual = pull_policy(container.get("image").and_then(Value::as_str).unwrap_or_default());
    if container.get("imagePullPolicy").and_then(Value::as_str) == Some(usual) {
        remove(container, "imagePullPolicy");
    }
    drop_defaults(container, CONTAINER);
}

/// What the API server writes where nothing is written.
fn pull_policy(image: &str) -> &'static str {
    let tag = image.rsplit_once(':').map(|(_, tag)| tag).filter(|tag| !tag.contains('/'));
    let moves = !image.contains('@') && tag.is_none_or(|tag| tag == "latest");
    if moves { "Always" } else { "IfNotPresent" }
}

fn volume(volume: &mut Value) {
    for (kind, mode) in [
        ("configMap", "defaultMode"),
        ("secret", "defaultMode"),
        ("downwardAPI", "defaultMode"),
        ("projected", "defaultMode"),
    ] {
        if let Some(source) = volume.get_mut(kind) {
            drop_defaults(source, &[(mode, "420"), ("optional", "false"), ("items", "[]")]);
        }
    }
    if let Some(empty) = volume.get_mut("emptyDir") {
        if let Some(limit) = empty.get_mut("sizeLimit") {
            amount(limit);
        }
        drop_defaults(empty, &[("medium", "\"\"")]);
    }
    if let Some(host) = volume.get_mut("hostPath") {
        drop_defaults(host, &[("type", "\"\"")]);
    }
}

/// A quantity in billionths, as text; what is none stays as it is.
fn amount(value: &mut Value) {
    let number = match &*value {
        Value::String(text) => quantity(text),
        Value::Number(number) => quantity(&number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    if let Some(number) = number {
        *value = Value::String(format!("{number}n"));
    }
}

/// A field that is null is one that is not there.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.iter().filter(|(_, value)| !value.is_null());
            Value::Object(kept.map(|(key, value)| (key.clone(), without_nulls(value))).collect::<Map<_, _>>())
        }
        Value::Array(list) => Value::Array(list.iter().map(without_nulls).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

fn drop_defaults(value: &mut Value, defaults: &[(&str, &str)]) {
    let Value::Object(map) = value else { return };
    for (key, default) in defaults {
        let written = map.get(*key).map(Value::to_string);
        if written.as_deref() == Some(*default) {
            map.remove(*key);
        }
    }
}

fn remove(value: &mut Value, key: &str) {
    if let Value::Object(map) = value {
        map.remove(key);
    }
}

fn each(value: &mut Value, list: &str, change: impl Fn(&mut Value)) {
    if let Some(Value::Array(list)) = value.get_mut(list) {
        list.iter_mut().for_each(change);
    }
}

/// A quantity (`500m`, `0.5`, `1Gi`, `1e3`) in billionths; `None` for what is none, or is too large.
pub(crate) fn quantity(text: &str) -> Option<i128> {
    const NANO: i128 = 1_000_000_000;
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let (digits, suffix) = rest.split_at(end);
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && part.is_empty() || part.contains('.') || part.len() > 9 {
        return None;
    }
    let nano = if whole.is_empty() { 0 } else { whole.parse::<i128>().ok()?.checked_mul(NANO)? };
    let part: i128 = format!("{part:0<9}").parse().ok()?;
    let number = sign * nano.checked_add(part)?;
    let (times, by): (i128, i128) = match suffix {
        "" => (1, 1),
        "n" => (1, NANO),
        "u" => (1, 1_000_000),
        "m" => (1, 1_000),
        "k" => (1_000, 1),
        "M" => (1_000_000, 1),
        "G" => (NANO, 1),
        "T" => (1_000 * NANO, 1),
        "P" => (1_000_000 * NANO, 1),
        "E" => (NANO * NANO, 1),
        "Ki" => (1 << 10, 1),
        "Mi" => (1 << 20, 1),
        "Gi" => (1 << 30, 1),
        "Ti" => (1 << 40, 1),
        "Pi" => (1 << 50, 1),
        "Ei" => (1 << 60, 1),
        exponent => {
            let power: i32 = exponent.strip_prefix(['e', 'E'])?.parse().ok()?;
            let ten = 10_i128.checked_pow(power.unsigned_abs())?;
            if power < 0 { (1, ten) } else { (ten, 1) }
        }
    };
    let scaled = number.checked_mul(times)?;
    (scaled % by == 0).then_some(scaled / by)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{quantity, template};

    #[test]
    fn spellings_of_one_quantity_are_one_number() {
        for same in
            [["1000m", "1"], ["0.5", "500m"], ["1Gi", "1024Mi"], ["1e3", "1k"], ["1.5Gi", "1536Mi"], ["+2", "2.0"]]
        {
            assert_eq!(quantity(same[0]), quantity(same[1]), "{same:?}");
            assert!(quantity(same[0]).is_some());
        }
        assert_ne!(quantity("1Gi"), quantity("1G"));
        for none in ["", "Gi", "1x", "1.2.3", "one"] {
            assert_eq!(quantity(none), None, "{none}");
        }
    }

    fn with(pointer: &str, key: &str, value: Value) -> Value {
        let mut all = json!({"metadata": {"labels": {"team": "a"}}, "spec": {
            "containers": [{
                "name": "app", "image": "app:1", "ports": [{"containerPort": 8080}], "resources": {"requests": {"cpu": "1"}},
                "readinessProbe": {"httpGet": {"port": 8080}},
                "env": [{"name": "A"}],
            }],
            "volumes": [{"name": "v", "emptyDir": {}}],
        }});
        if let Some(Value::Object(map)) = all.pointer_mut(pointer) {
            map.insert(key.to_owned(), value);
        }
        all
    }

    #[test]
    fn what_says_a_default_says_nothing() {
        let plain = template(&with("/nothing", "", Value::Null));
        for (pointer, key, value) in [
            ("/spec/containers/0/resources/requests", "cpu", json!("1000m")),
            ("/spec/containers/0/resources/requests", "cpu", json!(1)),
            ("/spec/containers/0/resources", "limits", json!({})),
            ("/spec/containers/0/ports/0", "protocol", json!("TCP")),
            ("/spec/containers/0", "imagePullPolicy", json!("IfNotPresent")),
            ("/spec/containers/0", "args", json!(null)),
            ("/spec/containers/0/readinessProbe", "periodSeconds", json!(10)),
            ("/spec/containers/0/readinessProbe/httpGet", "scheme", json!("HTTP")),
            ("/spec/containers/0/env/0", "value", json!("")),
            ("/spec", "restartPolicy", json!("Always")),
            ("/spec", "terminationGracePeriodSeconds", json!(30)),
            ("/metadata", "creationTimestamp", json!(null)),
            ("/metadata", "annotations", json!({})),
        ] {
            assert_eq!(template(&with(pointer, key, value)), plain, "{pointer}/{key}");
        }
    }

    #[test]
    fn what_says_something_else_is_something_else() {
        let plain = template(&with("/nothing", "", Value::Null));
        for (pointer, key, value) in [
            ("/spec/containers/0/resources/requests", "cpu", json!("1001m")),
            ("/spec/containers/0/ports/0", "protocol", json!("UDP")),
            ("/spec/containers/0", "imagePullPolicy", json!("Always")),
            ("/spec/containers/0/env/0", "value", json!("b")),
            ("/spec", "terminationGracePeriodSeconds", json!(31)),
            ("/spec", "securityContext", json!({"runAsNonRoot": true})),
            ("/metadata/labels", "chart", json!("shop-1.2.3")),
            ("/spec/volumes/0", "emptyDir", json!({"medium": "Memory"})),
        ] {
            assert_ne!(template(&with(pointer, key, value)), plain, "{pointer}/{key}");
        }
    }
}
