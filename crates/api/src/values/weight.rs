use std::fmt;
use std::str::FromStr;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{Percent, ValueError};

/// A share of the traffic, from 0 to 100 %, exact to a ten-thousandth of a percent.
///
/// Serialized as `"0.5%"`; an integer of percent is read too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Weight(i64);

impl Weight {
    /// No traffic.
    pub const ZERO: Self = Self(0);
    /// All of it.
    pub const FULL: Self = Self(1_000_000);

    /// From parts per million of the traffic; `None` outside 0 to 1 000 000.
    pub const fn from_ppm(ppm: i64) -> Option<Self> {
        if ppm >= 0 && ppm <= Self::FULL.0 { Some(Self(ppm)) } else { None }
    }

    /// Parts per million of the traffic.
    pub const fn ppm(self) -> i64 {
        self.0
    }

    /// As a fraction of the traffic, 0 to 1.
    pub fn as_fraction(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// As a number of percent, 0 to 100.
    pub fn percent(self) -> f64 {
        self.0 as f64 / 1e4
    }

    /// Whether it is no traffic at all.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The weights of an HTTPRoute, `(stable, canary)`: they sum to 100, or to the smallest larger power of ten that
    /// a fraction needs (Gateway API weights are proportions up to 1 000 000).
    pub fn pair(self) -> (i32, i32) {
        let mut sum = 100;
        while self.0 * sum % Self::FULL.0 != 0 {
            sum *= 10;
        }
        let canary = self.0 * sum / Self::FULL.0;
        (i32::try_from(sum - canary).unwrap_or(0), i32::try_from(canary).unwrap_or(0))
    }

    /// The share of the second of two weights of an HTTPRoute, rounded down to a millionth; `None` where one is
    /// negative or both are 0.
    pub fn from_pair(stable: i32, canary: i32) -> Option<Self> {
        let (stable, canary) = (i64::from(stable), i64::from(canary));
        (stable >= 0 && canary >= 0 && stable + canary > 0).then(|| Self(canary * Self::FULL.0 / (stable + canary)))
    }

    /// From `spec.strategy.steps[].weight`: an integer of percent, or a string such as `"0.5%"`.
    ///
    /// # Errors
    /// Anything that is not above 0 and at most 100 %.
    pub fn from_int_or_string(value: &IntOrString) -> Result<Self, ValueError> {
        let shown = || match value {
            IntOrString::Int(percent) => percent.to_string(),
            IntOrString::String(text) => text.clone(),
        };
        // A quoted integer can only mean itself; a quoted fraction without `%` could mean two things.
        let read = match value {
            IntOrString::String(text) if !text.contains(['.', '%']) => format!("{text}%").parse(),
            other => Percent::from_int_or_string(other),
        };
        read.ok()
            .and_then(|percent| Self::from_ppm(percent.ppm()))
            .filter(|weight| !weight.is_zero())
            .ok_or_else(|| ValueError::Weight(shown()))
    }
}

impl FromStr for Weight {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let percent: Option<Percent> = text.parse().ok();
        percent.and_then(|percent| Self::from_ppm(percent.ppm())).ok_or_else(|| ValueError::Weight(text.to_owned()))
    }
}

/// `0.5%`.
impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Percent::from_ppm(self.0).fmt(f)
    }
}

impl From<Weight> for IntOrString {
    fn from(weight: Weight) -> Self {
        if weight.0 % 10_000 == 0 {
            Self::Int(i32::try_from(weight.0 / 10_000).unwrap_or(0))
        } else {
            Self::String(weight.to_string())
        }
    }
}

impl Serialize for Weight {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Weight {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match IntOrString::deserialize(deserializer)? {
            IntOrString::Int(0) => Ok(Self::ZERO),
            IntOrString::String(text) => text.parse().map_err(de::Error::custom),
            value @ IntOrString::Int(_) => Self::from_int_or_string(&value).map_err(de::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_route_gets_integers_that_keep_a_fraction_exact() {
        for (text, pair) in [
            ("0%", (100, 0)),
            ("1%", (99, 1)),
            ("0.5%", (995, 5)),
            ("0.25%", (9_975, 25)),
            ("0.0001%", (999_999, 1)),
            ("100%", (0, 100)),
        ] {
            let weight: Weight = text.parse().unwrap();
            assert_eq!(weight.pair(), pair, "{text}");
            assert_eq!(Weight::from_pair(pair.0, pair.1), Some(weight));
            assert_eq!(weight.to_string(), text);
        }
    }

    #[test]
    fn a_step_has_some_traffic_and_at_most_all_of_it() {
        for bad in [IntOrString::Int(0), IntOrString::Int(101), IntOrString::String("100.5%".to_owned())] {
            assert!(Weight::from_int_or_string(&bad).unwrap_err().to_string().contains("from 1 to 100"));
        }
        let quoted = |text: &str| Weight::from_int_or_string(&IntOrString::String(text.to_owned()));
        assert_eq!(quoted("25").map(Weight::ppm), Ok(250_000));
        assert!(quoted("0.5").is_err() && quoted("half").is_err() && quoted("").is_err());
        let half = Weight::from_int_or_string(&IntOrString::String("0.5%".to_owned())).unwrap();
        assert_eq!(half.ppm(), 5_000);
        assert_eq!(IntOrString::from(half), IntOrString::String("0.5%".to_owned()));
        assert_eq!(IntOrString::from(Weight::FULL), IntOrString::Int(100));
    }

    #[test]
    fn json_reads_integers_and_strings_and_writes_strings() {
        let read: Vec<Weight> = serde_json::from_str(r#"[0, 25, "0.5%"]"#).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), r#"["0%","25%","0.5%"]"#);
    }

    #[test]
    fn a_pair_without_any_weight_is_no_share() {
        assert_eq!(Weight::from_pair(0, 0), None);
        assert_eq!(Weight::from_pair(-1, 1), None);
    }
}
