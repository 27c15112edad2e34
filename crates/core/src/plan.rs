//! What `decide` answers: at most one write, what to say once it succeeded, and when to look again.

use std::collections::BTreeMap;

use jiff::Timestamp;
use microapp_api::v1alpha1::MicroAppRolloutStatus;
use serde::{Deserialize, Serialize};

use crate::{
    counts::Ask,
    decide::State,
    register::{Aborted, Register},
    revision::Revision,
    world::{Backend, Orphan},
};

/// The answer of one pass.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// Where the rollout stands.
    pub state: State,
    /// The one mutating request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write: Option<Write>,
    /// Events, published after the write succeeded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Note>,
    /// When to look again, if nothing wakes us earlier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wake: Option<Timestamp>,
    /// What telemetry should bring.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ask: Option<Ask>,
    /// The reason, in one word of the closed set, and in words.
    pub why: Why,
}

/// Why a plan is what it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Why {
    /// One word.
    pub reason: String,
    /// A sentence.
    pub message: String,
}

impl Why {
    /// Both.
    pub fn new(reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self { reason: reason.into(), message: message.into() }
    }
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// `Warning`, or `Normal`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub warning: bool,
    /// CamelCase, the closed set of the conditions' reasons.
    pub reason: String,
    /// Names the step: recorders keep the first note of one action for minutes.
    pub action: String,
    /// For people.
    pub message: String,
}

/// The one mutating request of a pass.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Write {
    /// POST a child under its deterministic name.
    Create(Create),
    /// Change the one thing of a child that may change, on the version that was read.
    Change(Change),
    /// Delete a child that is ours.
    Delete(Child),
    /// Become the owner of what an earlier object of the name left, on the version that was read.
    Adopt(Orphan),
    /// A transition: compare-and-set of the route.
    Route(Box<RouteWrite>),
    /// All traffic to stable, with the latch. Carries no version: it tests the attempt and the pair.
    Lower(Box<Lower>),
    /// The status, a copy.
    Status(Box<StatusWrite>),
}

/// A child of the rollout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Child {
    /// The snapshot of a revision's prompts.
    Prompts(Revision),
    /// A revision's Service.
    Service(Revision),
    /// A revision's Deployment.
    Deployment(Revision),
    /// A revision's record.
    Record(Revision),
}

/// What a POST makes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Create {
    /// The snapshot of the prompts.
    Prompts(Revision),
    /// The revision's Service.
    Service(Revision),
    /// The revision's Deployment. `images`: by digest, or empty for the template's own.
    Deployment {
        /// Which.
        revision: Revision,
        /// How many pods.
        replicas: i32,
        /// Image per container where the pods must run recorded bytes.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        images: BTreeMap<String, String>,
    },
    /// The immutable record of what was approved.
    Record {
        /// Which.
        revision: Revision,
        /// The attempt that it is to begin.
        attempt: i64,
        /// Image per container, by digest.
        images: BTreeMap<String, String>,
    },
    /// The route: one backend, stable.
    Route {
        /// What its annotations say.
        register: Box<Register>,
        /// Its backends.
        backends: Vec<Backend>,
    },
    /// The Service `<name>`.
    Apex(Revision),
}

/// A change of a child.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Change {
    /// The pin: the template names the bytes from now on, and the size is right.
    Pin {
        /// Whose Deployment.
        revision: Revision,
        /// The version that it was decided on.
        version: String,
        /// Image per container, by digest.
        images: BTreeMap<String, String>,
        /// How many pods.
        replicas: i32,
    },
    /// How many pods.
    Scale {
        /// Whose Deployment.
        revision: Revision,
        /// The version that it was decided on.
        version: String,
        /// How many pods.
        replicas: i32,
    },
    /// The recorded template again, after somebody changed it.
    Restore {
        /// Whose Deployment.
        revision: Revision,
        /// The version that it was decided on.
        version: String,
        /// Image per container, by digest.
        images: BTreeMap<String, String>,
        /// The generation that was found changed.
        generation: i64,
    },
    /// From here on no pod goes before another one is ready: users may come.
    Roll {
        /// Whose Deployment.
        revision: Revision,
        /// The version that it was decided on.
        version: String,
    },
    /// Selector and port of a revision's Service again, after somebody changed them.
    Service {
        /// Whose Service.
        revision: Revision,
        /// The version that it was decided on.
        version: String,
    },
    /// What the Service `<name>` selects.
    Select {
        /// The revision.
        revision: Revision,
        /// The version that it was decided on.
        version: String,
    },
}

/// A transition of the route.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteWrite {
    /// Which one.
    pub transition: Transition,
    /// The version that it was decided on.
    pub version: String,
    /// All of the register as it will stand.
    pub register: Register,
    /// All backends as they will stand.
    pub backends: Vec<Backend>,
}

/// The transitions that carry the version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Transition {
    /// The first revision was replaced before it was stable.
    Replace,
    /// A new attempt, at weight 0.
    Begin,
    /// One step up.
    Raise,
    /// To an earlier step, or to 0; no latch.
    StepBack,
    /// After a lower has settled: one backend.
    Retire,
    /// A revision that never began.
    Reject,
    /// The commit: the new revision is stable.
    Promote,
    /// Back to what the annotations say.
    Repair,
    /// Hostnames, parents or timeouts.
    Settings,
    /// A command was taken that changes no weight.
    Command,
}

/// All traffic back on stable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lower {
    /// Tested: the attempt.
    pub attempt: i64,
    /// Tested: the two backends, stable first.
    pub pair: [Revision; 2],
    /// The latch.
    pub aborted: Aborted,
}

/// The status to write.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusWrite {
    /// All of it. The evidence in it is put in by `apply` where `checkpoint` says so.
    pub status: MicroAppRolloutStatus,
    /// Fresh evidence and gate numbers are part of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub checkpoint: bool,
}

impl Write {
    /// Its name in logs, metrics and the crash sweep.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Create(Create::Prompts(_)) => "create-prompts",
            Self::Create(Create::Service(_)) => "create-service",
            Self::Create(Create::Deployment { .. }) => "create-deployment",
            Self::Create(Create::Record { .. }) => "create-record",
            Self::Create(Create::Route { .. }) => "create-route",
            Self::Create(Create::Apex(_)) => "create-apex",
            Self::Change(Change::Pin { .. }) => "pin",
            Self::Change(Change::Scale { .. }) => "scale",
            Self::Change(Change::Select { .. }) => "select",
            Self::Change(Change::Restore { .. }) => "restore",
            Self::Change(Change::Roll { .. }) => "roll",
            Self::Change(Change::Service { .. }) => "restore-service",
            Self::Delete(_) => "delete",
            Self::Adopt(_) => "adopt",
            Self::Route(write) => write.transition.name(),
            Self::Lower(_) => "lower",
            Self::Status(_) => "status",
        }
    }
}

impl Transition {
    /// Its name in logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Replace => "replace",
            Self::Begin => "begin",
            Self::Raise => "raise",
            Self::StepBack => "step-back",
            Self::Retire => "retire",
            Self::Reject => "reject",
            Self::Promote => "promote",
            Self::Repair => "repair",
            Self::Settings => "settings",
            Self::Command => "command",
        }
    }
}
