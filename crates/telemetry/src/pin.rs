//! What preflight chose for a gate: one family of names, two bucket bounds. Kept as text in `Watch::pins`.

use std::collections::BTreeMap;

use microapp_core::{
    counts::{Unfit, Unknown},
    strategy::{Gate, GateKind, Judged, Mean, Share},
};
use serde::{Deserialize, Serialize};

use crate::{
    native,
    own::Picked,
    presets::{self, Definition, FEEDBACK, Form, Place, RESULTS, STARTED, Scheme},
    prices::PriceTable,
    series::Series,
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

    /// Is the family of native histograms?
    fn form(&self) -> Form {
        if self.upper.contains(native::MARK) { Form::Native } else { Form::Classic }
    }

    /// The names to ask for of a scheme.
    pub(crate) fn names(&self, gate: &Gate, scheme: Scheme) -> Vec<String> {
        let definition = presets::definition(gate.source);
        if definition.scheme != scheme {
            return presets::candidates(gate, scheme);
        }
        match &gate.kind {
            GateKind::Share { what: Share::Ratio { .. }, .. } | GateKind::Judged { .. } | GateKind::Query { .. } => {
                presets::candidates(gate, scheme)
            }
            GateKind::Share { what, .. } => {
                let beside = match definition.place(what) {
                    Place::Beside(name) => Some(name.to_owned()),
                    Place::Of(_) | Place::Requests | Place::Nowhere => None,
                };
                std::iter::once(self.family.clone()).chain(beside).collect()
            }
            GateKind::Slow { .. } => presets::histogram(&self.family, self.form()),
            GateKind::Mean { .. }
            | GateKind::Budget { .. }
            | GateKind::Model { .. }
            | GateKind::Traffic
            | GateKind::Saturation { .. } => {
                let family = Some(self.family.clone()).filter(|family| !family.is_empty());
                family.into_iter().chain(self.tokens.iter().cloned()).collect()
            }
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
    let requests = || {
        let names = definition.requests.iter().map(|name| (*name).to_owned());
        busiest(definition, names, stable).ok_or_else(|| missing(definition.requests, wanted))
    };
    let of = |family: String| Ok(Pin { family, ..Pin::default() });
    match &gate.kind {
        GateKind::Share { what: Share::Ratio { bad, total }, .. } => ratio(bad, total, stable, wanted),
        GateKind::Share { what, .. } => {
            let family = match definition.place(what) {
                Place::Nowhere => return Err(foreign(gate)),
                Place::Requests | Place::Beside(_) => requests()?,
                Place::Of(total) if stable.iter().any(|series| series.name() == total) => total.to_owned(),
                Place::Of(total) => return Err(missing(&[total], wanted)),
            };
            let told = |label: &&str| {
                let mut own = stable.iter().filter(|series| series.name() == family && (definition.user)(series));
                !own.any(|series| !series.label(label).is_empty())
            };
            match definition.outcome(what).filter(told) {
                None => of(family),
                Some(label) => Err(unfit(
                    Unknown::NoData,
                    format!(
                        "{family} of stable has no label {label}, so that no failure could be seen: this gate could never fail"
                    ),
                )),
            }
        }
        GateKind::Slow { what, max_micros, .. } => {
            let bases = definition.times(*what);
            if bases.is_empty() {
                return Err(foreign(gate));
            }
            let counts = || bases.iter().map(|base| format!("{base}_count"));
            let Some(count) = busiest(definition, counts(), stable) else {
                return Err(missing(&counts().collect::<Vec<_>>(), wanted));
            };
            let family = count.trim_end_matches("_count").to_owned();
            let (lower, upper) = bounds(&family, stable, *max_micros, definition.per_second)?;
            Ok(Pin { family, lower, upper, ..Pin::default() })
        }
        GateKind::Mean { what, .. } => {
            if definition.tokens.is_empty() {
                return Err(foreign(gate));
            }
            let tokens = tokens(gate, stable, prices, *what == Mean::Cost, wanted)?;
            Ok(Pin { family: requests()?, tokens, ..Pin::default() })
        }
        GateKind::Budget { .. } => {
            let spend = definition.spend.iter().find(|name| stable.iter().any(|series| series.name() == **name));
            let tokens = match spend {
                Some(counter) => vec![(*counter).to_owned()],
                None if definition.tokens.is_empty() => return Err(foreign(gate)),
                None => tokens(gate, stable, prices, true, wanted)?,
            };
            Ok(Pin { family: requests()?, tokens, ..Pin::default() })
        }
        GateKind::Judged { what: Judged::Feedback, .. } => {
            let exists = stable.iter().any(|series| series.name() == FEEDBACK);
            if exists { of(FEEDBACK.to_owned()) } else { Err(missing(&[FEEDBACK], wanted)) }
        }
        GateKind::Judged { evaluator, .. } => judged(evaluator.as_deref(), stable, wanted),
        GateKind::Model { .. } => {
            let Some(label) = definition.model.first() else { return Err(foreign(gate)) };
            let family = requests()?;
            if !stable.iter().any(|series| series.name() == family && !series.label(label).is_empty()) {
                return Err(unfit(
                    Unknown::NoData,
                    format!("{family} of stable has no label {label}, so that nobody can say which model answered"),
                ));
            }
            of(family)
        }
        GateKind::Traffic => of(requests()?),
        GateKind::Saturation { max_cache_ppm, max_queue } => {
            let limits = [max_cache_ppm.map(|_| definition.cache), max_queue.map(|_| definition.queue)];
            let mut tokens = Vec::new();
            for names in limits.into_iter().flatten() {
                let exists = |name: &&&str| stable.iter().any(|series| series.name() == **name);
                let name = names.iter().find(exists).ok_or_else(|| missing(names, wanted))?;
                tokens.push((*name).to_owned());
            }
            if definition.cache.is_empty() { Err(foreign(gate)) } else { Ok(Pin { tokens, ..Pin::default() }) }
        }
        GateKind::Query { .. } => Ok(Pin::default()),
    }
}

/// A kind of gate that the preset does not know.
fn foreign(gate: &Gate) -> Unfit {
    let message = format!("the telemetry preset {} has nothing for this kind of gate", gate.source.as_str());
    Unfit { reason: Unknown::NoData, message, fatal: true }
}

fn ratio(bad: &str, total: &str, stable: &[&Series], wanted: &str) -> Result<Pin, Unfit> {
    let read = |text: &str| {
        Picked::parse(text).map_err(|error| Unfit {
            reason: Unknown::BadQuery,
            message: error.to_string(),
            fatal: true,
        })
    };
    let (_, all) = (read(bad)?, read(total)?);
    if !stable.iter().any(|series| all.takes(series)) {
        let message = format!("stable has no series {total} with {wanted}");
        return Err(unfit(Unknown::NoData, message));
    }
    Ok(Pin { family: all.name, ..Pin::default() })
}

fn judged(evaluator: Option<&str>, stable: &[&Series], wanted: &str) -> Result<Pin, Unfit> {
    if !stable.iter().any(|series| series.name() == STARTED && judged_by(series, evaluator)) {
        let whose = evaluator.map_or_else(String::new, |name| format!(" of the evaluator {name:?}"));
        return Err(unfit(Unknown::NoData, format!("stable has no series {STARTED}{whose} with {wanted}")));
    }
    let mut versions: Vec<String> = stable
        .iter()
        .filter(|series| series.name() == RESULTS && judged_by(series, evaluator))
        .map(|series| versioned(series))
        .collect();
    versions.sort();
    versions.dedup();
    Ok(Pin { family: STARTED.to_owned(), versions, ..Pin::default() })
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
    if stable.iter().any(|series| series.name() == name && series.label("le") == native::lower(max_micros)) {
        return Ok((native::lower(max_micros), native::upper(max_micros)));
    }
    for series in stable.iter().filter(|series| series.name() == name) {
        let text = series.label("le");
        if let Some(micros) = micros(text, per_second) {
            known.entry(micros).or_insert_with(|| text.to_owned());
        }
    }
    let unit = if per_second == 1_000 { "ms" } else { "s" };
    let threshold = seconds(max_micros);
    let (Some((lowest, low)), Some((highest, top))) = (known.first_key_value(), known.last_key_value()) else {
        let message = format!("{name} has no finite bucket bounds for stable");
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

/// The first generation of token counters that has input and output; where money is counted, all of models with a
/// price.
pub(crate) fn tokens(
    gate: &Gate,
    stable: &[&Series],
    prices: &PriceTable,
    priced: bool,
    wanted: &str,
) -> Result<Vec<String>, Unfit> {
    let definition = presets::definition(gate.source);
    for generation in definition.tokens {
        let found: Vec<&&Series> = stable
            .iter()
            .filter(|series| (definition.user)(series) && generation.names.iter().any(|(n, _)| *n == series.name()))
            .collect();
        if found.is_empty() {
            continue;
        }
        for series in found.iter().filter(|_| priced) {
            let used = series.samples.last().is_some_and(|sample| sample.value > 0.0);
            let models = presets::models(definition, series);
            if used && prices.price(models.iter().copied()).is_none() {
                let model = models.into_iter().find(|model| !model.is_empty()).unwrap_or_default();
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
    Err(missing(&definition.token_names().collect::<Vec<_>>(), wanted))
}
