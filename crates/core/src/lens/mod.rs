//! The lens: stored objects as JSON in, the facts of [`World`] out. Pure and total: an object that makes no sense is a
//! fact of its own, and what is not ours is not seen.

pub(crate) mod json;
mod orphans;
mod pod;
mod rollout;
mod route;

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use microapp_api::{labels, names};
use serde_json::Value;

pub use rollout::{desired, prompts_name};
pub(crate) use route::parents;

use crate::{
    revision::Revision,
    world::{Apex, Arm, Deployment, Object, Raw, Record, World},
};
use json::{is_deleting, is_owned_by, label, list, name, number, text, time, version};

/// The key, beside `metadata` and `spec`, under which whoever reads objects names the fields that were left out since
/// they are nested too deep. No stored object has it.
pub const LEFT_OUT: &str = "microapp.dev/left-out";

/// The annotation that marks a pod template which names the bytes that were approved.
pub const PINNED: &str = "microapp.dev/pinned";

/// What was read of one rollout: the stored objects, as JSON.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    /// The rollout.
    pub rollout: Arc<Value>,
    /// The other rollouts of its namespace.
    pub others: Vec<Arc<Value>>,
    /// Deployments with the rollout's label.
    pub deployments: Vec<Arc<Value>>,
    /// Services with the rollout's label.
    pub services: Vec<Arc<Value>>,
    /// ControllerRevisions with the rollout's label.
    pub records: Vec<Arc<Value>>,
    /// Pods with the rollout's label.
    pub pods: Vec<Arc<Value>>,
    /// ConfigMaps with the rollout's label; their metadata is enough.
    pub config_maps: Vec<Arc<Value>>,
    /// The HTTPRoute of the rollout's name, whoever owns it.
    pub route: Option<Arc<Value>>,
    /// The Service of the rollout's name, whoever owns it.
    pub apex: Option<Arc<Value>>,
    /// The prompts that the spec names.
    pub prompts: Prompts,
}

/// The ConfigMap that the spec names.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Prompts {
    /// The spec names none.
    #[default]
    Unnamed,
    /// It does not exist.
    Missing,
    /// It cannot be read now: why.
    Unreadable(String),
    /// Its `data` and `binaryData`; null where there is none.
    Found(Value, Value),
}

/// The world that these objects are. `desired_since` is the caller's to say: it needs a memory.
pub fn world(objects: &Objects, prices: &str, desired_since: Timestamp) -> World {
    let Objects { rollout, others, deployments, services, records, pods, config_maps, route, apex, prompts } = objects;
    let object = object(rollout);
    let desired = desired(rollout, prompts, prices);
    let mut arms = Arms { rollout: object.name.as_str(), uid: object.uid.as_str(), found: BTreeMap::new() };
    for service in arms.ours(services) {
        arms.of(service, |arm, _| arm.service = true);
    }
    for config_map in arms.ours(config_maps) {
        arms.of(config_map, |arm, _| arm.prompts = true);
    }
    for record in arms.ours(records) {
        arms.of(record, |arm, record| arm.record = Some(read_record(record)));
    }
    for deployment in arms.ours(deployments) {
        arms.of(deployment, |arm, deployment| arm.deployment = Some(read_deployment(deployment)));
    }
    for pod in pods.iter().filter(|pod| !is_deleting(pod)) {
        arms.of(pod, |arm, pod| arm.pods.push(pod::read(pod)));
    }
    let mut arms = arms.found;
    for arm in arms.values_mut() {
        arm.pods.sort_by(|a, b| a.name.cmp(&b.name));
    }
    World {
        commands: rollout::commands(rollout),
        route: route::read(route.as_deref(), rollout, &object),
        apex: read_apex(apex.as_deref(), &object),
        status: rollout::status(rollout),
        conflict: rollout::conflict(rollout, others),
        orphans: orphans::read(objects),
        obstacle: None,
        object,
        desired,
        desired_since,
        arms,
    }
}

fn object(rollout: &Value) -> Object {
    Object {
        namespace: text(rollout, "/metadata/namespace").unwrap_or_default().to_owned(),
        name: name(rollout).to_owned(),
        uid: text(rollout, "/metadata/uid").unwrap_or_default().to_owned(),
        generation: number(rollout, "/metadata/generation").unwrap_or_default(),
        deleting: is_deleting(rollout),
    }
}

/// The arms while they are being put together.
struct Arms<'a> {
    rollout: &'a str,
    uid: &'a str,
    found: BTreeMap<Revision, Arm>,
}

impl Arms<'_> {
    /// Those that are owned by us and stay.
    fn ours<'v>(&self, objects: &'v [Arc<Value>]) -> Vec<&'v Arc<Value>> {
        objects.iter().filter(|object| is_owned_by(object, self.uid) && !is_deleting(object)).collect()
    }

    /// The arm of the object's revision: the one of its label, which must also be the one of its name.
    fn of(&mut self, object: &Value, put: impl FnOnce(&mut Arm, &Value)) {
        let Some(revision) = label(object, labels::REVISION).and_then(Revision::parse) else { return };
        let named = name(object).starts_with(&names::of_revision(self.rollout, revision.as_str()));
        if named {
            put(self.found.entry(revision).or_default(), object);
        }
    }
}

fn read_deployment(deployment: &Value) -> Deployment {
    let template = deployment.pointer("/spec/template").unwrap_or(&Value::Null);
    Deployment {
        version: version(deployment),
        created: time(deployment, "/metadata/creationTimestamp").unwrap_or(Timestamp::UNIX_EPOCH),
        size: number(deployment, "/spec/replicas").and_then(|size| i32::try_from(size).ok()).unwrap_or(1),
        pinned: json::annotation(template, PINNED).is_some(),
    }
}

fn read_record(record: &Value) -> Record {
    let data = record.get("data").unwrap_or(&Value::Null);
    let part = |key: &str| data.get(key).cloned().unwrap_or(Value::Null);
    let images = data.get("images").and_then(Value::as_object);
    let model = data.get("model").unwrap_or(&Value::Null);
    Record {
        attempt: number(record, "/revision").unwrap_or_default(),
        images: images
            .map(|images| {
                images.iter().filter_map(|(name, image)| Some((name.clone(), image.as_str()?.to_owned()))).collect()
            })
            .unwrap_or_default(),
        model: rollout::model(model),
        raw: Arc::new(Raw {
            template: part("template"),
            model: model.clone(),
            gateway: part("gateway"),
            port: number(data, "/port").and_then(|port| u16::try_from(port).ok()).unwrap_or_default(),
            prompts_from: text(data, "/prompts/from").map(str::to_owned),
            mount_path: text(data, "/prompts/mountPath").map(str::to_owned),
            prompts: None,
        }),
    }
}

/// Why an object of the rollout's name is not ours, and what to do.
fn foreign(kind: &str, found: &Value, name: &str) -> String {
    if orphans::is_orphan(found, name) {
        format!(
            "{kind} {name} was left by an earlier rollout of this name; `kubectl annotate microapprollout {name} \
             {}=true` takes everything over that it left, otherwise delete it",
            labels::ADOPT
        )
    } else {
        format!("{kind} {name} exists and belongs to somebody else; delete it or rename the rollout")
    }
}

fn read_apex(apex: Option<&Value>, object: &Object) -> Apex {
    match apex {
        None => Apex::Missing,
        Some(apex) if !is_owned_by(apex, &object.uid) => Apex::Foreign(foreign("Service", apex, &object.name)),
        Some(apex) => Apex::Selects {
            revision: apex
                .pointer("/spec/selector")
                .and_then(|selector| selector.get(labels::REVISION))
                .and_then(Value::as_str)
                .and_then(Revision::parse),
            version: version(apex),
        },
    }
}

/// Image per container of a pod template, init containers too.
pub(crate) fn images(template: &Value) -> BTreeMap<String, String> {
    ["/spec/initContainers", "/spec/containers"]
        .into_iter()
        .flat_map(|pointer| list(template, pointer))
        .filter_map(|container| Some((text(container, "/name")?.to_owned(), text(container, "/image")?.to_owned())))
        .collect()
}
