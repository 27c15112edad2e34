//! The objects of one revision, and the Service of the rollout's name.

use std::collections::BTreeMap;

use microapp_api::names;
use serde_json::{Value, json};

use super::{Builder, Kind, Unbuildable};
use crate::{
    decide::READY_DEADLINE,
    revision::{Revision, prompts_digest},
    world::Spec,
};

/// What `maxUnavailable` says of a Deployment that nobody is sent to yet.
pub(crate) const STARTING: &str = "100%";

/// How a Deployment replaces its pods. What serves never has fewer of them; before that the pin makes room first, or it
/// would need a place more than the spec asks for, which a quota or an anti-affinity may not have.
pub(super) fn strategy(serves: bool) -> Value {
    let rolling = if serves {
        json!({"maxUnavailable": 0, "maxSurge": 1})
    } else {
        json!({"maxUnavailable": STARTING, "maxSurge": 0})
    };
    json!({"type": "RollingUpdate", "rollingUpdate": rolling})
}

type Object = (Kind, String, Value);

impl Builder<'_> {
    /// The prompts as they are now; nobody can change them any more.
    pub(super) fn prompts(&self, revision: &Revision) -> Result<Object, Unbuildable> {
        let (data, binary) =
            self.raw(revision)?.prompts.as_ref().ok_or_else(|| Unbuildable::NoRecord(revision.clone()))?;
        let name = names::prompts(&self.world.object.name, revision.as_str());
        let mut rest = json!({"immutable": true});
        for (key, value) in [("data", data), ("binaryData", binary)] {
            if !value.is_null() {
                rest[key] = value.clone();
            }
        }
        Ok((Kind::ConfigMap, name.clone(), self.child(Kind::ConfigMap, &name, Some(revision), rest)))
    }

    pub(super) fn service(&self, revision: &Revision) -> Result<Object, Unbuildable> {
        let name = self.name(revision);
        let rest = self.service_of(revision)?;
        Ok((Kind::Service, name.clone(), self.child(Kind::Service, &name, Some(revision), rest)))
    }

    /// The Service that users are on if everything else vanishes.
    pub(super) fn apex(&self, revision: &Revision) -> Result<Object, Unbuildable> {
        let name = names::apex(&self.world.object.name);
        let rest = self.service_of(revision)?;
        Ok((Kind::Service, name.clone(), self.child(Kind::Service, &name, None, rest)))
    }

    fn service_of(&self, revision: &Revision) -> Result<Value, Unbuildable> {
        Ok(json!({"spec": {"selector": self.selector(revision), "ports": self.ports(revision)?}}))
    }

    pub(super) fn ports(&self, revision: &Revision) -> Result<Value, Unbuildable> {
        let port = self.port(revision)?;
        Ok(json!([{"name": "http", "protocol": "TCP", "port": port, "targetPort": port}]))
    }

    /// Its pod template changes once, at weight 0: the pods that passed are the pods that serve.
    pub(super) fn deployment(
        &self,
        revision: &Revision,
        replicas: i32,
        images: &BTreeMap<String, String>,
    ) -> Result<Object, Unbuildable> {
        let name = self.name(revision);
        let rest = json!({"spec": {
            "replicas": replicas,
            "selector": {"matchLabels": self.selector(revision)},
            "strategy": strategy(!images.is_empty()),
            "revisionHistoryLimit": 1,
            "progressDeadlineSeconds": self.world.spec().map_or(READY_DEADLINE, Spec::ready_deadline).as_secs().max(1),
            "template": self.template(revision, images, !images.is_empty())?,
        }});
        Ok((Kind::Deployment, name.clone(), self.child(Kind::Deployment, &name, Some(revision), rest)))
    }

    /// What was approved, and all that is needed to make it again.
    pub(super) fn record(
        &self,
        revision: &Revision,
        attempt: i64,
        images: &BTreeMap<String, String>,
    ) -> Result<Object, Unbuildable> {
        let raw = self.raw(revision)?;
        let prompts = raw.prompts.as_ref().map(|(data, binary)| {
            json!({
                "from": raw.prompts_from,
                "mountPath": raw.mount_path,
                "digest": prompts_digest(data, binary),
            })
        });
        let mut data = json!({
            "v": 1,
            "template": raw.template,
            "model": raw.model,
            "gateway": raw.gateway,
            "port": raw.port,
            "images": images,
        });
        if let Some(prompts) = prompts {
            data["prompts"] = prompts;
        }
        let name = self.name(revision);
        let rest = json!({"data": data, "revision": attempt});
        Ok((Kind::Record, name.clone(), self.child(Kind::Record, &name, Some(revision), rest)))
    }
}
