//! Which resources the server serves; a request for any other gets a 404, as where a CRD is missing.

use serde_json::{Value, json};

/// A served resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kind {
    /// API group, empty for core.
    pub group: String,
    /// The one served version.
    pub version: String,
    /// Plural, as in URLs.
    pub plural: String,
    /// Kind, as in objects.
    pub kind: String,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
}

const SERVED: &[(&str, &str, &str, &str, bool)] = &[
    ("", "v1", "configmaps", "ConfigMap", true),
    ("", "v1", "endpoints", "Endpoints", true),
    ("", "v1", "events", "Event", true),
    ("", "v1", "namespaces", "Namespace", false),
    ("", "v1", "nodes", "Node", false),
    ("", "v1", "pods", "Pod", true),
    ("", "v1", "secrets", "Secret", true),
    ("", "v1", "serviceaccounts", "ServiceAccount", true),
    ("", "v1", "services", "Service", true),
    ("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", false),
    ("apps", "v1", "controllerrevisions", "ControllerRevision", true),
    ("apps", "v1", "deployments", "Deployment", true),
    ("apps", "v1", "replicasets", "ReplicaSet", true),
    ("authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", false),
    ("coordination.k8s.io", "v1", "leases", "Lease", true),
    ("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", true),
    ("events.k8s.io", "v1", "events", "Event", true),
    ("gateway.networking.k8s.io", "v1", "gatewayclasses", "GatewayClass", false),
    ("gateway.networking.k8s.io", "v1", "gateways", "Gateway", true),
    ("gateway.networking.k8s.io", "v1", "httproutes", "HTTPRoute", true),
    ("microapp.dev", "v1alpha1", "microapprollouts", "MicroAppRollout", true),
    ("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", true),
];

/// What a cluster with Gateway API and our own CRD serves.
pub fn served() -> Vec<Kind> {
    let kind = |&(group, version, plural, kind, namespaced): &(&str, &str, &str, &str, bool)| Kind {
        group: group.into(),
        version: version.into(),
        plural: plural.into(),
        kind: kind.into(),
        namespaced,
    };
    SERVED.iter().map(kind).collect()
}

/// Kinds that count no generations: those without a spec that a controller works on.
pub fn has_generation(plural: &str) -> bool {
    !matches!(
        plural,
        "configmaps"
            | "controllerrevisions"
            | "endpoints"
            | "events"
            | "leases"
            | "namespaces"
            | "nodes"
            | "secrets"
            | "serviceaccounts"
            | "services"
    )
}

/// Groups whose objects refuse an update without a resourceVersion.
pub fn needs_resource_version(group: &str) -> bool {
    matches!(group, "microapp.dev" | "gateway.networking.k8s.io" | "coordination.k8s.io")
}

/// Answers `/version`, `/api`, `/apis` and `/apis/GROUP/VERSION`, in the plain and in the aggregated form.
pub fn discovery(kinds: &[Kind], path: &str, aggregated: bool) -> Option<Value> {
    let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty()).collect();
    let groups = |core: bool| {
        let mut found: Vec<(&str, &str)> = vec![];
        for kind in kinds.iter().filter(|k| k.group.is_empty() == core) {
            if !found.contains(&(&kind.group, &kind.version)) {
                found.push((&kind.group, &kind.version));
            }
        }
        found
    };
    match parts.as_slice() {
        ["version"] => Some(json!({"major": "1", "minor": "34", "gitVersion": "v1.34.4", "gitCommit": "",
            "gitTreeState": "clean", "buildDate": "", "goVersion": "", "compiler": "gc", "platform": "linux/amd64"})),
        ["healthz" | "readyz" | "livez"] => Some(json!({})),
        ["api" | "apis"] if aggregated => Some(json!({
            "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {},
            "items": groups(parts == ["api"]).iter().map(|(g, v)| aggregated_group(kinds, g, v)).collect::<Vec<_>>(),
        })),
        ["api"] => Some(json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})),
        ["apis"] => {
            let group = |(g, v): &(&str, &str)| {
                let version = json!({"groupVersion": format!("{g}/{v}"), "version": v});
                json!({"name": g, "versions": [version], "preferredVersion": version})
            };
            Some(json!({"kind": "APIGroupList", "apiVersion": "v1",
                "groups": groups(false).iter().map(group).collect::<Vec<_>>()}))
        }
        ["api", version] => Some(resources(kinds, "", version)),
        ["apis", group, version] if kinds.iter().any(|k| k.group == *group && k.version == *version) => {
            Some(resources(kinds, group, version))
        }
        _ => None,
    }
}

fn resources(kinds: &[Kind], group: &str, version: &str) -> Value {
    let of_group = kinds.iter().filter(|k| k.group == group && k.version == version);
    let items = of_group.map(|k| {
        json!({"name": k.plural, "singularName": k.kind.to_lowercase(), "kind": k.kind, "namespaced": k.namespaced,
            "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]})
    });
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version,
        "resources": items.collect::<Vec<_>>()})
}

fn aggregated_group(kinds: &[Kind], group: &str, version: &str) -> Value {
    let items = kinds.iter().filter(|k| k.group == group && k.version == version).map(|k| {
        json!({"resource": k.plural, "singularResource": k.kind.to_lowercase(),
            "responseKind": {"group": group, "version": version, "kind": k.kind},
            "scope": if k.namespaced { "Namespaced" } else { "Cluster" },
            "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]})
    });
    json!({"metadata": {"name": group},
        "versions": [{"version": version, "freshness": "Current", "resources": items.collect::<Vec<_>>()}]})
}
