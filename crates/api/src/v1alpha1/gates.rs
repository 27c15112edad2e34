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
    pub error_rate: Option<Share>,
    /// Requests that the application refuses as its clients' own fault, with 4xx, or sends elsewhere with a redirect:
    /// compared beside the stable revision alone, without a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_errors: Option<ClientErrors>,
    /// Slow responses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Slow>,
    /// Streamed answers that are slow to begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_to_first_token: Option<Slow>,
    /// Streamed answers that are slow to go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_per_output_token: Option<Slow>,
    /// Tokens, per request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_request: Option<TokensPerRequest>,
    /// Money for tokens, per request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_cost: Option<TokenCost>,
    /// Money for the whole attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_budget: Option<TokenBudget>,
    /// Answers that a judge calls made up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hallucination: Option<Judged>,
    /// Answers that a judge calls too far from the expected one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub similarity: Option<Judged>,
    /// Answers that a judge calls unsafe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub safety: Option<Judged>,
    /// Tasks that a judge calls not done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_completion: Option<Judged>,
    /// Answers that users voted down, of those that they voted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feedback: Option<Share>,
    /// Answers that were cut off at the limit of their length. Advises, unless `advisory: false`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truncation: Option<Share>,
    /// Requests that the provider refused since there were too many. Advises, unless `advisory: false`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttling: Option<Share>,
    /// Which model answers: another one than `spec.model` makes the comparison void, and nothing is raised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_identity: Option<ModelIdentity>,
    /// Does the canary get the share of the requests that its weight gives it? Otherwise nothing is raised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share_check: Option<ShareCheck>,
    /// How full the model server is: nothing is raised while it is over its limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saturation: Option<Saturation>,
    /// Counters of your own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ratio: Option<Ratio>,
    /// PromQL of your own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<Query>,
    /// It is watched and reported, and neither raises nor rolls back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advisory: Option<bool>,
    /// Where this gate's numbers come from, instead of `spec.telemetry`. Verdicts of judges always come from `evals`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub telemetry: Option<TelemetryPreset>,
}

/// The one kind of a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateKind<'a> {
    /// Failed responses.
    ErrorRate(&'a Share),
    /// Requests that the application refuses as its clients' own fault, with 4xx, or sends elsewhere.
    ClientErrors(&'a ClientErrors),
    /// Slow responses.
    Latency(&'a Slow),
    /// Streamed answers that are slow to begin.
    TimeToFirstToken(&'a Slow),
    /// Streamed answers that are slow to go on.
    TimePerOutputToken(&'a Slow),
    /// Tokens, per request.
    TokensPerRequest(&'a TokensPerRequest),
    /// Money for tokens, per request.
    TokenCost(&'a TokenCost),
    /// Money for the whole attempt.
    TokenBudget(&'a TokenBudget),
    /// Answers that a judge calls made up.
    Hallucination(&'a Judged),
    /// Answers that a judge calls too far from the expected one.
    Similarity(&'a Judged),
    /// Answers that a judge calls unsafe.
    Safety(&'a Judged),
    /// Tasks that a judge calls not done.
    TaskCompletion(&'a Judged),
    /// Answers that users voted down, of those that they voted on.
    Feedback(&'a Share),
    /// Answers that were cut off at the limit of their length. Advises, unless `advisory: false`.
    Truncation(&'a Share),
    /// Requests that the provider refused since there were too many. Advises, unless `advisory: false`.
    Throttling(&'a Share),
    /// Which model answers: another one than `spec.model` makes the comparison void, and nothing is raised.
    ModelIdentity(&'a ModelIdentity),
    /// Does the canary get the share of the requests that its weight gives it? Otherwise nothing is raised.
    ShareCheck(&'a ShareCheck),
    /// How full the model server is: nothing is raised while it is over its limits.
    Saturation(&'a Saturation),
    /// Counters of your own.
    Ratio(&'a Ratio),
    /// PromQL of your own.
    Query(&'a Query),
}

impl Gate {
    /// The gate's kind, or `None` where it has not exactly one.
    pub fn kind(&self) -> Option<GateKind<'_>> {
        let mut kinds = [
            self.error_rate.as_ref().map(GateKind::ErrorRate),
            self.client_errors.as_ref().map(GateKind::ClientErrors),
            self.latency.as_ref().map(GateKind::Latency),
            self.time_to_first_token.as_ref().map(GateKind::TimeToFirstToken),
            self.time_per_output_token.as_ref().map(GateKind::TimePerOutputToken),
            self.tokens_per_request.as_ref().map(GateKind::TokensPerRequest),
            self.token_cost.as_ref().map(GateKind::TokenCost),
            self.token_budget.as_ref().map(GateKind::TokenBudget),
            self.hallucination.as_ref().map(GateKind::Hallucination),
            self.similarity.as_ref().map(GateKind::Similarity),
            self.safety.as_ref().map(GateKind::Safety),
            self.task_completion.as_ref().map(GateKind::TaskCompletion),
            self.feedback.as_ref().map(GateKind::Feedback),
            self.truncation.as_ref().map(GateKind::Truncation),
            self.throttling.as_ref().map(GateKind::Throttling),
            self.model_identity.as_ref().map(GateKind::ModelIdentity),
            self.share_check.as_ref().map(GateKind::ShareCheck),
            self.saturation.as_ref().map(GateKind::Saturation),
            self.ratio.as_ref().map(GateKind::Ratio),
            self.query.as_ref().map(GateKind::Query),
        ]
        .into_iter()
        .flatten();
        kinds.next().filter(|_| kinds.next().is_none())
    }

    /// Where its numbers come from, given the rollout's telemetry: verdicts of judges and votes of users always from
    /// `evals`; everything else as the gate says, or else the rollout, where that source has it, or else the first of
    /// `otel-genai`, `otel-http` and `vllm` that does.
    pub fn source(&self, rollout: &Telemetry) -> TelemetryPreset {
        let Some(kind) = self.kind() else { return rollout.preset };
        if kind.is_judged() {
            return TelemetryPreset::Evals;
        }
        let sources = [rollout.preset, TelemetryPreset::OtelGenai, TelemetryPreset::OtelHttp, TelemetryPreset::Vllm];
        let fit = sources.into_iter().find(|one| one.has(kind));
        self.telemetry.or(fit).unwrap_or(rollout.preset)
    }

    /// Does it only advise?
    pub fn advises(&self) -> bool {
        self.advisory.unwrap_or(self.truncation.is_some() || self.throttling.is_some())
    }
}

impl GateKind<'_> {
    /// Does it come from the evaluation contract?
    pub const fn is_judged(self) -> bool {
        matches!(
            self,
            Self::Hallucination(_)
                | Self::Similarity(_)
                | Self::Safety(_)
                | Self::TaskCompletion(_)
                | Self::Feedback(_)
        )
    }
}

/// At most this share of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Share {
    /// A percentage such as `"1%"`.
    pub max: String,
}

/// The share of requests answered with 4xx, without 429 (too many) and 499 (the user left), or with a redirect (3xx without
/// 304), must not be clearly larger than the stable revision's. There is no limit to set: how many clients send what nobody
/// can serve is no property of a revision.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClientErrors {}

/// At most `1 - quantile` of them take longer than `max`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Slow {
    /// The share that must be fast enough, between 0 and 1, such as `"0.95"`.
    pub quantile: String,
    /// The bound, such as `2.56s` or `800ms`; best one of the histogram's own bucket bounds.
    pub max: String,
    /// A histogram of your own instead of the telemetry's, such as `http_request_duration_seconds`, with or without
    /// `_bucket` or `_count`; classic or native. Its name says its unit (`_milliseconds`, `_millis`, `_ms`,
    /// `_microseconds`, `_us`, `_nanoseconds`, `_ns`; otherwise seconds).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub histogram: Option<String>,
    /// Which series of `histogram`, such as `{route="/ask"}`; all of them when absent. Namespace and revision are added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matching: Option<String>,
}

/// The tokens of a request are no more than this; at least one of the two.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokensPerRequest {
    /// Mean of the tokens, in and out, per request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_per_request: Option<i64>,
    /// Increase of the mean over the stable revision's, such as `"10%"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_increase: Option<String>,
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

/// What the canary and its judges may spend in one attempt. From 80 % on it warns, before 100 % all traffic goes back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenBudget {
    /// USD, such as `"25"`.
    pub max: String,
}

/// At most this share of the judged answers fails.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Judged {
    /// A percentage such as `"4%"`.
    pub max: String,
    /// The `evaluator` label of the verdicts to read. Without it: every evaluator's for `hallucination`, otherwise
    /// `similarity`, `safety` and `task_completion`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluator: Option<String>,
}

/// The model that answers must be `spec.model`: by its version, its name, or both.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ModelIdentity {
    /// Further names under which it may answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accept: Vec<String>,
}

/// Between a fifth and five times the canary's weight.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ShareCheck {}

/// Limits of a model server's own gauges; at least one of the two.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Saturation {
    /// How full the key-value cache may be, such as `"90%"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cache: Option<String>,
    /// How many requests may wait in one server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_queue: Option<i64>,
}

/// Counters of your own: of `total` at most this share is `bad`. Both are series selectors; namespace and revision are
/// added. How failed requests read is the exporter's affair: `http_requests_total{status=~"5.."}` for one that counts by
/// `status`, others have `code`, `status_code` or `http_status_code`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ratio {
    /// What is bad.
    pub bad: String,
    /// Of what.
    pub total: String,
    /// A percentage such as `"1%"`.
    pub max: String,
}

/// PromQL of your own that gives one number, which must lie between `min` and `max`; at least one of the two. It fails
/// when `breaches` of the last `of` answers did not. `$revision`, `$stable`, `$namespace` and `$name` stand for
/// the canary, the stable revision and the rollout; the namespace is added to each selector.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Query {
    /// The query.
    pub promql: String,
    /// Least, a decimal such as `"0.99"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<String>,
    /// Most, a decimal such as `"0.5"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<String>,
    /// How many answers outside make it fail; 3 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breaches: Option<i32>,
    /// Of how many; 5 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<i32>,
}

/// Where numbers come from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Telemetry {
    /// The names and labels of the metrics. OpenAI, Anthropic, LangChain, OpenLLMetry (Traceloop) and OpenLIT are
    /// `otel-genai`; FastAPI, Flask, Express and other servers with OpenTelemetry are `otel-http`. What has counters of
    /// its own needs no preset: `ratio`, and `latency.histogram`.
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
    /// OpenTelemetry's HTTP server metrics that the application itself exposes.
    #[serde(rename = "otel-http")]
    OtelHttp,
    /// Envoy's cluster metrics, as under Contour.
    #[serde(rename = "envoy")]
    Envoy,
    /// Istio's sidecars.
    #[serde(rename = "istio")]
    Istio,
    /// Linkerd's proxies.
    #[serde(rename = "linkerd")]
    Linkerd,
    /// Traefik as the gateway.
    #[serde(rename = "traefik")]
    Traefik,
    /// Ingress-nginx.
    #[serde(rename = "nginx")]
    Nginx,
    /// The LiteLLM proxy, with a key per revision.
    #[serde(rename = "litellm")]
    Litellm,
    /// vLLM in the pods.
    #[serde(rename = "vllm")]
    Vllm,
    /// Verdicts of judges: `llm_eval_results_total` and `llm_eval_started_total`.
    #[serde(rename = "evals")]
    Evals,
}

/// What a source counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watches {
    /// Requests of users, and what the application or the gateway answered.
    Users,
    /// Calls to a model, and what the model answered: what the application makes of it is not seen.
    Calls,
    /// Verdicts of judges.
    Verdicts,
}

impl TelemetryPreset {
    /// The sources of what users get that a rollout without gates looks for, in order of preference: the application's own
    /// before the gateway's.
    pub const OF_USERS: [Self; 6] =
        [Self::OtelHttp, Self::Istio, Self::Linkerd, Self::Envoy, Self::Traefik, Self::Nginx];

    /// What it counts.
    pub const fn watches(self) -> Watches {
        match self {
            Self::OtelHttp | Self::Envoy | Self::Istio | Self::Linkerd | Self::Traefik | Self::Nginx | Self::Vllm => {
                Watches::Users
            }
            Self::OtelGenai | Self::Litellm => Watches::Calls,
            Self::Evals => Watches::Verdicts,
        }
    }

    /// Has this source numbers for gates of the kind?
    pub const fn has(self, kind: GateKind<'_>) -> bool {
        match kind {
            GateKind::ErrorRate(_)
            | GateKind::Latency(_)
            | GateKind::ShareCheck(_)
            | GateKind::Ratio(_)
            | GateKind::Query(_) => !matches!(self, Self::Evals),
            GateKind::TimeToFirstToken(own) | GateKind::TimePerOutputToken(own) if own.histogram.is_some() => {
                !matches!(self, Self::Evals)
            }
            // Who calls a model is the revision itself: there 4xx are failures.
            GateKind::ClientErrors(_) => !matches!(self, Self::OtelGenai | Self::Litellm | Self::Evals),
            GateKind::TimeToFirstToken(_)
            | GateKind::TokensPerRequest(_)
            | GateKind::TokenCost(_)
            | GateKind::TokenBudget(_) => matches!(self, Self::OtelGenai | Self::Litellm | Self::Vllm),
            GateKind::TimePerOutputToken(_) => matches!(self, Self::OtelGenai | Self::Vllm),
            GateKind::ModelIdentity(_) => matches!(self, Self::OtelGenai | Self::Litellm),
            GateKind::Throttling(_) => !matches!(self, Self::Envoy | Self::Vllm | Self::Evals),
            GateKind::Truncation(_) | GateKind::Saturation(_) => matches!(self, Self::Vllm),
            GateKind::Hallucination(_)
            | GateKind::Similarity(_)
            | GateKind::Safety(_)
            | GateKind::TaskCompletion(_)
            | GateKind::Feedback(_) => matches!(self, Self::Evals),
        }
    }

    /// The name as the API spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OtelGenai => "otel-genai",
            Self::OtelHttp => "otel-http",
            Self::Envoy => "envoy",
            Self::Istio => "istio",
            Self::Linkerd => "linkerd",
            Self::Traefik => "traefik",
            Self::Nginx => "nginx",
            Self::Litellm => "litellm",
            Self::Vllm => "vllm",
            Self::Evals => "evals",
        }
    }
}
