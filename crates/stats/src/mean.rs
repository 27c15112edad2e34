//! The gate of a mean per request: tokens, cost. Paired batch means of sums and counts, since no source has a
//! histogram of cost that is fine enough to bet on buckets.

use libm::log as ln;

use crate::acs::{MIN_BATCHES, Moments, PairMoments};
use crate::codec::{self, MEAN_OPEN_V1, MEAN_V1, Reader, Writer};
use crate::recent::{Counts, Recent};

/// Canary requests in one batch of the pass evidence: passing by symmetry window by window errs where windows are
/// small.
pub const PASS_BATCH: u64 = 60;
/// Canary requests that the last gated step needs at least.
pub const PASS_REQUESTS: u64 = PASS_BATCH * MIN_BATCHES;

/// What a mean gate is told once and keeps for the attempt. At least one limit should be set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeanConfig {
    /// Allowed increase over stable: 0.1 is +10 %.
    pub max_increase: Option<f64>,
    /// Allowed mean per request, in the unit of the sums.
    pub max_per_request: Option<f64>,
    /// Probability of a false rollback by this gate per attempt.
    pub alpha_g: f64,
    /// Probability of a false promotion by this gate per step.
    pub beta: f64,
    /// Steps that share `alpha_g`: those below 100 %, and the bake where it is watched.
    pub steps: usize,
}

/// Requests and the sum over them, in the unit of the gate.
pub type Sum = (u64, i128);

/// One window of one mean gate.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MeanWindow {
    /// End of the window, in seconds since an arbitrary epoch that stays the same.
    pub t: f64,
    /// The canary's requests and the sum over them.
    pub canary: Sum,
    /// Stable's requests and the sum over them.
    pub stable: Sum,
    /// The delta is longer than three intervals or spans a change of weight: it counts only for the totals.
    pub gap: bool,
}

/// The one place where sums become floating point.
fn per_request((n, sum): Sum) -> f64 {
    sum as f64 / n as f64
}

fn plus(a: Sum, b: Sum) -> Sum {
    (a.0.saturating_add(b.0), a.1.saturating_add(b.1))
}

fn save_sum((n, sum): Sum, out: &mut Writer) {
    out.u64(n);
    out.i128(sum);
}

fn load_sum(bytes: &mut Reader) -> Option<Sum> {
    Some((bytes.u64()?, bytes.i128()?))
}

impl Counts for Sum {
    fn add(&mut self, other: &Self) {
        *self = plus(*self, *other);
    }

    fn save(&self, out: &mut Writer) {
        save_sum(*self, out);
    }

    fn load(bytes: &mut Reader) -> Option<Self> {
        load_sum(bytes)
    }
}

/// Canary against stable, paired.
#[derive(Clone, Debug, Default, PartialEq)]
struct Increase {
    /// D = Σ_c/n_c − (1 + m) Σ_s/n_s of each window.
    fail: Moments,
    /// Means of both sides in batches of at least [`PASS_BATCH`] canary requests.
    good: PairMoments,
    open: (Sum, Sum),
}

impl Increase {
    fn add(&mut self, limit: f64, canary: Sum, stable: Sum) {
        self.fail.add(per_request(canary) - (1.0 + limit) * per_request(stable));
        self.open = (plus(self.open.0, canary), plus(self.open.1, stable));
        if self.open.0.0 >= PASS_BATCH {
            self.good.add(per_request(self.open.0), per_request(self.open.1));
            self.open = Default::default();
        }
    }
}

/// A limit in absolute terms, D = Σ/n − max.
#[derive(Clone, Debug, Default, PartialEq)]
struct Cap {
    canary: Moments,
    stable: Moments,
    good: Moments,
    open: Sum,
}

impl Cap {
    fn add(&mut self, limit: f64, canary: Sum, stable: Sum) {
        if stable.0 > 0 {
            self.stable.add(per_request(stable) - limit);
        }
        if canary.0 > 0 {
            self.canary.add(per_request(canary) - limit);
            self.open = plus(self.open, canary);
            if self.open.0 >= PASS_BATCH {
                self.good.add(per_request(self.open) - limit);
                self.open = Default::default();
            }
        }
    }
}

/// Evidence of one mean gate. All of it starts over at each step: after an hour of equal cost an increase would take
/// twenty times as long to see.
#[derive(Clone, Debug, PartialEq)]
pub struct MeanGate {
    config: MeanConfig,
    increase: Increase,
    cap: Cap,
    recent: Recent<Sum>,
    step: (Sum, Sum),
    attempt: (Sum, Sum),
    /// What the canary has used for requests that had not ended when their window did.
    ahead: i128,
}

impl MeanGate {
    /// A gate without evidence.
    pub fn new(config: MeanConfig) -> Self {
        Self {
            config,
            increase: Increase::default(),
            cap: Cap::default(),
            recent: Recent::default(),
            step: Default::default(),
            attempt: Default::default(),
            ahead: 0,
        }
    }

    /// The weight changed.
    pub fn new_step(&mut self) {
        *self = Self { attempt: self.attempt, ..Self::new(self.config) };
    }

    /// One window, stepped once, in order of time. A canary window is paired with stable's counts of the last 60 s
    /// that no canary window has used. What a window without requests has used belongs to those of the next one: a
    /// request that asks its model several times ends after its calls.
    pub fn window(&mut self, window: &MeanWindow) {
        let MeanWindow { t, mut canary, stable, gap } = *window;
        for total in [&mut self.step, &mut self.attempt] {
            *total = (plus(total.0, canary), plus(total.1, stable));
        }
        self.recent.expire(t);
        if gap {
            self.recent.close();
            self.ahead = 0;
            return;
        }
        self.ahead = self.ahead.saturating_add(canary.1);
        if canary.0 > 0 {
            canary.1 = std::mem::take(&mut self.ahead);
        }
        self.recent.push(t, stable);
        if canary.0 > 0
            && let Some(paired) = self.recent.unused().filter(|paired| paired.0 > 0)
        {
            self.recent.close();
            if let Some(limit) = self.config.max_increase {
                self.increase.add(limit, canary, paired);
            }
        }
        self.recent.compact();
        if let Some(limit) = self.config.max_per_request {
            self.cap.add(limit, canary, stable);
        }
    }

    /// a: α_g shared by the steps, and by the two limits where both are set.
    fn alpha(&self) -> f64 {
        let limits =
            if self.config.max_increase.is_some() && self.config.max_per_request.is_some() { 2.0 } else { 1.0 };
        self.config.alpha_g / self.config.steps.max(1) as f64 / limits
    }

    /// `max_per_request` is breached by both revisions: it is not the canary's doing, and the ramp pauses.
    pub fn guarded(&self) -> bool {
        let breached = |side: &Moments| side.evidence(1.0, self.alpha()) >= self.threshold();
        breached(&self.cap.canary) && breached(&self.cap.stable)
    }

    /// ln E of the stronger of the two limits in nats, 0 before 20 windows; a limit breached by both revisions does
    /// not count.
    pub fn ln_e_fail(&self) -> f64 {
        let increase = self.increase.fail.evidence(1.0, self.alpha());
        if self.guarded() { increase } else { increase.max(self.cap.canary.evidence(1.0, self.alpha())) }
    }

    /// ln(1/a), where a is α_g over the number of steps and of limits.
    pub fn threshold(&self) -> f64 {
        ln(1.0 / self.alpha())
    }

    /// ln(1/β), what a pass at the last gated step needs.
    pub fn pass_threshold(&self) -> f64 {
        ln(1.0 / self.config.beta)
    }

    /// The canary's mean is over a limit.
    pub fn fires(&self) -> bool {
        self.ln_e_fail() >= self.threshold()
    }

    /// ln E that the canary's mean is under every limit, the increase at min(100 %, maxIncrease / next weight);
    /// 0 before 20 batches of [`PASS_BATCH`] canary requests.
    pub fn ln_e_pass(&self, next_weight: f64) -> f64 {
        let beta = self.config.beta;
        let increase = self.config.max_increase.map(|limit| {
            let margin = (limit / next_weight).min(1.0);
            self.increase.good.evidence_below(1.0 + margin, beta)
        });
        let cap = self.config.max_per_request.map(|_| self.cap.good.evidence(-1.0, beta));
        increase.into_iter().chain(cap).reduce(f64::min).unwrap_or(0.0)
    }

    /// Windows with evidence since the change of weight, of the limit that has the fewest.
    pub fn windows(&self) -> u64 {
        let increase = self.config.max_increase.map(|_| self.increase.fail.t());
        let cap = self.config.max_per_request.map(|_| self.cap.canary.t());
        increase.into_iter().chain(cap).min().unwrap_or(0)
    }

    /// The step's evidence is there: 20 windows and not failing, and at the last gated step the pass evidence.
    pub fn passes(&self, next_weight: f64, last_gated: bool) -> bool {
        let fine = self.windows() >= MIN_BATCHES && !self.fires() && !self.guarded();
        fine && (!last_gated || self.ln_e_pass(next_weight) >= self.pass_threshold())
    }

    /// Canary and stable since the start of the attempt, every window.
    pub fn totals(&self) -> (Sum, Sum) {
        self.attempt
    }

    /// Canary and stable since the change of weight, every window.
    pub fn step_totals(&self) -> (Sum, Sum) {
        self.step
    }

    /// What the gate was told at the start.
    pub fn config(&self) -> &MeanConfig {
        &self.config
    }

    /// Appends the gate's bytes.
    pub fn save(&self, out: &mut Vec<u8>) {
        let Self { config, increase, cap, recent, step, attempt, ahead } = self;
        let MeanConfig { max_increase, max_per_request, alpha_g, beta, steps } = *config;
        let out = &mut Writer(out);
        out.u8(if *ahead == 0 { MEAN_V1 } else { MEAN_OPEN_V1 });
        out.option(max_increase);
        out.option(max_per_request);
        out.f64s(&[alpha_g, beta]);
        out.u64(steps as u64);
        increase.fail.save(out);
        increase.good.save(out);
        for moments in [&cap.canary, &cap.stable, &cap.good] {
            moments.save(out);
        }
        recent.save(out);
        for sum in [increase.open.0, increase.open.1, cap.open, step.0, step.1, attempt.0, attempt.1] {
            save_sum(sum, out);
        }
        if *ahead != 0 {
            out.i128(*ahead);
        }
    }

    /// Takes a gate from the front of `bytes`; `None`, and nothing taken, when they are not one.
    pub fn load(bytes: &mut &[u8]) -> Option<Self> {
        codec::load(bytes, |bytes| {
            let is_ahead = match bytes.u8()? {
                MEAN_V1 => false,
                MEAN_OPEN_V1 => true,
                _ => return None,
            };
            let (max_increase, max_per_request) = (bytes.option()?, bytes.option()?);
            let [alpha_g, beta] = bytes.f64s()?;
            let steps = usize::try_from(bytes.u64()?).ok()?;
            let (fail, good) = (Moments::load(bytes)?, PairMoments::load(bytes)?);
            let (canary, stable, cap_good) = (Moments::load(bytes)?, Moments::load(bytes)?, Moments::load(bytes)?);
            let recent = Recent::load(bytes)?;
            Some(Self {
                config: MeanConfig { max_increase, max_per_request, alpha_g, beta, steps },
                increase: Increase { fail, good, open: (load_sum(bytes)?, load_sum(bytes)?) },
                cap: Cap { canary, stable, good: cap_good, open: load_sum(bytes)? },
                recent,
                step: (load_sum(bytes)?, load_sum(bytes)?),
                attempt: (load_sum(bytes)?, load_sum(bytes)?),
                ahead: if is_ahead { bytes.i128()? } else { 0 },
            })
        })
    }
}
