//! From samples to integer deltas: what each scrape of a target added, per gate and side.

use microapp_core::{
    counts::{Doubt, Unknown},
    strategy::GateKind,
};

use crate::{
    part::{Part, Reader},
    presets::Scheme,
    routes,
    series::{Sample, Series},
    tally::Tally,
    target::{Role, Target},
    trust::{LAG, SLACK, Trust, is_near, is_under, seen},
};

/// A new series may bring so many times what the target's others bring, not more.
const IMPLAUSIBLE: u64 = 10;
/// So many looks at a series of one target: each moment at which it answered, times its series. Scrapes have one time for
/// all; series with times of their own make it quadratic, and a target may not cost everybody's time.
const LOOKS: usize = 4_000_000;

/// A gate of the scheme, with what was pinned for it.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    /// Its place in the plan.
    pub(crate) index: usize,
    pub(crate) reader: Reader<'a>,
}

/// What one scrape of one target added.
#[derive(Debug)]
pub(crate) struct Increment {
    /// When, in milliseconds.
    pub(crate) at: i64,
    /// The scrape (or the start of the pod) that it counts from.
    pub(crate) since: i64,
    /// Per wanted gate: canary's and stable's.
    pub(crate) cells: Vec<[Result<Tally, Unknown>; 2]>,
    /// What is not believed of the target from then on.
    pub(crate) doubt: Option<Doubt>,
}

/// What is known of a target beside its samples.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    /// Its last used sample, in milliseconds.
    pub(crate) watermark: Option<i64>,
    /// It started then, after the attempt began and inside the time that was asked for: its first sample counts from
    /// zero.
    pub(crate) fresh: Option<i64>,
    /// When its containers last started, by the cluster, in milliseconds.
    pub(crate) started: Option<i64>,
    /// A sample may be so much older than its time says, in milliseconds: in slices it is the last one before.
    pub(crate) lag: i64,
    /// What was not believed of it at the watermark.
    pub(crate) doubt: Option<Doubt>,
}

impl Known {
    /// Of slices of the time before.
    pub(crate) fn of_slices(started: Option<i64>) -> Self {
        Self { started, lag: LAG, ..Self::default() }
    }
}

/// A series that some gate reads.
pub(crate) struct Member<'a> {
    pub(crate) role: Role,
    pub(crate) series: &'a Series,
    /// Its samples have times of their own, as a collector may send them: it is not gone where a scrape has none.
    apart: bool,
    /// Per wanted gate.
    parts: Vec<Option<Part>>,
}

impl Member<'_> {
    /// What it was at a scrape.
    pub(crate) fn at(&self, at: i64) -> Option<f64> {
        if self.apart { self.series.before(at + 1).map(|sample| sample.value) } else { seen(self.series, at) }
    }

    /// Was it more at the first of two scrapes, or is it gone?
    pub(crate) fn is_under(&self, first: i64, second: i64) -> bool {
        is_under([self.at(first), self.at(second)], self.series, first, second)
    }

    /// The sample that its value at a scrape counts from.
    fn before(&self, previous: Option<i64>, at: i64) -> Option<Sample> {
        let there = |previous| self.apart || seen(self.series, previous).is_some();
        self.series.before(at).filter(|_| previous.is_none_or(there))
    }

    /// Does some gate see it this way?
    pub(crate) fn is(&self, what: impl Fn(Part) -> bool) -> bool {
        self.parts.iter().flatten().any(|part| what(*part))
    }
}

/// The series of a target that the gates read.
fn members<'a>(target: &Target<'a>, wanted: &[Wanted]) -> Vec<Member<'a>> {
    let read = |(role, series): &(Role, &'a Series)| Member {
        role: *role,
        series,
        apart: matches!(target.scheme, Scheme::Pushed(_))
            || !target.looks.is_empty() && series.samples.iter().any(|sample| !is_near(&target.looks, sample.at)),
        parts: wanted.iter().map(|wanted| wanted.reader.part(series)).collect(),
    };
    target.series.iter().map(read).filter(|member| member.is(|_| true)).collect()
}

/// All increments of a target in order of time; pure in the samples and what is known, so that a second look gives the
/// same.
pub(crate) fn increments(target: &Target, known: &Known, wanted: &[Wanted]) -> Vec<Increment> {
    if target.answered.len().saturating_mul(target.series.len()) > LOOKS {
        return unread(target, known, wanted);
    }
    let members = members(target, wanted);
    let mut found = Vec::new();
    let mut trust = Trust::new(target, &members, known);
    for (index, &at) in target.answered.iter().enumerate() {
        let previous = index.checked_sub(1).and_then(|before| target.answered.get(before)).copied();
        let since = match previous {
            Some(previous) => previous,
            // The first sight of it, unless it was there before the container started anew.
            None => match known.fresh.filter(|started| known.watermark.is_none() && *started - SLACK < at) {
                Some(started) => started,
                None => continue,
            },
        };
        let believed = previous.is_none_or(|previous| trust.step(previous, at));
        let scrape = Scrape { at, previous, believed, trust: &trust };
        let cells = (0..wanted.len())
            .map(|gate| {
                let idle = wanted[gate].reader.idle(at - since);
                [Role::Canary, Role::Stable]
                    .map(|role| scrape.cell(&members, wanted, gate, role).map(|tally| tally.with_idle(idle)))
            })
            .collect();
        found.push(Increment { at, since, cells, doubt: trust.doubt().cloned() });
    }
    found
}

/// What is too much to be counted is no zero: each moment says so.
fn unread(target: &Target, known: &Known, wanted: &[Wanted]) -> Vec<Increment> {
    let pairs = target.answered.windows(2);
    let increment = |pair: &[i64]| Increment {
        at: pair[1],
        since: pair[0],
        cells: vec![[Err(Unknown::TooExpensive), Err(Unknown::TooExpensive)]; wanted.len()],
        doubt: known.doubt.clone(),
    };
    pairs.map(increment).collect()
}

struct Scrape<'a> {
    at: i64,
    /// The one before; none at the first sight of a new pod.
    previous: Option<i64>,
    /// It may be counted.
    believed: bool,
    trust: &'a Trust<'a>,
}

impl Scrape<'_> {
    fn cell(&self, members: &[Member], wanted: &[Wanted], gate: usize, role: Role) -> Result<Tally, Unknown> {
        let kind = &wanted[gate].reader.gate.kind;
        // How full something is was never counted.
        if !self.believed && !matches!(kind, GateKind::Saturation { .. }) {
            return Err(Unknown::NonMonotone);
        }
        let mut tally = Tally::default();
        let mut known = 0;
        let mut largest_birth = 0;
        let mut bounds = [false; 2];
        let parts = members.iter().filter(|member| member.role == role);
        for (member, part) in parts.filter_map(|member| Some((member, member.parts[gate]?))) {
            if let Part::Bucket { upper, lower } = part {
                let exists = member.series.samples.first().is_some_and(|sample| sample.at <= self.at);
                bounds = [bounds[0] || (upper && exists), bounds[1] || (lower && exists)];
            }
            let Some(value) = member.series.at(self.at) else { continue };
            let value = part.whole(value)?;
            if part.is_level() {
                tally.count(part, value)?;
                continue;
            }
            let before = member.before(self.previous, self.at);
            if before.is_some_and(|before| member.series.breaks.iter().any(|at| before.at < *at && *at <= self.at)) {
                return Err(Unknown::SchemaChanged);
            }
            if value > 0 && before.is_none() && self.may_be_back() {
                return Err(Unknown::NonMonotone);
            }
            let delta = self.delta(part, before, value)?;
            tally.count(part, delta)?;
            if part.is_total() && wanted[gate].reader.is_unanswered(member.series) {
                tally.without_answer(delta);
            } else if part.is_total() && routes::is_of_anybody(member.series) {
                tally.of_anybody(delta);
            }
            if before.is_none() && self.previous.is_some() {
                largest_birth = largest_birth.max(if part.is_sum() { 0 } else { delta });
            } else if part.is_total() {
                known += delta;
            }
        }
        // A series that comes back after its exporter had dropped it looks like a new one with a great past.
        let late = matches!(kind, GateKind::Judged { .. });
        if !late && known > 0 && largest_birth > IMPLAUSIBLE.saturating_mul(known) {
            return Err(Unknown::ImplausibleBirth);
        }
        if matches!(kind, GateKind::Slow { .. }) && tally.total() > 0 && bounds != [true, true] {
            return Err(Unknown::MissingBucket);
        }
        Ok(tally)
    }

    fn delta(&self, part: Part, before: Option<Sample>, value: u64) -> Result<u64, Unknown> {
        let Some(before) = before.filter(|before| !self.trust.began_after(before.at)) else { return Ok(value) };
        value.checked_sub(part.whole(before.value)?).ok_or(Unknown::NonMonotone)
    }

    /// On a target that fell and stayed down a new series may be an old one of another process.
    fn may_be_back(&self) -> bool {
        self.previous.is_some() && self.trust.doubt().is_some_and(|doubt| !doubt.levels.is_empty())
    }
}
