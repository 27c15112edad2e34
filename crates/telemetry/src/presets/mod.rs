//! Presets: which metric families a gate reads and which label separates the revisions. Data, one file each.

mod envoy;
mod evals;
mod otel_genai;

use microapp_core::strategy::{GateKind, Preset};

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

/// A preset: the names behind the gates.
#[derive(Debug)]
pub(crate) struct Definition {
    /// See [`Scheme`].
    pub(crate) scheme: Scheme,
    /// Counters of requests, in order of preference: one is pinned.
    pub(crate) requests: &'static [&'static str],
    /// Which of them are bad.
    pub(crate) bad: Bad,
    /// Histograms of durations without their suffix, in order of preference: one is pinned.
    pub(crate) durations: &'static [&'static str],
    /// How many of their units are one second.
    pub(crate) per_second: i64,
    /// Counters of tokens; those of one generation are pinned together.
    pub(crate) tokens: &'static [Generation],
}

/// What makes a request a bad one.
#[derive(Debug)]
pub(crate) enum Bad {
    /// `error_type` on the counter of requests itself.
    ErrorType,
    /// Another counter with this label.
    Counter { name: &'static str, label: &'static str, value: &'static str },
    /// This preset has no errors.
    None,
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
pub(crate) use otel_genai::{is_bad, is_request};

/// Every name that a gate of this kind may turn out to need, for preflight.
pub(crate) fn candidates(preset: Preset, kind: &GateKind) -> Vec<String> {
    let definition = definition(preset);
    let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    match kind {
        GateKind::ErrorRate { .. } => {
            let mut names = own(definition.requests);
            if let Bad::Counter { name, .. } = definition.bad {
                names.push(name.to_owned());
            }
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
