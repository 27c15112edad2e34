//! The HTTPRoute: its register, its backends, and what the gateways say of it.

use std::collections::BTreeMap;

use microapp_api::{labels, names};
use serde_json::Value;

use super::json::{is_owned_by, list, number, text, version};
use crate::{
    build,
    register::Register,
    revision::Revision,
    world::{Acceptance, Backend, Object, Route, RouteFact},
};

/// A parentRef with every default filled in, so that two spellings of one parent are equal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Parent {
    group: String,
    kind: String,
    namespace: String,
    name: String,
    section: Option<String>,
    port: Option<i64>,
}

/// The parents of a route in `namespace`, in a fixed order.
pub(crate) fn parents(refs: &[Value], namespace: &str) -> Vec<Parent> {
    let mut parents: Vec<_> = refs.iter().map(|parent| Parent::read(parent, namespace)).collect();
    parents.sort();
    parents
}

impl Parent {
    fn read(parent: &Value, namespace: &str) -> Self {
        let group = text(parent, "/group").unwrap_or("gateway.networking.k8s.io");
        Self {
            // The core group has two spellings.
            group: if group == "core" { String::new() } else { group.to_owned() },
            kind: text(parent, "/kind").unwrap_or("Gateway").to_owned(),
            namespace: text(parent, "/namespace").unwrap_or(namespace).to_owned(),
            name: text(parent, "/name").unwrap_or_default().to_owned(),
            section: text(parent, "/sectionName").map(str::to_owned),
            port: number(parent, "/port"),
        }
    }
}

pub(super) fn read(route: Option<&Value>, rollout: &Value, object: &Object) -> RouteFact {
    let Some(route) = route else { return RouteFact::Missing };
    if !is_owned_by(route, &object.uid) {
        return RouteFact::Foreign(super::foreign("HTTPRoute", route, &object.name));
    }
    let annotations: BTreeMap<String, String> = route
        .pointer("/metadata/annotations")
        .and_then(Value::as_object)
        .map(|all| all.iter().filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect())
        .unwrap_or_default();
    let unreadable = |message: String| RouteFact::Unreadable { version: version(route), message };
    match Register::read(&annotations) {
        Err(message) => unreadable(message),
        Ok(None) => unreadable("the annotations of the route are gone".to_owned()),
        Ok(Some(register)) => RouteFact::Present(Box::new(Route {
            version: version(route),
            register,
            backends: list(route, "/spec/rules/0/backendRefs").iter().map(|one| backend(one, &object.name)).collect(),
            current: is_current(route, rollout, &object.namespace),
            acceptance: acceptance(route, &object.namespace),
            stranger: stranger(route),
        })),
    }
}

fn backend(reference: &Value, rollout: &str) -> Backend {
    let service = text(reference, "/kind").unwrap_or("Service") == "Service"
        && text(reference, "/group").unwrap_or_default().is_empty();
    let revision = text(reference, "/name").and_then(|name| names::revision_in(rollout, name));
    Backend { revision: revision.filter(|_| service).and_then(Revision::parse), weight: number(reference, "/weight") }
}

/// Do hostnames, parents, time limit and the one rule say what we would write?
fn is_current(route: &Value, rollout: &Value, namespace: &str) -> bool {
    let Some(gateway) = rollout.pointer("/spec/traffic/gateway").filter(|gateway| gateway.is_object()) else {
        return true; // nothing is known to be wanted
    };
    let spec = route.get("spec").unwrap_or(&Value::Null);
    let [rule] = list(spec, "/rules") else { return false };
    let limit = build::request_timeout(gateway);
    let stands = text(rule, "/timeouts/request");
    // An earlier version wrote "no limit" where the spec gives none; what was accepted stays.
    let timed = stands == limit || limit.is_none() && stands == Some("0s");
    list(spec, "/hostnames") == list(gateway, "/hostnames")
        && parents(list(spec, "/parentRefs"), namespace) == parents(list(gateway, "/parentRefs"), namespace)
        && timed
        && list(rule, "/filters").is_empty()
        && list(rule, "/matches").iter().all(is_everything)
}

/// A match that matches every request.
fn is_everything(rule: &Value) -> bool {
    let path = text(rule, "/path/value").unwrap_or("/") == "/"
        && text(rule, "/path/type").unwrap_or("PathPrefix") == "PathPrefix";
    path && list(rule, "/headers").is_empty()
        && list(rule, "/queryParams").is_empty()
        && text(rule, "/method").is_none()
}

/// Every parent of the spec must accept this generation. A gateway that writes no observedGeneration says nothing of
/// it, which is not "wait for ever"; entries of parents that the spec does not name any more say nothing at all. Where
/// several controllers have spoken for one parent the last one has the word: nobody removes what a controller wrote that
/// the Gateway's class does not name any more.
fn acceptance(route: &Value, namespace: &str) -> Acceptance {
    let generation = number(route, "/metadata/generation").unwrap_or_default();
    let said: Vec<_> = list(route, "/status/parents")
        .iter()
        .filter_map(|entry| Some((Parent::read(entry.get("parentRef")?, namespace), entry)))
        .collect();
    for parent in parents(list(route, "/spec/parentRefs"), namespace) {
        let entries = said.iter().filter(|(named, _)| *named == parent).map(|(_, entry)| entry);
        let Some(entry) = entries.max_by_key(|entry| spoken(entry, generation)) else { return Acceptance::Pending };
        match answer(entry, generation) {
            Acceptance::Accepted => {}
            other @ (Acceptance::Pending | Acceptance::Refused(_)) => return other,
        }
    }
    Acceptance::Accepted
}

/// How new an entry is: does it speak of this generation, of which does it, and when did it last change its mind? A
/// refusal comes before an acceptance where all of that is the same.
fn spoken(entry: &Value, generation: i64) -> (bool, i64, &str, bool) {
    let conditions = list(entry, "/conditions");
    let seen = conditions.iter().filter_map(observed).min();
    let changed = conditions.iter().filter_map(|condition| text(condition, "/lastTransitionTime")).max();
    let current = seen.is_none_or(|seen| seen >= generation);
    let refuses = !matches!(answer(entry, generation), Acceptance::Accepted);
    (current, seen.unwrap_or(generation), changed.unwrap_or_default(), refuses)
}

/// The generation that a condition speaks of. 0 is what some write who know none: no object has it.
fn observed(condition: &Value) -> Option<i64> {
    number(condition, "/observedGeneration").filter(|seen| *seen > 0)
}

/// The answer of one controller for one parent.
fn answer(entry: &Value, generation: i64) -> Acceptance {
    let condition =
        |kind: &str| list(entry, "/conditions").iter().find(|condition| text(condition, "/type") == Some(kind));
    let is_old = |condition: &Value| observed(condition).is_some_and(|seen| seen < generation);
    let refused = |kind: &str, condition: &Value| {
        let gateway = text(entry, "/parentRef/name").unwrap_or_default();
        let reason = text(condition, "/reason").unwrap_or("no reason");
        Acceptance::Refused(format!("{gateway} says {kind}: {reason}"))
    };
    for (kind, wanted) in [("Accepted", "True"), ("ResolvedRefs", "True"), ("PartiallyInvalid", "False")] {
        match condition(kind) {
            None if kind == "Accepted" => return Acceptance::Pending,
            Some(condition) if is_old(condition) => return Acceptance::Pending,
            Some(condition) if text(condition, "/status") != Some(wanted) => return refused(kind, condition),
            // What a gateway does not say it does not object to.
            Some(_) | None => {}
        }
    }
    Acceptance::Accepted
}

/// The manager beside us that wrote last, unless it wrote status alone.
fn stranger(route: &Value) -> Option<String> {
    list(route, "/metadata/managedFields")
        .iter()
        .filter(|entry| text(entry, "/subresource").is_none() && text(entry, "/manager") != Some(labels::MANAGER))
        .max_by_key(|entry| text(entry, "/time").unwrap_or_default())
        .and_then(|entry| text(entry, "/manager"))
        .map(str::to_owned)
}
