//! Apply: one match over the write, one mutating request, only by the leader. What it returned is laid over the cache.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use microapp_api::{conditions::Cause, text::clean};
use microapp_core::{
    Evidence, Write,
    build::{Kind, Request, request},
    lens::Objects,
    plan::{Create, Lower, RouteWrite, StatusWrite, Transition},
    world::World,
};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    cache::{Key, meta},
    cluster::{CALL, Lane, PatchCall},
    error::{CallError, PassError},
    fleet::Fleet,
};

/// Deadline of a raise: it must be over before anybody else can lead.
const RAISE: Duration = Duration::from_secs(3);
/// Deadline of one try to lower.
const LOWER: Duration = Duration::from_secs(2);
/// So long a child that was deleted may take to go before somebody is told.
const LINGER: SignedDuration = SignedDuration::from_secs(60);
/// A write that must wait for the lease is tried again after so long.
pub(crate) const NOT_YET: Duration = Duration::from_millis(500);

/// What became of the write.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// There was none, or we do not lead.
    Nothing,
    /// It took effect; how long it took since it was decided.
    Written {
        /// From the decision to the answer.
        took: Duration,
        /// The version that it made, where it made one.
        version: String,
    },
    /// The world is another one than it was decided on; the cache has it by now.
    Stale,
    /// Not with this lease.
    NotYet,
    /// The spec makes an object that the API server refuses: the sentence that says so.
    Refused(String),
    /// A lower does not get through. Nothing is as urgent, so it is tried again soon, and everybody is told.
    Blocked(CallError),
}

/// What a write needs.
pub(crate) struct Apply<'a> {
    pub fleet: &'a Fleet,
    pub objects: &'a Objects,
    pub world: &'a World,
    pub evidence: Option<&'a Evidence>,
}

/// Sends the write.
pub(crate) async fn apply(apply: &Apply<'_>, write: &Write) -> Result<Outcome, PassError> {
    let begun = Instant::now();
    let sent = match write {
        Write::Lower(lower) => match apply.lower(lower).await {
            Err(error) => return Ok(Outcome::Blocked(error)),
            Ok(sent) => Ok(sent),
        },
        Write::Route(route) => match route.transition {
            Transition::Raise => apply.raise(route, write).await,
            Transition::Replace
            | Transition::Begin
            | Transition::StepBack
            | Transition::Retire
            | Transition::Reject
            | Transition::Promote
            | Transition::Repair
            | Transition::Settings
            | Transition::Command => apply.send(write, CALL).await,
        },
        Write::Create(create) => match apply.send(write, CALL).await {
            Err(PassError::Call(CallError::Invalid { verb: _, kind, words })) if apply.is_wanted(create) => {
                let message = format!("the spec makes a {kind} that the API server refuses: {words}");
                return Ok(Outcome::Refused(message));
            }
            sent => sent,
        },
        Write::Change(_) | Write::Delete(_) | Write::Adopt(_) => apply.send(write, CALL).await,
        Write::Status(status) => apply.send(&Write::Status(Box::new(apply.checkpoint(status))), CALL).await,
    }?;
    Ok(match sent {
        Sent::Done(version) => Outcome::Written { took: begun.elapsed(), version },
        Sent::Stale => Outcome::Stale,
        Sent::NotYet => Outcome::NotYet,
    })
}

enum Sent {
    /// The version that it made.
    Done(String),
    Stale,
    NotYet,
}

impl Apply<'_> {
    fn namespace(&self) -> &str {
        &self.world.object.namespace
    }

    fn key(&self, name: &str) -> Key {
        Key::new(self.namespace(), name)
    }

    /// Is the child one of the revision that the spec names?
    fn is_wanted(&self, create: &Create) -> bool {
        let wanted = self.world.spec().map(|spec| &spec.revision);
        match create {
            Create::Prompts(revision)
            | Create::Service(revision)
            | Create::Deployment { revision, .. }
            | Create::Record { revision, .. } => wanted == Some(revision),
            Create::Route { .. } | Create::Apex(_) => false,
        }
    }

    /// The request, when there is room for it.
    async fn send(&self, write: &Write, deadline: Duration) -> Result<Sent, PassError> {
        let request = request(self.world, write)?;
        let Ok(_room) = self.fleet.room.acquire().await else { return Ok(Sent::NotYet) };
        // After all waiting, and nothing but the call itself comes now.
        if is_raise(write) && !self.may_raise() {
            return Ok(Sent::NotYet);
        }
        let (kind, name, sent) = match request {
            Request::Create { kind, name, body } => {
                let created = self.fleet.context().cluster.create(kind, self.namespace(), &body).await;
                if let Err(CallError::Exists(_)) = created {
                    return self.taken(kind, &name, &body).await;
                }
                (kind, name, created)
            }
            Request::Patch { kind, name, patch } => {
                let patched = self.patch(Lane::Normal, kind, &name, &patch, false, deadline).await;
                (kind, name, patched)
            }
            Request::Delete { kind, name } => return self.delete(kind, &name).await,
            Request::Status { name, status } => {
                let patch = json!([
                    {"op": "replace", "path": "/metadata/resourceVersion", "value": meta(&self.objects.rollout, "resourceVersion")},
                    {"op": "add", "path": "/status", "value": status},
                ]);
                let patched = self.patch(Lane::Normal, Kind::Rollout, &name, &patch, true, deadline).await;
                (Kind::Rollout, name, patched)
            }
        };
        match sent {
            Ok(object) => Ok(self.done(kind, &object)),
            Err(CallError::Conflict(_) | CallError::Missing(_)) => self.look(kind, &name).await,
            // A stale patch of a route may fail at a field that went meanwhile, before its version is looked at.
            Err(refused @ CallError::Invalid { .. }) if kind == Kind::Route => {
                let decided = self.objects.route.as_ref().map(|route| meta(route, "resourceVersion").to_owned());
                let sent = self.look(kind, &name).await?;
                let live = self.fleet.cache.get(kind, &self.key(&name));
                let same = live.map(|live| meta(&live, "resourceVersion").to_owned()) == decided;
                if same { Err(refused.into()) } else { Ok(sent) }
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn patch(
        &self,
        lane: Lane,
        kind: Kind,
        name: &str,
        patch: &Value,
        status: bool,
        deadline: Duration,
    ) -> Result<Arc<Value>, CallError> {
        let call = PatchCall { lane, kind, namespace: self.namespace(), name, patch, status, deadline };
        self.fleet.context().cluster.patch(&call).await
    }

    fn done(&self, kind: Kind, object: &Arc<Value>) -> Sent {
        self.fleet.cache.put(kind, object);
        Sent::Done(meta(object, "resourceVersion").to_owned())
    }

    /// With time to spare, and on what is seen now.
    fn may_raise(&self) -> bool {
        self.fleet.leadership.may_raise() && !self.fleet.is_blind(self.namespace())
    }

    /// Only the very object that it was decided on.
    async fn delete(&self, kind: Kind, name: &str) -> Result<Sent, PassError> {
        let key = self.key(name);
        let Some(uid) = self.decided_on(kind, name).map(|object| meta(object, "uid").to_owned()) else {
            return self.look(kind, name).await;
        };
        match self.fleet.context().cluster.delete(kind, self.namespace(), name, &uid).await {
            Ok(()) => {
                self.fleet.cache.deleted(kind, &key);
                Ok(Sent::Done(String::new()))
            }
            Err(CallError::Conflict(_)) => self.look(kind, name).await,
            Err(error) => Err(error.into()),
        }
    }

    /// Reads what is there now; the next pass decides on it.
    async fn look(&self, kind: Kind, name: &str) -> Result<Sent, PassError> {
        match self.fleet.context().cluster.get(kind, self.namespace(), name).await? {
            Some(object) => self.fleet.cache.put(kind, &object),
            None => self.fleet.cache.forget(kind, &self.key(name)),
        }
        Ok(Sent::Stale)
    }

    /// The child of this name, as the pass read it.
    fn decided_on(&self, kind: Kind, name: &str) -> Option<&Arc<Value>> {
        let objects = match kind {
            Kind::Deployment => &self.objects.deployments,
            Kind::Service => &self.objects.services,
            Kind::Record => &self.objects.records,
            Kind::ConfigMap => &self.objects.config_maps,
            Kind::Pod => &self.objects.pods,
            Kind::Route => return self.objects.route.as_ref(),
            Kind::Rollout => return Some(&self.objects.rollout),
        };
        objects.iter().find(|object| meta(object, "name") == name)
    }

    /// The name is taken: by ourselves, in a call whose answer was lost or before a restart; by ourselves, and somebody
    /// took the labels away that it is found by; or by somebody else.
    async fn taken(&self, kind: Kind, name: &str, wanted: &Value) -> Result<Sent, PassError> {
        let cluster = &self.fleet.context().cluster;
        let Some(found) = cluster.get(kind, self.namespace(), name).await? else {
            self.fleet.cache.forget(kind, &self.key(name));
            return Ok(Sent::Stale);
        };
        self.fleet.cache.put(kind, &found);
        let uid = &self.world.object.uid;
        let owners = found.pointer("/metadata/ownerReferences").and_then(Value::as_array);
        let ours = owners.is_some_and(|owners| owners.iter().any(|owner| owner["uid"] == **uid));
        if ours {
            if let Some(since) = found.pointer("/metadata/deletionTimestamp").and_then(Value::as_str) {
                return self.lingers(kind, name, since, &found);
            }
            return match labelled(&found, wanted) {
                None => Ok(Sent::Stale),
                Some(patch) => {
                    let object = self.patch(Lane::Normal, kind, name, &patch, false, CALL).await?;
                    Ok(self.done(kind, &object))
                }
            };
        }
        // The route and the Service of the rollout's name are facts of the world, which says so itself.
        if kind == Kind::Route || name == self.world.object.name {
            return Ok(Sent::Stale);
        }
        Err(PassError::NameTaken { kind: kind.as_str(), name: name.to_owned() })
    }

    /// A child of the wanted name is on its way out.
    fn lingers(&self, kind: Kind, name: &str, since: &str, found: &Value) -> Result<Sent, PassError> {
        let now = self.fleet.context().clock.now();
        let since: Option<Timestamp> = since.parse().ok();
        if since.is_none_or(|since| now.duration_since(since) < LINGER) {
            return Ok(Sent::Stale);
        }
        let finalizers = found.pointer("/metadata/finalizers").and_then(Value::as_array);
        let finalizers: Vec<_> = finalizers.into_iter().flatten().filter_map(Value::as_str).collect();
        let finalizers = clean(&finalizers.join(", "), 200);
        Err(PassError::Lingers { kind: kind.as_str(), name: name.to_owned(), finalizers })
    }

    /// Up needs more than any other write: the lease with time to spare, and a live look at the very version that it
    /// was decided on.
    async fn raise(&self, route: &RouteWrite, write: &Write) -> Result<Sent, PassError> {
        let name = self.world.object.name.as_str();
        let live = self.fleet.context().cluster.get(Kind::Route, self.namespace(), name).await?;
        let Some(live) = live else {
            self.fleet.cache.forget(Kind::Route, &self.key(name));
            return Ok(Sent::Stale);
        };
        if meta(&live, "resourceVersion") != route.version {
            self.fleet.cache.put(Kind::Route, &live);
            return Ok(Sent::Stale);
        }
        self.send(write, RAISE).await
    }

    /// Down comes first, and is tried until it succeeds, its tests fail, or we do not lead: one try a pass, so that what
    /// it met is told meanwhile.
    async fn lower(&self, lower: &Lower) -> Result<Sent, CallError> {
        if is_intent(lower.aborted.cause) && !self.is_wish_current().await? {
            return Ok(Sent::Stale);
        }
        let request = request(self.world, &Write::Lower(Box::new(lower.clone())));
        let Ok(Request::Patch { kind, name, patch }) = request else { return Ok(Sent::Stale) };
        let refused = match self.patch(Lane::Urgent, kind, &name, &patch, false, LOWER).await {
            Ok(object) => return Ok(self.done(kind, &object)),
            Err(error @ (CallError::Invalid { .. } | CallError::Missing(_) | CallError::Conflict(_))) => error,
            Err(error) => return Err(error),
        };
        // A failed test, or a policy that does not want it? The live object tells.
        let live = self.fleet.context().cluster.get(kind, self.namespace(), &name).await?;
        match &live {
            Some(object) => self.fleet.cache.put(kind, object),
            None => self.fleet.cache.forget(kind, &self.key(&name)),
        }
        let invalid = matches!(refused, CallError::Invalid { .. });
        if invalid && live.is_some_and(|live| holds(&patch, &live)) { Err(refused) } else { Ok(Sent::Stale) }
    }

    /// Is the wish that the lower rests on still the one that stands?
    async fn is_wish_current(&self) -> Result<bool, CallError> {
        let name = self.world.object.name.as_str();
        let live = self.fleet.context().cluster.get(Kind::Rollout, self.namespace(), name).await?;
        let Some(live) = live else { return Ok(false) };
        let same = meta(&live, "resourceVersion") == meta(&self.objects.rollout, "resourceVersion");
        if !same {
            self.fleet.cache.put(Kind::Rollout, &live);
        }
        Ok(same)
    }

    /// The status with the evidence of this moment, where it is a checkpoint.
    fn checkpoint(&self, write: &StatusWrite) -> StatusWrite {
        let mut write = write.clone();
        if let (true, Some(canary), Some(evidence)) = (write.checkpoint, &mut write.status.canary, self.evidence)
            && evidence.attempt == canary.attempt
        {
            canary.evidence = Some(evidence.checkpoint(canary.evidence.as_deref()));
        }
        write
    }
}

const fn is_raise(write: &Write) -> bool {
    matches!(write, Write::Route(route) if matches!(route.transition, Transition::Raise))
}

/// Would the patch apply to this object?
fn holds(patch: &Value, live: &Value) -> bool {
    let patch: Option<json_patch::Patch> = serde_json::from_value(patch.clone()).ok();
    patch.is_some_and(|patch| json_patch::patch(&mut live.clone(), &patch).is_ok())
}

/// The patch that gives an object of ours its labels back; `None` where it has them.
fn labelled(found: &Value, wanted: &Value) -> Option<Value> {
    let labels = |object: &Value| object.pointer("/metadata/labels").and_then(Value::as_object).cloned();
    let (mut have, wanted) = (labels(found).unwrap_or_default(), labels(wanted)?);
    if wanted.iter().all(|(key, value)| have.get(key) == Some(value)) {
        return None;
    }
    have.extend(wanted);
    Some(json!([
        {"op": "replace", "path": "/metadata/resourceVersion", "value": meta(found, "resourceVersion")},
        {"op": "add", "path": "/metadata/labels", "value": have},
    ]))
}

/// Does the lower rest on what a person wants, and not on what was measured?
const fn is_intent(cause: Cause) -> bool {
    match cause {
        Cause::Superseded | Cause::SetBack | Cause::ScaledToZero | Cause::Command => true,
        Cause::GateFailed
        | Cause::CrashLoop
        | Cause::OOMKilled
        | Cause::RouteLost
        | Cause::NotReady
        | Cause::PinFailed
        | Cause::Inconclusive => false,
    }
}
