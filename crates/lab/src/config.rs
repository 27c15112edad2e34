//! The configuration files of all parts, rendered from the templates in `conf/`.

use std::path::Path;

use crate::error::{Error, Result};
use crate::{Options, Paths, netns};

/// The pause image that holds each pod's namespaces.
pub(crate) const PAUSE_IMAGE: &str = "lab.local/pause:1";
/// The registry's address.
pub(crate) const REGISTRY: &str = "10.90.0.10:5000";

struct Template {
    name: &'static str,
    text: &'static str,
    target: &'static str,
}

macro_rules! templates {
    ($($name:literal => $target:expr),* $(,)?) => {
        [$(Template { name: $name, text: include_str!(concat!("conf/", $name)), target: $target }),*]
    };
}

const TEMPLATES: [Template; 13] = templates![
    "audit.yaml" => "cfg/audit.yaml",
    "cni.conflist" => "cni/net.d/10-lab.conflist",
    "containerd.toml" => "cfg/containerd.toml",
    "contour.yaml" => "cfg/contour.yaml",
    "etcd.yaml" => "cfg/etcd.yaml",
    "gateway.yaml" => "cfg/gateway.yaml",
    "hosts.toml" => "cfg/certs.d/10.90.0.10:5000/hosts.toml",
    "kubelet.yaml" => "cfg/kubelet.yaml",
    "kwok-node.yaml" => "cfg/kwok-node.yaml",
    "kwok-stages.yaml" => "cfg/kwok-stages.yaml",
    "prometheus.yaml" => PROMETHEUS,
    "proxy-role.yaml" => "cfg/proxy-role.yaml",
    "registry.yaml" => "cfg/registry.yaml",
];

/// Where Prometheus' configuration goes.
pub(crate) const PROMETHEUS: &str = "cfg/prometheus.yaml";

/// Writes every configuration file.
pub(crate) fn write(paths: &Paths, options: &Options, cni_plugins: &Path) -> Result<()> {
    for template in &TEMPLATES {
        write_one(paths, options, cni_plugins, template)?;
    }
    Ok(())
}

/// Writes Prometheus' configuration alone.
pub(crate) fn write_prometheus(paths: &Paths, options: &Options) -> Result<()> {
    TEMPLATES.iter().filter(|t| t.target == PROMETHEUS).try_for_each(|t| write_one(paths, options, Path::new(""), t))
}

fn write_one(paths: &Paths, options: &Options, cni_plugins: &Path, template: &Template) -> Result<()> {
    let values = [
        ("LAB", paths.text()),
        ("PAUSE", PAUSE_IMAGE.to_owned()),
        ("REGISTRY", REGISTRY.to_owned()),
        ("CNI_BIN", cni_plugins.to_string_lossy().into_owned()),
        ("SCRAPE", options.scrape.clone()),
    ];
    paths.write(template.target, &render(template.name, template.text, &values)?)
}

/// Puts values into the places `@NAME@`; a place that is left over is an error.
pub(crate) fn render(name: &'static str, text: &str, values: &[(&str, String)]) -> Result<String> {
    let text = values.iter().fold(text.to_owned(), |text, (key, value)| text.replace(&format!("@{key}@"), value));
    let left = text
        .split('@')
        .skip(1)
        .step_by(2)
        .find(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'));
    match left {
        Some(place) => Err(Error::Template { template: name, place: format!("@{place}@") }),
        None => Ok(text),
    }
}

/// A kubeconfig of one of the certificates.
pub(crate) fn kubeconfig(paths: &Paths, user: &str) -> String {
    let pki = paths.join("pki");
    let pki = pki.display();
    format!(
        "apiVersion: v1
kind: Config
clusters:
- name: lab
  cluster:
    server: https://127.0.0.1:6443
    certificate-authority: {pki}/ca.crt
users:
- name: {user}
  user:
    client-certificate: {pki}/{user}.crt
    client-key: {pki}/{user}.key
contexts:
- name: lab
  context:
    cluster: lab
    user: {user}
current-context: lab
"
    )
}

/// Checks a duration in Prometheus' notation that makes sense as a scrape interval.
pub(crate) fn check_interval(text: &str) -> Result<()> {
    let (number, scale) = match text {
        t if t.ends_with("ms") => (&t[..t.len() - 2], 1),
        t if t.ends_with('s') => (&t[..t.len() - 1], 1000),
        t if t.ends_with('m') => (&t[..t.len() - 1], 60_000),
        _ => ("", 1),
    };
    let millis = number.parse::<u64>().ok().and_then(|n| n.checked_mul(scale));
    if millis.is_some_and(|m| (100..=600_000).contains(&m)) {
        return Ok(());
    }
    Err(Error::Invalid(format!("{text:?} is no scrape interval; write 1s, 500ms or 1m, from 100ms to 10m")))
}

/// What a person or a program needs to find its way around, by the name of the environment variable.
pub fn environment(paths: &Paths) -> [(&'static str, String); 3] {
    [
        ("KUBECONFIG", paths.kubeconfig("admin").to_string_lossy().into_owned()),
        ("GATEWAY", format!("http://{}:8080", netns::NODE_ADDRESS)),
        ("PROMETHEUS", format!("http://{}:9090", netns::NODE_ADDRESS)),
    ]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::fs;

    #[test]
    fn every_template_renders_without_a_place_left() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::at(dir.path());
        write(&paths, &Options::default().scrape("7s"), Path::new("/opt/cni/bin")).unwrap();
        let read = |file: &str| fs::read_to_string(paths.join(file)).unwrap();
        assert!(read(PROMETHEUS).contains("scrape_interval: 7s"));
        assert!(read("cfg/containerd.toml").contains("bin_dir = \"/opt/cni/bin\""));
        assert!(read("cfg/containerd.toml").contains(&format!("root = \"{}/ctd/root\"", dir.path().display())));
        assert!(read("cfg/certs.d/10.90.0.10:5000/hosts.toml").contains("http://10.90.0.10:5000"));
    }

    #[test]
    fn a_place_without_a_value_is_an_error_that_names_it() {
        let error = render("x.yaml", "a: @LAB@/@WHAT@", &[("LAB", "/l".into())]).unwrap_err();
        assert_eq!(error.to_string(), "the template x.yaml has no value for @WHAT@");
    }

    #[test]
    fn only_sensible_scrape_intervals_are_taken() {
        for good in ["1s", "500ms", "5s", "1m"] {
            check_interval(good).unwrap();
        }
        for bad in ["", "s", "0s", "1h", "5", "-1s", "1s\nfoo: bar", "99ms"] {
            assert!(check_interval(bad).is_err(), "{bad:?}");
        }
    }
}
