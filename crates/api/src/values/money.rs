use std::fmt;
use std::str::FromStr;

use super::ValueError;
use super::decimal::{scaled, unscaled};

/// An amount of USD in millionths of a millionth: a price per million tokens is then an integer per token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PicoUsd(pub i128);

impl FromStr for PicoUsd {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        scaled(text, 12).map(Self).ok_or_else(|| ValueError::Money(text.to_owned()))
    }
}

/// A decimal of USD, such as `0.004`.
impl fmt::Display for PicoUsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&unscaled(self.0, 12))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn money_is_exact_and_reads_back() {
        let amount: PicoUsd = "0.004".parse().unwrap();
        assert_eq!((amount.0, amount.to_string().as_str()), (4_000_000_000, "0.004"));
        assert_eq!("0.000000000001".parse::<PicoUsd>().unwrap(), PicoUsd(1));
    }

    #[test]
    fn what_is_no_amount_gets_a_sentence() {
        for text in ["", "$1", "1e-3", "-0.1", "0.0000000000001", "1,5"] {
            assert!(text.parse::<PicoUsd>().unwrap_err().to_string().contains("amount of USD"), "{text:?}");
        }
    }
}
