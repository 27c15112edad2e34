//! What came out of it, by the load generator's own log.

use std::fs;
use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use super::scenes::Fault;
use super::view::Aborted;
use crate::error::{Doing, Result};
use crate::load::Response;

/// What became of one revision.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    /// Its name; empty when it was never seen.
    pub revision: String,
    /// The stable revision at that time.
    pub stable: String,
    /// It got all of the traffic for good.
    pub promoted: bool,
    /// Why it was given up.
    pub aborted: Option<Aborted>,
    /// When its attempt began, as the status tells it.
    pub started: Option<Timestamp>,
    /// Its largest share in percent.
    pub max_weight: f64,
    /// From when to when, in seconds since 1970.
    pub time: (f64, f64),
    /// Why neither came.
    pub problem: Option<String>,
}

/// `target/demo/report.json`.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub good: Option<Good>,
    pub bad: Vec<Bad>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Good {
    promoted: bool,
    /// From the change of the spec to the promotion.
    seconds: f64,
    revision: String,
    responses: usize,
    bad_responses: usize,
    /// Percent.
    max_weight: f64,
}

// The names are the report's.
#[allow(clippy::struct_field_names)]
#[derive(Debug, Serialize)]
pub(crate) struct Bad {
    fault: &'static str,
    reverted: bool,
    gate: Option<String>,
    /// From the first to the last of its responses.
    seconds_exposed: f64,
    responses: usize,
    bad_responses: usize,
    /// Percent.
    max_weight: f64,
    revision: String,
    cause: Option<String>,
    /// Broken answers in its time that name no revision: the gateway's own.
    unattributed: usize,
}

impl Good {
    pub(crate) fn new(outcome: &Outcome, responses: &[Response]) -> Self {
        let of: Vec<_> = responses.iter().filter(|r| r.revision == outcome.revision).collect();
        let (from, to) = outcome.time;
        Self {
            promoted: outcome.promoted,
            seconds: tenths(to - from),
            revision: outcome.revision.clone(),
            responses: of.len(),
            bad_responses: of.iter().filter(|r| r.is_bad()).count(),
            max_weight: outcome.max_weight,
        }
    }

    /// What was not as it deserved.
    pub(crate) fn complaint(&self, outcome: &Outcome) -> Option<String> {
        (!self.promoted).then(|| format!("the good revision was not promoted: {}", why(outcome)))
    }
}

impl Bad {
    pub(crate) fn new(fault: Fault, outcome: &Outcome, responses: &[Response]) -> Self {
        let (from, to) = outcome.time;
        let tokens: Vec<_> = of(responses, &outcome.stable).filter_map(|r| r.output_tokens).collect();
        let usual = match tokens.len() {
            0 => f64::INFINITY,
            n => tokens.iter().sum::<u64>() as f64 / n as f64,
        };
        let times = of(responses, &outcome.revision).map(|r| r.t);
        let (first, last) = times.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), t| (a.min(t), b.max(t)));
        let lost = |r: &&Response| r.revision.is_empty() && r.is_bad() && r.t >= from && r.t <= to;
        Self {
            fault: fault.name(),
            reverted: outcome.aborted.is_some() && !outcome.promoted,
            gate: outcome.aborted.as_ref().and_then(|aborted| aborted.gate.clone()),
            seconds_exposed: tenths((last - first).max(0.0)),
            responses: of(responses, &outcome.revision).count(),
            bad_responses: of(responses, &outcome.revision).filter(|r| fault.hit(r, usual)).count(),
            max_weight: outcome.max_weight,
            revision: outcome.revision.clone(),
            cause: outcome.aborted.as_ref().map(|aborted| aborted.cause.clone()),
            unattributed: responses.iter().filter(lost).count(),
        }
    }

    pub(crate) fn is_reverted(&self) -> bool {
        self.reverted
    }

    pub(crate) fn seconds_exposed(&self) -> f64 {
        self.seconds_exposed
    }

    pub(crate) fn bad_responses(&self) -> usize {
        self.bad_responses
    }

    /// What was not as it deserved.
    pub(crate) fn complaint(&self, fault: Fault, outcome: &Outcome) -> Option<String> {
        let name = fault.name();
        if !self.reverted {
            return Some(format!("the bad revision ({name}) was not reverted: {}", why(outcome)));
        }
        (self.gate.as_deref() != fault.gate()).then(|| {
            let by = |gate: Option<&str>| gate.map_or("its pods".to_owned(), |gate| format!("the gate {gate}"));
            let (seen, wanted) = (by(self.gate.as_deref()), by(fault.gate()));
            format!("the bad revision ({name}) was reverted by {seen}, not by {wanted}")
        })
    }
}

fn of<'a>(responses: &'a [Response], revision: &'a str) -> impl Iterator<Item = &'a Response> {
    responses.iter().filter(move |r| r.revision == revision && !revision.is_empty())
}

fn why(outcome: &Outcome) -> String {
    let aborted = outcome.aborted.as_ref();
    let said = aborted.map(|a| a.message.clone().unwrap_or_else(|| a.cause.clone()));
    let promoted = outcome.promoted.then(|| "it was promoted".to_owned());
    said.or_else(|| outcome.problem.clone()).or(promoted).unwrap_or_else(|| "nothing was said".to_owned())
}

impl Report {
    /// Writes it, with its folder.
    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        if let Some(dir) = file.parent() {
            fs::create_dir_all(dir).doing(|| format!("make {}", dir.display()))?;
        }
        let text = serde_json::to_string_pretty(self).unwrap_or_default() + "\n";
        fs::write(file, text).doing(|| format!("write {}", file.display()))
    }

    /// The same for a person.
    pub(crate) fn print(&self) {
        println!("\nWhat users got, by the load generator's log:\n");
        println!(
            "{:<14} {:<9} {:<9} {:>9} {:>8} {:>6} {:>7}",
            "REVISION", "OUTCOME", "BY", "TIME", "ANSWERS", "BAD", "MAX"
        );
        if let Some(good) = &self.good {
            let outcome = if good.promoted { "promoted" } else { "REVERTED" };
            let Good { seconds, responses, bad_responses, .. } = good;
            println!(
                "{:<14} {outcome:<9} {:<9} {seconds:>7.1} s {responses:>8} {bad_responses:>6} {:>5} %",
                "good", "-", good.max_weight
            );
        }
        for bad in &self.bad {
            let outcome = if bad.reverted { "reverted" } else { "KEPT" };
            let by = bad.gate.as_deref().or(bad.cause.as_deref()).unwrap_or("-");
            let Bad { fault, seconds_exposed, responses, bad_responses, max_weight, .. } = bad;
            println!(
                "{fault:<14} {outcome:<9} {by:<9} {seconds_exposed:>7.1} s {responses:>8} {bad_responses:>6} {max_weight:>5} %"
            );
        }
    }
}

fn tenths(value: f64) -> f64 {
    if value.is_finite() { (value * 10.0).round() / 10.0 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(t: f64, code: u16, revision: &str) -> Response {
        Response { t, code, revision: revision.into(), ms: 9.0, verdict: None, output_tokens: Some(40) }
    }

    fn reverted(gate: Option<&str>) -> Outcome {
        let aborted = Aborted {
            attempt: 3,
            cause: "GateFailed".into(),
            gate: gate.map(str::to_owned),
            at: Timestamp::UNIX_EPOCH,
            canary: Some([1, 2]),
            message: None,
        };
        Outcome {
            revision: "bad".into(),
            stable: "good".into(),
            aborted: Some(aborted),
            max_weight: 1.0,
            time: (0.0, 60.0),
            ..Outcome::default()
        }
    }

    #[test]
    fn a_bad_revision_is_counted_by_its_own_responses() {
        let log = [
            response(10.0, 200, "good"),
            response(11.0, 200, "bad"),
            response(12.0, 503, ""),
            response(13.0, 500, "bad"),
            response(15.5, 500, "bad"),
            response(99.0, 503, ""),
        ];
        let bad = Bad::new(Fault::Errors, &reverted(Some("errors")), &log);
        assert_eq!((bad.responses, bad.bad_responses, bad.unattributed), (3, 2, 1));
        assert!((bad.seconds_exposed - 4.5).abs() < 1e-9 && bad.reverted);
        assert_eq!(bad.complaint(Fault::Errors, &reverted(Some("errors"))), None);
    }

    #[test]
    fn the_wrong_gate_and_no_rollback_are_complaints_that_name_the_revision() {
        let outcome = reverted(Some("latency"));
        let bad = Bad::new(Fault::Errors, &outcome, &[]);
        let said = bad.complaint(Fault::Errors, &outcome).unwrap_or_default();
        assert_eq!(said, "the bad revision (errors) was reverted by the gate latency, not by the gate errors");
        let kept = Outcome { promoted: true, ..Outcome::default() };
        let said = Bad::new(Fault::Cost, &kept, &[]).complaint(Fault::Cost, &kept).unwrap_or_default();
        assert_eq!(said, "the bad revision (cost) was not reverted: it was promoted");
    }

    #[test]
    fn the_report_has_the_documented_fields_and_finite_numbers() {
        let good = Good::new(&Outcome { promoted: true, time: (1.0, 91.26), ..Outcome::default() }, &[]);
        let report = Report { good: Some(good), bad: vec![Bad::new(Fault::Crash, &reverted(None), &[])] };
        let value = serde_json::json!(report);
        assert_eq!(value["good"]["promoted"], true);
        assert_eq!(value["good"]["seconds"], 90.3);
        for key in ["fault", "reverted", "gate", "seconds_exposed", "responses", "bad_responses", "max_weight"] {
            assert!(value["bad"][0].get(key).is_some(), "{key}");
        }
        assert_eq!(value["bad"][0]["seconds_exposed"], 0.0);
    }
}
