//! What telemetry hands over: integer deltas of complete windows, and what stable did before.

use std::collections::BTreeMap;

pub use microapp_api::v1alpha1::Per;
use microapp_api::values::Nano;
use serde::{Deserialize, Serialize};

use crate::strategy::Preset;

/// Why a gate, or a whole window, says nothing. It never raises and never rolls back by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Unknown {
    /// The evidence is under both thresholds.
    Undecided,
    /// Stable itself is worse than its guard: an incident of the environment.
    Guarded,
    /// The gate, or one of its two sides, was not in the answer.
    NoData,
    /// No sample newer than three scrape intervals.
    Stale,
    /// More bad ones than requests.
    Inconsistent,
    /// A counter fell although its target did not restart.
    NonMonotone,
    /// A new series was born with more than ten times its target's total of the window.
    ImplausibleBirth,
    /// NaN or infinity where a count is meant.
    NotANumber,
    /// Several series where one is meant.
    Ambiguous,
    /// Prometheus warned that its answer is partial.
    Partial,
    /// A sample's time differs from the clock by more than 30 s.
    ClockSkew,
    /// The bucket bounds of the histogram changed.
    SchemaChanged,
    /// The needed bucket bound does not exist.
    MissingBucket,
    /// The model has no price in the table.
    UnknownModel,
    /// Answers have no token count although those of stable had one.
    TokensMissing,
    /// Answers were counted before they were there: streams, measured only to their headers.
    StreamsUnmeasured,
    /// More streams began than were counted at their end: broken off, or left, and counted nowhere.
    StreamsUnfinished,
    /// The comparison is void: another evaluator or another model than the pinned one.
    Void,
    /// The canary gets a fifth, or five times, of the requests that its weight should bring.
    ShareMismatch,
    /// A model server is over its limits.
    Saturated,
    /// The user's own selector or query cannot be used.
    BadQuery,
    /// Prometheus refused the question for one of its own limits, or took too long.
    TooExpensive,
    /// Prometheus did not answer.
    Unreachable,
}

impl Watch {
    /// The longest pace that the scrapes may have now, in seconds, where `interval` is that of the windows.
    pub fn slowest(&self, interval: f64) -> f64 {
        interval.max(self.pace.other as f64 / 1000.0)
    }
}

impl Unknown {
    /// The word in status, metrics and replay answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Undecided => "Undecided",
            Self::Guarded => "Guarded",
            Self::NoData => "NoData",
            Self::Stale => "Stale",
            Self::Inconsistent => "Inconsistent",
            Self::NonMonotone => "NonMonotone",
            Self::ImplausibleBirth => "ImplausibleBirth",
            Self::NotANumber => "NotANumber",
            Self::Ambiguous => "Ambiguous",
            Self::Partial => "Partial",
            Self::ClockSkew => "ClockSkew",
            Self::SchemaChanged => "SchemaChanged",
            Self::MissingBucket => "MissingBucket",
            Self::UnknownModel => "UnknownModel",
            Self::TokensMissing => "TokensMissing",
            Self::StreamsUnmeasured => "StreamsUnmeasured",
            Self::StreamsUnfinished => "StreamsUnfinished",
            Self::Void => "Void",
            Self::ShareMismatch => "ShareMismatch",
            Self::Saturated => "Saturated",
            Self::BadQuery => "BadQuery",
            Self::TooExpensive => "TooExpensive",
            Self::Unreachable => "Unreachable",
        }
    }
}

/// One side (canary or stable) of one gate in one window: integer deltas of raw counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", untagged)]
pub enum Side {
    /// Requests and bad ones among them. `above` counts for Fail, `below` for Pass: they differ only where a latency
    /// threshold lies between two bucket bounds (slower than the upper, slower than the lower).
    Count {
        /// Bad ones for Fail.
        above: u64,
        /// Bad ones for Pass; at least as many.
        below: u64,
        /// Requests.
        total: u64,
    },
    /// Number of requests and the sum of what each cost: pico-USD or tokens.
    Mean {
        /// Requests.
        n: u64,
        /// What they cost together, in pico-USD or tokens.
        #[serde(with = "wide")]
        sum: i128,
    },
    /// Verdicts that arrive late: failed, passed, void (abstained or in error), and evaluations started.
    Late {
        /// Failed verdicts.
        bad: u64,
        /// Passed verdicts.
        good: u64,
        /// Abstained, or in error.
        void: u64,
        /// Evaluations started.
        started: u64,
    },
    /// A value of that time, not a sum: the answer of a query in billionths, or the fullest gauge in billionths of its
    /// limit.
    Value {
        /// Billionths.
        #[serde(with = "wide")]
        nano: i128,
    },
}

impl Side {
    /// A plain count: `bad` of `total`.
    pub const fn count(bad: u64, total: u64) -> Self {
        Self::Count { above: bad, below: bad, total }
    }

    /// A value, rounded to billionths; `None` for NaN, infinities and what is beyond 10^18.
    pub fn value(value: f64) -> Option<Self> {
        Nano::from_f64(value).map(|nano| Self::Value { nano: nano.0 })
    }

    /// Does it contradict itself (more bad ones than requests)? Never clamped away.
    pub const fn is_inconsistent(self) -> bool {
        match self {
            Self::Count { above, below, total } => below > total || above > below,
            Self::Mean { .. } | Self::Late { .. } | Self::Value { .. } => false,
        }
    }
}

/// Both sides of one gate in one window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sides {
    /// The new revision.
    pub canary: Option<Side>,
    /// The pinned stable revision.
    pub stable: Option<Side>,
    /// Stable's windows before and after this one, where its targets are scraped at other moments (30-gates §1).
    #[serde(default, skip_serializing_if = "is_no_pair")]
    pub near: [Option<Side>; 2],
    /// So many of the canary's requests count for no Pass: those that may be probes and scrapes, where the source does not
    /// tell, and of errors those that were neither answered nor failed (throttled, or left by the client).
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub idle: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde hands over a reference
const fn is_nothing(count: &u64) -> bool {
    *count == 0
}

fn is_no_pair(near: &[Option<Side>; 2]) -> bool {
    near[0].is_none() && near[1].is_none()
}

/// One complete window: everything that became known of the interval that ends at `end`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// Its end, in seconds since the Unix epoch (replay: as given).
    pub end: f64,
    /// Its length in seconds.
    pub length: f64,
    /// Per gate, by name: the deltas, or why there are none. A gate that is not in the map is `NoData`.
    pub gates: BTreeMap<String, Result<Sides, Unknown>>,
    /// A delta over more than three intervals, or over a change of weight: for the absolute processes alone.
    pub gap: bool,
    /// Each canary target's previous sample is later than the raise took effect: the window may count for Pass.
    pub inside_step: bool,
}

/// What stable did before the attempt, for one gate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Before {
    /// The counts of that time.
    pub side: Side,
    /// How long it was, in seconds.
    pub seconds: f64,
    /// Overdispersion φ ≥ 1, from at least 30 bad ones; 1 where unknown.
    pub phi: f64,
    /// What it counts per second now, where that is not its mean over all that time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rps: Option<f64>,
    /// Late verdicts: seconds from a request to its verdict, where that is known better than from the counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<f64>,
    /// The source that was chosen; `None` where nothing was to choose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Preset>,
    /// Means: what they are taken over.
    #[serde(default, skip_serializing_if = "is_any_request")]
    pub per: Per,
    /// For people: what they should know of a gate that works nevertheless.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caveat: Option<String>,
}

impl Before {
    /// These counts over so many seconds, and nothing else known.
    pub const fn of(side: Side, seconds: f64) -> Self {
        Self { side, seconds, phi: 1.0, rps: None, delay: None, source: None, per: Per::Request, caveat: None }
    }
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde hands over a reference
pub(crate) fn is_any_request(per: &Per) -> bool {
    *per == Per::Request
}

/// What preflight found for one gate.
pub type BeforeResult = Result<Before, Unfit>;

/// A gate that cannot be used, and the sentence that says why and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unfit {
    /// The class of it.
    pub reason: Unknown,
    /// For people: which series or label is missing.
    pub message: String,
    /// The spec must change (a threshold above the top finite bucket bound): waiting does not help.
    #[serde(default)]
    pub fatal: bool,
}

/// An answer of telemetry to an [`Ask`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Counts {
    /// Nothing was asked, or nothing came yet.
    #[default]
    None,
    /// What stable did before, per gate; the scrape interval in seconds; and what preflight pinned (see [`Watch::pins`]).
    Baseline {
        /// Per gate, by name.
        gates: BTreeMap<String, BeforeResult>,
        /// The scrape interval in seconds.
        interval: f64,
        /// What preflight pinned (see [`Watch::pins`]).
        pins: BTreeMap<String, String>,
    },
    /// The windows that became complete since the last answer, in order of time.
    Windows(Vec<Window>, Watch),
    /// Prometheus did not answer, or not usably.
    Silent(Unknown),
}

/// What telemetry knows beside the counts, kept by the evidence so that a restart can go on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Watch {
    /// Per target: the timestamp (milliseconds since the epoch) of its last used sample.
    pub watermarks: BTreeMap<String, i64>,
    /// Every ready canary pod has been scraped at least once.
    pub canary_seen: bool,
    /// The newest sample of any canary target, seconds since the epoch.
    pub newest: Option<f64>,
    /// When the next scrape is expected to be there: seconds since the epoch.
    pub next: Option<f64>,
    /// Per gate: the metric family and the bucket bounds that preflight chose, in telemetry's own words. Handed back
    /// with each question; a gate without one is chosen for again.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pins: BTreeMap<String, String>,
    /// Per gate of a mean: what its pin takes it over.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub per: BTreeMap<String, Per>,
    /// How far the scrapes are apart, where that is not what preflight found.
    #[serde(default, skip_serializing_if = "Pace::is_default")]
    pub pace: Pace,
    /// Per target whose counters stepped back although nothing restarted: what is not believed of it, and since when.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub doubts: BTreeMap<String, Doubt>,
    /// Per gate that counts failed calls: the streams of this step that began, and what became of them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub streams: BTreeMap<String, Streams>,
}

/// Streams that began, and those that were counted when they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Streams {
    /// Counted since then, in milliseconds since the epoch: the last change of the weight.
    pub since: i64,
    /// The canary's: begun, ended.
    pub canary: [u64; 2],
    /// Stable's: begun, ended.
    pub stable: [u64; 2],
    /// The canary has more that did not end than may be on their way, or are missing at stable too: nothing passes.
    pub open: bool,
}

/// What is not believed of a target whose counters stepped back although nothing restarted: each scrape may have met
/// another process, or another copy of the series.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub struct Doubt {
    /// Its last sample before that, in milliseconds since the epoch; its numbers are not counted twice.
    pub since: i64,
    /// Its last sample that counts for nothing, in milliseconds since the epoch.
    pub until: i64,
    /// Scrapes after `since`, while it is not believed; otherwise 0.
    pub scrapes: u8,
    /// Those at the end in which nothing stepped back.
    pub steady: u8,
    /// Requests that it had counted when it fell and stayed down: a step over one of them may lead back to the process
    /// that had counted so many.
    pub levels: Vec<u64>,
}

/// A doubt in few bytes: there may be one for each of a hundred targets. Since, milliseconds until, scrapes, steady ones.
type Stored = (i64, i64, u8, u8, Vec<u64>);

impl From<Stored> for Doubt {
    fn from((since, until, scrapes, steady, levels): Stored) -> Self {
        Self { since, until: since.saturating_add(until), scrapes, steady, levels }
    }
}

impl From<Doubt> for Stored {
    fn from(doubt: Doubt) -> Self {
        let Doubt { since, until, scrapes, steady, levels } = doubt;
        (since, until.saturating_sub(since), scrapes, steady, levels)
    }
}

impl Doubt {
    /// Scrapes in a row in which nothing steps back, until a target is believed again.
    pub const STEADY: u8 = 3;
    /// Scrapes that it may take to become steady; what it had counted before is a level from then on.
    pub const PATIENCE: u8 = 16;
    /// With so many levels it is several processes for good.
    pub const LEVELS: usize = 8;

    /// Is nothing of it believed at the moment?
    pub const fn holds(&self) -> bool {
        self.scrapes > 0
    }

    /// It will not be believed any more in this attempt.
    pub const fn is_final(&self) -> bool {
        self.levels.len() >= Self::LEVELS
    }
}

/// The length of a window follows the scrapes when somebody changes their interval in mid-attempt: otherwise every delta
/// would be a gap for good, and the gates blind. It changes between two windows, once three in a row were scraped at less
/// than half or more than double the pace; a function of the samples alone, so that a restart finds the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    /// Windows are counted from here: milliseconds since the epoch. `None`: from the beginning of the attempt.
    pub origin: Option<i64>,
    /// Their length in milliseconds. `None`: as preflight found it.
    pub length: Option<i64>,
    /// What the scrapes of the last windows were apart, in milliseconds, where it is another pace; otherwise 0.
    pub other: i64,
    /// Of how many windows in a row.
    pub windows: u8,
}

impl Pace {
    /// Windows of another pace until the length of the windows follows.
    const PATIENCE: u8 = 3;

    /// Takes a window that ended at `end` and is `length` long, whose scrapes were `apart` (all in milliseconds).
    #[must_use]
    pub fn after(self, end: i64, length: i64, apart: Option<i64>) -> Self {
        let Some(apart) = apart else { return self };
        let differs = |than: i64| apart > 2 * than || 2 * apart < than;
        if !differs(length) {
            return Self { other: 0, windows: 0, ..self };
        }
        let windows = if self.other > 0 && !differs(self.other) { self.windows + 1 } else { 1 };
        if windows < Self::PATIENCE {
            return Self { other: apart, windows, ..self };
        }
        Self { origin: Some(end), length: Some(apart), other: 0, windows: 0 }
    }

    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What the next query should bring.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Ask {
    /// What stable did before: preflight.
    Baseline,
    /// Complete windows since the watermarks.
    Windows,
}

/// Integers that may be wider than those of JSON readers: a number where 64 bits hold it, a string of digits otherwise.
mod wide {
    use std::fmt;

    use serde::{Deserializer, Serializer, de};

    #[allow(clippy::trivially_copy_pass_by_ref)] // serde hands over a reference
    pub fn serialize<S: Serializer>(value: &i128, serializer: S) -> Result<S::Ok, S::Error> {
        match i64::try_from(*value) {
            Ok(value) => serializer.serialize_i64(value),
            Err(_) => serializer.collect_str(value),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i128, D::Error> {
        // An untagged enum cannot be asked for 128 bits.
        deserializer.deserialize_any(Wide)
    }

    struct Wide;

    impl de::Visitor<'_> for Wide {
        type Value = i128;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an integer, or a string of digits")
        }

        fn visit_i64<E: de::Error>(self, value: i64) -> Result<i128, E> {
            Ok(i128::from(value))
        }

        fn visit_u64<E: de::Error>(self, value: u64) -> Result<i128, E> {
            Ok(i128::from(value))
        }

        fn visit_str<E: de::Error>(self, value: &str) -> Result<i128, E> {
            value.parse().map_err(|_| E::invalid_value(de::Unexpected::Str(value), &self))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_side_reads_back_from_json() {
        for side in [
            Side::count(1, 2),
            Side::Count { above: 1, below: 2, total: 3 },
            Side::Mean { n: 3, sum: 7 },
            Side::Mean { n: 3, sum: i128::MAX },
            Side::Late { bad: 1, good: 2, void: 3, started: 9 },
            Side::Value { nano: -5 },
            Side::Value { nano: i128::MIN },
        ] {
            let text = serde_json::to_string(&side).unwrap();
            assert_eq!(serde_json::from_str::<Side>(&text).unwrap(), side, "{text}");
        }
    }
}
