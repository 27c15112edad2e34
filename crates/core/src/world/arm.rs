//! What exists of one revision: its Service, its record, its Deployment and its pods.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Raw, yes};

/// What exists of one revision.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Arm {
    /// Its Service.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub service: bool,
    /// Its Service selects other pods or has another port than ours had: the version that says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub astray: Option<String>,
    /// The snapshot of its prompts.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub prompts: bool,
    /// The immutable record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<Record>,
    /// Its Deployment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment: Option<Deployment>,
    /// Its pods, without those that are terminating.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pods: Vec<Pod>,
}

/// What a ControllerRevision records.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// The attempt that it was to begin.
    pub attempt: i64,
    /// Image per container, by digest.
    pub images: BTreeMap<String, String>,
    /// Model name and version, for status.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub model: String,
    /// What the builders need to make the revision again; not for decisions.
    #[serde(skip)]
    pub raw: Arc<Raw>,
}

/// A Deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Deployment {
    /// resourceVersion.
    pub version: String,
    /// When it was made.
    pub created: Timestamp,
    /// `spec.replicas`.
    pub size: i32,
    /// Its template names the bytes that were approved.
    pub pinned: bool,
    /// Image per container of its template.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub images: BTreeMap<String, String>,
    /// It replaces pods without ever having fewer: the strategy of what serves. False while it starts.
    #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
    pub rolling: bool,
    /// Its template is not what the record says: the generation in which it was found so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<i64>,
    /// Since when it has had fewer available pods than it should.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short: Option<Timestamp>,
    /// It is said to have all the pods that it should: where some are missing, it is a moment since they were there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub available: bool,
    /// Why its pods cannot be made: a quota, an admission policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// What keeps pods from being made, as the cluster says it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Since when.
    pub since: Timestamp,
    /// The cluster's own words, cut.
    pub message: String,
}

/// A pod that is not terminating.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// Its containers are ready.
    pub ready: bool,
    /// It was made from the pinned template.
    pub pinned: bool,
    /// When a container of it last started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// Digest (`sha256:…`) per container, as the node reports it; empty where it reports none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub digests: BTreeMap<String, String>,
    /// Something that needs no Prometheus, of a container that serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<Signal>,
    /// When the run ended that the signal is of; of a second failed exit, when that run began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exited: Option<Timestamp>,
    /// It was ready before, or it is: what happens to it is no start.
    #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
    pub served: bool,
    /// When it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    /// Since when it has not been ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unready: Option<Timestamp>,
    /// Why it is not ready: reason of a waiting container (`ImagePullBackOff`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<String>,
    /// The same in the cluster's own words, cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// What a pod's state says by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Signal {
    /// Two failed exits, or CrashLoopBackOff.
    CrashLoop,
    /// Killed for its memory.
    OOMKilled,
}

impl Arm {
    /// Ready pods of the template in force.
    pub fn ready(&self) -> i32 {
        i32::try_from(self.current().filter(|pod| pod.ready).count()).unwrap_or(i32::MAX)
    }

    /// The pods of the template in force.
    pub fn current(&self) -> impl Iterator<Item = &Pod> {
        let pinned = self.deployment.as_ref().is_some_and(|deployment| deployment.pinned);
        self.pods.iter().filter(move |pod| pod.pinned == pinned)
    }

    /// Can users be sent there: a Service, and at least one ready pod behind it?
    pub fn stands(&self) -> bool {
        self.service && self.astray.is_none() && self.pods.iter().any(|pod| pod.ready)
    }

    /// The first signal of the pods that `of` chooses, an OOM before a crash loop.
    pub fn signal(&self, of: impl Fn(&Pod) -> bool) -> Option<(Signal, &str)> {
        let of = &of;
        let find = |signal| {
            let mut pods = self.pods.iter().filter(|pod| of(pod));
            pods.find(|pod| pod.signal == Some(signal)).map(|pod| (signal, pod.name.as_str()))
        };
        find(Signal::OOMKilled).or_else(|| find(Signal::CrashLoop))
    }

    /// Does anything of it exist that costs something?
    pub const fn runs(&self) -> bool {
        self.deployment.is_some() || self.service
    }
}
