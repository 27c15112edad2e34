//! The strings of the API as exact numbers. Nothing here rounds; what does not fit is an error in a sentence.

mod decimal;
mod duration;
mod money;
mod number;
mod percent;
mod quantile;
mod tolerance;
mod weight;

pub use duration::{duration, format_duration, format_latency_bound, latency_bound};
pub use money::PicoUsd;
pub use number::Nano;
pub use percent::Percent;
pub use quantile::Quantile;
pub use tolerance::Tolerance;
pub use weight::Weight;

/// Why a string of the API is no value of its kind. Displays as a sentence that says what to write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// Not a percentage.
    #[error("{0:?} is not a percentage: write one such as \"0.5%\" or \"10%\", with at most four decimals")]
    Percent(String),
    /// Not a weight.
    #[error(
        "{0:?} is not a weight: write an integer from 1 to 100, or a string such as \"0.5%\" with at most four decimals"
    )]
    Weight(String),
    /// Not a duration.
    #[error("{0:?} is not a duration: write one such as \"30s\", \"5m\" or \"1h30m\"")]
    Duration(String),
    /// Not a latency bound.
    #[error("{0:?} is not a latency bound: write one such as \"800ms\" or \"2.56s\"")]
    LatencyBound(String),
    /// Not money.
    #[error("{0:?} is not an amount of USD: write one such as \"0.004\", with at most twelve decimals")]
    Money(String),
    /// Not a decimal.
    #[error("{0:?} is not a number: write a decimal such as \"0.5\" or \"-2\", with at most nine decimals")]
    Number(String),
    /// Not a quantile.
    #[error("{0:?} is not a quantile: write one between 0 and 1, such as \"0.95\"")]
    Quantile(String),
    /// Not a tolerance.
    #[error("{0:?} is not a tolerance: write \"Auto\" or a percentage up to 20%, such as \"0.5%\"")]
    Tolerance(String),
}
