//! The stage of a replay: a world in which everything is there and everybody answers at once.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use microapp_api::v1alpha1::{Canary, MicroAppRolloutSpec, MicroAppRolloutStatus, Stable};
use serde_json::Value;

use super::line::{Command, Malformed, Tick};
use crate::{
    register::{Register, Tokens},
    revision::Revision,
    strategy::Strategy,
    world::{
        self, Acceptance, Apex, Arm, Backend, Deployment, Desired, Object, Pod, Raw, Record, Route, RouteFact, Spec,
        Verb, World,
    },
};

/// The first attempt of a replay; attempt 1 made stable what is stable.
pub(super) const FIRST: i64 = 2;
/// Stable's name; no digest of anything.
const STABLE: &str = "bbbbbbbbbb";

/// The attempt at weight 0, with its pods and its plan.
pub(super) fn set(
    rollout: &Value,
    spec: &MicroAppRolloutSpec,
    strategy: &Strategy,
    attempt: i64,
) -> Result<World, Malformed> {
    let stable = Revision::parse(STABLE).ok_or_else(|| Malformed::new("stable has no name"))?;
    let model = serde_json::to_value(&spec.model).unwrap_or_default();
    let canary = Revision::of(spec.template.raw(), &model, i64::from(spec.traffic.port), "");
    let text = |key: &str, default: &str| rollout["metadata"][key].as_str().unwrap_or(default).to_owned();
    let images = BTreeMap::from([("app".to_owned(), "app@sha256:0".to_owned())]);
    let arm = |revision: &Revision| {
        let size = spec.replicas.max(1);
        let deployment = Deployment {
            version: "1".to_owned(),
            created: Timestamp::UNIX_EPOCH,
            size,
            pinned: true,
            images: images.clone(),
            rolling: true,
            changed: None,
            short: None,
            available: false,
            failure: None,
        };
        let record = Record { attempt: 1, images: images.clone(), ..Record::default() };
        let pods = (0..size).map(|index| pod(revision, index)).collect();
        Arm { service: true, prompts: true, record: Some(record), deployment: Some(deployment), pods, ..Arm::default() }
    };
    let pair = [(&stable, 100), (&canary, 0)];
    let pair = pair.map(|(revision, weight)| Backend { revision: Some(revision.clone()), weight: Some(weight) });
    Ok(World {
        object: Object {
            namespace: text("namespace", "default"),
            name: text("name", "replay"),
            uid: String::new(),
            generation: 1,
            deleting: false,
        },
        desired: Desired::Usable(Box::new(Spec {
            revision: canary.clone(),
            replicas: spec.replicas,
            port: u16::try_from(spec.traffic.port).unwrap_or(0),
            strategy: strategy.clone(),
            ready_millis: 600_000,
            images: images.clone(),
            allow_tag: false,
            prompts: None,
            raw: Arc::new(Raw::default()),
        })),
        desired_since: Timestamp::UNIX_EPOCH,
        commands: BTreeMap::new(),
        route: RouteFact::Present(Box::new(Route {
            version: "1".to_owned(),
            register: Register {
                stable: stable.clone(),
                canary: Some(canary.clone()),
                attempt,
                step: None,
                since: None,
                aborted: None,
                rejected: Vec::new(),
                tokens: Tokens::default(),
            },
            backends: pair.to_vec(),
            current: true,
            acceptance: Acceptance::Accepted,
            stranger: None,
        })),
        apex: Apex::Selects { revision: Some(stable.clone()), version: "1".to_owned() },
        arms: BTreeMap::from([(stable.clone(), arm(&stable)), (canary.clone(), arm(&canary))]),
        status: MicroAppRolloutStatus {
            observed_generation: 1,
            stable: Some(Stable { revision: stable.to_string(), ..Stable::default() }),
            canary: Some(Canary {
                revision: canary.to_string(),
                attempt,
                step: -1,
                weight: "0%".to_owned(),
                started_at: Some(Time(Timestamp::UNIX_EPOCH)),
                plan: Some(strategy.to_pinned()),
                evidence: None,
            }),
            ..MicroAppRolloutStatus::default()
        },
        conflict: None,
        orphans: Vec::new(),
        obstacle: None,
    })
}

fn pod(revision: &Revision, index: i32) -> Pod {
    Pod {
        name: format!("{revision}-{index}"),
        ready: true,
        pinned: true,
        started: Some(Timestamp::UNIX_EPOCH),
        digests: BTreeMap::new(),
        signal: None,
        exited: None,
        served: true,
        created: Some(Timestamp::UNIX_EPOCH),
        unready: None,
        waiting: None,
        detail: None,
    }
}

/// The canary's pods as the tick says they are: as many as its Deployment asks for, ready or not.
pub(super) fn pods(world: &mut World, tick: &Tick) {
    let Some(canary) = world.route().and_then(|route| route.register.canary.clone()) else { return };
    fill(world, &canary, tick.ready, tick.pod);
    let stable = world.route().map(|route| route.register.stable.clone());
    if let Some(stable) = stable {
        fill(world, &stable, true, None);
    }
}

fn fill(world: &mut World, revision: &Revision, ready: bool, signal: Option<world::Signal>) {
    let Some(arm) = world.arms.get_mut(revision) else { return };
    let size = arm.deployment.as_ref().map_or(0, |deployment| deployment.size);
    arm.pods = (0..size).map(|index| Pod { ready, signal, ..pod(revision, index) }).collect();
}

/// After a write: gateways accept at once, pods follow their Deployment.
pub(super) fn settle(world: &mut World, tick: &Tick) {
    if let RouteFact::Present(route) = &mut world.route {
        route.acceptance = Acceptance::Accepted;
    }
    pods(world, tick);
}

/// The command as the annotation that a person would have written.
pub(super) fn command(world: &mut World, command: Command, number: u64) {
    let Some(route) = world.route() else { return };
    let step = route.register.step.map_or_else(|| "-".to_owned(), |step| step.to_string());
    let attempt = route.register.attempt;
    let canary = route.register.canary.as_ref().map_or("", Revision::as_str);
    let (verb, token) = match command {
        Command::Abort => (Verb::Abort, format!("{number}")),
        Command::Promote => (Verb::Promote, format!("{attempt}/{step}:{number}")),
        Command::SkipStep => (Verb::Promote, format!("{attempt}/{step}/skip:{number}")),
        Command::Pause => (Verb::Pause, format!("{number}")),
        Command::Resume => (Verb::Resume, format!("{number}")),
        Command::Retry => (Verb::Retry, format!("{canary}:{number}")),
    };
    world.commands.insert(verb, world::Command { token, reason: String::new() });
}
