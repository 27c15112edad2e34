//! One gate of a plan: what it measures, its limit, and how both stand in the API.

use microapp_api::{
    v1alpha1 as api,
    values::{self, Nano, Percent, PicoUsd},
};
use serde::{Deserialize, Serialize};

use super::{Preset, Unusable, decimal, wrong};

/// What a gate measures and its limit, by the statistics that judge it. Fractions are parts per million, money is
/// pico-USD, other numbers are billionths.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum GateKind {
    /// Bad requests / requests.
    Share {
        /// Which are bad.
        what: Share,
        /// The allowed share; `None`: there is none, the share is compared with stable's alone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_ppm: Option<i64>,
    },
    /// Requests slower than `max_micros` / requests; the allowed share is 1 − quantile.
    Slow {
        /// Which time.
        what: Slow,
        /// The allowed share of slow ones.
        slow_ppm: i64,
        /// What is slow, in microseconds.
        max_micros: i64,
        /// A histogram of the user's own instead of the source's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        own: Option<OwnHistogram>,
    },
    /// A mean per request: at most this, and at most so much more than stable's.
    Mean {
        /// Of what.
        what: Mean,
        /// The mean, in pico-USD or tokens.
        max: Option<i128>,
        /// Increase over stable's.
        max_increase_ppm: Option<i64>,
    },
    /// Failed verdicts / verdicts, which come late. `None`: of every evaluator.
    Judged {
        /// What is judged.
        what: Judged,
        /// The allowed share.
        max_ppm: i64,
        /// Whose verdicts.
        evaluator: Option<String>,
    },
    /// A cap on what the canary and its judges spend in the attempt.
    Budget {
        /// The cap.
        max_pico_usd: i128,
    },
    /// A set: which models may answer.
    Model {
        /// Their names.
        accepted: Vec<String>,
    },
    /// A guard: the observed share of the requests against the weight.
    Traffic,
    /// A guard: gauges of a model server.
    Saturation {
        /// How full the key-value cache may be.
        max_cache_ppm: Option<i64>,
        /// How many requests may wait.
        max_queue: Option<i64>,
    },
    /// A value: the user's PromQL against limits, k of n.
    Query {
        /// As written.
        promql: String,
        /// Least, in billionths.
        min: Option<i128>,
        /// Most, in billionths.
        max: Option<i128>,
        /// k.
        breaches: u32,
        /// n, at most 64.
        of: u32,
    },
}

/// Which requests are bad.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Share {
    /// Failed ones.
    Errors,
    /// Those that the application refuses as its clients' own fault.
    ClientErrors,
    /// Those whose answer was cut off.
    Truncated,
    /// Those that the provider refused.
    Throttled,
    /// What the user's own selectors say.
    Ratio {
        /// Selector of the bad ones.
        bad: String,
        /// Selector of all.
        total: String,
    },
}

/// Which time is slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Slow {
    /// Of the whole response.
    Response,
    /// To the first token of a streamed answer.
    FirstToken,
    /// From one token to the next.
    PerToken,
}

/// A histogram of the user's own, as written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OwnHistogram {
    /// Its name, with or without `_bucket`, `_count` or `_sum`.
    pub histogram: String,
    /// Which of its series, such as `{route="/ask"}`; `None`: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matching: Option<String>,
}

/// Of what a mean is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Mean {
    /// Money for tokens, in pico-USD.
    Cost,
    /// Tokens, in and out.
    Tokens,
}

/// What is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Judged {
    /// Is the answer made up?
    Hallucination,
    /// Is it close to the expected one?
    Similarity,
    /// Is it safe?
    Safety,
    /// Is the task done?
    TaskCompletion,
    /// Do the users like it? Votes, not verdicts: nothing is started, so nothing is open.
    Feedback,
}

impl GateKind {
    /// Is it judged by an e-process or a confidence sequence, inside the promise about false rollbacks?
    pub const fn is_statistical(&self) -> bool {
        match self {
            Self::Share { .. } | Self::Slow { .. } | Self::Mean { .. } | Self::Judged { .. } => true,
            Self::Budget { .. } | Self::Model { .. } | Self::Traffic | Self::Saturation { .. } | Self::Query { .. } => {
                false
            }
        }
    }

    /// Does it compare, so that a window without stable's counts says nothing? In the bake no gate does.
    pub const fn compares(&self) -> bool {
        self.is_statistical() || matches!(self, Self::Traffic)
    }
}

/// One gate of the plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Gate {
    /// Unique within the plan.
    pub name: String,
    /// What it measures.
    pub kind: GateKind,
    /// Where its numbers come from.
    pub source: Preset,
    /// Where else they may come from, in order of preference: preflight pins the first one that stable has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fallbacks: Vec<Preset>,
    /// Came from the preset, not from the user: without data for stable it is not watched (errors always are).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub defaulted: bool,
    /// It is reported, and neither raises nor rolls back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub advisory: bool,
}

impl Gate {
    /// Must it have data for stable before the attempt may start? A default may be left out, but not both kinds of errors;
    /// what only advises keeps nobody waiting.
    pub fn required(&self) -> bool {
        !self.advisory && (!self.defaulted || self.is_errors())
    }

    /// Does it count failed requests, or failed calls to a model?
    pub const fn is_errors(&self) -> bool {
        matches!(self.kind, GateKind::Share { what: Share::Errors, .. })
    }

    /// Is it a default that is watched beside the others where stable has its numbers?
    pub fn is_beside(&self) -> bool {
        let beside = matches!(self.kind, GateKind::Share { what: Share::ClientErrors, .. });
        self.defaulted && (beside || self.is_errors() && self.source.watches() == api::Watches::Calls)
    }

    /// Every source that it may read, in order of preference.
    pub fn sources(&self) -> impl Iterator<Item = Preset> {
        std::iter::once(self.source).chain(self.fallbacks.iter().copied())
    }
}

/// k and n of a query that does not say them.
const BREACHES: (i32, i32) = (3, 5);
/// One: a decimal of 1.
const WHOLE_PPM: i64 = 1_000_000;

/// Reads a gate of a spec.
pub(super) fn resolve(effective: &api::EffectiveGate, model: &api::Model) -> Result<Gate, Unusable> {
    let api::EffectiveGate { gate, sources, defaulted } = effective;
    let (source, fallbacks) =
        sources.split_first().map_or((Preset::default(), &[][..]), |(first, more)| (*first, more));
    let mut resolved = Gate { fallbacks: fallbacks.to_vec(), ..read_gate(gate, source, *defaulted)? };
    if let GateKind::Model { accepted } = &mut resolved.kind {
        let api::Model { provider: _, name, version, parameters: _ } = model;
        let own = [version.clone(), name.clone(), format!("{name}-{version}"), format!("{name}@{version}")];
        accepted.extend(own);
        accepted.push(format!("{name}:{version}"));
        accepted.sort();
        accepted.dedup();
    }
    Ok(resolved)
}

/// Reads a gate of a pinned plan, in which every name of the model stands.
pub(super) fn read(pinned: &api::PinnedGate) -> Result<Gate, Unusable> {
    let source = pinned.gate.telemetry.unwrap_or_default();
    Ok(Gate { fallbacks: pinned.fallbacks.clone(), ..read_gate(&pinned.gate, source, pinned.defaulted)? })
}

fn read_gate(gate: &api::Gate, source: Preset, defaulted: bool) -> Result<Gate, Unusable> {
    let field = format!("gates[{}]", gate.name);
    let percent = |text: &str| text.parse::<Percent>().map(Percent::ppm).map_err(wrong(&field));
    let increase = |text: &Option<String>| text.as_deref().map(percent).transpose();
    let money = |text: &str| text.parse::<PicoUsd>().map(|money| money.0).map_err(wrong(&field));
    let number = |text: &Option<String>| {
        text.as_deref().map(|text| text.parse::<Nano>().map(|nano| nano.0).map_err(wrong(&field))).transpose()
    };
    let share = |what: Share, max: &str| Ok(GateKind::Share { what, max_ppm: Some(percent(max)?) });
    let slow = |what: Slow, slow: &api::Slow| {
        let quantile: values::Quantile = slow.quantile.parse().map_err(wrong(&field))?;
        let bound = values::latency_bound(&slow.max).map_err(wrong(&field))?;
        let max_micros = i64::try_from(bound.as_micros()).unwrap_or(i64::MAX);
        let own = match (&slow.histogram, &slow.matching) {
            (None, Some(_)) => {
                return Err(Unusable(format!(
                    "{field}: matching needs histogram: name the histogram that it is about"
                )));
            }
            (histogram, matching) => {
                histogram.clone().map(|histogram| OwnHistogram { histogram, matching: matching.clone() })
            }
        };
        Ok(GateKind::Slow { what, slow_ppm: WHOLE_PPM - quantile.ppm(), max_micros, own })
    };
    let judged = |what: Judged, judged: &api::Judged, usual: Option<&str>| {
        let evaluator = judged.evaluator.clone().or_else(|| usual.map(str::to_owned));
        Ok(GateKind::Judged { what, max_ppm: percent(&judged.max)?, evaluator })
    };
    let kind: Result<GateKind, Unusable> = match gate.kind() {
        None => Err(Unusable(format!(
            "{field}: give exactly one kind, such as errorRate, latency, tokenCost or hallucination"
        ))),
        Some(api::GateKind::ErrorRate(rate)) => share(Share::Errors, &rate.max),
        Some(api::GateKind::ClientErrors(api::ClientErrors {})) => {
            Ok(GateKind::Share { what: Share::ClientErrors, max_ppm: None })
        }
        Some(api::GateKind::Truncation(rate)) => share(Share::Truncated, &rate.max),
        Some(api::GateKind::Throttling(rate)) => share(Share::Throttled, &rate.max),
        Some(api::GateKind::Ratio(api::Ratio { bad, total, max })) => {
            share(Share::Ratio { bad: bad.clone(), total: total.clone() }, max)
        }
        Some(api::GateKind::Latency(latency)) => slow(Slow::Response, latency),
        Some(api::GateKind::TimeToFirstToken(latency)) => slow(Slow::FirstToken, latency),
        Some(api::GateKind::TimePerOutputToken(latency)) => slow(Slow::PerToken, latency),
        Some(api::GateKind::TokensPerRequest(tokens)) => Ok(GateKind::Mean {
            what: Mean::Tokens,
            max: tokens.max_per_request.map(i128::from),
            max_increase_ppm: increase(&tokens.max_increase)?,
        }),
        Some(api::GateKind::TokenCost(cost)) => Ok(GateKind::Mean {
            what: Mean::Cost,
            max: cost.max_per_request.as_deref().map(money).transpose()?,
            max_increase_ppm: increase(&cost.max_increase)?,
        }),
        Some(api::GateKind::TokenBudget(budget)) => Ok(GateKind::Budget { max_pico_usd: money(&budget.max)? }),
        Some(api::GateKind::Hallucination(by)) => judged(Judged::Hallucination, by, None),
        Some(api::GateKind::Similarity(by)) => judged(Judged::Similarity, by, Some("similarity")),
        Some(api::GateKind::Safety(by)) => judged(Judged::Safety, by, Some("safety")),
        Some(api::GateKind::TaskCompletion(by)) => judged(Judged::TaskCompletion, by, Some("task_completion")),
        Some(api::GateKind::Feedback(rate)) => {
            Ok(GateKind::Judged { what: Judged::Feedback, max_ppm: percent(&rate.max)?, evaluator: None })
        }
        Some(api::GateKind::ModelIdentity(model)) => Ok(GateKind::Model { accepted: model.accept.clone() }),
        Some(api::GateKind::ShareCheck(api::ShareCheck {})) => Ok(GateKind::Traffic),
        Some(api::GateKind::Saturation(api::Saturation { max_cache, max_queue })) => {
            Ok(GateKind::Saturation { max_cache_ppm: increase(max_cache)?, max_queue: *max_queue })
        }
        Some(api::GateKind::Query(query)) => {
            let count =
                |given: Option<i32>, usual: i32| u32::try_from(given.unwrap_or(usual)).unwrap_or(1).clamp(1, 64);
            let (breaches, of) = (count(query.breaches, BREACHES.0), count(query.of, BREACHES.1));
            if breaches > of {
                return Err(Unusable(format!("{field}: breaches {breaches} is larger than of {of}")));
            }
            let (min, max) = (number(&query.min)?, number(&query.max)?);
            Ok(GateKind::Query { promql: query.promql.clone(), min, max, breaches, of })
        }
    };
    let (kind, fallbacks) = (kind?, Vec::new());
    Ok(Gate { name: gate.name.clone(), kind, source, fallbacks, defaulted, advisory: gate.advises() })
}

/// The form that status keeps.
pub(super) fn pin(gate: &Gate) -> api::PinnedGate {
    let Gate { name, kind, source, fallbacks, defaulted, advisory } = gate;
    let mut pinned = api::Gate { name: name.clone(), telemetry: Some(*source), ..api::Gate::default() };
    pin_kind(kind, &mut pinned);
    if pinned.advises() != *advisory {
        pinned.advisory = Some(*advisory);
    }
    api::PinnedGate { gate: pinned, defaulted: *defaulted, fallbacks: fallbacks.clone(), baseline: None }
}

fn pin_kind(kind: &GateKind, pinned: &mut api::Gate) {
    let percent = |ppm: i64| Percent::from_ppm(ppm).to_string();
    let number = |nano: &Option<i128>| nano.map(|nano| Nano(nano).to_string());
    match kind {
        GateKind::Share { what, max_ppm } => {
            // Only client errors have no limit.
            let max = percent(max_ppm.unwrap_or_default());
            let share = Some(api::Share { max: max.clone() });
            match what {
                Share::Errors => pinned.error_rate = share,
                Share::ClientErrors => pinned.client_errors = Some(api::ClientErrors {}),
                Share::Truncated => pinned.truncation = share,
                Share::Throttled => pinned.throttling = share,
                Share::Ratio { bad, total } => {
                    let (bad, total) = (bad.clone(), total.clone());
                    pinned.ratio = Some(api::Ratio { bad, total, max });
                }
            }
        }
        GateKind::Slow { what, slow_ppm, max_micros, own } => {
            let slow = Some(api::Slow {
                quantile: decimal(WHOLE_PPM - slow_ppm),
                max: values::format_latency_bound(std::time::Duration::from_micros((*max_micros).cast_unsigned())),
                histogram: own.as_ref().map(|own| own.histogram.clone()),
                matching: own.as_ref().and_then(|own| own.matching.clone()),
            });
            match what {
                Slow::Response => pinned.latency = slow,
                Slow::FirstToken => pinned.time_to_first_token = slow,
                Slow::PerToken => pinned.time_per_output_token = slow,
            }
        }
        GateKind::Mean { what: Mean::Cost, max, max_increase_ppm } => {
            pinned.token_cost = Some(api::TokenCost {
                max_per_request: max.map(|money| PicoUsd(money).to_string()),
                max_increase: max_increase_ppm.map(percent),
            });
        }
        GateKind::Mean { what: Mean::Tokens, max, max_increase_ppm } => {
            pinned.tokens_per_request = Some(api::TokensPerRequest {
                max_per_request: max.map(|tokens| i64::try_from(tokens).unwrap_or(i64::MAX)),
                max_increase: max_increase_ppm.map(percent),
            });
        }
        GateKind::Judged { what, max_ppm, evaluator } => {
            let max = percent(*max_ppm);
            let judged = || Some(api::Judged { max: max.clone(), evaluator: evaluator.clone() });
            match what {
                Judged::Hallucination => pinned.hallucination = judged(),
                Judged::Similarity => pinned.similarity = judged(),
                Judged::Safety => pinned.safety = judged(),
                Judged::TaskCompletion => pinned.task_completion = judged(),
                Judged::Feedback => pinned.feedback = Some(api::Share { max }),
            }
        }
        GateKind::Budget { max_pico_usd } => {
            pinned.token_budget = Some(api::TokenBudget { max: PicoUsd(*max_pico_usd).to_string() });
        }
        GateKind::Model { accepted } => {
            pinned.model_identity = Some(api::ModelIdentity { accept: accepted.clone() });
        }
        GateKind::Traffic => pinned.share_check = Some(api::ShareCheck {}),
        GateKind::Saturation { max_cache_ppm, max_queue } => {
            let max_cache = max_cache_ppm.map(percent);
            pinned.saturation = Some(api::Saturation { max_cache, max_queue: *max_queue });
        }
        GateKind::Query { promql, min, max, breaches, of } => {
            let count = |count: u32| i32::try_from(count).ok();
            pinned.query = Some(api::Query {
                promql: promql.clone(),
                min: number(min),
                max: number(max),
                breaches: count(*breaches),
                of: count(*of),
            });
        }
    }
}
