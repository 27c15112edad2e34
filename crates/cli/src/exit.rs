//! How the program ends: the exit codes are a contract that pipelines wait on.

use std::fmt;

use kube_client::core::Status;

/// The exit codes of all verbs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done; with `--exit-code`: the wanted revision is promoted.
    Ok = 0,
    /// Something went wrong that is no answer: no cluster, no such object, no right to see it.
    Error = 1,
    /// The command line or a file is malformed.
    Usage = 2,
    /// Not over when the time was.
    InProgress = 3,
    /// All traffic went back to the stable revision.
    RolledBack = 4,
    /// Nothing moves before a person acts.
    Stalled = 5,
    /// A person took it back.
    Aborted = 6,
    /// Another revision took its place.
    Superseded = 7,
}

impl Exit {
    /// As the process returns it.
    pub const fn code(self) -> u8 {
        self as u8
    }
}

/// A verb that ends without its result: the code, and one sentence for stderr.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What the process returns.
    pub exit: Exit,
    /// What stderr says; empty where everything is said already.
    pub message: String,
}

impl Failure {
    /// With exit code 1.
    pub fn error(message: impl fmt::Display) -> Self {
        Self { exit: Exit::Error, message: message.to_string() }
    }

    /// Is it the want of a right?
    pub fn is_forbidden(&self) -> bool {
        self.message.contains("forbidden")
    }

    /// With exit code 2.
    pub fn usage(message: impl fmt::Display) -> Self {
        Self { exit: Exit::Usage, message: message.to_string() }
    }

    /// With exit code 3.
    pub fn time_out(message: impl fmt::Display) -> Self {
        Self { exit: Exit::InProgress, message: message.to_string() }
    }
}

/// The API server's own sentence says most; the client's wrapping of it says it twice.
impl From<kube_client::Error> for Failure {
    fn from(error: kube_client::Error) -> Self {
        match error {
            kube_client::Error::Api(status) => Self::from(*status),
            kube_client::Error::Service(cause) => Self::error(format!("the API server does not answer: {cause}")),
            other => Self::error(chain(&other)),
        }
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        let message = if status.message.is_empty() { status.reason } else { status.message };
        Self::error(format!("the API server says: {message}"))
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::error(error)
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::error(error)
    }
}

/// An error with its causes, each said once.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    text
}
