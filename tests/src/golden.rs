//! Golden pairs: a world and its evidence in, a plan out, both in YAML that a newcomer can read.
//!
//! `NAME.in.yaml` says only what differs from `base.yaml` (null removes); `NAME.out.yaml` is rewritten by
//! `UPDATE_GOLDEN=1 cargo test -p microapp-tests --test golden`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use microapp_core::{
    Judgement, World, after, decide,
    plan::{Note, Plan, Write},
};
use serde::Serialize;
use serde_json::Value;

/// What a pair's input becomes.
#[derive(Debug)]
pub struct Case {
    /// The time.
    pub now: Timestamp,
    /// The world, with the plan of its strategy pinned.
    pub world: World,
    /// The verdicts.
    pub evidence: Judgement,
}

/// What is compared: the plan, and how the object reads to tools once the status follows.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    state: String,
    why: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    write: Option<Write>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    events: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wake: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ask: Option<String>,
    conditions: BTreeMap<String, String>,
}

/// `change` laid over `base`: maps are merged, null removes, everything else replaces.
pub fn merge(base: &mut Value, change: &Value) {
    match (base, change) {
        (Value::Object(base), Value::Object(change)) => {
            for (key, value) in change {
                if value.is_null() {
                    base.remove(key);
                } else {
                    merge(base.entry(key.clone()).or_insert(Value::Null), value);
                }
            }
        }
        (base, change) => *base = change.clone(),
    }
}

impl Case {
    /// A case out of the base and what differs.
    pub fn read(base: &str, change: &str) -> Result<Self, String> {
        let parse = |text: &str| serde_saphyr::from_str::<Value>(text).map_err(|error| error.to_string());
        let mut all = parse(base)?;
        merge(&mut all, &parse(change)?);
        let take = |all: &Value, key: &str| all.get(key).cloned().unwrap_or(Value::Null);
        let now: Timestamp = serde_json::from_value(take(&all, "now")).map_err(|error| format!("now: {error}"))?;
        let mut world: World =
            serde_json::from_value(take(&all, "world")).map_err(|error| format!("world: {error}"))?;
        let evidence = serde_json::from_value(take(&all, "evidence")).map_err(|error| format!("evidence: {error}"))?;
        let lost = all["planLost"].as_bool().unwrap_or_default();
        let plan = world.spec().map(|spec| spec.strategy.to_pinned());
        if let (Some(canary), false) = (&mut world.status.canary, lost) {
            canary.plan = canary.plan.take().or(plan);
        }
        Ok(Self { now, world, evidence })
    }

    /// What the operator does: status writes are let through until something else is due, or nothing.
    pub fn run(&self) -> Result<Outcome, String> {
        let mut world = self.world.clone();
        let mut told: Vec<Note> = Vec::new();
        for _ in 0..4 {
            let plan = decide(&world, self.now, &self.evidence);
            match &plan.write {
                Some(write @ Write::Status(status)) => {
                    told.extend(plan.notes.iter().cloned());
                    world = after(&world, write, self.now);
                    // `apply` puts the evidence in; what it says is not the subject here.
                    if let (Some(canary), true) = (&mut world.status.canary, status.checkpoint) {
                        canary.evidence = Some(format!("e2.{}.", self.now.as_second()));
                    }
                }
                Some(
                    Write::Create(_)
                    | Write::Change(_)
                    | Write::Delete(_)
                    | Write::Adopt(_)
                    | Write::Route(_)
                    | Write::Lower(_),
                )
                | None => {
                    return Ok(Outcome::of(plan, told, &world));
                }
            }
        }
        Err("the status never rests".to_owned())
    }
}

impl Outcome {
    fn of(plan: Plan, mut told: Vec<Note>, world: &World) -> Self {
        told.extend(plan.notes);
        let event = |note: &Note| {
            let kind = if note.warning { "Warning" } else { "Normal" };
            format!("{kind} {} {}: {}", note.reason, note.action, note.message)
        };
        let condition = |condition: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition| {
            (condition.type_.clone(), format!("{} {}: {}", condition.status, condition.reason, condition.message))
        };
        Self {
            state: plan.state.as_str().to_owned(),
            why: format!("{}: {}", plan.why.reason, plan.why.message),
            write: plan.write,
            events: told.iter().map(event).collect(),
            wake: plan.wake,
            ask: plan.ask.map(|ask| format!("{ask:?}")),
            conditions: world.status.conditions.iter().map(condition).collect(),
        }
    }
}
