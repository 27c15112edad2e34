//! What preflight chose for a gate: one family of names, two bucket bounds. Kept as text in `Watch::pins`.

mod refusal;

use std::collections::BTreeMap;

use microapp_core::{
    counts::{Per, Unfit, Unknown},
    strategy::{Gate, GateKind, Judged, Mean, OwnHistogram, Preset, Share, Slow},
};
use refusal::{classes, filtered, foreign, missing, of_a_server, unfit, untold};
use serde::{Deserialize, Serialize};

use crate::{
    bounds, means, native,
    own::{OwnError, Picked, per_second, series_of, spellings},
    presets::{self, Definition, FEEDBACK, Form, Place, RESULTS, STARTED, Scheme},
    prices::PriceTable,
    pushed::Names,
    ratio, routes,
    scopes::{Miss, Scope},
    series::Series,
    streams::{self, Early, last},
    unfinished::Followed,
    words,
};

/// The pins of the gates, by name.
pub(crate) type Pins = BTreeMap<String, Pin>;

/// Which scheme a gate reads: its preset's, and of the ways in which pods are read the one that preflight found. A gate
/// for which nothing was found looks where the others push: the canary's pods need not be scraped for it.
pub(crate) fn scheme(gate: &Gate, pins: &Pins) -> Scheme {
    let own = presets::scheme(gate.source);
    let pushed = match pins.get(&gate.name) {
        Some(pin) => pin.pushed,
        None => pins.values().find_map(|pin| pin.pushed),
    };
    match (own, pushed) {
        (Scheme::Pods | Scheme::Pushed(_), Some(names)) => Scheme::Pushed(names),
        (Scheme::Pods | Scheme::Pushed(_) | Scheme::Gateway(_) | Scheme::Evals, _) => own,
    }
}

/// Chosen once per attempt, the same for both revisions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// The counter of requests (of evaluations started), or the histogram without its suffix.
    #[serde(rename = "f")]
    pub family: String,
    /// Its requests name no route, so that probes and scrapes may be among them.
    #[serde(rename = "m", default, skip_serializing_if = "std::ops::Not::not")]
    pub mixed: bool,
    /// The greatest bucket bound at or under the threshold, as exposed.
    #[serde(rename = "lo", default, skip_serializing_if = "String::is_empty")]
    pub lower: String,
    /// The smallest bucket bound at or over the threshold, as exposed.
    #[serde(rename = "up", default, skip_serializing_if = "String::is_empty")]
    pub upper: String,
    /// The token counters.
    #[serde(rename = "t", default, skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<String>,
    /// What a mean is taken over.
    #[serde(rename = "p", default, skip_serializing_if = "is_any_request")]
    pub per: Per,
    /// The counter of requests of users that a mean is taken over, where it is.
    #[serde(rename = "r", default, skip_serializing_if = "String::is_empty")]
    pub users: String,
    /// The counter of answers whose tokens were counted.
    #[serde(rename = "c", default, skip_serializing_if = "String::is_empty")]
    pub counted: String,
    /// Who names the model that answered.
    #[serde(rename = "n", default, skip_serializing_if = "Vec::is_empty")]
    pub named: Vec<String>,
    /// Not all of stable's answers name it.
    #[serde(rename = "s", default, skip_serializing_if = "std::ops::Not::not")]
    pub some: bool,
    /// The evaluator's versions that judged stable.
    #[serde(rename = "v", default, skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<String>,
    /// Stable's pods push their series: by which labels they are told apart. `None`: they are scraped.
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    pub pushed: Option<Names>,
    /// How streams of the source are followed to their end.
    #[serde(rename = "b", default, skip_serializing_if = "Option::is_none")]
    pub streams: Option<Followed>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde hands over a reference
fn is_any_request(per: &Per) -> bool {
    *per == Per::Request
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
        if presets::is_judges(gate, scheme) {
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
                let streams = self.streams.iter().flat_map(|_| Followed::names(definition));
                std::iter::once(self.family.clone()).chain(beside).chain(streams).collect()
            }
            GateKind::Slow { .. } => presets::histogram(&self.family, self.form()),
            GateKind::Mean { .. }
            | GateKind::Budget { .. }
            | GateKind::Model { .. }
            | GateKind::Traffic
            | GateKind::Saturation { .. } => {
                let family = Some(self.family.clone()).filter(|family| !family.is_empty());
                let beside = [&self.counted, &self.users].into_iter().filter(|name| !name.is_empty()).cloned();
                family.into_iter().chain(self.tokens.iter().cloned()).chain(beside).collect()
            }
        }
    }

    /// The bounds to ask for, in both spellings (`5` and `5.0`).
    pub(crate) fn bounds(&self) -> Vec<String> {
        let mut bounds = Vec::new();
        for bound in [&self.lower, &self.upper] {
            if bound.parse::<f64>().is_ok() {
                bounds.extend(spellings(bound));
            }
        }
        bounds.sort();
        bounds.dedup();
        bounds
    }
}

/// Chooses from what stable exposes. `wanted` says in the message what was asked for.
pub(crate) fn choose(gate: &Gate, stable: &[&Series], prices: &PriceTable, wanted: &str) -> Result<Pin, Unfit> {
    let pin = family(gate, stable, prices, wanted)?;
    let mixed = is_asked_by_machines(gate) && routes::is_mixed(stable, &pin.family);
    Ok(Pin { mixed, ..pin })
}

/// Does it count requests to the pods' own HTTP server, which machines ask, too? A proxy beside it has no routes at all.
pub(crate) const fn is_asked_by_machines(gate: &Gate) -> bool {
    matches!(gate.source, Preset::OtelHttp)
        && matches!(
            gate.kind,
            GateKind::Share { what: Share::Errors | Share::ClientErrors | Share::Throttled | Share::Truncated, .. }
                | GateKind::Slow { own: None, .. }
                | GateKind::Traffic
        )
}

fn family(gate: &Gate, stable: &[&Series], prices: &PriceTable, wanted: &str) -> Result<Pin, Unfit> {
    let definition = presets::definition(gate.source);
    let requests = || requests(gate, stable, wanted);
    let of = |family: String| Ok(Pin { family, ..Pin::default() });
    match &gate.kind {
        GateKind::Share { what: Share::Ratio { bad, total }, .. } => own_counters(bad, total, stable, wanted),
        GateKind::Share { what, .. } => share(gate, what, stable, wanted),
        GateKind::Slow { own: Some(own), max_micros, .. } => own_histogram(own, *max_micros, stable, wanted),
        GateKind::Slow { what, max_micros, own: None, .. } => {
            let bases = definition.times(*what);
            if bases.is_empty() {
                return Err(foreign(gate));
            }
            slow(gate, *what, *max_micros, stable, wanted)
        }
        GateKind::Mean { what, .. } => {
            if definition.tokens.is_empty() {
                return Err(foreign(gate));
            }
            let tokens = tokens(gate, stable, prices, *what == Mean::Cost, wanted)?;
            let family = requests()?;
            let (per, counted) = means::denominator(definition, &family, &tokens, stable);
            // What a user's request costs, however often it asks the model.
            match means::requests_of_users(gate.source, stable) {
                Some(users) => Ok(Pin { family, tokens, per: means::of_users(per), counted, users, ..Pin::default() }),
                None => Ok(Pin { family, tokens, per, counted, ..Pin::default() }),
            }
        }
        GateKind::Budget { .. } => {
            let tokens = match spend(definition, stable).filter(|counter| knows_prices(definition, counter, stable)) {
                Some(counter) => vec![counter.to_owned()],
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
            let names = definition.by_model();
            let family = busiest(definition, names.iter().map(|name| (*name).to_owned()), stable);
            let family = family.ok_or_else(|| missing(names, wanted))?;
            if !stable.iter().any(|series| series.name() == family && !series.label(label).is_empty()) {
                return Err(unfit(
                    Unknown::NoData,
                    format!("{family} of stable has no label {label}, so that nobody can say which model answered"),
                ));
            }
            let named = streams::named(definition, &family, stable);
            let some = Early::of(definition, &family, stable, &named).any();
            Ok(Pin { family, named, some, ..Pin::default() })
        }
        GateKind::Traffic => of(requests()?),
        GateKind::Saturation { max_cache_ppm, max_queue } => {
            let limits = [max_cache_ppm.map(|_| definition.cache), max_queue.map(|_| definition.queue)];
            let mut tokens = Vec::new();
            for names in limits.into_iter().flatten() {
                let exists = |name: &&&str| stable.iter().any(|series| series.name() == **name);
                let name = names.iter().find(exists).ok_or_else(|| of_a_server(names, wanted))?;
                tokens.push((*name).to_owned());
            }
            if definition.cache.is_empty() { Err(foreign(gate)) } else { Ok(Pin { tokens, ..Pin::default() }) }
        }
        GateKind::Query { .. } => Ok(Pin::default()),
    }
}

/// The counter of requests that moves most.
fn requests(gate: &Gate, stable: &[&Series], wanted: &str) -> Result<String, Unfit> {
    let definition = presets::definition(gate.source);
    let names = definition.requests.iter().map(|name| (*name).to_owned());
    busiest(definition, names, stable).ok_or_else(|| filtered(gate, definition.requests, stable, wanted))
}

/// A counter of requests that says how they ended, in words that somebody knows.
fn share(gate: &Gate, what: &Share, stable: &[&Series], wanted: &str) -> Result<Pin, Unfit> {
    let definition = presets::definition(gate.source);
    let family = match definition.place(what) {
        Place::Nowhere => return Err(foreign(gate)),
        Place::Requests | Place::Beside(_) => requests(gate, stable, wanted)?,
        Place::Of(total) if stable.iter().any(|series| series.name() == total) => total.to_owned(),
        Place::Of(total) if *what == Share::Truncated => return Err(untold(total, wanted)),
        Place::Of(total) => return Err(missing(&[total], wanted)),
    };
    if let Some(unfit) = streams::blind(definition, &family, stable) {
        return Err(unfit);
    }
    let labels = definition.outcome(what);
    if let Some(unfit) = classes(what, &labels, definition, &family, stable) {
        return Err(unfit);
    }
    let is_told = |series: &&Series| labels.iter().any(|label| !series.label(label).is_empty());
    let own = || streams::calls(definition, &family, stable);
    if labels.is_empty() || own().any(|series| is_told(&series) && !definition.is_unknown(what, series)) {
        let streams = (*what == Share::Errors).then(|| Followed::of(definition, &family, stable)).flatten();
        return Ok(Pin { family, streams, ..Pin::default() });
    }
    let said = |label: &&&str| own().any(|series| !series.label(label).is_empty());
    if let Some(label) = labels.iter().find(said) {
        let values = words::values(own().map(|series| series.label(label)), ", ");
        let message = format!(
            "{family} of stable says in {label} how requests ended in words that nobody knows ({values}), so that no \
             failure could be seen: this gate could never fail; expose the HTTP status there, or use a `ratio` gate"
        );
        return Err(unfit(Unknown::NoData, message));
    }
    Err(unfit(
        Unknown::NoData,
        format!(
            "{family} of stable has no label {}, so that no failure could be seen: this gate could never fail",
            labels.join(" or ")
        ),
    ))
}

/// A histogram with two bounds around the threshold.
fn slow(gate: &Gate, what: Slow, max_micros: i64, stable: &[&Series], wanted: &str) -> Result<Pin, Unfit> {
    let definition = presets::definition(gate.source);
    let counts: Vec<String> = definition.times(what).iter().map(|base| format!("{base}_count")).collect();
    let found = match what {
        Slow::Response => busiest(definition, counts.iter().cloned(), stable),
        // Two of them say the same of the same answers, and the first ones of streams alone.
        Slow::FirstToken | Slow::PerToken => preferred(definition, &counts, stable),
    };
    let count = found.ok_or_else(|| filtered(gate, &counts, stable, wanted))?;
    let mut named = Vec::new();
    match what {
        Slow::Response => {
            named = streams::named(definition, &count, stable);
            let early = Early::of(definition, &count, stable, &named);
            if early.any() {
                return Err(early.refusal());
            }
        }
        Slow::FirstToken => every_answer(definition, &count, stable)?,
        Slow::PerToken => {}
    }
    let family = count.trim_end_matches("_count").to_owned();
    let (lower, upper) = bounds::around(&family, stable, max_micros, definition.per_second(&family), gate.defaulted)?;
    Ok(Pin { family, lower, upper, named, ..Pin::default() })
}

fn own_counters(bad: &str, total: &str, stable: &[&Series], wanted: &str) -> Result<Pin, Unfit> {
    let read = |text: &str| {
        Picked::parse(text).map_err(|error| Unfit {
            reason: Unknown::BadQuery,
            message: error.to_string(),
            fatal: true,
        })
    };
    let (_, all) = (read(bad)?, read(total)?);
    if !stable.iter().any(|series| all.takes(series)) {
        return Err(unfit(Unknown::NoData, ratio::nothing(&all, total, stable, wanted)));
    }
    Ok(Pin { family: all.name, ..Pin::default() })
}

fn own_histogram(own: &OwnHistogram, max_micros: i64, stable: &[&Series], wanted: &str) -> Result<Pin, Unfit> {
    let bad = |error: OwnError| Unfit { reason: Unknown::BadQuery, message: error.to_string(), fatal: true };
    let meant = series_of(own).map_err(bad)?;
    let family = meant.name.clone();
    let named = |suffix: &str| Picked { name: format!("{family}{suffix}"), matchers: meant.matchers.clone() };
    let counted = named("_count");
    if !stable.iter().any(|series| counted.takes(series)) {
        let text = format!("{}{}", counted.name, own.matching.as_deref().unwrap_or_default());
        return Err(unfit(Unknown::NoData, ratio::nothing(&counted, &text, stable, wanted)));
    }
    let own: Vec<&Series> = stable.iter().copied().filter(|series| meant.fits(series)).collect();
    let (lower, upper) = bounds::around(&family, &own, max_micros, per_second(&family), false)?;
    Ok(Pin { family, lower, upper, ..Pin::default() })
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

/// The first of the names that counts anything; otherwise the first that exists.
fn preferred(definition: &Definition, names: &[String], stable: &[&Series]) -> Option<String> {
    let exists = |name: &&String| streams::calls(definition, name, stable).next().is_some();
    let counts = |name: &&String| streams::calls(definition, name, stable).any(|series| last(series) > 0.0);
    names.iter().find(counts).or_else(|| names.iter().find(exists)).cloned()
}

/// A time to the first token that holds answers in one piece too, with the whole duration of each.
fn every_answer(definition: &Definition, count: &str, stable: &[&Series]) -> Result<(), Unfit> {
    let scopes = streams::missing(definition, count, stable, Miss::FirstToken);
    match scopes.first().filter(|_| count.starts_with("gen_ai_server_")) {
        None => Ok(()),
        Some(Scope { name, instead, .. }) => Err(unfit(
            Unknown::StreamsUnmeasured,
            format!(
                "{name} also counts answers that are not streamed in {count}, each with its whole duration, and stable \
                 has no time to the first chunk of streams alone: {instead}"
            ),
        )),
    }
}

/// The counter of USD, where there is one.
pub(crate) fn spend(definition: &Definition, stable: &[&Series]) -> Option<&'static str> {
    definition.spend.iter().copied().find(|name| stable.iter().any(|series| series.name() == *name))
}

/// Does the counter of USD have a price for what it counts? Of no model that it names it stays 0 beside counted tokens.
pub(crate) fn knows_prices(definition: &Definition, counter: &str, stable: &[&Series]) -> bool {
    let model = |series: &Series| {
        presets::models(definition, series).into_iter().find(|model| !model.is_empty()).unwrap_or_default().to_owned()
    };
    let mut spent: BTreeMap<String, f64> = BTreeMap::new();
    for series in stable.iter().filter(|series| series.name() == counter) {
        *spent.entry(model(series)).or_default() += last(series);
    }
    let used = stable.iter().filter(|series| {
        let token = definition.tokens.iter().any(|generation| generation.token(series).is_some());
        token && (definition.user)(series) && last(series) > 0.0
    });
    // Where no model is named, all of them share what was spent.
    let spent_on = |series: &Series| spent.get(&model(series)).or_else(|| spent.get("")).copied();
    used.into_iter().all(|series| spent_on(series) != Some(0.0))
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

/// The first generation of token counters that counts, or at least exists; where money is counted, all of models with a
/// price.
pub(crate) fn tokens(
    gate: &Gate,
    stable: &[&Series],
    prices: &PriceTable,
    priced: bool,
    wanted: &str,
) -> Result<Vec<String>, Unfit> {
    let definition = presets::definition(gate.source);
    // Of two generations of names the one that counts.
    let mut generations: Vec<_> = definition.tokens.iter().collect();
    let counts = |series: &&&Series| (definition.user)(series) && last(series) > 0.0;
    generations.sort_by_key(|own| !stable.iter().filter(counts).any(|series| own.token(series).is_some()));
    for generation in generations {
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
