//! What can go wrong in a pass. Each error has a static category, which is metric label and log field. The words of the
//! API server or of a policy, where they say what a person must change, are cleaned, short and without the values that
//! they were said of; nothing else that somebody wrote is carried.

use kube_client::{Error as KubeError, core::Status};
use microapp_api::{limits::REFUSAL, text::clean};
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
    /// 422: a test of the patch failed, the object is not valid, or a policy does not want it.
    #[error("the API server refused to {verb} {kind}: {words}")]
    Invalid {
        /// What.
        verb: &'static str,
        /// Of which kind.
        kind: &'static str,
        /// Why, in its own words.
        words: String,
    },
    /// 404.
    #[error("{0} does not exist")]
    Missing(&'static str),
    /// 401 or 403: a right that is missing, or a policy.
    #[error("not allowed to {verb} {kind}: {words}")]
    Forbidden {
        /// What.
        verb: &'static str,
        /// On which kind.
        kind: &'static str,
        /// Why, in the API server's own words.
        words: String,
    },
    /// Any other refusal that is none of the moment: an admission webhook chooses its own code, or cannot be called.
    #[error("the API server refused to {verb} {kind} ({code}): {words}")]
    Refused {
        /// What.
        verb: &'static str,
        /// On which kind.
        kind: &'static str,
        /// The status.
        code: u16,
        /// Why, in its own words.
        words: String,
    },
    /// 410: the version or the page that was asked for is not kept any more.
    #[error("the API server does not keep that version any more")]
    Gone,
    /// An answer that is none of this API.
    #[error("{0}: the answer of the API server cannot be read")]
    Garbled(&'static str),
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
            Self::Refused { .. } => "refused",
            Self::Gone => "gone",
            Self::Garbled(_) => "garbled",
            Self::Busy(_) => "busy",
            Self::Timeout => "timeout",
            Self::Transport => "transport",
            Self::Other(_) => "other",
        }
    }

    /// Did the API server answer, so that waiting for it is not what helps?
    pub const fn is_answer(&self) -> bool {
        match self {
            Self::Conflict(_)
            | Self::Exists(_)
            | Self::Invalid { .. }
            | Self::Missing(_)
            | Self::Forbidden { .. }
            | Self::Refused { .. }
            | Self::Gone
            | Self::Garbled(_)
            | Self::Busy(_)
            | Self::Other(_) => true,
            Self::Timeout | Self::Transport => false,
        }
    }

    /// Was it refused for what a person must change?
    pub const fn is_refusal(&self) -> bool {
        matches!(self, Self::Invalid { .. } | Self::Forbidden { .. } | Self::Refused { .. })
    }

    /// Reads kube's error.
    pub(crate) fn of(error: KubeError, verb: &'static str, kind: Kind) -> Self {
        let kind = kind.as_str();
        let KubeError::Api(status) = error else {
            tracing::debug!(verb, kind, "the call did not come to an answer");
            return Self::Transport;
        };
        tracing::debug!(code = status.code, reason = clean(&status.reason, 64), verb, kind, "call refused");
        let webhook = || status.message.contains("failed calling webhook");
        match status.code {
            409 if status.reason == "AlreadyExists" => Self::Exists(kind),
            409 => Self::Conflict(kind),
            422 => Self::Invalid { verb, kind, words: words(&status) },
            404 => Self::Missing(kind),
            401 | 403 => Self::Forbidden { verb, kind, words: words(&status) },
            410 => Self::Gone,
            code @ 500..=599 if webhook() => Self::Refused { verb, kind, code, words: words(&status) },
            code @ (429 | 500..=599) => Self::Busy(code),
            code @ 400..=499 => Self::Refused { verb, kind, code, words: words(&status) },
            code => Self::Other(code),
        }
    }
}

/// What was said of it: of each field where fields are named, otherwise the message.
fn words(status: &Status) -> String {
    let causes = status.details.as_ref().map(|details| details.causes.as_slice()).unwrap_or_default();
    let of_fields: Vec<_> = causes
        .iter()
        .filter(|cause| !cause.field.is_empty())
        .map(|cause| format!("{}: {}", cause.field, without_values(&cause.message)))
        .collect();
    let said = if of_fields.is_empty() { without_values(&status.message) } else { of_fields.join("; ") };
    // An answer that was no Status of Kubernetes is a page of somebody in between.
    let foreign = status.reason == "Failed to parse error data" || said.trim_start().starts_with('<');
    if foreign || said.is_empty() { "no reason was given".to_owned() } else { clean(&said, REFUSAL) }
}

/// Validation says `Invalid value: "…": what is wrong`, and the value may be a secret.
fn without_values(text: &str) -> String {
    const MARK: &str = " value: ";
    let mut rest = text;
    let mut said = String::new();
    while let Some(at) = rest.find(MARK) {
        let (before, after) = rest.split_at(at + MARK.len());
        said.push_str(before);
        rest = after.get(value(after)..).unwrap_or_default();
        said.push('…');
    }
    said.push_str(rest);
    said
}

/// How many bytes the value takes that `text` begins with: a quoted one up to its quote, any other up to `": "`.
fn value(text: &str) -> usize {
    if let Some(quoted) = text.strip_prefix('"') {
        let mut escaped = false;
        for (at, c) in quoted.char_indices() {
            match c {
                '"' if !escaped => return at + 2,
                '\\' => escaped = !escaped,
                _ => escaped = false,
            }
        }
        return text.len();
    }
    text.find(": ").unwrap_or(text.len())
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
    /// A child that we deleted, or somebody else, does not go.
    #[error("{kind} {name} has been deleted and does not go: it waits for {finalizers}")]
    Lingers {
        /// Of which kind.
        kind: &'static str,
        /// Its name.
        name: String,
        /// The finalizers that hold it.
        finalizers: String,
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
            Self::Lingers { .. } => "lingers",
            Self::Panic => "panic",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_refusal_come_without_the_values_that_they_were_said_of() {
        let said = "Deployment.apps \"a\" is invalid: spec.x: Invalid value: \"hunter2: \\\"x\": must be short, spec.y: \
                    Duplicate value: {\"name\":\"s3cret\"}: only once, spec.z: Unsupported value: 7: supported: a";
        let told = without_values(said);
        assert!(!told.contains("hunter2") && !told.contains("s3cret"), "{told}");
        for kept in
            ["spec.x: Invalid value: …: must be short", "spec.y: Duplicate value: …: only once", "…: supported: a"]
        {
            assert!(told.contains(kept), "{kept}: {told}");
        }
        assert_eq!(without_values("denied by policy: weight: no"), "denied by policy: weight: no");
    }
}
