//! `metadata.managedFields`: who wrote which field last. Server-side apply needs it, and so does an operator that wants
//! to name who edited its route. Lists are atomic here, as all those of an HTTPRoute are.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::failure::Failure;

/// A path of keys to a leaf.
type Path = Vec<String>;

/// How a manager wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manager<'a> {
    /// `fieldManager`, or the client's name.
    pub name: &'a str,
    /// Whether by server-side apply.
    pub apply: bool,
    /// `status` or empty.
    pub subresource: &'a str,
}

impl Manager<'_> {
    fn operation(&self) -> &'static str {
        if self.apply { "Apply" } else { "Update" }
    }

    fn owns(&self, entry: &Value) -> bool {
        entry["manager"] == self.name
            && entry["operation"] == self.operation()
            && entry["subresource"].as_str().unwrap_or_default() == self.subresource
    }
}

const UNMANAGED: [&str; 10] = [
    "apiVersion",
    "kind",
    "managedFields",
    "resourceVersion",
    "generation",
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "name",
    "namespace",
];

/// All leaves of an object that somebody can own.
fn leaves(value: &Value) -> BTreeSet<Path> {
    fn walk(value: &Value, path: &mut Path, out: &mut BTreeSet<Path>) {
        match value.as_object().filter(|o| !o.is_empty()) {
            None => {
                out.insert(path.clone());
            }
            Some(object) => {
                for (key, inner) in object {
                    let identity = path.is_empty() || path == &["metadata"];
                    if identity && UNMANAGED.contains(&key.as_str())
                        || path.is_empty() && key == "metadata" && !inner.is_object()
                    {
                        continue;
                    }
                    path.push(key.clone());
                    walk(inner, path, out);
                    path.pop();
                }
            }
        }
    }
    let mut out = BTreeSet::new();
    walk(value, &mut vec![], &mut out);
    out.remove(&Path::new());
    out
}

fn at<'a>(value: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(value, |v, key| v.get(key))
}

fn decode(fields: &Value) -> BTreeSet<Path> {
    fn walk(fields: &Value, path: &mut Path, out: &mut BTreeSet<Path>) {
        match fields.as_object().filter(|o| !o.is_empty()) {
            None => {
                out.insert(path.clone());
            }
            Some(object) => {
                for (key, inner) in object {
                    path.push(key.trim_start_matches("f:").to_owned());
                    walk(inner, path, out);
                    path.pop();
                }
            }
        }
    }
    let mut out = BTreeSet::new();
    walk(fields, &mut vec![], &mut out);
    out.remove(&Path::new());
    out
}

fn encode(paths: &BTreeSet<Path>) -> Value {
    let mut root = json!({});
    for path in paths {
        let mut here = &mut root;
        for key in path {
            let Some(object) = here.as_object_mut() else { break };
            here = object.entry(format!("f:{key}")).or_insert_with(|| json!({}));
        }
    }
    root
}

fn entries(object: &Value) -> Vec<Value> {
    object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default()
}

/// Writes the managers of `new`, given what it replaces. `applied` is the body of a server-side apply.
pub fn record(old: &Value, new: &mut Value, applied: Option<&Value>, manager: &Manager<'_>, time: &str) {
    let (before, after) = (leaves(old), leaves(new));
    let mut mine: BTreeSet<Path> = after.iter().filter(|p| at(old, p) != at(new, p)).cloned().collect();
    let changed = mine.clone();
    mine.extend(applied.map(leaves).unwrap_or_default());
    let gone: BTreeSet<Path> = before.difference(&after).cloned().collect();
    let mut list = entries(old);
    for entry in &mut list {
        let own = manager.owns(entry);
        let mut paths = decode(&entry["fieldsV1"]);
        let taken = |p: &Path| changed.iter().any(|c| p.starts_with(c) || c.starts_with(p));
        paths.retain(|p| !gone.contains(p) && (own || !taken(p)));
        if own {
            paths = if manager.apply { mine.clone() } else { paths.union(&mine).cloned().collect() };
            entry["time"] = json!(time);
        }
        entry["fieldsV1"] = encode(&paths);
    }
    if !list.iter().any(|e| manager.owns(e)) && !mine.is_empty() {
        let mut entry = json!({"manager": manager.name, "operation": manager.operation(),
            "apiVersion": new["apiVersion"], "time": time, "fieldsType": "FieldsV1", "fieldsV1": encode(&mine)});
        if !manager.subresource.is_empty() {
            entry["subresource"] = json!(manager.subresource);
        }
        list.push(entry);
    }
    list.retain(|e| e["fieldsV1"].as_object().is_some_and(|f| !f.is_empty()));
    if let Some(metadata) = new["metadata"].as_object_mut() {
        metadata.insert("managedFields".into(), Value::Array(list));
    }
}

/// Server-side apply: merges `patch` over `live`, takes back what this manager applied before and no longer does.
///
/// # Errors
/// 409 where another manager owns a changed field and `force` is off.
pub fn apply(live: &Value, patch: &Value, manager: &Manager<'_>, force: bool) -> Result<Value, Failure> {
    let mut merged = live.clone();
    merge(&mut merged, patch);
    let (mut own, mut others) = (BTreeSet::new(), Vec::new());
    for entry in entries(live) {
        let paths = decode(&entry["fieldsV1"]);
        if manager.owns(&entry) {
            own = paths;
        } else {
            others.push((entry["manager"].as_str().unwrap_or_default().to_owned(), paths));
        }
    }
    let wanted = leaves(patch);
    for path in wanted.iter().filter(|p| at(live, p).is_some() && at(live, p) != at(&merged, p)) {
        let owner = others.iter().find(|(_, paths)| paths.contains(path));
        if let Some((name, _)) = owner.filter(|_| !force) {
            let field = path.join(".");
            return Err(Failure::new(409, format!("Apply failed with 1 conflict: conflict with \"{name}\": .{field}")));
        }
    }
    for path in own.difference(&wanted) {
        if !others.iter().any(|(_, paths)| paths.contains(path)) && !wanted.iter().any(|w| w.starts_with(path)) {
            remove(&mut merged, path);
        }
    }
    Ok(merged)
}

fn remove(value: &mut Value, path: &[String]) {
    let Some((last, parents)) = path.split_last() else { return };
    let parent = parents.iter().try_fold(value, |v, key| v.get_mut(key));
    if let Some(object) = parent.and_then(Value::as_object_mut) {
        object.remove(last);
    }
}

/// Merges objects, replaces everything else.
pub fn merge(target: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Some(object) = target.as_object_mut() else { return };
    for (key, value) in patch {
        merge(object.entry(key.clone()).or_insert(Value::Null), value);
    }
}
