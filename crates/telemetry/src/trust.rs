//! May a scrape be counted? A counter that falls was reset only where its process started anew. Otherwise another process
//! answered behind the same `/metrics`, or a querier merged copies of a series, and every such turn would bring old
//! requests back.
//!
//! A target whose counters stepped back is not believed until it was steady for [`Doubt::STEADY`] scrapes. Where it is
//! above everything it had counted before, it goes on from there. Where it stayed down, a step that leads over what it had
//! counted is not believed either: with `m` workers each request is then counted once, whoever answers when. (Each
//! stretch of rising counters ends at a worker that had counted as much; a later stretch that stays under that end was
//! another worker's.)

use microapp_core::counts::Doubt;

use crate::{
    decode,
    delta::{Known, Member},
    part::Part,
    presets::{Door, Scheme},
    series::{Sample, Series},
    target::Target,
};

/// Start times of one process differ by so much: some exporters compute them from the clock. In seconds.
const JITTER: f64 = 1.0;
/// Start times know whole seconds only, and clocks differ a little. In milliseconds.
pub(crate) const SLACK: i64 = 2_000;
/// Samples of one look at a target differ by so much. In milliseconds.
const LOOK: i64 = 20;
/// Under this a start time is not that of a clock: 2001 in seconds since the epoch.
const CLOCK: f64 = 1e9;

/// A slice has the last sample of five minutes, as Prometheus looks back. In milliseconds.
pub(crate) const LAG: i64 = 300_000;

/// Goes through the scrapes of a target in order of time.
pub(crate) struct Trust<'a> {
    target: &'a Target<'a>,
    counters: Vec<&'a Member<'a>>,
    known: &'a Known,
    /// When the process last started anew.
    restarted: Option<i64>,
    doubt: Option<Doubt>,
}

/// What a start time says between two scrapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// There is none.
    Untold,
    Same,
    /// The process started in between.
    Anew,
    /// Another process, which had been there before.
    Other,
}

impl<'a> Trust<'a> {
    pub(crate) fn new(target: &'a Target<'a>, members: &'a [Member<'a>], known: &'a Known) -> Self {
        let counters = members.iter().filter(|member| !member.is(Part::is_level)).collect();
        Self { target, counters, known, restarted: None, doubt: known.doubt.clone() }
    }

    /// What is not believed now.
    pub(crate) const fn doubt(&self) -> Option<&Doubt> {
        self.doubt.as_ref()
    }

    /// Did the process start anew after that?
    pub(crate) fn began_after(&self, at: i64) -> bool {
        self.restarted.is_some_and(|restarted| at < restarted)
    }

    /// Goes from one scrape to the next. May what came in between be counted?
    pub(crate) fn step(&mut self, previous: i64, at: i64) -> bool {
        let start = start(self.target, self.known.lag, previous, at);
        let anew = match start {
            Start::Anew => true,
            Start::Untold => {
                started_between(self.known.started, self.known.lag, previous, at) && self.all_fell(previous, at)
            }
            Start::Same | Start::Other => false,
        };
        if anew {
            self.restarted = Some(at);
        }
        if self.known.watermark.is_some_and(|used| at <= used) {
            // It was judged before.
            return self.doubt.as_ref().is_none_or(|doubt| at > doubt.until);
        }
        if anew {
            self.doubt.take_if(|doubt| !doubt.is_final());
        }
        let broke = !anew && !self.counters.is_empty() && (start == Start::Other || self.fell(previous, at));
        self.judge(previous, at, broke)
    }

    fn judge(&mut self, previous: i64, at: i64, broke: bool) -> bool {
        let Some(mut doubt) = self.doubt.take().or_else(|| broke.then(Doubt::default)) else { return true };
        let believed = self.believes(&mut doubt, previous, at, broke);
        if !believed {
            doubt.until = at;
        }
        self.doubt = Some(doubt);
        believed
    }

    fn believes(&self, doubt: &mut Doubt, previous: i64, at: i64, broke: bool) -> bool {
        if doubt.is_final() {
            return false;
        }
        if broke {
            self.fall(doubt, previous);
            return false;
        }
        if doubt.holds() {
            (doubt.scrapes, doubt.steady) = (doubt.scrapes.saturating_add(1), doubt.steady + 1);
            if doubt.steady < Doubt::STEADY {
                return false;
            }
            if self.is_above(doubt.since, at) {
                doubt.scrapes = 0;
                // What it had counted before is under this very step.
                if !self.is_above(doubt.since, previous) {
                    return false;
                }
            } else {
                self.settle(doubt);
            }
        }
        let (before, now) = (self.level(previous), self.level(at));
        if doubt.levels.iter().any(|level| before < *level && *level <= now) {
            add(&mut doubt.levels, before);
            self.fall(doubt, previous);
            return false;
        }
        !doubt.is_final()
    }

    /// Nothing is believed until it is steady again.
    fn fall(&self, doubt: &mut Doubt, previous: i64) {
        if doubt.scrapes >= Doubt::PATIENCE {
            self.settle(doubt);
        }
        if !doubt.holds() {
            doubt.since = previous;
        }
        (doubt.scrapes, doubt.steady) = (doubt.scrapes + 1, 0);
    }

    /// It stays down: it counts from where it is, but no step that leads over what it had counted.
    fn settle(&self, doubt: &mut Doubt) {
        if self.target.answered.binary_search(&doubt.since).is_ok() {
            add(&mut doubt.levels, self.level(doubt.since));
        } else {
            // How much that was is not known any more.
            doubt.levels.resize(Doubt::LEVELS, 0);
        }
        doubt.scrapes = 0;
    }

    /// Requests that it had counted at a scrape.
    fn level(&self, at: i64) -> u64 {
        let totals = self.counters.iter().filter(|member| member.is(Part::is_total));
        totals.filter_map(|member| decode::count(member.at(at)?)).sum()
    }

    /// Is each counter at the second scrape what it was at the first one, or more?
    fn is_above(&self, first: i64, second: i64) -> bool {
        let looked = self.target.answered.binary_search(&first).is_ok();
        looked && self.counters.iter().all(|member| !member.is_under(first, second))
    }

    /// Did a counter fall, or is it gone?
    fn fell(&self, previous: i64, at: i64) -> bool {
        let forgets = forgets(self.target.scheme);
        self.counters.iter().any(|member| {
            let kept = || self.counters.iter().any(|other| other.role == member.role && other.at(at).is_some());
            member.is_under(previous, at) && (!forgets || kept())
        })
    }

    /// Did all of them, as when a process starts anew?
    fn all_fell(&self, previous: i64, at: i64) -> bool {
        let mut before = self.counters.iter().filter(|member| member.at(previous) > Some(0.0)).peekable();
        before.peek().is_some() && before.all(|member| member.is_under(previous, at))
    }
}

/// Did a container start in between, as the cluster tells it?
pub(crate) fn started_between(started: Option<i64>, lag: i64, previous: i64, at: i64) -> bool {
    started.is_some_and(|started| started > previous - lag - SLACK && started <= at + SLACK)
}

/// Some gateways forget all series of a revision that gets no traffic any more; they begin anew when it does again.
pub(crate) const fn forgets(scheme: Scheme) -> bool {
    matches!(scheme, Scheme::Gateway(Door::Envoy | Door::Traefik | Door::Nginx))
}

fn add(levels: &mut Vec<u64>, level: u64) {
    if !levels.contains(&level) {
        levels.push(level);
    }
}

/// What the start time of a target says of the time between two scrapes.
pub(crate) fn start(target: &Target, lag: i64, previous: i64, at: i64) -> Start {
    let told = |at| target.born.and_then(|born| seen(born, at));
    let Some((before, now)) = told(previous).zip(told(at)) else { return Start::Untold };
    if (now - before).abs() <= JITTER {
        return Start::Same;
    }
    let known = |sample: &Sample| sample.at < previous && (sample.value - now).abs() <= JITTER;
    let is_back = target.born.is_some_and(|born| born.samples.iter().any(known));
    // What started before the last scrape did not start since.
    let between = started_between(Some((now * 1000.0) as i64), lag, previous, at);
    let is_anew = now > before && !is_back && (between || before.min(now) < CLOCK);
    if is_anew { Start::Anew } else { Start::Other }
}

/// Did the start time change at all? Between two workers of one parent it does by milliseconds.
pub(crate) fn changed(target: &Target, previous: i64, at: i64) -> bool {
    let told = |at| target.born.and_then(|born| seen(born, at));
    told(previous).zip(told(at)).is_some_and(|(before, now)| before.to_bits() != now.to_bits())
}

/// The value at a look at the target: pushed series have times of their own.
pub(crate) fn seen(series: &Series, at: i64) -> Option<f64> {
    series
        .at(at)
        .or_else(|| series.before(at + LOOK).filter(|sample| sample.at >= at - LOOK).map(|sample| sample.value))
}

/// Is there such a time among these, which are in order?
pub(crate) fn is_near(times: &[i64], at: i64) -> bool {
    times.get(times.partition_point(|time| *time < at - LOOK)).is_some_and(|time| *time <= at + LOOK)
}

/// Was a counter more at the first of two scrapes, or is it not there at the second? What is no count says nothing, nor
/// does a histogram whose buckets changed.
pub(crate) fn is_under(values: [Option<f64>; 2], series: &Series, first: i64, second: i64) -> bool {
    let [before, now] = values;
    let is_less = |before: f64| before > 0.0 && now.is_none_or(|now| (0.0..before).contains(&now));
    let is_other = || series.breaks.iter().any(|at| first < *at && *at <= second);
    before.is_some_and(is_less) && !is_other()
}
