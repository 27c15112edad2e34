//! Requests to detect, one by one: the absolute process beside the best test that there is, Wald's sequential
//! probability ratio test (SPRT), which must be told how bad the canary is.

use microapp_core::simulate::traffic::Rng;
use microapp_stats::{Plain, inc_absolute};

/// Stable's share, and that of both tests' hypothesis.
pub const GOOD: f64 = 0.005;
/// Chance of a false alarm.
const ALPHA: f64 = 0.01;
/// A run that has not fired by then counts with so many.
const LONGEST: u64 = 1_000_000;

/// Mean numbers of requests until each fires, where the canary fails this share: ours, the SPRT's.
pub fn requests(bad: f64, runs: u64, seed: u64) -> [f64; 2] {
    let threshold = libm::log(1.0 / ALPHA);
    let (hit, miss) = (libm::log(bad / GOOD), libm::log((1.0 - bad) / (1.0 - GOOD)));
    let increments = [0_u8, 1].map(|failed| inc_absolute(1.0, f64::from(failed), GOOD, 1.0));
    let mut sums = [0_u64; 2];
    for index in 0..runs {
        let mut rng = Rng::split(seed, index);
        let (mut ours, mut ratio) = (Plain::default(), 0.0);
        let mut fired = [None; 2];
        for n in 1..=LONGEST {
            let failed = rng.unit() < bad;
            if fired[0].is_none() && ours.step(&increments[usize::from(failed)]) >= threshold {
                fired[0] = Some(n);
            }
            ratio += if failed { hit } else { miss };
            if fired[1].is_none() && ratio >= threshold {
                fired[1] = Some(n);
            }
            if fired.iter().all(Option::is_some) {
                break;
            }
        }
        for (sum, fired) in sums.iter_mut().zip(fired) {
            *sum += fired.unwrap_or(LONGEST);
        }
    }
    sums.map(|sum| sum as f64 / runs as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn not_knowing_how_bad_it_is_costs_at_most_a_fifth_of_the_requests_more_and_two_fifths_where_there_are_four() {
        for (bad, limit) in [(0.05, 1.20), (0.20, 1.18), (0.50, 1.40)] {
            let [ours, sprt] = requests(bad, 20_000, 7);
            assert!(ours / sprt <= limit, "{bad}: {ours} against {sprt} requests");
        }
    }
}
