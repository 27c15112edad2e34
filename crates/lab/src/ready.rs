//! When a part is ready: a condition that is polled, with a deadline and a clear error.

use std::time::{Duration, Instant};

use crate::command::{run, succeeds, tail};
use crate::error::{Error, Result};
use crate::process::{Liveness, Record};
use crate::{Part, Paths, commandline, containerd, netns};

/// Waits until a part is ready; fails at once when it dies.
pub(crate) fn wait(paths: &Paths, record: &Record) -> Result<()> {
    wait_for(paths, record, limit(record.part), what(record.part), || is_ready(paths, record.part))
}

/// Waits for a condition that depends on a part.
pub(crate) fn wait_for(
    paths: &Paths,
    record: &Record,
    limit: Duration,
    what: &str,
    mut holds: impl FnMut() -> bool,
) -> Result<()> {
    let part = record.part;
    let since = Instant::now();
    let fail = |problem| {
        let log = paths.log(part);
        Err(Error::NotReady { part, problem, tail: tail(&log, 15), log })
    };
    loop {
        if record.liveness() == Liveness::Dead {
            return fail(format!("died after {:.1} s, before {what}", since.elapsed().as_secs_f64()));
        }
        if holds() {
            return Ok(());
        }
        if since.elapsed() > limit {
            return fail(format!("was given {} s, but not {what}", limit.as_secs()));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Whether a part answers its health check now.
pub(crate) fn is_ready(paths: &Paths, part: Part) -> bool {
    let ok = |address: &str, path: &str| netns::http("GET", address, path) == Some(200);
    match part {
        Part::Etcd => ok("127.0.0.1:2379", "/health"),
        // Asking costs a start of kubectl, so first look whether anybody listens.
        Part::Apiserver => netns::listens("127.0.0.1:6443") && succeeds(ask(paths).args(["get", "--raw", "/readyz"])),
        Part::Kcm => netns::listens("127.0.0.1:10257"),
        Part::Scheduler => netns::listens("127.0.0.1:10259"),
        Part::Containerd => containerd::answers(paths),
        Part::Kubelet => ok("127.0.0.1:10248", "/healthz"),
        Part::KubeProxy => ok("127.0.0.1:10256", "/livez"),
        Part::Registry => ok(commandline::registry_address(), "/v2/"),
        Part::Contour => ok("127.0.0.1:8004", "/healthz") && netns::listens("127.0.0.1:8001"),
        Part::Envoy => ok("10.90.0.10:8002", "/ready"),
        Part::Prometheus => ok(commandline::PROMETHEUS, "/-/ready"),
        Part::Kwok => condition(paths, &["get", "node", "fake"], "Ready"),
    }
}

/// Whether an object that `kubectl get …` names has a condition with status True.
pub(crate) fn condition(paths: &Paths, get: &[&str], condition: &str) -> bool {
    let path = format!("jsonpath={{.status.conditions[?(@.type==\"{condition}\")].status}}");
    run(ask(paths).args(get).arg("-o").arg(path)).is_ok_and(|status| status == "True")
}

/// Whether every custom resource definition is served. `kubectl wait` would ask for each of them in turn.
pub(crate) fn definitions(paths: &Paths) -> bool {
    let path = "jsonpath={range .items[*]}{.status.conditions[?(@.type==\"Established\")].status}{\"\\n\"}{end}";
    run(ask(paths).args(["get", "customresourcedefinitions", "-o", path]))
        .is_ok_and(|lines| !lines.is_empty() && lines.lines().all(|status| status == "True"))
}

/// kubectl inside the namespace as the administrator.
pub(crate) fn kubectl(paths: &Paths) -> std::process::Command {
    let mut kubectl = netns::command(paths.bin("kubectl"));
    kubectl.arg("--kubeconfig").arg(paths.kubeconfig("admin"));
    // Discovery is cached with the lab, not in a home directory where it would outlive the cluster.
    kubectl.env("KUBECACHEDIR", paths.join("kubectl"));
    kubectl
}

/// kubectl for a question that is asked again: a frozen API server must not hold it for ever.
fn ask(paths: &Paths) -> std::process::Command {
    let mut kubectl = kubectl(paths);
    kubectl.arg("--request-timeout=5s");
    kubectl
}

fn limit(part: Part) -> Duration {
    Duration::from_secs(match part {
        Part::Apiserver | Part::Kubelet | Part::Envoy => 120,
        _ => 60,
    })
}

fn what(part: Part) -> &'static str {
    match part {
        Part::Etcd => "healthy",
        Part::Apiserver => "ready at /readyz",
        Part::Kcm | Part::Scheduler => "listening",
        Part::Containerd => "answering on its socket",
        Part::Kubelet | Part::KubeProxy | Part::Contour => "healthy at its health port",
        Part::Registry => "answering at /v2/",
        Part::Envoy => "ready: no configuration from Contour",
        Part::Prometheus => "ready at /-/ready",
        Part::Kwok => "playing its node",
    }
}
