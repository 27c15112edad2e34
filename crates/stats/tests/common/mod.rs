//! Seeded randomness and builders.
#![allow(dead_code, reason = "each test binary uses its part")]

use microapp_stats::{Form, RateConfig, RateGate, RateWindow, Tally};

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub fn poisson(&mut self, mean: f64) -> u64 {
        let limit = (-mean).exp();
        let (mut k, mut product) = (0, self.uniform());
        while product > limit {
            k += 1;
            product *= self.uniform();
        }
        k
    }

    pub fn bad(&mut self, n: u64, p: f64) -> u64 {
        (0..n).filter(|_| self.uniform() < p).count() as u64
    }
}

pub fn config() -> RateConfig {
    RateConfig {
        slo: Some(0.01),
        alpha_g: 0.0025,
        beta: 0.05,
        epsilon: 0.005,
        phi: 1.0,
        tau: 3600.0,
        form: Form::Switch,
    }
}

pub fn gate() -> RateGate {
    RateGate::new(config(), Tally::new(180_000, 900))
}

pub fn late_gate() -> RateGate {
    RateGate::new(RateConfig { form: Form::Plain, ..config() }, Tally::new(180_000, 900))
}

/// Window `k` of 5 s: requests and bad ones of canary and stable.
pub fn window(k: u64, canary: (u64, u64), stable: (u64, u64)) -> RateWindow {
    RateWindow {
        t: k as f64 * 5.0,
        dt: 5.0,
        canary: Tally::new(canary.0, canary.1),
        stable: Tally::new(stable.0, stable.1),
        ..RateWindow::default()
    }
}

#[track_caller]
pub fn close(got: f64, want: f64) {
    assert!((got - want).abs() <= 1e-9, "{got} instead of {want}");
}
