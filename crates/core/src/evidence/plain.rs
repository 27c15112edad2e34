//! Gates without statistics: a cap on spending, the set of models, guards, and values of the user's own queries. They are
//! outside the promise about false rollbacks: what they say is what was measured.

use microapp_api::values::Weight;

use super::gate::Seen;
use crate::{
    counts::{Side, Unknown},
    explain,
    strategy::GateKind,
};

/// One, in billionths.
const ONE: i128 = 1_000_000_000;
/// From so many expected requests on the canary's share is believed.
const ENOUGH: f64 = 20.0;

/// What such a gate remembers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plain {
    /// Whether each of the last 64 windows with data was outside the limits, the newest in the lowest bit.
    pub outside: u64,
    /// How many of them there were in the attempt, at most 64.
    pub attempt: u8,
    /// And in the step.
    pub step: u8,
    /// What the last window cost, in pico-USD.
    pub last: i128,
}

/// Where the attempt stands, for what such a gate says of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Stand {
    /// The weight in force; none at weight 0.
    pub weight: Option<Weight>,
    /// Seconds from the change of weight to the last window.
    pub elapsed: f64,
    /// Seconds that the bake lasts.
    pub bake: f64,
}

/// What it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    Fail,
    Pass,
    Unknown(Unknown),
}

impl Plain {
    /// Passing needs data of this step; failing goes on.
    pub(super) fn new_step(&mut self) {
        self.step = 0;
    }

    /// One window of the canary; `None` where it is not of the gate's kind.
    pub(super) fn window(&mut self, kind: &GateKind, canary: Side) -> Option<()> {
        let outside = match (kind, canary) {
            (GateKind::Budget { .. }, Side::Mean { sum, .. }) => {
                self.last = sum;
                false
            }
            (GateKind::Model { .. }, Side::Count { above, .. }) => above > 0,
            (GateKind::Traffic, Side::Count { .. }) => false,
            (GateKind::Saturation { .. }, Side::Value { nano }) => nano > ONE,
            (GateKind::Query { min, max, .. }, Side::Value { nano }) => {
                min.is_some_and(|min| nano < min) || max.is_some_and(|max| nano > max)
            }
            _ => return None,
        };
        self.outside = self.outside << 1 | u64::from(outside);
        self.attempt = self.attempt.saturating_add(1).min(64);
        self.step = self.step.saturating_add(1).min(64);
        Some(())
    }

    /// Of the last `of` windows those outside.
    pub(super) const fn outside_of(&self, of: u32) -> u32 {
        let mask = if of >= 64 { u64::MAX } else { (1 << of) - 1 };
        (self.outside & mask).count_ones()
    }

    /// The verdict. `seen`: the counts of attempt and step.
    pub(super) fn word(&self, kind: &GateKind, seen: &Seen, stand: &Stand) -> Word {
        match kind {
            GateKind::Budget { max_pico_usd } => {
                // The next window is known only when it is over: it may cost what the last one did.
                if spent(seen).saturating_add(self.last) >= *max_pico_usd { Word::Fail } else { Word::Pass }
            }
            GateKind::Model { .. } => match seen.step[0] {
                Some(Side::Count { above, .. }) if above > 0 => Word::Unknown(Unknown::Void),
                _ => Word::Pass,
            },
            GateKind::Traffic => match share(seen, stand.weight) {
                Some((came, expected)) if expected >= ENOUGH && (came * 5.0 < expected || came > expected * 5.0) => {
                    Word::Unknown(Unknown::ShareMismatch)
                }
                Some(_) | None => Word::Pass,
            },
            GateKind::Saturation { .. } => {
                if self.outside & 1 == 1 {
                    Word::Unknown(Unknown::Saturated)
                } else {
                    Word::Pass
                }
            }
            GateKind::Query { breaches, of, .. } => {
                if self.outside_of(*of) >= *breaches {
                    Word::Fail
                } else if u32::from(self.step) >= *of {
                    Word::Pass
                } else {
                    Word::Unknown(Unknown::Undecided)
                }
            }
            GateKind::Share { .. } | GateKind::Slow { .. } | GateKind::Mean { .. } | GateKind::Judged { .. } => {
                Word::Unknown(Unknown::Undecided)
            }
        }
    }
}

impl Plain {
    /// What is worth saying beside the counts: how much of a budget is spent, what a query's answers were.
    pub(super) fn note(&self, kind: &GateKind, seen: &Seen, stand: &Stand) -> Option<String> {
        match kind {
            GateKind::Budget { max_pico_usd } => Some(self.budget(*max_pico_usd, seen, stand)),
            GateKind::Query { min, max, of, breaches, .. } => {
                let outside = self.outside_of(*of);
                let answers = u32::from(self.attempt).min(*of);
                Some(format!(
                    "{outside} of the last {answers} answers {}; {breaches} of {of} make it fail",
                    explain::outside(*min, *max)
                ))
            }
            GateKind::Model { .. }
            | GateKind::Traffic
            | GateKind::Saturation { .. }
            | GateKind::Share { .. }
            | GateKind::Slow { .. }
            | GateKind::Mean { .. }
            | GateKind::Judged { .. } => None,
        }
    }
}

/// From this share of a budget on it warns.
const WARNS: (i128, i128) = (4, 5);

impl Plain {
    fn budget(&self, max: i128, seen: &Seen, stand: &Stand) -> String {
        let spent = spent(seen);
        let mut words = format!("{} of {} USD spent", explain::dollars(spent), explain::dollars(max));
        if spent.saturating_add(self.last) >= max {
            words.push_str(", and a window like the last one would exceed it");
        } else if spent.saturating_mul(WARNS.1) >= max.saturating_mul(WARNS.0) {
            words.push_str(", more than 80 %");
        }
        if let Some(bake) = forecast(seen, stand)
            && spent.saturating_add(bake) > max
        {
            let bake = explain::dollars(bake);
            words.push_str("; the bake at 100 % would cost about ");
            words.push_str(&bake);
            words.push_str(" USD more: raise the budget, or make the bake shorter");
        }
        words
    }
}

/// What the bake would cost at the step's pace, in pico-USD: cost is proportional to the weight.
fn forecast(seen: &Seen, stand: &Stand) -> Option<i128> {
    let Some(Side::Mean { sum, .. }) = seen.step[0] else { return None };
    let share = stand.weight.map(Weight::as_fraction).filter(|share| *share > 0.0 && *share < 1.0)?;
    (stand.elapsed > 0.0).then(|| (sum as f64 / stand.elapsed / share * stand.bake) as i128)
}

/// What the canary and its judges cost in the attempt, in pico-USD.
pub(super) const fn spent(seen: &Seen) -> i128 {
    match seen.attempt[0] {
        Some(Side::Mean { sum, .. }) => sum,
        _ => 0,
    }
}

/// Requests of the canary in this step, and how many its weight should have brought.
fn share(seen: &Seen, weight: Option<Weight>) -> Option<(f64, f64)> {
    let weight = weight?.as_fraction();
    let [Some(Side::Count { total: canary, .. }), Some(Side::Count { total: stable, .. })] = seen.step else {
        return None;
    };
    (weight < 1.0).then(|| (canary as f64, (canary + stable) as f64 * weight))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn query(breaches: u32, of: u32) -> GateKind {
        GateKind::Query { promql: String::new(), min: None, max: Some(ONE), breaches, of }
    }

    fn after(kind: &GateKind, values: &[i128]) -> Plain {
        let mut plain = Plain::default();
        for nano in values {
            plain.window(kind, Side::Value { nano: *nano }).unwrap();
        }
        plain
    }

    #[test]
    fn a_query_fails_on_k_of_the_last_n_and_passes_on_n_of_the_step() {
        let kind = query(2, 3);
        let word = |plain: &Plain| plain.word(&kind, &Seen::default(), &Stand::default());
        assert_eq!(word(&after(&kind, &[0, 2 * ONE])), Word::Unknown(Unknown::Undecided));
        assert_eq!(word(&after(&kind, &[0, 2 * ONE, 0])), Word::Pass);
        assert_eq!(word(&after(&kind, &[2 * ONE, 0, 2 * ONE])), Word::Fail);
        assert_eq!(word(&after(&kind, &[2 * ONE, 2 * ONE, 0, 0])), Word::Pass);
        let mut next = after(&kind, &[0, 0, 2 * ONE]);
        next.new_step();
        assert_eq!(word(&next), Word::Unknown(Unknown::Undecided), "passing starts again");
        next.window(&kind, Side::Value { nano: 2 * ONE }).unwrap();
        assert_eq!(word(&next), Word::Fail, "failing does not");
    }

    #[test]
    fn a_limit_itself_is_inside() {
        let kind = query(1, 1);
        assert_eq!(after(&kind, &[ONE]).word(&kind, &Seen::default(), &Stand::default()), Word::Pass);
        assert_eq!(after(&kind, &[ONE + 1]).word(&kind, &Seen::default(), &Stand::default()), Word::Fail);
    }

    #[test]
    fn a_budget_ends_before_a_window_as_the_last_one_would_exceed_it() {
        let kind = GateKind::Budget { max_pico_usd: 100 };
        let mut plain = Plain::default();
        plain.window(&kind, Side::Mean { n: 1, sum: 30 }).unwrap();
        let seen = |sum| Seen { attempt: [Some(Side::Mean { n: 2, sum }), None], step: [None, None] };
        assert_eq!(plain.word(&kind, &seen(69), &Stand::default()), Word::Pass);
        assert_eq!(plain.word(&kind, &seen(70), &Stand::default()), Word::Fail);
    }

    #[test]
    fn a_budget_warns_at_80_percent_and_forecasts_the_bake() {
        let kind = GateKind::Budget { max_pico_usd: 100_000_000_000_000 };
        let seen = |usd: i128| {
            let side = Some(Side::Mean { n: 10, sum: usd * 1_000_000_000_000 });
            Seen { attempt: [side, None], step: [side, None] }
        };
        let stand = Stand { weight: Some("10%".parse().unwrap()), elapsed: 600.0, bake: 1800.0 };
        let note = |usd| Plain::default().note(&kind, &seen(usd), &stand).unwrap();
        assert_eq!(note(3), "3 of 100 USD spent");
        assert_eq!(
            note(4),
            "4 of 100 USD spent; the bake at 100 % would cost about 120 USD more: raise the budget, or make the bake shorter"
        );
        assert!(note(80).starts_with("80 of 100 USD spent, more than 80 %; the bake"), "{}", note(80));
    }

    #[test]
    fn a_share_far_from_the_weight_is_no_comparison() {
        let five = Stand { weight: Some("5%".parse().unwrap()), ..Stand::default() };
        let plain = Plain::default();
        let seen = |canary, stable| Seen {
            attempt: [None, None],
            step: [Some(Side::count(0, canary)), Some(Side::count(0, stable))],
        };
        for (canary, stable, word) in [
            (50, 950, Word::Pass),
            (9, 991, Word::Unknown(Unknown::ShareMismatch)),
            (260, 740, Word::Unknown(Unknown::ShareMismatch)),
            (0, 300, Word::Pass),
        ] {
            assert_eq!(plain.word(&GateKind::Traffic, &seen(canary, stable), &five), word, "{canary} of {stable}");
        }
    }

    #[test]
    fn another_model_voids_the_step_and_not_the_next_one() {
        let kind = GateKind::Model { accepted: vec!["a".to_owned()] };
        let seen = |foreign| Seen { attempt: [None, None], step: [Some(Side::count(foreign, 10)), None] };
        assert_eq!(Plain::default().word(&kind, &seen(1), &Stand::default()), Word::Unknown(Unknown::Void));
        assert_eq!(Plain::default().word(&kind, &seen(0), &Stand::default()), Word::Pass);
    }
}
