//! What the demo rolls out: each revision, what is wrong with it and what it deserves.

use serde_json::{Value, json};

use crate::load::Response;

/// Slower than this is bad: the latency gate's threshold in `manifests/rollout.yaml`, in milliseconds.
const SLOW_MS: f64 = 1280.0;
/// More output tokens than this factor of stable's mean is bad. The fault triples them.
const DEAR: f64 = 2.0;

const PROMPT: &str =
    "You answer questions about one invoice. Use only the facts that are given. Be brief and friendly.\n";
/// The stand-in takes this line for the habit of a model that was told to be creative.
const BAD_PROMPT: &str = "You answer questions about one invoice. Be creative where the facts are thin.\ninvent: 0.3\n";

/// One bad revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Fault {
    /// 30 % of the answers are a 500.
    Errors,
    /// 30 % of the answers take two seconds.
    Latency,
    /// Answers are three times as long.
    Cost,
    /// 30 % of the answers have wrong numbers.
    Hallucination,
    /// The process exits some time after its start.
    Crash,
    /// Nothing changes but the prompt, after which 30 % of the answers have wrong numbers.
    Prompt,
}

impl Fault {
    /// All, in the order in which the demo shows them.
    pub const ALL: [Self; 6] =
        [Self::Errors, Self::Latency, Self::Cost, Self::Hallucination, Self::Crash, Self::Prompt];

    /// The name in the report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Errors => "errors",
            Self::Latency => "latency",
            Self::Cost => "cost",
            Self::Hallucination => "hallucination",
            Self::Crash => "crash",
            Self::Prompt => "prompt",
        }
    }

    /// The gate that is to catch it; none = the pods themselves tell.
    pub fn gate(self) -> Option<&'static str> {
        match self {
            Self::Errors => Some("errors"),
            Self::Latency => Some("latency"),
            Self::Cost => Some("cost"),
            Self::Hallucination | Self::Prompt => Some("grounded"),
            Self::Crash => None,
        }
    }

    /// What is wrong with it, for the timeline.
    pub fn says(self) -> &'static str {
        match self {
            Self::Errors => "30 % of its answers are errors",
            Self::Latency => "30 % of its answers take 2 seconds",
            Self::Cost => "its answers are three times as long, so they cost more than twice as much",
            Self::Hallucination => "30 % of its answers have numbers that are not on the invoice",
            Self::Crash => "its process exits 20 seconds after each start",
            Self::Prompt => "only the prompt changes, edited in place: \"be creative where the facts are thin\"",
        }
    }

    fn variables(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Errors => &[("FAULT_ERROR_RATE", "0.3")],
            Self::Latency => &[("FAULT_SLOW_RATE", "0.3"), ("FAULT_SLOW_MS", "2000")],
            Self::Cost => &[("FAULT_VERBOSITY", "3")],
            Self::Hallucination => &[("FAULT_HALLUCINATION_RATE", "0.3")],
            Self::Crash => &[("FAULT_CRASH_AFTER_SECONDS", "20")],
            Self::Prompt => &[],
        }
    }

    /// The variables of the app's container.
    pub fn environment(self, model: &str) -> Value {
        environment(model, "2", self.variables())
    }

    /// The prompt that it runs with.
    pub fn prompt(self) -> &'static str {
        if self == Self::Prompt { BAD_PROMPT } else { PROMPT }
    }

    /// Whether a user got what is wrong with this revision; `usual` is stable's mean of output tokens.
    pub fn hit(self, response: &Response, usual: f64) -> bool {
        match self {
            Self::Errors | Self::Crash => response.is_bad(),
            Self::Latency => response.ms > SLOW_MS,
            Self::Cost => response.output_tokens.is_some_and(|tokens| tokens as f64 > DEAR * usual),
            Self::Hallucination | Self::Prompt => response.verdict.as_deref() == Some("fail"),
        }
    }
}

/// The variables of a healthy app; another release is another revision, also where the image is the same.
pub fn healthy(model: &str, release: &str) -> Value {
    environment(model, release, &[])
}

/// The variables of an app of whose answers a share are errors, each pod by its own dice.
pub(crate) fn failing(model: &str, rate: &str, release: &str) -> Value {
    environment(model, release, &[("FAULT_ERROR_RATE", rate)])
}

/// The prompt of all revisions but one.
pub fn good_prompt() -> &'static str {
    PROMPT
}

fn environment(model: &str, release: &str, faults: &[(&str, &str)]) -> Value {
    let own = [("MODEL_BASE_URL", model), ("RELEASE", release)];
    own.iter().chain(faults).map(|(name, value)| json!({"name": name, "value": value})).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn response(code: u16, ms: f64, verdict: &str, output_tokens: u64) -> Response {
        let (verdict, output_tokens) = (Some(verdict.to_owned()), Some(output_tokens));
        Response { t: 0.0, code, revision: "r".into(), ms, verdict, output_tokens }
    }

    #[test]
    fn every_fault_is_seen_in_what_its_users_got_and_in_nothing_else() {
        let fine = response(200, 20.0, "pass", 50);
        assert!(Fault::ALL.iter().all(|fault| !fault.hit(&fine, 45.0)));
        let hit = |response: &Response| Fault::ALL.into_iter().filter(|f| f.hit(response, 45.0)).collect::<Vec<_>>();
        assert_eq!(hit(&response(500, 20.0, "pass", 50)), [Fault::Errors, Fault::Crash]);
        assert_eq!(hit(&response(200, 2010.0, "pass", 50)), [Fault::Latency]);
        assert_eq!(hit(&response(200, 20.0, "pass", 150)), [Fault::Cost]);
        assert_eq!(hit(&response(200, 20.0, "fail", 50)), [Fault::Hallucination, Fault::Prompt]);
    }

    #[test]
    fn revisions_differ_by_their_variables_or_by_their_prompt() {
        let of = |fault: Fault| (fault.environment("http://10.96.0.9:8000/v1").to_string(), fault.prompt());
        let mut all: Vec<_> = Fault::ALL.into_iter().map(of).collect();
        all.push((healthy("http://10.96.0.9:8000/v1", "2").to_string(), good_prompt()));
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
