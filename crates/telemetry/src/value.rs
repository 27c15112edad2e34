//! Answers to users' own queries: one finite number, or the reason why there is none.

use microapp_core::{
    counts::{Before, Side, Sides, Unfit, Unknown, Window},
    strategy::GateKind,
};

use crate::{
    own::confined,
    pin::{self, Pins},
    presets::{self, Scheme},
    pushed::Names,
    query::{Brings, Query, Subject},
    series::Answer,
};

/// The one value of an answer.
fn value(answer: &Answer) -> Result<Side, Unknown> {
    if let Some(failed) = answer.failed {
        return Err(failed);
    }
    if !answer.warnings.is_empty() {
        return Err(Unknown::Partial);
    }
    match answer.series.as_slice() {
        [] => Err(Unknown::NoData),
        [series] => match series.samples.as_slice() {
            [sample] => Side::value(sample.value).ok_or(Unknown::NotANumber),
            [] => Err(Unknown::NotANumber),
            _ => Err(Unknown::Ambiguous),
        },
        _ => Err(Unknown::Ambiguous),
    }
}

fn find<'a>(place: usize, scheme: Scheme, asked: &[(Query, &'a Answer)]) -> Option<&'a Answer> {
    let is_it = |query: &Query| query.brings == Brings::Value(place) && query.scheme == scheme;
    asked.iter().find(|(query, _)| is_it(query)).map(|(_, answer)| *answer)
}

/// The values of this moment belong to the newest window; of the time before nothing is known.
pub(crate) fn put(subject: &Subject, pins: &Pins, asked: &[(Query, &Answer)], windows: &mut [Window]) {
    let Some((newest, earlier)) = windows.split_last_mut() else { return };
    for (place, gate) in subject.gates.iter().enumerate() {
        if !matches!(gate.kind, GateKind::Query { .. }) {
            continue;
        }
        let result = find(place, pin::scheme(gate, pins), asked).map_or(Err(Unknown::BadQuery), value);
        let sides = result.map(|value| Sides { canary: Some(value), ..Sides::default() });
        newest.gates.insert(gate.name.clone(), sides);
        for window in &mut *earlier {
            window.gates.insert(gate.name.clone(), Err(Unknown::NoData));
        }
    }
}

/// What the query says of stable, in preflight, and by which labels it is confined where it is about what the pods push.
/// `pins`: what was found for the other gates.
pub(crate) fn before(
    subject: &Subject,
    place: usize,
    asked: &[(Query, &Answer)],
    pins: &Pins,
) -> Result<(Before, Option<Names>), Unfit> {
    let own = presets::scheme(subject.gates[place].source);
    let others: Vec<Option<Names>> = subject
        .gates
        .iter()
        .filter(|gate| presets::scheme(gate.source) == own)
        .filter_map(|gate| Some(pins.get(&gate.name)?.pushed))
        .collect();
    let all_push = |names: Names| !others.is_empty() && others.iter().all(|other| *other == Some(names));
    let about = |scheme: Scheme| {
        let pushed = match scheme {
            Scheme::Pushed(names) => Some(names),
            Scheme::Pods => Some(Names::Plain).filter(|names| all_push(*names)),
            Scheme::Gateway(_) | Scheme::Evals => None,
        };
        asked_about(subject, place, scheme, asked).map(|before| (before, pushed))
    };
    let mut ways: Vec<Scheme> = own.ways().collect();
    // A query that says 0 where it finds nothing is about what the others are about.
    if all_push(Names::Attributes) {
        ways.reverse();
    }
    let (last, earlier) = ways.split_last().map_or((own, &[][..]), |(last, earlier)| (*last, earlier));
    let mut first = None;
    for scheme in earlier {
        match about(*scheme) {
            Err(unfit) if unfit.reason == Unknown::NoData => first = first.or(Some(unfit)),
            found => return found,
        }
    }
    about(last).map_err(|unfit| first.unwrap_or(unfit))
}

/// The same in one scheme.
fn asked_about(subject: &Subject, place: usize, scheme: Scheme, asked: &[(Query, &Answer)]) -> Result<Before, Unfit> {
    let gate = &subject.gates[place];
    let unfit = |reason, message: String, fatal| Unfit { reason, message, fatal };
    let GateKind::Query { promql, .. } = &gate.kind else {
        return Err(unfit(Unknown::BadQuery, "the gate has no query".to_owned(), true));
    };
    if let Err(error) = confined(promql, subject, scheme, &subject.stable) {
        return Err(unfit(Unknown::BadQuery, error.to_string(), true));
    }
    let answered = find(place, scheme, asked).map_or(Err(Unknown::NoData), value);
    let side = answered.map_err(|reason| {
        let why = match reason {
            Unknown::NoData => "brought no series",
            Unknown::Ambiguous => "brought several series: aggregate them into one number",
            Unknown::NotANumber => "brought no finite number",
            Unknown::TooExpensive => "is over a limit of Prometheus itself",
            _ => "was not answered",
        };
        unfit(reason, format!("asked about stable, the query {why}"), false)
    })?;
    Ok(Before::of(side, 0.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::{Sample, Series};

    fn answer(values: &[&[f64]]) -> Answer {
        let series = |values: &&[f64]| Series {
            samples: values.iter().map(|value| Sample { at: 1, value: *value }).collect(),
            ..Series::default()
        };
        Answer { series: values.iter().map(series).collect(), ..Answer::default() }
    }

    #[test]
    fn one_finite_number_is_a_value_and_nothing_else_is() {
        assert_eq!(value(&answer(&[&[0.5]])), Ok(Side::Value { nano: 500_000_000 }));
        assert_eq!(value(&answer(&[])), Err(Unknown::NoData));
        assert_eq!(value(&answer(&[&[1.0], &[2.0]])), Err(Unknown::Ambiguous));
        assert_eq!(value(&answer(&[&[1.0, 2.0]])), Err(Unknown::Ambiguous));
        for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(value(&answer(&[&[odd]])), Err(Unknown::NotANumber));
        }
        let failed = Answer { failed: Some(Unknown::TooExpensive), ..Answer::default() };
        assert_eq!(value(&failed), Err(Unknown::TooExpensive));
        let partial = Answer { warnings: vec!["w".to_owned()], ..answer(&[&[1.0]]) };
        assert_eq!(value(&partial), Err(Unknown::Partial));
    }
}
