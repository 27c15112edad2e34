//! Windows of the attempt, by the samples' own time. The same samples and watermarks give the same windows, however
//! the questions were spread over time.

use std::collections::BTreeMap;

use microapp_core::{
    counts::{Side, Sides, Streams, Unknown, Watch, Window},
    strategy::GateKind,
};

use crate::{
    delta::{Increment, Known, Wanted, increments},
    pin::{self, Pins},
    presets::Scheme,
    query::{Subject, forgotten, millis},
    tally::Tally,
    target::{Role, Target, median, pod_of},
    unfinished::Times,
};

/// From the last byte of a scrape to its samples being there, in milliseconds.
const INGESTION: i64 = 50;
/// Scrape times jitter by a few milliseconds.
const JITTER: i64 = 20;
/// From the raise being written to it being in effect, in milliseconds.
const EFFECT: i64 = 1_000;
/// A gateway exposes both revisions in one scrape; at or under this weight nobody waits for stable's next scrape.
const SMALL: i64 = 10_000;

/// A target with what it added.
pub(crate) struct Source<'a> {
    pub(crate) target: Target<'a>,
    /// The scheme's gates, in the order of the increments' cells.
    pub(crate) wanted: &'a [Wanted<'a>],
    pub(crate) increments: Vec<Increment>,
    watermark: Option<i64>,
}

impl<'a> Source<'a> {
    /// Differences the target's samples. `fresh`: it counts from zero since then, where it is seen for the first time.
    pub(crate) fn new(
        target: Target<'a>,
        wanted: &'a [Wanted<'a>],
        subject: &Subject,
        watch: &Watch,
        fresh: Option<i64>,
    ) -> Self {
        let watermark = target.keys().filter_map(|key| watch.watermarks.get(key)).max().copied();
        let started = target.started(subject);
        let doubt = target.keys().find_map(|key| watch.doubts.get(key)).cloned();
        let increments = increments(&target, &Known { watermark, fresh, started, lag: 0, doubt }, wanted);
        Self { target, wanted, increments, watermark }
    }
}

/// The grid of windows.
#[derive(Clone, Copy, Debug)]
struct Grid {
    start: i64,
    length: i64,
}

impl Grid {
    /// The window that a sample belongs to: k for ((k−1)·I, k·I].
    fn index(self, at: i64) -> i64 {
        (at - self.start + self.length - 1).div_euclid(self.length)
    }

    fn end(self, index: i64) -> i64 {
        self.start + index * self.length
    }
}

/// Everything that [`windows`] looks at.
pub(crate) struct View<'a> {
    pub(crate) subject: &'a Subject,
    /// What preflight chose.
    pub(crate) pins: &'a Pins,
    pub(crate) sources: &'a [Source<'a>],
    /// Gates that have nothing to read, and why.
    pub(crate) refused: &'a BTreeMap<usize, Unknown>,
    /// In milliseconds.
    pub(crate) now: i64,
}

/// The complete windows since the watermarks, and what to remember.
pub(crate) fn windows(view: &View, watch: &Watch) -> (Vec<Window>, Watch) {
    let grid = Grid { start: watch.pace.origin.unwrap_or_else(|| view.subject.start()), length: view.length() };
    let mut pace = watch.pace;
    let mut streams = watch.streams.clone();
    let first = watch.watermarks.values().map(|at| grid.index(*at)).max().map_or(1, |last| last + 1);
    let newest = view.sources.iter().filter_map(|source| source.target.answered.last()).copied().max();
    let last = newest.map_or(0, |at| grid.index(at));
    let mut found = Vec::new();
    let mut next_index = first;
    for index in first..=last {
        if !view.complete(grid, index) {
            break;
        }
        if let Some(window) = view.window(grid, index, first, &mut streams) {
            found.push(window);
            next_index = index + 1;
            pace = pace.after(grid.end(index), grid.length, view.apart(grid, index, first));
            if pace.origin != watch.pace.origin {
                break; // the next question is about windows of the new length
            }
        }
    }
    let next = Watch { pace, streams, ..view.watch(grid, next_index, !found.is_empty(), watch) };
    (found, next)
}

impl View<'_> {
    /// The length of a window in milliseconds.
    pub(crate) fn length(&self) -> i64 {
        let seen = || median(self.sources.iter().filter_map(|source| source.target.gap()).collect());
        self.subject.window().or_else(seen).unwrap_or(15_000).max(100)
    }

    /// How far the scrapes of a window were apart: the median of each scheme's targets, and of the slowest scheme.
    fn apart(&self, grid: Grid, index: i64, first: i64) -> Option<i64> {
        let mut gaps: BTreeMap<Scheme, Vec<i64>> = BTreeMap::new();
        for source in self.sources {
            let pairs = source.target.scraped.windows(2).map(|pair| (pair[0], pair[1]));
            let own = pairs.filter(|(_, at)| source.is_new(*at, self.begin()) && grid.index(*at).max(first) == index);
            gaps.entry(source.target.scheme).or_default().extend(own.map(|(since, at)| at - since));
        }
        gaps.into_values().filter_map(median).max()
    }

    /// Samples from before are the baseline's, in milliseconds.
    fn begin(&self) -> i64 {
        self.subject.start()
    }

    /// A pod that the cluster does not list any more and that did not answer the last scrape: there is nothing to come.
    fn is_gone(&self, target: &Target) -> bool {
        let listed = target.pod.is_empty() || target.pod_ref(self.subject).is_some();
        !listed && target.answered.last() < target.scraped.last()
    }

    /// Nobody waits longer for a target than one and a half intervals.
    fn is_live(&self, target: &Target, length: i64) -> bool {
        if self.is_gone(target) {
            return false;
        }
        let gap = target.gap().unwrap_or(length).max(length);
        target.last().is_some_and(|last| self.now - last <= gap + gap / 2)
    }

    /// Must stable's next scrape be waited for?
    fn at_once(&self, target: &Target) -> bool {
        self.subject.weight_ppm <= SMALL || target.role != Some(Role::Stable)
    }

    /// Nothing of this window is still to come, from this target.
    fn is_done(&self, target: &Target, grid: Grid, index: i64) -> bool {
        let end = grid.end(index);
        let gap = target.gap().unwrap_or(grid.length);
        let Some(last) = target.last() else { return true };
        if last > end || !self.is_live(target, grid.length) {
            return true;
        }
        let own = last + gap > end + JITTER;
        own && (self.at_once(target) || self.now > end + grid.length + target.duration + INGESTION)
    }

    fn complete(&self, grid: Grid, index: i64) -> bool {
        self.sources.iter().all(|source| self.is_done(&source.target, grid, index))
    }

    /// One window; `None` where no target was scraped in it. What came too late for an earlier window counts here.
    fn window(&self, grid: Grid, index: i64, first: i64, streams: &mut BTreeMap<String, Streams>) -> Option<Window> {
        let belongs = |at: i64| grid.index(at).max(first) == index;
        let mut gap = false;
        let mut inside = true;
        let mut any = false;
        let raised = self.subject.step_since.map(|since| millis(since) + EFFECT);
        for source in self.sources {
            any |= source.target.answered.iter().any(|at| source.is_new(*at, self.begin()) && belongs(*at));
            for increment in source.unused(self.begin()).filter(|increment| belongs(increment.at)) {
                let spans = raised.is_some_and(|raised| increment.since < raised && increment.at > raised - EFFECT);
                gap |= spans || increment.at - increment.since > 3 * grid.length;
                if source.target.serves(Role::Canary) {
                    inside &= raised.is_none_or(|raised| increment.since > raised);
                }
            }
        }
        if !any {
            return None;
        }
        let mut gates = BTreeMap::new();
        for (place, gate) in self.subject.gates.iter().enumerate() {
            let result = match self.refused.get(&place) {
                Some(unknown) => Err(*unknown),
                None => self.sides(grid, index, place, &belongs, streams),
            };
            gates.insert(gate.name.clone(), result);
        }
        let end = grid.end(index) as f64 / 1000.0;
        Some(Window { end, length: grid.length as f64 / 1000.0, gates, gap, inside_step: inside })
    }

    fn sides(
        &self,
        grid: Grid,
        index: i64,
        place: usize,
        belongs: &dyn Fn(i64) -> bool,
        streams: &mut BTreeMap<String, Streams>,
    ) -> Result<Sides, Unknown> {
        let (canary, own) = self.side(grid, index, place, Role::Canary, &|_, at| belongs(at.at))?;
        let (stable, others) = self.side(grid, index, place, Role::Stable, &|_, at| belongs(at.at))?;
        let idle = if canary.is_some() { own.passes_nothing() } else { 0 };
        let gate = &self.subject.gates[place].name;
        if let Some(followed) = self.pins.get(gate).and_then(|pin| pin.streams) {
            let since = self.subject.step_since.map_or_else(|| self.begin(), millis);
            let times = Times { since, end: grid.end(index), length: grid.length };
            let next = followed.take(streams.get(gate), &[own, others], times);
            streams.insert(gate.clone(), next);
        }
        Ok(Sides { canary, stable, near: self.near(grid, index, place), idle })
    }

    /// One side, and what it adds up: `None` where none of its targets answered within three
    /// intervals.
    fn side(
        &self,
        grid: Grid,
        index: i64,
        place: usize,
        role: Role,
        takes: &dyn Fn(&Source, &Increment) -> bool,
    ) -> Result<(Option<Side>, Tally), Unknown> {
        let end = grid.end(index);
        let mut sum = Tally::default();
        let mut present = false;
        let mut worst = None;
        let kind = &self.subject.gates[place].kind;
        for source in self.sources.iter().filter(|source| source.target.serves(role)) {
            let Some(cell) = source.wanted.iter().position(|wanted| wanted.index == place) else { continue };
            let own = pin::scheme(&self.subject.gates[place], self.pins) == source.target.scheme;
            present |= own && source.target.answered.iter().any(|at| *at <= end && *at > end - 3 * grid.length);
            for increment in source.unused(self.begin()).filter(|increment| takes(source, increment)) {
                match &increment.cells[cell][role as usize] {
                    Ok(tally) => sum.add(tally),
                    Err(unknown) => worst = worst.max(Some(*unknown)),
                }
            }
        }
        if let Some(unknown) = worst {
            return Err(unknown);
        }
        Ok((if present { Some(sum.side(kind)?) } else { None }, sum))
    }

    /// Stable's neighbours, where its pods are scraped at other moments than the canary's. Only what is known whenever
    /// the window is complete: of the next window each target's first scrape.
    fn near(&self, grid: Grid, index: i64, place: usize) -> [Option<Side>; 2] {
        let kind = &self.subject.gates[place].kind;
        let neighbour = |next: bool| {
            let mut sum: Option<Tally> = None;
            for source in self.sources.iter().filter(|source| source.target.role == Some(Role::Stable)) {
                let cell = source.wanted.iter().position(|wanted| wanted.index == place)?;
                let wanted = if next { index + 1 } else { index - 1 };
                let own = source.increments.iter().filter(|increment| {
                    grid.index(increment.at) == wanted && 2 * (increment.at - increment.since) <= 5 * grid.length
                });
                for increment in own.take(if next { 1 } else { usize::MAX }) {
                    let tally = increment.cells[cell][Role::Stable as usize].as_ref().ok()?;
                    sum.get_or_insert_default().add(tally);
                }
            }
            sum?.side(kind).ok()
        };
        if self.subject.weight_ppm <= SMALL {
            return [neighbour(false), None];
        }
        [neighbour(false), neighbour(true)]
    }

    /// What to remember when everything before window `next` is used; nothing is where no window was `found`, or a sample
    /// that came too late for the last one would never count.
    fn watch(&self, grid: Grid, next: i64, found: bool, before: &Watch) -> Watch {
        let used = grid.end(next - 1);
        let (mut watermarks, mut doubts) = (before.watermarks.clone(), before.doubts.clone());
        if found {
            for source in self.sources {
                let Some(last) = source.target.answered.iter().filter(|at| **at <= used).max() else { continue };
                let increment = source.increments.iter().rfind(|increment| increment.at <= used);
                for key in source.target.keys() {
                    let mark = watermarks.entry(key.clone()).or_insert(*last);
                    *mark = (*mark).max(*last);
                    match increment.map(|increment| increment.doubt.as_ref()) {
                        Some(Some(doubt)) => drop(doubts.insert(key.clone(), doubt.clone())),
                        Some(None) => drop(doubts.remove(key)),
                        None => {}
                    }
                }
            }
        }
        let newest = watermarks.values().copied().max().unwrap_or(0);
        let oldest = newest - forgotten(grid.length) / 2;
        watermarks.retain(|key, at| *at >= oldest || self.is_listed(key));
        // One that is over is in stable's neighbours for a while.
        let near = used - 3 * grid.length;
        doubts.retain(|key, doubt| {
            watermarks.contains_key(key) && (doubt.holds() || !doubt.levels.is_empty() || doubt.until > near)
        });
        let canary: Vec<&Target> =
            self.sources.iter().map(|source| &source.target).filter(|target| target.serves(Role::Canary)).collect();
        let newest = canary.iter().filter_map(|target| target.answered.last()).max();
        Watch {
            watermarks,
            canary_seen: self.canary_seen(),
            newest: newest.map(|at| *at as f64 / 1000.0),
            next: self.next(grid, next),
            pins: before.pins.clone(),
            per: before.per.clone(),
            pace: before.pace,
            doubts,
            streams: BTreeMap::new(),
        }
    }

    fn is_listed(&self, key: &str) -> bool {
        let pods = self.subject.canary_pods.iter().chain(&self.subject.stable_pods);
        pod_of(key).is_some_and(|pod| pods.into_iter().any(|known| known.name == pod))
    }

    /// Has each canary pod answered a scrape since it started? Gateways: have they at all? A pod that pushes may have
    /// nothing to push before its first request, and a judge nothing to judge.
    fn canary_seen(&self) -> bool {
        let schemes = self.subject.schemes(Some(self.pins));
        let pushes = schemes.iter().any(|scheme| matches!(scheme, Scheme::Pushed(_)));
        schemes.into_iter().all(|scheme| {
            let mut own = self.sources.iter().map(|source| &source.target).filter(|t| t.scheme == scheme);
            match scheme {
                Scheme::Pushed(_) | Scheme::Evals => true,
                Scheme::Gateway(_) => own.any(|target| !target.answered.is_empty()),
                // A query of the user's may be about others than pods that push.
                Scheme::Pods if pushes && self.has_queries_alone(scheme) => true,
                Scheme::Pods => self.are_scraped(&own.collect::<Vec<_>>()),
            }
        })
    }

    fn has_queries_alone(&self, scheme: Scheme) -> bool {
        let mut gates = self.subject.gates_of(scheme, Some(self.pins));
        gates.all(|(_, gate)| matches!(gate.kind, GateKind::Query { .. }))
    }

    fn are_scraped(&self, targets: &[&Target]) -> bool {
        !self.subject.canary_pods.is_empty()
            && self.subject.canary_pods.iter().all(|pod| {
                let answered = targets.iter().filter(|target| target.pod == pod.name).flat_map(|t| &t.answered);
                answered.max().is_some_and(|at| *at > millis(pod.started))
            })
    }

    /// When the next window can be complete: the last of the expected scrapes that it waits for, never within a
    /// quarter of an interval.
    fn next(&self, grid: Grid, index: i64) -> Option<f64> {
        let end = grid.end(index);
        let expected = |target: &Target| {
            let gap = target.gap().unwrap_or(grid.length).max(1);
            let mut at = target.last()? + gap;
            while at <= end && !(self.at_once(target) && at + gap > end + JITTER) {
                at += gap;
            }
            Some(at + target.duration + INGESTION)
        };
        let live = || self.sources.iter().map(|s| &s.target).filter(|target| self.is_live(target, grid.length));
        let missing = live().filter(|target| !self.is_done(target, grid, index)).filter_map(expected).max();
        let at = missing.or_else(|| live().filter_map(expected).min())?;
        let soonest = self.now + grid.length / 4;
        Some(at.clamp(soonest, self.now + 2 * grid.length) as f64 / 1000.0)
    }
}

impl Source<'_> {
    /// Has no earlier window used a sample of then, and did the attempt run?
    fn is_new(&self, at: i64, begin: i64) -> bool {
        at > begin && self.watermark.is_none_or(|used| at > used)
    }

    fn unused(&self, begin: i64) -> impl Iterator<Item = &Increment> {
        self.increments.iter().filter(move |increment| self.is_new(increment.at, begin))
    }
}
