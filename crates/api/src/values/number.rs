use std::fmt;
use std::str::FromStr;

use super::ValueError;
use super::decimal::{scaled, unscaled};

/// A decimal in billionths, signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nano(pub i128);

impl Nano {
    /// The nearest one; `None` for NaN, infinities and what is beyond 10^18.
    pub fn from_f64(value: f64) -> Option<Self> {
        let nano = (value * 1e9).round();
        (nano.abs() <= 1e27).then_some(Self(nano as i128))
    }
}

impl FromStr for Nano {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
        scaled(digits, 9).map(|value| Self(sign * value)).ok_or_else(|| ValueError::Number(text.to_owned()))
    }
}

/// A decimal, such as `-0.5`.
impl fmt::Display for Nano {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&unscaled(self.0, 9))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn numbers_are_exact_and_read_back() {
        for (text, nano) in [("0.5", 500_000_000), ("-2", -2_000_000_000), ("0.000000001", 1)] {
            assert_eq!(text.parse::<Nano>().unwrap(), Nano(nano));
            assert_eq!(Nano(nano).to_string(), text);
        }
        for text in ["", "-", "--1", "1e3", "NaN", "0.0000000001"] {
            assert!(text.parse::<Nano>().unwrap_err().to_string().contains("is not a number"), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_finite_number_is_none() {
        assert_eq!(Nano::from_f64(0.25), Some(Nano(250_000_000)));
        assert_eq!([f64::NAN, f64::INFINITY, 1e30].map(Nano::from_f64), [None; 3]);
    }
}
