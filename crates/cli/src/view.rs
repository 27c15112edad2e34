//! What was read of one rollout at one moment, and the few facts that every verb shows of it.

use std::sync::LazyLock;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube_client::ResourceExt;
use microapp_api::{
    conditions::{ConditionType, Reason},
    text::printable,
    v1alpha1::{Canary, GateStatus, HistoryEntry, MicroAppRollout, MicroAppRolloutStatus, Per, PinnedPlan},
    values::{Nano, Weight},
};
use microapp_core::{
    Strategy,
    counts::Side,
    evidence::saved_at,
    explain::{self, Unit},
    register::Register,
    strategy::{Gate, GateKind},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// A rollout, its route's record, and when both were read.
#[derive(Clone, Debug)]
pub struct View {
    /// The object.
    pub rollout: MicroAppRollout,
    /// What its route says; `None` where there is no route, or no right to read it.
    pub register: Option<Register>,
    /// There is no right to read the route: what runs is known from status alone.
    pub hidden: bool,
    /// The time of reading.
    pub now: Timestamp,
}

static FRESH: LazyLock<MicroAppRolloutStatus> = LazyLock::new(MicroAppRolloutStatus::default);

impl View {
    /// The same with every text fit to be printed: whoever may write into an object may write what moves a terminal's
    /// cursor.
    #[must_use]
    pub fn printable(&self) -> Self {
        let Self { rollout, register, hidden, now } = self;
        Self { rollout: cleaned(rollout), register: register.as_ref().map(cleaned), hidden: *hidden, now: *now }
    }

    /// The status; an empty one where the operator has not written any.
    pub fn status(&self) -> &MicroAppRolloutStatus {
        self.rollout.status.as_ref().unwrap_or(&FRESH)
    }

    /// Its name.
    pub fn name(&self) -> String {
        self.rollout.name_any()
    }

    /// Has the operator seen the spec as it stands?
    pub fn is_observed(&self) -> bool {
        self.status().observed_generation >= self.rollout.metadata.generation.unwrap_or(0)
    }

    /// The condition of a type.
    pub fn condition(&self, kind: ConditionType) -> Option<&Condition> {
        self.status().conditions.iter().find(|condition| condition.type_ == kind.as_str())
    }

    /// The condition of a type, where it is true.
    pub fn is(&self, kind: ConditionType) -> Option<&Condition> {
        self.condition(kind).filter(|condition| condition.status == "True")
    }

    /// The reason of a true condition, as a word of the closed set.
    pub fn reason(&self, kind: ConditionType) -> Option<Reason> {
        self.is(kind)?.reason.parse().ok()
    }

    /// What the operator says it does, in one word and one sentence.
    pub fn says(&self) -> Option<&Condition> {
        self.is(ConditionType::Stalled)
            .or_else(|| self.is(ConditionType::Reconciling))
            .or_else(|| self.condition(ConditionType::Ready))
    }

    /// The canary of an attempt that is not over. The route knows first; status follows.
    pub fn running(&self) -> Option<&Canary> {
        let canary = self.status().canary.as_ref()?;
        let over = match &self.register {
            Some(register) => register.is_latched() || register.attempt != canary.attempt || register.canary.is_none(),
            None => self.is(ConditionType::RolledBack).is_some(),
        };
        (!over).then_some(canary)
    }

    /// Stable's share of the traffic, and the canary's.
    pub fn weights(&self) -> (Weight, Weight) {
        let canary: Option<Weight> = self.status().canary.as_ref().and_then(|canary| canary.weight.parse().ok());
        let canary = canary.unwrap_or_default();
        (Weight::from_ppm(Weight::FULL.ppm() - canary.ppm()).unwrap_or_default(), canary)
    }

    /// Time in the step in force.
    pub fn timing(&self) -> Option<Timing> {
        let canary = self.running()?;
        let plan = canary.plan.as_ref()?;
        let register = self.register.as_ref()?;
        let step = plan.steps.get(register.step?)?;
        let since = register.since?;
        Some(Timing {
            elapsed: self.now.duration_since(since),
            dwell: SignedDuration::from_millis(step.dwell_millis),
            since,
            limit: SignedDuration::from_millis(plan.max_step_millis),
        })
    }

    /// How long ago the gates' numbers were taken: they are as of the last transition or checkpoint.
    pub fn numbers_age(&self) -> Option<SignedDuration> {
        let saved = self.status().canary.as_ref()?.evidence.as_deref().and_then(saved_at)?;
        let at = Timestamp::from_millisecond((saved * 1000.0) as i64).ok()?;
        Some(self.now.duration_since(at).max(SignedDuration::ZERO))
    }

    /// A gate's counts on both sides in words: canary, stable.
    pub fn sides(&self, gate: &GateStatus) -> [String; 2] {
        let (known, per) = (self.gate(&gate.name), self.per(&gate.name));
        let is_sum =
            known.as_ref().is_some_and(|gate| matches!(gate.kind, GateKind::Mean { .. } | GateKind::Budget { .. }));
        let unit = known.as_ref().map(Unit::of).unwrap_or_default();
        let read = |text: &Option<String>| text.as_deref().and_then(|text| side(text, is_sum));
        [&gate.canary, &gate.stable].map(|text| explain::side(read(text), unit, per))
    }

    /// What the mean of a gate is taken over.
    fn per(&self, gate: &str) -> Per {
        let plan = self.status().canary.as_ref().and_then(|canary| canary.plan.as_ref());
        let pinned = plan.and_then(|plan| plan.gates.iter().find(|pinned| pinned.gate.name == gate));
        pinned.and_then(|pinned| pinned.baseline.as_ref()?.per).unwrap_or_default()
    }

    /// A gate of the plan in force, or of the spec.
    fn gate(&self, name: &str) -> Option<Gate> {
        let plan = self.status().canary.as_ref().and_then(|canary| canary.plan.as_ref());
        let plan = plan.and_then(Strategy::from_pinned).or_else(|| Strategy::resolve(&self.rollout.spec, "").ok())?;
        plan.gates.into_iter().find(|gate| gate.name == name)
    }

    /// How the last attempt ended.
    pub fn last(&self) -> Option<&HistoryEntry> {
        self.status().history.last()
    }
}

/// Time in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Since the weights changed; pauses are part of it.
    pub elapsed: SignedDuration,
    /// How long the step lasts at least.
    pub dwell: SignedDuration,
    /// When the weights changed.
    pub since: Timestamp,
    /// After so long `onInconclusive` acts.
    pub limit: SignedDuration,
}

impl Timing {
    /// What is left of the dwell; zero when it is over.
    pub fn left(&self) -> SignedDuration {
        (self.dwell - self.elapsed).max(SignedDuration::ZERO)
    }
}

/// The steps with the one in force in brackets: `1%─[5%]─25%─100%`.
pub fn step_bar(plan: &PinnedPlan, step: i32) -> String {
    let one = |(index, step_of): (usize, &microapp_api::v1alpha1::PinnedStep)| {
        if usize::try_from(step) == Ok(index) { format!("[{}]", step_of.weight) } else { step_of.weight.clone() }
    };
    let bar = plan.steps.iter().enumerate().map(one).collect::<Vec<_>>().join("─");
    if step < 0 { format!("[0%]─{bar}") } else { bar }
}

/// The counts as status writes them: `bad/total`, `sum/n`, `bad/good/void/started`, or a value.
fn side(text: &str, mean: bool) -> Option<Side> {
    let parts: Vec<_> = text.split('/').collect();
    Some(match parts.as_slice() {
        [sum, n] if mean => Side::Mean { n: n.parse().ok()?, sum: sum.parse().ok()? },
        [value] => Side::Value { nano: value.parse::<Nano>().ok()?.0 },
        [bad, total] => Side::count(bad.parse().ok()?, total.parse().ok()?),
        [bad, good, void, started] => Side::Late {
            bad: bad.parse().ok()?,
            good: good.parse().ok()?,
            void: void.parse().ok()?,
            started: started.parse().ok()?,
        },
        _ => return None,
    })
}

/// A span as people say it, in days where it is long.
pub fn span(duration: SignedDuration) -> String {
    let days = duration.as_hours() / 24;
    if days >= 2 { format!("{days} d") } else { explain::span(duration.max(SignedDuration::ZERO)) }
}

/// How long ago: `4 min 10 s ago`.
pub fn ago(now: Timestamp, at: Timestamp) -> String {
    format!("{} ago", span(now.duration_since(at)))
}

/// A moment in UTC, with its date where that is another day.
pub fn clock(now: Timestamp, at: Timestamp) -> String {
    let day = |at: Timestamp| at.strftime("%Y-%m-%d").to_string();
    let format = if day(now) == day(at) { "%H:%M:%SZ" } else { "%Y-%m-%d %H:%MZ" };
    at.strftime(format).to_string()
}

/// A copy whose texts are cleaned. What does not come back as itself is left as it was read by its type: numbers, times
/// and words of closed sets.
fn cleaned<T: Serialize + DeserializeOwned + Clone>(object: &T) -> T {
    fn clean(value: &mut Value) {
        match value {
            Value::String(text) => *text = printable(text),
            Value::Array(list) => list.iter_mut().for_each(clean),
            Value::Object(map) => map.values_mut().for_each(clean),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    let Ok(mut value) = serde_json::to_value(object) else { return object.clone() };
    clean(&mut value);
    serde_json::from_value(value).unwrap_or_else(|_| object.clone())
}
