//! The bucket bounds around a threshold.

use std::collections::BTreeMap;

use microapp_core::counts::{Unfit, Unknown};

use crate::{native, series::Series};

/// A default threshold is taken at a bound that is so near to it: OpenTelemetry's calls to models have one at 2.56 s, HTTP
/// servers and gateways at 2.5 s.
const NEAR: f64 = 0.05;

/// Those around the threshold, as exposed: lower, upper. `defaulted`: nobody has chosen the threshold.
///
/// # Errors
/// It lies outside of all of them, or there are none.
pub(crate) fn around(
    family: &str,
    stable: &[&Series],
    max_micros: i64,
    per_second: i64,
    defaulted: bool,
) -> Result<(String, String), Unfit> {
    let mut known: BTreeMap<i64, String> = BTreeMap::new();
    let name = format!("{family}_bucket");
    if stable.iter().any(|series| series.name() == name && series.label("le") == native::lower(max_micros)) {
        return Ok((native::lower(max_micros), native::upper(max_micros)));
    }
    for series in stable.iter().filter(|series| series.name() == name) {
        let text = series.label("le");
        // Nothing takes no time: a bound of 0 (the SDKs' usual bounds begin with it) tells nothing apart.
        if let Some(micros) = micros(text, per_second).filter(|micros| *micros > 0) {
            known.entry(micros).or_insert_with(|| text.to_owned());
        }
    }
    let unit = match per_second {
        1_000 => "ms",
        1_000_000 => "µs",
        1_000_000_000 => "ns",
        _ => "s",
    };
    let unfit = |fatal: bool, message: String| Unfit { reason: Unknown::MissingBucket, message, fatal };
    let threshold = seconds(max_micros);
    let (Some((lowest, low)), Some((highest, top))) = (known.first_key_value(), known.last_key_value()) else {
        let message = format!("{name} has no finite bucket bounds for stable (a summary has none: expose a histogram)");
        return Err(unfit(false, message));
    };
    if max_micros > *highest {
        return Err(unfit(
            true,
            format!(
                "latency threshold {threshold}s is above the highest finite bucket bound {top} {unit} of {family}; nothing \
             slower can be told apart, so the gate could never fail: choose at most {}s",
                seconds(*highest)
            ),
        ));
    }
    if max_micros < *lowest {
        let all: Vec<&str> = known.values().map(String::as_str).collect();
        return Err(unfit(
            true,
            format!(
                "latency threshold {threshold}s is under the lowest bucket bound {low} {unit} of {family}: choose at least {}s \
             (its bounds are {} {unit}), or give the histogram finer bounds by a View",
                seconds(*lowest),
                all.join(", ")
            ),
        ));
    }
    let far = |micros: i64| (micros - max_micros).abs() as f64 / max_micros as f64;
    let nearest = known.iter().min_by(|(one, _), (other, _)| far(**one).total_cmp(&far(**other)));
    if let Some((_, bound)) = nearest.filter(|(micros, _)| defaulted && far(**micros) <= NEAR) {
        return Ok((bound.clone(), bound.clone()));
    }
    let lower = known.range(..=max_micros).next_back().map_or(low, |(_, text)| text);
    let upper = known.range(max_micros..).next().map_or(top, |(_, text)| text);
    Ok((lower.clone(), upper.clone()))
}

/// A bucket bound in microseconds; `None` for +Inf.
pub(crate) fn micros(le: &str, per_second: i64) -> Option<i64> {
    let value: f64 = le.parse().ok()?;
    value.is_finite().then(|| (value * (1_000_000.0 / per_second as f64)).round() as i64)
}

fn seconds(micros: i64) -> f64 {
    micros as f64 / 1_000_000.0
}
