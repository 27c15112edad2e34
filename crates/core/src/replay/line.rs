//! The lines of a trace, read strictly: what does not read is one sentence, and nothing has happened.

use std::collections::BTreeMap;

use microapp_api::values::Nano;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use crate::{
    counts::{Before, BeforeResult, Counts, Side, Sides, Unfit, Unknown},
    strategy::{Gate, GateKind, Strategy},
    world::Signal,
};

/// Why a line or a manifest does not read: one sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub String);

impl Malformed {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// A command of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Command {
    /// Everything back.
    Abort,
    /// To the last step.
    Promote,
    /// One step without Pass.
    SkipStep,
    /// Keep the weight.
    Pause,
    /// Go on after a pause.
    Resume,
    /// A new attempt with fresh evidence.
    Retry,
}

/// What became known since the tick before: a line of a trace, read.
#[derive(Clone, Debug, PartialEq)]
pub struct Tick {
    /// Seconds since the beginning; strictly rises.
    pub t: f64,
    /// The counts of (t of the tick before, t], per gate; a gate that is not there has no data.
    pub gates: BTreeMap<String, Result<Sides, Unknown>>,
    /// The canary's pods are ready.
    pub ready: bool,
    /// The counts span lost samples: for the absolute processes alone.
    pub gap: bool,
    /// What befell a pod of the canary.
    pub pod: Option<Signal>,
    /// What a person asks for.
    pub command: Option<Command>,
}

impl Tick {
    /// A time and nothing else: a driver's first word.
    pub const fn at(t: f64) -> Self {
        Self { t, gates: BTreeMap::new(), ready: true, gap: false, pod: None, command: None }
    }
}

/// One parsed line.
#[derive(Debug)]
pub(super) struct Line {
    pub tick: Tick,
    /// `t` as it was written, to be echoed.
    pub t_text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw<'a> {
    #[serde(borrow)]
    t: &'a RawValue,
    gates: BTreeMap<String, RawSides>,
    #[serde(default = "yes")]
    ready: bool,
    #[serde(default)]
    gap: bool,
    #[serde(default)]
    pod: Option<Signal>,
    #[serde(default)]
    command: Option<Command>,
}

const fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSides {
    #[serde(default)]
    canary: Option<Value>,
    #[serde(default)]
    stable: Option<Value>,
    /// So many of the canary's requests may be probes and scrapes.
    #[serde(default)]
    idle: u64,
}

impl Line {
    pub fn parse(text: &str, strategy: &Strategy) -> Result<Self, Malformed> {
        let raw: Raw =
            serde_json::from_str(text).map_err(|error| Malformed(format!("the line does not read: {error}")))?;
        let t_text = raw.t.get().to_owned();
        let t: f64 = serde_json::from_str(&t_text).map_err(|_| Malformed(format!("t is no number: {t_text}")))?;
        if !t.is_finite() {
            return Err(Malformed(format!("t is no time: {t_text}")));
        }
        let mut gates = BTreeMap::new();
        for (name, sides) in &raw.gates {
            let gate = find(strategy, name)?;
            let side = |value: &Option<Value>| value.as_ref().map(|value| side(gate, value)).transpose();
            let idle = sides.idle;
            let sides = Sides { canary: side(&sides.canary)?, stable: side(&sides.stable)?, near: [None, None], idle };
            gates.insert(name.clone(), Ok(sides));
        }
        let tick = Tick { t, gates, ready: raw.ready, gap: raw.gap, pod: raw.pod, command: raw.command };
        Ok(Self { tick, t_text })
    }
}

fn find<'a>(strategy: &'a Strategy, name: &str) -> Result<&'a Gate, Malformed> {
    strategy.gates.iter().find(|gate| gate.name == name).ok_or_else(|| {
        let known: Vec<_> = strategy.gates.iter().map(|gate| gate.name.as_str()).collect();
        Malformed(format!("unknown gate {name:?}; the rollout has {}", known.join(", ")))
    })
}

/// Counts in the form of the gate's kind.
fn side(gate: &Gate, value: &Value) -> Result<Side, Malformed> {
    let wrong = |form: &str| Malformed(format!("gate {}: {value} is not {form}, non-negative integers", gate.name));
    let numbers = |value: &Value| value.as_array()?.iter().map(Value::as_u64).collect::<Option<Vec<_>>>();
    match &gate.kind {
        GateKind::Share { .. } | GateKind::Model { .. } | GateKind::Traffic => match numbers(value).as_deref() {
            Some([bad, total]) => Ok(Side::count(*bad, *total)),
            _ => Err(wrong("[bad, total]")),
        },
        GateKind::Slow { .. } => match numbers(value).as_deref() {
            Some([bad, total]) => Ok(Side::count(*bad, *total)),
            Some([above, below, total]) => Ok(Side::Count { above: *above, below: *below, total: *total }),
            _ => Err(wrong("[bad, total] or [bad_above, bad_below, total]")),
        },
        GateKind::Judged { .. } => match numbers(value).as_deref() {
            Some([bad, good, void, started]) => {
                Ok(Side::Late { bad: *bad, good: *good, void: *void, started: *started })
            }
            _ => Err(wrong("[bad, good, void, started]")),
        },
        GateKind::Saturation { .. } | GateKind::Query { .. } => match value.as_f64().and_then(Nano::from_f64) {
            Some(Nano(nano)) => Ok(Side::Value { nano }),
            None => Err(Malformed(format!("gate {}: {value} is not a number", gate.name))),
        },
        GateKind::Mean { .. } | GateKind::Budget { .. } => {
            let object = value.as_object().filter(|object| object.len() == 2);
            let number = |key: &str| object?.get(key)?.as_u64();
            match (number("n"), number("sum")) {
                (Some(n), Some(sum)) => Ok(Side::Mean { n, sum: i128::from(sum) }),
                _ => Err(wrong("{\"n\": N, \"sum\": S}")),
            }
        }
    }
}

/// The optional first line: what stable did before.
#[derive(Clone, Debug, PartialEq)]
pub struct Start {
    /// Stable's counts, per gate. A gate that is not there passes preflight without any.
    pub baseline: BTreeMap<String, Side>,
    /// How long that was; 0 where it is not said.
    pub seconds: f64,
    /// The scrape interval in seconds.
    pub scrape: f64,
    /// Overdispersion φ per gate, where it is not 1.
    pub phi: BTreeMap<String, f64>,
    /// Seconds from an answer to its verdict per gate, where there are any.
    pub delay: BTreeMap<String, f64>,
}

impl Default for Start {
    fn default() -> Self {
        let (baseline, phi, delay) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { baseline, seconds: 0.0, scrape: 5.0, phi, delay }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStart {
    baseline: BTreeMap<String, Value>,
    #[serde(default)]
    seconds: Option<f64>,
    #[serde(default)]
    scrape: Option<f64>,
}

impl Start {
    /// `None` for a line that is no baseline.
    pub(super) fn parse(text: &str, strategy: &Strategy) -> Result<Option<Self>, Malformed> {
        let value: Value =
            serde_json::from_str(text).map_err(|error| Malformed(format!("the line does not read: {error}")))?;
        if value.get("baseline").is_none() {
            return Ok(None);
        }
        let raw: RawStart =
            serde_json::from_value(value).map_err(|error| Malformed(format!("the baseline does not read: {error}")))?;
        let positive = |name: &str, value: Option<f64>, default: f64| match value {
            None => Ok(default),
            Some(value) if value.is_finite() && value > 0.0 => Ok(value),
            Some(value) => Err(Malformed(format!("{name} must be above 0, not {value}"))),
        };
        let mut baseline = BTreeMap::new();
        for (name, value) in &raw.baseline {
            baseline.insert(name.clone(), side(find(strategy, name)?, value)?);
        }
        let seconds = positive("seconds", raw.seconds, 0.0)?;
        Ok(Some(Self { baseline, seconds, scrape: positive("scrape", raw.scrape, 5.0)?, ..Self::default() }))
    }

    /// The answer that telemetry would give. A gate that is not listed passes preflight, one with total 0 does not; a
    /// default that is watched only where stable has its numbers must be listed to be watched.
    pub(super) fn counts(&self, strategy: &Strategy) -> Counts {
        let one = |gate: &Gate| -> BeforeResult {
            let phi = self.phi.get(&gate.name).copied().unwrap_or(1.0);
            let delay = self.delay.get(&gate.name).copied();
            let before = |side| Before { phi, delay, ..Before::of(side, self.seconds) };
            match self.baseline.get(&gate.name) {
                None if gate.is_beside() => Err(Unfit {
                    reason: Unknown::NoData,
                    message: format!("the baseline does not name gate {}", gate.name),
                    fatal: false,
                }),
                None => Ok(before(nothing(gate))),
                Some(side) if is_empty(*side) => Err(Unfit {
                    reason: Unknown::NoData,
                    message: format!("stable had no request for gate {} before", gate.name),
                    fatal: false,
                }),
                Some(side) if side.is_inconsistent() => Err(Unfit {
                    reason: Unknown::Inconsistent,
                    message: format!("stable's baseline of gate {} has more bad requests than requests", gate.name),
                    fatal: false,
                }),
                Some(side) => Ok(before(*side)),
            }
        };
        let gates = strategy.gates.iter().map(|gate| (gate.name.clone(), one(gate))).collect();
        Counts::Baseline { gates, interval: self.scrape, pins: BTreeMap::new() }
    }
}

/// No counts, in the form of the gate's kind.
pub(super) fn nothing(gate: &Gate) -> Side {
    match gate.kind {
        GateKind::Share { .. } | GateKind::Slow { .. } | GateKind::Model { .. } | GateKind::Traffic => {
            Side::count(0, 0)
        }
        GateKind::Judged { .. } => Side::Late { bad: 0, good: 0, void: 0, started: 0 },
        GateKind::Mean { .. } | GateKind::Budget { .. } => Side::Mean { n: 0, sum: 0 },
        GateKind::Saturation { .. } | GateKind::Query { .. } => Side::Value { nano: 0 },
    }
}

const fn is_empty(side: Side) -> bool {
    match side {
        Side::Count { total, .. } => total == 0,
        Side::Mean { n, .. } => n == 0,
        Side::Late { void, started, .. } => started <= void,
        Side::Value { .. } => false,
    }
}
