use std::fmt;
use std::str::FromStr;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::ValueError;
use super::decimal::{scaled, unscaled};

/// A percentage, exact to a ten-thousandth of a percent; may be above 100 (an increase).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percent(i64);

impl Percent {
    /// From parts per million: 5 000 is 0.5 %.
    pub const fn from_ppm(ppm: i64) -> Self {
        Self(ppm)
    }

    /// Parts per million: 0.5 % is 5 000.
    pub const fn ppm(self) -> i64 {
        self.0
    }

    /// As a fraction: 0.5 % is 0.005.
    pub fn as_fraction(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// As a number of percent: 0.5 % is 0.5.
    pub fn percent(self) -> f64 {
        self.0 as f64 / 1e4
    }

    /// From an integer of percent, or a string such as `"0.5%"`.
    ///
    /// # Errors
    /// A negative number, a string without `%`, or one with more than four decimals.
    pub fn from_int_or_string(value: &IntOrString) -> Result<Self, ValueError> {
        match value {
            IntOrString::Int(percent) if *percent >= 0 => Ok(Self(i64::from(*percent) * 10_000)),
            IntOrString::Int(percent) => Err(ValueError::Percent(percent.to_string())),
            IntOrString::String(text) => text.parse(),
        }
    }
}

impl FromStr for Percent {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        text.strip_suffix('%')
            .and_then(|number| scaled(number, 4))
            .and_then(|ppm| i64::try_from(ppm).ok())
            .map(Self)
            .ok_or_else(|| ValueError::Percent(text.to_owned()))
    }
}

/// `0.5%`.
impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", unscaled(i128::from(self.0), 4))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_percentage_is_exact_and_reads_back() {
        let half: Percent = "0.5%".parse().unwrap();
        assert_eq!((half.ppm(), half.to_string().as_str()), (5_000, "0.5%"));
        assert!((half.as_fraction() - 0.005).abs() < 1e-15);
        assert_eq!("150%".parse::<Percent>().unwrap().ppm(), 1_500_000);
        assert_eq!(Percent::from_int_or_string(&IntOrString::Int(25)).unwrap().to_string(), "25%");
    }

    #[test]
    fn what_is_no_percentage_gets_a_sentence() {
        for text in ["", "%", "5", "0,5%", "-1%", "0.00001%", "5 %", "NaN%"] {
            let error = text.parse::<Percent>().unwrap_err().to_string();
            assert!(error.contains("write one such as"), "{error}");
        }
        assert!(Percent::from_int_or_string(&IntOrString::Int(-1)).is_err());
    }
}
