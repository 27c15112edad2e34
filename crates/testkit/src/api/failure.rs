//! Refusals, in the form of `meta/v1.Status`.

use serde_json::{Value, json};

/// A refusal of the API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// HTTP status.
    pub code: u16,
    /// Machine-readable reason, `Conflict`.
    pub reason: String,
    /// For people.
    pub message: String,
    /// `Retry-After` in seconds.
    pub retry_after: Option<u64>,
}

impl Failure {
    /// A refusal with a reason that fits the code.
    pub fn new(code: u16, message: impl Into<String>) -> Self {
        let reason = match code {
            400 => "BadRequest",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "NotFound",
            405 => "MethodNotAllowed",
            409 => "Conflict",
            410 => "Expired",
            415 => "UnsupportedMediaType",
            422 => "Invalid",
            429 => "TooManyRequests",
            500 => "InternalError",
            503 => "ServiceUnavailable",
            504 => "Timeout",
            _ => "Unknown",
        };
        Self { code, reason: reason.into(), message: message.into(), retry_after: None }
    }

    /// 404 for an object.
    pub fn not_found(plural: &str, name: &str) -> Self {
        Self::new(404, format!("{plural} \"{name}\" not found"))
    }

    /// 409 for a name that is taken.
    pub fn already_exists(plural: &str, name: &str) -> Self {
        let mut failure = Self::new(409, format!("{plural} \"{name}\" already exists"));
        failure.reason = "AlreadyExists".into();
        failure
    }

    /// 409 for a write that was decided on an older version.
    pub fn conflict(plural: &str, name: &str) -> Self {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        Self::new(409, format!("Operation cannot be fulfilled on {plural} \"{name}\": {why}"))
    }

    /// 422, as a failed JSON Patch gives it: without details.
    pub fn bad_patch() -> Self {
        Self::new(422, "the server rejected our request due to an error in our request")
    }

    /// The body.
    pub fn status(&self) -> Value {
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "code": self.code,
            "details": {"retryAfterSeconds": self.retry_after.unwrap_or(0)},
        })
    }
}
