use std::fmt;
use std::str::FromStr;

use super::{Percent, ValueError};

/// The extra share of bad responses at full traffic that a ramp must exclude.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tolerance {
    /// Chosen from what the stable revision did before.
    #[default]
    Auto,
    /// As given: above 0, at most 20 %.
    Given(Percent),
}

impl FromStr for Tolerance {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        if text == "Auto" {
            return Ok(Self::Auto);
        }
        let percent: Option<Percent> = text.parse().ok();
        percent
            .filter(|percent| (1..=200_000).contains(&percent.ppm()))
            .map(Self::Given)
            .ok_or_else(|| ValueError::Tolerance(text.to_owned()))
    }
}

/// `Auto` or `0.5%`.
impl fmt::Display for Tolerance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("Auto"),
            Self::Given(percent) => percent.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_tolerance_is_auto_or_a_percentage_up_to_twenty() {
        for text in ["Auto", "0.5%", "20%"] {
            assert_eq!(text.parse::<Tolerance>().unwrap().to_string(), text);
        }
        for text in ["auto", "0%", "20.1%", "0.5", ""] {
            assert!(text.parse::<Tolerance>().unwrap_err().to_string().contains("Auto"), "{text:?}");
        }
    }
}
