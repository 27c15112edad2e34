use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// A process of the lab that can be killed, frozen and restarted on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// The store.
    Etcd,
    /// kube-apiserver.
    Apiserver,
    /// kube-controller-manager.
    Kcm,
    /// kube-scheduler.
    Scheduler,
    /// containerd, with a state directory of its own.
    Containerd,
    /// The kubelet of node n1.
    Kubelet,
    /// kube-proxy in nftables mode.
    KubeProxy,
    /// The image registry at 10.90.0.10:5000.
    Registry,
    /// Contour, the Gateway API implementation.
    Contour,
    /// Envoy, its data plane, at 10.90.0.10:8080.
    Envoy,
    /// Prometheus at 10.90.0.10:9090.
    Prometheus,
    /// kwok, which plays pods on a fake node.
    Kwok,
}

impl Part {
    /// All parts in the order in which they start.
    pub const ALL: [Self; 12] = [
        Self::Etcd,
        Self::Apiserver,
        Self::Kcm,
        Self::Scheduler,
        Self::Containerd,
        Self::Kubelet,
        Self::KubeProxy,
        Self::Registry,
        Self::Contour,
        Self::Envoy,
        Self::Prometheus,
        Self::Kwok,
    ];

    /// The name on the command line, of the log and of the process record.
    pub fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::Apiserver => "apiserver",
            Self::Kcm => "kcm",
            Self::Scheduler => "scheduler",
            Self::Containerd => "containerd",
            Self::Kubelet => "kubelet",
            Self::KubeProxy => "kube-proxy",
            Self::Registry => "registry",
            Self::Contour => "contour",
            Self::Envoy => "envoy",
            Self::Prometheus => "prometheus",
            Self::Kwok => "kwok",
        }
    }

    /// The optional group that this part belongs to, if any.
    pub fn group(self) -> Option<Extra> {
        match self {
            Self::Contour | Self::Envoy => Some(Extra::Gateway),
            Self::Prometheus => Some(Extra::Prometheus),
            Self::Registry => Some(Extra::Registry),
            Self::Kwok => Some(Extra::Kwok),
            Self::Etcd
            | Self::Apiserver
            | Self::Kcm
            | Self::Scheduler
            | Self::Containerd
            | Self::Kubelet
            | Self::KubeProxy => None,
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What a lab may be started with or without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Extra {
    /// Contour, Envoy, the Gateway API's definitions, a GatewayClass and a Gateway.
    Gateway,
    /// Prometheus.
    Prometheus,
    /// The image registry.
    Registry,
    /// kwok and its fake node; left out unless asked for.
    Kwok,
}

/// How a lab is started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// What runs beside Kubernetes itself, sorted.
    pub extras: Vec<Extra>,
    /// Prometheus' scrape interval in its own notation, such as `5s`.
    pub scrape: String,
}

impl Default for Options {
    fn default() -> Self {
        Self { extras: vec![Extra::Gateway, Extra::Prometheus, Extra::Registry], scrape: "5s".into() }
    }
}

impl Options {
    /// Leaves something out.
    #[must_use]
    pub fn without(mut self, extra: Extra) -> Self {
        self.extras.retain(|e| *e != extra);
        self
    }

    /// Adds something.
    #[must_use]
    pub fn with(mut self, extra: Extra) -> Self {
        self.extras.push(extra);
        self.extras.sort_unstable();
        self.extras.dedup();
        self
    }

    /// Sets the scrape interval.
    #[must_use]
    pub fn scrape(mut self, interval: impl Into<String>) -> Self {
        self.scrape = interval.into();
        self
    }

    /// Whether something is in.
    pub fn has(&self, extra: Extra) -> bool {
        self.extras.contains(&extra)
    }

    /// Whether a lab with these options has everything that others ask for.
    pub fn covers(&self, others: &Self) -> bool {
        others.extras.iter().all(|extra| self.has(*extra))
    }

    /// The parts that these options ask for, in the order in which they start.
    pub fn parts(&self) -> impl Iterator<Item = Part> + '_ {
        Part::ALL.into_iter().filter(|p| p.group().is_none_or(|g| self.has(g)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lab_without_a_gateway_has_neither_contour_nor_envoy() {
        let parts: Vec<_> = Options::default().without(Extra::Gateway).parts().collect();
        assert!(!parts.contains(&Part::Contour) && !parts.contains(&Part::Envoy));
        assert!(parts.contains(&Part::Prometheus) && parts.contains(&Part::Kubelet));
    }

    #[test]
    fn kwok_runs_only_when_it_is_asked_for() {
        assert!(!Options::default().parts().any(|p| p == Part::Kwok));
        assert!(Options::default().with(Extra::Kwok).parts().any(|p| p == Part::Kwok));
    }

    #[test]
    fn a_lab_with_more_covers_one_with_less_whatever_its_scrape_interval() {
        let (all, less) = (Options::default(), Options::default().without(Extra::Registry).scrape("1s"));
        assert!(all.covers(&less) && !less.covers(&all));
    }

    #[test]
    fn the_name_on_the_command_line_is_the_name_in_files() {
        for part in Part::ALL {
            assert_eq!(part.to_possible_value().map(|v| v.get_name().to_owned()).as_deref(), Some(part.name()));
            assert_eq!(serde_json::to_value(part).ok(), Some(serde_json::json!(part.name())));
        }
    }
}
