//! What a series means to a gate, and what adds up.

use microapp_core::{
    counts::{Per, Side, Unknown},
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
};

/// The part that one series plays in one gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Requests (evaluations started); all of them bad ones where it says so.
    Total { bad: bool },
    /// Bad requests, counted beside the requests.
    Bad,
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
        matches!(self, Self::Total { .. } | Self::Answer { .. } | Self::Vote { .. })
    }

    /// Is it of that time, and no counter?
    pub(crate) const fn is_level(self) -> bool {
        matches!(self, Self::Level { .. })
    }

    /// Is it a sum of which no request has its own share, so that its first value may be large?
    pub(crate) const fn is_sum(self) -> bool {
        matches!(self, Self::Tokens(_) | Self::Money)
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
            GateKind::Share { what, .. } => self.definition.share(what, series, is_request()),
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

/// What one side of one gate adds up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    total: u64,
    /// What the total is of, where it is answers.
    per: Per,
    /// Calls to the model that did not fail, where the total is of something else.
    calls: u64,
    /// Answers whose tokens were counted; `None`: nobody counts them.
    counted: Option<u64>,
    early: u64,
    /// Some of stable's were counted early, too.
    some: bool,
    bad: u64,
    upper: u64,
    lower: u64,
    cost: i128,
    fail: u64,
    pass: u64,
    void: u64,
    level: u64,
    /// Well answered, and nobody knows to whom.
    unnamed: u64,
    /// Requests that may be of nobody.
    idle: u64,
    /// Requests that nobody got an answer to: throttled, or left.
    unanswered: u64,
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
            Part::Answer { per, counts } => {
                self.total += delta;
                self.per = per;
                if counts {
                    // A canary without any count has no such series.
                    self.counted.get_or_insert_default();
                }
            }
            Part::Call { counts } => {
                self.calls += delta;
                if counts {
                    self.counted.get_or_insert_default();
                }
            }
            Part::Counted(per) => {
                *self.counted.get_or_insert_default() += delta;
                self.per = per;
            }
            Part::Early { some } => {
                self.early += delta;
                self.some |= some;
            }
            Part::Bucket { upper, lower } => {
                self.upper += if upper { delta } else { 0 };
                self.lower += if lower { delta } else { 0 };
            }
            Part::Tokens(Some(price)) => self.cost += price * i128::from(delta),
            Part::Tokens(None) if delta > 0 => return Err(Unknown::UnknownModel),
            Part::Foreign if delta > 0 => return Err(Unknown::Void),
            Part::Tokens(None) | Part::Foreign => {}
            Part::Money => self.cost += i128::from(delta),
            Part::Level { .. } => self.level = self.level.max(delta),
            Part::Vote { up } => {
                self.total += delta;
                *(if up { &mut self.pass } else { &mut self.fail }) += delta;
            }
            Part::Verdict(Verdict::Fail) => self.fail += delta,
            Part::Verdict(Verdict::Pass) => self.pass += delta,
            Part::Verdict(Verdict::Void) => self.void += delta,
        }
        Ok(())
    }

    /// Both together.
    pub(crate) fn add(&mut self, other: &Self) {
        let Self { total, per, calls, counted, early, some, bad, upper, lower, cost, .. } = *other;
        let Self { fail, pass, void, level, unnamed, idle, unanswered, .. } = *other;
        self.total += total;
        self.per = self.per.max(per);
        self.calls += calls;
        self.counted = self.counted.map_or(counted, |own| Some(own + counted.unwrap_or(0)));
        self.early += early;
        self.some |= some;
        self.bad += bad;
        self.upper += upper;
        self.lower += lower;
        self.cost += cost;
        self.fail += fail;
        self.pass += pass;
        self.void += void;
        self.level = self.level.max(level);
        self.unnamed += unnamed;
        self.idle += idle;
        self.unanswered += unanswered;
    }

    /// So many requests of nobody may have come in that time.
    #[must_use]
    pub(crate) fn with_idle(self, idle: u64) -> Self {
        Self { idle: idle.min(self.unnamed), ..self }
    }

    /// So many of its requests were answered well, and nobody knows to whom.
    pub(crate) fn of_anybody(&mut self, delta: u64) {
        self.unnamed += delta;
    }

    /// So many of its requests were throttled, or left.
    pub(crate) fn without_answer(&mut self, delta: u64) {
        self.unanswered += delta;
    }

    /// Requests that no Pass counts.
    pub(crate) const fn passes_nothing(&self) -> u64 {
        self.idle + self.unanswered
    }

    /// Requests that may be of nobody.
    pub(crate) const fn idle(&self) -> u64 {
        self.idle
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
            Ok(Side::Mean { .. } | Side::Value { .. }) | Err(_) => 0,
        }
    }

    /// Answers that say nothing here: of a stable whose answers all did, more than chance; otherwise all of them.
    fn is_unmeasured(&self) -> bool {
        let all = (self.total + self.early) as f64;
        if self.some {
            self.total == 0 && self.early > 0
        } else {
            streams::is_short(all, self.total as f64) && self.early > 0
        }
    }

    /// As the gate wants it.
    pub(crate) fn side(&self, kind: &GateKind) -> Result<Side, Unknown> {
        if self.is_unmeasured() {
            return Err(Unknown::StreamsUnmeasured);
        }
        let side = match kind {
            GateKind::Share { .. } | GateKind::Model { .. } => Side::count(self.bad, self.total),
            // Probes and scrapes come whatever the weight is.
            GateKind::Traffic => Side::count(0, self.total - self.idle),
            GateKind::Slow { .. } => Side::Count {
                above: self.total.checked_sub(self.upper).ok_or(Unknown::Inconsistent)?,
                below: self.total.checked_sub(self.lower).ok_or(Unknown::Inconsistent)?,
                total: self.total,
            },
            GateKind::Mean { .. } => {
                let (n, sum) = means::mean(self.per, self.total, self.calls, self.counted, self.cost)?;
                Side::Mean { n, sum }
            }
            GateKind::Budget { .. } => Side::Mean { n: self.total, sum: self.cost },
            GateKind::Judged { .. } => {
                Side::Late { bad: self.fail, good: self.pass, void: self.void, started: self.total }
            }
            GateKind::Saturation { .. } => Side::Value { nano: i128::from(self.level) },
            // It has an answer of its own.
            GateKind::Query { .. } => return Err(Unknown::NoData),
        };
        if side.is_inconsistent() { Err(Unknown::Inconsistent) } else { Ok(side) }
    }
}
