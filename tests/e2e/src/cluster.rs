//! The API server and Prometheus, asked with plain paths and answering with plain JSON, so that a test sees what any
//! client would.

use std::sync::LazyLock;

use http::{Method, Request};
use kube_client::{Client, Error};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::HOW;

/// One for all tests: they are many, and each mostly waits.
pub(crate) static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap());

/// The name that changes of the tests have in `metadata.managedFields`.
const MANAGER: &str = "e2e";

/// The lab's API server.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cluster")
    }
}

impl Cluster {
    /// As the administrator, by `KUBECONFIG`.
    pub fn connect() -> Self {
        // Fails only where another test was first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = RUNTIME.block_on(async { Client::try_default().await });
        Self { client: client.expect(HOW) }
    }

    /// The client itself.
    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    fn send(&self, method: Method, path: &str, kind: &str, body: Vec<u8>) -> Result<Value, Error> {
        let request = Request::builder().method(method).uri(path).header("content-type", kind).body(body).unwrap();
        RUNTIME.block_on(self.client.request(request))
    }

    /// An object, if there is one.
    pub fn find(&self, path: &str) -> Option<Value> {
        match self.send(Method::GET, path, "application/json", Vec::new()) {
            Ok(object) => Some(object),
            Err(Error::Api(status)) if status.code == 404 => None,
            Err(error) => panic!("GET {path}: {error}"),
        }
    }

    /// An object that must be there.
    pub fn get(&self, path: &str) -> Value {
        self.find(path).unwrap_or_else(|| panic!("there is no {path}"))
    }

    /// The objects of a list.
    pub fn list(&self, path: &str) -> Vec<Value> {
        self.get(path)["items"].as_array().cloned().unwrap_or_default()
    }

    /// Creates an object, or returns the API server's sentence.
    pub fn create(&self, path: &str, object: &Value) -> Result<Value, String> {
        self.send(Method::POST, path, "application/json", object.to_string().into_bytes()).map_err(
            |error| match error {
                Error::Api(status) => status.message,
                error => panic!("POST {path}: {error}"),
            },
        )
    }

    /// Puts an object in the place of another, as by a hand of the given name.
    pub fn replace(&self, path: &str, hand: &str, object: &Value) -> Value {
        let path = format!("{path}?fieldManager={hand}");
        self.send(Method::PUT, &path, "application/json", object.to_string().into_bytes())
            .unwrap_or_else(|error| panic!("replace {path}: {error}"))
    }

    /// Server-side apply.
    pub fn apply(&self, path: &str, object: &Value) -> Value {
        let path = format!("{path}?fieldManager={MANAGER}&force=true");
        let body = object.to_string().into_bytes();
        self.send(Method::PATCH, &path, "application/apply-patch+yaml", body)
            .unwrap_or_else(|error| panic!("apply {path}: {error}"))
    }

    /// A merge patch, as by a hand of the given name.
    pub fn patch(&self, path: &str, hand: &str, patch: &Value) -> Value {
        let path = format!("{path}?fieldManager={hand}");
        let body = patch.to_string().into_bytes();
        self.send(Method::PATCH, &path, "application/merge-patch+json", body)
            .unwrap_or_else(|error| panic!("patch {path}: {error}"))
    }

    /// Deletes an object if there is one.
    pub fn delete(&self, path: &str) {
        match self.send(Method::DELETE, path, "application/json", Vec::new()) {
            Ok(_) => {}
            Err(Error::Api(status)) if status.code == 404 => {}
            Err(error) => panic!("DELETE {path}: {error}"),
        }
    }
}
