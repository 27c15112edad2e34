//! What an attempt comes to: the operator's own `fold` and `judge` over what its own telemetry counts, where a canary is
//! as its users would not want it. The names are those of the field cases.

use std::sync::Arc;

use microapp_api::v1alpha1::Verdict;
use microapp_core::{
    Evidence, Judgement, Position, Strategy,
    counts::{BeforeResult, Counts, Watch, Window},
    evidence::{GateView, Preflight},
    explain, fold, judge,
};

use crate::case::{self, Mix};

/// What must come of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Must {
    /// Some gate fails, or preflight refuses with its sentence: nobody stays with that canary.
    Stop,
    /// The same, or a sentence of preflight says what is not watched: the app shows it to nobody.
    Say,
    /// No gate passes: nothing was seen.
    Wait,
    /// No gate passes: what is seen cannot be trusted, or is bad.
    Doubt,
    /// No gate fails: the canary is well.
    Spare,
}

/// A canary and its gates.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// As the field cases number it.
    pub name: &'static str,
    /// What the canary does.
    pub about: &'static str,
    /// Which app.
    pub app: &'static str,
    /// The rollout's preset, where it names one.
    pub preset: Option<&'static str>,
    /// The gates in YAML; none: the defaults.
    pub gates: Option<&'static str>,
    /// What stable's users ask, before and during the attempt.
    pub stable: Mix,
    /// What the canary's do.
    pub canary: Mix,
    /// What must come of it.
    pub must: Must,
}

const WELL: Mix = &[(case::OK, 160), (case::STREAM, 40)];
const ASKS: Mix = &[(case::OK, 200)];
const STREAMS: Mix = &[(case::STREAM, 200)];
/// A fifth of the users does not wait for the end.
const LEAVERS: Mix = &[(case::STREAM, 160), (case::LEFT, 40)];
const FEW_LEAVERS: Mix = &[(case::STREAM, 100), (case::LEFT, 25)];

/// All of them, each on an app of its own.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "W1",
        about: "the model answers, the app cannot read it: HTTP 500 for every user",
        app: "genai-openai",
        preset: None,
        gates: None,
        stable: WELL,
        canary: &[(case::NOT_JSON, 120)],
        must: Must::Stop,
    },
    Scenario {
        name: "W1-own",
        about: "the same, where the app's own requests are counted by names of nobody's: preflight says what is not watched",
        app: "genai-anthropic",
        preset: None,
        gates: None,
        stable: WELL,
        canary: &[(case::NOT_JSON, 120)],
        must: Must::Say,
    },
    Scenario {
        name: "W1-new",
        about: "the same under the new names of the HTTP conventions",
        app: "openai-v2-latest",
        preset: None,
        gates: None,
        stable: WELL,
        canary: &[(case::NOT_JSON, 120)],
        must: Must::Stop,
    },
    Scenario {
        name: "W2",
        about: "the model of the canary does not exist: every request is refused",
        app: "litellm",
        preset: Some("litellm"),
        gates: None,
        stable: ASKS,
        canary: &[(case::NO_MODEL, 120)],
        must: Must::Stop,
    },
    Scenario {
        name: "W3",
        about: "the provider refuses the key, and Express hands that on: HTTP 401 for every user",
        app: "node-otel",
        preset: Some("otel-http"),
        gates: None,
        stable: ASKS,
        canary: &[(case::REFUSED_KEY, 120)],
        must: Must::Stop,
    },
    Scenario {
        name: "W4",
        about: "not one user, only probes and scrapes",
        app: "openai-v2",
        preset: Some("otel-http"),
        gates: Some(r#"[{name: errors, errorRate: {max: "5%"}}]"#),
        stable: ASKS,
        canary: &[(case::HEALTH, 40)],
        must: Must::Wait,
    },
    Scenario {
        name: "W5",
        about: "every streamed answer breaks off",
        app: "openllmetry-openai",
        preset: None,
        gates: None,
        stable: STREAMS,
        canary: &[(case::BREAK, 120)],
        must: Must::Stop,
    },
    Scenario {
        name: "W7",
        about: "two calls to the model for each request: the bill doubles",
        app: "flask",
        preset: None,
        gates: Some(
            r#"[{name: cost, tokenCost: {maxIncrease: "10%"}}, {name: tokens, tokensPerRequest: {maxIncrease: "10%"}}]"#,
        ),
        stable: ASKS,
        canary: &[(case::AGENT, 160)],
        must: Must::Stop,
    },
    Scenario {
        name: "W9",
        about: "a fifth of the users leaves in mid-stream, of stable as of the canary, and nothing else happens",
        app: "openllmetry-langchain",
        preset: Some("otel-http"),
        gates: Some(r#"[{name: errors, errorRate: {max: "5%"}}]"#),
        stable: LEAVERS,
        canary: FEW_LEAVERS,
        must: Must::Spare,
    },
];

/// W6 needs the app of W4, so it comes after it.
pub const LATER: &[Scenario] = &[
    Scenario {
        name: "W6",
        about: "each streamed answer takes 3.4 s, over the limit of 2.56 s",
        app: "openai-v2",
        preset: None,
        gates: None,
        stable: STREAMS,
        canary: &[(case::SLOW_STREAM, 100)],
        must: Must::Stop,
    },
    Scenario {
        name: "W7-http",
        about: "two calls to the model for each request, beside OpenTelemetry's HTTP names",
        app: "openai-v2-latest",
        preset: None,
        gates: Some(r#"[{name: cost, tokenCost: {maxIncrease: "10%"}}]"#),
        stable: ASKS,
        canary: &[(case::AGENT, 160)],
        must: Must::Stop,
    },
    Scenario {
        name: "W9-flask",
        about: "the same with the blocking client, which does not say who left",
        app: "flask",
        preset: None,
        gates: Some(r#"[{name: errors, errorRate: {max: "5%"}}]"#),
        stable: LEAVERS,
        canary: FEW_LEAVERS,
        must: Must::Spare,
    },
    Scenario {
        name: "W12",
        about: "two worker processes in each pod, a ninth of the canary's users gets HTTP 500",
        app: "workers",
        preset: Some("otel-http"),
        gates: Some(r#"[{name: errors, errorRate: {max: "5%"}}]"#),
        stable: ASKS,
        canary: &[(case::OK, 160), (case::NOT_JSON, 20)],
        must: Must::Doubt,
    },
];

/// What came of it, in lines, and whether that is what must.
pub fn outcome(
    plan: &Strategy,
    before: &Counts,
    windows: &[Window],
    watch: &Watch,
    attempt: f64,
    must: Must,
) -> (Vec<String>, bool) {
    let at_zero = Position { attempt: 1, step: None, since: 0.0, paused: false };
    let evidence = fold(&Evidence::begin(1, Arc::new(plan.clone()), 0.0), &at_zero, before);
    let preflight = judge(&evidence, attempt);
    if let Preflight::Refused(refusals) = &preflight.preflight {
        let lines = refusals
            .iter()
            .map(|refusal| format!("{}: keeps the rollout from starting: {}", refusal.gate, refusal.message));
        return (lines.collect(), true);
    }
    let step = Some(evidence.strategy.first);
    let at = Position { attempt: 1, step, since: attempt, paused: false };
    let evidence = fold(&evidence, &at, &Counts::Windows(windows.to_vec(), watch.clone()));
    let end = windows.last().map_or(attempt, |window| window.end);
    let judged = judge(&evidence, end);
    let caveats = caveats(before);
    let unwatched = |view: &GateView| view.verdict == Verdict::NotWatched && view.name.contains("errors");
    let says = judged.gates.iter().any(|view| unwatched(view) && view.note.is_some());
    let gates = judged
        .gates
        .iter()
        .map(|view| format!("{}: {:?}: {}; seen {:?}", view.name, view.verdict, explain::gate(view), view.seen));
    (gates.chain(caveats.clone()).collect(), is(&judged, must, says))
}

/// What preflight says of gates that work.
fn caveats(before: &Counts) -> Vec<String> {
    let Counts::Baseline { gates, .. } = before else { return Vec::new() };
    let one =
        |(name, before): (&String, &BeforeResult)| Some(format!("{name}: {}", before.as_ref().ok()?.caveat.as_ref()?));
    gates.iter().filter_map(one).collect()
}

fn is(judged: &Judgement, must: Must, says: bool) -> bool {
    let any = |verdict: Verdict| judged.gates.iter().any(|view| !view.advisory && view.verdict == verdict);
    match must {
        Must::Stop => any(Verdict::Fail),
        Must::Say => any(Verdict::Fail) || says,
        Must::Wait => !any(Verdict::Pass) && !any(Verdict::Fail),
        Must::Doubt => !any(Verdict::Pass),
        Must::Spare => !any(Verdict::Fail),
    }
}
