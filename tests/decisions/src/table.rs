//! What is compared: the scenarios, and the settings of each rule.

use microapp_core::replay::Malformed;

use crate::{
    ours::Ours,
    peers::{
        argo::{Argo, Empty},
        flagger::Flagger,
        kayenta::Kayenta,
    },
    rule::Rule,
    world::{Fault, Measure, Scenario, Weather},
};

const STEADY: Scenario = Scenario {
    name: "no difference, steady, 50 requests/s",
    rps: 50.0,
    measure: Measure::Errors,
    stable: Measure::Errors.usual(),
    fault: Fault::None,
    weather: Weather::Steady,
    bad: false,
};

const fn bad(name: &'static str, measure: Measure, fault: Fault) -> Scenario {
    Scenario { name, measure, stable: measure.usual(), fault, bad: true, ..STEADY }
}

const fn same(name: &'static str, rps: f64, weather: Weather) -> Scenario {
    Scenario { name, rps, weather, ..STEADY }
}

/// All scenarios, in the order of the document.
pub const SCENARIOS: [Scenario; 23] = [
    STEADY,
    same("no difference, daily swing, 50 requests/s", 50.0, Weather::Daily),
    same("no difference, shared incident, 50 requests/s", 50.0, Weather::Incident),
    same("no difference, bursts of three errors, 50 requests/s", 50.0, Weather::Bursts),
    same("no difference, two minutes without data, 50 requests/s", 50.0, Weather::Gap),
    Scenario { stable: 0.005, ..same("no difference, stable fails 0.5 %, 50 requests/s", 50.0, Weather::Steady) },
    same("no difference, steady, 0.5 requests/s", 0.5, Weather::Steady),
    same("no difference, steady, 5 requests/s", 5.0, Weather::Steady),
    same("no difference, steady, 500 requests/s", 500.0, Weather::Steady),
    bad("errors 1 → 2 %", Measure::Errors, Fault::Always(0.02)),
    bad("errors 1 → 5 %", Measure::Errors, Fault::Always(0.05)),
    bad("errors 1 → 20 %", Measure::Errors, Fault::Always(0.20)),
    bad("errors 1 → 100 %", Measure::Errors, Fault::Always(1.0)),
    bad("errors 1 → 10 % from a weight of 25 % on", Measure::Errors, Fault::FromWeight(0.25, 0.10)),
    bad("errors 1 → 10 % three minutes into a step", Measure::Errors, Fault::AfterSeconds(180.0, 0.10)),
    Scenario { bad: false, ..bad("no difference in latency, 2 % slow", Measure::Latency, Fault::None) },
    bad("latency × 1.3: 2 → 4.8 % slow", Measure::Latency, Fault::Always(0.0484)),
    Scenario { bad: false, ..bad("token cost +5 % (+10 % is allowed)", Measure::Cost, Fault::Always(1.05e9)) },
    bad("token cost +15 %", Measure::Cost, Fault::Always(1.15e9)),
    bad("token cost +50 %", Measure::Cost, Fault::Always(1.5e9)),
    bad("token cost +100 %", Measure::Cost, Fault::Always(2e9)),
    Scenario {
        bad: false,
        ..bad("no difference in hallucination, 3 %, 5 % judged, after 2 min", Measure::Grounded, Fault::None)
    },
    bad("hallucination 3 → 8 %, 5 % judged, after 2 min", Measure::Grounded, Fault::Always(0.08)),
];

/// One rule with its settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Whose it is; a colour in the plot.
    pub family: &'static str,
    /// The settings, for people.
    pub name: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Ours,
    FlaggerTutorial,
    FlaggerNginx,
    FlaggerOurSteps,
    FlaggerFastest,
    ArgoDocumented,
    ArgoMinute,
    ArgoFastest,
    KayentaDocumented,
    KayentaFastest,
}

const fn setting(family: &'static str, name: &'static str, kind: Kind) -> Setting {
    Setting { family, name, kind }
}

/// All settings, ours first.
pub const SETTINGS: [Setting; 10] = [
    setting("MicroApp", "MicroApp, Standard", Kind::Ours),
    setting("Flagger", "Flagger 1 m × 5, 10–50 %", Kind::FlaggerTutorial),
    setting("Flagger", "Flagger 10 s × 10, 5–50 %", Kind::FlaggerNginx),
    setting("Flagger", "Flagger 1 m × 5, 1/5/25 %", Kind::FlaggerOurSteps),
    setting("Flagger", "Flagger 10 s × 1, 1/5/25 %", Kind::FlaggerFastest),
    setting("Argo", "Argo 5 m, limit 3, 20–80 %", Kind::ArgoDocumented),
    setting("Argo", "Argo 1 m, limit 3, 1/5/25 %", Kind::ArgoMinute),
    setting("Argo", "Argo 10 s, limit 0, 1/5/25 %", Kind::ArgoFastest),
    setting("Kayenta", "Kayenta 3 h by 1 h, 5 %", Kind::KayentaDocumented),
    setting("Kayenta", "Kayenta 15 m by 5 m, 5 %", Kind::KayentaFastest),
];

/// What each setting is, and where it is documented.
pub const SOURCES: [&str; 10] = [
    "preset `Standard` (1 % for 2 min, 5 % for 2, 25 % for 5, bake at 100 % for 30), `lowTraffic: SkipSteps`, one gate, α = 1 %, β = 5 %; for hallucination `maxStepDuration: 2h`, as preflight asks where verdicts come so late: the operator's own `fold`, `decide` and `after`",
    "`interval: 1m`, `threshold: 5`, `stepWeight: 10`, `maxWeight: 50`, metrics over 1 m: the Istio and Gateway API tutorials (docs.flagger.app)",
    "`interval: 10s`, `threshold: 10`, `stepWeight: 5`, `maxWeight: 50`, metrics over 1 m: the NGINX, Traefik and Skipper tutorials (docs.flagger.app)",
    "the first one with `stepWeights: [1, 5, 25]`, the steps of our ramp",
    "the shortest interval (10 s) and one failed check, metrics over 10 s, `stepWeights: [1, 5, 25]`",
    "`interval: 5m`, `failureLimit: 3`, query over 5 m, `startingStep: 2`, weights 20/40/60/80 with pauses of 10 m: the page on analysis (argo-rollouts.readthedocs.io)",
    "`interval: 1m`, `failureLimit: 3`, query over 1 m, `initialDelay: 1m`, weights 1/5/25 with pauses of 2, 2 and 5 m; no data passes, as the page on analysis advises",
    "`interval: 10s`, `failureLimit: 0`, query over 10 s, the same weights and pauses; no data passes",
    "`lifetime` 3 h, `interval` 1 h, points of 1 m, growing window, judge at 98 % and 25 % tolerance, 5 % of the traffic and as much for the baseline: spinnaker.io's best practices",
    "points of 5 s, so that the advised 50 of them fit into an interval of 5 m; lifetime 15 m",
];

impl Setting {
    /// The rule at its beginning.
    pub fn rule(self, measure: Measure) -> Result<Box<dyn Rule>, Malformed> {
        const RAMP: [f64; 3] = [0.01, 0.05, 0.25];
        const PAUSED: [(f64, f64); 3] = [(0.01, 120.0), (0.05, 120.0), (0.25, 300.0)];
        let by = |step: u32| (1..=50 / step).map(|index| f64::from(index * step) / 100.0).collect::<Vec<_>>();
        let tens = [0.2, 0.4, 0.6, 0.8].map(|weight| (weight, 600.0));
        Ok(match self.kind {
            Kind::Ours => Box::new(Ours::new(measure)?),
            Kind::FlaggerTutorial => Box::new(Flagger::new(measure, 60.0, 5, 60.0, &by(10))),
            Kind::FlaggerNginx => Box::new(Flagger::new(measure, 10.0, 10, 60.0, &by(5))),
            Kind::FlaggerOurSteps => Box::new(Flagger::new(measure, 60.0, 5, 60.0, &RAMP)),
            Kind::FlaggerFastest => Box::new(Flagger::new(measure, 10.0, 1, 10.0, &RAMP)),
            Kind::ArgoDocumented => Box::new(Argo::new(measure, 300.0, 3, 300.0, &tens).starting(600.0, Empty::Error)),
            Kind::ArgoMinute => Box::new(Argo::new(measure, 60.0, 3, 60.0, &PAUSED)),
            Kind::ArgoFastest => Box::new(Argo::new(measure, 10.0, 0, 10.0, &PAUSED)),
            Kind::KayentaDocumented => Box::new(Kayenta::new(measure, 0.05, 60.0, 3600.0, 10_800.0)),
            Kind::KayentaFastest => Box::new(Kayenta::new(measure, 0.05, 5.0, 300.0, 900.0)),
        })
    }

    /// Is it ours?
    pub fn is_ours(self) -> bool {
        self.kind == Kind::Ours
    }
}
