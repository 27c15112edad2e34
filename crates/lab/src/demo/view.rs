//! The rollout and its route, read as far as the demo and the end-to-end tests need them.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

/// The last seen state of both objects.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// The MicroAppRollout.
    pub rollout: Value,
    /// Its HTTPRoute.
    pub route: Value,
}

/// Why an attempt was given up, as the route says.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Aborted {
    /// The attempt.
    pub attempt: i64,
    /// The word of the API for it.
    pub cause: String,
    /// The gate that failed.
    #[serde(default)]
    pub gate: Option<String>,
    /// When it was decided.
    pub at: Timestamp,
    /// The canary's counts at that time: bad ones and requests.
    #[serde(default)]
    pub canary: Option<[u64; 2]>,
    /// What was seen.
    #[serde(default)]
    pub message: Option<String>,
}

/// A condition's status, reason and message.
pub type Condition<'a> = (&'a str, &'a str, &'a str);

impl View {
    /// Takes a new state of one of the two.
    pub fn take(&mut self, object: Value) {
        match object["kind"].as_str() {
            Some("HTTPRoute") => self.route = object,
            _ => self.rollout = object,
        }
    }

    fn annotation(&self, name: &str) -> Option<&str> {
        self.route["metadata"]["annotations"][format!("microapp.dev/{name}")].as_str()
    }

    /// The stable revision by the route.
    pub fn stable(&self) -> Option<&str> {
        self.annotation("stable")
    }

    /// The revision on trial by the route.
    pub fn canary(&self) -> Option<&str> {
        self.annotation("canary")
    }

    /// The latch of the attempt, if it was given up.
    pub fn aborted(&self) -> Option<Aborted> {
        let attempt: i64 = self.annotation("attempt")?.parse().ok()?;
        let aborted: Aborted = serde_json::from_str(self.annotation("aborted")?).ok()?;
        (aborted.attempt >= attempt).then_some(aborted)
    }

    /// When the attempt on trial began, by the rollout's status.
    pub(crate) fn started(&self) -> Option<Timestamp> {
        let canary = &self.rollout["status"]["canary"];
        let is_on_trial = canary["revision"].as_str() == self.canary();
        canary["startedAt"].as_str().filter(|_| is_on_trial)?.parse().ok()
    }

    /// The canary's share of the traffic in percent, by the weights that the gateway goes by.
    pub fn weight(&self) -> f64 {
        let Some(canary) = self.canary() else { return 0.0 };
        let backends = self.route["spec"]["rules"][0]["backendRefs"].as_array();
        let (mut of_canary, mut all) = (0.0, 0.0);
        for backend in backends.into_iter().flatten() {
            // The API's default.
            let weight = backend["weight"].as_f64().unwrap_or(1.0);
            all += weight;
            if backend["name"].as_str().is_some_and(|name| name.ends_with(&format!("-{canary}"))) {
                of_canary += weight;
            }
        }
        if all > 0.0 { 100.0 * of_canary / all } else { 0.0 }
    }

    /// The revision that the spec and the prompts ask for, as far as the operator has read them.
    pub fn desired(&self) -> Option<&str> {
        self.rollout["status"]["desiredRevision"].as_str()
    }

    /// A condition.
    pub fn condition(&self, kind: &str) -> Option<Condition<'_>> {
        let all = self.rollout["status"]["conditions"].as_array()?;
        let found = all.iter().find(|condition| condition["type"] == kind)?;
        let text = |key: &str| found[key].as_str().unwrap_or_default();
        Some((text("status"), text("reason"), text("message")))
    }

    /// The stable revision by the rollout's status, which follows the route.
    pub fn reported_stable(&self) -> Option<&str> {
        self.rollout["status"]["stable"]["revision"].as_str()
    }

    /// One line per gate that has something to say, as of the last transition or checkpoint.
    pub(crate) fn gates(&self) -> Vec<String> {
        let gates = self.rollout["status"]["gates"].as_array();
        gates.into_iter().flatten().filter_map(gate).collect()
    }
}

fn gate(gate: &Value) -> Option<String> {
    let text = |key: &str| gate[key].as_str().unwrap_or_default();
    let (name, verdict, message) = (text("name"), text("verdict"), text("message"));
    // Right after a raise there is no evidence yet.
    if message.contains("against it none") && message.contains("for it none") {
        return None;
    }
    let message = message.split_once("needed; ").map_or(message, |(_, evidence)| evidence);
    let side = |key: &str| counts(name, text(key));
    Some(format!("{name:<8} {verdict:<7} canary {}; stable {}; {message}", side("canary"), side("stable")))
}

/// Counts as people write them: bad and all, cost and requests, or bad, good, void and started verdicts.
fn counts(gate: &str, text: &str) -> String {
    let numbers: Vec<f64> = text.split('/').filter_map(|number| number.parse().ok()).collect();
    match numbers.as_slice() {
        // Pico-USD.
        [sum, n] if gate == "cost" && *n > 0.0 => format!("{:.6} USD in each of {n}", sum / n / 1e12),
        [bad, all] => format!("{bad} bad of {all}"),
        [bad, good, _, _] => format!("{bad} bad of {}", bad + good),
        _ => "no data".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::float_cmp)]
    use super::*;
    use serde_json::json;

    fn route(annotations: &Value, weights: &[(&str, i64)]) -> View {
        let backends: Vec<_> = weights.iter().map(|(n, w)| json!({"name": format!("app-{n}"), "weight": w})).collect();
        let spec = json!({"rules": [{"backendRefs": backends}]});
        let route = json!({"kind": "HTTPRoute", "metadata": {"annotations": annotations}, "spec": spec});
        let mut view = View::default();
        view.take(route);
        view
    }

    #[test]
    fn the_weight_is_the_canarys_share_whatever_the_sum() {
        let annotations = json!({"microapp.dev/stable": "aa", "microapp.dev/canary": "bb"});
        assert_eq!(route(&annotations, &[("aa", 99), ("bb", 1)]).weight(), 1.0);
        assert_eq!(route(&annotations, &[("aa", 199), ("bb", 1)]).weight(), 0.5);
        assert_eq!(route(&json!({"microapp.dev/stable": "aa"}), &[("aa", 100)]).weight(), 0.0);
    }

    #[test]
    fn a_latch_of_an_earlier_attempt_does_not_count() {
        let latch = r#"{"v":1,"attempt":3,"cause":"GateFailed","gate":"errors","at":"2026-01-01T00:00:00Z"}"#;
        let of = |attempt: &str| {
            route(&json!({"microapp.dev/attempt": attempt, "microapp.dev/aborted": latch}), &[]).aborted()
        };
        assert_eq!(of("3").unwrap().gate.as_deref(), Some("errors"));
        assert_eq!(of("4"), None);
    }

    #[test]
    fn what_is_not_there_yet_reads_as_nothing() {
        let view = View::default();
        assert_eq!((view.stable(), view.desired(), view.weight(), view.gates().len()), (None, None, 0.0, 0));
    }

    #[test]
    fn gates_are_told_in_words_once_there_is_evidence() {
        let mut view = View::default();
        let undecided = |evidence: &str| format!("is undecided: more requests are needed; evidence {evidence}");
        view.take(json!({"status": {"gates": [
            {"name": "errors", "verdict": "Unknown", "canary": "0/31", "stable": "2/4769",
                "message": undecided("against it none, for it 9 to 1 (passes at 20)")},
            {"name": "latency", "verdict": "Unknown", "canary": "0/0", "stable": "0/0",
                "message": undecided("against it none, for it none (passes at 20)")},
            {"name": "cost", "verdict": "Pass", "canary": "924200000/31", "stable": "142320100000/4769",
                "message": "good enough"},
            {"name": "grounded", "verdict": "Fail", "canary": "9/22/0/31", "stable": "0/9/0/9", "message": "worse"},
        ]}}));
        let expected = [
            "errors   Unknown canary 0 bad of 31; stable 2 bad of 4769; evidence against it none, for it 9 to 1 (passes at 20)",
            "cost     Pass    canary 0.000030 USD in each of 31; stable 0.000030 USD in each of 4769; good enough",
            "grounded Fail    canary 9 bad of 31; stable 0 bad of 9; worse",
        ];
        assert_eq!(view.gates(), expected);
    }
}
