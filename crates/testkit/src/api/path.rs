//! What a URL of the Kubernetes API asks for.

use std::collections::BTreeMap;

use http::Method;

/// The resource that a request addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// API group, empty for the core group.
    pub group: String,
    /// API version, `v1`.
    pub version: String,
    /// Plural resource name, `httproutes`.
    pub plural: String,
    /// Namespace, empty for cluster-wide requests.
    pub namespace: String,
    /// Object name, empty for collections.
    pub name: String,
    /// `status`, `scale` or empty.
    pub subresource: String,
}

impl Target {
    /// Parses a path; `None` for anything that is no resource (discovery, `/version`, health).
    pub fn parse(path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty()).collect();
        let (group, version, rest) = match parts.as_slice() {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return None,
        };
        let (namespace, rest) = match rest {
            ["namespaces", namespace, plural, tail @ ..] if !matches!(*plural, "status" | "finalize") => {
                (*namespace, [&[*plural], tail].concat())
            }
            other => ("", other.to_vec()),
        };
        let (plural, name, subresource) = match rest.as_slice() {
            [plural] => (*plural, "", ""),
            [plural, name] => (*plural, *name, ""),
            [plural, name, subresource] => (*plural, *name, *subresource),
            _ => return None,
        };
        let own = str::to_owned;
        Some(Self {
            group: own(group),
            version: own(version),
            plural: own(plural),
            namespace: own(namespace),
            name: own(name),
            subresource: own(subresource),
        })
    }

    /// `v1` or `apps/v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }
}

/// Query parameters, decoded.
pub fn query(raw: Option<&str>) -> BTreeMap<String, String> {
    form_urlencoded::parse(raw.unwrap_or_default().as_bytes()).into_owned().collect()
}

/// The verb as RBAC and audit logs name it.
pub fn verb(method: &Method, target: &Target, query: &BTreeMap<String, String>) -> &'static str {
    let watch = query.get("watch").is_some_and(|v| v == "true" || v == "1");
    match (method.as_str(), target.name.is_empty()) {
        ("GET", _) if watch => "watch",
        ("GET", true) => "list",
        ("GET", false) => "get",
        ("POST", _) => "create",
        ("PUT", _) => "update",
        ("PATCH", _) => "patch",
        ("DELETE", true) => "deletecollection",
        ("DELETE", false) => "delete",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parts(path: &str) -> [String; 6] {
        let t = Target::parse(path).unwrap();
        [t.group, t.version, t.plural, t.namespace, t.name, t.subresource]
    }

    #[test]
    fn paths_name_their_resource() {
        assert_eq!(parts("/api/v1/namespaces/a/pods/b/status"), ["", "v1", "pods", "a", "b", "status"]);
        assert_eq!(parts("/apis/apps/v1/deployments"), ["apps", "v1", "deployments", "", "", ""]);
        assert_eq!(parts("/api/v1/namespaces/a"), ["", "v1", "namespaces", "", "a", ""]);
        assert_eq!(parts("/api/v1/namespaces/a/status"), ["", "v1", "namespaces", "", "a", "status"]);
        assert_eq!(Target::parse("/version"), None);
        assert_eq!(Target::parse("/apis/apps/v1"), None);
    }
}
