//! Presets: which metric families a gate reads and which label separates the revisions. Data, one file each.

mod envoy;
mod evals;
mod otel_genai;

use microapp_core::strategy::{GateKind, Preset};

use crate::decode::Series;

/// How the targets of a preset are told apart, and which query brings them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// Each pod is a target (`pod`, `job`, `instance`) and serves one revision.
    Pods,
    /// A gateway (`job`, `instance`) exposes both revisions, as clusters.
    Gateway,
    /// Whoever judges (`pod`, `job`, `instance`) exposes both revisions, by the label `revision`.
    Evals,
}

impl Scheme {
    /// The letter that begins the keys of its watermarks.
    pub(crate) const fn letter(self) -> char {
        match self {
            Self::Pods => 'p',
            Self::Gateway => 'g',
            Self::Evals => 'e',
        }
    }
}

/// A preset: the names behind the gates. What a source does not have is left as in [`NOTHING`].
#[derive(Debug)]
pub(crate) struct Definition {
    /// See [`Scheme`].
    pub(crate) scheme: Scheme,
    /// Counters of requests, in order of preference: one is pinned.
    pub(crate) requests: &'static [&'static str],
    /// Which series of all these families stand for a request of a user.
    pub(crate) user: fn(&Series) -> bool,
    /// Which requests are bad.
    pub(crate) bad: Which,
    /// Which requests were refused because there were too many.
    pub(crate) throttled: Which,
    /// Which answers were cut off at the limit of their length.
    pub(crate) truncated: Which,
    /// Histograms of durations without their suffix, in order of preference: one is pinned.
    pub(crate) durations: &'static [&'static str],
    /// The same for the time to the first token of a streamed answer.
    pub(crate) first_token: &'static [&'static str],
    /// The same for the time from one token to the next.
    pub(crate) per_token: &'static [&'static str],
    /// How many of their units are one second.
    pub(crate) per_second: i64,
    /// Counters of tokens; those of one generation are pinned together.
    pub(crate) tokens: &'static [Generation],
    /// Labels that name the model that answered, the surest first.
    pub(crate) model: &'static [&'static str],
    /// Counters of USD, in order of preference.
    pub(crate) spend: &'static [&'static str],
    /// Gauges of how full the key-value cache is, 0 to 1, in order of preference.
    pub(crate) cache: &'static [&'static str],
    /// Gauges of requests that wait.
    pub(crate) queue: &'static [&'static str],
}

/// A source that has nothing.
pub(crate) const NOTHING: Definition = Definition {
    scheme: Scheme::Pods,
    requests: &[],
    user: |_| true,
    bad: Which::None,
    throttled: Which::None,
    truncated: Which::None,
    durations: &[],
    first_token: &[],
    per_token: &[],
    per_second: 1,
    tokens: &[],
    model: &[],
    spend: &[],
    cache: &[],
    queue: &[],
};

/// Which requests are meant.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Which {
    /// The source does not tell.
    None,
    /// Of the counter of requests itself the series for which this is true.
    Among(fn(&Series) -> bool),
    /// Of this other counter the series for which this is true.
    Beside(&'static str, fn(&Series) -> bool),
}

impl Which {
    /// The name of the other counter, where there is one.
    pub(crate) const fn beside(self) -> Option<&'static str> {
        match self {
            Self::Beside(name, _) => Some(name),
            Self::None | Self::Among(_) => None,
        }
    }
}

/// The token counters of one generation of names.
#[derive(Debug)]
pub(crate) struct Generation {
    /// The name and the type of token; `None`: the label `gen_ai_token_type` says it.
    pub(crate) names: &'static [(&'static str, Option<Token>)],
}

/// Types of token with a price of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Input,
    Output,
    /// A subset of `Input`.
    CachedInput,
}

/// The names of a preset.
pub(crate) const fn definition(preset: Preset) -> &'static Definition {
    match preset {
        Preset::OtelGenai => &otel_genai::DEFINITION,
        Preset::Envoy => &envoy::DEFINITION,
        Preset::Evals => &evals::DEFINITION,
    }
}

/// The scheme of a preset.
pub const fn scheme(preset: Preset) -> Scheme {
    definition(preset).scheme
}

pub(crate) use evals::{RESULTS, STARTED, Verdict, verdict};

/// Every name that a gate of this kind may turn out to need, for preflight.
pub(crate) fn candidates(preset: Preset, kind: &GateKind) -> Vec<String> {
    let definition = definition(preset);
    let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    match kind {
        GateKind::ErrorRate { .. } => {
            let mut names = own(definition.requests);
            names.extend(definition.bad.beside().map(str::to_owned));
            names
        }
        GateKind::Latency { .. } => {
            definition.durations.iter().flat_map(|base| [format!("{base}_count"), format!("{base}_bucket")]).collect()
        }
        GateKind::TokenCost { .. } => {
            let mut names = own(definition.requests);
            names.extend(definition.tokens.iter().flat_map(|g| g.names).map(|(name, _)| (*name).to_owned()));
            names
        }
        GateKind::Hallucination { .. } => own(&[STARTED, RESULTS]),
    }
}
