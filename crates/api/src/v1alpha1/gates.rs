use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One thing that a revision must not do worse: a name and exactly one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Gate {
    /// Its name in status, metrics and explanations; unique in the list.
    pub name: String,
    /// Failed responses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_rate: Option<ErrorRate>,
    /// Slow responses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// Money for tokens, per request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_cost: Option<TokenCost>,
    /// Answers that a judge calls made up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hallucination: Option<Hallucination>,
    /// Where this gate's numbers come from, instead of `spec.telemetry`. Verdicts of judges always come from `evals`,
    /// tokens from `otel-genai`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub telemetry: Option<TelemetryPreset>,
}

/// The one kind of a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateKind<'a> {
    /// Failed responses.
    ErrorRate(&'a ErrorRate),
    /// Slow responses.
    Latency(&'a Latency),
    /// Money for tokens.
    TokenCost(&'a TokenCost),
    /// Verdicts of a judge.
    Hallucination(&'a Hallucination),
}

impl Gate {
    /// The gate's kind, or `None` where it has not exactly one.
    pub fn kind(&self) -> Option<GateKind<'_>> {
        let mut kinds = [
            self.error_rate.as_ref().map(GateKind::ErrorRate),
            self.latency.as_ref().map(GateKind::Latency),
            self.token_cost.as_ref().map(GateKind::TokenCost),
            self.hallucination.as_ref().map(GateKind::Hallucination),
        ]
        .into_iter()
        .flatten();
        kinds.next().filter(|_| kinds.next().is_none())
    }

    /// Where its numbers come from, given the rollout's telemetry: verdicts of judges always from `evals`, tokens from
    /// the only preset that counts them, everything else as the gate or else the rollout says.
    pub fn source(&self, rollout: &Telemetry) -> TelemetryPreset {
        if self.hallucination.is_some() {
            TelemetryPreset::Evals
        } else if self.token_cost.is_some() {
            TelemetryPreset::OtelGenai
        } else {
            self.telemetry.unwrap_or(rollout.preset)
        }
    }

    /// The four gates of a rollout that lists none: errors at most 1 %, 95 % of responses within 2.56 s (a bound of the
    /// OpenTelemetry GenAI histogram), cost at most 10 % up, at most 4 % made-up answers.
    pub fn defaults() -> Vec<Self> {
        let named = |name: &str| Self { name: name.to_owned(), ..Self::default() };
        vec![
            Self { error_rate: Some(ErrorRate { max: "1%".to_owned() }), ..named("errors") },
            Self {
                latency: Some(Latency { quantile: "0.95".to_owned(), max: "2.56s".to_owned() }),
                ..named("latency")
            },
            Self {
                token_cost: Some(TokenCost { max_per_request: None, max_increase: Some("10%".to_owned()) }),
                ..named("cost")
            },
            Self { hallucination: Some(Hallucination { max: "4%".to_owned(), evaluator: None }), ..named("grounded") },
        ]
    }
}

/// At most this share of the requests fails.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorRate {
    /// A percentage such as `"1%"`.
    pub max: String,
}

/// At most `1 - quantile` of the requests take longer than `max`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Latency {
    /// The share that must be fast enough, between 0 and 1, such as `"0.95"`.
    pub quantile: String,
    /// The bound, such as `2.56s` or `800ms`; best one of the histogram's own bucket bounds.
    pub max: String,
}

/// The tokens of a request, at the pinned prices, cost no more than this; at least one of the two.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenCost {
    /// Mean cost per request in USD, such as `"0.004"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_per_request: Option<String>,
    /// Increase of the mean over the stable revision's, such as `"10%"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_increase: Option<String>,
}

/// At most this share of the judged answers is made up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Hallucination {
    /// A percentage such as `"4%"`.
    pub max: String,
    /// The `evaluator` label of the verdicts to read, where several judges write some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluator: Option<String>,
}

/// Where numbers come from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Telemetry {
    /// The names and labels of the metrics.
    #[serde(default)]
    pub preset: TelemetryPreset,
    /// A Prometheus that the operator is configured with, by name; its default one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
}

/// A set of metric names and labels that is known by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum TelemetryPreset {
    /// The OpenTelemetry GenAI metrics that the application itself exposes.
    #[default]
    #[serde(rename = "otel-genai")]
    OtelGenai,
    /// Envoy's cluster metrics, as under Contour.
    #[serde(rename = "envoy")]
    Envoy,
    /// Verdicts of judges: `llm_eval_results_total` and `llm_eval_started_total`.
    #[serde(rename = "evals")]
    Evals,
}

impl TelemetryPreset {
    /// The name as the API spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OtelGenai => "otel-genai",
            Self::Envoy => "envoy",
            Self::Evals => "evals",
        }
    }
}
