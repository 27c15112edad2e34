//! What adds up.

use microapp_core::{
    counts::{Per, Side, Unknown},
    strategy::GateKind,
};

use crate::{means, part::Part, presets::Verdict, streams, unfinished::Begun};

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
    /// Requests that their own counter tells not to be answered well, those of them that are bad, and how many were counted
    /// beside.
    told: [u64; 3],
    begun: Begun,
    ended: Option<u64>,
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
            Part::Told { good, bad } => {
                self.total += delta;
                self.told[0] += if good { 0 } else { delta };
                self.told[1] += if bad { delta } else { 0 };
            }
            Part::Beside { bad } => {
                self.bad += if bad { delta } else { 0 };
                self.told[2] += delta;
            }
            Part::Unanswered => self.unanswered += delta,
            Part::Begun(place) => self.begun[place] += delta,
            Part::Ended => *self.ended.get_or_insert_default() += delta,
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
        let Self { fail, pass, void, level, unnamed, idle, unanswered, told, begun, ended, .. } = *other;
        self.begun.iter_mut().zip(begun).for_each(|(own, more)| *own += more);
        self.ended = self.ended.map_or(ended, |own| Some(own + ended.unwrap_or(0)));
        self.told.iter_mut().zip(told).for_each(|(own, more)| *own += more);
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

    /// Streams that began: two histograms may time the same first chunk.
    pub(crate) fn begun(&self) -> u64 {
        self.begun.iter().copied().max().unwrap_or(0)
    }

    /// Streams that were timed to their end; `None`: nobody times them.
    pub(crate) const fn ended(&self) -> Option<u64> {
        self.ended
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

    /// Bad ones that their own counter tells, and that were not counted beside: that counter may be switched off.
    fn missed(&self) -> u64 {
        let [not_good, bad, beside] = self.told;
        bad.min(not_good.saturating_sub(beside))
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
            GateKind::Share { .. } | GateKind::Model { .. } => Side::count(self.bad + self.missed(), self.total),
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
