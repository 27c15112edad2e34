//! The cluster as kubectl would reach it: one object, its route, and changes of both.

use std::time::Duration;

use futures::{Stream, StreamExt, future};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube_client::{
    Api, Client, Config, ResourceExt,
    api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use kube_runtime::{WatchStreamExt, watcher};
use microapp_api::{names, v1alpha1::MicroAppRollout};
use microapp_core::{lens::Prompts, register::Register};
use serde_json::json;

use crate::{
    args::ClusterArgs,
    exit::{Failure, chain},
    manifest,
    view::View,
};

/// Field manager of the annotations that are written.
const MANAGER: &str = "kubectl-microapp";

/// One namespace of one cluster.
#[derive(Clone, Debug)]
pub struct Cluster {
    rollouts: Api<MicroAppRollout>,
    routes: Api<DynamicObject>,
    config_maps: Api<ConfigMap>,
    /// Where it looks.
    pub namespace: String,
    patience: Duration,
}

impl Cluster {
    /// From the kubeconfig (`--kubeconfig`, `$KUBECONFIG`, `~/.kube/config`), or from inside a pod.
    ///
    /// # Errors
    /// No usable kubeconfig, or credentials that cannot be had.
    pub async fn connect(args: &ClusterArgs) -> Result<Self, Failure> {
        let mut config = configure(args).await?;
        if let Some(namespace) = &args.namespace {
            config.default_namespace.clone_from(namespace);
        }
        if !args.request_timeout.is_zero() {
            config.connect_timeout = Some(args.request_timeout);
        }
        let namespace = config.default_namespace.clone();
        Ok(Self::new(Client::try_from(config)?, namespace, args.request_timeout))
    }

    /// With a client at hand.
    pub fn new(client: Client, namespace: String, patience: Duration) -> Self {
        let route = ApiResource::from_gvk(&GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "HTTPRoute"));
        Self {
            rollouts: Api::namespaced(client.clone(), &namespace),
            config_maps: Api::namespaced(client.clone(), &namespace),
            routes: Api::namespaced_with(client, &namespace, &route),
            namespace,
            patience,
        }
    }

    /// The rollout and what its route says; `None` where there is no such rollout.
    ///
    /// # Errors
    /// The API server's answer, or its silence.
    pub async fn find(&self, name: &str) -> Result<Option<View>, Failure> {
        match self.timed(self.rollouts.get_opt(name)).await? {
            Some(rollout) => self.beside(rollout).await.map(Some),
            None => Ok(None),
        }
    }

    /// The content of a ConfigMap; `None` where there is none of the name.
    ///
    /// # Errors
    /// The API server's answer, or its silence.
    pub async fn prompts(&self, name: &str) -> Result<Option<Prompts>, Failure> {
        let found = self.timed(self.config_maps.get_opt(name)).await?;
        Ok(found.map(serde_json::to_value).transpose()?.as_ref().map(manifest::prompts))
    }

    /// That there is no such rollout.
    pub fn absent(&self, name: &str) -> String {
        format!("there is no rollout {name} in namespace {}", self.namespace)
    }

    /// The rollout and what its route says.
    ///
    /// # Errors
    /// The API server's answer, or its silence.
    pub async fn view(&self, name: &str) -> Result<View, Failure> {
        let rollout = self.timed(self.rollouts.get(name)).await?;
        self.beside(rollout).await
    }

    /// The revision that is stable in a rollout; `None` where there is no such rollout, or nothing is stable in it.
    ///
    /// # Errors
    /// The API server's answer, or its silence.
    pub async fn stable(&self, name: &str) -> Result<Option<String>, Failure> {
        let rollout = self.timed(self.rollouts.get_opt(name)).await?;
        Ok(rollout.and_then(|rollout| Some(rollout.status?.stable?.revision)))
    }

    /// What was recorded of a revision's attempts.
    ///
    /// # Errors
    /// The API server's answer, or its silence; there is none.
    pub async fn trace(&self, name: &str, revision: &str) -> Result<ConfigMap, Failure> {
        let trace = names::trace(name, revision);
        let found = self.timed(self.config_maps.get_opt(&trace)).await?;
        found.ok_or_else(|| {
            Failure::error(format!(
                "there is no trace of revision {revision}: it has had no traffic yet, or its records are gone ({trace})"
            ))
        })
    }

    /// A rollout with its route. Someone who may not read routes sees the rest.
    async fn beside(&self, rollout: MicroAppRollout) -> Result<View, Failure> {
        let (register, hidden) = match self.timed(self.routes.get_opt(&names::route(&rollout.name_any()))).await {
            Ok(route) => (route.as_ref().and_then(register_of), false),
            Err(failure) if failure.is_forbidden() => (None, true),
            Err(failure) => return Err(failure),
        };
        Ok(View { rollout, register, hidden, now: Timestamp::now() })
    }

    /// The rollout now and after each of its changes; `None` while there is none.
    pub fn views(&self, name: &str) -> impl Stream<Item = Result<Option<View>, Failure>> + use<> {
        let cluster = self.clone();
        watcher::watch_object(self.rollouts.clone(), name)
            .default_backoff()
            .filter_map(|item| future::ready(lasting(item)))
            .then(move |item| {
                let cluster = cluster.clone();
                async move {
                    match item? {
                        None => Ok(None),
                        Some(rollout) => cluster.beside(rollout).await.map(Some),
                    }
                }
            })
    }

    /// What the route says now and after each of its changes; `None` where it says nothing.
    pub fn registers(&self, name: &str) -> impl Stream<Item = Result<Option<Register>, Failure>> + use<> {
        watcher::watch_object(self.routes.clone(), &names::route(name))
            .default_backoff()
            .filter_map(|item| future::ready(lasting(item)))
            .map(|item| item.map(|route| route.as_ref().and_then(register_of)))
    }

    /// Writes one annotation of the rollout and nothing else.
    ///
    /// # Errors
    /// The API server's answer, or its silence.
    pub async fn annotate(&self, name: &str, key: &str, value: &str) -> Result<(), Failure> {
        let patch = json!({"metadata": {"annotations": {key: value}}});
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        self.timed(self.rollouts.patch(name, &params, &Patch::Merge(patch))).await.map(drop)
    }

    async fn timed<T>(&self, request: impl Future<Output = kube_client::Result<T>>) -> Result<T, Failure> {
        if self.patience.is_zero() {
            return Ok(request.await?);
        }
        match tokio::time::timeout(self.patience, request).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(Failure::error("the API server did not answer within --request-timeout")),
        }
    }
}

async fn configure(args: &ClusterArgs) -> Result<Config, Failure> {
    let options = KubeConfigOptions { context: args.context.clone(), ..KubeConfigOptions::default() };
    let unreadable = |error: &dyn std::error::Error| Failure::error(format!("no usable kubeconfig: {}", chain(error)));
    let read = match &args.kubeconfig {
        Some(path) => Kubeconfig::read_from(path).map_err(|error| unreadable(&error))?,
        // A pod has no kubeconfig but its service account.
        None if args.context.is_none() => return Config::infer().await.map_err(|error| unreadable(&error)),
        None => Kubeconfig::read().map_err(|error| unreadable(&error))?,
    };
    Config::from_custom_kubeconfig(read, &options).await.map_err(|error| unreadable(&error))
}

fn register_of(route: &DynamicObject) -> Option<Register> {
    Register::read(route.annotations()).ok().flatten()
}

/// An API server that is away comes back; one that says no does not change its mind.
fn lasting<T>(item: Result<T, watcher::Error>) -> Option<Result<T, Failure>> {
    let status = match item {
        Ok(object) => return Some(Ok(object)),
        Err(
            watcher::Error::InitialListFailed(kube_client::Error::Api(status))
            | watcher::Error::WatchStartFailed(kube_client::Error::Api(status)),
        ) => status,
        Err(_) => return None,
    };
    matches!(status.code, 401 | 403 | 404).then(|| Err(Failure::from(*status)))
}
