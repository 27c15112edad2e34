//! From Prometheus' answers to what the evidence folds.

use std::{borrow::Cow, collections::BTreeMap};

use microapp_core::{
    counts::{Ask, Counts, Unknown, Watch},
    strategy::GateKind,
};

use crate::{
    baseline::baseline,
    delta::Wanted,
    native,
    part::{Part, Reader},
    pin::{self, Pins},
    presets::Scheme,
    prices::PriceTable,
    pushed,
    query::{self, Brings, Query, Subject, millis, queries},
    series::{Answer, Series},
    target::{Role, Target},
    twins::{Distinct, distinct},
    value,
    window::{Source, View, windows},
};

/// Clocks may differ by so much, in seconds.
const SKEW: f64 = 30.0;

/// Reads the answers to [`queries`] with the same arguments, in the same order. Pure: the same answers and watermarks
/// give the same counts.
pub fn digest(
    subject: &Subject,
    ask: &Ask,
    watch: &Watch,
    answers: &[Answer],
    prices: &PriceTable,
    now: f64,
) -> Counts {
    let subject = &*subject.with_sources(ask);
    let subject = &*subject.with_sources(ask);
    let asked = queries(subject, ask, watch, now);
    if asked.is_empty() || asked.len() != answers.len() {
        return Counts::Silent(Unknown::NoData);
    }
    let own = |query: &Query| matches!(query.brings, Brings::Value(_));
    let ours = || asked.iter().zip(answers).filter(|(query, _)| !own(query)).map(|(_, answer)| answer);
    if ours().any(|answer| !answer.warnings.is_empty()) {
        return Counts::Silent(Unknown::Partial);
    }
    if ours().any(|answer| is_skewed(answer, now)) {
        return Counts::Silent(Unknown::ClockSkew);
    }
    let classic: Vec<Cow<Answer>> = asked
        .iter()
        .zip(answers)
        .map(|(query, answer)| match (query.scheme, query.brings) {
            (Scheme::Pushed(names), Brings::Raw) => Cow::Owned(pushed::together(answer, names, millis(now))),
            _ => Cow::Borrowed(answer),
        })
        .map(|answer| native::as_classic(&answer, subject).map_or(answer, Cow::Owned))
        .collect();
    let asked: Vec<(Query, &Answer)> = asked.into_iter().zip(classic.iter().map(AsRef::as_ref)).collect();
    match ask {
        Ask::Baseline => baseline(subject, &asked, prices),
        Ask::Windows => complete(subject, watch, &asked, prices, millis(now)),
    }
}

fn is_skewed(answer: &Answer, now: f64) -> bool {
    let newest = answer.series.iter().filter_map(|series| series.samples.last()).map(|sample| sample.at).max();
    answer.date.is_some_and(|date| (date - now).abs() > SKEW)
        || newest.is_some_and(|newest| newest > millis(now + SKEW))
}

fn complete(subject: &Subject, watch: &Watch, asked: &[(Query, &Answer)], prices: &PriceTable, now: i64) -> Counts {
    let raw = asked.iter().filter(|(query, _)| query.brings == Brings::Raw);
    let raw: Vec<(&Query, Distinct)> =
        raw.map(|(query, answer)| (query, distinct(query.scheme, &answer.series, 0))).collect();
    let grouped: Vec<(&Query, Vec<Target>)> =
        raw.iter().map(|(query, distinct)| (*query, distinct.targets(subject))).collect();
    let known = query::pins(watch);
    let (pins, mut refused) = pins(subject, &known, &grouped, prices);
    let readers: BTreeMap<&str, Reader> = subject
        .gates
        .iter()
        .filter_map(|gate| Some((gate.name.as_str(), Reader::new(gate, pins.get(&gate.name)?, prices))))
        .collect();
    for (query, targets) in &grouped {
        for (index, gate) in subject.gates_of(query.scheme, Some(&known)) {
            let is_total = |series: &Series| {
                readers.get(gate.name.as_str()).and_then(|reader| reader.part(series)).is_some_and(Part::is_total)
            };
            if ambiguous(targets, &is_total).is_some() {
                refused.insert(index, Unknown::Ambiguous);
            }
        }
    }
    let wanted: Vec<Vec<Wanted>> = grouped
        .iter()
        .map(|(query, _)| {
            let gates = subject.gates_of(query.scheme, Some(&known));
            gates
                .filter_map(|(index, gate)| {
                    let reader = Reader::new(gate, pins.get(&gate.name)?, prices).probed(&subject.probes);
                    Some(Wanted { index, reader })
                })
                .collect()
        })
        .collect();
    let sources: Vec<Source> = grouped
        .into_iter()
        .zip(&wanted)
        .flat_map(|((query, targets), wanted)| {
            let born = births(subject, query, &targets);
            let born_of = move |target: &Target| born.get(&target.key).copied();
            targets.into_iter().map(move |target| {
                let fresh = born_of(&target);
                Source::new(target, wanted, subject, watch, fresh)
            })
        })
        .collect();
    let view = View { subject, pins: &known, sources: &sources, refused: &refused, now };
    let (mut found, mut next) = windows(&view, watch);
    value::put(subject, &known, asked, &mut found);
    next.pins = pins.iter().map(|(gate, pin)| (gate.clone(), pin.write())).collect();
    if found.is_empty() && is_stale(&view, &next) {
        return Counts::Silent(Unknown::Stale);
    }
    Counts::Windows(found, next)
}

/// Everything that was ever scraped has been silent for more than three intervals: stable and canary alike, or the
/// canary although it was seen before.
fn is_stale(view: &View, next: &Watch) -> bool {
    let oldest_good = view.now - 3 * view.length().max(next.pace.other);
    let newest = |role| {
        let served = view.sources.iter().filter(move |source| source.target.serves(role));
        served.filter_map(|source| source.target.answered.last().copied()).max()
    };
    let any = newest(Role::Canary).max(newest(Role::Stable));
    if any.is_none_or(|newest| newest < oldest_good) {
        return true;
    }
    next.canary_seen && newest(Role::Canary).is_some_and(|newest| newest < oldest_good)
}

/// The pins of all gates: those handed in, the others chosen from what stable exposes now.
fn pins(
    subject: &Subject,
    known: &Pins,
    grouped: &[(&Query, Vec<Target>)],
    prices: &PriceTable,
) -> (Pins, BTreeMap<usize, Unknown>) {
    let mut pins = known.clone();
    let mut refused = BTreeMap::new();
    for (query, targets) in grouped {
        let stable: Vec<&Series> = targets
            .iter()
            .flat_map(|target| &target.series)
            .filter(|(role, _)| *role == Role::Stable)
            .map(|(_, series)| *series)
            .collect();
        for (index, gate) in subject.gates_of(query.scheme, Some(known)) {
            let own = pin::scheme(gate, known) == query.scheme && !matches!(gate.kind, GateKind::Query { .. });
            if !own || pins.contains_key(&gate.name) {
                continue;
            }
            match pin::choose(gate, &stable, prices, "") {
                Ok(pin) => {
                    pins.insert(gate.name.clone(), pin);
                }
                Err(unfit) => {
                    refused.insert(index, unfit.reason);
                }
            }
        }
    }
    (pins, refused)
}

/// From when on the targets that are seen for the first time count from zero, by their keys.
fn births(subject: &Subject, query: &Query, targets: &[Target]) -> BTreeMap<String, i64> {
    let length = subject.window().unwrap_or(15_000);
    let born = |target: &Target| match query.scheme {
        Scheme::Pushed(_) => pushed::born(target, targets, subject, query.from, length),
        Scheme::Pods | Scheme::Gateway(_) | Scheme::Evals => {
            target.started(subject).filter(|started| *started > subject.start() && *started >= query.from)
        }
    };
    targets.iter().filter_map(|target| Some((target.key.clone(), born(target)?))).collect()
}

/// Two endpoints of one pod that expose the same counter at the same time and are not one process: everything would
/// count twice.
pub(crate) fn ambiguous<'t, 'a>(
    targets: &'t [Target<'a>],
    is_total: &dyn Fn(&Series) -> bool,
) -> Option<[&'t Target<'a>; 2]> {
    let span = |target: &'t Target<'a>| {
        let own = || target.series.iter().map(|(_, s)| *s).filter(|series| is_total(series)).flat_map(|s| &s.samples);
        let (first, last) = (own().map(|sample| sample.at).min()?, own().map(|sample| sample.at).max()?);
        Some((target, first, last))
    };
    let pods = targets.iter().filter(|target| !target.pod.is_empty());
    // Those of a pod stand side by side.
    let spans: Vec<(&Target, i64, i64)> = pods.filter_map(span).collect();
    spans.iter().enumerate().find_map(|(index, (one, first, last))| {
        // Processes of one service that push count each their own requests.
        let are_one = |other: &Target| matches!(one.scheme, Scheme::Pushed(_)) && one.job == other.job;
        let mut others = spans[index + 1..].iter().take_while(|(other, ..)| other.pod == one.pod);
        others
            .find(|(other, from, until)| first <= until && from <= last && !are_one(other))
            .map(|(other, ..)| [*one, *other])
    })
}
