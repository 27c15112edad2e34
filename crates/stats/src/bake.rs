//! The bake at 100 %: stable has no traffic, so only an absolute process can see the canary, and a shared incident
//! looks the same to it. It therefore steps back once to where stable serves again, and lets that decide.

use libm::log as ln;

use crate::codec::{self, BAKE_V1, Writer};
use crate::increments::inc_relative;
use crate::pairing::Pairing;
use crate::process::{Absolute, Form, Relative};
use crate::rate::RateGate;
use crate::tally::RateWindow;

/// How long the relative evidence may take after the step back, in seconds.
pub const DECIDE_SECONDS: f64 = 600.0;

/// Evidence of one rate gate while it bakes; the gate's own processes rest.
#[derive(Clone, Debug, PartialEq)]
pub struct BakeGate {
    form: Form,
    alpha_g: f64,
    phi: f64,
    guard_rate: f64,
    bake: Absolute,
    rel1: Relative,
    pairing: Pairing,
    back_since: Option<f64>,
    back_used: bool,
}

impl BakeGate {
    /// Fresh evidence against max(SLO, floor), against the floor where there is no SLO; what the gate has may carry an old
    /// shared incident.
    pub fn new(gate: &RateGate) -> Self {
        let config = gate.config();
        let form = config.form;
        Self {
            form,
            alpha_g: config.alpha_g,
            phi: config.phi,
            guard_rate: gate.guard_rate(),
            bake: Absolute::new(form, gate.limit().max(gate.floor()), config.phi),
            rel1: Relative::new(form),
            pairing: Pairing::new(form),
            back_since: None,
            back_used: false,
        }
    }

    /// One window, stepped once, in order of time. E_bake stands still after the step back, and E_rel(1) runs.
    pub fn window(&mut self, window: &RateWindow) {
        let window = &match self.form {
            Form::Switch => RateWindow { canary: window.canary.clamped(), stable: window.stable.clamped(), ..*window },
            Form::Plain => *window,
        };
        if self.back_since.is_none() {
            self.bake.step(window.canary.n, window.canary.fail);
        } else if let Some(pair) = self.pairing.window(window, self.guard_rate) {
            let (nc, xc) = (pair.canary.n as f64, pair.canary.fail as f64);
            self.rel1.step(&inc_relative(nc, xc, pair.stable.n as f64, pair.stable.raised, 1.0, self.phi));
        }
    }

    /// The canary is at 100 %.
    pub fn baking(&self) -> bool {
        self.back_since.is_none()
    }

    /// When it stepped back, if it did and has not resumed.
    pub fn stepped_back(&self) -> Option<f64> {
        self.back_since
    }

    /// The one step back of the attempt is used: over the threshold again, the caller holds.
    pub fn back_used(&self) -> bool {
        self.back_used
    }

    /// E_bake is over its threshold, and the canary is still at 100 %.
    pub fn over(&self) -> bool {
        self.baking() && self.bake.ln_e() >= self.threshold()
    }

    /// The weight went back to that of the step before, at `t`.
    pub fn step_back(&mut self, t: f64) {
        self.back_since = Some(t);
        self.back_used = true;
        self.rel1 = Relative::new(self.form);
        self.pairing = Pairing::new(self.form);
    }

    /// Both E_bake and, after the step back, E_rel(1) are over the threshold.
    pub fn fires(&self) -> bool {
        !self.baking() && self.ln_e() >= self.threshold()
    }

    /// Ten minutes after the step back nothing was decided.
    pub fn undecided(&self, t: f64) -> bool {
        self.back_since.is_some_and(|since| t - since >= DECIDE_SECONDS) && !self.fires()
    }

    /// The step passed again and the canary is back at 100 %: fresh evidence, but no second step back.
    pub fn resume(&mut self) {
        self.back_since = None;
        self.bake = Absolute::new(self.form, self.bake.p0(), self.phi);
        self.rel1 = Relative::new(self.form);
        self.pairing = Pairing::new(self.form);
    }

    /// ln E in nats that the state is about: E_bake at 100 %, min(E_bake, E_rel(1)) after the step back.
    pub fn ln_e(&self) -> f64 {
        if self.baking() { self.bake.ln_e() } else { self.bake.ln_e().min(self.rel1.ln_e()) }
    }

    /// ln E of the absolute process.
    pub fn ln_e_bake(&self) -> f64 {
        self.bake.ln_e()
    }

    /// ln E of the relative process since the step back.
    pub fn ln_e_rel1(&self) -> f64 {
        self.rel1.ln_e()
    }

    /// ln(4/α_g), as for the gate's fail rules.
    pub fn threshold(&self) -> f64 {
        ln(4.0 / self.alpha_g)
    }

    /// Appends the gate's bytes.
    pub fn save(&self, out: &mut Vec<u8>) {
        let Self { form, alpha_g, phi, guard_rate, bake, rel1, pairing, back_since, back_used } = self;
        let out = &mut Writer(out);
        out.u8(BAKE_V1);
        out.form(*form);
        out.f64s(&[*alpha_g, *phi, *guard_rate, bake.p0()]);
        bake.save(out);
        rel1.save(out);
        pairing.save(out);
        out.option(*back_since);
        out.bool(*back_used);
    }

    /// Takes a gate from the front of `bytes`; `None`, and nothing taken, when they are not one.
    pub fn load(bytes: &mut &[u8]) -> Option<Self> {
        codec::load(bytes, |bytes| {
            bytes.lead(BAKE_V1)?;
            let form = bytes.form()?;
            let [alpha_g, phi, guard_rate, p0] = bytes.f64s()?;
            Some(Self {
                form,
                alpha_g,
                phi,
                guard_rate,
                bake: Absolute::load(form, p0, phi, bytes)?,
                rel1: Relative::load(form, bytes)?,
                pairing: Pairing::load(form, bytes)?,
                back_since: bytes.option()?,
                back_used: bytes.bool()?,
            })
        })
    }
}
