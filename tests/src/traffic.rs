//! Generated traffic for closed loops: Poisson arrivals, Bernoulli outcomes, from one small seeded generator.

/// SplitMix64 (Steele, Lea, Flood 2014): enough for tests, the same everywhere.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// A generator of its own for each seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0xD1B5_4A32_D192_ED03)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform in [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Poisson with mean `mean`, by counting exponential gaps in blocks (Knuth), exact for any mean.
    pub fn poisson(&mut self, mean: f64) -> u64 {
        let (mut count, mut left) = (0, mean);
        while left > 0.0 {
            let block = left.min(30.0);
            let (limit, mut product) = ((-block).exp(), self.unit());
            while product > limit {
                count += 1;
                product *= self.unit();
            }
            left -= block;
        }
        count
    }

    /// How many of `n` are hit, each with probability `p`.
    pub fn binomial(&mut self, n: u64, p: f64) -> u64 {
        (0..n).filter(|_| self.unit() < p).count() as u64
    }
}
