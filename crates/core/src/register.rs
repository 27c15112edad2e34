//! The register: what the annotations of the HTTPRoute say about the attempt. Every transition is one write of it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use microapp_api::{conditions::Cause, labels::route as labels};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::revision::Revision;

/// The latch: attempt `attempt` is over, and why. While it stands no weight of that attempt is ever raised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Aborted {
    /// Version of this format.
    pub v: u8,
    /// The attempt that it ends.
    pub attempt: i64,
    /// Why.
    #[serde(deserialize_with = "cause")]
    pub cause: Cause,
    /// The gate that failed.
    #[serde(default)]
    pub gate: Option<String>,
    /// When it was decided.
    pub at: Timestamp,
    /// The canary's counts: bad and requests.
    #[serde(default)]
    pub canary: Option<[i64; 2]>,
    /// Stable's counts at the same time.
    #[serde(default)]
    pub stable: Option<[i64; 2]>,
    /// The evidence, as the natural logarithm with one decimal.
    #[serde(default, rename = "logE")]
    pub log_e: Option<String>,
    /// The token of the command.
    #[serde(default)]
    pub token: Option<String>,
    /// For people: the sentence that was true when it happened. At most 300 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// The last token of each verb that was acted on, and whether a pause is in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Tokens {
    /// Verb → token.
    #[serde(flatten, deserialize_with = "texts")]
    pub taken: BTreeMap<String, String>,
}

impl Tokens {
    /// The register's word for a pause in force.
    const PAUSED: &'static str = "paused";

    /// Is a pause in force?
    pub fn paused(&self) -> bool {
        self.taken.contains_key(Self::PAUSED)
    }

    /// A copy in which a verb's token is taken.
    #[must_use]
    pub fn with(&self, verb: &str, token: &str) -> Self {
        let mut next = self.clone();
        next.taken.insert(verb.to_owned(), token.to_owned());
        next
    }

    /// A copy with the pause in force, or lifted.
    #[must_use]
    pub fn with_pause(&self, paused: bool) -> Self {
        let mut next = self.clone();
        if paused {
            next.taken.insert(Self::PAUSED.to_owned(), "true".to_owned());
        } else {
            next.taken.remove(Self::PAUSED);
        }
        next
    }
}

/// A revision that is tried again only on a retry token; written `<revision>=<cause>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    /// Which.
    pub revision: Revision,
    /// Why.
    pub cause: Cause,
}

impl Rejected {
    fn parse(text: &str) -> Option<Self> {
        let (revision, cause) = text.split_once('=').unwrap_or((text, "Command"));
        Some(Self { revision: Revision::parse(revision)?, cause: known(cause) })
    }
}

/// A later version may know more causes. One that is not known here rejects: an operator that is set back must neither
/// lose the register over it nor try again what was ended.
fn known(cause: &str) -> Cause {
    cause.parse().unwrap_or(Cause::Command)
}

fn cause<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Cause, D::Error> {
    Ok(known(&String::deserialize(deserializer)?))
}

/// Tokens are texts; whatever else a later version keeps beside them is none.
fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    let all = BTreeMap::<String, Value>::deserialize(deserializer)?;
    Ok(all.into_iter().filter_map(|(verb, token)| Some((verb, token.as_str()?.to_owned()))).collect())
}

/// What the annotations of the route say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Register {
    /// The pinned stable revision.
    pub stable: Revision,
    /// The new revision, while an attempt exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Revision>,
    /// 1 for the first revision, one more at each Begin.
    pub attempt: i64,
    /// The index of the step in force; none = weight 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<usize>,
    /// When the weights last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// The latch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aborted: Option<Aborted>,
    /// The last ten rejected revisions, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<Rejected>,
    /// The commands that were acted on.
    #[serde(default, skip_serializing_if = "is_default")]
    pub tokens: Tokens,
}

fn is_default(tokens: &Tokens) -> bool {
    tokens.taken.is_empty()
}

/// How many rejected revisions are remembered.
const REJECTED: usize = 10;

impl Register {
    /// Is the attempt of this register latched as over?
    pub fn is_latched(&self) -> bool {
        self.aborted.as_ref().is_some_and(|aborted| aborted.attempt >= self.attempt)
    }

    /// A copy that also rejects `revision`.
    #[must_use]
    pub fn rejecting(&self, revision: &Revision, cause: Cause) -> Self {
        let mut next = self.forgiving(revision);
        next.rejected.push(Rejected { revision: revision.clone(), cause });
        let surplus = next.rejected.len().saturating_sub(REJECTED);
        next.rejected.drain(..surplus);
        next
    }

    /// A copy that does not reject `revision`.
    #[must_use]
    pub fn forgiving(&self, revision: &Revision) -> Self {
        let mut next = self.clone();
        next.rejected.retain(|known| known.revision != *revision);
        next
    }

    /// Why a revision is rejected, if it is.
    pub fn rejection(&self, revision: &Revision) -> Option<Cause> {
        self.rejected.iter().find(|known| known.revision == *revision).map(|known| known.cause)
    }

    /// Was the token of this verb acted on?
    pub fn took(&self, verb: &str, token: &str) -> bool {
        let latched = self.aborted.as_ref().and_then(|aborted| aborted.token.as_deref());
        self.tokens.taken.get(verb).is_some_and(|taken| taken == token) || (verb == "abort" && latched == Some(token))
    }

    /// Reads the annotations. `Ok(None)`: none of them is there. `Err`: they are there and make no sense.
    pub fn read(annotations: &BTreeMap<String, String>) -> Result<Option<Self>, String> {
        if !annotations.contains_key(labels::STABLE) && !annotations.contains_key(labels::ATTEMPT) {
            return Ok(None);
        }
        let text = |key: &str| annotations.get(key).map(String::as_str).filter(|text| !text.is_empty());
        let revision =
            |key: &str| text(key).map(|text| Revision::parse(text).ok_or(format!("{key} is no revision"))).transpose();
        let stable = revision(labels::STABLE)?.ok_or(format!("{} is missing", labels::STABLE))?;
        let attempt = text(labels::ATTEMPT)
            .and_then(|text| text.parse().ok())
            .filter(|attempt| *attempt >= 1)
            .ok_or(format!("{} is no number", labels::ATTEMPT))?;
        let step = text(labels::STEP)
            .map(|text| text.parse().map_err(|_| format!("{} is no number", labels::STEP)))
            .transpose()?;
        let since = text(labels::SINCE)
            .map(|text| text.parse().map_err(|_| format!("{} is no time", labels::SINCE)))
            .transpose()?;
        Ok(Some(Self {
            stable,
            canary: revision(labels::CANARY)?,
            attempt,
            step,
            since,
            aborted: json(text(labels::ABORTED), labels::ABORTED)?,
            rejected: text(labels::REJECTED)
                .map(|text| text.split(',').filter_map(Rejected::parse).collect())
                .unwrap_or_default(),
            tokens: json(text(labels::TOKENS), labels::TOKENS)?.unwrap_or_default(),
        }))
    }

    /// The annotations that say the same: a value to write, or `None` for one to remove.
    pub fn write(&self) -> BTreeMap<&'static str, Option<String>> {
        // Without `..`: a new field must say how it is kept.
        let Self { stable, canary, attempt, step, since, aborted, rejected, tokens } = self;
        let names = |list: &[Rejected]| {
            let one = |rejected: &Rejected| format!("{}={}", rejected.revision, rejected.cause);
            list.iter().map(one).collect::<Vec<_>>().join(",")
        };
        BTreeMap::from([
            (labels::STABLE, Some(stable.to_string())),
            (labels::CANARY, canary.as_ref().map(Revision::to_string)),
            (labels::ATTEMPT, Some(attempt.to_string())),
            (labels::STEP, step.map(|step| step.to_string())),
            (labels::SINCE, since.map(|since| since.to_string())),
            (labels::ABORTED, aborted.as_ref().and_then(|aborted| serde_json::to_string(aborted).ok())),
            (labels::REJECTED, (!rejected.is_empty()).then(|| names(rejected))),
            (labels::TOKENS, (!is_default(tokens)).then(|| serde_json::to_string(tokens).ok()).flatten()),
        ])
    }
}

fn json<T: for<'de> Deserialize<'de>>(text: Option<&str>, key: &str) -> Result<Option<T>, String> {
    text.map(|text| serde_json::from_str(text).map_err(|_| format!("{key} is not readable"))).transpose()
}
