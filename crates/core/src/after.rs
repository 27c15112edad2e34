//! `after`: the world once a write took effect. The same arms as `apply`, without I/O: replay, crash sweep and model
//! run on it.

use jiff::Timestamp;

use crate::{
    plan::{Change, Child, Create, Lower, RouteWrite, Write},
    register::Register,
    revision::Revision,
    world::{Acceptance, Apex, Arm, Backend, Deployment, Record, Route, RouteFact, World},
};

/// The world after `write`, at `now`. What other controllers do then (pods, acceptance) is not part of it.
#[must_use]
pub fn after(world: &World, write: &Write, now: Timestamp) -> World {
    let mut next = world.clone();
    match write {
        Write::Create(create) => created(&mut next, create, now),
        Write::Change(change) => changed(&mut next, change),
        Write::Delete(child) => deleted(&mut next, child),
        // What it is shows when it is read as ours.
        Write::Adopt(orphan) => next.orphans.retain(|other| other != orphan),
        Write::Route(write) => routed(&mut next, write),
        Write::Lower(write) => lowered(&mut next, write),
        Write::Status(write) => next.status = write.status.clone(),
    }
    next
}

fn arm<'a>(world: &'a mut World, revision: &Revision) -> &'a mut Arm {
    world.arms.entry(revision.clone()).or_default()
}

fn created(world: &mut World, create: &Create, now: Timestamp) {
    match create {
        Create::Prompts(revision) => arm(world, revision).prompts = true,
        Create::Service(revision) => arm(world, revision).service = true,
        Create::Deployment { revision, replicas, images } => {
            let deployment = Deployment {
                version: "1".to_owned(),
                created: now,
                size: *replicas,
                pinned: !images.is_empty(),
                images: images.clone(),
                rolling: !images.is_empty(),
                changed: None,
                short: None,
                available: false,
                failure: None,
            };
            arm(world, revision).deployment.get_or_insert(deployment);
        }
        Create::Record { revision, attempt, images } => {
            let record =
                Record { attempt: *attempt, images: images.clone(), model: String::new(), ..Record::default() };
            arm(world, revision).record.get_or_insert(record);
        }
        Create::Route { register, backends } => {
            if world.route == RouteFact::Missing {
                world.route = RouteFact::Present(Box::new(Route {
                    version: "1".to_owned(),
                    register: (**register).clone(),
                    backends: backends.clone(),
                    current: true,
                    acceptance: Acceptance::Pending,
                    stranger: None,
                }));
            }
        }
        Create::Apex(revision) => {
            if world.apex.is_missing() {
                world.apex = Apex::Selects { revision: Some(revision.clone()), version: "1".to_owned() };
            }
        }
    }
}

fn changed(world: &mut World, change: &Change) {
    match change {
        Change::Pin { revision, version, images, replicas } => {
            with_deployment(world, revision, version, |deployment| {
                deployment.pinned = true;
                deployment.images.clone_from(images);
                deployment.size = *replicas;
            });
        }
        Change::Scale { revision, version, replicas } => {
            with_deployment(world, revision, version, |deployment| deployment.size = *replicas);
        }
        Change::Restore { revision, version, images, generation: _ } => {
            with_deployment(world, revision, version, |deployment| {
                deployment.pinned = true;
                deployment.images.clone_from(images);
                deployment.changed = None;
            });
        }
        Change::Roll { revision, version } => {
            with_deployment(world, revision, version, |deployment| deployment.rolling = true);
        }
        Change::Service { revision, version } => {
            let arm = arm(world, revision);
            arm.astray = arm.astray.take().filter(|astray| astray != version);
        }
        Change::Select { revision, version } => {
            if let Apex::Selects { revision: selected, version: current } = &mut world.apex
                && current == version
            {
                *selected = Some(revision.clone());
                *current = bumped(current);
            }
        }
    }
}

/// A write on another version than the one that was read is refused.
fn with_deployment(world: &mut World, revision: &Revision, version: &str, change: impl FnOnce(&mut Deployment)) {
    if let Some(deployment) = arm(world, revision).deployment.as_mut().filter(|found| found.version == version) {
        change(deployment);
        deployment.version = bumped(&deployment.version);
    }
}

fn deleted(world: &mut World, child: &Child) {
    let revision = match child {
        Child::Prompts(revision) => {
            arm(world, revision).prompts = false;
            revision
        }
        Child::Service(revision) => {
            let arm = arm(world, revision);
            arm.service = false;
            arm.astray = None;
            revision
        }
        Child::Deployment(revision) => {
            let arm = arm(world, revision);
            arm.deployment = None;
            arm.pods.clear();
            revision
        }
        Child::Record(revision) => {
            arm(world, revision).record = None;
            revision
        }
    };
    if world.arm(revision) == &Arm::default() {
        world.arms.remove(revision);
    }
}

fn routed(world: &mut World, write: &RouteWrite) {
    let RouteWrite { transition: _, version, register, backends } = write;
    let current = match &world.route {
        RouteFact::Present(route) => &route.version,
        RouteFact::Unreadable { version, .. } => version,
        RouteFact::Missing | RouteFact::Foreign(_) => return,
    };
    if current != version {
        return;
    }
    world.route = RouteFact::Present(Box::new(Route {
        version: bumped(version),
        register: register.clone(),
        backends: backends.clone(),
        current: true,
        acceptance: Acceptance::Pending,
        stranger: None,
    }));
}

/// Where the attempt and the pair are the tested ones, whatever else was written since.
fn lowered(world: &mut World, write: &Lower) {
    let Lower { attempt, pair, aborted } = write;
    let RouteFact::Present(route) = &mut world.route else { return };
    let same = route.register.attempt == *attempt
        && route.backends.iter().map(|backend| backend.revision.as_ref()).eq(pair.iter().map(Some));
    if !same {
        return;
    }
    let weights = [100, 0];
    route.backends = pair
        .iter()
        .zip(weights)
        .map(|(revision, weight)| Backend { revision: Some(revision.clone()), weight: Some(weight) })
        .collect();
    route.register = Register { aborted: Some(aborted.clone()), step: None, ..route.register.clone() };
    route.version = bumped(&route.version);
    route.acceptance = Acceptance::Pending;
}

/// The next version: versions only need to differ.
fn bumped(version: &str) -> String {
    version.parse::<u64>().map_or_else(|_| format!("{version}+"), |version| (version + 1).to_string())
}
