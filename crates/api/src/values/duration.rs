use std::time::Duration;

use super::ValueError;
use super::decimal::{scaled, unscaled};

/// A duration as Gateway API writes it (GEP-2257): one to four parts of one to five digits and `h`, `m`, `s` or `ms`.
///
/// # Errors
/// Anything else, such as `"5"`, `"0.5s"` or `"1d"`.
pub fn duration(text: &str) -> Result<Duration, ValueError> {
    sum_of_parts(text, false).ok_or_else(|| ValueError::Duration(text.to_owned()))
}

/// A latency bound: a duration whose parts may have decimals, such as `2.56s`, since the bounds of histograms do. It
/// is above zero.
///
/// # Errors
/// Anything else.
pub fn latency_bound(text: &str) -> Result<Duration, ValueError> {
    sum_of_parts(text, true).filter(|bound| !bound.is_zero()).ok_or_else(|| ValueError::LatencyBound(text.to_owned()))
}

fn sum_of_parts(text: &str, decimals: bool) -> Option<Duration> {
    let mut rest = text;
    let mut sum = Duration::ZERO;
    let mut parts = 0;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (digits, after) = rest.split_at(number);
        let unit = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit);
        let (nanos_per_unit, unit_decimals): (u64, u32) = match unit {
            "h" => (3_600, 9),
            "m" => (60, 9),
            "s" => (1, 9),
            "ms" => (1, 6),
            _ => return None,
        };
        let whole = digits.split('.').next()?;
        if !(1..=5).contains(&whole.len()) || (!decimals && whole.len() != digits.len()) {
            return None;
        }
        let nanos = u64::try_from(scaled(digits, unit_decimals)?).ok()? * nanos_per_unit;
        sum = sum.checked_add(Duration::from_nanos(nanos))?;
        parts += 1;
        rest = after;
    }
    (1..=4).contains(&parts).then_some(sum)
}

/// The shortest text that [`duration`] reads back, to the millisecond: `1h30m`, `250ms`, `0s`.
pub fn format_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    let parts =
        [(millis / 3_600_000, "h"), (millis / 60_000 % 60, "m"), (millis / 1_000 % 60, "s"), (millis % 1_000, "ms")];
    let mut text = String::new();
    for (count, unit) in parts.into_iter().filter(|(count, _)| *count > 0) {
        text.push_str(&count.to_string());
        text.push_str(unit);
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// A latency bound as [`latency_bound`] reads it back, exact to the nanosecond: `2.56s`, `0.0005s`.
pub fn format_latency_bound(bound: Duration) -> String {
    let nanos = i128::try_from(bound.as_nanos()).unwrap_or(i128::MAX);
    format!("{}s", unscaled(nanos, 9))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn durations_read_as_gateway_api_writes_them() {
        for (text, millis) in [("0s", 0), ("5m", 300_000), ("1h30m", 5_400_000), ("250ms", 250), ("1m1s1ms", 61_001)] {
            assert_eq!(duration(text).unwrap(), Duration::from_millis(millis), "{text}");
            assert_eq!(format_duration(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn what_is_no_duration_gets_a_sentence() {
        for text in ["", "5", "s", "0.5s", "1d", "-5m", "1h 30m", "100000s", "1h1h1h1h1h", "5µs", "1.s"] {
            assert!(duration(text).unwrap_err().to_string().contains("1h30m"), "{text:?}");
        }
    }

    #[test]
    fn a_latency_bound_may_have_decimals_and_is_above_zero() {
        assert_eq!(latency_bound("2.56s").unwrap(), Duration::from_millis(2_560));
        assert_eq!(latency_bound("0.5ms").unwrap(), Duration::from_micros(500));
        assert_eq!(format_latency_bound(Duration::from_micros(500)), "0.0005s");
        assert_eq!(format_latency_bound(Duration::from_millis(2_560)), "2.56s");
        assert_eq!(latency_bound("800ms").unwrap(), Duration::from_millis(800));
        for text in ["0s", "0.0s", "2.56", ".5s", "1..5s", "2,56s"] {
            assert!(latency_bound(text).unwrap_err().to_string().contains("2.56s"), "{text:?}");
        }
    }
}
