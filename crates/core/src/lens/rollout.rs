//! The rollout itself: what is wanted, what was commanded, what status says.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use microapp_api::{
    conditions::Reason,
    labels::command,
    limits::{SENTENCE, TOKEN},
    text::clean,
    v1alpha1::{
        GateStatus, HistoryEntry, ImagePolicy, MicroAppRolloutSpec, MicroAppRolloutStatus, Model, PinnedPlan,
        RejectedRevision,
    },
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    Prompts, images,
    json::{annotation, is_deleting, list, name, text, time},
    parents,
};
use crate::{
    revision::{Revision, prompts_digest},
    strategy::{Strategy, millis},
    world::{Command, Desired, Raw, Spec, Verb},
};

/// The ConfigMap that the spec names, whatever else is wrong with it.
pub fn prompts_name(rollout: &Value) -> Option<&str> {
    text(rollout, "/spec/prompts/configMapRef/name")
}

/// What the spec asks for. The revision is of the stored JSON, never of typed structs.
pub fn desired(rollout: &Value, prompts: &Prompts, prices: &str) -> Desired {
    let invalid = |message: String| Desired::Unusable { reason: Reason::InvalidSpec, message };
    let raw = rollout.get("spec").unwrap_or(&Value::Null);
    let left_out = list(rollout, "/microapp.dev~1left-out").iter().filter_map(Value::as_str);
    if let Some(field) = left_out.into_iter().find(|field| field.starts_with("spec")) {
        return invalid(format!(
            "{}: it is nested deeper than anything that Kubernetes takes; mend it",
            clean(field, 200)
        ));
    }
    let spec = match MicroAppRolloutSpec::deserialize(raw) {
        Ok(spec) => spec,
        Err(error) => return invalid(format!("the spec cannot be read: {error}")),
    };
    let (digest, data) = match (prompts_name(rollout), prompts) {
        (None, _) | (Some(_), Prompts::Unnamed) => (String::new(), None),
        (Some(name), Prompts::Missing) => {
            let namespace = text(rollout, "/metadata/namespace").unwrap_or_default();
            let message = format!(
                "ConfigMap {name} does not exist in namespace {namespace}; create it or change spec.prompts.configMapRef.name"
            );
            return Desired::Unusable { reason: Reason::PromptsMissing, message };
        }
        (Some(name), Prompts::Unreadable(why)) => {
            let message = format!("ConfigMap {name} cannot be read: {why}");
            return Desired::Unusable { reason: Reason::PromptsMissing, message };
        }
        (Some(_), Prompts::Found(data, binary)) => (prompts_digest(data, binary), Some((data.clone(), binary.clone()))),
    };
    let Some(port) = u16::try_from(spec.traffic.port).ok().filter(|port| *port > 0) else {
        return invalid(format!("traffic.port: {} is no port; write 1 to 65535", spec.traffic.port));
    };
    let template = spec.template.raw();
    let images = images(template);
    if list(template, "/spec/containers").is_empty() {
        return invalid("template.spec.containers: at least one container is needed".to_owned());
    }
    let strategy = match Strategy::resolve(&spec, prices) {
        Ok(strategy) => strategy,
        Err(sentence) => return invalid(sentence.to_string()),
    };
    let ready_millis = match millis(&spec.strategy.ready_deadline, "strategy.readyDeadline") {
        Ok(millis) => millis,
        Err(sentence) => return invalid(sentence.to_string()),
    };
    let part = |pointer: &str| raw.pointer(pointer).cloned().unwrap_or(Value::Null);
    let model = part("/model");
    Desired::Usable(Box::new(Spec {
        revision: Revision::of(template, &model, i64::from(port), &digest),
        replicas: spec.replicas,
        port,
        strategy,
        images,
        ready_millis,
        allow_tag: match spec.image_policy {
            ImagePolicy::Digest => false,
            ImagePolicy::AllowTag => true,
        },
        prompts: spec.prompts.as_ref().map(|prompts| prompts.config_map_ref.name.clone()),
        raw: Arc::new(Raw {
            written: Some(Revision::as_written(template, &model, i64::from(port), &digest)),
            template: template.clone(),
            model,
            gateway: part("/traffic/gateway"),
            port,
            prompts_from: spec.prompts.as_ref().map(|prompts| prompts.config_map_ref.name.clone()),
            mount_path: spec.prompts.as_ref().map(|prompts| prompts.mount_path.clone()),
            prompts: data,
        }),
    }))
}

/// `provider/name@version` of a stored model; empty where it does not read.
pub(super) fn model(stored: &Value) -> String {
    Model::deserialize(stored).map(|model| model.display()).unwrap_or_default()
}

/// Status as it stands; one that does not read is as good as none, since all of it is a copy.
pub(super) fn status(rollout: &Value) -> MicroAppRolloutStatus {
    let Some(status) = rollout.get("status") else { return MicroAppRolloutStatus::default() };
    MicroAppRolloutStatus::deserialize(status).unwrap_or_else(|_| understood(status.clone()))
}

/// What can be read of a later version's status: a word that is not known here costs its entry, not the running attempt.
fn understood(mut status: Value) -> MicroAppRolloutStatus {
    fn keep<T: DeserializeOwned>(list: Option<&mut Value>) {
        if let Some(entries) = list.and_then(Value::as_array_mut) {
            entries.retain(|entry| T::deserialize(entry).is_ok());
        }
    }
    keep::<GateStatus>(status.get_mut("gates"));
    keep::<RejectedRevision>(status.get_mut("rejected"));
    keep::<HistoryEntry>(status.get_mut("history"));
    keep::<Condition>(status.get_mut("conditions"));
    if let Some(canary) = status.get_mut("canary").and_then(Value::as_object_mut)
        && canary.get("plan").is_some_and(|plan| PinnedPlan::deserialize(plan).is_err())
    {
        canary.remove("plan");
    }
    MicroAppRolloutStatus::deserialize(status).unwrap_or_default()
}

/// `"<token> <reason>"` per verb.
pub(super) fn commands(rollout: &Value) -> BTreeMap<Verb, Command> {
    [
        (Verb::Abort, command::ABORT),
        (Verb::Promote, command::PROMOTE),
        (Verb::Pause, command::PAUSE),
        (Verb::Resume, command::RESUME),
        (Verb::Retry, command::RETRY),
    ]
    .into_iter()
    .filter_map(|(verb, key)| {
        let text = annotation(rollout, key)?.trim();
        let (token, reason) = text.split_once(' ').unwrap_or((text, ""));
        let command = Command { token: bounded(token), reason: clean(reason.trim(), SENTENCE) };
        (!token.is_empty()).then_some((verb, command))
    })
    .collect()
}

/// A token as the register keeps it: one that is longer than there is room for in the latch is known by its beginning,
/// which has its target, and a digest of all of it.
fn bounded(token: &str) -> String {
    if token.len() <= TOKEN && clean(token, TOKEN) == token {
        return token.to_owned();
    }
    let digest = prompts_digest(&Value::String(token.to_owned()), &Value::Null);
    let digest: String = digest.chars().rev().take(16).collect();
    format!("{}~{digest}", clean(token, TOKEN - 20))
}

/// The oldest other rollout with the same gateway and host; path is always `/`. Only a younger one has a conflict.
pub(super) fn conflict(rollout: &Value, others: &[Arc<Value>]) -> Option<String> {
    let age = |one: &Value| (time(one, "/metadata/creationTimestamp"), name(one).to_owned());
    let (ours, mine) = (claims(rollout), age(rollout));
    others
        .iter()
        .filter(|other| !is_deleting(other) && age(other) < mine && !ours.is_disjoint(&claims(other)))
        .map(|other| age(other))
        .min()
        .map(|(_, name)| name)
}

/// What a rollout claims: each of its parents with each of its hosts.
fn claims(rollout: &Value) -> BTreeSet<(String, String)> {
    let namespace = text(rollout, "/metadata/namespace").unwrap_or_default();
    let parents = parents(list(rollout, "/spec/traffic/gateway/parentRefs"), namespace);
    let mut hosts: Vec<_> = list(rollout, "/spec/traffic/gateway/hostnames").iter().filter_map(Value::as_str).collect();
    if hosts.is_empty() {
        hosts.push("");
    }
    parents
        .iter()
        .flat_map(|parent| hosts.iter().map(move |host| (format!("{parent:?}"), (*host).to_owned())))
        .collect()
}
