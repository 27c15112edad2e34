//! The running evidence: e-processes, whose expectation is at most 1 while the null holds, however often one looks.

use libm::log as ln;

use crate::codec::{Reader, Writer};
use crate::grid::{K, T_MAX, log_add, log_mean_exp, log_sum_exp};
use crate::increments::inc_absolute;

/// At least ln(K + 1): a sum of so many terms is no more than so many times the largest.
const LN_TERMS: f64 = 2.2;

/// How evidence runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Mixture over the moment at which the canary turned bad; also catches a change that comes late.
    Switch,
    /// Mixture over the grid alone, for late verdicts: in switch form a late bad verdict would pay masses that
    /// entered after its request and never paid for it.
    Plain,
}

/// Plain form: `E = (1/K) Σ_k exp(Σ ℓ_k)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Plain {
    sums: [f64; K],
}

impl Default for Plain {
    fn default() -> Self {
        Self { sums: [0.0; K] }
    }
}

impl Plain {
    /// Adds one window's increments; returns ln E.
    pub fn step(&mut self, increments: &[f64; K]) -> f64 {
        self.add(increments);
        self.ln_e()
    }

    /// The same without ln E, which costs as much as the step.
    pub(crate) fn add(&mut self, increments: &[f64; K]) {
        for (sum, increment) in self.sums.iter_mut().zip(increments) {
            *sum += increment;
        }
    }

    /// ln E in nats.
    pub fn ln_e(&self) -> f64 {
        log_mean_exp(&self.sums)
    }

    /// ln E as if `increments` came on top.
    pub(crate) fn ln_e_with(&self, increments: &[f64; K]) -> f64 {
        self.clone().step(increments)
    }

    pub(crate) fn save(&self, out: &mut Writer) {
        out.f64s(&self.sums);
    }

    pub(crate) fn load(bytes: &mut Reader) -> Option<Self> {
        Some(Self { sums: bytes.f64s()? })
    }
}

/// Switch form: `M_k ← (M_k + γ_t/K) exp ℓ_k`, `R ← R − γ_t`, `E = R + Σ M_k`, γ = ½ at the first step and ½/T_max
/// at each of the next T_max.
///
/// The price is ln 2 nats for a canary that is bad from the start and ln(2 T_max) = 8.7 for a late change, where the
/// plain form first has to win back all that it lost.
#[derive(Clone, Debug, PartialEq)]
pub struct Switch {
    masses: [f64; K],
    t: u64,
    t_max: u64,
}

impl Default for Switch {
    fn default() -> Self {
        Self::with_t_max(T_MAX)
    }
}

impl Switch {
    /// A process whose reserve is used up `t_max` steps after the first; gates use [`T_MAX`].
    pub fn with_t_max(t_max: u64) -> Self {
        Self { masses: [f64::NEG_INFINITY; K], t: 0, t_max: t_max.max(1) }
    }

    /// Adds one window's increments; returns ln E.
    pub fn step(&mut self, increments: &[f64; K]) -> f64 {
        self.add(increments);
        self.ln_e()
    }

    /// The same without ln E, which costs as much as the step.
    pub(crate) fn add(&mut self, increments: &[f64; K]) {
        let gamma = match self.t {
            0 => 0.5,
            t if t <= self.t_max => 0.5 / self.t_max as f64,
            _ => 0.0,
        };
        let enters = if gamma > 0.0 { ln(gamma / K as f64) } else { f64::NEG_INFINITY };
        for (mass, increment) in self.masses.iter_mut().zip(increments) {
            *mass = log_add(*mass, enters) + increment;
        }
        self.t += 1;
    }

    /// What ln E cannot be above, without a logarithm.
    fn ln_e_at_most(&self) -> f64 {
        self.masses.iter().copied().fold(0.0, f64::max) + LN_TERMS
    }

    /// ln E in nats.
    pub fn ln_e(&self) -> f64 {
        let reserve = match self.t {
            0 => 1.0,
            t => 0.5 * (1.0 - (t - 1).min(self.t_max) as f64 / self.t_max as f64),
        };
        let mut terms = [f64::NEG_INFINITY; K + 1];
        terms[..K].copy_from_slice(&self.masses);
        if reserve > 0.0 {
            terms[K] = ln(reserve);
        }
        log_sum_exp(&terms)
    }

    pub(crate) fn save(&self, out: &mut Writer) {
        out.f64s(&self.masses);
        out.u64(self.t);
        out.u64(self.t_max);
    }

    pub(crate) fn load(bytes: &mut Reader) -> Option<Self> {
        Some(Self { masses: bytes.f64s()?, t: bytes.u64()?, t_max: bytes.u64()?.max(1) })
    }
}

/// A relative process in either form.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Relative {
    Switch(Switch),
    Plain(Plain),
}

impl Relative {
    pub(crate) fn new(form: Form) -> Self {
        match form {
            Form::Switch => Self::Switch(Switch::default()),
            Form::Plain => Self::Plain(Plain::default()),
        }
    }

    pub(crate) fn step(&mut self, increments: &[f64; K]) {
        match self {
            Self::Switch(process) => process.add(increments),
            Self::Plain(process) => process.add(increments),
        }
    }

    /// What ln E cannot be above, mostly without a logarithm.
    pub(crate) fn ln_e_at_most(&self) -> f64 {
        match self {
            Self::Switch(process) => process.ln_e_at_most(),
            Self::Plain(process) => process.ln_e(),
        }
    }

    pub(crate) fn ln_e(&self) -> f64 {
        match self {
            Self::Switch(process) => process.ln_e(),
            Self::Plain(process) => process.ln_e(),
        }
    }

    pub(crate) fn save(&self, out: &mut Writer) {
        match self {
            Self::Switch(process) => process.save(out),
            Self::Plain(process) => process.save(out),
        }
    }

    pub(crate) fn load(form: Form, bytes: &mut Reader) -> Option<Self> {
        Some(match form {
            Form::Switch => Self::Switch(Switch::load(bytes)?),
            Form::Plain => Self::Plain(Plain::load(bytes)?),
        })
    }
}

/// An absolute process in either form, against the fixed rate `p0`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Absolute {
    p0: f64,
    phi: f64,
    state: AbsoluteState,
}

#[derive(Clone, Debug, PartialEq)]
enum AbsoluteState {
    Switch(Switch),
    /// Plain form is linear in the cumulative counts, so these are the state. A window may have more bad verdicts
    /// than requests; only the totals are held against each other.
    Plain {
        n: u64,
        x: u64,
    },
}

impl Absolute {
    pub(crate) fn new(form: Form, p0: f64, phi: f64) -> Self {
        let state = match form {
            Form::Switch => AbsoluteState::Switch(Switch::default()),
            Form::Plain => AbsoluteState::Plain { n: 0, x: 0 },
        };
        Self { p0, phi, state }
    }

    pub(crate) fn p0(&self) -> f64 {
        self.p0
    }

    /// A switch process takes no step in a window without requests.
    pub(crate) fn step(&mut self, requests: u64, bad: u64) {
        match &mut self.state {
            AbsoluteState::Switch(process) => {
                if requests > 0 {
                    process.add(&inc_absolute(requests as f64, bad as f64, self.p0, self.phi));
                }
            }
            AbsoluteState::Plain { n, x } => {
                *n = n.saturating_add(requests);
                *x = x.saturating_add(bad);
            }
        }
    }

    /// What ln E cannot be above, mostly without a logarithm.
    pub(crate) fn ln_e_at_most(&self) -> f64 {
        match &self.state {
            AbsoluteState::Switch(process) => process.ln_e_at_most(),
            AbsoluteState::Plain { .. } => self.ln_e(),
        }
    }

    pub(crate) fn ln_e(&self) -> f64 {
        match &self.state {
            AbsoluteState::Switch(process) => process.ln_e(),
            AbsoluteState::Plain { n, x } => {
                log_mean_exp(&inc_absolute(*n as f64, *x.min(n) as f64, self.p0, self.phi))
            }
        }
    }

    /// `p0` and φ are not part of the bytes: the gate has them.
    pub(crate) fn save(&self, out: &mut Writer) {
        match &self.state {
            AbsoluteState::Switch(process) => process.save(out),
            AbsoluteState::Plain { n, x } => {
                out.u64(*n);
                out.u64(*x);
            }
        }
    }

    pub(crate) fn load(form: Form, p0: f64, phi: f64, bytes: &mut Reader) -> Option<Self> {
        let state = match form {
            Form::Switch => AbsoluteState::Switch(Switch::load(bytes)?),
            Form::Plain => AbsoluteState::Plain { n: bytes.u64()?, x: bytes.u64()? },
        };
        Some(Self { p0, phi, state })
    }
}
