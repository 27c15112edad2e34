//! Condition types, the closed set of their reasons, and the causes that end an attempt.
//!
//! Reasons are API: scripts match on them, so a spelling never changes and a new one is added here, with its meaning.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A word that is not one of a closed set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{word:?} is not a {set}")]
pub struct UnknownWord {
    /// The word.
    pub word: String,
    /// The set that it was looked for in.
    pub set: &'static str,
}

macro_rules! words {
    ($(#[$meta:meta])* $name:ident, $set:literal, { $($(#[doc = $doc:literal])+ $word:ident,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum $name { $($(#[doc = $doc])+ $word,)+ }

        impl $name {
            /// Every word of the set, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$word,)+];

            /// The word as the API spells it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$word => stringify!($word),)+ }
            }

            /// What it means, in one sentence or two.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$word => concat!($($doc),+).trim_ascii(),)+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(word: &str) -> Result<Self, UnknownWord> {
                match word {
                    $(stringify!($word) => Ok(Self::$word),)+
                    _ => Err(UnknownWord { word: word.to_owned(), set: $set }),
                }
            }
        }
    };
}

words! {
    /// The types of `status.conditions`.
    ConditionType, "condition type", {
        /// The wanted revision is promoted and serves.
        Ready,
        /// Something is under way; present only when true.
        Reconciling,
        /// Nothing moves before a person acts; present only when true.
        Stalled,
        /// The stable revision has its pods; the pager's signal.
        Available,
        /// The route gives the weights that the register names, and its gateways accepted it.
        TrafficSynced,
        /// Every blocking gate passes, or none is asked.
        GatesPassing,
        /// The last attempt ended with all traffic back on stable.
        RolledBack,
        /// The ramp waits for a person.
        Paused,
    }
}

words! {
    /// The reasons of all conditions, also those of the events that go with them.
    Reason, "condition reason", {
        /// A new revision is being prepared, tried or retired.
        Progressing,
        /// The ramp waits for a person to resume it.
        AwaitingApproval,
        /// The wanted revision went through all steps and is stable.
        Promoted,
        /// The first revision became stable; there was nothing to compare it with.
        InitialRevision,
        /// The first revision cannot become ready; a new one simply replaces it.
        InitialRevisionFailed,
        /// All traffic is back on the stable revision, and the wanted one is rejected.
        RolledBack,
        /// A gate failed: the canary is worse than allowed.
        GateFailed,
        /// A container of the canary keeps exiting.
        CrashLoop,
        /// A container of the canary used more memory than its limit.
        OOMKilled,
        /// A person commanded it.
        Command,
        /// A newer revision took the place of the one on trial.
        Superseded,
        /// The spec was set back to the stable revision.
        SetBack,
        /// `spec.replicas` is 0: nothing runs and no attempt starts.
        ScaledToZero,
        /// The HTTPRoute disappeared or lost its record; the attempt was given up.
        RouteLost,
        /// The pods of the revision did not become ready in time.
        NotReady,
        /// The image could not be pinned to a digest.
        PinFailed,
        /// The objects disagree about which revision is stable, and the route does not say.
        PinConflict,
        /// A gateway did not accept the route, or did not answer in time.
        RouteNotAccepted,
        /// An older rollout of the namespace serves the same gateway, host and path.
        RouteConflict,
        /// Someone else changed the route; it is put right.
        RouteContested,
        /// The route has the wanted weights and its gateways accepted it.
        RouteSynced,
        /// The route was written and its gateways have not answered yet.
        RoutePending,
        /// A latency gate's bound is above the histogram's largest finite bucket, so that it could never fail.
        ThresholdAboveBuckets,
        /// The ConfigMap of the prompts does not exist, or cannot be read.
        PromptsMissing,
        /// The image cannot be pulled.
        ImagePullFailed,
        /// A blocking gate has no usable data for the stable revision, so that the ramp does not start.
        PreflightFailed,
        /// A step has neither passed nor failed.
        Inconclusive,
        /// A gate has no data.
        NoData,
        /// Prometheus does not answer.
        PrometheusUnavailable,
        /// The canary has too few ready pods for its share, or stable for its own.
        CapacityLost,
        /// The stable revision suffers too: an incident of the environment, so that the ramp pauses.
        EnvironmentIncident,
        /// The comparison is void: another model or evaluator answers, or the canary does not get its share.
        ComparisonVoid,
        /// No request of the canary completes.
        NoCompletions,
        /// The spec cannot be used as it is; the message says what to change.
        InvalidSpec,
        /// The price table does not know the model, so that its cost cannot be counted.
        UnknownModel,
        /// Every blocking gate passes.
        GatesPass,
        /// Nothing is being compared.
        NotComparing,
        /// No gate of the preset has data for the stable revision; only pod failures can turn this rollout back.
        NotWatched,
        /// The stable revision has its pods.
        StableAvailable,
        /// The stable revision has fewer ready pods than asked for.
        StableBelowMinimum,
        /// Nothing was promoted yet.
        NothingStable,
        /// The last attempt was not rolled back.
        NoRollback,
        /// The ramp is not paused.
        NotPaused,
        /// The operator may not do something that it needs; the message names verb and resource.
        Forbidden,
        /// The API server or an admission policy refuses a write; the message has its words.
        Refused,
        /// The API server takes a write and stores something else, or somebody changes it back each time; the message
        /// names the field.
        NotKept,
        /// A rollback is decided and does not get through, so that users still reach the canary; the message says why.
        RollbackBlocked,
        /// A child of the wanted name exists and belongs to somebody else.
        NameTaken,
        /// The object is being deleted.
        Deleting,
        /// The API server or a watch is behind; nothing is decided on old data.
        StaleCache,
    }
}

words! {
    /// What ended an attempt without promotion; part of the route's record and of status.
    Cause, "cause", {
        /// A gate failed.
        GateFailed,
        /// A container of the canary kept exiting.
        CrashLoop,
        /// A container of the canary used more memory than its limit.
        OOMKilled,
        /// A person commanded it.
        Command,
        /// The pods did not become ready in time.
        NotReady,
        /// The image could not be pinned to a digest.
        PinFailed,
        /// A newer revision took its place.
        Superseded,
        /// The spec was set back to the stable revision.
        SetBack,
        /// `spec.replicas` went to 0.
        ScaledToZero,
        /// The HTTPRoute disappeared or lost its record.
        RouteLost,
        /// A step had neither passed nor failed in time, and `onInconclusive` says `Rollback`.
        Inconclusive,
    }
}

impl Cause {
    /// Whether the revision is not tried again by itself: only a retry token or a new revision starts again.
    pub const fn rejects(self) -> bool {
        match self {
            Self::GateFailed
            | Self::CrashLoop
            | Self::OOMKilled
            | Self::Command
            | Self::NotReady
            | Self::PinFailed
            | Self::Inconclusive => true,
            Self::Superseded | Self::SetBack | Self::ScaledToZero | Self::RouteLost => false,
        }
    }

    /// The condition reason of the same name.
    pub const fn reason(self) -> Reason {
        match self {
            Self::GateFailed => Reason::GateFailed,
            Self::CrashLoop => Reason::CrashLoop,
            Self::OOMKilled => Reason::OOMKilled,
            Self::Command => Reason::Command,
            Self::NotReady => Reason::NotReady,
            Self::PinFailed => Reason::PinFailed,
            Self::Superseded => Reason::Superseded,
            Self::SetBack => Reason::SetBack,
            Self::ScaledToZero => Reason::ScaledToZero,
            Self::RouteLost => Reason::RouteLost,
            Self::Inconclusive => Reason::Inconclusive,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_word_reads_back_as_itself_and_has_a_meaning() {
        for reason in Reason::ALL {
            assert_eq!(reason.as_str().parse::<Reason>().unwrap(), *reason);
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
            assert!(reason.meaning().ends_with('.') && !reason.meaning().starts_with(' '), "{reason}");
        }
        for kind in ConditionType::ALL {
            assert_eq!(kind.as_str().parse::<ConditionType>().unwrap(), *kind);
        }
    }

    #[test]
    fn a_cause_has_the_reason_of_its_name() {
        for cause in Cause::ALL {
            assert_eq!(cause.reason().as_str(), cause.as_str());
        }
    }

    #[test]
    fn a_strange_word_is_named_in_the_error() {
        assert_eq!("Maybe".parse::<Cause>().unwrap_err().to_string(), "\"Maybe\" is not a cause");
    }
}
