//! Which of stable's counts a canary window is held against.

use crate::codec::{Reader, Writer};
use crate::process::Form;
use crate::recent::{Recent, StableCounts};
use crate::tally::{RateWindow, Tally};

/// At least so many bad responses before anything is called an incident of stable.
const GUARD_BAD: u64 = 5;

/// Whether these counts of stable are an incident: at least 5 bad ones and a rate above `rate`.
pub(crate) fn over_guard(n: u64, x: u64, rate: f64) -> bool {
    x >= GUARD_BAD && x as f64 > rate * n as f64
}

/// What the relative processes step with.
pub(crate) struct Pair {
    pub(crate) canary: Tally,
    pub(crate) stable: StableCounts,
}

/// A canary window takes stable's counts of the last 60 s that no canary window has used, at the same weight.
///
/// Without it a lone canary request meets two of stable, and a bad one is worth 1.1 nats at most; pooled further, a
/// change of both rates at the moment of a raise looks like a regression.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pairing {
    form: Form,
    recent: Recent<StableCounts>,
    /// Late verdicts come in windows without requests, and without stable's: they wait here. Plain form only.
    carry: Tally,
}

impl Pairing {
    pub(crate) fn new(form: Form) -> Self {
        Self { form, recent: Recent::default(), carry: Tally::default() }
    }

    /// The weight changed: what is queued was at another one.
    pub(crate) fn close(&mut self) {
        self.recent.close();
    }

    /// One window; `guard_rate` is the rate over which a neighbouring window of stable counts.
    pub(crate) fn window(&mut self, window: &RateWindow, guard_rate: f64) -> Option<Pair> {
        self.recent.expire(window.t);
        if window.gap {
            self.recent.close();
            return None;
        }
        let Tally { n, fail: seen, pass: _ } = window.stable;
        let raised = window
            .near
            .iter()
            .flatten()
            .filter(|near| over_guard(near.n, near.fail, guard_rate))
            .map(|near| near.fail as f64 / near.n as f64 * n as f64)
            .filter(|bad| bad.is_finite())
            .fold(seen as f64, f64::max);
        self.recent.push(window.t, StableCounts { n, seen, raised });
        let pair = self.take(window.canary);
        self.recent.compact();
        pair
    }

    fn take(&mut self, canary: Tally) -> Option<Pair> {
        let canary = canary + self.carry;
        let stable = self.recent.unused().filter(|stable| stable.n > 0);
        match (stable, self.form) {
            (Some(stable), _) if canary.n > 0 => {
                self.carry = Tally::default();
                self.recent.close();
                Some(Pair { canary, stable })
            }
            (_, Form::Plain) => {
                self.carry = canary;
                None
            }
            (_, Form::Switch) => None,
        }
    }

    /// Stable's requests and bad ones of the last 60 s.
    pub(crate) fn last_minute(&self) -> (u64, u64) {
        self.recent.all().map_or((0, 0), |counts| (counts.n, counts.seen))
    }

    pub(crate) fn save(&self, out: &mut Writer) {
        self.recent.save(out);
        self.carry.save(out);
    }

    pub(crate) fn load(form: Form, bytes: &mut Reader) -> Option<Self> {
        Some(Self { form, recent: Recent::load(bytes)?, carry: Tally::load(bytes)? })
    }
}
