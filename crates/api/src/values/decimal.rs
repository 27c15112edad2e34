//! Decimal strings as integers of a fixed number of decimals.

/// `text` times 10^`decimals`: `("0.5", 4)` gives 5000. `None` where it is no plain decimal (digits, at most one point
/// with digits on both sides), has more decimals, or does not fit.
pub(super) fn scaled(text: &str, decimals: u32) -> Option<i128> {
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
        Some(_) => return None,
        None => (text, ""),
    };
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || whole.len() > 18 || !digits(whole) || !digits(fraction) {
        return None;
    }
    let missing = decimals.checked_sub(u32::try_from(fraction.len()).ok()?)?;
    let whole: i128 = whole.parse().ok()?;
    let fraction: i128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    whole.checked_mul(10_i128.checked_pow(decimals)?)?.checked_add(fraction * 10_i128.pow(missing))
}

/// The reverse of [`scaled`], without trailing zeros.
pub(super) fn unscaled(value: i128, decimals: u32) -> String {
    let unit = 10_u128.pow(decimals);
    let (whole, fraction) = (value.unsigned_abs() / unit, value.unsigned_abs() % unit);
    let sign = if value < 0 { "-" } else { "" };
    if fraction == 0 {
        return format!("{sign}{whole}");
    }
    let fraction = format!("{fraction:0width$}", width = decimals as usize);
    format!("{sign}{whole}.{}", fraction.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact_both_ways() {
        for (text, decimals, value) in [("0.5", 4, 5_000), ("12", 4, 120_000), ("0.004", 12, 4_000_000_000)] {
            assert_eq!(scaled(text, decimals), Some(value));
            assert_eq!(unscaled(value, decimals), text);
        }
        assert_eq!(unscaled(-1_500, 3), "-1.5");
    }

    #[test]
    fn what_is_no_plain_decimal_is_none() {
        for text in ["", ".", "1.", ".5", "+1", "-1", "1e3", "0.12345", "1 ", "٣", "9999999999999999999"] {
            assert_eq!(scaled(text, 4), None, "{text:?}");
        }
    }
}
