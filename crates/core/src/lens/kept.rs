//! Is a Deployment's template still what the record of its revision says?
//!
//! What the user wrote is looked for in what is stored, where the API server added defaults and the builder its own: so
//! neither an upgrade of the operator nor one of the cluster reads as a change. What somebody added by hand shows in who
//! wrote the object last.

use std::collections::BTreeMap;

use microapp_api::labels;
use serde_json::Value;

use super::{
    PINNED, images,
    json::{annotation, label, list, number, text},
};
use crate::{canonical::quantity, world::Record};

/// The label that a repaired Deployment has: the generation that was repaired. What the API server changes back at once
/// is repaired once, and no more.
pub(crate) const REPAIRED: &str = "microapp.dev/repaired";

/// The generation of a Deployment whose template is not the recorded one any more.
pub(super) fn changed(deployment: &Value, record: &Record, snapshot: &str) -> Option<i64> {
    let template = deployment.pointer("/spec/template")?;
    let generation = number(deployment, "/metadata/generation").unwrap_or_default();
    if label(deployment, REPAIRED).and_then(|repaired| repaired.parse().ok()) == Some(generation) {
        return None;
    }
    let wanted = &record.raw.template;
    let same = annotation(template, PINNED).is_some()
        && bytes(template, &record.images)
        && Kept { from: record.raw.prompts_from.as_deref(), snapshot }.within(wanted, template, "");
    (!same || written_by_others(deployment)).then_some(generation)
}

/// Do the containers run the recorded images?
fn bytes(template: &Value, recorded: &BTreeMap<String, String>) -> bool {
    let runs = images(template);
    recorded.iter().all(|(container, image)| runs.get(container) == Some(image))
}

/// Did somebody write into the pods' part of the template after we wrote the object?
fn written_by_others(deployment: &Value) -> bool {
    let entries =
        || list(deployment, "/metadata/managedFields").iter().filter(|entry| text(entry, "/subresource").is_none());
    let is_ours = |entry: &&Value| text(entry, "/manager") == Some(labels::MANAGER);
    let at = |entry: &Value| text(entry, "/time").unwrap_or_default().to_owned();
    let template = |entry: &&Value| {
        let fields = entry.pointer("/fieldsV1/f:spec/f:template");
        fields.is_some_and(|fields| fields.get("f:spec").is_some() || fields.pointer("/f:metadata/f:labels").is_some())
    };
    let ours = entries().filter(is_ours).map(at).max();
    let theirs = entries().filter(|entry| !is_ours(entry)).filter(template).map(at).max();
    // Where none is ours nothing can be told of an order.
    matches!((ours, theirs), (Some(ours), Some(theirs)) if theirs >= ours)
}

/// What the builder replaces in a template: the name of the prompts' ConfigMap.
struct Kept<'a> {
    from: Option<&'a str>,
    snapshot: &'a str,
}

impl Kept<'_> {
    /// Is everything that `wanted` says in `stored`, too?
    fn within(&self, wanted: &Value, stored: &Value, key: &str) -> bool {
        match (wanted, stored) {
            (Value::Object(wanted), _) => wanted.iter().all(|(key, value)| {
                let found = stored.get(key.as_str()).unwrap_or(&Value::Null);
                is_ours(key) || is_nothing(value) && is_nothing(found) || self.within(value, found, key)
            }),
            (Value::Array(wanted), Value::Array(stored)) => self.all_within(wanted, stored),
            (Value::String(wanted), Value::String(stored)) if self.from == Some(wanted) && stored == self.snapshot => {
                true
            }
            // The images of containers are those of the record, and looked at apart.
            (Value::String(_), Value::String(_)) if key == "image" => true,
            (Value::Null, _) => true,
            (wanted, stored) => wanted == stored || is_same_quantity(wanted, stored),
        }
    }

    /// Lists of named things may have more of them, and the last of one name counts; others are the same in order.
    fn all_within(&self, wanted: &[Value], stored: &[Value]) -> bool {
        let name = |value: &Value| value.get("name").and_then(Value::as_str).map(str::to_owned);
        if wanted.iter().all(|value| name(value).is_some()) {
            return wanted.iter().enumerate().all(|(index, value)| {
                let overridden = wanted[index + 1..].iter().any(|later| name(later) == name(value));
                let appended = name(value).as_deref() == Some(labels::env::OTEL_RESOURCE_ATTRIBUTES);
                let mut same = stored.iter().filter(|found| name(found) == name(value));
                overridden || appended || same.any(|found| self.within(value, found, ""))
            });
        }
        wanted.len() <= stored.len()
            && wanted.iter().all(|value| stored.iter().any(|found| self.within(value, found, "")))
    }
}

/// Labels and variables that the builder writes itself.
fn is_ours(key: &str) -> bool {
    key.starts_with("microapp.dev/") || matches!(key, labels::APP_NAME | labels::MANAGED_BY | "creationTimestamp")
}

/// What the API server leaves out.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.values().all(is_nothing),
    }
}

fn is_same_quantity(one: &Value, other: &Value) -> bool {
    let number = |value: &Value| match value {
        Value::String(text) => quantity(text),
        Value::Number(number) => quantity(&number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    number(one).is_some() && number(one) == number(other)
}
