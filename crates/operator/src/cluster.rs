//! Calls of the API server: each with its own deadline, none repeated behind our back.
//!
//! kube's client has no read timeout, and by default repeats a call 15 times, a POST too. So both clients are built
//! without that; whoever decides also decides what is tried again. The second one is for the lease and for lowering:
//! nothing else may be in front of those.

use std::{sync::Arc, time::Duration};

use kube_client::{
    Api, Client,
    api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams, Preconditions},
};
use microapp_api::labels::MANAGER;
use microapp_core::build::Kind;
use serde_json::Value;

use crate::error::CallError;

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

    fn api(&self, lane: Lane, kind: Kind, namespace: &str) -> Api<DynamicObject> {
        let client = match lane {
            Lane::Normal => self.client.clone(),
            Lane::Urgent => self.urgent.clone(),
        };
        Api::namespaced_with(client, namespace, &resource(kind))
    }

    /// The object as it is now; `None` where there is none.
    pub async fn get(&self, kind: Kind, namespace: &str, name: &str) -> Result<Option<Arc<Value>>, CallError> {
        let api = self.api(Lane::Normal, kind, namespace);
        let found = within(CALL, api.get_opt(name), "get", kind).await?;
        Ok(found.map(|object| json(&object, kind)))
    }

    /// POST.
    pub async fn create(&self, kind: Kind, namespace: &str, body: Value) -> Result<Arc<Value>, CallError> {
        let body: DynamicObject = serde_json::from_value(body).map_err(|_| CallError::Other(0))?;
        let parameters = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        let api = self.api(Lane::Normal, kind, namespace);
        let object = within(CALL, api.create(&parameters, &body), "create", kind).await?;
        Ok(json(&object, kind))
    }

    /// PATCH with a JSON patch.
    pub async fn patch(&self, call: &PatchCall<'_>) -> Result<Arc<Value>, CallError> {
        let PatchCall { lane, kind, namespace, name, patch, status, deadline } = call;
        let patch: Patch<Value> =
            Patch::Json(serde_json::from_value((*patch).clone()).map_err(|_| CallError::Other(0))?);
        let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let api = self.api(*lane, *kind, namespace);
        let object = if *status {
            within(*deadline, api.patch_status(name, &parameters, &patch), "patch the status of", *kind).await?
        } else {
            within(*deadline, api.patch(name, &parameters, &patch), "patch", *kind).await?
        };
        Ok(json(&object, *kind))
    }

    /// DELETE of exactly this object; one that is gone is a success.
    pub async fn delete(&self, kind: Kind, namespace: &str, name: &str, uid: Option<String>) -> Result<(), CallError> {
        let preconditions = Some(Preconditions { uid, resource_version: None });
        let parameters = DeleteParams { preconditions, ..DeleteParams::background() };
        let api = self.api(Lane::Normal, kind, namespace);
        match within(CALL, api.delete(name, &parameters), "delete", kind).await {
            Ok(_) | Err(CallError::Missing(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }
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

/// The call, no longer than this.
async fn within<T>(
    deadline: Duration,
    call: impl Future<Output = Result<T, kube_client::Error>>,
    verb: &'static str,
    kind: Kind,
) -> Result<T, CallError> {
    match tokio::time::timeout(deadline, call).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(CallError::of(error, verb, kind)),
        Err(_) => Err(CallError::Timeout),
    }
}

/// The object as plain JSON. `managedFields` are kept for the route, where they say who else writes it, and of a
/// Deployment whether somebody wrote its template.
pub(crate) fn json<T: serde::Serialize>(object: &T, kind: Kind) -> Arc<Value> {
    let mut value = serde_json::to_value(object).unwrap_or_default();
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        match kind {
            Kind::Route => {}
            Kind::Deployment => {
                let entries = metadata.get_mut("managedFields").and_then(Value::as_array_mut);
                entries.into_iter().flatten().for_each(shorten);
            }
            Kind::Rollout | Kind::Service | Kind::Record | Kind::ConfigMap | Kind::Pod => {
                metadata.remove("managedFields");
            }
        }
    }
    Arc::new(value)
}

/// All that is asked of an entry is who wrote when, and whether into the template.
fn shorten(entry: &mut Value) {
    let has = |pointer: &str| entry.pointer(pointer).is_some();
    let (spec, labels) =
        (has("/fieldsV1/f:spec/f:template/f:spec"), has("/fieldsV1/f:spec/f:template/f:metadata/f:labels"));
    let mut template = serde_json::json!({});
    if spec {
        template["f:spec"] = serde_json::json!({});
    }
    if labels {
        template["f:metadata"] = serde_json::json!({"f:labels": {}});
    }
    entry["fieldsV1"] = serde_json::json!({"f:spec": {"f:template": template}});
}
