//! What preflight chose for a gate: one family of names, two bucket bounds. Kept as text in `Watch::pins`.

use std::collections::BTreeMap;

use microapp_core::{
    counts::{Unfit, Unknown},
    strategy::{Gate, GateKind, Preset},
};
use serde::{Deserialize, Serialize};

use crate::{
    decode::Series,
    presets::{self, Definition, RESULTS, STARTED},
    prices::PriceTable,
};

/// Chosen once per attempt, the same for both revisions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// The counter of requests (of evaluations started), or the histogram without its suffix.
    #[serde(rename = "f")]
    pub family: String,
    /// The greatest bucket bound at or under the threshold, as exposed.
    #[serde(rename = "lo", default, skip_serializing_if = "String::is_empty")]
    pub lower: String,
    /// The smallest bucket bound at or over the threshold, as exposed.
    #[serde(rename = "up", default, skip_serializing_if = "String::is_empty")]
    pub upper: String,
    /// The token counters.
    #[serde(rename = "t", default, skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<String>,
    /// The evaluator's versions that judged stable.
    #[serde(rename = "v", default, skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<String>,
}

impl Pin {
    /// As kept; an unreadable text is no pin.
    pub fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// To be kept.
    pub fn write(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Set where the threshold lies between two bounds that are more than 1.5 times apart: what lies between holds.
    pub fn warning(&self) -> Option<String> {
        let (lower, upper) = (self.lower.parse::<f64>().ok()?, self.upper.parse::<f64>().ok()?);
        (upper > 1.5 * lower).then(|| {
            format!(
                "the threshold lies between the bucket bounds {} and {} of {}: a breach counts over the upper one, a \
                 pass under the lower one",
                self.lower, self.upper, self.family
            )
        })
    }

    /// The names to ask for.
    pub(crate) fn names(&self, gate: &Gate) -> Vec<String> {
        match gate.kind {
            GateKind::ErrorRate { .. } => {
                let mut names = vec![self.family.clone()];
                names.extend(presets::definition(gate.source).bad.beside().map(str::to_owned));
                names
            }
            GateKind::Latency { .. } => vec![format!("{}_count", self.family), format!("{}_bucket", self.family)],
            GateKind::TokenCost { .. } => {
                std::iter::once(self.family.clone()).chain(self.tokens.iter().cloned()).collect()
            }
            GateKind::Hallucination { .. } => vec![STARTED.to_owned(), RESULTS.to_owned()],
        }
    }

    /// The bounds to ask for, in both spellings (`5` and `5.0`).
    pub(crate) fn bounds(&self) -> Vec<String> {
        let mut bounds = Vec::new();
        for bound in [&self.lower, &self.upper] {
            if let Ok(value) = bound.parse::<f64>() {
                bounds.extend([bound.clone(), format!("{value}"), format!("{value:?}")]);
            }
        }
        bounds.sort();
        bounds.dedup();
        bounds
    }
}

fn unfit(reason: Unknown, message: String) -> Unfit {
    Unfit { reason, message, fatal: false }
}

/// Chooses from what stable exposes. `wanted` says in the message what was asked for.
pub(crate) fn choose(gate: &Gate, stable: &[&Series], prices: &PriceTable, wanted: &str) -> Result<Pin, Unfit> {
    let definition = presets::definition(gate.source);
    if presets::candidates(gate.source, &gate.kind).is_empty() || is_foreign(gate) {
        let message = format!("the telemetry preset {:?} has nothing for this kind of gate", gate.source);
        return Err(Unfit { reason: Unknown::NoData, message, fatal: true });
    }
    match &gate.kind {
        GateKind::ErrorRate { .. } => {
            let family = busiest(definition, definition.requests.iter().map(|name| (*name).to_owned()), stable);
            let family = family.ok_or_else(|| missing(definition.requests, wanted))?;
            Ok(Pin { family, ..Pin::default() })
        }
        GateKind::Latency { max_micros, .. } => {
            let counts = definition.durations.iter().map(|base| format!("{base}_count"));
            let Some(count) = busiest(definition, counts, stable) else {
                let names: Vec<String> = definition.durations.iter().map(|base| format!("{base}_count")).collect();
                return Err(missing(&names, wanted));
            };
            let family = count.trim_end_matches("_count").to_owned();
            let (lower, upper) = bounds(&family, stable, *max_micros, definition.per_second)?;
            Ok(Pin { family, lower, upper, ..Pin::default() })
        }
        GateKind::TokenCost { .. } => {
            let family = busiest(definition, definition.requests.iter().map(|name| (*name).to_owned()), stable);
            let family = family.ok_or_else(|| missing(definition.requests, wanted))?;
            let tokens = tokens(gate, stable, prices, wanted)?;
            Ok(Pin { family, tokens, ..Pin::default() })
        }
        GateKind::Hallucination { evaluator, .. } => {
            if !stable.iter().any(|series| series.name() == STARTED) {
                return Err(missing(&[STARTED], wanted));
            }
            let mut versions: Vec<String> = stable
                .iter()
                .filter(|series| series.name() == RESULTS && judged_by(series, evaluator.as_deref()))
                .map(|series| versioned(series))
                .collect();
            versions.sort();
            versions.dedup();
            Ok(Pin { family: STARTED.to_owned(), versions, ..Pin::default() })
        }
    }
}

/// A kind of gate that the preset does not know.
fn is_foreign(gate: &Gate) -> bool {
    let definition = presets::definition(gate.source);
    match gate.kind {
        GateKind::ErrorRate { .. } | GateKind::Latency { .. } => false,
        GateKind::TokenCost { .. } => definition.tokens.is_empty(),
        GateKind::Hallucination { .. } => gate.source != Preset::Evals,
    }
}

/// Is the series of this evaluator (or is any meant)?
pub(crate) fn judged_by(series: &Series, evaluator: Option<&str>) -> bool {
    evaluator.is_none_or(|evaluator| series.label("evaluator") == evaluator)
}

/// Which version of which evaluator.
pub(crate) fn versioned(series: &Series) -> String {
    format!("{}@{}", series.label("evaluator"), series.label("evaluator_version"))
}

fn missing<S: AsRef<str>>(names: &[S], wanted: &str) -> Unfit {
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    unfit(Unknown::NoData, format!("stable has no series {} with {wanted}", names.join(" or ")))
}

/// Of the names that exist the one with the most requests; the first of equals.
fn busiest(definition: &Definition, names: impl Iterator<Item = String>, stable: &[&Series]) -> Option<String> {
    let mut best: Option<(f64, String)> = None;
    for name in names {
        let mut exists = false;
        let mut sum = 0.0;
        for series in stable.iter().filter(|series| series.name() == name && (definition.user)(series)) {
            exists = true;
            sum += series.samples.last().map_or(0.0, |sample| sample.value);
        }
        if exists && best.as_ref().is_none_or(|(most, _)| sum > *most) {
            best = Some((sum, name));
        }
    }
    best.map(|(_, name)| name)
}

/// The bounds around the threshold, as exposed.
fn bounds(family: &str, stable: &[&Series], max_micros: i64, per_second: i64) -> Result<(String, String), Unfit> {
    let mut known: BTreeMap<i64, String> = BTreeMap::new();
    let name = format!("{family}_bucket");
    for series in stable.iter().filter(|series| series.name() == name) {
        let text = series.label("le");
        if let Some(micros) = micros(text, per_second) {
            known.entry(micros).or_insert_with(|| text.to_owned());
        }
    }
    let unit = if per_second == 1_000 { "ms" } else { "s" };
    let threshold = seconds(max_micros);
    let (Some((lowest, low)), Some((highest, top))) = (known.first_key_value(), known.last_key_value()) else {
        let message = format!("{name} has no finite bucket bounds for stable: a native histogram cannot be counted");
        return Err(unfit(Unknown::MissingBucket, message));
    };
    let fatal = |message: String| Unfit { reason: Unknown::MissingBucket, message, fatal: true };
    if max_micros > *highest {
        return Err(fatal(format!(
            "latency threshold {threshold}s is above the highest finite bucket bound {top} {unit} of {family}; nothing \
             slower can be told apart, so the gate could never fail: choose at most {}s",
            seconds(*highest)
        )));
    }
    if max_micros < *lowest {
        return Err(fatal(format!(
            "latency threshold {threshold}s is under the lowest bucket bound {low} {unit} of {family}: choose at least {}s",
            seconds(*lowest)
        )));
    }
    let lower = known.range(..=max_micros).next_back().map_or(low, |(_, text)| text);
    let upper = known.range(max_micros..).next().map_or(top, |(_, text)| text);
    Ok((lower.clone(), upper.clone()))
}

/// A bucket bound in microseconds; `None` for +Inf.
pub(crate) fn micros(le: &str, per_second: i64) -> Option<i64> {
    let value: f64 = le.parse().ok()?;
    value.is_finite().then(|| (value * (1_000_000.0 / per_second as f64)).round() as i64)
}

fn seconds(micros: i64) -> f64 {
    micros as f64 / 1_000_000.0
}

/// The first generation of token counters that has input and output, all of models with a price.
fn tokens(gate: &Gate, stable: &[&Series], prices: &PriceTable, wanted: &str) -> Result<Vec<String>, Unfit> {
    let definition = presets::definition(gate.source);
    for generation in definition.tokens {
        let found: Vec<&&Series> = stable
            .iter()
            .filter(|series| (definition.user)(series) && generation.names.iter().any(|(n, _)| *n == series.name()))
            .collect();
        if found.is_empty() {
            continue;
        }
        for series in &found {
            let (response, request) = (series.label("gen_ai_response_model"), series.label("gen_ai_request_model"));
            let used = series.samples.last().is_some_and(|sample| sample.value > 0.0);
            if used && prices.price(response, request).is_none() {
                let model = if response.is_empty() { request } else { response };
                let message = format!(
                    "the model {model:?} of {} has no price in the price table {}: add it there",
                    series.name(),
                    prices.digest()
                );
                return Err(unfit(Unknown::UnknownModel, message));
            }
        }
        let untyped = |series: &&&Series| {
            let label = series.label("gen_ai_token_type");
            generation.names.iter().any(|(name, token)| *name == series.name() && token.is_none()) && label.is_empty()
        };
        if let Some(series) = found.iter().find(|series| untyped(series)) {
            let message = format!("{} has no label gen_ai_token_type: input and output have two prices", series.name());
            return Err(unfit(Unknown::NoData, message));
        }
        return Ok(generation.names.iter().map(|(name, _)| (*name).to_owned()).collect());
    }
    let names: Vec<&str> = definition.tokens.iter().flat_map(|g| g.names).map(|(name, _)| *name).collect();
    Err(missing(&names, wanted))
}
