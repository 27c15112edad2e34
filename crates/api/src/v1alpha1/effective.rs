//! The gates that apply to a rollout: those that its spec lists, or the preset's, with the sources of their numbers.

use super::{ClientErrors, Gate, Judged, Share, Slow, Telemetry, TelemetryPreset, TokenCost, Watches};

/// A gate that applies, and where its numbers may come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectiveGate {
    /// The gate.
    pub gate: Gate,
    /// In order of preference; preflight pins the first one that the stable revision has. Never empty.
    pub sources: Vec<TelemetryPreset>,
    /// It is one of the preset's, since the spec lists none.
    pub defaulted: bool,
}

impl EffectiveGate {
    /// A gate that the spec lists.
    pub fn listed(gate: &Gate, rollout: &Telemetry) -> Self {
        Self { gate: gate.clone(), sources: vec![gate.source(rollout)], defaulted: false }
    }

    /// The gates of a rollout that lists none, given its telemetry: failed requests of users at most 1 %, failed calls to
    /// the model at most 1 %, answers that blame the client no more often than stable's, 95 % of responses within 2.56 s,
    /// cost at most 10 % up, at most 4 % made-up answers. What users get is read where the stable revision exposes it: the
    /// application's HTTP side, or the gateway.
    pub fn defaults(rollout: &Telemetry) -> Vec<Self> {
        let named = |name: &str| Gate { name: name.to_owned(), ..Gate::default() };
        let one = |gate: Gate, sources: Vec<TelemetryPreset>| Self { gate, sources, defaulted: true };
        let share = |max: &str| Some(Share { max: max.to_owned() });
        let own = rollout.preset;
        let users = if own.watches() == Watches::Users { vec![own] } else { TelemetryPreset::OF_USERS.to_vec() };
        let calls = match own.watches() {
            Watches::Calls => Some(own),
            // The pods are the model: they call none.
            Watches::Users if own == TelemetryPreset::Vllm => None,
            Watches::Users | Watches::Verdicts => Some(TelemetryPreset::OtelGenai),
        };
        let model_errors =
            calls.map(|calls| one(Gate { error_rate: share("1%"), ..named("model-errors") }, vec![calls]));
        let latency = Slow { quantile: "0.95".to_owned(), max: "2.56s".to_owned(), ..Slow::default() };
        let cost = TokenCost { max_per_request: None, max_increase: Some("10%".to_owned()) };
        let priced = calls.unwrap_or(own);
        [one(Gate { error_rate: share("1%"), ..named("errors") }, users.clone())]
            .into_iter()
            .chain(model_errors)
            .chain([
                one(Gate { client_errors: Some(ClientErrors {}), ..named("client-errors") }, users.clone()),
                one(Gate { latency: Some(latency), ..named("latency") }, [users, calls.into_iter().collect()].concat()),
                one(Gate { token_cost: Some(cost), ..named("cost") }, vec![priced]),
                one(
                    Gate { hallucination: Some(Judged { max: "4%".to_owned(), evaluator: None }), ..named("grounded") },
                    vec![TelemetryPreset::Evals],
                ),
            ])
            .collect()
    }
}
