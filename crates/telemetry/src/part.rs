//! What a series means to a gate.

use microapp_core::{
    counts::{Per, Unknown},
    probes::Probe,
    strategy::{Gate, GateKind, Judged, Mean, Share},
};

use crate::{
    bounds, decode, means,
    own::{self, Picked},
    pin::{self, Pin},
    presets::{self, Definition, FEEDBACK, JUDGES_COST, RESULTS, STARTED, Token, Verdict},
    prices::PriceTable,
    routes,
    series::Series,
    streams,
    unfinished::Followed,
};

/// The part that one series plays in one gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Requests (evaluations started); all of them bad ones where it says so.
    Total { bad: bool },
    /// Requests of a counter that says itself how they ended, where those that did not end well are counted beside, too.
    Told { good: bool, bad: bool },
    /// Bad requests, counted beside the requests.
    Bad,
    /// Requests that did not end well, counted beside those that say it themselves.
    Beside { bad: bool },
    /// Requests that nobody knows to be answered, counted beside the requests.
    Unanswered,
    /// Streams whose first chunk was timed; by which of the source's histograms.
    Begun(usize),
    /// Streams that were timed to their end.
    Ended,
    /// Answers that a mean is taken over; `counts`: those whose tokens were counted are counted beside.
    Answer { per: Per, counts: bool },
    /// Calls to the model that did not fail, where the mean is taken over something else.
    Call { counts: bool },
    /// Answers whose tokens were counted.
    Counted(Per),
    /// Answers that were counted before they were there; `some`: so were some of stable's.
    Early { some: bool },
    /// Requests not slower than the upper bound, the lower bound, or both.
    Bucket { upper: bool, lower: bool },
    /// Tokens at so many pico-USD each; `None`: of a model without a price.
    Tokens(Option<i128>),
    /// USD, as a decimal.
    Money,
    /// A gauge; its limit in millionths of its unit.
    Level { ppm: i64 },
    /// Votes, each of them asked for and given at once.
    Vote { up: bool },
    /// Verdicts.
    Verdict(Verdict),
    /// Verdicts of an evaluator that did not judge stable before.
    Foreign,
}

impl Part {
    /// Does it count requests or evaluations as such?
    pub(crate) const fn is_total(self) -> bool {
        matches!(self, Self::Total { .. } | Self::Told { .. } | Self::Answer { .. } | Self::Vote { .. })
    }

    /// Is it of that time, and no counter?
    pub(crate) const fn is_level(self) -> bool {
        matches!(self, Self::Level { .. })
    }

    /// Is it no count of the requests of the gate, so that its first value may be larger than theirs?
    pub(crate) const fn is_sum(self) -> bool {
        matches!(self, Self::Tokens(_) | Self::Money | Self::Begun(_) | Self::Ended)
    }

    /// A sample as the whole number that is counted: of pico-USD where it is money, of millionths of the limit where it
    /// is a gauge.
    pub(crate) fn whole(self, value: f64) -> Result<u64, Unknown> {
        let scaled =
            |value: f64| (0.0..1.8e19).contains(&value).then(|| value.round() as u64).ok_or(Unknown::NotANumber);
        match self {
            Self::Money => scaled(value * 1e12),
            Self::Level { ppm } => scaled(value * 1e6 * 1e9 / ppm.max(1) as f64),
            _ => decode::count(value).ok_or(Unknown::NotANumber),
        }
    }
}

/// A gate with what was pinned for it, ready to read series.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    pub(crate) gate: &'a Gate,
    pin: &'a Pin,
    definition: &'static Definition,
    /// The user's own selectors: bad, total.
    own: Option<(Picked, Picked)>,
    /// The series of the user's own histogram.
    timed: Option<Picked>,
    prices: &'a PriceTable,
    probes: &'a [Probe],
    /// How far two scrapes are apart, in milliseconds, where an increment is of more than one.
    every: Option<i64>,
}

impl<'a> Reader<'a> {
    /// For one gate.
    pub(crate) fn new(gate: &'a Gate, pin: &'a Pin, prices: &'a PriceTable) -> Self {
        let own = match &gate.kind {
            GateKind::Share { what: Share::Ratio { bad, total }, .. } => {
                Picked::parse(bad).ok().zip(Picked::parse(total).ok())
            }
            _ => None,
        };
        let timed = match &gate.kind {
            GateKind::Slow { own: Some(own), .. } => own::series_of(own).ok(),
            _ => None,
        };
        Self { gate, pin, definition: presets::definition(gate.source), own, timed, prices, probes: &[], every: None }
    }

    /// Of pods that are probed like this.
    #[must_use]
    pub(crate) fn probed(self, probes: &'a [Probe]) -> Self {
        Self { probes, ..self }
    }

    /// Of increments over several scrapes, so many milliseconds apart.
    #[must_use]
    pub(crate) fn scraped(self, every: Option<i64>) -> Self {
        Self { every, ..self }
    }

    /// How many of the requests of so many milliseconds may be of nobody, where some name no route: a canary may have
    /// ceased to name what stable names.
    pub(crate) fn idle(&self, millis: i64) -> u64 {
        let scrapes = self.every.map_or(1, |every| u64::try_from(millis / every.max(1)).unwrap_or(0).max(1));
        if pin::is_asked_by_machines(self.gate) { routes::background(self.probes, millis) + scrapes } else { 0 }
    }

    /// Did nobody get an answer, good or bad, in the requests of this series? Without good ones there is no Pass.
    pub(crate) fn is_unanswered(&self, series: &Series) -> bool {
        matches!(self.gate.kind, GateKind::Share { what: Share::Errors, .. }) && self.definition.is_unanswered(series)
    }

    /// Which part the series plays, if any.
    pub(crate) fn part(&self, series: &Series) -> Option<Part> {
        let name = series.name();
        let is_request = || name == self.pin.family && (self.definition.user)(series);
        match &self.gate.kind {
            GateKind::Share { what: Share::Ratio { .. }, .. } => {
                let (bad, total) = self.own.as_ref()?;
                let is_bad = bad.takes(series);
                if total.takes(series) {
                    return Some(Part::Total { bad: is_bad });
                }
                is_bad.then_some(Part::Bad)
            }
            GateKind::Share { what, .. } => {
                let stream = || self.pin.streams.and_then(|_| Followed::part(self.definition, series));
                self.definition.share(what, series, is_request()).or_else(stream)
            }
            // Matchers that do not read are matched by nothing.
            GateKind::Slow { own: Some(_), .. } if self.timed.is_none() => None,
            GateKind::Slow { .. } => self.slow(series),
            GateKind::Mean { what, .. } => {
                if is_request() {
                    let (per, counts) = (self.pin.per, !self.pin.counted.is_empty());
                    let is_answer = self.pin.users.is_empty();
                    let part = if is_answer { Part::Answer { per, counts } } else { Part::Call { counts } };
                    return self.definition.is_good(series).then_some(part);
                }
                if !self.pin.users.is_empty() && name == self.pin.users {
                    let answer = Part::Answer { per: self.pin.per, counts: false };
                    return means::is_of_a_user(series).then_some(answer);
                }
                if name == self.pin.counted {
                    let counts = means::is_observation(self.definition, series) && (self.definition.user)(series);
                    return counts.then_some(Part::Counted(self.pin.per));
                }
                let token = self.token(series)?;
                Some(match what {
                    Mean::Cost => self.cost(series, token),
                    // Cached ones are among the input tokens.
                    Mean::Tokens => Part::Tokens(Some(i128::from(token != Token::CachedInput))),
                })
            }
            GateKind::Budget { .. } => {
                if is_request() {
                    return Some(Part::Total { bad: false });
                }
                if name == JUDGES_COST || (self.definition.spend.contains(&name) && self.pins(name)) {
                    return Some(Part::Money);
                }
                Some(self.cost(series, self.token(series)?))
            }
            GateKind::Judged { what: Judged::Feedback, .. } => match (name == FEEDBACK, series.label("rating")) {
                (true, "up") => Some(Part::Vote { up: true }),
                (true, "down") => Some(Part::Vote { up: false }),
                _ => None,
            },
            GateKind::Judged { evaluator, .. } => self.judged(series, evaluator.as_deref()),
            GateKind::Model { accepted } => {
                let answered = presets::models(self.definition, series).into_iter().find(|model| !model.is_empty());
                let foreign = answered.is_some_and(|model| !accepted.iter().any(|accepted| accepted == model));
                if is_request() && self.is_early(series) {
                    return Some(Part::Early { some: self.pin.some });
                }
                is_request().then_some(Part::Total { bad: foreign })
            }
            GateKind::Traffic => is_request().then_some(Part::Total { bad: false }),
            GateKind::Saturation { max_cache_ppm, max_queue } => {
                let limit = |names: &[&str], ppm: Option<i64>| {
                    ppm.filter(|_| names.contains(&name) && self.pins(name)).map(|ppm| Part::Level { ppm })
                };
                let queue = max_queue.map(|requests| requests.saturating_mul(1_000_000));
                limit(self.definition.cache, *max_cache_ppm).or_else(|| limit(self.definition.queue, queue))
            }
            GateKind::Query { .. } => None,
        }
    }

    fn pins(&self, name: &str) -> bool {
        self.pin.tokens.iter().any(|pinned| pinned == name)
    }

    /// Was it counted before its answer was there?
    fn is_early(&self, series: &Series) -> bool {
        streams::is_early(self.definition, series, &self.pin.named)
    }

    fn slow(&self, series: &Series) -> Option<Part> {
        let suffix = series.name().strip_prefix(self.pin.family.as_str())?;
        let (is_meant, per_second) = match &self.timed {
            Some(own) => (own.fits(series), own::per_second(&self.pin.family)),
            None => ((self.definition.user)(series), self.definition.per_second(&self.pin.family)),
        };
        if !is_meant {
            return None;
        }
        if self.timed.is_none() && self.is_early(series) {
            return (suffix == "_count").then_some(Part::Early { some: false });
        }
        if suffix == "_count" {
            return Some(Part::Total { bad: false });
        }
        let le = Some(series.label("le")).filter(|_| suffix == "_bucket")?;
        let bound = |text: &str| bounds::micros(text, per_second);
        let is = |pinned: &str| pinned == le || bound(pinned).is_some_and(|pinned| bound(le) == Some(pinned));
        let (upper, lower) = (is(&self.pin.upper), is(&self.pin.lower));
        (upper || lower).then_some(Part::Bucket { upper, lower })
    }

    fn judged(&self, series: &Series, evaluator: Option<&str>) -> Option<Part> {
        if series.label("sampling") != "random" || !pin::judged_by(series, evaluator) {
            return None;
        }
        let versions = &self.pin.versions;
        match series.name() {
            STARTED => Some(Part::Total { bad: false }),
            RESULTS if !versions.is_empty() && !versions.contains(&pin::versioned(series)) => Some(Part::Foreign),
            RESULTS => Some(Part::Verdict(presets::verdict(series.label("verdict")))),
            _ => None,
        }
    }

    /// The type of token that a pinned counter counts.
    fn token(&self, series: &Series) -> Option<Token> {
        if !(self.definition.user)(series) || !self.pins(series.name()) {
            return None;
        }
        self.definition.tokens.iter().find_map(|generation| generation.token(series))
    }

    fn cost(&self, series: &Series, token: Token) -> Part {
        let price = self.prices.price(presets::models(self.definition, series));
        Part::Tokens(price.map(|price| match token {
            Token::Input => price.input,
            Token::Output => price.output,
            // They are among the input tokens, which have the full price.
            Token::CachedInput => price.cached_input.map_or(0, |cached| cached - price.input),
        }))
    }
}
