//! The plan of an attempt, pinned at Begin: steps, gates and the numbers that judge them.

mod gate;

use microapp_api::{
    v1alpha1::{self as api, MicroAppRolloutSpec},
    values::{self, Weight},
};
use serde::{Deserialize, Serialize};

pub use gate::{Gate, GateKind, Judged, Mean, OwnHistogram, Share, Slow};
/// Which families of metrics a gate reads. The names and labels behind it are telemetry's.
pub use microapp_api::v1alpha1::{TelemetryPreset as Preset, Watches};

/// One step of the ramp. The last one, at 100 %, is the bake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// The canary's share.
    pub weight: Weight,
    /// At least so long, in milliseconds.
    pub dwell_millis: i64,
}

/// What happens to a step that is undecided after `max_step_millis`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnInconclusive {
    /// Stay at the weight; a person decides.
    #[default]
    Hold,
    /// Put everything back.
    Rollback,
}

/// What happens where no tolerance fits the traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum LowTraffic {
    /// Nothing starts.
    #[default]
    Hold,
    /// The ramp begins at the lowest step that fits.
    SkipSteps,
}

impl LowTraffic {
    #[allow(clippy::trivially_copy_pass_by_ref)] // serde hands over a reference
    const fn is_hold(&self) -> bool {
        matches!(self, Self::Hold)
    }
}

#[allow(clippy::trivially_copy_pass_by_ref)]
const fn is_zero(index: &usize) -> bool {
    *index == 0
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde hands over a reference
const fn is_none(millis: &i64) -> bool {
    *millis == 0
}

/// The resolved plan of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Strategy {
    /// In rising order of weight; never empty.
    pub steps: Vec<Step>,
    /// The gates.
    pub gates: Vec<Gate>,
    /// False rollback per attempt, parts per million (10 000 = 1 %).
    pub alpha_ppm: i64,
    /// False promotion per gate and step, parts per million (50 000 = 5 %).
    pub beta_ppm: i64,
    /// The extra share of bad responses at full traffic that the ramp must exclude, parts per million. `None`: `Auto`, and
    /// preflight has not chosen yet.
    #[serde(default)]
    pub epsilon_ppm: Option<i64>,
    /// What `Auto` does where no tolerance fits.
    #[serde(default, skip_serializing_if = "LowTraffic::is_hold")]
    pub low_traffic: LowTraffic,
    /// The step that the ramp begins with.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub first: usize,
    /// After so long an undecided step is `on_inconclusive`'s, milliseconds.
    pub max_step_millis: i64,
    /// So long after each raise gates of time do not count, milliseconds.
    #[serde(default, skip_serializing_if = "is_none")]
    pub warm_up_millis: i64,
    /// See [`OnInconclusive`].
    pub on_inconclusive: OnInconclusive,
    /// The size of the application when the attempt began: the basis of the canary's size.
    pub replicas: i32,
    /// SHA-256 of the price table, first 12 hex digits; empty where no gate needs it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prices: String,
}

impl Strategy {
    /// The index of the bake.
    pub fn last(&self) -> usize {
        self.steps.len().saturating_sub(1)
    }

    /// G: the gates that share α, those with statistics that block; at least 1.
    pub fn shared(&self) -> usize {
        self.gates.iter().filter(|gate| gate.kind.is_statistical() && !gate.advisory).count().max(1)
    }

    /// The weights of all steps as shares.
    pub fn weights(&self) -> Vec<f64> {
        self.steps.iter().map(|step| step.weight.as_fraction()).collect()
    }

    /// The weight after step `index`: 100 % after the last one.
    pub fn next_weight(&self, index: usize) -> Weight {
        self.steps.get(index + 1).map_or(Weight::FULL, |step| step.weight)
    }
}

/// False rollback per attempt: 1 %.
const ALPHA_PPM: i64 = 10_000;
/// False promotion per gate and step: 5 %.
const BETA_PPM: i64 = 50_000;

/// A spec that names no usable plan: a sentence that says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unusable(pub String);

fn wrong(field: &str) -> impl Fn(values::ValueError) -> Unusable + '_ {
    move |error| Unusable(format!("{field}: {error}"))
}

impl Strategy {
    /// Reads the plan out of a spec. The schema refuses most mistakes; stored objects may be older than the schema.
    pub fn resolve(spec: &MicroAppRolloutSpec, prices: &str) -> Result<Self, Unusable> {
        let api::Strategy {
            preset: _,
            steps: _,
            max_step_duration,
            on_inconclusive,
            tolerance,
            low_traffic,
            ready_deadline: _,
            warm_up,
        } = &spec.strategy;
        if spec.telemetry.backend.is_some() {
            return Err(Unusable("telemetry.backend has no effect yet: leave it out".to_owned()));
        }
        let steps = spec.strategy.effective_steps().iter().map(step).collect::<Result<Vec<_>, _>>()?;
        let gates = spec
            .effective_gates()
            .iter()
            .map(|effective| gate::resolve(effective, &spec.model))
            .collect::<Result<Vec<_>, _>>()?;
        let tolerance: values::Tolerance = tolerance.parse().map_err(wrong("strategy.tolerance"))?;
        let epsilon_ppm = match tolerance {
            values::Tolerance::Auto => None,
            values::Tolerance::Given(share) => Some(share.ppm()),
        };
        let plan = Self {
            steps,
            prices: if needs_prices(&gates) { prices.to_owned() } else { String::new() },
            gates,
            alpha_ppm: ALPHA_PPM,
            beta_ppm: BETA_PPM,
            epsilon_ppm,
            low_traffic: match low_traffic {
                api::LowTraffic::Hold => LowTraffic::Hold,
                api::LowTraffic::SkipSteps => LowTraffic::SkipSteps,
            },
            first: 0,
            max_step_millis: millis(max_step_duration, "strategy.maxStepDuration")?,
            warm_up_millis: millis(warm_up, "strategy.warmUp")?,
            on_inconclusive: match on_inconclusive {
                api::OnInconclusive::Hold => OnInconclusive::Hold,
                api::OnInconclusive::Rollback => OnInconclusive::Rollback,
            },
            replicas: spec.replicas,
        };
        plan.checked()
    }

    /// What must hold of the steps and names, whatever the schema let through.
    fn checked(self) -> Result<Self, Unusable> {
        let fail = |sentence: &str| Err(Unusable(sentence.to_owned()));
        if self.steps.last().is_none_or(|step| step.weight != Weight::FULL) {
            return fail("strategy.steps: the last step must have weight 100");
        }
        if !self.steps.is_sorted_by(|a, b| a.weight < b.weight) {
            return fail("strategy.steps: each weight must be larger than the one before");
        }
        let mut names: Vec<_> = self.gates.iter().map(|gate| gate.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        if names.len() != self.gates.len() {
            return fail("gates: each name may be used once");
        }
        let judged = |gate: &&Gate| matches!(&gate.kind, GateKind::Judged { what, .. } if *what != Judged::Feedback);
        let every =
            |gate: &Gate| matches!(&gate.kind, GateKind::Judged { evaluator: None, what: Judged::Hallucination, .. });
        if self.gates.iter().filter(judged).count() > 1 && self.gates.iter().any(every) {
            return fail("gates: several read verdicts, so hallucination.evaluator must say whose it reads");
        }
        Ok(self)
    }

    /// The form that status keeps.
    pub fn to_pinned(&self) -> api::PinnedPlan {
        let Self {
            steps,
            gates,
            alpha_ppm,
            beta_ppm,
            epsilon_ppm,
            low_traffic,
            first,
            max_step_millis,
            warm_up_millis,
            on_inconclusive,
            replicas,
            prices,
        } = self;
        api::PinnedPlan {
            steps: steps
                .iter()
                .map(|step| api::PinnedStep { weight: step.weight.to_string(), dwell_millis: step.dwell_millis })
                .collect(),
            first_step: i32::try_from(*first).unwrap_or(i32::MAX),
            gates: gates.iter().map(gate::pin).collect(),
            alpha: decimal(*alpha_ppm),
            beta: decimal(*beta_ppm),
            epsilon: epsilon_ppm.map_or_else(|| AUTO.to_owned(), decimal),
            low_traffic: match low_traffic {
                LowTraffic::Hold => api::LowTraffic::Hold,
                LowTraffic::SkipSteps => api::LowTraffic::SkipSteps,
            },
            price_digest: (!prices.is_empty()).then(|| prices.clone()),
            max_step_millis: *max_step_millis,
            warm_up_millis: *warm_up_millis,
            on_inconclusive: match on_inconclusive {
                OnInconclusive::Hold => api::OnInconclusive::Hold,
                OnInconclusive::Rollback => api::OnInconclusive::Rollback,
            },
            replicas: *replicas,
            interval_millis: None,
        }
    }

    /// The plan back out of status; `None` when it does not read.
    pub fn from_pinned(plan: &api::PinnedPlan) -> Option<Self> {
        let steps = plan
            .steps
            .iter()
            .map(|step| Some(Step { weight: step.weight.parse().ok()?, dwell_millis: step.dwell_millis }))
            .collect::<Option<Vec<_>>>()?;
        let gates = plan.gates.iter().map(|pinned| gate::read(pinned).ok()).collect::<Option<Vec<_>>>()?;
        Self {
            steps,
            gates,
            alpha_ppm: ppm(&plan.alpha)?,
            beta_ppm: ppm(&plan.beta)?,
            epsilon_ppm: if plan.epsilon == AUTO { None } else { Some(ppm(&plan.epsilon)?) },
            low_traffic: match plan.low_traffic {
                api::LowTraffic::Hold => LowTraffic::Hold,
                api::LowTraffic::SkipSteps => LowTraffic::SkipSteps,
            },
            first: usize::try_from(plan.first_step).ok().filter(|first| *first < plan.steps.len())?,
            max_step_millis: plan.max_step_millis,
            warm_up_millis: plan.warm_up_millis,
            on_inconclusive: match plan.on_inconclusive {
                api::OnInconclusive::Hold => OnInconclusive::Hold,
                api::OnInconclusive::Rollback => OnInconclusive::Rollback,
            },
            replicas: plan.replicas,
            prices: plan.price_digest.clone().unwrap_or_default(),
        }
        .checked()
        .ok()
    }
}

fn step(step: &api::Step) -> Result<Step, Unusable> {
    Ok(Step {
        weight: Weight::from_int_or_string(&step.weight).map_err(wrong("strategy.steps.weight"))?,
        dwell_millis: millis(&step.dwell, "strategy.steps.dwell")?,
    })
}

pub(crate) fn millis(text: &str, field: &str) -> Result<i64, Unusable> {
    let duration = values::duration(text).map_err(wrong(field))?;
    i64::try_from(duration.as_millis()).map_err(|_| Unusable(format!("{field}: {text} is too long")))
}

/// A tolerance that preflight has not chosen yet.
pub(crate) const AUTO: &str = "Auto";

fn needs_prices(gates: &[Gate]) -> bool {
    let priced = |kind: &GateKind| matches!(kind, GateKind::Mean { what: Mean::Cost, .. } | GateKind::Budget { .. });
    gates.iter().any(|gate| priced(&gate.kind))
}

/// Parts per million as a decimal fraction without trailing zeros: 10 000 is `0.01`.
pub(crate) fn decimal(ppm: i64) -> String {
    let text = format!("{}.{:06}", ppm / 1_000_000, ppm % 1_000_000);
    let text = text.trim_end_matches('0').trim_end_matches('.');
    text.to_owned()
}

/// The other way round.
fn ppm(text: &str) -> Option<i64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let part = format!("{part:0<6}");
    (part.len() == 6).then(|| Some(whole.parse::<i64>().ok()? * 1_000_000 + part.parse::<i64>().ok()?)).flatten()
}
