//! Observe: reads alone. The cache has everything but the prompts' content, which is read when its version changed.

use std::sync::Arc;

use microapp_api::names;
use microapp_core::{
    build::Kind,
    lens::{self, Objects, Prompts},
};
use serde_json::Value;
use tokio::time::Instant;

use crate::{
    cache::{Key, meta},
    error::CallError,
    evidence::Memory,
    fleet::Fleet,
};

/// The objects of a rollout; `None` where it is gone.
pub(crate) async fn observe(fleet: &Fleet, key: &Key, memory: &mut Memory) -> Result<Option<Objects>, CallError> {
    let cache = &fleet.cache;
    let Some(rollout) = cache.get(Kind::Rollout, key) else { return Ok(None) };
    for (kind, name) in unwatched(key) {
        if cache.stranger(kind, &name).is_some_and(|until| until <= Instant::now()) {
            match fleet.context().cluster.get(kind, &name.namespace, &name.name).await? {
                Some(object) => cache.put(kind, &object),
                None => cache.forget(kind, &name),
            }
        }
    }
    let others = cache.rollouts(&key.namespace).into_iter().filter(|other| meta(other, "name") != key.name).collect();
    Ok(Some(Objects {
        prompts: prompts(fleet, &rollout, memory).await?,
        others,
        deployments: cache.children(Kind::Deployment, key),
        services: cache.children(Kind::Service, key),
        records: cache.children(Kind::Record, key),
        pods: cache.children(Kind::Pod, key),
        config_maps: cache.children(Kind::ConfigMap, key),
        route: cache.get(Kind::Route, &Key::new(&key.namespace, &names::route(&key.name))),
        apex: cache.get(Kind::Service, &Key::new(&key.namespace, &names::apex(&key.name))),
        rollout,
    }))
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
async fn prompts(fleet: &Fleet, rollout: &Arc<Value>, memory: &mut Memory) -> Result<Prompts, CallError> {
    let Some(name) = lens::prompts_name(rollout) else { return Ok(Prompts::Unnamed) };
    let namespace = meta(rollout, "namespace");
    let Some(known) = fleet.cache.get(Kind::ConfigMap, &Key::new(namespace, name)) else {
        return Ok(Prompts::Missing);
    };
    let version = (name.to_owned(), meta(&known, "resourceVersion").to_owned());
    if let Some((read, prompts)) = &memory.prompts
        && *read == version
    {
        return Ok(prompts.clone());
    }
    let Some(config_map) = fleet.context().cluster.get(Kind::ConfigMap, namespace, name).await? else {
        return Ok(Prompts::Missing);
    };
    let part = |key: &str| config_map.get(key).cloned().unwrap_or(Value::Null);
    let prompts = Prompts::Found(part("data"), part("binaryData"));
    let version = (name.to_owned(), meta(&config_map, "resourceVersion").to_owned());
    memory.prompts = Some((version, prompts.clone()));
    Ok(prompts)
}
