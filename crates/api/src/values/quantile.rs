use std::fmt;
use std::str::FromStr;

use super::ValueError;
use super::decimal::{scaled, unscaled};

/// A quantile strictly between 0 and 1, exact to six decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantile(i64);

impl Quantile {
    /// Parts per million that lie at or below it: 0.95 is 950 000.
    pub const fn ppm(self) -> i64 {
        self.0
    }

    /// The share that may lie above it: 0.95 leaves 0.05.
    pub fn above(self) -> f64 {
        (1_000_000 - self.0) as f64 / 1e6
    }
}

impl FromStr for Quantile {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        scaled(text, 6)
            .and_then(|ppm| i64::try_from(ppm).ok())
            .filter(|ppm| (1..1_000_000).contains(ppm))
            .map(Self)
            .ok_or_else(|| ValueError::Quantile(text.to_owned()))
    }
}

/// `0.95`.
impl fmt::Display for Quantile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&unscaled(i128::from(self.0), 6))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_quantile_leaves_the_rest_above_it() {
        let p95: Quantile = "0.95".parse().unwrap();
        assert!((p95.above() - 0.05).abs() < 1e-15);
        assert_eq!((p95.ppm(), p95.to_string().as_str()), (950_000, "0.95"));
    }

    #[test]
    fn the_ends_are_no_quantiles() {
        for text in ["0", "1", "1.0", "95", "p95", "", "0.0000001"] {
            assert!(text.parse::<Quantile>().unwrap_err().to_string().contains("between 0 and 1"), "{text:?}");
        }
    }
}
