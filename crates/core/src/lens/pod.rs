//! What one pod says: ready, which bytes, and what needs no Prometheus.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use super::{
    PINNED, images,
    json::{annotation, list, name, number, text, time},
};
use crate::world::{Pod, Signal};

/// Exits with a failure after which a container counts as looping, though its back-off has not begun.
const FAILED_EXITS: i64 = 2;

pub(super) fn read(pod: &Value) -> Pod {
    let statuses = || {
        ["/status/initContainerStatuses", "/status/containerStatuses"]
            .into_iter()
            .flat_map(|pointer| list(pod, pointer))
    };
    let signal = |wanted| statuses().any(|status| signal(status) == Some(wanted)).then_some(wanted);
    Pod {
        name: name(pod).to_owned(),
        ready: condition(pod, "Ready").is_some_and(|ready| text(ready, "/status") == Some("True")),
        pinned: annotation(pod, PINNED).is_some(),
        started: started(pod),
        digests: digests(pod, statuses()),
        signal: signal(Signal::OOMKilled).or_else(|| signal(Signal::CrashLoop)),
        waiting: statuses()
            .find_map(|status| text(status, "/state/waiting/reason"))
            .or_else(|| {
                condition(pod, "PodScheduled")
                    .filter(|scheduled| text(scheduled, "/status") == Some("False"))
                    .and_then(|scheduled| text(scheduled, "/reason"))
            })
            .map(str::to_owned),
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

/// Digest per container, where the node says which repository it is of: a bare one is that of the image's
/// configuration, which nobody can pull. Where the template names the bytes, they are known anyway.
fn digests<'a>(pod: &Value, statuses: impl Iterator<Item = &'a Value>) -> BTreeMap<String, String> {
    let given = images(pod);
    statuses
        .filter_map(|status| {
            let container = text(status, "/name")?;
            let reported = text(status, "/imageID").and_then(digest);
            let named = given.get(container).and_then(|image| digest(image));
            Some((container.to_owned(), reported.or(named)?.to_owned()))
        })
        .collect()
}

/// What comes after the last `@` of `repository@sha256:…`.
fn digest(image: &str) -> Option<&str> {
    let (repository, digest) = image.rsplit_once('@')?;
    (!repository.is_empty() && digest.starts_with("sha256:")).then_some(digest)
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
