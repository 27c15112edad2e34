//! The objects, and every version that they ever had.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::failure::Failure;
use super::fields::{self, Manager};
use super::{defaults, kinds, schema};
use crate::clock;

/// Identity of an object. The version is left out: one storage, whatever version it is asked in.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// API group, empty for core.
    pub group: String,
    /// Plural, as in URLs.
    pub plural: String,
    /// Namespace, empty for cluster-wide kinds.
    pub namespace: String,
    /// Name.
    pub name: String,
}

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was created.
    Added,
    /// It was changed.
    Modified,
    /// It is gone.
    Deleted,
}

/// One version of one object; the history is the sequence of these in order of commit.
#[derive(Clone, Debug)]
pub struct Version {
    /// Also the number of this commit in the whole store.
    pub resource_version: u64,
    /// When it was committed.
    pub time: Timestamp,
    /// What happened.
    pub change: Change,
    /// To which object.
    pub key: Key,
    /// The object as it became; of a deletion, as it last was.
    pub object: Arc<Value>,
    /// The version before, if there was one.
    pub previous: Option<Arc<Value>>,
    /// Who wrote: a field manager, or a simulated controller's name.
    pub actor: String,
    /// Number of the API request; `None` for writes of the test and of simulated controllers.
    pub request: Option<usize>,
}

/// Circumstances of a write.
#[derive(Clone, Debug)]
pub struct Write<'a> {
    /// Who, and how.
    pub manager: Manager<'a>,
    /// Number of the API request.
    pub request: Option<usize>,
    /// Answer, but keep nothing.
    pub dry_run: bool,
    /// Body of a server-side apply.
    pub applied: Option<&'a Value>,
}

/// What an admission hook may do: change the candidate or refuse it. The second argument is the live object.
pub type Admission = Arc<dyn Fn(&mut Value, Option<&Value>) -> Result<(), Failure> + Send + Sync>;

/// Options of a deletion.
#[derive(Clone, Debug, Default)]
pub struct Deletion {
    /// Refuse unless it is this object.
    pub uid: Option<String>,
    /// Refuse unless it is this version.
    pub resource_version: Option<String>,
    /// Leave the children, without their owner.
    pub orphan: bool,
}

/// Objects and history.
#[derive(Default)]
pub struct Store {
    /// The present.
    pub objects: BTreeMap<Key, Arc<Value>>,
    /// The past, in order.
    pub history: Vec<Version>,
    /// Hooks, by plural.
    pub admission: Vec<(String, Admission)>,
    /// Namespaces in which nothing can be created any more.
    pub terminating: BTreeSet<String>,
    /// Schemas of custom resources, by group and plural.
    pub schemas: BTreeMap<(String, String), Value>,
    names: u64,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("objects", &self.objects.keys()).finish_non_exhaustive()
    }
}

/// A string field of `metadata`.
pub fn meta<'a>(object: &'a Value, field: &str) -> &'a str {
    object["metadata"][field].as_str().unwrap_or_default()
}

impl Store {
    /// The last commit.
    pub fn resource_version(&self) -> u64 {
        // Starts above zero: a resourceVersion of 0 has a meaning of its own.
        100 + self.history.len() as u64
    }

    /// Objects of a kind, of one namespace or (empty) of all, as they were at a resourceVersion.
    pub fn list(&self, group: &str, plural: &str, namespace: &str, at: Option<u64>) -> Vec<Arc<Value>> {
        let wanted = |key: &Key| {
            key.group == group && key.plural == plural && (namespace.is_empty() || key.namespace == namespace)
        };
        let Some(at) = at else {
            return self.objects.iter().filter(|(k, _)| wanted(k)).map(|(_, o)| Arc::clone(o)).collect();
        };
        let mut then = BTreeMap::new();
        for version in self.history.iter().take_while(|v| v.resource_version <= at).filter(|v| wanted(&v.key)) {
            if version.change == Change::Deleted {
                then.remove(&version.key);
            } else {
                then.insert(&version.key, Arc::clone(&version.object));
            }
        }
        then.into_values().collect()
    }

    /// Creates an object.
    ///
    /// # Errors
    /// 409 AlreadyExists, 403 in a terminating namespace, what a hook refuses with.
    pub fn create(&mut self, mut key: Key, mut object: Value, write: &Write<'_>) -> Result<Arc<Value>, Failure> {
        if self.terminating.contains(&key.namespace) {
            let why = format!("because it is being terminated: namespace {}", key.namespace);
            return Err(Failure::new(403, format!("unable to create new content {why}")));
        }
        if key.name.is_empty() {
            let prefix = meta(&object, "generateName").to_owned();
            if prefix.is_empty() {
                return Err(Failure::new(422, "metadata.name: Required value: name or generateName is required"));
            }
            key.name = format!("{prefix}{}", self.suffix());
        }
        if self.objects.contains_key(&key) {
            return Err(Failure::already_exists(&key.plural, &key.name));
        }
        self.admit(&key.plural, &mut object, None)?;
        if write.request.is_some() {
            // A status can only be written through its subresource.
            object.as_object_mut().map(|o| o.remove("status"));
        }
        self.complete(&key, &mut object);
        let Some(metadata) = object["metadata"].as_object_mut() else {
            return Err(Failure::new(400, "metadata is missing"));
        };
        metadata.insert("name".into(), json!(key.name));
        if !key.namespace.is_empty() {
            metadata.insert("namespace".into(), json!(key.namespace));
        }
        let serial = self.history.len() as u64 + self.names;
        metadata.insert("uid".into(), json!(format!("00000000-0000-4000-8000-{serial:012x}")));
        metadata.insert("creationTimestamp".into(), json!(clock::rfc3339(clock::now())));
        metadata.remove("managedFields");
        metadata.remove("deletionTimestamp");
        if kinds::has_generation(&key.plural) {
            metadata.insert("generation".into(), json!(1));
        }
        let time = clock::rfc3339(clock::now());
        let empty = json!({});
        fields::record(&empty, &mut object, write.applied, &write.manager, &time);
        if write.dry_run {
            return Ok(Arc::new(object));
        }
        let stored = self.commit(Change::Added, key, object, write);
        self.collect(write);
        Ok(stored)
    }

    /// Replaces an object, or its status, by a candidate that was made from the live one.
    ///
    /// # Errors
    /// 404, 409 for a stale version or another uid, 422 for what is immutable, what a hook refuses with.
    pub fn update(&mut self, key: &Key, mut candidate: Value, write: &Write<'_>) -> Result<Arc<Value>, Failure> {
        let Some(live) = self.objects.get(key).cloned() else {
            return Err(Failure::not_found(&key.plural, &key.name));
        };
        let stale = |field: &str| !meta(&candidate, field).is_empty() && meta(&candidate, field) != meta(&live, field);
        if stale("resourceVersion") || stale("uid") {
            return Err(Failure::conflict(&key.plural, &key.name));
        }
        let mut object = if write.manager.subresource == "status" {
            let mut object = (*live).clone();
            set_or_remove(&mut object, "status", candidate.get_mut("status").map(Value::take));
            object
        } else {
            if write.request.is_some() {
                set_or_remove(&mut candidate, "status", live.get("status").cloned());
            }
            candidate
        };
        immutable(key, &live, &object)?;
        self.admit(&key.plural, &mut object, Some(&live))?;
        self.complete(key, &mut object);
        let kept = ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "generation"];
        for field in kept.into_iter().chain(["resourceVersion", "managedFields"]) {
            set_or_remove(&mut object["metadata"], field, live["metadata"].get(field).cloned());
        }
        fields::record(&live, &mut object, write.applied, &write.manager, &clock::rfc3339(clock::now()));
        if same(&live, &object) {
            // As the API server: a write that changes nothing makes no version, and nobody's watch hears of it.
            return Ok(live);
        }
        let generation = live["metadata"]["generation"].as_i64().unwrap_or(1);
        if kinds::has_generation(&key.plural) && spec(&live) != spec(&object) {
            object["metadata"]["generation"] = json!(generation + 1);
        }
        if write.dry_run {
            return Ok(Arc::new(object));
        }
        if !meta(&object, "deletionTimestamp").is_empty() && no_finalizers(&object) {
            return Ok(self.remove(key, object, write));
        }
        Ok(self.commit(Change::Modified, key.clone(), object, write))
    }

    /// Deletes an object, or marks it where finalizers hold it.
    ///
    /// # Errors
    /// 404, 409 where a precondition fails.
    pub fn delete(&mut self, key: &Key, options: &Deletion, write: &Write<'_>) -> Result<Arc<Value>, Failure> {
        let Some(live) = self.objects.get(key).cloned() else {
            return Err(Failure::not_found(&key.plural, &key.name));
        };
        let differs = |want: &Option<String>, field| want.as_deref().is_some_and(|w| w != meta(&live, field));
        if differs(&options.uid, "uid") || differs(&options.resource_version, "resourceVersion") {
            return Err(Failure::conflict(&key.plural, &key.name));
        }
        if write.dry_run {
            return Ok(live);
        }
        if options.orphan {
            self.orphan(meta(&live, "uid"), write);
        }
        if no_finalizers(&live) {
            return Ok(self.remove(key, (*live).clone(), write));
        }
        if !meta(&live, "deletionTimestamp").is_empty() {
            return Ok(live);
        }
        let mut object = (*live).clone();
        object["metadata"]["deletionTimestamp"] = json!(clock::rfc3339(clock::now()));
        object["metadata"]["deletionGracePeriodSeconds"] = json!(0);
        if let Some(generation) = live["metadata"]["generation"].as_i64() {
            object["metadata"]["generation"] = json!(generation + 1);
        }
        Ok(self.commit(Change::Modified, key.clone(), object, write))
    }

    fn remove(&mut self, key: &Key, object: Value, write: &Write<'_>) -> Arc<Value> {
        let gone = self.commit(Change::Deleted, key.clone(), object, write);
        self.collect(write);
        gone
    }

    /// Takes a uid out of all ownerReferences.
    fn orphan(&mut self, uid: &str, write: &Write<'_>) {
        let owned = |o: &Value| owners(o).any(|owner| owner == uid);
        let children: Vec<Key> = self.objects.iter().filter(|(_, o)| owned(o)).map(|(k, _)| k.clone()).collect();
        for key in children {
            let mut object = self.objects.get(&key).map(|o| (**o).clone()).unwrap_or_default();
            if let Some(list) = object["metadata"]["ownerReferences"].as_array_mut() {
                list.retain(|owner| owner["uid"] != uid);
            }
            self.commit(Change::Modified, key, object, write);
        }
    }

    /// The garbage collector: what has owners, none of which exists, goes. At once, where a cluster takes a moment.
    fn collect(&mut self, write: &Write<'_>) {
        loop {
            let uids: BTreeSet<String> = self.objects.values().map(|o| meta(o, "uid").to_owned()).collect();
            let orphaned = |o: &Value| owners(o).next().is_some() && owners(o).all(|uid| !uids.contains(uid));
            let deleting = |o: &Value| !meta(o, "deletionTimestamp").is_empty();
            let found = self.objects.iter().find(|(_, o)| orphaned(o) && !deleting(o)).map(|(k, _)| k.clone());
            let Some(key) = found else { return };
            let manager = Manager { name: "generic-garbage-collector", apply: false, subresource: "" };
            let collector = Write { manager, request: None, dry_run: false, applied: None };
            if self.delete(&key, &Deletion::default(), &collector).is_err() {
                debug_assert!(write.request.is_none(), "an existing object can be deleted");
                return;
            }
        }
    }

    fn admit(&self, plural: &str, object: &mut Value, live: Option<&Value>) -> Result<(), Failure> {
        self.admission.iter().filter(|(p, _)| p == plural).try_for_each(|(_, hook)| hook(object, live))
    }

    /// What the API server does to each object that it takes in.
    fn complete(&self, key: &Key, object: &mut Value) {
        match self.schemas.get(&(key.group.clone(), key.plural.clone())) {
            Some(schema) => schema::apply(schema, object),
            None => defaults::fill(&key.plural, object),
        }
    }

    fn commit(&mut self, change: Change, key: Key, mut object: Value, write: &Write<'_>) -> Arc<Value> {
        let resource_version = self.resource_version() + 1;
        object["metadata"]["resourceVersion"] = json!(resource_version.to_string());
        let object = Arc::new(object);
        let previous = if change == Change::Deleted {
            self.objects.remove(&key)
        } else {
            self.objects.insert(key.clone(), Arc::clone(&object))
        };
        self.history.push(Version {
            resource_version,
            time: clock::now(),
            change,
            key,
            object: Arc::clone(&object),
            previous,
            actor: write.manager.name.to_owned(),
            request: write.request,
        });
        object
    }

    /// Five characters as generateName appends them, but the same in every run.
    pub fn suffix(&mut self) -> String {
        const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        self.names += 1;
        let mut n = self.names.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
        let mut next = || {
            let c = ALPHABET[(n % ALPHABET.len() as u64) as usize];
            n /= ALPHABET.len() as u64;
            char::from(c)
        };
        (0..5).map(|_| next()).collect()
    }
}

fn owners(object: &Value) -> impl Iterator<Item = &str> {
    object["metadata"]["ownerReferences"].as_array().into_iter().flatten().filter_map(|o| o["uid"].as_str())
}

fn no_finalizers(object: &Value) -> bool {
    object["metadata"]["finalizers"].as_array().is_none_or(Vec::is_empty)
}

fn set_or_remove(object: &mut Value, field: &str, value: Option<Value>) {
    let Some(object) = object.as_object_mut() else { return };
    match value {
        Some(value) => object.insert(field.into(), value),
        None => object.remove(field),
    };
}

/// Everything that a generation counts.
fn spec(object: &Value) -> BTreeMap<&str, &Value> {
    let fields = object.as_object().into_iter().flatten();
    let counted = fields.filter(|(k, _)| !matches!(k.as_str(), "metadata" | "status" | "apiVersion" | "kind"));
    counted.map(|(k, v)| (k.as_str(), v)).collect()
}

fn same(a: &Value, b: &Value) -> bool {
    let content = |o: &Value| {
        let mut o = o.clone();
        if let Some(metadata) = o["metadata"].as_object_mut() {
            metadata.remove("managedFields");
        }
        o
    };
    content(a) == content(b)
}

fn immutable(key: &Key, live: &Value, object: &Value) -> Result<(), Failure> {
    let frozen = match key.plural.as_str() {
        "controllerrevisions" => live["data"] != object["data"],
        "configmaps" | "secrets" => live["immutable"] == true && live["data"] != object["data"],
        "deployments" | "replicasets" => live["spec"]["selector"] != object["spec"]["selector"],
        _ => false,
    };
    if frozen {
        return Err(Failure::new(422, format!("{} \"{}\" is invalid: field is immutable", key.plural, key.name)));
    }
    Ok(())
}
