use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a new revision is let in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Strategy {
    /// The steps, when `steps` does not write them out.
    #[serde(default)]
    pub preset: Preset,
    /// The steps: weights that strictly rise to 100, the last one being the bake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<Vec<Step>>,
    /// How long a step may take until `onInconclusive` acts.
    #[serde(default = "Strategy::default_max_step_duration")]
    pub max_step_duration: String,
    /// What happens to a step that has not passed after `maxStepDuration`.
    #[serde(default)]
    pub on_inconclusive: OnInconclusive,
    /// The extra share of bad responses at full traffic that the ramp must exclude: `Auto` or a percentage.
    #[serde(default = "Strategy::default_tolerance")]
    pub tolerance: String,
    /// What happens where no tolerance fits the traffic.
    #[serde(default)]
    pub low_traffic: LowTraffic,
    /// How long the pods of a revision may take to be ready, from when they had to be: from their creation, or from when
    /// they last were. After that the revision is rejected.
    #[serde(default = "Strategy::default_ready_deadline")]
    pub ready_deadline: String,
    /// How long the canary warms up after each raise: connection pools, caches and lazily loaded
    /// code are cold then. What is slow in that time does not count for gates of time (`latency`, `timeToFirstToken`,
    /// `timePerOutputToken`); errors count from the first request.
    #[serde(default = "Strategy::default_warm_up")]
    pub warm_up: String,
}

impl Strategy {
    /// `10m`.
    pub fn default_ready_deadline() -> String {
        "10m".to_owned()
    }

    /// `15s`.
    pub fn default_warm_up() -> String {
        "15s".to_owned()
    }

    /// `1h`.
    pub fn default_max_step_duration() -> String {
        "1h".to_owned()
    }

    /// `Auto`.
    pub fn default_tolerance() -> String {
        "Auto".to_owned()
    }

    /// The steps as written out, or the preset's.
    pub fn effective_steps(&self) -> Vec<Step> {
        self.steps.clone().unwrap_or_else(|| self.preset.steps())
    }
}

impl Default for Strategy {
    fn default() -> Self {
        Self {
            preset: Preset::default(),
            steps: None,
            max_step_duration: Self::default_max_step_duration(),
            on_inconclusive: OnInconclusive::default(),
            tolerance: Self::default_tolerance(),
            low_traffic: LowTraffic::default(),
            ready_deadline: Self::default_ready_deadline(),
            warm_up: Self::default_warm_up(),
        }
    }
}

/// A named list of steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Preset {
    /// 1 % for 2 minutes, 5 % for 2, 25 % for 5, then 100 % for 30: the bake.
    #[default]
    Standard,
}

impl Preset {
    /// The steps behind the name.
    pub fn steps(self) -> Vec<Step> {
        let Self::Standard = self;
        [(1, "2m"), (5, "2m"), (25, "5m"), (100, "30m")]
            .into_iter()
            .map(|(weight, dwell)| Step { weight: IntOrString::Int(weight), dwell: dwell.to_owned() })
            .collect()
    }
}

/// One step of the ramp.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// Share of the traffic in percent: an integer, or a string such as `"0.5%"`.
    pub weight: IntOrString,
    /// How long it lasts at least, as Gateway API writes durations.
    pub dwell: String,
}

/// What happens to a step that has not passed after `maxStepDuration`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnInconclusive {
    /// It keeps its weight and a person decides.
    #[default]
    Hold,
    /// All traffic goes back to the stable revision.
    Rollback,
}

/// What happens where no tolerance fits the traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LowTraffic {
    /// Nothing starts; the condition says what would fit.
    #[default]
    Hold,
    /// The ramp begins at the lowest step that fits.
    SkipSteps,
}
