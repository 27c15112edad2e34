//! The dice of generated traffic: one small seeded generator and exact samplers.
//!
//! Every sampler draws from the distribution that its name says (no normal approximation anywhere), in constant time
//! for large means. `ln`, `exp` and the log-gamma function are `libm`'s, so that a seed gives the same numbers on every
//! machine.

/// SplitMix64 (Steele, Lea, Flood 2014, *Fast splittable pseudorandom number generators*): small, and the same
/// everywhere. Good enough for traffic, not for secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rng(u64);

impl Rng {
    /// A generator of its own for each seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0xD1B5_4A32_D192_ED03)
    }

    /// One that goes on from a state.
    pub const fn from_state(state: u64) -> Self {
        Self(state)
    }

    /// The generator of run `index` of many: no two runs share a stretch of numbers that matters.
    #[must_use]
    pub const fn split(seed: u64, index: u64) -> Self {
        let mut mixer = Self::new(seed);
        let key = mixer.next();
        Self(Self(key ^ index.wrapping_mul(0xD605_0C5A_96A3_F2D7)).next())
    }

    /// 64 random bits.
    #[allow(clippy::should_implement_trait)] // it never ends
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform in [0, 1).
    pub const fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Uniform in (0, 1]: it has a logarithm.
    fn positive(&mut self) -> f64 {
        1.0 - self.unit()
    }

    /// A standard normal number (Box, Muller 1958).
    pub fn normal(&mut self) -> f64 {
        let radius = libm::sqrt(-2.0 * libm::log(self.positive()));
        radius * libm::cos(std::f64::consts::TAU * self.unit())
    }

    /// How many events there are where `mean` are expected.
    pub fn poisson(&mut self, mean: f64) -> u64 {
        if mean <= 0.0 {
            0
        } else if mean < 10.0 {
            self.poisson_by_products(mean)
        } else {
            self.poisson_by_rejection(mean)
        }
    }

    /// Exponential gaps, multiplied (Knuth, *The Art of Computer Programming* 2, §3.4.1).
    fn poisson_by_products(&mut self, mean: f64) -> u64 {
        let (limit, mut product, mut count) = (libm::exp(-mean), self.unit(), 0);
        while product > limit {
            count += 1;
            product *= self.unit();
        }
        count
    }

    /// PTRS (Hörmann 1993, *The transformed rejection method for generating Poisson random variables*), means from 10.
    fn poisson_by_rejection(&mut self, mean: f64) -> u64 {
        let b = 0.931 + 2.53 * libm::sqrt(mean);
        let a = -0.059 + 0.024_83 * b;
        let inverse_alpha = 1.1239 + 1.1328 / (b - 3.4);
        let squeeze = 0.9277 - 3.6224 / (b - 2.0);
        let ln_mean = libm::log(mean);
        loop {
            let (u, v) = (self.unit() - 0.5, self.positive());
            let us = 0.5 - u.abs();
            let k = ((2.0 * a / us + b) * u + mean + 0.43).floor();
            if us >= 0.07 && v <= squeeze {
                return k as u64;
            }
            if k < 0.0 || (us < 0.013 && v > us) {
                continue;
            }
            if libm::log(v * inverse_alpha / (a / (us * us) + b)) <= k * ln_mean - mean - libm::lgamma(k + 1.0) {
                return k as u64;
            }
        }
    }

    /// How many of `n` are hit, each with probability `p`.
    pub fn binomial(&mut self, n: u64, p: f64) -> u64 {
        if n == 0 || p <= 0.0 {
            0
        } else if p >= 1.0 {
            n
        } else if p > 0.5 {
            n - self.binomial(n, 1.0 - p)
        } else if (n as f64) * p < 10.0 {
            self.binomial_by_inversion(n as f64, p)
        } else {
            self.binomial_by_rejection(n as f64, p)
        }
    }

    /// Adds up probabilities until they exceed a uniform number; n·p below 10, so that (1 − p)ⁿ does not vanish.
    fn binomial_by_inversion(&mut self, n: f64, p: f64) -> u64 {
        let odds = p / (1.0 - p);
        let (mut left, mut mass, mut k) = (self.unit(), libm::exp(n * libm::log1p(-p)), 0.0);
        while left >= mass && k < n {
            left -= mass;
            k += 1.0;
            mass *= odds * (n - k + 1.0) / k;
        }
        k as u64
    }

    /// BTRS (Hörmann 1993, *The generation of binomial random variates*), n·p from 10, p up to ½.
    fn binomial_by_rejection(&mut self, n: f64, p: f64) -> u64 {
        let spread = libm::sqrt(n * p * (1.0 - p));
        let b = 1.15 + 2.53 * spread;
        let a = -0.0873 + 0.0248 * b + 0.01 * p;
        let center = n * p + 0.5;
        let squeeze = 0.92 - 4.2 / b;
        let alpha = (2.83 + 5.1 / b) * spread;
        let ln_odds = libm::log(p / (1.0 - p));
        let mode = ((n + 1.0) * p).floor();
        let peak = libm::lgamma(mode + 1.0) + libm::lgamma(n - mode + 1.0);
        loop {
            let (u, v) = (self.unit() - 0.5, self.positive());
            let us = 0.5 - u.abs();
            let k = ((2.0 * a / us + b) * u + center).floor();
            if k < 0.0 || k > n {
                continue;
            }
            if us >= 0.07 && v <= squeeze {
                return k as u64;
            }
            let ratio = peak - libm::lgamma(k + 1.0) - libm::lgamma(n - k + 1.0) + (k - mode) * ln_odds;
            if libm::log(v * alpha / (a / (us * us) + b)) <= ratio {
                return k as u64;
            }
        }
    }

    /// Gamma with this shape and mean `shape` (Marsaglia, Tsang 2000, *A simple method for generating gamma variables*).
    /// The sum of n independent ones of shape a is one of shape n·a, so that a window's cost is one draw.
    pub fn gamma(&mut self, shape: f64) -> f64 {
        if shape <= 0.0 {
            return 0.0;
        }
        if shape < 1.0 {
            let boost = libm::pow(self.positive(), 1.0 / shape);
            return boost * self.gamma(shape + 1.0);
        }
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / libm::sqrt(9.0 * d);
        loop {
            let x = self.normal();
            let v = 1.0 + c * x;
            if v <= 0.0 {
                continue;
            }
            let v = v * v * v;
            if libm::log(self.positive()) < 0.5 * x * x + d - d * v + d * libm::log(v) {
                return d * v;
            }
        }
    }
}
