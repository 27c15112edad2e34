//! From a request to what is done with the store.

use std::sync::Arc;

use serde_json::{Value, json};

use super::failure::Failure;
use super::fields::{self, Manager};
use super::kinds::{self, Kind};
use super::log::Request;
use super::select;
use super::server::{ApiServer, Inner};
use super::store::{Deletion, Key, Write, meta};

/// What the client gets.
pub(super) enum Reply {
    Json(u16, Value),
    /// A watch from this resourceVersion on; `None`: with all that there is.
    Watch(Option<u64>),
}

impl Reply {
    pub fn code(&self) -> u16 {
        match self {
            Self::Json(code, _) => *code,
            Self::Watch(_) => 200,
        }
    }
}

/// Does what a request asks for.
pub(super) fn dispatch(server: &ApiServer, request: &Request) -> Result<Reply, Failure> {
    let mut inner = server.lock();
    let before = inner.store.resource_version();
    let reply = route(&mut inner, request);
    let changed = inner.store.resource_version() != before;
    drop(inner);
    if changed {
        server.notify();
    }
    reply
}

fn route(inner: &mut Inner, request: &Request) -> Result<Reply, Failure> {
    let target = &request.target;
    if target.plural.is_empty() {
        let aggregated = request.accept.contains("as=APIGroupDiscoveryList");
        let found = kinds::discovery(&inner.kinds, &request.path, aggregated);
        return found.map(|v| Reply::Json(200, v)).ok_or_else(unserved);
    }
    let served = |k: &&Kind| (&k.group, &k.version, &k.plural) == (&target.group, &target.version, &target.plural);
    let kind = inner.kinds.iter().find(served).cloned().ok_or_else(unserved)?;
    if denied(inner, request.verb, &target.plural) {
        let (plural, group, verb) = (&target.plural, &target.group, request.verb);
        let why = format!("User \"operator\" cannot {verb} resource \"{plural}\" in API group \"{group}\"");
        return Err(Failure::new(403, format!("{plural} \"{}\" is forbidden: {why}", target.name)));
    }
    if target.plural == "selfsubjectaccessreviews" {
        return Ok(Reply::Json(201, review(inner, &request.body)));
    }
    let key = Key {
        group: target.group.clone(),
        plural: target.plural.clone(),
        namespace: target.namespace.clone(),
        name: target.name.clone(),
    };
    match request.verb {
        "watch" => {
            let given = request.query.get("resourceVersion").and_then(|v| v.parse().ok()).filter(|v| *v > 0);
            Ok(Reply::Watch(given))
        }
        "list" => Ok(Reply::Json(200, list(inner, request, &kind))),
        "get" => {
            let live = match inner.stale.get(&key.plural) {
                None => inner.store.objects.get(&key).cloned(),
                Some(at) => {
                    let then = inner.store.list(&key.group, &key.plural, &key.namespace, Some(*at));
                    then.into_iter().find(|o| meta(o, "name") == key.name)
                }
            };
            let object = live.ok_or_else(|| Failure::not_found(&key.plural, &key.name))?;
            Ok(Reply::Json(200, shape(request, &object)))
        }
        "create" => create(inner, request, key),
        "update" => update(inner, request, &key),
        "patch" => patch(inner, request, &key),
        "delete" => delete(inner, request, &key),
        "deletecollection" => {
            for object in selected(inner, request) {
                let name = meta(&object, "name").to_owned();
                let namespace = meta(&object, "namespace").to_owned();
                let key = Key { namespace, name, ..key.clone() };
                inner.store.delete(&key, &Deletion::default(), &write(request, "", None))?;
            }
            Ok(Reply::Json(200, list(inner, request, &kind)))
        }
        _ => Err(Failure::new(405, "the server does not allow this method on the requested resource")),
    }
}

fn unserved() -> Failure {
    Failure::new(404, "the server could not find the requested resource")
}

fn denied(inner: &Inner, verb: &str, plural: &str) -> bool {
    inner.denied.iter().any(|(v, p)| (v == "*" || v == verb) && (p == "*" || p == plural))
}

fn review(inner: &Inner, body: &Value) -> Value {
    let mut review = body.clone();
    let attributes = &body["spec"]["resourceAttributes"];
    let text = |field: &str| attributes[field].as_str().unwrap_or("*");
    review["status"] = json!({"allowed": !denied(inner, text("verb"), text("resource"))});
    review
}

fn manager(request: &Request) -> &str {
    let agent = request.agent.split('/').next().unwrap_or_default();
    request.query.get("fieldManager").map_or(agent, String::as_str)
}

fn write<'a>(request: &'a Request, subresource: &'a str, applied: Option<&'a Value>) -> Write<'a> {
    Write {
        manager: Manager { name: manager(request), apply: applied.is_some(), subresource },
        request: Some(request.number),
        dry_run: request.query.contains_key("dryRun"),
        applied,
    }
}

fn subresource(request: &Request) -> Result<&str, Failure> {
    match request.target.subresource.as_str() {
        known @ ("" | "status") => Ok(known),
        _ => Err(unserved()),
    }
}

fn create(inner: &mut Inner, request: &Request, key: Key) -> Result<Reply, Failure> {
    let body = &request.body;
    if !body.is_object() {
        return Err(Failure::new(400, "the body is no object"));
    }
    let given = meta(body, "namespace");
    if !given.is_empty() && given != key.namespace {
        return Err(Failure::new(400, "the namespace of the provided object does not match the namespace sent"));
    }
    let key = Key { name: meta(body, "name").to_owned(), ..key };
    let created = inner.store.create(key, body.clone(), &write(request, "", None))?;
    Ok(Reply::Json(201, shape(request, &created)))
}

fn update(inner: &mut Inner, request: &Request, key: &Key) -> Result<Reply, Failure> {
    let sub = subresource(request)?;
    if meta(&request.body, "name") != key.name {
        return Err(Failure::new(400, "the name of the object does not match the name on the URL"));
    }
    if meta(&request.body, "resourceVersion").is_empty() && kinds::needs_resource_version(&key.group) {
        return Err(Failure::new(422, "metadata.resourceVersion: Invalid value: 0: must be specified for an update"));
    }
    let updated = inner.store.update(key, request.body.clone(), &write(request, sub, None))?;
    Ok(Reply::Json(200, shape(request, &updated)))
}

fn patch(inner: &mut Inner, request: &Request, key: &Key) -> Result<Reply, Failure> {
    let sub = subresource(request)?;
    let applying = request.content_type.starts_with("application/apply-patch");
    let Some(live) = inner.store.objects.get(key).cloned() else {
        if !applying || !sub.is_empty() {
            return Err(Failure::not_found(&key.plural, &key.name));
        }
        let created =
            inner.store.create(key.clone(), request.body.clone(), &write(request, "", Some(&request.body)))?;
        return Ok(Reply::Json(201, shape(request, &created)));
    };
    let mut candidate = (*live).clone();
    match request.content_type.as_str() {
        "application/json-patch+json" => {
            let patch: json_patch::Patch =
                serde_json::from_value(request.body.clone()).map_err(|e| Failure::new(400, e.to_string()))?;
            json_patch::patch(&mut candidate, &patch).map_err(|_| Failure::bad_patch())?;
        }
        // Strategic merging of lists is not modelled: they are replaced.
        "application/merge-patch+json" | "application/strategic-merge-patch+json" => {
            json_patch::merge(&mut candidate, &request.body);
        }
        _ if applying => {
            let force = request.query.get("force").is_some_and(|f| f == "true");
            let who = Manager { name: manager(request), apply: true, subresource: sub };
            candidate = fields::apply(&live, &request.body, &who, force)?;
        }
        _ => return Err(Failure::new(415, "the body of the request was in an unknown format")),
    }
    let applied = applying.then_some(&request.body);
    let updated = inner.store.update(key, candidate, &write(request, sub, applied))?;
    Ok(Reply::Json(200, shape(request, &updated)))
}

fn delete(inner: &mut Inner, request: &Request, key: &Key) -> Result<Reply, Failure> {
    let text = |at: &str, field: &str| request.body[at][field].as_str().map(str::to_owned);
    let policy = request.body["propagationPolicy"].as_str();
    let policy = policy.or(request.query.get("propagationPolicy").map(String::as_str));
    let options = Deletion {
        uid: text("preconditions", "uid"),
        resource_version: text("preconditions", "resourceVersion"),
        orphan: policy == Some("Orphan"),
    };
    let object = inner.store.delete(key, &options, &write(request, "", None))?;
    if inner.store.objects.contains_key(key) {
        return Ok(Reply::Json(200, shape(request, &object)));
    }
    let details = json!({"name": key.name, "group": key.group, "kind": key.plural, "uid": object["metadata"]["uid"]});
    Ok(Reply::Json(
        200,
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
        "details": details}),
    ))
}

fn selected(inner: &Inner, request: &Request) -> Vec<Arc<Value>> {
    let target = &request.target;
    let at = inner.stale.get(&target.plural).copied();
    let mut objects = inner.store.list(&target.group, &target.plural, &target.namespace, at);
    let text = |name: &str| request.query.get(name).map_or("", String::as_str);
    objects.retain(|o| select::matches(o, text("labelSelector"), text("fieldSelector")));
    objects
}

fn list(inner: &Inner, request: &Request, kind: &Kind) -> Value {
    let at = inner.stale.get(&request.target.plural).copied();
    let version = at.unwrap_or_else(|| inner.store.resource_version()).to_string();
    let items: Vec<Value> = selected(inner, request).iter().map(|o| shape(request, o)).collect();
    let (api_version, kind) = if is_partial(request) {
        ("meta.k8s.io/v1".to_owned(), "PartialObjectMetadataList".to_owned())
    } else {
        (request.target.api_version(), format!("{}List", kind.kind))
    };
    json!({"apiVersion": api_version, "kind": kind, "metadata": {"resourceVersion": version}, "items": items})
}

fn is_partial(request: &Request) -> bool {
    request.accept.contains("as=PartialObjectMetadata")
}

/// The object as the client asked for it: whole, or its metadata alone.
pub(super) fn shape(request: &Request, object: &Value) -> Value {
    if is_partial(request) {
        json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": object["metadata"]})
    } else {
        object.clone()
    }
}
