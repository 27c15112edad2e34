//! Observe: reads alone. The cache has everything but the prompts' content, which is read when its version changed.

use std::{sync::Arc, time::Duration};

use microapp_api::names;
use microapp_core::{
    build::Kind,
    lens::{self, Objects, Prompts},
};
use serde_json::Value;
use tokio::time::{Instant, timeout};

use crate::{
    cache::{Key, meta},
    cluster::CALL,
    error::CallError,
    evidence::{Memory, Unread},
    fleet::Fleet,
};

/// Between two tries at prompts that cannot be read, doubled each time.
const UNREAD: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(30)];

/// The objects of a rollout; `None` where it is gone. What cannot be read is a fact too: nothing of it may keep a
/// rollback back.
pub(crate) async fn observe(fleet: &Fleet, key: &Key, memory: &mut Memory) -> Option<Objects> {
    let cache = &fleet.cache;
    let rollout = cache.get(Kind::Rollout, key)?;
    for (kind, name) in unwatched(key) {
        if cache.stranger(kind, &name).is_some_and(|until| until <= Instant::now()) {
            match fleet.context().cluster.get(kind, &name.namespace, &name.name).await {
                Ok(Some(object)) => cache.put(kind, &object),
                Ok(None) => cache.forget(kind, &name),
                Err(error) => {
                    fleet.context().metrics.error(error.category());
                    cache.keep(kind, &name);
                }
            }
        }
    }
    let others = cache.rollouts(&key.namespace).into_iter().filter(|other| meta(other, "name") != key.name).collect();
    Some(Objects {
        prompts: prompts(fleet, &rollout, memory).await,
        others,
        deployments: cache.children(Kind::Deployment, key),
        services: cache.children(Kind::Service, key),
        records: cache.children(Kind::Record, key),
        pods: cache.children(Kind::Pod, key),
        config_maps: cache.children(Kind::ConfigMap, key),
        route: cache.get(Kind::Route, &Key::new(&key.namespace, &names::route(&key.name))),
        apex: cache.get(Kind::Service, &Key::new(&key.namespace, &names::apex(&key.name))),
        rollout,
    })
}

/// The names that somebody else may have taken before us: no watch sees such an object.
fn unwatched(key: &Key) -> [(Kind, Key); 2] {
    [
        (Kind::Route, Key::new(&key.namespace, &names::route(&key.name))),
        (Kind::Service, Key::new(&key.namespace, &names::apex(&key.name))),
    ]
}

/// When one of them must be read again.
pub(crate) fn look_again(fleet: &Fleet, key: &Key) -> Option<Instant> {
    unwatched(key).iter().filter_map(|(kind, name)| fleet.cache.stranger(*kind, name)).min()
}

/// The content of the ConfigMap that the spec names, read once per version of it.
async fn prompts(fleet: &Fleet, rollout: &Arc<Value>, memory: &mut Memory) -> Prompts {
    let Some(name) = lens::prompts_name(rollout) else { return Prompts::Unnamed };
    let namespace = meta(rollout, "namespace");
    let known = fleet.cache.get(Kind::ConfigMap, &Key::new(namespace, name));
    // Where they cannot be listed, this one may still be read.
    let version = match &known {
        None if fleet.knows(Kind::ConfigMap, namespace) => return Prompts::Missing,
        None => String::new(),
        Some(known) => meta(known, "resourceVersion").to_owned(),
    };
    let version = (name.to_owned(), version);
    if let Some((read, prompts)) = &memory.prompts
        && *read == version
        && !version.1.is_empty()
    {
        return prompts.clone();
    }
    if let (Some(unread), Some((_, prompts @ Prompts::Unreadable(_)))) = (&memory.unread, &memory.prompts)
        && unread.again > Instant::now()
    {
        return prompts.clone();
    }
    let times = memory.unread.map_or(0, |unread| unread.times);
    let pause = UNREAD[0].saturating_mul(1 << times.min(16)).min(UNREAD[1]);
    // The pass waits for it, so it waits longer only where that is seldom.
    let read = fleet.context().cluster.get(Kind::ConfigMap, namespace, name);
    let prompts = match timeout(pause.min(CALL), read).await.unwrap_or(Err(CallError::Timeout)) {
        Ok(None) => {
            memory.unread = None;
            return Prompts::Missing;
        }
        Ok(Some(config_map)) => {
            memory.unread = None;
            let part = |key: &str| config_map.get(key).cloned().unwrap_or(Value::Null);
            let version = (name.to_owned(), meta(&config_map, "resourceVersion").to_owned());
            let prompts = Prompts::Found(part("data"), part("binaryData"));
            memory.prompts = Some((version, prompts.clone()));
            return prompts;
        }
        Err(error) => {
            fleet.context().metrics.error(error.category());
            Prompts::Unreadable(error.to_string())
        }
    };
    memory.unread = Some(Unread { again: Instant::now() + pause, times: times.saturating_add(1) });
    memory.prompts = Some(((String::new(), String::new()), prompts.clone()));
    prompts
}
