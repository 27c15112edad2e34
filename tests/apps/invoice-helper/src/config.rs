use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use hyper::Uri;

use crate::faults::Faults;
use crate::prompts::Prompts;

/// Everything that the app is told at its start.
#[derive(Clone, Debug)]
pub struct Config {
    /// Address to serve on.
    pub listen: SocketAddr,
    /// Whose revision it is, for the evaluations; `None`: by the pod's name.
    pub rollout: Option<String>,
    /// The revision that runs, for `x-revision` and the evaluations.
    pub revision: String,
    /// The pod, for the seed of the faults.
    pub pod: String,
    /// The provider, as OpenTelemetry names it.
    pub provider: String,
    /// The model that is asked for: the pinned one unless a fault says otherwise.
    pub model: String,
    /// Where `chat/completions` is.
    pub endpoint: Uri,
    /// How long a call of the model may take.
    pub model_timeout: Duration,
    /// The largest answer, in tokens.
    pub max_tokens: u64,
    /// Probability of an error that is nobody's fault.
    pub base_error_rate: f64,
    /// How long to serve on after SIGTERM, so that those who still send requests have heard of it.
    pub drain: Duration,
    /// The system prompt.
    pub system: String,
    /// What goes wrong on purpose.
    pub faults: Faults,
}

/// Why the app refuses to start.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A variable that cannot be read.
    #[error("{variable}={value}: not a valid value")]
    Variable {
        /// Its name.
        variable: &'static str,
        /// What it was set to.
        value: String,
    },
    /// A file of the prompt directory that cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// A prompt directory without a prompt.
    #[error("{0} is missing")]
    NoPrompt(PathBuf),
    /// `faults.json` or a `FAULT_*` variable that cannot be read.
    #[error("faults: {0}")]
    Faults(serde_json::Error),
    /// A probability outside [0, 1].
    #[error("{name} is {rate}, but a rate is between 0 and 1")]
    Rate {
        /// Which one.
        name: &'static str,
        /// Its value.
        rate: f64,
    },
}

impl Config {
    /// Reads the variables of the README through `lookup`, then the prompt directory.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let lookup = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let text = |name: &str, default: &str| lookup(name).unwrap_or_else(|| default.to_owned());
        let prompts = Prompts::load(&PathBuf::from(text("PROMPTS_DIR", "/prompts")))?;
        let faults = Faults::read(lookup, prompts.faults.as_deref())?;
        let base = text("MODEL_BASE_URL", "http://model-stub:8000/v1");
        let endpoint = format!("{}/chat/completions", base.trim_end_matches('/'));
        let base_error_rate = parse(&lookup, "BASE_ERROR_RATE", 0.0)?;
        if !(0.0..=1.0).contains(&base_error_rate) {
            return Err(ConfigError::Rate { name: "BASE_ERROR_RATE", rate: base_error_rate });
        }
        Ok(Self {
            listen: parse(&lookup, "LISTEN", SocketAddr::from(([0, 0, 0, 0], 8080)))?,
            revision: lookup("REVISION")
                .or_else(|| service_version(&text("OTEL_RESOURCE_ATTRIBUTES", "")))
                .unwrap_or_else(|| "unknown".to_owned()),
            rollout: lookup("ROLLOUT"),
            pod: text("HOSTNAME", "invoice-helper"),
            provider: text("MODEL_PROVIDER", "openai"),
            model: faults.model.clone().unwrap_or_else(|| snapshot(&lookup)),
            endpoint: endpoint
                .parse()
                .map_err(|_| ConfigError::Variable { variable: "MODEL_BASE_URL", value: base })?,
            model_timeout: Duration::from_millis(parse(&lookup, "MODEL_TIMEOUT_MS", 30_000)?),
            max_tokens: parse(&lookup, "MAX_TOKENS", 1_024)?,
            base_error_rate,
            drain: Duration::from_millis(parse(&lookup, "DRAIN_MS", 1_000)?),
            system: prompts.system,
            faults,
        })
    }
}

impl Config {
    /// The rollout that this is a pod of: the operator names its pods `<rollout>-<revision>-…`.
    pub fn rollout(&self) -> Option<&str> {
        let named = self.pod.find(&format!("-{}-", self.revision)).and_then(|end| self.pod.get(..end));
        self.rollout.as_deref().or(named)
    }
}

/// The dated snapshot, as providers name it: `gpt-5-nano` of `2025-08-07` is `gpt-5-nano-2025-08-07`.
fn snapshot(lookup: &impl Fn(&str) -> Option<String>) -> String {
    let name = lookup("MODEL_NAME").unwrap_or_else(|| "gpt-5-nano".to_owned());
    match lookup("MODEL_VERSION") {
        Some(version) if !name.ends_with(&version) => format!("{name}-{version}"),
        _ => name,
    }
}

/// `service.version` in a list such as `service.name=a,service.version=b`. The last one: the operator appends its own.
fn service_version(attributes: &str) -> Option<String> {
    let pairs = attributes.rsplit(',').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(key, _)| key.trim() == "service.version").map(|(_, value)| value.trim().to_owned()).next()
}

fn parse<T: FromStr>(
    lookup: &impl Fn(&str) -> Option<String>,
    variable: &'static str,
    default: T,
) -> Result<T, ConfigError> {
    match lookup(variable) {
        None => Ok(default),
        Some(value) => value.trim().parse().map_err(|_| ConfigError::Variable { variable, value }),
    }
}
