//! How many pods each arm needs.

use microapp_api::values::Weight;

/// Pods that a weight needs: its share, rounded up, at least one. Size of the application × share.
pub(crate) fn share(replicas: i32, weight: Weight) -> i32 {
    let pods = (i64::from(replicas) * weight.ppm()).div_ceil_positive(Weight::FULL.ppm());
    i32::try_from(pods).unwrap_or(i32::MAX).max(i32::from(replicas > 0))
}

/// Pods of the canary at a weight: its share, but two where there are two (one that differs a little must not decide).
pub(crate) fn canary(replicas: i32, weight: Weight) -> i32 {
    share(replicas, weight).max(replicas.min(2))
}

trait DivCeil {
    fn div_ceil_positive(self, by: Self) -> Self;
}

impl DivCeil for i64 {
    fn div_ceil_positive(self, by: Self) -> Self {
        (self + by - 1).div_euclid(by)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_follow_the_weight_and_never_fall_below_two_where_there_are_two() {
        let percent = |n: i64| Weight::from_ppm(n * 10_000).unwrap_or_default();
        let cases = [(4, 1, 2), (4, 25, 2), (4, 75, 3), (4, 100, 4), (1, 1, 1), (1, 100, 1), (0, 100, 0), (10, 25, 3)];
        for (replicas, weight, pods) in cases {
            assert_eq!(canary(replicas, percent(weight)), pods, "{replicas} at {weight} %");
        }
        assert_eq!(share(4, percent(1)), 1);
        assert_eq!(share(10, percent(25)), 3);
    }
}
