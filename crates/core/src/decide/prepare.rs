//! Prepare: everything that a revision needs before users may reach it, one object a pass: snapshot, Service, pods,
//! pin, record. No record, no traffic.

use std::collections::BTreeMap;

use microapp_api::conditions::Cause;

use super::{
    State, capacity, guard,
    scene::{after, wake},
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
    if let Some((message, write)) = guard::restored(revision, arm) {
        return Prepared::Not(Box::new(Plan::wait(*state, "Progressing", message).write(write)));
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
    if !deployment.rolling {
        let write = Change::Roll { revision: revision.clone(), version: deployment.version.clone() };
        let message = format!("from now on {revision} replaces no pod before another one is ready");
        return Prepared::Not(Box::new(Plan::wait(*state, "Progressing", message).write(Write::Change(write))));
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
        None if spec_is_pinned(spec) => spec.images.clone(),
        None => BTreeMap::new(),
    }
}

/// Does the spec itself name the bytes?
fn spec_is_pinned(spec: &Spec) -> bool {
    spec.images.values().all(|image| image.contains("@sha256:"))
}

/// What the pinned template runs: the images of a ready pod of it, by digest. None before there is one: only a pod that
/// became ready proves that the pinned bytes can be pulled and start.
fn pinned_images(arm: &Arm, spec: &Spec) -> Option<BTreeMap<String, String>> {
    let proven = || arm.pods.iter().filter(|pod| pod.pinned && pod.ready);
    proven().next()?;
    let by_digest = |container: &String, image: &String| {
        if image.contains("@sha256:") {
            return Some(image.clone());
        }
        let digest = proven().find_map(|pod| pod.digests.get(container)).map(|digest| at(image, digest));
        // A runtime that reports none is allowed by the spec.
        digest.or_else(|| spec.allow_tag.then(|| image.clone()))
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

/// A first pod told the digests: from now on the template names them. It tells them once its containers run, ready or
/// not, so that a slow start is waited for once.
fn pin(arm: &Arm, deployment: &Deployment, now: Timestamp, wanted: &Wanted) -> Prepared {
    let Wanted { state, spec, size, .. } = wanted;
    let told = |pod: &crate::world::Pod| {
        let digest =
            |(container, image): (&String, &String)| Some((container.clone(), at(image, pod.digests.get(container)?)));
        spec.images.iter().map(digest).collect::<Option<BTreeMap<_, _>>>()
    };
    if let Some(images) = arm.pods.iter().find_map(told) {
        return change(*state, deployment, spec, *size, images);
    }
    let Some(pod) = arm.pods.iter().find(|pod| pod.ready) else {
        return waiting(arm, deployment, now, wanted, 0, 1);
    };
    if spec.allow_tag {
        let given = |(container, image): (&String, &String)| {
            let digest = pod.digests.get(container);
            (container.clone(), digest.map_or_else(|| image.clone(), |digest| at(image, digest)))
        };
        return change(*state, deployment, spec, *size, spec.images.iter().map(given).collect());
    }
    let unknown: Vec<_> = spec
        .images
        .iter()
        .filter(|(container, _)| !pod.digests.contains_key(*container))
        .map(|(_, image)| image)
        .collect();
    let names = unknown.iter().map(|image| image.as_str()).collect::<Vec<_>>().join(", ");
    let message = format!(
        "{}: the node reports no digest of the repository that the spec names for {names}; push the image to that repository and let the node pull it from there, give it by digest, or set imagePolicy: AllowTag",
        spec.revision
    );
    Prepared::Failed(Cause::PinFailed, message)
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
    let ready = capacity::calm(arm, now);
    if ready >= wanted.size {
        return Prepared::Ready;
    }
    waiting(arm, deployment, now, wanted, ready, wanted.size)
}

/// The deadline, with what the cluster says meanwhile.
fn waiting(arm: &Arm, deployment: &Deployment, now: Timestamp, wanted: &Wanted, ready: i32, needed: i32) -> Prepared {
    let revision: &Revision = &wanted.spec.revision;
    let limit = wanted.spec.ready_deadline();
    let reason = arm.current().filter(|pod| !pod.ready).find_map(|pod| pod.waiting.as_deref());
    let pull = reason.is_some_and(capacity::is_pull);
    // A template that was just pinned has its time from the pin on, which comes within that of its first pod.
    let pinned = deployment.pinned && arm.record.is_none() && !spec_is_pinned(wanted.spec);
    let gone = if pinned { after(deployment.created, limit) } else { deployment.created };
    let deadline = after(capacity::short_since(arm, needed, now, gone), limit);
    let message =
        format!("{revision} has {ready} of {needed} ready pods{}", capacity::cause(arm, Some(&wanted.spec.images)));
    if now >= deadline {
        let cause = if pull { Cause::PinFailed } else { Cause::NotReady };
        return Prepared::Failed(cause, format!("{message}, after {}", capacity::limit(limit)));
    }
    let reason = if pull { "ImagePullFailed" } else { "Progressing" };
    let plan = Plan::wait(wanted.state, reason, message).wake_at(deadline);
    Prepared::Not(Box::new(wake(plan, capacity::calms_at(arm, now))))
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
