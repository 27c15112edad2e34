//! Preflight: do stable's counters count, each for one process? With several processes behind one `/metrics` a scrape
//! meets one of them, and the next one another. Prometheus keeps its connection, so it may be hours until it does.

use crate::{
    part::{Part, Reader},
    query::Subject,
    series::Series,
    target::{Role, Target},
    trust::{self, LAG, Start},
};

/// So many falls are no restarts any more, where more than one in ten slices has one.
const FALLS: usize = 3;
/// What a process counts that started within a slice: not so many times what a slice usually brings.
const HEIGHT: f64 = 20.0;
/// What a replica of Prometheus lacks that is behind: not so many times what a slice usually brings.
const BEHIND: f64 = 2.0;

/// What is wrong with a target, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Finding<'a> {
    /// Several processes, and what shows them.
    Processes { place: &'a str, shown: String },
    /// This series is no counter.
    Gauge(&'a str),
}

/// The first finding among the targets.
pub(crate) fn finding<'a>(subject: &Subject, targets: &[Target<'a>], reader: &Reader) -> Option<Finding<'a>> {
    targets.iter().find_map(|target| History::of(target, target.started(subject), reader)?.finding())
}

/// Between two slices, without a restart.
struct Fall<'a> {
    /// The place of the second slice.
    index: usize,
    /// What fell.
    fallen: Vec<&'a Series>,
}

impl Fall<'_> {
    /// Did counters of several families fall?
    fn is_together(&self) -> bool {
        self.fallen.iter().any(|series| family(series.name()) != family(self.fallen[0].name()))
    }
}

/// What a target did in the time before.
struct History<'a> {
    place: &'a str,
    /// The gate's requests in each slice.
    levels: Vec<f64>,
    /// Slices at which the process had started anew.
    restarts: Vec<usize>,
    falls: Vec<Fall<'a>>,
    /// How often the start time became that of a process that had been there before.
    turns: usize,
    /// Names of the gate's own series that fall again and again.
    often: Vec<&'a str>,
}

impl<'a> History<'a> {
    /// `None` where the gate reads nothing of it.
    fn of(target: &Target<'a>, started: Option<i64>, reader: &Reader) -> Option<Self> {
        let own = || target.series.iter().filter(|(role, _)| *role == Role::Stable).map(|(_, series)| *series);
        let read = |series: &&Series| reader.part(series).is_some_and(|part| !part.is_level());
        // Counters of other gates are of the same process.
        let counters: Vec<&Series> = own()
            .filter(|series| read(series) || (is_counter(series.name()) && reader.part(series).is_none()))
            .collect();
        let first = own().find(read)?;
        let totals: Vec<&Series> = own().filter(|series| reader.part(series).is_some_and(Part::is_total)).collect();
        let mut history = Self {
            place: Some(first.label("pod")).filter(|pod| !pod.is_empty()).unwrap_or_else(|| first.label("instance")),
            levels: target.answered.iter().map(|at| totals.iter().filter_map(|series| series.at(*at)).sum()).collect(),
            restarts: Vec::new(),
            falls: Vec::new(),
            turns: 0,
            often: Vec::new(),
        };
        for (index, pair) in target.answered.windows(2).enumerate() {
            history.take(target, started, &counters, index + 1, [pair[0], pair[1]]);
        }
        let often = |series: &&Series| {
            let falls =
                history.falls.iter().filter(|fall| fall.fallen.iter().any(|fallen| fallen.labels == series.labels));
            let falls = falls.count();
            falls >= FALLS && falls * 10 >= series.samples.len()
        };
        history.often = own().filter(read).filter(often).map(Series::name).collect();
        Some(history)
    }

    /// Goes from one slice to the next.
    fn take(
        &mut self,
        target: &Target,
        started: Option<i64>,
        counters: &[&'a Series],
        index: usize,
        [previous, at]: [i64; 2],
    ) {
        let fell = |series: &&&Series| trust::is_under([series.at(previous), series.at(at)], series, previous, at);
        let fallen: Vec<&Series> = counters.iter().filter(fell).copied().collect();
        let had = counters.iter().filter(|series| series.at(previous) > Some(0.0)).count();
        let start = trust::start(target, LAG, previous, at);
        let all_fell = !fallen.is_empty() && fallen.len() == had;
        if start == Start::Anew
            || (start == Start::Untold && all_fell && trust::started_between(started, LAG, previous, at))
        {
            self.restarts.push(index);
            return;
        }
        // Workers that a parent forks start within a second.
        let is_other = start == Start::Other || (!fallen.is_empty() && trust::changed(target, previous, at));
        self.turns += usize::from(is_other);
        if !fallen.is_empty() {
            self.falls.push(Fall { index, fallen });
        }
    }

    fn finding(self) -> Option<Finding<'a>> {
        let place = self.place;
        if self.turns > 0 {
            let shown =
                format!("process_start_time_seconds goes back and forth, {} in the time before", times(self.turns));
            return Some(Finding::Processes { place, shown });
        }
        let together = self.falls.iter().filter(|fall| fall.is_together()).count();
        let gauge = self.often.iter().find(|name| !is_counter(name));
        if let Some(name) = gauge.filter(|_| 2 * together < self.falls.len()) {
            return Some(Finding::Gauge(name));
        }
        let [returns, heights] = self.returns();
        (returns >= FALLS || heights > 0 || !self.often.is_empty()).then(|| {
            let what = if together > 0 { "its counters fell together" } else { "a counter of it fell" };
            let times = times(self.falls.len());
            Finding::Processes {
                place,
                shown: format!("{what} although nothing restarted, {times} in the time before"),
            }
        })
    }

    /// Falls by more than a replica of Prometheus may be behind, beside a rise by as much within one slice; and those of
    /// them that end higher than a new process can be.
    fn returns(&self) -> [usize; 2] {
        let rise = |pair: &[f64]| pair[1] - pair[0];
        let mut rises: Vec<f64> = self.levels.windows(2).map(rise).filter(|rise| *rise > 0.0).collect();
        rises.sort_unstable_by(f64::total_cmp);
        let Some(usual) = rises.get(rises.len().saturating_sub(1) / 2).copied() else { return [0; 2] };
        let (mut returns, mut heights) = (0, 0);
        for Fall { index, .. } in &self.falls {
            let [before, down] = [self.levels[index - 1], self.levels[*index]];
            let depth = before - down;
            let from = self.restarts.iter().rfind(|restart| *restart < index).copied().unwrap_or(0);
            let end = self.restarts.iter().find(|restart| *restart > index).copied().unwrap_or(self.levels.len());
            let jumps = self.levels[from..end].windows(2).any(|pair| 2.0 * rise(pair) >= depth);
            if depth > BEHIND * usual && jumps {
                returns += 1;
                heights += usize::from(down > HEIGHT * usual);
            }
        }
        [returns, heights]
    }
}

fn times(count: usize) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

/// By its name.
fn is_counter(name: &str) -> bool {
    family(name) != name
}

/// A histogram is one family.
fn family(name: &str) -> &str {
    ["_total", "_count", "_bucket", "_sum"].iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name)
}
