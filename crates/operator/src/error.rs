//! What can go wrong in a pass. Each error has a static category, which is metric label and log field; none carries a
//! byte that somebody else wrote.

use kube_client::Error as KubeError;
use microapp_core::build::{Kind, Unbuildable};

/// A call of the API server that did not do what it was to do.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// 409 Conflict: decided on an older version.
    #[error("{0} was changed meanwhile")]
    Conflict(&'static str),
    /// 409 AlreadyExists.
    #[error("{0} exists already")]
    Exists(&'static str),
    /// 422: a test of the patch failed, or the object is not valid.
    #[error("{kind} was refused as invalid: {detail}")]
    Invalid {
        /// Of which kind.
        kind: &'static str,
        /// The API server's own words on the fields.
        detail: String,
    },
    /// 404.
    #[error("{0} does not exist")]
    Missing(&'static str),
    /// 401 or 403.
    #[error("not allowed to {verb} {kind}")]
    Forbidden {
        /// What.
        verb: &'static str,
        /// On which kind.
        kind: &'static str,
    },
    /// 429 and 5xx.
    #[error("the API server answered {0}")]
    Busy(u16),
    /// No answer within the deadline of the call.
    #[error("no answer in time")]
    Timeout,
    /// No connection, or one that broke off.
    #[error("the API server cannot be reached")]
    Transport,
    /// Anything else.
    #[error("an answer with status {0} that nothing is known of")]
    Other(u16),
}

impl CallError {
    /// Metric label.
    pub const fn category(&self) -> &'static str {
        match self {
            Self::Conflict(_) => "conflict",
            Self::Exists(_) => "exists",
            Self::Invalid { .. } => "invalid",
            Self::Missing(_) => "missing",
            Self::Forbidden { .. } => "forbidden",
            Self::Busy(_) => "busy",
            Self::Timeout => "timeout",
            Self::Transport => "transport",
            Self::Other(_) => "other",
        }
    }

    /// Reads kube's error.
    pub(crate) fn of(error: KubeError, verb: &'static str, kind: Kind) -> Self {
        let kind = kind.as_str();
        let KubeError::Api(status) = error else {
            tracing::debug!(%error, verb, kind, "call failed");
            return Self::Transport;
        };
        tracing::debug!(
            code = status.code,
            reason = status.reason,
            message = status.message,
            verb,
            kind,
            "call refused"
        );
        match status.code {
            409 if status.reason == "AlreadyExists" => Self::Exists(kind),
            409 => Self::Conflict(kind),
            422 => Self::Invalid { kind, detail: fields(&status) },
            404 => Self::Missing(kind),
            401 | 403 => Self::Forbidden { verb, kind },
            code @ (429 | 500..=599) => Self::Busy(code),
            code => Self::Other(code),
        }
    }
}

/// The names of the fields that were refused, without their values.
fn fields(status: &kube_client::core::Status) -> String {
    let causes = status.details.as_ref().map(|details| details.causes.as_slice()).unwrap_or_default();
    let names: Vec<_> = causes.iter().map(|cause| cause.field.as_str()).filter(|field| !field.is_empty()).collect();
    if names.is_empty() { "a test of the patch failed".to_owned() } else { names.join(", ") }
}

/// Why a pass did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    /// The API server.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The write cannot be put together.
    #[error(transparent)]
    Build(#[from] Unbuildable),
    /// The name of a child is taken by an object that is not ours.
    #[error("{kind} {name} exists and belongs to somebody else")]
    NameTaken {
        /// Of which kind.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// A panic; the pass is given up, the others go on.
    #[error("the pass panicked")]
    Panic,
}

impl PassError {
    /// Metric label.
    pub const fn category(&self) -> &'static str {
        match self {
            Self::Call(error) => error.category(),
            Self::Build(_) => "build",
            Self::NameTaken { .. } => "name_taken",
            Self::Panic => "panic",
        }
    }
}
