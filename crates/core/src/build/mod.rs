//! The builders: a [`Write`] in, the one request that it is out: bodies and JSON patches, nothing is sent here.

mod children;
mod pods;
mod route;

use std::sync::Arc;

use microapp_api::{labels, names};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub(crate) use children::STARTING;
pub(crate) use route::request_timeout;

use crate::{
    lens::REPAIRED,
    plan::{Change, Child, Create, StatusWrite, Write},
    revision::Revision,
    world::{Orphan, Raw, World},
};

/// The kinds that the operator reads or writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// `MicroAppRollout`.
    Rollout,
    /// `HTTPRoute`.
    Route,
    /// `Deployment`.
    Deployment,
    /// `Service`.
    Service,
    /// `ControllerRevision`.
    Record,
    /// `ConfigMap`.
    ConfigMap,
    /// `Pod`.
    Pod,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Rollout, Self::Route, Self::Deployment, Self::Service, Self::Record, Self::ConfigMap, Self::Pod];

    /// Group, version, kind and plural, as in URLs.
    pub const fn resource(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Self::Rollout => (labels::GROUP, "v1alpha1", "MicroAppRollout", "microapprollouts"),
            Self::Route => ("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes"),
            Self::Deployment => ("apps", "v1", "Deployment", "deployments"),
            Self::Service => ("", "v1", "Service", "services"),
            Self::Record => ("apps", "v1", "ControllerRevision", "controllerrevisions"),
            Self::ConfigMap => ("", "v1", "ConfigMap", "configmaps"),
            Self::Pod => ("", "v1", "Pod", "pods"),
        }
    }

    /// `apiVersion` of its objects.
    pub fn api_version(self) -> String {
        let (group, version, ..) = self.resource();
        if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
    }

    /// The kind, as in objects and messages.
    pub const fn as_str(self) -> &'static str {
        self.resource().2
    }
}

/// One mutating request.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// POST.
    Create {
        /// Of what.
        kind: Kind,
        /// Its name.
        name: String,
        /// The object.
        body: Value,
    },
    /// PATCH with a JSON patch.
    Patch {
        /// Of what.
        kind: Kind,
        /// Its name.
        name: String,
        /// The operations.
        patch: Value,
    },
    /// DELETE; whoever sends it adds the uid that was read.
    Delete {
        /// Of what.
        kind: Kind,
        /// Its name.
        name: String,
    },
    /// The status of the rollout; whoever sends it adds the resourceVersion that was read.
    Status {
        /// The rollout.
        name: String,
        /// All of it.
        status: Value,
    },
}

/// A write that cannot be put together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unbuildable {
    /// Neither the spec nor a record says what the revision is made of.
    #[error("nothing records what revision {0} is made of")]
    NoRecord(Revision),
    /// The status cannot be encoded.
    #[error("the status cannot be encoded")]
    Status,
}

/// The request of a write. The world says what revisions are made of and who owns the children.
pub fn request(world: &World, write: &Write) -> Result<Request, Unbuildable> {
    let build = Builder { world };
    Ok(match write {
        Write::Create(create) => {
            let (kind, name, body) = match create {
                Create::Prompts(revision) => build.prompts(revision)?,
                Create::Service(revision) => build.service(revision)?,
                Create::Deployment { revision, replicas, images } => build.deployment(revision, *replicas, images)?,
                Create::Record { revision, attempt, images } => build.record(revision, *attempt, images)?,
                Create::Route { register, backends } => build.route(register, backends)?,
                Create::Apex(revision) => build.apex(revision)?,
            };
            Request::Create { kind, name, body }
        }
        Write::Change(change) => match change {
            Change::Pin { revision, version, images, replicas } => build.patch(
                Kind::Deployment,
                revision,
                version,
                &[
                    replace("/spec/template", build.template(revision, images, true)?),
                    replace("/spec/replicas", json!(replicas)),
                ],
            ),
            Change::Scale { revision, version, replicas } => {
                build.patch(Kind::Deployment, revision, version, &[replace("/spec/replicas", json!(replicas))])
            }
            Change::Restore { revision, version, images, generation } => build.patch(
                Kind::Deployment,
                revision,
                version,
                &[
                    replace("/spec/template", build.template(revision, images, true)?),
                    add(&format!("/metadata/labels/{}", REPAIRED.replace('/', "~1")), json!(generation.to_string())),
                ],
            ),
            Change::Roll { revision, version } => {
                build.patch(Kind::Deployment, revision, version, &[replace("/spec/strategy", children::strategy(true))])
            }
            Change::Service { revision, version } => build.patch(
                Kind::Service,
                revision,
                version,
                &[add("/spec/selector", build.selector(revision)), add("/spec/ports", build.ports(revision)?)],
            ),
            Change::Select { revision, version } => Request::Patch {
                kind: Kind::Service,
                name: names::apex(&world.object.name),
                patch: versioned(version, &[replace("/spec/selector", build.selector(revision))]),
            },
        },
        Write::Delete(child) => {
            let (kind, name) = match child {
                Child::Prompts(revision) => (Kind::ConfigMap, names::prompts(&world.object.name, revision.as_str())),
                Child::Service(revision) => (Kind::Service, build.name(revision)),
                Child::Deployment(revision) => (Kind::Deployment, build.name(revision)),
                Child::Record(revision) => (Kind::Record, build.name(revision)),
            };
            Request::Delete { kind, name }
        }
        Write::Adopt(Orphan { kind, name, version }) => {
            let owners = json!({"op": "add", "path": "/metadata/ownerReferences", "value": [build.owner()]});
            Request::Patch { kind: *kind, name: name.clone(), patch: versioned(version, &[owners]) }
        }
        Write::Route(write) => build.transition(write)?,
        Write::Lower(write) => build.lower(write),
        Write::Status(write) => {
            let StatusWrite { status, checkpoint: _ } = &**write;
            let status = serde_json::to_value(status).map_err(|_| Unbuildable::Status)?;
            Request::Status { name: world.object.name.clone(), status }
        }
    })
}

/// What all builders need.
struct Builder<'a> {
    world: &'a World,
}

impl Builder<'_> {
    /// `<name>-<revision>`.
    fn name(&self, revision: &Revision) -> String {
        names::of_revision(&self.world.object.name, revision.as_str())
    }

    /// What a revision is made of: the spec where it is the wanted one, its record otherwise.
    fn raw(&self, revision: &Revision) -> Result<&Arc<Raw>, Unbuildable> {
        let wanted = self.world.spec().filter(|spec| spec.revision == *revision).map(|spec| &spec.raw);
        let recorded = || self.world.arm(revision).record.as_ref().map(|record| &record.raw);
        wanted.or_else(recorded).ok_or_else(|| Unbuildable::NoRecord(revision.clone()))
    }

    /// The port of a revision's Service; the spec's where nothing records it.
    fn port(&self, revision: &Revision) -> Result<u16, Unbuildable> {
        let known = self.raw(revision).map(|raw| raw.port).ok().filter(|port| *port > 0);
        known.or_else(|| self.world.spec().map(|spec| spec.port)).ok_or_else(|| Unbuildable::NoRecord(revision.clone()))
    }

    fn selector(&self, revision: &Revision) -> Value {
        json!(names::selector_of(&self.world.object.name, revision.as_str()))
    }

    /// The rollout, as its children name it.
    fn owner(&self) -> Value {
        json!({
            "apiVersion": Kind::Rollout.api_version(),
            "kind": Kind::Rollout.as_str(),
            "name": self.world.object.name,
            "uid": self.world.object.uid,
            "controller": true,
            "blockOwnerDeletion": true,
        })
    }

    /// A child with its labels and its owner, as the rest of it is given.
    fn child(&self, kind: Kind, name: &str, revision: Option<&Revision>, rest: Value) -> Value {
        let object = &self.world.object;
        let mut body = json!({
            "apiVersion": kind.api_version(),
            "kind": kind.as_str(),
            "metadata": {
                "name": name,
                "namespace": object.namespace,
                "labels": names::labels_of(&object.name, revision.map(Revision::as_str)),
                "ownerReferences": [self.owner()],
            },
        });
        if let (Value::Object(body), Value::Object(rest)) = (&mut body, rest) {
            body.extend(rest);
        }
        body
    }

    fn patch(&self, kind: Kind, revision: &Revision, version: &str, operations: &[Value]) -> Request {
        Request::Patch { kind, name: self.name(revision), patch: versioned(version, operations) }
    }
}

/// The operations, on this version alone: a stale one is answered with 409.
fn versioned(version: &str, operations: &[Value]) -> Value {
    let mut all = vec![replace("/metadata/resourceVersion", json!(version))];
    all.extend_from_slice(operations);
    Value::Array(all)
}

#[allow(clippy::needless_pass_by_value)]
fn add(path: &str, value: Value) -> Value {
    json!({"op": "add", "path": path, "value": value})
}

#[allow(clippy::needless_pass_by_value)] // `json!` at every call reads better without borrows
fn replace(path: &str, value: Value) -> Value {
    json!({"op": "replace", "path": path, "value": value})
}
