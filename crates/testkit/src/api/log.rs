//! What was asked of the server.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use super::path::Target;

/// How a request ended, as the *server* knows it; a lost response is a `Status` here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Under way, or hanging.
    Pending,
    /// Answered with this status.
    Status(u16),
    /// The connection broke before anything was done.
    Dropped,
    /// Done, but the client saw a broken connection.
    Lost(u16),
}

/// One request.
#[derive(Clone, Debug)]
pub struct Request {
    /// Position in the log, from 1.
    pub number: usize,
    /// The client's name: the user agent it sent, or that of [`ApiServer::client_as`](crate::ApiServer::client_as).
    pub agent: String,
    /// get, list, watch, create, update, patch, delete, deletecollection.
    pub verb: &'static str,
    /// Path without the query.
    pub path: String,
    /// Query parameters.
    pub query: BTreeMap<String, String>,
    /// The resource; empty for discovery.
    pub target: Target,
    /// `Content-Type` without parameters.
    pub content_type: String,
    /// `Accept`.
    pub accept: String,
    /// The body; `Null` where there was none.
    pub body: Value,
    /// When it arrived.
    pub time: Timestamp,
    /// How it ended.
    pub outcome: Outcome,
}

impl Request {
    /// Whether it asks for a change. A review of access rights is a POST that changes nothing.
    pub fn is_write(&self) -> bool {
        matches!(self.verb, "create" | "update" | "patch" | "delete" | "deletecollection")
            && self.target.plural != "selfsubjectaccessreviews"
    }

    /// Events and leases are no decisions: they are left out where writes are counted.
    pub fn is_event_or_lease(&self) -> bool {
        matches!(self.target.plural.as_str(), "events" | "leases")
    }

    /// A write that is neither an event nor of a lease.
    pub fn is_decision(&self) -> bool {
        self.is_write() && !self.is_event_or_lease()
    }

    /// `patch httproutes/app` or `update deployments/app/status`, for messages of failed tests.
    pub fn summary(&self) -> String {
        let parts = [&self.target.plural, &self.target.name, &self.target.subresource];
        let what: Vec<&str> = parts.into_iter().map(String::as_str).filter(|p| !p.is_empty()).collect();
        format!("{} {}", self.verb, what.join("/"))
    }
}
