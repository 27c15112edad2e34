//! The lens: stored objects as JSON in, the facts of [`World`] out. Pure and total: an object that makes no sense is a
//! fact of its own, and what is not ours is not seen.

mod image;
pub(crate) mod json;
mod kept;
mod orphans;
mod pod;
mod rollout;
mod route;

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use microapp_api::{labels, names};
use serde_json::Value;

pub(crate) use kept::REPAIRED;
pub use rollout::{desired, prompts_name};
pub(crate) use route::parents;

use crate::{
    revision::Revision,
    world::{Apex, Arm, Deployment, Desired, Failure, Object, Raw, Record, RouteFact, World},
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
    let mut desired = desired(rollout, prompts, prices);
    let route = route::read(route.as_deref(), rollout, &object);
    let mut arms = Arms { rollout: object.name.as_str(), uid: object.uid.as_str(), found: BTreeMap::new() };
    for config_map in arms.ours(config_maps) {
        arms.of(config_map, |arm, _| arm.prompts = true);
    }
    // The records first: they say what the other children should be.
    for record in arms.ours(records) {
        arms.of(record, |arm, record| arm.record = Some(read_record(record)));
    }
    for deployment in arms.ours(deployments) {
        arms.of(deployment, |arm, deployment| arm.deployment = Some(read_deployment(deployment, arm.record.as_ref())));
    }
    for service in arms.ours(services) {
        let known = |record: &Record| Some(record.raw.port).filter(|port| *port > 0);
        arms.of(service, |arm, service| {
            arm.service = true;
            let port = arm.record.as_ref().and_then(known);
            arm.astray = (!is_of_revision(service, &object.name, port)).then(|| version(service));
        });
    }
    known(&mut desired, &route, &arms.found);
    let made = templates(&arms.found, &desired);
    for pod in pods.iter().filter(|pod| !is_deleting(pod) && !pod::is_over(pod)) {
        let revision = label(pod, labels::REVISION).and_then(Revision::parse);
        let made = revision.and_then(|revision| made.get(&revision));
        arms.of(pod, |arm, pod| arm.pods.push(pod::read(pod, made)));
    }
    let mut arms = arms.found;
    for arm in arms.values_mut() {
        arm.pods.sort_by(|a, b| a.name.cmp(&b.name));
    }
    World {
        commands: rollout::commands(rollout),
        route,
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

/// A revision that exists under the name of its spelling keeps it: an upgrade of the operator starts no rollout.
fn known(desired: &mut Desired, route: &RouteFact, arms: &BTreeMap<Revision, Arm>) {
    let Desired::Usable(spec) = desired else { return };
    let Some(written) = spec.raw.written.clone() else { return };
    let registered = |revision: &Revision| match route {
        RouteFact::Present(route) => {
            let register = &route.register;
            register.stable == *revision
                || register.canary.as_ref() == Some(revision)
                || register.rejection(revision).is_some()
        }
        RouteFact::Missing | RouteFact::Foreign(_) | RouteFact::Unreadable { .. } => false,
    };
    let exists = |revision: &Revision| arms.contains_key(revision) || registered(revision);
    if exists(&written) && !exists(&spec.revision) {
        spec.revision = written;
    }
}

/// The templates of all revisions: as recorded, of the wanted one as the spec has it.
fn templates(arms: &BTreeMap<Revision, Arm>, desired: &Desired) -> BTreeMap<Revision, pod::Made> {
    let recorded = arms.iter().filter_map(|(revision, arm)| Some((revision, &arm.record.as_ref()?.raw.template)));
    let wanted = match desired {
        Desired::Usable(spec) => Some((&spec.revision, &spec.raw.template)),
        Desired::Unusable { .. } => None,
    };
    wanted.into_iter().chain(recorded).map(|(revision, template)| (revision.clone(), pod::Made::of(template))).collect()
}

/// Does the Service select the pods of its revision, on the port that it was made with?
fn is_of_revision(service: &Value, rollout: &str, port: Option<u16>) -> bool {
    let Some(revision) = label(service, labels::REVISION) else { return false };
    let ports = list(service, "/spec/ports");
    let serves = |port: u16| {
        ports.iter().any(|one| {
            number(one, "/port") == Some(i64::from(port))
                && number(one, "/targetPort").is_none_or(|target| target == i64::from(port))
        })
    };
    selects(service, rollout, revision) && port.is_none_or(|port| ports.is_empty() || serves(port))
}

/// One that says nothing of what it selects is of an older cluster's making, not of a stranger's.
fn selects(service: &Value, rollout: &str, revision: &str) -> bool {
    let Some(selector) = service.pointer("/spec/selector").and_then(Value::as_object) else { return true };
    let wanted = names::selector_of(rollout, revision);
    selector.len() == wanted.len()
        && wanted.iter().all(|(key, value)| selector.get(key).and_then(Value::as_str) == Some(value))
}

fn read_deployment(deployment: &Value, record: Option<&Record>) -> Deployment {
    let template = deployment.pointer("/spec/template").unwrap_or(&Value::Null);
    let condition = |kind: &str, status: &str| {
        let mut all = list(deployment, "/status/conditions").iter();
        all.find(|one| text(one, "/type") == Some(kind) && text(one, "/status") == Some(status))
    };
    let since = |condition: &Value| time(condition, "/lastTransitionTime");
    let created = time(deployment, "/metadata/creationTimestamp").unwrap_or(Timestamp::UNIX_EPOCH);
    let snapshot = format!("{}-prompts", name(deployment));
    // What may lack all of its pods is always available.
    let rolling = text(deployment, "/spec/strategy/rollingUpdate/maxUnavailable") != Some(crate::build::STARTING);
    Deployment {
        available: rolling && condition("Available", "True").is_some(),
        rolling,
        changed: record.and_then(|record| kept::changed(deployment, record, &snapshot)),
        short: condition("Available", "False").and_then(since),
        failure: condition("ReplicaFailure", "True").map(|failed| Failure {
            since: since(failed).unwrap_or(created),
            message: json::cut(text(failed, "/message").or_else(|| text(failed, "/reason")).unwrap_or_default()),
        }),
        created,
        version: version(deployment),
        size: number(deployment, "/spec/replicas").and_then(|size| i32::try_from(size).ok()).unwrap_or(1),
        pinned: json::annotation(template, PINNED).is_some(),
        images: images(template),
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
            written: None,
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
                .filter(|revision| selects(apex, &object.name, revision))
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
