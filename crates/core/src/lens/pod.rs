//! What one pod says: ready, which bytes, and what needs no Prometheus.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{
    PINNED, image,
    json::{annotation, cut, list, name, number, text, time},
};
use crate::world::{Pod, Signal};

/// Exits with a failure after which a container counts as looping, though its back-off has not begun.
const FAILED_EXITS: i64 = 2;
/// Times of a pod's status are whole seconds.
const SECOND: SignedDuration = SignedDuration::from_secs(1);

/// What is known of the template that pods of a revision are made from: its containers with their images, and which of
/// them serve. Without it every container of the pod counts.
#[derive(Debug, Default)]
pub(super) struct Made {
    /// Image per container, init containers too.
    pub images: BTreeMap<String, String>,
    /// Containers that run as long as the pod does and are the user's own: no init container, nothing injected.
    pub serving: BTreeSet<String>,
}

impl Made {
    pub fn of(template: &Value) -> Self {
        Self {
            images: super::images(template),
            serving: list(template, "/spec/containers")
                .iter()
                .filter_map(|container| text(container, "/name").map(str::to_owned))
                .collect(),
        }
    }
}

/// Has every container of it ended for good? Such a pod (evicted, or of a node that went down) is a record of the past.
pub(super) fn is_over(pod: &Value) -> bool {
    matches!(text(pod, "/status/phase"), Some("Failed" | "Succeeded"))
}

pub(super) fn read(pod: &Value, made: Option<&Made>) -> Pod {
    let statuses = || {
        ["/status/initContainerStatuses", "/status/containerStatuses"]
            .into_iter()
            .flat_map(|pointer| list(pod, pointer))
    };
    let own = |status: &&Value| {
        let name = text(status, "/name").unwrap_or_default();
        made.is_none_or(|made| made.serving.contains(name))
    };
    let serving = || list(pod, "/status/containerStatuses").iter().filter(own);
    let signalled = |wanted| serving().find(|status| signal(status) == Some(wanted)).map(|status| (wanted, status));
    let signalled = signalled(Signal::OOMKilled).or_else(|| signalled(Signal::CrashLoop));
    let readiness = condition(pod, "Ready");
    let ready = readiness.is_some_and(|ready| text(ready, "/status") == Some("True"));
    let turned = readiness.and_then(|ready| time(ready, "/lastTransitionTime"));
    let created = time(pod, "/metadata/creationTimestamp");
    // The kubelet says "not ready" for the first time as the pod starts; later it says so of one that was ready.
    let begun = time(pod, "/status/startTime").or(created);
    let served = ready || turned.zip(begun).is_none_or(|(turned, begun)| turned.duration_since(begun) > SECOND);
    let scheduled = condition(pod, "PodScheduled").filter(|scheduled| text(scheduled, "/status") == Some("False"));
    let held = statuses().find(|status| text(status, "/state/waiting/reason").is_some());
    let detail = held
        .and_then(|status| text(status, "/state/waiting/message"))
        .or_else(|| scheduled.and_then(|scheduled| text(scheduled, "/message")))
        .filter(|_| !ready);
    Pod {
        name: name(pod).to_owned(),
        ready,
        pinned: annotation(pod, PINNED).is_some(),
        started: started(pod),
        digests: digests(pod, statuses(), made),
        signal: signalled.map(|(signal, _)| signal),
        exited: signalled.and_then(|(signal, status)| exited(signal, status)),
        served,
        created,
        unready: turned.or(created).filter(|_| !ready),
        waiting: held
            .and_then(|status| text(status, "/state/waiting/reason"))
            .or_else(|| scheduled.and_then(|scheduled| text(scheduled, "/reason")))
            .map(str::to_owned),
        detail: detail.map(cut).filter(|detail| !detail.is_empty()),
    }
}

/// When a container of it last started: what it counts began then. One that runs before the others (init) is over by then.
fn started(pod: &Value) -> Option<Timestamp> {
    let running =
        list(pod, "/status/containerStatuses").iter().filter_map(|status| time(status, "/state/running/startedAt"));
    running.chain(time(pod, "/status/startTime")).max()
}

fn condition<'a>(pod: &'a Value, kind: &str) -> Option<&'a Value> {
    list(pod, "/status/conditions").iter().find(|condition| text(condition, "/type") == Some(kind))
}

/// Digest per container, of the repository that the template names: a node reports one digest for all names of one
/// image, also that of another repository, and a bare one is that of the image's configuration. Neither can be pulled
/// under the template's name. Where the template names the bytes, they are known anyway.
fn digests<'a>(
    pod: &Value,
    statuses: impl Iterator<Item = &'a Value>,
    made: Option<&Made>,
) -> BTreeMap<String, String> {
    let runs = super::images(&pod.get("spec").map_or(Value::Null, |spec| serde_json::json!({"spec": spec})));
    statuses
        .filter_map(|status| {
            let container = text(status, "/name")?;
            let given = runs.get(container);
            if let Some(named) = given.and_then(|image| image::digest(image)) {
                return Some((container.to_owned(), named.to_owned()));
            }
            let asked = made.and_then(|made| made.images.get(container)).or(given)?;
            let reported = text(status, "/imageID")?;
            let (repository, digest) = image::reported(reported)?;
            image::is_same_repository(repository, asked).then(|| (container.to_owned(), digest.to_owned()))
        })
        .collect()
}

fn signal(status: &Value) -> Option<Signal> {
    let oom = |pointer| text(status, pointer) == Some("OOMKilled");
    if oom("/state/terminated/reason") || oom("/lastState/terminated/reason") {
        return Some(Signal::OOMKilled);
    }
    let looping = text(status, "/state/waiting/reason") == Some("CrashLoopBackOff");
    let failed = ["/state/terminated/exitCode", "/lastState/terminated/exitCode"]
        .into_iter()
        .any(|pointer| number(status, pointer).is_some_and(|code| code != 0));
    let restarts = number(status, "/restartCount").unwrap_or_default();
    (looping || failed && restarts >= FAILED_EXITS).then_some(Signal::CrashLoop)
}

/// The time that a signal is of. A second failed exit is one of a run that began after the first, so it is that run's
/// begin, where the node says it: an app that failed at its start and once much later does not loop.
fn exited(signal: Signal, status: &Value) -> Option<Timestamp> {
    let last = |field: &str| {
        ["/state/terminated", "/lastState/terminated"]
            .into_iter()
            .find_map(|pointer| time(status.pointer(pointer)?, &format!("/{field}")))
    };
    let backs_off = text(status, "/state/waiting/reason") == Some("CrashLoopBackOff");
    let begun = last("startedAt").filter(|_| signal == Signal::CrashLoop && !backs_off);
    begun.or_else(|| last("finishedAt"))
}
