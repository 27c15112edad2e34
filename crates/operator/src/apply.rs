//! Apply: one match over the write, one mutating request, only by the leader. What it returned is laid over the cache.

use std::{sync::Arc, time::Duration};

use microapp_api::conditions::Cause;
use microapp_core::{
    Evidence, Write,
    build::{Kind, Request, request},
    lens::Objects,
    plan::{Create, Lower, RouteWrite, StatusWrite, Transition},
    world::World,
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    cache::{Key, meta},
    cluster::{CALL, Lane, PatchCall},
    error::{CallError, PassError},
    fleet::Fleet,
};

/// Deadline of a raise: it must be over before anybody else can lead.
const RAISE: Duration = Duration::from_secs(3);
/// Deadline of one try to lower, and the pauses between two.
const LOWER: Duration = Duration::from_secs(2);
const PAUSE: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(5)];
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
    },
    /// The world is another one than it was decided on; the cache has it by now.
    Stale,
    /// Not with this lease.
    NotYet,
    /// The spec makes an object that the API server refuses: the sentence that says so.
    Refused(String),
}

/// What a write needs.
pub(crate) struct Apply<'a> {
    pub fleet: &'a Fleet,
    pub objects: &'a Objects,
    pub world: &'a World,
    pub evidence: Option<&'a Evidence>,
    pub stop: &'a CancellationToken,
}

/// Sends the write.
pub(crate) async fn apply(apply: &Apply<'_>, write: &Write) -> Result<Outcome, PassError> {
    let begun = Instant::now();
    let sent = match write {
        Write::Lower(lower) => apply.lower(lower).await,
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
            Err(PassError::Call(CallError::Invalid { kind, detail })) if apply.is_wanted(create) => {
                let message = format!("the spec makes a {kind} that the API server refuses: see {detail}");
                return Ok(Outcome::Refused(message));
            }
            sent => sent,
        },
        Write::Change(_) | Write::Delete(_) | Write::Adopt(_) => apply.send(write, CALL).await,
        Write::Status(status) => apply.send(&Write::Status(Box::new(apply.checkpoint(status))), CALL).await,
    }?;
    Ok(match sent {
        Sent::Done => Outcome::Written { took: begun.elapsed() },
        Sent::Stale => Outcome::Stale,
        Sent::NotYet => Outcome::NotYet,
    })
}

enum Sent {
    Done,
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
        let (kind, name, sent) = match request {
            Request::Create { kind, name, body } => {
                let created = self.fleet.context().cluster.create(kind, self.namespace(), body).await;
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
            Ok(object) => {
                self.fleet.cache.put(kind, &object);
                Ok(Sent::Done)
            }
            Err(CallError::Exists(_)) => self.taken(kind, &name).await,
            Err(CallError::Conflict(_) | CallError::Missing(_)) => self.look(kind, &name).await,
            // On a route a failed test; of any other object it says that the spec makes no valid one.
            Err(CallError::Invalid { .. }) if kind == Kind::Route => self.look(kind, &name).await,
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

    /// Only the very object that was read.
    async fn delete(&self, kind: Kind, name: &str) -> Result<Sent, PassError> {
        let key = self.key(name);
        let uid = self.fleet.cache.get(kind, &key).map(|object| meta(&object, "uid").to_owned());
        match self.fleet.context().cluster.delete(kind, self.namespace(), name, uid).await {
            Ok(()) => {
                self.fleet.cache.deleted(kind, &key);
                Ok(Sent::Done)
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

    /// The name is taken: by ourselves, in a call whose answer was lost or before a restart, or by somebody else.
    async fn taken(&self, kind: Kind, name: &str) -> Result<Sent, PassError> {
        let sent = self.look(kind, name).await?;
        let uid = &self.world.object.uid;
        let ours = self.fleet.cache.get(kind, &self.key(name)).is_some_and(|object| {
            let owners = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
            owners.is_some_and(|owners| owners.iter().any(|owner| owner["uid"] == **uid))
        });
        // The route and the Service of the rollout's name are facts of the world, which says so itself.
        let told = kind == Kind::Route || name == self.world.object.name;
        if ours || told {
            return Ok(sent);
        }
        Err(PassError::NameTaken { kind: kind.as_str(), name: name.to_owned() })
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
        if !self.fleet.leadership.may_raise() {
            return Ok(Sent::NotYet);
        }
        self.send(write, RAISE).await
    }

    /// Down comes first and does not give up: it ends when it succeeds, when its tests fail, or when we do not lead.
    async fn lower(&self, lower: &Lower) -> Result<Sent, PassError> {
        if is_intent(lower.aborted.cause) && !self.is_wish_current().await? {
            return Ok(Sent::Stale);
        }
        let Request::Patch { kind, name, patch } = request(self.world, &Write::Lower(Box::new(lower.clone())))? else {
            return Ok(Sent::Stale);
        };
        let mut pause = PAUSE[0];
        loop {
            let error = match self.patch(Lane::Urgent, kind, &name, &patch, false, LOWER).await {
                Ok(object) => {
                    self.fleet.cache.put(kind, &object);
                    return Ok(Sent::Done);
                }
                Err(CallError::Invalid { .. } | CallError::Missing(_) | CallError::Conflict(_)) => {
                    return self.look(kind, &name).await;
                }
                Err(error) => error,
            };
            self.fleet.context().metrics.error(error.category());
            tracing::error!(namespace = self.namespace(), name, %error, "lowering does not get through; it is tried again");
            if self.fleet.leadership.term().is_none() {
                return Ok(Sent::NotYet);
            }
            tokio::select! {
                () = self.stop.cancelled() => return Ok(Sent::NotYet),
                () = sleep(pause.mul_f64(0.5 + fastrand::f64())) => {}
            }
            pause = (pause * 2).min(PAUSE[1]);
        }
    }

    /// Is the wish that the lower rests on still the one that stands?
    async fn is_wish_current(&self) -> Result<bool, PassError> {
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
