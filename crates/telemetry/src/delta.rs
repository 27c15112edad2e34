//! From samples to integer deltas: what each scrape of a target added, per gate and side.

use microapp_core::{counts::Unknown, strategy::GateKind};

use crate::{
    part::{Part, Reader, Tally},
    series::{Sample, Series},
    target::{Role, Target},
};

/// A new series may bring so many times what the target's others bring, not more.
const IMPLAUSIBLE: u64 = 10;

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
}

/// What is known of a target beside its samples.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Known {
    /// Its last used sample, in milliseconds.
    pub(crate) watermark: Option<i64>,
    /// It started then, after the attempt began and inside the time that was asked for: its first sample counts from
    /// zero.
    pub(crate) fresh: Option<i64>,
}

struct Member<'a> {
    role: Role,
    series: &'a Series,
    /// Per wanted gate.
    parts: Vec<Option<Part>>,
}

/// All increments of a target in order of time; pure in the samples, so that a second look gives the same.
pub(crate) fn increments(target: &Target, known: Known, wanted: &[Wanted]) -> Vec<Increment> {
    let members: Vec<Member> = target
        .series
        .iter()
        .map(|(role, series)| Member {
            role: *role,
            series,
            parts: wanted.iter().map(|wanted| wanted.reader.part(series)).collect(),
        })
        .filter(|member| member.parts.iter().any(Option::is_some))
        .collect();
    let mut found = Vec::new();
    let mut restart = Restart::default();
    for (index, &at) in target.answered.iter().enumerate() {
        let previous = index.checked_sub(1).and_then(|before| target.answered.get(before)).copied();
        restart.look(target, &members, previous, at);
        let since = match previous {
            Some(previous) => previous,
            // The first sight of it.
            None => match known.fresh.filter(|_| known.watermark.is_none()) {
                Some(started) => started,
                None => continue,
            },
        };
        let scrape = Scrape { at, first: previous.is_none(), restart: &restart };
        let cells = (0..wanted.len())
            .map(|gate| {
                let idle = wanted[gate].reader.idle(at - since);
                [Role::Canary, Role::Stable]
                    .map(|role| scrape.cell(&members, wanted, gate, role).map(|tally| tally.with_idle(idle)))
            })
            .collect();
        found.push(Increment { at, since, cells });
    }
    found
}

/// When the target last began anew.
#[derive(Debug, Default)]
struct Restart {
    /// `process_start_time_seconds` rose.
    told: Option<i64>,
    /// All its counters fell or were gone.
    seen: Option<i64>,
}

impl Restart {
    fn look(&mut self, target: &Target, members: &[Member], previous: Option<i64>, at: i64) {
        let Some(previous) = previous else { return };
        let started = |at| target.born.and_then(|born| born.at(at));
        let earlier = target.born.and_then(|born| born.before(at)).map(|sample| sample.value);
        // Exporters that compute the start from the clock differ by some milliseconds.
        if let (Some(now), Some(earlier)) = (started(at), earlier)
            && now > earlier + 1.0
        {
            self.told = Some(at);
        }
        let mut before = members
            .iter()
            .filter(|member| !member.parts.iter().flatten().any(|part| part.is_level()))
            .filter_map(|member| Some((member, member.series.at(previous).filter(|value| *value > 0.0)?)))
            .peekable();
        let any = before.peek().is_some();
        if any && before.all(|(member, value)| member.series.at(at).is_none_or(|now| now < value)) {
            self.seen = Some(at);
        }
    }
}

struct Scrape<'a> {
    at: i64,
    first: bool,
    restart: &'a Restart,
}

impl Scrape<'_> {
    fn cell(&self, members: &[Member], wanted: &[Wanted], gate: usize, role: Role) -> Result<Tally, Unknown> {
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
            let before = member.series.before(self.at);
            if before.is_some_and(|before| member.series.breaks.iter().any(|at| before.at < *at && *at <= self.at)) {
                return Err(Unknown::SchemaChanged);
            }
            let delta = self.delta(part, before, value)?;
            tally.count(part, delta)?;
            if before.is_none() && !self.first {
                largest_birth = largest_birth.max(if part.is_sum() { 0 } else { delta });
            } else if part.is_total() {
                known += delta;
            }
        }
        let kind = &wanted[gate].reader.gate.kind;
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
        let Some(before) = before else { return Ok(value) };
        let old = part.whole(before.value)?;
        let since = |restart: Option<i64>| restart.is_some_and(|at| before.at < at);
        if since(self.restart.told) {
            return Ok(value);
        }
        match value.checked_sub(old) {
            Some(delta) => Ok(delta),
            None if since(self.restart.seen) => Ok(value),
            None => Err(Unknown::NonMonotone),
        }
    }
}
