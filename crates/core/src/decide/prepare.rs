//! Prepare: everything that a revision needs before users may reach it, one object a pass: snapshot, Service, pods,
//! pin, record. No record, no traffic.

use std::collections::BTreeMap;

use microapp_api::conditions::Cause;

use super::{
    State,
    scene::{READY_DEADLINE, after},
};
use jiff::Timestamp;

use crate::{
    plan::{Change, Create, Plan, Write},
    revision::Revision,
    world::{Arm, Deployment, Spec, World},
};

/// What the preparation of one revision came to.
#[derive(Debug)]
pub(super) enum Prepared {
    /// A write is due, or something is waited for.
    Not(Box<Plan>),
    /// Ready pods of the approved bytes.
    Ready,
    /// It will not become ready.
    Failed(Cause, String),
}

/// What is asked of the preparation.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    pub state: State,
    pub spec: &'a Spec,
    /// Pods.
    pub size: i32,
    /// The attempt that the record is to begin.
    pub attempt: i64,
}

/// The next object that is missing.
pub(super) fn step(world: &World, now: Timestamp, wanted: &Wanted) -> Prepared {
    let Wanted { state, spec, size, attempt } = wanted;
    let revision = &spec.revision;
    let arm = world.arm(revision);
    let create = |what: &str, create: Create| {
        let message = format!("making the {what} of {revision}");
        Prepared::Not(Box::new(Plan::wait(*state, "Progressing", message).write(Write::Create(create))))
    };
    if spec.prompts.is_some() && !arm.prompts {
        return create("prompts snapshot", Create::Prompts(revision.clone()));
    }
    if !arm.service {
        return create("Service", Create::Service(revision.clone()));
    }
    let Some(deployment) = &arm.deployment else {
        let images = approved(arm, spec);
        let replicas = if images.is_empty() { 1 } else { *size };
        return create("Deployment", Create::Deployment { revision: revision.clone(), replicas, images });
    };
    if !deployment.pinned {
        return pin(arm, deployment, now, wanted);
    }
    if arm.record.is_none() {
        // The record cannot be changed later: it waits for a pod of the pinned template to say what it runs.
        let Some(images) = pinned_images(arm, spec) else {
            return waiting(arm, deployment, now, wanted, arm.ready(), *size);
        };
        return create("record", Create::Record { revision: revision.clone(), attempt: *attempt, images });
    }
    if deployment.size < *size {
        let write = Change::Scale { revision: revision.clone(), version: deployment.version.clone(), replicas: *size };
        let message = format!("{revision} gets {size} pods");
        return Prepared::Not(Box::new(Plan::wait(*state, "Progressing", message).write(Write::Change(write))));
    }
    ready(arm, deployment, now, wanted)
}

/// Recorded bytes, or digests in the spec: no first pod is needed to find them out.
fn approved(arm: &Arm, spec: &Spec) -> BTreeMap<String, String> {
    match &arm.record {
        Some(record) => record.images.clone(),
        None if spec.images.values().all(|image| image.contains("@sha256:")) => spec.images.clone(),
        None => BTreeMap::new(),
    }
}

/// What the pinned template runs: the images of a pod of it, by digest. None before there is one.
fn pinned_images(arm: &Arm, spec: &Spec) -> Option<BTreeMap<String, String>> {
    let pinned = || arm.pods.iter().filter(|pod| pod.pinned);
    let by_digest = |container: &String, image: &String| {
        if image.contains("@sha256:") {
            return Some(image.clone());
        }
        let digest = pinned().find_map(|pod| pod.digests.get(container)).map(|digest| at(image, digest));
        // A runtime that reports none is allowed by the spec; a pod that has not started yet may still report one.
        digest.or_else(|| (spec.allow_tag && pinned().any(|pod| pod.ready)).then(|| image.clone()))
    };
    spec.images.iter().map(|(container, image)| Some((container.clone(), by_digest(container, image)?))).collect()
}

/// `repository@digest`: the repository of the spec, since a node may report another name for the same bytes.
fn at(image: &str, digest: &str) -> String {
    let name = image.split('@').next().unwrap_or(image);
    // A colon after the last slash is a tag; one before it is a port.
    let repository = match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => name,
    };
    format!("{repository}@{digest}")
}

/// A first pod told the digests: from now on the template names them.
fn pin(arm: &Arm, deployment: &Deployment, now: Timestamp, wanted: &Wanted) -> Prepared {
    let Wanted { state, spec, size, .. } = wanted;
    let reported = |pod: &&crate::world::Pod| pod.ready && !pod.digests.is_empty();
    let Some(pod) = arm.pods.iter().find(reported) else {
        if spec.allow_tag && arm.pods.iter().any(|pod| pod.ready) {
            return change(*state, deployment, spec, *size, spec.images.clone());
        }
        if arm.pods.iter().any(|pod| pod.ready) {
            let message = "the node reports no digest of the image's repository; push the image to a registry, give it by digest, or set imagePolicy: AllowTag".to_owned();
            return Prepared::Failed(Cause::PinFailed, message);
        }
        return waiting(arm, deployment, now, wanted, 0, 1);
    };
    let missing = spec.images.keys().find(|container| !pod.digests.contains_key(*container));
    if let Some(container) = missing {
        if spec.allow_tag {
            return change(*state, deployment, spec, *size, spec.images.clone());
        }
        return Prepared::Failed(
            Cause::PinFailed,
            format!("the node reports no repository digest for container {container}"),
        );
    }
    let images =
        spec.images.iter().map(|(container, image)| (container.clone(), at(image, &pod.digests[container]))).collect();
    change(*state, deployment, spec, *size, images)
}

fn change(
    state: State,
    deployment: &Deployment,
    spec: &Spec,
    replicas: i32,
    images: BTreeMap<String, String>,
) -> Prepared {
    let message = format!("{} runs the bytes of its first pod from now on", spec.revision);
    let write = Change::Pin { revision: spec.revision.clone(), version: deployment.version.clone(), images, replicas };
    Prepared::Not(Box::new(Plan::wait(state, "Progressing", message).write(Write::Change(write))))
}

fn ready(arm: &Arm, deployment: &Deployment, now: Timestamp, wanted: &Wanted) -> Prepared {
    let ready = arm.ready();
    if ready >= wanted.size && arm.signal().is_none() {
        return Prepared::Ready;
    }
    waiting(arm, deployment, now, wanted, ready, wanted.size)
}

/// Ten minutes, with what the pods say.
fn waiting(arm: &Arm, deployment: &Deployment, now: Timestamp, wanted: &Wanted, ready: i32, needed: i32) -> Prepared {
    let revision: &Revision = &wanted.spec.revision;
    let waiting = arm.pods.iter().find_map(|pod| pod.waiting.as_deref());
    let pull = waiting.is_some_and(|reason| matches!(reason, "ImagePullBackOff" | "ErrImagePull" | "InvalidImageName"));
    let deadline = after(deployment.created, READY_DEADLINE);
    let because = match (arm.signal(), waiting) {
        (Some((signal, pod)), _) => format!(": {pod} {signal:?}"),
        (None, Some(reason)) if pull => {
            let images: Vec<_> = wanted.spec.images.values().map(String::as_str).collect();
            format!(": {reason} for {}", images.join(", "))
        }
        (None, Some(reason)) => format!(": {reason}"),
        (None, None) => String::new(),
    };
    let message = format!("{revision} has {ready} of {needed} ready pods{because}");
    if now >= deadline {
        let cause = if pull { Cause::PinFailed } else { Cause::NotReady };
        return Prepared::Failed(cause, format!("{message}, after {} minutes", READY_DEADLINE.as_mins()));
    }
    let reason = if pull { "ImagePullFailed" } else { "Progressing" };
    Prepared::Not(Box::new(Plan::wait(wanted.state, reason, message).wake_at(deadline)))
}

#[cfg(test)]
mod tests {
    use super::at;

    #[test]
    fn the_repository_is_the_specs_and_a_port_is_no_tag() {
        for (image, pinned) in [
            ("app:1", "app@sha256:d"),
            ("app", "app@sha256:d"),
            ("10.90.0.10:5000/app", "10.90.0.10:5000/app@sha256:d"),
            ("10.90.0.10:5000/team/app:v1.2", "10.90.0.10:5000/team/app@sha256:d"),
            ("app:1@sha256:old", "app@sha256:d"),
        ] {
            assert_eq!(at(image, "sha256:d"), pinned);
        }
    }
}
