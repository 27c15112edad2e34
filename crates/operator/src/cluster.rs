//! Calls of the API server: each with its own deadline, none repeated behind our back.
//!
//! kube's client has no read timeout, and by default repeats a call 15 times, a POST too. So both clients are built
//! without that; whoever decides also decides what is tried again. The second one is for the lease and for lowering:
//! nothing else may be in front of those.

use std::{sync::Arc, time::Duration};

use kube_client::{
    Client,
    api::{
        ApiResource, DeleteParams, DynamicObject, GetParams, GroupVersionKind, Patch, PatchParams, PostParams,
        Preconditions, Request,
    },
    core::{Resource, request::Error as RequestError},
};
use microapp_api::labels::MANAGER;
use microapp_core::build::Kind;
use serde_json::Value;
use tokio::time::timeout;

use crate::{decode, error::CallError};

/// Deadline of every call that has no shorter one.
pub const CALL: Duration = Duration::from_secs(5);

/// The API server.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    urgent: Client,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cluster")
    }
}

/// Which of the two clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Everything else.
    Normal,
    /// Lowering.
    Urgent,
}

/// Group, version, kind and plural of a kind.
pub fn resource(kind: Kind) -> ApiResource {
    let (group, version, kind, plural) = kind.resource();
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
}

impl Cluster {
    /// Both clients; neither may repeat calls by itself.
    pub const fn new(client: Client, urgent: Client) -> Self {
        Self { client, urgent }
    }

    /// The client of everything else.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The client of lease and lowering.
    pub fn urgent(&self) -> Client {
        self.urgent.clone()
    }

    /// The answer, whatever stands in it: kube's own decoder would refuse an object for a field that nobody here reads,
    /// and write its body into the log.
    async fn send(
        &self,
        lane: Lane,
        kind: Kind,
        verb: &'static str,
        deadline: Duration,
        request: Result<Http, RequestError>,
    ) -> Result<String, CallError> {
        let request = request.map_err(|_| CallError::Other(0))?;
        let client = match lane {
            Lane::Normal => &self.client,
            Lane::Urgent => &self.urgent,
        };
        match timeout(deadline, client.request_text(request)).await {
            Ok(Ok(text)) => Ok(text),
            Ok(Err(error)) => Err(CallError::of(error, verb, kind)),
            Err(_) => Err(CallError::Timeout),
        }
    }

    /// The object as it is now; `None` where there is none.
    pub async fn get(&self, kind: Kind, namespace: &str, name: &str) -> Result<Option<Arc<Value>>, CallError> {
        let request = url(kind, namespace).get(name, &GetParams::default());
        match self.send(Lane::Normal, kind, "get", CALL, request).await {
            Ok(text) => read(&text, kind).map(Some),
            Err(CallError::Missing(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// POST.
    pub async fn create(&self, kind: Kind, namespace: &str, body: &Value) -> Result<Arc<Value>, CallError> {
        let parameters = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        let request = url(kind, namespace).create(&parameters, body.to_string().into_bytes());
        read(&self.send(Lane::Normal, kind, "create", CALL, request).await?, kind)
    }

    /// PATCH with a JSON patch.
    pub async fn patch(&self, call: &PatchCall<'_>) -> Result<Arc<Value>, CallError> {
        let PatchCall { lane, kind, namespace, name, patch, status, deadline } = call;
        let patch: Patch<Value> =
            Patch::Json(serde_json::from_value((*patch).clone()).map_err(|_| CallError::Other(0))?);
        let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let url = url(*kind, namespace);
        let (verb, request) = if *status {
            ("patch the status of", url.patch_subresource("status", name, &parameters, &patch))
        } else {
            ("patch", url.patch(name, &parameters, &patch))
        };
        read(&self.send(*lane, *kind, verb, *deadline, request).await?, *kind)
    }

    /// DELETE of exactly this object; one that is gone is a success.
    pub async fn delete(&self, kind: Kind, namespace: &str, name: &str, uid: &str) -> Result<(), CallError> {
        let preconditions = Some(Preconditions { uid: Some(uid.to_owned()), resource_version: None });
        let parameters = DeleteParams { preconditions, ..DeleteParams::background() };
        match self.send(Lane::Normal, kind, "delete", CALL, url(kind, namespace).delete(name, &parameters)).await {
            Ok(_) | Err(CallError::Missing(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Any document of the API server, as text; `None` where it has none to show.
    pub async fn document(&self, path: &str, deadline: Duration) -> Result<Option<String>, CallError> {
        let request = http::Request::get(path).body(Vec::new()).map_err(|_| CallError::Other(0))?;
        match timeout(deadline, self.client.request_text(request)).await {
            Ok(Ok(text)) => Ok(Some(text)),
            Ok(Err(kube_client::Error::Api(_))) => Ok(None),
            Ok(Err(_)) => Err(CallError::Transport),
            Err(_) => Err(CallError::Timeout),
        }
    }
}

type Http = http::Request<Vec<u8>>;

fn url(kind: Kind, namespace: &str) -> Request {
    Request::new(DynamicObject::url_path(&resource(kind), Some(namespace)))
}

fn read(text: &str, kind: Kind) -> Result<Arc<Value>, CallError> {
    decode::object(text, kind).map_err(|_| CallError::Garbled(kind.as_str()))
}

/// One PATCH.
#[derive(Debug)]
pub struct PatchCall<'a> {
    /// By which client.
    pub lane: Lane,
    /// Of what.
    pub kind: Kind,
    /// Where.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// The operations.
    pub patch: &'a Value,
    /// Its status, not the rest of it.
    pub status: bool,
    /// No longer than this.
    pub deadline: Duration,
}
