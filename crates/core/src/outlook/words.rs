//! The outlook in words.

use jiff::SignedDuration;
use microapp_api::values::Percent;

use super::{Fails, GateOutlook, Outlook, StepOutlook};
use crate::{
    counts::Side,
    explain::{self, percent, span},
};

/// Why a gate cannot fail that has data.
const CANNOT: &str = "cannot fail: stable is so bad that no canary would be clearly worse";
/// Characters of [`Outlook::findings`]; a condition's message is cut at 1 000.
const LONGEST: usize = 800;

/// Requests per second, with as many digits as mean something.
pub(super) fn rate(rps: f64) -> String {
    if rps >= 10.0 {
        format!("{rps:.0}")
    } else if rps >= 1.0 {
        format!("{rps:.1}")
    } else {
        format!("{rps:.2}")
    }
}

/// Seconds as people say them; nobody needs the seconds of an hour.
fn about(seconds: f64) -> String {
    let whole = seconds.round();
    let rounded = if whole >= 600.0 { (whole / 60.0).round() * 60.0 } else { whole };
    span(SignedDuration::from_secs((rounded as i64).max(1)))
}

impl StepOutlook {
    /// Expected seconds with the dwell; infinite where the step cannot pass, the dwell where no traffic is known.
    pub fn seconds(&self) -> f64 {
        self.slowest.as_ref().map_or(0.0, |(seconds, _)| *seconds).max(self.dwell.as_secs_f64())
    }

    /// `5% about 3 min (errors)`: the gate is named where it takes longer than the dwell.
    fn short(&self) -> String {
        let Self { weight, dwell, slowest, skipped: _ } = self;
        match slowest {
            Some((seconds, gate)) if seconds.is_infinite() => format!("{weight} never ({gate} cannot pass)"),
            Some((seconds, gate)) if *seconds > dwell.as_secs_f64() => {
                format!("{weight} about {} ({gate})", about(*seconds))
            }
            Some(_) | None => format!("{weight} {}", span(*dwell)),
        }
    }
}

impl Outlook {
    /// Which gates have data of stable and can fail, and why one cannot; [`Self::short`]; what to know beside. Bounded.
    pub fn findings(&self) -> String {
        let names = |able: bool| {
            let gates = self.gates.iter().filter(move |gate| (gate.fails != Fails::Never) == able);
            gates.map(|gate| gate.name.as_str()).collect::<Vec<_>>()
        };
        let (able, unable) = (names(true), names(false));
        let mut found = Vec::new();
        if !able.is_empty() {
            let verb =
                if able.len() == 1 { "has data of stable and can fail" } else { "have data of stable and can fail" };
            found.push(format!("{} {verb}", able.join(", ")));
        }
        if !unable.is_empty() {
            found.push(format!("{} {CANNOT}", unable.join(", ")));
        }
        found.extend(self.gates.iter().filter_map(GateOutlook::doubt));
        found.push(self.short());
        found.extend(self.gates.iter().filter_map(GateOutlook::caveat));
        found.join("; ").chars().take(LONGEST).collect()
    }

    /// In one sentence without its full stop: tolerance, steps, and what to change.
    pub fn short(&self) -> String {
        let steps: Vec<_> = self.steps.iter().filter(|step| !step.skipped).take(12).map(StepOutlook::short).collect();
        let begins = self.steps.iter().any(|step| step.skipped).then(|| self.steps.iter().find(|step| !step.skipped));
        let begins = begins
            .flatten()
            .map_or_else(String::new, |step| format!(", begins at {} since there is little traffic", step.weight));
        let tolerance = Percent::from_ppm(self.epsilon_ppm);
        let advice = self.advice().map_or_else(String::new, |advice| format!("; {advice}"));
        format!("tolerance {tolerance}{begins}; expected at stable's traffic: {}{advice}", steps.join(", "))
    }

    /// What to change where a step is expected to take more than half of `maxStepDuration`.
    pub fn advice(&self) -> Option<String> {
        let limit = self.max_step.as_secs_f64() / 2.0;
        let slow =
            |step: &&StepOutlook| !step.skipped && step.slowest.as_ref().is_some_and(|(needed, _)| *needed > limit);
        let step = self.steps.iter().find(slow)?;
        let (seconds, gate) = step.slowest.as_ref()?;
        let weight = step.weight;
        let max = span(self.max_step);
        Some(if seconds.is_infinite() {
            format!(
                "{gate} cannot pass {weight}: set strategy.tolerance to a larger share, or wait until stable has had more requests"
            )
        } else {
            format!(
                "{weight} is expected to take {}, more than half of maxStepDuration ({max}), and may stay undecided: set strategy.tolerance to a larger share or to Auto, or maxStepDuration to at least {:.0}m",
                about(*seconds),
                (2.0 * seconds / 60.0).ceil()
            )
        })
    }

    /// One line per gate and one for the whole, for `why` and `plan`.
    pub fn lines(&self) -> Vec<String> {
        let mut lines: Vec<_> = self.gates.iter().map(|gate| gate.line(self)).collect();
        lines.push(self.short());
        lines
    }
}

impl GateOutlook {
    /// What nobody can know before something fails.
    fn doubt(&self) -> Option<String> {
        let label = self.unseen?;
        Some(format!("{} has seen no request fail yet: make sure that failed ones carry {label}", self.name))
    }

    /// What telemetry has to say of it.
    fn caveat(&self) -> Option<String> {
        let caveat = self.before.caveat.as_ref()?;
        Some(format!("{}: {caveat}", self.name))
    }

    /// What stable did, what makes it fail, and what each step needs.
    fn line(&self, outlook: &Outlook) -> String {
        let before = match (self.rps, self.before.side) {
            (None, Side::Value { .. }) => {
                format!("stable before: {}", explain::side(Some(self.before.side), self.unit, self.before.per))
            }
            (None, _) => "stable's traffic is not known".to_owned(),
            (Some(rps), side) => format!(
                "stable before: {} in {}, {} a second",
                explain::side(Some(side), self.unit, self.before.per),
                about(self.before.seconds),
                rate(rps)
            ),
        };
        let delay = super::delay(&self.before);
        let late = if delay >= 1.0 { format!(", judged {} later", about(delay)) } else { String::new() };
        let phi = self.before.phi;
        let bursts = if phi > 1.0 { format!(", in bursts of {phi:.1}") } else { String::new() };
        let fails = match self.fails {
            Fails::Share(share) => format!("it can fail, at more than {} bad", percent(share)),
            Fails::Mean => "it can fail, from the twentieth window of a step on".to_owned(),
            Fails::Limit => "it can fail, at its limit".to_owned(),
            Fails::Holds => "it cannot fail; it holds the ramp".to_owned(),
            Fails::Never => format!("it {CANNOT}"),
        };
        let steps: Vec<_> = outlook
            .steps
            .iter()
            .zip(&self.seconds)
            .filter(|(step, _)| !step.skipped)
            .map(|(step, seconds)| {
                let needed = if seconds.is_infinite() { "for ever".to_owned() } else { about(*seconds) };
                format!("{needed} at {}", step.weight)
            })
            .collect();
        let needs = match (steps.is_empty(), self.least) {
            (true, _) => String::new(),
            (false, false) => format!("; a canary as good is expected to need {}", steps.join(", ")),
            (false, true) => format!("; a canary as good needs at least {}", steps.join(", ")),
        };
        let doubt = self.unseen.map_or_else(String::new, |label| {
            format!("; no request has failed yet: make sure that failed ones carry {label}")
        });
        let caveat = self.before.caveat.as_ref().map_or_else(String::new, |caveat| format!("; {caveat}"));
        format!("{}: {before}{late}{bursts}; {fails}{needs}{doubt}{caveat}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_times_have_the_digits_that_mean_something() {
        assert_eq!([rate(50.0), rate(2.04), rate(0.5)], ["50", "2.0", "0.50"]);
        assert_eq!([about(0.2), about(61.4), about(3805.0)], ["1 s", "1 min 1 s", "1 h 3 min"]);
    }
}
