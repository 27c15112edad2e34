//! Streams that break off uncounted. Some instrumentations count a call when its stream has ended well, and nowhere when it
//! has not; but they time the first chunk of each. So what began and is not counted after the time that a stream may take
//! has broken off, or was left by its user. How many users leave is told by stable's; what the canary has beyond that passes
//! nothing.

use microapp_core::counts::Streams;
use serde::{Deserialize, Serialize};

use crate::{
    bounds,
    part::Part,
    presets::Definition,
    series::Series,
    streams::{calls, last},
    tally::Tally,
};

/// First chunks of one side, by the source's histograms.
pub(crate) type Begun = [u64; Followed::FAMILIES];

/// How the streams of a source are followed to their end, chosen by what stable exposes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Followed {
    /// How long a stream may take, in milliseconds: twice what 99 of 100 calls of stable took at most.
    #[serde(rename = "w")]
    pub wait: i64,
    /// Of a million streams of stable so many began and were not counted when they ended.
    #[serde(rename = "o", default, skip_serializing_if = "is_nothing")]
    pub open: u32,
    /// Stable's are timed to their end in a histogram of their own.
    #[serde(rename = "e", default, skip_serializing_if = "std::ops::Not::not")]
    pub timed: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde hands over a reference
const fn is_nothing(ppm: &u32) -> bool {
    *ppm == 0
}

/// The least that is waited for the end of a stream, and what is where nobody timed stable's, in milliseconds.
const LEAST: i64 = 5_000;
const UNTIMED: i64 = 60_000;
/// Streams from which on a share of them is believed.
const ENOUGH: u64 = 20;

impl Followed {
    /// Histograms that may time a first chunk.
    pub(crate) const FAMILIES: usize = 6;

    /// By what stable exposes; `None` where the source times no first chunk.
    pub(crate) fn of(definition: &Definition, family: &str, stable: &[&Series]) -> Option<Self> {
        if !definition.names_answers || definition.first_token.is_empty() {
            return None;
        }
        let sum = |base: &&str| calls(definition, &format!("{base}_count"), stable).map(last).sum::<f64>();
        let begun = definition.first_token.iter().map(sum).fold(0.0, f64::max);
        let timed: f64 = definition.generation.iter().map(sum).sum();
        // Streams are longer than other calls, and may be few of them.
        let of_streams = definition.generation.iter().find(|base| sum(base) > 0.0).map(|base| format!("{base}_count"));
        let mut families = of_streams.iter().map(String::as_str).chain([family]);
        let wait = families.find_map(|family| wait(definition, family, stable)).unwrap_or(UNTIMED);
        let ended = if timed > 0.0 { timed } else { calls(definition, family, stable).map(last).sum() };
        let open = if begun >= ENOUGH as f64 { (begun - ended).max(0.0) / begun } else { 0.0 };
        Some(Self { wait, open: (open * 1e6) as u32, timed: timed > 0.0 })
    }

    /// The names to ask for.
    pub(crate) fn names(definition: &Definition) -> impl Iterator<Item = String> {
        definition.first_token.iter().chain(definition.generation).map(|base| format!("{base}_count"))
    }

    /// What a series says of streams.
    pub(crate) fn part(definition: &Definition, series: &Series) -> Option<Part> {
        let base = series.name().strip_suffix("_count").filter(|_| (definition.user)(series))?;
        let first = definition.first_token.iter().take(Self::FAMILIES).position(|name| *name == base);
        first.map(Part::Begun).or_else(|| definition.generation.contains(&base).then_some(Part::Ended))
    }

    /// Takes a window: both sides of it, when it ended, how long it was and when the weight last changed, in milliseconds.
    pub(crate) fn take(self, before: Option<&Streams>, [canary, stable]: &[Tally; 2], times: Times) -> Streams {
        let mut next = before.filter(|before| before.since == times.since).copied().unwrap_or_default();
        next.since = times.since;
        let timed = self.timed || canary.ended().is_some() || stable.ended().is_some();
        for (sums, tally) in [(&mut next.canary, canary), (&mut next.stable, stable)] {
            sums[0] += tally.begun();
            sums[1] += if timed { tally.ended().unwrap_or(0) } else { tally.total() };
        }
        next.open = self.is_open(&next, times);
        next
    }

    /// Are there more open ones than may be on their way, or than stable has: by more than a twentieth and three standard
    /// deviations?
    fn is_open(self, streams: &Streams, times: Times) -> bool {
        let missing = |[begun, ended]: [u64; 2]| begun.saturating_sub(ended) as f64;
        let [begun, _] = streams.canary.map(|count| count as f64);
        // At a steady pace; at most half of them, so that the first ones of a step are waited for.
        let way = begun * ((self.wait + times.length) as f64 / (times.end - times.since).max(1) as f64).min(0.5);
        let lately = if streams.stable[0] >= ENOUGH { missing(streams.stable) / streams.stable[0] as f64 } else { 0.0 };
        let usual = way + begun * lately.max(f64::from(self.open) / 1e6);
        missing(streams.canary) > usual + begun / 20.0 + 1.0 + 3.0 * usual.max(1.0).sqrt()
    }
}

/// Of a window, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// The change of the weight before it.
    pub(crate) since: i64,
    /// Its end.
    pub(crate) end: i64,
    /// Its length.
    pub(crate) length: i64,
}

/// Twice the bucket bound under which 99 of 100 of stable's calls lie, in milliseconds; `None` without buckets.
fn wait(definition: &Definition, family: &str, stable: &[&Series]) -> Option<i64> {
    let base = family.trim_end_matches("_count");
    let mut bounds: Vec<(i64, f64)> = Vec::new();
    let mut all = 0.0;
    for series in calls(definition, &format!("{base}_bucket"), stable) {
        match bounds::micros(series.label("le"), definition.per_second(base)) {
            Some(micros) => bounds.push((micros / 1_000, last(series))),
            None if series.label("le") == "+Inf" => all += last(series),
            None => {}
        }
    }
    bounds.sort_by_key(|(bound, _)| *bound);
    let under = |bound: i64| bounds.iter().filter(|(other, _)| *other == bound).map(|(_, count)| count).sum::<f64>();
    let most = bounds.iter().map(|(bound, _)| *bound).find(|bound| under(*bound) >= 0.99 * all);
    // Above the last bound nobody knows.
    let most = most.or_else(|| Some(2 * bounds.last()?.0)).filter(|_| all > 0.0);
    most.map(|most| (2 * most).max(LEAST))
}

#[cfg(test)]
mod tests {
    use super::Followed;
    use crate::presets;
    use microapp_core::strategy::Preset;

    #[test]
    fn every_histogram_of_first_chunks_has_its_place() {
        for preset in [Preset::OtelGenai, Preset::Litellm, Preset::Vllm] {
            assert!(presets::definition(preset).first_token.len() <= Followed::FAMILIES, "{}", preset.as_str());
        }
    }
}
