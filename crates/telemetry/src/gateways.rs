//! Whose series count for a gateway: those of the targets that the administrator names, and of nobody else. The label by
//! which a gateway names a Service can be exposed by any pod of any namespace; `namespace` and `job` are written by
//! Prometheus itself.

use std::sync::OnceLock;

use crate::selector::Selector;

/// The gateways' own targets, by labels that Prometheus gives a target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gateways {
    /// The namespaces that gateways run in; none: any.
    pub namespaces: Vec<String>,
    /// The jobs that scrape them; none: any.
    pub jobs: Vec<String>,
}

static GATEWAYS: OnceLock<Gateways> = OnceLock::new();

/// Names them, once for the whole process and before anything is asked. `false`: they were named already.
pub fn name(gateways: Gateways) -> bool {
    GATEWAYS.set(gateways).is_ok()
}

impl Gateways {
    /// Is anything named?
    pub fn is_empty(&self) -> bool {
        self.namespaces.is_empty() && self.jobs.is_empty()
    }

    /// The selector for their series alone. `spoken`: the label `namespace` is the series' own word for something else.
    fn confine(&self, selector: Selector, spoken: bool) -> Selector {
        let selector =
            if spoken || self.namespaces.is_empty() { selector } else { selector.any("namespace", &self.namespaces) };
        if self.jobs.is_empty() { selector } else { selector.any("job", &self.jobs) }
    }
}

/// The selector for the series of the named gateways alone.
pub(crate) fn confine(selector: Selector, spoken: bool) -> Selector {
    match GATEWAYS.get() {
        Some(gateways) => gateways.confine(selector, spoken),
        None => selector,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_of_another_target_is_not_the_gateways() {
        let named = Gateways { namespaces: vec!["projectcontour".to_owned()], jobs: vec!["envoy".to_owned()] };
        let any = || Selector::default().equal("envoy_cluster_name", "fintech_shop-bbbbbbbbbb_8080");
        let rendered = named.confine(any(), false).render();
        assert!(rendered.ends_with(r#",namespace=~"projectcontour",job=~"envoy"}"#), "{rendered}");
        // A controller of Ingresses says there whose Ingress it was.
        let spoken = named.confine(any().equal("namespace", "fintech"), true).render();
        assert!(spoken.ends_with(r#",namespace="fintech",job=~"envoy"}"#), "{spoken}");
        assert_eq!(Gateways::default().confine(any(), false), any());
        assert!(Gateways::default().is_empty() && !named.is_empty());
    }
}
