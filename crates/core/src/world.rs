//! The world as `decide` sees it: small facts, parsed once. `observe` reads objects, [`crate::lens`] makes these of them.

mod arm;

use std::{collections::BTreeMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use microapp_api::{conditions::Reason, v1alpha1::MicroAppRolloutStatus, values::Weight};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use arm::{Arm, Deployment, Failure, Pod, Record, Signal};

use crate::{build::Kind, register::Register, revision::Revision, strategy::Strategy};

/// Everything that a pass knows, apart from the evidence and the time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct World {
    /// The object itself.
    pub object: Object,
    /// What is wanted.
    pub desired: Desired,
    /// Since when exactly this has been wanted.
    pub desired_since: Timestamp,
    /// The commands in the object's annotations, by verb.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub commands: BTreeMap<Verb, Command>,
    /// The register.
    pub route: RouteFact,
    /// The Service `<name>`.
    #[serde(default, skip_serializing_if = "Apex::is_missing")]
    pub apex: Apex,
    /// What exists of each revision.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub arms: BTreeMap<Revision, Arm>,
    /// The status as it stands.
    #[serde(default, skip_serializing_if = "is_fresh")]
    pub status: MicroAppRolloutStatus,
    /// An older rollout of this namespace that has the same parent, host and path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conflict: Option<String>,
    /// What an earlier object of this name left without an owner, where this one may take it over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub orphans: Vec<Orphan>,
    /// Why the last write did not get through, where a person can do something about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub obstacle: Option<Obstacle>,
}

/// What stands between a plan and its write: a right that is missing, a name that is taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Obstacle {
    /// The condition's reason.
    pub reason: Reason,
    /// What was refused.
    pub message: String,
}

/// An object with our labels and without an owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orphan {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// resourceVersion.
    pub version: String,
}

fn is_fresh(status: &MicroAppRolloutStatus) -> bool {
    *status == MicroAppRolloutStatus::default()
}

/// The object's metadata, as far as it matters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid: the owner of every child.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// The generation that `desired` was read from.
    #[serde(default)]
    pub generation: i64,
    /// It is being deleted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleting: bool,
}

/// What the spec asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Desired {
    /// A spec that can be rolled out.
    Usable(Box<Spec>),
    /// One that cannot; everything that needs no spec, an abort for one, still works.
    Unusable {
        /// The condition's reason.
        reason: Reason,
        /// What to write instead.
        message: String,
    },
}

/// A parsed spec.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// The revision that it names.
    pub revision: Revision,
    /// How many pods.
    pub replicas: i32,
    /// The port of the Services.
    pub port: u16,
    /// Steps and gates, resolved; an attempt pins them at Begin.
    pub strategy: Strategy,
    /// Image per container of the template, init containers too, as given.
    pub images: BTreeMap<String, String>,
    /// Pods must be ready within this, in milliseconds.
    #[serde(default = "ten_minutes", skip_serializing_if = "is_ten_minutes")]
    pub ready_millis: i64,
    /// Start although the runtime reports no digest.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_tag: bool,
    /// The prompts' ConfigMap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompts: Option<String>,
    /// What the builders need; not for decisions.
    #[serde(skip)]
    pub raw: Arc<Raw>,
}

const fn ten_minutes() -> i64 {
    600_000
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde hands over a reference
const fn is_ten_minutes(millis: &i64) -> bool {
    *millis == ten_minutes()
}

impl Spec {
    /// Pods must be ready within this.
    pub fn ready_deadline(&self) -> SignedDuration {
        SignedDuration::from_millis(self.ready_millis)
    }
}

/// The stored raw parts that the builders copy into children.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Raw {
    /// The name that an earlier version of the operator gave the revision.
    pub written: Option<Revision>,
    /// `spec.template`.
    pub template: Value,
    /// `spec.model`.
    pub model: Value,
    /// `spec.traffic.gateway`.
    pub gateway: Value,
    /// `spec.traffic.port`; 0 where it is not known.
    pub port: u16,
    /// The name of the prompts' ConfigMap, which the template may refer to.
    pub prompts_from: Option<String>,
    /// `spec.prompts.mountPath`.
    pub mount_path: Option<String>,
    /// `data` and `binaryData` of the prompts' ConfigMap.
    pub prompts: Option<(Value, Value)>,
}

/// What a person can command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// All traffic to stable, the revision is rejected.
    Abort,
    /// To the last step; with `skip` one step on.
    Promote,
    /// Stay at this weight.
    Pause,
    /// Go on.
    Resume,
    /// Try a rejected revision again.
    Retry,
}

impl Verb {
    /// The key in the register's tokens.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Abort => "abort",
            Self::Promote => "promote",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Retry => "retry",
        }
    }
}

/// `"<token> <reason>"` of a command annotation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Consumed once.
    pub token: String,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// The HTTPRoute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RouteFact {
    /// There is none.
    Missing,
    /// One of this name that is not ours.
    Foreign(String),
    /// Ours, and the register cannot be read: what is wrong, and the version that said so.
    Unreadable {
        /// resourceVersion.
        version: String,
        /// What is wrong with it.
        message: String,
    },
    /// Ours.
    Present(Box<Route>),
}

/// The route and its register.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Route {
    /// resourceVersion: what every write but Lower is decided on.
    pub version: String,
    /// The annotations.
    pub register: Register,
    /// The backends of its rule, in order.
    pub backends: Vec<Backend>,
    /// Hostnames, parents and timeouts are as the spec wants them.
    #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
    pub current: bool,
    /// What the gateways say of this generation.
    #[serde(default)]
    pub acceptance: Acceptance,
    /// The last manager beside us that wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stranger: Option<String>,
}

const fn yes() -> bool {
    true
}

/// One backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backend {
    /// The revision whose Service it names; none = a Service that is none of ours.
    pub revision: Option<Revision>,
    /// Its weight; none = missing, which Gateway API reads as 1.
    pub weight: Option<i64>,
}

/// Is the route programmed?
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Acceptance {
    /// Every parent accepts this generation.
    #[default]
    Accepted,
    /// At least one has not answered.
    Pending,
    /// At least one says no: its reason, and its name.
    Refused(String),
}

/// The Service `<name>`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Apex {
    /// There is none.
    #[default]
    Missing,
    /// One of this name that is not ours.
    Foreign(String),
    /// Ours; it selects a revision.
    Selects {
        /// Which.
        revision: Option<Revision>,
        /// resourceVersion.
        version: String,
    },
}

impl Apex {
    /// Is there none?
    pub const fn is_missing(&self) -> bool {
        matches!(self, Self::Missing)
    }

    /// The revision that it selects.
    pub const fn revision(&self) -> Option<&Revision> {
        match self {
            Self::Selects { revision, .. } => revision.as_ref(),
            Self::Missing | Self::Foreign(_) => None,
        }
    }
}

impl World {
    /// The usable spec.
    pub fn spec(&self) -> Option<&Spec> {
        match &self.desired {
            Desired::Usable(spec) => Some(spec),
            Desired::Unusable { .. } => None,
        }
    }

    /// The route, where it is ours and readable.
    pub fn route(&self) -> Option<&Route> {
        match &self.route {
            RouteFact::Present(route) => Some(route),
            RouteFact::Missing | RouteFact::Foreign(_) | RouteFact::Unreadable { .. } => None,
        }
    }

    /// What exists of a revision; nothing is a value too.
    pub fn arm(&self, revision: &Revision) -> &Arm {
        static NOTHING: Arm =
            Arm { service: false, astray: None, prompts: false, record: None, deployment: None, pods: Vec::new() };
        self.arms.get(revision).unwrap_or(&NOTHING)
    }

    /// The plan that the running attempt was begun with; none when it is lost.
    pub fn plan(&self) -> Option<Strategy> {
        let register = &self.route()?.register;
        let canary = self.status.canary.as_ref()?;
        (canary.attempt == register.attempt).then(|| Strategy::from_pinned(canary.plan.as_ref()?)).flatten()
    }

    /// The plan that the running attempt is watched by: its own, or, where that is lost, what the spec says of the
    /// canary now. It raises nothing, but what fails by it is still turned back.
    pub fn watched(&self) -> Option<Strategy> {
        let canary = self.route()?.register.canary.as_ref()?;
        let spec = || self.spec().filter(|spec| spec.revision == *canary).map(|spec| spec.strategy.clone());
        self.plan().or_else(spec)
    }

    /// The size of the application: the larger of what the attempt began with and what is asked for now.
    pub fn basis(&self) -> i32 {
        let now = self.spec().map_or(0, |spec| spec.replicas);
        self.plan().map_or(now, |plan| plan.replicas.max(now))
    }
}

impl Route {
    /// The canary's share by the weights that stand; none where they make no sense.
    pub fn weight(&self) -> Option<Weight> {
        match (self.backends.as_slice(), &self.register.canary) {
            // A weight of 0 serves nobody; a missing one reads as 1.
            ([only], None) => (only.revision.as_ref() == Some(&self.register.stable)
                && only.weight.is_none_or(|weight| weight > 0))
            .then_some(Weight::ZERO),
            ([stable, canary], Some(name))
                if stable.revision.as_ref() == Some(&self.register.stable)
                    && canary.revision.as_ref() == Some(name) =>
            {
                let (stable, canary) = (stable.weight?, canary.weight?);
                let sum = stable.checked_add(canary).filter(|sum| *sum > 0 && stable >= 0 && canary >= 0)?;
                Weight::from_ppm(canary.checked_mul(1_000_000)? / sum)
            }
            _ => None,
        }
    }
}
