//! Answers of the API server as JSON, whatever somebody put into an object.
//!
//! kube's typed decoder gives up on a whole list where one item does not read, and writes the body into the log. An
//! object of one tenant must not do that to all others: items are read one by one, what is nested too deep is left
//! out of its object, and what does not read at all is named by its metadata and skipped.

use std::{fmt, sync::Arc};

use microapp_api::labels;
use microapp_core::{build::Kind, lens::LEFT_OUT};
use serde::{
    Deserialize,
    de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value, json, value::RawValue};

use crate::cache::Key;

/// Levels of an object that are read. Kubernetes' own types have fewer than thirty; `serde_json` gives up at 128.
const DEPTH: usize = 64;
/// Fields that are named as left out, at most.
const NAMED: usize = 8;

/// What a container is started with: of no interest to anybody here, and as long as its owner likes.
const PASSED_ON: [&str; 5] = ["env", "envFrom", "args", "command", "volumeMounts"];

/// An item that does not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Whose, as far as its metadata reads.
    pub key: Key,
    /// Its version, empty where that does not read.
    pub version: String,
}

/// The object of this text. What is nested deeper than 64 levels is null in it, and named under [`LEFT_OUT`].
pub fn object(text: &str, kind: Kind) -> Result<Arc<Value>, Unreadable> {
    let mut out = Vec::new();
    let mut reader = serde_json::Deserializer::from_str(text);
    let read = Bounded { depth: 0, path: String::new(), out: &mut out }.deserialize(&mut reader);
    let Ok(mut value @ Value::Object(_)) = read else { return Err(named(text)) };
    if !out.is_empty() {
        value[LEFT_OUT] = json!(out);
    }
    Ok(Arc::new(kept(value, kind)))
}

/// A page of a list: its items, its version, and where the next page begins.
pub(crate) struct Page {
    pub items: Vec<Result<Arc<Value>, Unreadable>>,
    pub version: String,
    pub next: Option<String>,
}

/// The page of this text; `None` where it is no list.
pub(crate) fn page(text: &str, kind: Kind) -> Option<Page> {
    #[derive(Deserialize)]
    struct List<'a> {
        #[serde(borrow, default)]
        items: Option<Vec<&'a RawValue>>,
        #[serde(default)]
        metadata: ListMeta,
    }
    #[derive(Default, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct ListMeta {
        resource_version: String,
        #[serde(rename = "continue")]
        next: Option<String>,
    }
    let List { items, metadata } = serde_json::from_str(text).ok()?;
    Some(Page {
        items: items.unwrap_or_default().into_iter().map(|item| object(item.get(), kind)).collect(),
        version: metadata.resource_version,
        next: metadata.next.filter(|next| !next.is_empty()),
    })
}

/// A line of a watch.
pub(crate) enum Line {
    /// New or changed.
    Applied(Arc<Value>),
    /// Gone.
    Deleted(Arc<Value>),
    /// Nothing but a newer version to go on from.
    Bookmark(String),
    /// An object that does not read.
    Bad(Unreadable),
    /// The watch is over: with 410 what it asked for is not kept any more.
    Error(u16),
    /// No event at all.
    Broken,
}

/// The event of one line.
pub(crate) fn line(text: &str, kind: Kind) -> Line {
    #[derive(Deserialize)]
    struct Event<'a> {
        #[serde(rename = "type")]
        what: String,
        #[serde(borrow)]
        object: &'a RawValue,
    }
    let Ok(Event { what, object: text }) = serde_json::from_str(text) else { return Line::Broken };
    let read = |text| object(text, kind);
    match what.as_str() {
        "ADDED" | "MODIFIED" => read(text.get()).map_or_else(Line::Bad, Line::Applied),
        "DELETED" => read(text.get()).map_or_else(Line::Bad, Line::Deleted),
        "BOOKMARK" => Line::Bookmark(named(text.get()).version),
        "ERROR" => {
            #[derive(Deserialize)]
            struct Status {
                code: u16,
            }
            Line::Error(serde_json::from_str::<Status>(text.get()).map_or(0, |status| status.code))
        }
        _ => Line::Broken,
    }
}

/// Name and version of what does not read, as far as they do.
fn named(text: &str) -> Unreadable {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Named {
        metadata: Meta,
    }
    #[derive(Default, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct Meta {
        namespace: String,
        name: String,
        resource_version: String,
    }
    let Named { metadata } = serde_json::from_str(text).unwrap_or_default();
    Unreadable { key: Key::new(&metadata.namespace, &metadata.name), version: metadata.resource_version }
}

/// What anybody of ours reads of an object; caches keep nothing else. `managedFields` are kept for the route, where they say
/// who else writes it, and of a Deployment, whether somebody wrote its template; without the fields themselves.
fn kept(mut value: Value, kind: Kind) -> Value {
    let Some(object) = value.as_object_mut() else { return value };
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        match metadata.remove("managedFields") {
            Some(Value::Array(managers)) if matches!(kind, Kind::Route | Kind::Deployment) => {
                let managers: Vec<_> = managers.into_iter().map(|entry| manager(entry, kind)).collect();
                metadata.insert("managedFields".to_owned(), Value::Array(managers));
            }
            Some(_) | None => {}
        }
        if let Some(Value::Object(annotations)) = metadata.get_mut("annotations") {
            annotations.retain(|key, _| key.starts_with(labels::PREFIX));
            if annotations.is_empty() {
                metadata.remove("annotations");
            }
        }
    }
    match kind {
        // What is long in a pod is what it was started with.
        Kind::Pod => {
            if let Some(Value::Object(spec)) = object.get_mut("spec") {
                spec.remove("volumes");
                for container in spec.values_mut().filter_map(Value::as_array_mut).flatten() {
                    if let Value::Object(container) = container {
                        container.retain(|key, _| !PASSED_ON.contains(&key.as_str()));
                    }
                }
            }
        }
        Kind::Rollout
        | Kind::Route
        | Kind::Deployment
        | Kind::Service
        | Kind::Record
        // Its content is asked for where it is needed, by a call of its own.
        | Kind::ConfigMap => {}
    }
    value
}

fn manager(mut entry: Value, kind: Kind) -> Value {
    let fields = (kind == Kind::Deployment).then(|| of_template(&entry));
    if let Value::Object(entry) = &mut entry {
        entry.retain(|key, _| matches!(key.as_str(), "manager" | "operation" | "subresource" | "time"));
        if let Some(fields) = fields {
            entry.insert("fieldsV1".to_owned(), fields);
        }
    }
    entry
}

/// Whether an entry has fields of a Deployment's template, and labels of its pods, without naming which.
fn of_template(entry: &Value) -> Value {
    let mut template = json!({});
    if entry.pointer("/fieldsV1/f:spec/f:template/f:spec").is_some() {
        template["f:spec"] = json!({});
    }
    if entry.pointer("/fieldsV1/f:spec/f:template/f:metadata/f:labels").is_some() {
        template["f:metadata"] = json!({"f:labels": {}});
    }
    json!({"f:spec": {"f:template": template}})
}

/// Of a ConfigMap as the cache has it: its metadata.
pub(crate) fn metadata_alone(object: Arc<Value>) -> Arc<Value> {
    let mut object = Arc::unwrap_or_clone(object);
    if let Value::Object(fields) = &mut object {
        fields.retain(|key, _| matches!(key.as_str(), "apiVersion" | "kind" | "metadata") || key == LEFT_OUT);
        if let Some(Value::Object(metadata)) = fields.get_mut("metadata") {
            metadata.retain(|key, _| {
                matches!(
                    key.as_str(),
                    "name"
                        | "namespace"
                        | "uid"
                        | "resourceVersion"
                        | "labels"
                        | "ownerReferences"
                        | "deletionTimestamp"
                )
            });
            if let Some(Value::Object(labels)) = metadata.get_mut("labels") {
                labels.retain(|key, _| is_read(key));
            }
        }
    }
    Arc::new(object)
}

/// A label that anybody of ours reads.
fn is_read(label: &str) -> bool {
    label.starts_with(labels::PREFIX) || label == labels::MANAGED_BY
}

/// Reads a value down to [`DEPTH`]. What is deeper is skipped without recursion.
struct Bounded<'a> {
    depth: usize,
    path: String,
    out: &'a mut Vec<String>,
}

impl<'de> DeserializeSeed<'de> for Bounded<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        if self.depth < DEPTH {
            return deserializer.deserialize_any(self);
        }
        IgnoredAny::deserialize(deserializer)?;
        if self.out.len() < NAMED && !self.out.contains(&self.path) {
            self.out.push(self.path);
        }
        Ok(Value::Null)
    }
}

impl<'de> Visitor<'de> for Bounded<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        // A list has the path of its field: how deep it goes says the sentence.
        while let Some(value) =
            list.next_element_seed(Bounded { depth: self.depth + 1, path: self.path.clone(), out: self.out })?
        {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut values = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let path = if self.path.is_empty() { key.clone() } else { format!("{}.{key}", self.path) };
            let value = map.next_value_seed(Bounded { depth: self.depth + 1, path, out: self.out })?;
            values.insert(key, value);
        }
        Ok(Value::Object(values))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn deep(levels: usize) -> String {
        format!("{}{}", "[".repeat(levels), "]".repeat(levels))
    }

    #[test]
    fn what_is_nested_too_deep_is_left_out_and_named_and_the_rest_is_read() {
        for levels in [63, 100, 200, 100_000] {
            let text =
                format!(r#"{{"metadata":{{"name":"a","namespace":"b"}},"spec":{{"x":{},"y":7}}}}"#, deep(levels));
            let value = object(&text, Kind::Rollout).unwrap();
            assert_eq!(value["spec"]["y"], 7);
            assert_eq!(value.get(LEFT_OUT).cloned(), (levels > 62).then(|| json!(["spec.x"])), "{levels}");
        }
    }

    #[test]
    fn a_list_reads_though_one_item_of_it_does_not() {
        let text = r#"{"kind":"List","metadata":{"resourceVersion":"9","continue":""},"items":[
            {"metadata":{"name":"good","namespace":"n"}}, {"metadata":{"name":"bad","namespace":"n"},"x":1e999}, [7]]}"#;
        let Page { items, version, next } = page(text, Kind::Pod).unwrap();
        assert_eq!((version.as_str(), next, items.len()), ("9", None, 3));
        assert_eq!(items[0].as_ref().unwrap()["metadata"]["name"], "good");
        assert_eq!(items[1].as_ref().unwrap_err().key, Key::new("n", "bad"));
        assert!(items[2].is_err());
    }

    #[test]
    fn times_that_no_library_has_are_texts_and_foreign_annotations_are_not_kept() {
        let text = r#"{"metadata":{"name":"a","managedFields":[{"manager":"m","time":"9999-12-31T23:59:59Z",
            "fieldsV1":{"f:x":{}}}],"annotations":{"microapp.dev/abort":"1","other":"long"}}}"#;
        assert_eq!(
            *object(text, Kind::ConfigMap).unwrap(),
            json!({"metadata": {"name": "a",
            "annotations": {"microapp.dev/abort": "1"}}})
        );
        let route = object(text, Kind::Route).unwrap();
        assert_eq!(route["metadata"]["managedFields"], json!([{"manager": "m", "time": "9999-12-31T23:59:59Z"}]));
    }

    #[test]
    fn an_event_of_an_object_that_does_not_read_has_its_version() {
        let text = r#"{"type":"MODIFIED","object":{"metadata":{"name":"a","resourceVersion":"7"},"x":1e999}}"#;
        assert!(matches!(line(text, Kind::Pod), Line::Bad(bad) if bad.version == "7"));
        assert!(matches!(line(r#"{"type":"ERROR","object":{"code":410}}"#, Kind::Pod), Line::Error(410)));
        assert!(matches!(line("<html>", Kind::Pod), Line::Broken));
        let bookmark = r#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"8","creationTimestamp":null}}}"#;
        assert!(matches!(line(bookmark, Kind::Pod), Line::Bookmark(version) if version == "8"));
    }
}
