//! Which metric names a gate may read at a source, and which say what its numbers miss.

use microapp_core::strategy::{Gate, GateKind, Judged, Share, Slow};

use super::{Definition, FEEDBACK, JUDGES_COST, Place, RESULTS, STARTED, Scheme, definition, is_judges, otel_http};
use crate::{
    means,
    own::{Picked, base},
};

/// Every name that a gate may turn out to need of a scheme, for preflight.
pub(crate) fn candidates(gate: &Gate, scheme: Scheme) -> Vec<String> {
    if is_judges(gate, scheme) {
        return vec![JUDGES_COST.to_owned()];
    }
    let definition = definition(gate.source);
    let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let counted = || definition.tokens.iter().filter_map(|generation| generation.counted).map(str::to_owned);
    match &gate.kind {
        GateKind::Share { what: Share::Ratio { bad, total }, .. } => {
            [bad, total].into_iter().filter_map(|text| Some(Picked::parse(text).ok()?.name)).collect()
        }
        GateKind::Share { what, .. } => match definition.place(what) {
            Place::Nowhere => Vec::new(),
            Place::Requests => own(definition.requests),
            Place::Beside(bad) => [own(definition.requests), own(&[bad])].concat(),
            Place::Of(total) => own(&[total]),
        },
        GateKind::Slow { own: Some(own), .. } => histogram(base(own), Form::Unknown),
        GateKind::Slow { what, own: None, .. } => {
            definition.times(*what).iter().flat_map(|base| histogram(base, Form::Unknown)).collect()
        }
        GateKind::Mean { .. } => {
            let users = means::users().filter(|_| definition.scheme == Scheme::Pods).map(str::to_owned);
            let requests = own(definition.requests).into_iter().chain(users);
            requests.chain(own_names(definition)).chain(counted()).collect()
        }
        GateKind::Budget { .. } => {
            let requests = own(definition.requests).into_iter();
            requests.chain(own_names(definition)).chain(counted()).chain(own(definition.spend)).collect()
        }
        GateKind::Judged { what: Judged::Feedback, .. } => own(&[FEEDBACK]),
        GateKind::Judged { .. } => own(&[STARTED, RESULTS]),
        // A query of the user's brings its own numbers; the requests tell that the targets live.
        GateKind::Model { .. } => own(definition.by_model()),
        GateKind::Traffic | GateKind::Query { .. } => own(definition.requests),
        GateKind::Saturation { .. } => [own(definition.cache), own(definition.queue)].concat(),
    }
}

/// The names without which a gate has nothing to count: of means and budgets the requests alone are not enough.
pub(crate) fn needed(gate: &Gate, scheme: Scheme) -> Vec<String> {
    let mut names = candidates(gate, scheme);
    if matches!(gate.kind, GateKind::Mean { .. } | GateKind::Budget { .. }) {
        names.retain(|name| !definition(gate.source).requests.contains(&name.as_str()));
    }
    names
}

/// What preflight asks for beside, once, to see what a gate would miss.
pub(crate) fn witnesses(gate: &Gate, scheme: Scheme) -> Vec<String> {
    if is_judges(gate, scheme) {
        return Vec::new();
    }
    let definition = definition(gate.source);
    let all = |bases: &[&str], suffix: &str| bases.iter().map(|base| format!("{base}{suffix}")).collect::<Vec<_>>();
    match gate.kind {
        GateKind::Share { what: Share::Errors, .. } if definition.names_answers => {
            let times = all(definition.durations, "_bucket");
            [all(definition.first_token, "_count"), all(definition.generation, "_count"), times].concat()
        }
        GateKind::Slow { what: Slow::Response, .. } if definition.names_answers => {
            [all(definition.durations, "_sum"), all(otel_http::DEFINITION.durations, "_sum")].concat()
        }
        GateKind::Share { .. }
        | GateKind::Slow { .. }
        | GateKind::Mean { .. }
        | GateKind::Budget { .. }
        | GateKind::Judged { .. }
        | GateKind::Model { .. }
        | GateKind::Traffic
        | GateKind::Saturation { .. }
        | GateKind::Query { .. } => Vec::new(),
    }
}

fn own_names(definition: &Definition) -> impl Iterator<Item = String> {
    definition.token_names().map(str::to_owned)
}

/// How a histogram is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Classic,
    Native,
    Unknown,
}

/// The names of a histogram's series.
pub(crate) fn histogram(base: &str, form: Form) -> Vec<String> {
    let classic = [format!("{base}_count"), format!("{base}_bucket")];
    match form {
        Form::Classic => classic.to_vec(),
        Form::Native => vec![base.to_owned()],
        Form::Unknown => classic.into_iter().chain([base.to_owned()]).collect(),
    }
}
