//! What goes wrong on purpose: `FAULT_*` variables, overridden one by one by `faults.json` in the prompt directory, so
//! that a prompt alone can be the bad revision.
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::config::ConfigError;

/// The keys of `faults.json`; the variable is `FAULT_` and the key in capitals.
const KEYS: [&str; 10] = [
    "error_rate",
    "unusable_rate",
    "slow_rate",
    "slow_ms",
    "verbosity",
    "hallucination_rate",
    "crash_after_seconds",
    "leak_mb_per_second",
    "model",
    "seed",
];

/// The faults of one process. Rates are probabilities per request.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// The answer is a 500, and the metrics of the model's call say why.
    pub error_rate: f64,
    /// The model answers well, the app makes nothing of it and answers 500: as when a new prompt brings bad JSON.
    pub unusable_rate: f64,
    /// The answer is held back by `slow_ms`.
    pub slow_rate: f64,
    /// Milliseconds.
    pub slow_ms: u64,
    /// Factor on the output tokens that are asked for.
    pub verbosity: f64,
    /// The model is told to invent.
    pub hallucination_rate: f64,
    /// The process exits with 1 after so many seconds.
    pub crash_after_seconds: Option<f64>,
    /// Memory that is taken and never given back, in MiB per second.
    pub leak_mb_per_second: f64,
    /// The model that is used instead of the pinned one.
    pub model: Option<String>,
    /// Seed of the draws; none = the pod's name and the time.
    pub seed: Option<u64>,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            error_rate: 0.0,
            unusable_rate: 0.0,
            slow_rate: 0.0,
            slow_ms: 2_000,
            verbosity: 1.0,
            hallucination_rate: 0.0,
            crash_after_seconds: None,
            leak_mb_per_second: 0.0,
            model: None,
            seed: None,
        }
    }
}

impl Faults {
    /// Reads the variables through `lookup`, then `file` (the text of `faults.json`) over them.
    pub fn read(lookup: impl Fn(&str) -> Option<String>, file: Option<&str>) -> Result<Self, ConfigError> {
        let mut settings = Map::new();
        for key in KEYS {
            let Some(text) = lookup(&format!("FAULT_{}", key.to_uppercase())).filter(|text| !text.is_empty()) else {
                continue;
            };
            let number = serde_json::from_str(&text).ok().filter(|_| key != "model");
            settings.insert(key.to_owned(), number.unwrap_or(Value::String(text)));
        }
        if let Some(file) = file {
            let file: Map<String, Value> = serde_json::from_str(file).map_err(ConfigError::Faults)?;
            settings.extend(file);
        }
        let faults: Self = serde_json::from_value(Value::Object(settings)).map_err(ConfigError::Faults)?;
        for (name, rate) in [
            ("error_rate", faults.error_rate),
            ("unusable_rate", faults.unusable_rate),
            ("slow_rate", faults.slow_rate),
            ("hallucination_rate", faults.hallucination_rate),
        ] {
            if !(0.0..=1.0).contains(&rate) {
                return Err(ConfigError::Rate { name, rate });
            }
        }
        Ok(faults)
    }
}

/// What befalls one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draw {
    /// Answer 500.
    pub error: bool,
    /// Make nothing of what the model answers.
    pub unusable: bool,
    /// Wait so long first.
    pub delay: Duration,
    /// Tell the model to invent.
    pub invent: bool,
}

/// Draws the faults of one request after the other.
#[derive(Debug)]
pub(crate) struct Dice(Mutex<fastrand::Rng>);

impl Dice {
    pub(crate) fn new(seed: Option<u64>, pod: &str) -> Self {
        Self(Mutex::new(fastrand::Rng::with_seed(seed.unwrap_or_else(|| {
            let mut hasher = DefaultHasher::new();
            pod.hash(&mut hasher);
            SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos().hash(&mut hasher);
            hasher.finish()
        }))))
    }

    pub(crate) fn draw(&self, faults: &Faults, base_error_rate: f64) -> Draw {
        let mut random = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Always the same number of draws: with one seed, one fault does not move the others to other requests.
        let [error, base, slow, invent, unusable] = std::array::from_fn(|_| random.f64());
        Draw {
            error: error < faults.error_rate || base < base_error_rate,
            unusable: unusable < faults.unusable_rate,
            delay: if slow < faults.slow_rate { Duration::from_millis(faults.slow_ms) } else { Duration::ZERO },
            invent: invent < faults.hallucination_rate,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn variables(name: &str) -> Option<String> {
        match name {
            "FAULT_ERROR_RATE" => Some("0.25".to_owned()),
            "FAULT_VERBOSITY" => Some("3".to_owned()),
            "FAULT_MODEL" => Some("4".to_owned()),
            _ => None,
        }
    }

    #[test]
    fn the_prompt_directory_wins_over_the_variables_field_by_field() {
        let faults = Faults::read(variables, Some(r#"{"error_rate": 0.5, "crash_after_seconds": 7.5}"#)).unwrap();
        assert_eq!((faults.error_rate, faults.verbosity, faults.crash_after_seconds), (0.5, 3.0, Some(7.5)));
        assert_eq!(faults.model.as_deref(), Some("4"));
    }

    #[test]
    fn a_misspelt_fault_and_an_impossible_rate_are_refused() {
        assert!(Faults::read(|_| None, Some(r#"{"eror_rate": 0.5}"#)).unwrap_err().to_string().contains("eror_rate"));
        assert!(Faults::read(|_| None, Some(r#"{"slow_rate": 5}"#)).unwrap_err().to_string().contains("slow_rate"));
    }

    #[test]
    fn draws_meet_their_rates_and_one_fault_does_not_move_another() {
        let faults = Faults { error_rate: 0.2, slow_rate: 0.5, hallucination_rate: 0.1, ..Faults::default() };
        let quiet = Faults { error_rate: 0.0, ..faults.clone() };
        let draws = |faults: &Faults| {
            let dice = Dice::new(Some(3), "pod-a");
            (0..10_000).map(|_| dice.draw(faults, 0.0)).collect::<Vec<_>>()
        };
        let (with, without) = (draws(&faults), draws(&quiet));
        let errors = with.iter().filter(|draw| draw.error).count();
        assert!((1_850..2_150).contains(&errors), "{errors} of 10000 at 20 %");
        assert!(without.iter().all(|draw| !draw.error));
        assert!(with.iter().zip(&without).all(|(a, b)| a.invent == b.invent && a.delay == b.delay));
    }
}
