use std::net::SocketAddr;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What the stand-in is told at its start.
#[derive(Clone, Debug)]
pub struct Config {
    /// Address to serve on.
    pub listen: SocketAddr,
    /// The shortest time that an answer takes.
    pub base: Duration,
    /// An answer takes up to this much longer, uniformly.
    pub jitter: Duration,
    /// The model that every answer names; none = the one that was asked for.
    pub model: Option<String>,
    /// Seed of all that varies between two equal requests.
    pub seed: u64,
}

/// A variable that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{variable}={value}: not a valid value")]
pub struct ConfigError {
    variable: &'static str,
    value: String,
}

impl Config {
    /// Reads the variables of the crate's table through `lookup`.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Self {
            listen: parse(&lookup, "LISTEN", SocketAddr::from(([0, 0, 0, 0], 8000)))?,
            base: Duration::from_millis(parse(&lookup, "STUB_BASE_MS", 5)?),
            jitter: Duration::from_millis(parse(&lookup, "STUB_JITTER_MS", 2)?),
            model: lookup("STUB_MODEL").filter(|model| !model.is_empty()),
            seed: parse(&lookup, "STUB_SEED", now.as_nanos() as u64)?,
        })
    }
}

fn parse<T: FromStr>(
    lookup: &impl Fn(&str) -> Option<String>,
    variable: &'static str,
    default: T,
) -> Result<T, ConfigError> {
    match lookup(variable).filter(|value| !value.is_empty()) {
        None => Ok(default),
        Some(value) => value.trim().parse().map_err(|_| ConfigError { variable, value }),
    }
}
