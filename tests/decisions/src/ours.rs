//! Our rule: the operator's own `fold`, `decide` and `after`, preset `Standard`, one gate.

use std::collections::BTreeMap;

use microapp_core::{
    counts::{Side, Sides},
    replay::{Action, Malformed, Outcome, Replay, Start, Tick},
};
use serde_json::json;

use crate::{
    bench::rollout,
    rule::{End, Rule},
    world::{Before, HOUR, Measure, SCRAPE, Sample, VERDICT},
};

/// A rollout with one gate.
#[derive(Debug)]
pub struct Ours {
    measure: Measure,
    replay: Replay,
    weight: f64,
    last: f64,
    word: String,
}

impl Ours {
    /// With the gate that measures it, and its limit.
    pub fn new(measure: Measure) -> Result<Self, Malformed> {
        let gate = match measure {
            Measure::Errors => json!({"name": "gate", "errorRate": {"max": "2%"}}),
            Measure::Latency => json!({"name": "gate", "latency": {"quantile": "0.95", "max": "1600ms"}}),
            Measure::Cost => json!({"name": "gate", "tokenCost": {"maxIncrease": "10%"}}),
            Measure::Grounded => json!({"name": "gate", "hallucination": {"max": "5%"}}),
        };
        // One verdict in twenty answers, two minutes later: preflight refuses an hour, and asks for more.
        let longest = if measure == Measure::Grounded { "2h" } else { "1h" };
        let strategy = json!({"preset": "Standard", "lowTraffic": "SkipSteps", "maxStepDuration": longest});
        let replay = rollout(&strategy, &json!([gate]))?;
        Ok(Self { measure, replay, weight: 0.0, last: 0.0, word: String::new() })
    }

    fn side(&self, sample: Sample) -> Side {
        match self.measure {
            Measure::Errors | Measure::Latency => Side::count(sample.bad, sample.n),
            Measure::Cost => Side::Mean { n: sample.n, sum: i128::from(sample.bad) },
            Measure::Grounded => {
                Side::Late { bad: sample.bad, good: sample.n - sample.bad, void: 0, started: sample.started }
            }
        }
    }

    fn take(&mut self, tick: &Tick) -> Option<End> {
        let Ok(Outcome { action, weight, reason, .. }) = self.replay.drive(tick) else { return Some(End::Undecided) };
        self.weight = weight / 100.0;
        self.word = reason;
        match action {
            Action::Promote => Some(End::Promoted),
            Action::Rollback => Some(End::RolledBack),
            Action::Hold | Action::Raise | Action::Lower | Action::Pause => None,
        }
    }
}

impl Rule for Ours {
    fn begin(&mut self, before: &Before) {
        let named = |value| ("gate".to_owned(), value);
        let baseline = BTreeMap::from([named(self.side(before.sample))]);
        let phi = [("gate".to_owned(), before.phi)].into();
        let delay = (self.measure == Measure::Grounded).then(|| ("gate".to_owned(), VERDICT)).into_iter().collect();
        self.replay.begin(Start { baseline, seconds: HOUR, scrape: SCRAPE, phi, delay });
        self.take(&Tick::at(0.0));
    }

    fn weights(&self) -> [f64; 2] {
        [self.weight, 1.0 - self.weight]
    }

    fn scrape(&mut self, t: f64, samples: Option<[Sample; 2]>) -> Option<End> {
        let mut tick = Tick::at(t);
        if let Some([canary, stable]) = samples {
            let sides =
                Sides { canary: Some(self.side(canary)), stable: Some(self.side(stable)), near: [None, None], idle: 0 };
            tick.gates = [("gate".to_owned(), Ok(sides))].into();
            tick.gap = t - self.last > 3.0 * SCRAPE;
            self.last = t;
        }
        self.take(&tick)
    }

    fn word(&self) -> &str {
        &self.word
    }
}
