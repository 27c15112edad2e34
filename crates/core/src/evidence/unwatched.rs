//! What no gate counts: requests of users or calls to a model. Said before traffic moves and while it does.

use microapp_api::v1alpha1::Watches;

use super::gate::{GateEvidence, Process};
use crate::strategy::{Gate, GateKind, Preset, Share};

/// In a sentence without its full stop; `None` where failed requests of users and failed calls are both counted, and
/// before preflight has said which gates are.
pub(super) fn unwatched(gates: &[Gate], states: &[GateEvidence]) -> Option<String> {
    if states.iter().any(|state| state.process == Process::Pending) {
        return None;
    }
    let watched = |wanted: Watches| {
        let mut watching = gates.iter().zip(states).filter(|(gate, state)| {
            !gate.advisory && !matches!(state.process, Process::NotWatched(_)) && counts(gate) == Some(wanted)
        });
        watching.next().map(|(gate, _)| gate)
    };
    match (watched(Watches::Users), watched(Watches::Calls)) {
        (Some(_), Some(_)) => None,
        (None, Some(calls)) => {
            Some(format!("{} counts calls to the model; what the app answers is not watched", calls.name))
        }
        // The pods of a model server call no other model.
        (Some(users), None) if users.source == Preset::Vllm => None,
        (Some(users), None) => {
            Some(format!("{} counts what the app answers; calls to the model are not watched", users.name))
        }
        (None, None) => {
            Some("no gate counts failures: neither what the app answers nor calls to the model are watched".to_owned())
        }
    }
}

/// Whose failures a gate counts, if any. Counters of one's own are taken for requests of users.
fn counts(gate: &Gate) -> Option<Watches> {
    match &gate.kind {
        GateKind::Share { what: Share::Errors, .. } => Some(gate.source.watches()),
        GateKind::Share { what: Share::Ratio { .. }, .. } => Some(Watches::Users),
        GateKind::Share { what: Share::ClientErrors | Share::Truncated | Share::Throttled, .. }
        | GateKind::Slow { .. }
        | GateKind::Mean { .. }
        | GateKind::Judged { .. }
        | GateKind::Budget { .. }
        | GateKind::Model { .. }
        | GateKind::Traffic
        | GateKind::Saturation { .. }
        | GateKind::Query { .. } => None,
    }
}
