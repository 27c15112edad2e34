//! What a series means to a gate, and what adds up.

use microapp_core::{
    counts::{Side, Unknown},
    strategy::{Gate, GateKind},
};

use crate::{
    decode::Series,
    pin::{self, Pin},
    presets::{self, RESULTS, STARTED, Token, Verdict, Which},
    prices::PriceTable,
};

/// The part that one series plays in one gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Requests (evaluations started); all of them bad ones where it says so.
    Total { bad: bool },
    /// Bad requests, counted beside the requests.
    Bad,
    /// Requests not slower than the upper bound, the lower bound, or both.
    Bucket { upper: bool, lower: bool },
    /// Tokens at so many pico-USD each; `None`: of a model without a price.
    Tokens(Option<i128>),
    /// Verdicts.
    Verdict(Verdict),
    /// Verdicts of an evaluator that did not judge stable before.
    Foreign,
}

impl Part {
    /// Does it count requests or evaluations as such?
    pub(crate) const fn is_total(self) -> bool {
        matches!(self, Self::Total { .. })
    }
}

/// Which part the series plays, if any.
pub(crate) fn part(gate: &Gate, pin: &Pin, series: &Series, prices: &PriceTable) -> Option<Part> {
    let definition = presets::definition(gate.source);
    let name = series.name();
    match &gate.kind {
        GateKind::ErrorRate { .. } => {
            if name == pin.family && (definition.user)(series) {
                let bad = matches!(definition.bad, Which::Among(is) if is(series));
                return Some(Part::Total { bad });
            }
            match definition.bad {
                Which::Beside(bad, is) if name == bad && is(series) => Some(Part::Bad),
                Which::Beside(..) | Which::Among(_) | Which::None => None,
            }
        }
        GateKind::Latency { .. } => {
            let suffix = name.strip_prefix(pin.family.as_str()).filter(|_| (definition.user)(series))?;
            if suffix == "_count" {
                return Some(Part::Total { bad: false });
            }
            let bound = |text: &str| pin::micros(text, definition.per_second);
            let le = (suffix == "_bucket").then(|| bound(series.label("le"))).flatten()?;
            let (upper, lower) = (bound(&pin.upper) == Some(le), bound(&pin.lower) == Some(le));
            (upper || lower).then_some(Part::Bucket { upper, lower })
        }
        GateKind::TokenCost { .. } => {
            if !(definition.user)(series) {
                return None;
            }
            if name == pin.family {
                return Some(Part::Total { bad: false });
            }
            let token = pin.tokens.iter().any(|token| token == name).then(|| token(gate, series)).flatten()?;
            let price = prices.price(series.label("gen_ai_response_model"), series.label("gen_ai_request_model"));
            Some(Part::Tokens(price.map(|price| match token {
                Token::Input => price.input,
                Token::Output => price.output,
                // They are among the input tokens, which have the full price.
                Token::CachedInput => price.cached_input.map_or(0, |cached| cached - price.input),
            })))
        }
        GateKind::Hallucination { evaluator, .. } => {
            if series.label("sampling") != "random" || !pin::judged_by(series, evaluator.as_deref()) {
                return None;
            }
            match name {
                STARTED => Some(Part::Total { bad: false }),
                RESULTS if !pin.versions.is_empty() && !pin.versions.contains(&pin::versioned(series)) => {
                    Some(Part::Foreign)
                }
                RESULTS => Some(Part::Verdict(presets::verdict(series.label("verdict")))),
                _ => None,
            }
        }
    }
}

fn token(gate: &Gate, series: &Series) -> Option<Token> {
    let generations = presets::definition(gate.source).tokens;
    let (_, token) = generations.iter().flat_map(|g| g.names).find(|(name, _)| *name == series.name())?;
    token.or(match series.label("gen_ai_token_type") {
        "input" => Some(Token::Input),
        "output" => Some(Token::Output),
        _ => None,
    })
}

/// What one side of one gate adds up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    total: u64,
    bad: u64,
    upper: u64,
    lower: u64,
    cost: i128,
    fail: u64,
    pass: u64,
    void: u64,
}

impl Tally {
    /// Counts the delta of one series.
    pub(crate) fn count(&mut self, part: Part, delta: u64) -> Result<(), Unknown> {
        match part {
            Part::Total { bad } => {
                self.total += delta;
                self.bad += if bad { delta } else { 0 };
            }
            Part::Bad => self.bad += delta,
            Part::Bucket { upper, lower } => {
                self.upper += if upper { delta } else { 0 };
                self.lower += if lower { delta } else { 0 };
            }
            Part::Tokens(Some(price)) => self.cost += price * i128::from(delta),
            Part::Tokens(None) if delta > 0 => return Err(Unknown::UnknownModel),
            Part::Foreign if delta > 0 => return Err(Unknown::Void),
            Part::Tokens(None) | Part::Foreign => {}
            Part::Verdict(Verdict::Fail) => self.fail += delta,
            Part::Verdict(Verdict::Pass) => self.pass += delta,
            Part::Verdict(Verdict::Void) => self.void += delta,
        }
        Ok(())
    }

    /// Both together.
    pub(crate) fn add(&mut self, other: &Self) {
        let Self { total, bad, upper, lower, cost, fail, pass, void } = *other;
        self.total += total;
        self.bad += bad;
        self.upper += upper;
        self.lower += lower;
        self.cost += cost;
        self.fail += fail;
        self.pass += pass;
        self.void += void;
    }

    /// Requests, or evaluations started.
    pub(crate) const fn total(&self) -> u64 {
        self.total
    }

    /// The bad ones of the side that it makes; zero where it is no count.
    pub(crate) fn bad(&self, kind: &GateKind) -> u64 {
        match self.side(kind) {
            Ok(Side::Count { above, .. }) => above,
            Ok(Side::Late { bad, .. }) => bad,
            Ok(Side::Mean { .. }) | Err(_) => 0,
        }
    }

    /// As the gate wants it.
    pub(crate) fn side(&self, kind: &GateKind) -> Result<Side, Unknown> {
        let side = match kind {
            GateKind::ErrorRate { .. } => Side::count(self.bad, self.total),
            GateKind::Latency { .. } => Side::Count {
                above: self.total.checked_sub(self.upper).ok_or(Unknown::Inconsistent)?,
                below: self.total.checked_sub(self.lower).ok_or(Unknown::Inconsistent)?,
                total: self.total,
            },
            GateKind::TokenCost { .. } => Side::Mean { n: self.total, sum: self.cost },
            GateKind::Hallucination { .. } => {
                Side::Late { bad: self.fail, good: self.pass, void: self.void, started: self.total }
            }
        };
        if side.is_inconsistent() { Err(Unknown::Inconsistent) } else { Ok(side) }
    }
}
