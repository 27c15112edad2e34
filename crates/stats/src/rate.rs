//! The gate of a bad rate: errors, slow responses, verdicts.

use libm::log as ln;

use crate::baseline::{Baseline, margin};
use crate::codec::{self, BESIDE_V1, RATE_V1, Reader, Writer};
use crate::increments::{break_even, inc_relative, ln_e_pass};
use crate::pairing::{Pairing, over_guard};
use crate::process::{Absolute, Form, Plain, Relative};
use crate::tally::{RateWindow, Tally};

/// What a rate gate is told once and keeps for the attempt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateConfig {
    /// Share of bad requests that is agreed on, such as 0.01; 0.05 for "p95 at most T". `None`: nobody can say which share
    /// is too much, so the canary is held against stable alone. Then there is no rule "over the SLO and worse", and
    /// wherever else a limit is needed the floor stands in its place.
    pub slo: Option<f64>,
    /// Probability of a false rollback by this gate per attempt: α over the number of blocking statistical gates.
    pub alpha_g: f64,
    /// Probability of a false promotion by this gate per step.
    pub beta: f64,
    /// Tolerance: extra share of bad requests over all traffic that the ramp must exclude.
    pub epsilon: f64,
    /// Requests of a correlated cluster, at least 1.
    pub phi: f64,
    /// Time constant of the baseline's decay in seconds: 3600, or the length of the baseline if longer.
    pub tau: f64,
    /// `Plain` for late verdicts.
    pub form: Form,
}

impl RateConfig {
    fn save(&self, out: &mut Writer) {
        let Self { slo, alpha_g, beta, epsilon, phi, tau, form } = *self;
        out.form(form);
        if let Some(slo) = slo {
            out.f64(slo);
        }
        out.f64s(&[alpha_g, beta, epsilon, phi, tau]);
    }

    /// `limited`: there is an SLO, as the gate's leading byte says.
    fn load(limited: bool, bytes: &mut Reader) -> Option<Self> {
        let form = bytes.form()?;
        let slo = if limited { Some(bytes.f64()?) } else { None };
        let [alpha_g, beta, epsilon, phi, tau] = bytes.f64s()?;
        Some(Self { slo, alpha_g, beta, epsilon, phi, tau, form })
    }
}

/// ln E of each fail process, in nats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Processes {
    /// Over the SLO; `None` where there is none.
    pub slo: Option<f64>,
    /// Over the floor, outside of incidents.
    pub floor: f64,
    /// Over the floor, incidents included.
    pub any: f64,
    /// Worse than stable.
    pub rel1: f64,
    /// More than 1.5 times as bad as stable.
    pub rel15: f64,
    /// More than 3 times as bad as stable.
    pub rel3: f64,
}

/// The three fail rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Over the SLO, and worse than stable.
    Worse,
    /// More than 1.5 times as bad as stable, and over the floor: worse than stable was before.
    Clearly,
    /// More than three times as bad as stable, incidents included.
    Far,
}

impl Processes {
    /// The rule with the strongest evidence; the plainest of equals.
    pub fn rule(&self) -> Rule {
        let Self { slo, floor, any, rel1, rel15, rel3 } = *self;
        let (clearly, far) = (floor.min(rel15), any.min(rel3));
        if slo.map(|slo| slo.min(rel1)).is_some_and(|worse| worse >= clearly && worse >= far) {
            Rule::Worse
        } else if clearly >= far {
            Rule::Clearly
        } else {
            Rule::Far
        }
    }

    /// The strongest of the three fail rules: `min(slo, rel1)` over the SLO and worse than stable (where there is an SLO),
    /// `min(floor, rel15)` clearly worse and not about nothing, `min(any, rel3)` far worse, also in an incident.
    pub fn ln_e_fail(&self) -> f64 {
        let Self { slo, floor, any, rel1, rel15, rel3 } = *self;
        slo.map_or(f64::NEG_INFINITY, |slo| slo.min(rel1)).max(floor.min(rel15)).max(any.min(rel3))
    }
}

/// What a gate says of a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stand {
    /// ln E of the strongest fail rule, in nats.
    pub ln_fail: f64,
    /// ln E that the canary is not worse than stable by the step's margin.
    pub ln_pass: f64,
    /// The canary is bad; takes precedence over a pass.
    pub fires: bool,
    /// The step's evidence is there.
    pub passes: bool,
    /// It is there by the hot fix.
    pub hot_fix: bool,
    /// The fail rule with the strongest evidence.
    pub rule: Rule,
}

/// Evidence of one rate gate. Fail evidence lives for the whole attempt, pass evidence for the step.
#[derive(Clone, Debug, PartialEq)]
pub struct RateGate {
    config: RateConfig,
    baseline: Baseline,
    p_before: f64,
    slo: Option<Absolute>,
    floor: Absolute,
    any: Absolute,
    rel1: Relative,
    rel15: Relative,
    rel3: Relative,
    pairing: Pairing,
    guard: bool,
    pending: u64,
    /// N and S of the pass evidence: the step without guarded windows.
    pass_n: u64,
    pass_x: u64,
    /// The hot fix looks at all windows of the step but gaps.
    hot_fix: Tally,
    better: Plain,
    step: (Tally, Tally),
    attempt: (Tally, Tally),
}

impl RateGate {
    /// A gate without evidence; `baseline` is what stable did before the rollout.
    pub fn new(config: RateConfig, baseline: Tally) -> Self {
        let baseline = Baseline::new(baseline);
        let p_before = baseline.p_hat();
        let absolute = |p0| Absolute::new(config.form, p0, config.phi);
        let relative = || Relative::new(config.form);
        Self {
            slo: config.slo.map(absolute),
            floor: absolute(floor(p_before)),
            any: absolute(floor(p_before)),
            rel1: relative(),
            rel15: relative(),
            rel3: relative(),
            pairing: Pairing::new(config.form),
            guard: false,
            pending: 0,
            pass_n: 0,
            pass_x: 0,
            hot_fix: Tally::default(),
            better: Plain::default(),
            step: Default::default(),
            attempt: Default::default(),
            config,
            baseline,
            p_before,
        }
    }

    /// The weight changed: pass evidence starts over, since faults depend on load. Fail evidence stays.
    pub fn new_step(&mut self) {
        (self.pass_n, self.pass_x, self.hot_fix) = (0, 0, Tally::default());
        self.better = Plain::default();
        self.pairing.close();
        self.step = Default::default();
    }

    /// One window, stepped once, in order of time.
    pub fn window(&mut self, window: &RateWindow) {
        let window = &match self.config.form {
            Form::Switch => RateWindow { canary: window.canary.clamped(), stable: window.stable.clamped(), ..*window },
            Form::Plain => *window,
        };
        let RateWindow { t: _, dt, canary, stable, pending, idle, gap, alone, near: _ } = *window;
        // What is bad was somebody's.
        let users = Tally { n: canary.n.saturating_sub(idle).max(canary.pass), ..canary };
        for total in [&mut self.step, &mut self.attempt] {
            total.0 += canary;
            total.1 += stable;
        }
        self.pending = pending;

        // The guard's threshold is that of before this window.
        let guard_rate = self.guard_rate();
        let pair = self.pairing.window(window, guard_rate);
        let (n, x) = if gap { (stable.n, stable.fail) } else { self.pairing.last_minute() };
        self.guard = over_guard(n, x, guard_rate);

        if !gap && !alone {
            self.hot_fix += users;
        }
        if let Some(pair) = pair {
            let phi = self.config.phi;
            let (nc, xc) = (pair.canary.n as f64, pair.canary.fail as f64);
            let (ns, seen) = (pair.stable.n as f64, pair.stable.seen as f64);
            for (process, rho0) in [(&mut self.rel1, 1.0), (&mut self.rel15, 1.5), (&mut self.rel3, 3.0)] {
                process.step(&inc_relative(nc, xc, ns, pair.stable.raised, rho0, phi));
            }
            // Roles swapped. Stable's count is the low one and the canary's the high one, so that it holds for any
            // threshold between two bounds of a histogram.
            self.better.add(&inc_relative(ns, seen, nc, pair.canary.pass as f64, 1.0, phi));
        }
        // A canary that drags stable down must not protect itself: this one runs under the guard too.
        self.any.step(canary.n, canary.fail);
        if !self.guard {
            if let Some(slo) = &mut self.slo {
                slo.step(canary.n, canary.fail);
            }
            self.floor.step(canary.n, canary.fail);
            if !gap && !alone {
                self.pass_n = self.pass_n.saturating_add(users.n);
            }
            if !gap {
                self.baseline.update(stable, dt, self.config.tau);
            }
        }
        // A late bad verdict may be about a request that counted, whatever the moment at which it comes.
        if self.config.form == Form::Plain || !(self.guard || gap || alone) {
            self.pass_x = self.pass_x.saturating_add(canary.pass);
        }
    }

    /// Stable has an incident: at least 5 bad ones in the last 60 s, at a rate above max(3 p̂, SLO). Without an SLO it is
    /// max(3 p̂, floor): p̂ of a stable without any bad ones is next to nothing, and then five in a minute, of however many
    /// requests, would pause the ramp for as long as they go on coming.
    pub fn guarded(&self) -> bool {
        self.guard
    }

    pub(crate) fn guard_rate(&self) -> f64 {
        (3.0 * self.p_hat()).max(self.limit())
    }

    /// The share from which on the canary is bad whatever stable does: the SLO, or else the floor.
    pub(crate) fn limit(&self) -> f64 {
        self.config.slo.unwrap_or_else(|| self.floor())
    }

    /// ln E of each fail process.
    pub fn processes(&self) -> Processes {
        Processes {
            slo: self.slo.as_ref().map(Absolute::ln_e),
            floor: self.floor.ln_e(),
            any: self.any.ln_e(),
            rel1: self.rel1.ln_e(),
            rel15: self.rel15.ln_e(),
            rel3: self.rel3.ln_e(),
        }
    }

    /// ln E of the strongest fail rule, in nats.
    pub fn ln_e_fail(&self) -> f64 {
        self.processes().ln_e_fail()
    }

    /// ln(4/α_g): three fail rules and the bake share α_g. Without an SLO there are two, and the threshold stays.
    pub fn threshold(&self) -> f64 {
        ln(4.0 / self.config.alpha_g)
    }

    /// ln(1/β), what pass and hot fix need.
    pub fn pass_threshold(&self) -> f64 {
        ln(1.0 / self.config.beta)
    }

    /// The canary is bad. Takes precedence over a pass; both can be true.
    pub fn fires(&self) -> bool {
        let at_most = Processes {
            slo: self.slo.as_ref().map(Absolute::ln_e_at_most),
            floor: self.floor.ln_e_at_most(),
            any: self.any.ln_e_at_most(),
            rel1: self.rel1.ln_e_at_most(),
            rel15: self.rel15.ln_e_at_most(),
            rel3: self.rel3.ln_e_at_most(),
        };
        let threshold = self.threshold();
        at_most.ln_e_fail() >= threshold && self.ln_e_fail() >= threshold
    }

    /// Everything that the gate says of a step, each part of it reckoned once.
    pub fn stand(&self, next_weight: f64) -> Stand {
        let processes = self.processes();
        let (ln_fail, ln_pass) = (processes.ln_e_fail(), self.ln_e_pass(next_weight));
        let hot_fix = self.hot_fix_passes(next_weight);
        Stand {
            ln_fail,
            ln_pass,
            fires: ln_fail >= self.threshold(),
            passes: hot_fix || !self.guard && ln_pass >= self.pass_threshold(),
            hot_fix,
            rule: processes.rule(),
        }
    }

    /// ln E that the canary is not worse than stable by the step's margin; late verdicts that are open count as bad.
    pub fn ln_e_pass(&self, next_weight: f64) -> f64 {
        self.ln_e_absolute(self.pass_n, self.pass_x, self.p_bad(next_weight))
    }

    /// ln E of the hot fix: the canary is better than a broken stable, and good by itself.
    pub fn ln_e_hot_fix(&self, next_weight: f64) -> f64 {
        self.ln_e_better().min(self.ln_e_good(next_weight))
    }

    /// The canary is good by itself.
    fn ln_e_good(&self, next_weight: f64) -> f64 {
        let p_bad = self.limit().max(self.p_before) + margin(self.config.epsilon, next_weight);
        self.ln_e_absolute(self.hot_fix.n, self.hot_fix.pass, p_bad)
    }

    /// It is better than stable.
    fn ln_e_better(&self) -> f64 {
        if self.pending == 0 {
            self.better.ln_e()
        } else {
            let (nc, ns) = (self.step.0.n as f64, self.step.1.n as f64);
            self.better.ln_e_with(&inc_relative(ns, 0.0, nc, self.pending as f64, 1.0, self.config.phi))
        }
    }

    fn ln_e_absolute(&self, n: u64, x: u64, p_bad: f64) -> f64 {
        let x = x.saturating_add(self.pending).min(n);
        ln_e_pass(n as f64, x as f64, p_bad, self.config.phi)
    }

    /// The step's evidence is there, by the hot fix or, outside of incidents, by its own. The dwell is the caller's.
    pub fn passes(&self, next_weight: f64) -> bool {
        self.hot_fix_passes(next_weight) || !self.guard && self.ln_e_pass(next_weight) >= self.pass_threshold()
    }

    /// The hot fix alone; its dwell runs through the pause.
    pub fn hot_fix_passes(&self, next_weight: f64) -> bool {
        let threshold = self.pass_threshold();
        self.ln_e_better() >= threshold && self.ln_e_good(next_weight) >= threshold
    }

    /// Stable's bad rate now, with decay, as the fail rules count it.
    pub fn p_hat(&self) -> f64 {
        self.baseline.p_hat()
    }

    /// The same as the pass rules count it: what a canary equal to stable would show.
    pub fn p_hat_pass(&self) -> f64 {
        self.baseline.p_hat_pass()
    }

    /// Stable's bad rate before the rollout.
    pub fn p_before(&self) -> f64 {
        self.p_before
    }

    /// max(1.5 p̂, p̂ + 0.25 percentage points) of before the rollout: below it nothing is clearly worse.
    pub fn floor(&self) -> f64 {
        self.floor.p0()
    }

    /// The rate that the step must exclude: a lower bound of stable's plus max(min(20 pp, ε / next weight), p̂/2).
    pub fn p_bad(&self, next_weight: f64) -> f64 {
        self.baseline.p_bad(self.config.epsilon, next_weight, self.config.phi)
    }

    /// The rate that the canary must be above before any rule can ever fail, while stable's stays as before: `None` where
    /// there is none below 1. Under it even the mildest alternative of the mixtures loses by each request.
    pub fn least_failing(&self) -> Option<f64> {
        let over_floor = break_even(floor(self.p_before));
        let least = self.config.slo.map_or(over_floor, |slo| break_even(slo.max(self.p_before)).min(over_floor));
        (least < 1.0).then_some(least)
    }

    /// Too little baseline: even a canary equal to stable would not pass.
    pub fn refused(&self, next_weight: f64) -> bool {
        self.baseline.worst() > 0.84 * self.p_bad(next_weight)
    }

    /// Canary and stable since the start of the attempt, every window.
    pub fn totals(&self) -> (Tally, Tally) {
        self.attempt
    }

    /// Canary and stable since the change of weight, every window.
    pub fn step_totals(&self) -> (Tally, Tally) {
        self.step
    }

    /// What the gate was told at the start.
    pub fn config(&self) -> &RateConfig {
        &self.config
    }

    /// Appends the gate's bytes.
    pub fn save(&self, out: &mut Vec<u8>) {
        let Self {
            config,
            baseline,
            p_before,
            slo,
            floor,
            any,
            rel1,
            rel15,
            rel3,
            pairing,
            guard,
            pending,
            pass_n,
            pass_x,
            hot_fix,
            better,
            step,
            attempt,
        } = self;
        let out = &mut Writer(out);
        out.u8(if slo.is_some() { RATE_V1 } else { BESIDE_V1 });
        config.save(out);
        baseline.save(out);
        out.f64(*p_before);
        for process in slo.iter().chain([floor, any]) {
            process.save(out);
        }
        for process in [rel1, rel15, rel3] {
            process.save(out);
        }
        pairing.save(out);
        out.bool(*guard);
        for count in [pending, pass_n, pass_x] {
            out.u64(*count);
        }
        better.save(out);
        for tally in [hot_fix, &step.0, &step.1, &attempt.0, &attempt.1] {
            tally.save(out);
        }
    }

    /// Takes a gate from the front of `bytes`; `None`, and nothing taken, when they are not one.
    pub fn load(bytes: &mut &[u8]) -> Option<Self> {
        codec::load(bytes, |bytes| {
            let limited = match bytes.u8()? {
                RATE_V1 => true,
                BESIDE_V1 => false,
                _ => return None,
            };
            let config = RateConfig::load(limited, bytes)?;
            let (form, phi) = (config.form, config.phi);
            let baseline = Baseline::load(bytes)?;
            let p_before = bytes.f64()?;
            // Fields are read in the order in which they are written.
            Some(Self {
                config,
                baseline,
                p_before,
                slo: match config.slo {
                    Some(slo) => Some(Absolute::load(form, slo, phi, bytes)?),
                    None => None,
                },
                floor: Absolute::load(form, floor(p_before), phi, bytes)?,
                any: Absolute::load(form, floor(p_before), phi, bytes)?,
                rel1: Relative::load(form, bytes)?,
                rel15: Relative::load(form, bytes)?,
                rel3: Relative::load(form, bytes)?,
                pairing: Pairing::load(form, bytes)?,
                guard: bytes.bool()?,
                pending: bytes.u64()?,
                pass_n: bytes.u64()?,
                pass_x: bytes.u64()?,
                better: Plain::load(bytes)?,
                hot_fix: Tally::load(bytes)?,
                step: (Tally::load(bytes)?, Tally::load(bytes)?),
                attempt: (Tally::load(bytes)?, Tally::load(bytes)?),
            })
        })
    }
}

/// Without the second term a canary at 0.2 % beside a stable at 0.01 % would be rolled back.
fn floor(p_before: f64) -> f64 {
    (1.5 * p_before).max(p_before + 0.0025)
}
