//! Which host names a rollout may claim. The operator writes HTTPRoutes for people who may have no right to write one, so
//! that who may attach which name is the administrator's to say. Without a policy the Gateways say it: their listeners'
//! host names, and the namespaces that they admit.

use microapp_api::{conditions::Reason, text::clean};
use microapp_core::world::{Desired, Spec};
use serde_json::Value;

/// Patterns such as `*.shop.example.com` or `*.{namespace}.example.com`; none: every name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hostnames(Vec<String>);

impl Hostnames {
    /// Of patterns; empty ones are left out.
    pub fn new(patterns: impl IntoIterator<Item = String>) -> Self {
        Self(patterns.into_iter().filter(|pattern| !pattern.is_empty()).collect())
    }

    /// What is wanted, unless it claims a name that it may not have.
    pub(crate) fn check(&self, desired: Desired, namespace: &str) -> Desired {
        let Desired::Usable(spec) = &desired else { return desired };
        match self.refused(spec, namespace) {
            Some(message) => Desired::Unusable { reason: Reason::InvalidSpec, message },
            None => desired,
        }
    }

    fn refused(&self, spec: &Spec, namespace: &str) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        let patterns: Vec<_> = self.0.iter().map(|pattern| pattern.replace("{namespace}", namespace)).collect();
        let allowed = patterns.join(", ");
        let names = spec.raw.gateway.get("hostnames").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        if names.is_empty() {
            return Some(format!(
                "spec.traffic.gateway.hostnames: without a name the route takes every name of its Gateway; the \
                 administrator allows {allowed}"
            ));
        }
        let mut names = names.iter().filter_map(Value::as_str);
        let name = names.find(|name| !patterns.iter().any(|pattern| covers(pattern, name)))?;
        let name = clean(name, 253);
        Some(format!(
            "spec.traffic.gateway.hostnames: {name} may not be claimed in namespace {namespace}; the administrator allows {allowed}"
        ))
    }
}

/// `*.example.com` covers every name below it, also `*.a.example.com`, and not itself.
fn covers(pattern: &str, name: &str) -> bool {
    match pattern.strip_prefix('*') {
        Some("") => true,
        Some(suffix) => name.len() > suffix.len() && name.ends_with(suffix) && suffix.starts_with('.'),
        None => pattern == name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_covers_what_is_below_it_and_nothing_beside_it() {
        for (pattern, name, yes) in [
            ("*", "a.example.com", true),
            ("a.example.com", "a.example.com", true),
            ("a.example.com", "b.example.com", false),
            ("*.example.com", "a.example.com", true),
            ("*.example.com", "*.a.example.com", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", ".example.com", false),
            ("*.example.com", "evil-example.com", false),
            ("*example.com", "evil-example.com", false),
        ] {
            assert_eq!(covers(pattern, name), yes, "{pattern} {name}");
        }
    }
}
