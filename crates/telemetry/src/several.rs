//! Preflight: do stable's counters count, each for one process? With several processes behind one `/metrics` each scrape
//! meets another one (Prometheus keeps its connection, so it may be hours until it does).

use crate::{
    part::Part,
    part::Reader,
    query::Subject,
    series::Series,
    target::{Role, Target},
    trust::{self, LAG, Start},
};

/// So many falls in the time before are no restarts, where more than one in ten slices has one.
const FALLS: usize = 3;
/// A process that started within a slice has not served so many times what slices usually bring.
const HEIGHT: f64 = 20.0;
/// A replica of Prometheus that is behind lacks what one slice brings, not so many times that.
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

/// A fall of some counter of a target between two slices.
struct Fall<'a> {
    /// The place of the second slice.
    index: usize,
    /// The families that fell.
    families: Vec<&'a str>,
}

/// What a target did in the time before.
struct History<'a> {
    place: &'a str,
    /// Requests that the gate counts, per slice.
    levels: Vec<f64>,
    /// Slices at which the process had started anew.
    restarts: Vec<usize>,
    falls: Vec<Fall<'a>>,
    /// How often the start time changed to that of a process that had been there before.
    turns: usize,
    /// Series of the gate that fall in more than a tenth of the slices.
    gauges: Vec<&'a str>,
}

impl<'a> History<'a> {
    /// `None` where the gate reads nothing of it.
    fn of(target: &Target<'a>, started: Option<i64>, reader: &Reader) -> Option<Self> {
        let own = target.series.iter().filter(|(role, _)| *role == Role::Stable).map(|(_, series)| *series);
        let read: Vec<(&Series, Option<Part>)> = own.map(|series| (series, reader.part(series))).collect();
        let members = || read.iter().filter_map(|(series, part)| Some((*series, (*part)?)));
        let members = || members().filter(|(_, part)| !part.is_level());
        let counters: Vec<&'a Series> = read
            .iter()
            .filter(|(series, part)| part.map_or_else(|| is_counter(series.name()), |part| !part.is_level()))
            .map(|(series, _)| *series)
            .collect();
        let (first, _) = members().next()?;
        let level =
            |at: i64| members().filter(|(_, part)| part.is_total()).filter_map(|(series, _)| series.at(at)).sum();
        let mut history = Self {
            place: [target.pod, first.label("pod")]
                .into_iter()
                .find(|pod| !pod.is_empty())
                .unwrap_or(first.label("instance")),
            levels: target.answered.iter().map(|at| level(*at)).collect(),
            restarts: Vec::new(),
            falls: Vec::new(),
            turns: 0,
            gauges: Vec::new(),
        };
        let mut falls_of: Vec<usize> = vec![0; counters.len()];
        for (index, pair) in target.answered.windows(2).enumerate() {
            let (previous, at) = (pair[0], pair[1]);
            let fell = |series: &Series| trust::is_under([series.at(previous), series.at(at)], series, previous, at);
            let fallen: Vec<usize> = (0..counters.len()).filter(|place| fell(counters[*place])).collect();
            let all = counters.iter().filter(|series| series.at(previous) > Some(0.0)).count() == fallen.len();
            let start = trust::start(target, LAG, previous, at);
            let anew = start == Start::Anew
                || (start == Start::Untold && all && trust::started_between(started, LAG, previous, at));
            if anew {
                history.restarts.push(index + 1);
                continue;
            }
            // Workers that a parent forks start within a second.
            let changed = start == Start::Other || (trust::changed(target, previous, at) && !fallen.is_empty());
            history.turns += usize::from(changed);
            if fallen.is_empty() {
                continue;
            }
            let mut families: Vec<&str> = fallen.iter().map(|place| family(counters[*place].name())).collect();
            families.sort_unstable();
            families.dedup();
            fallen.iter().for_each(|place| falls_of[*place] += 1);
            history.falls.push(Fall { index: index + 1, families });
        }
        let slices = target.answered.len().saturating_sub(1);
        let often = counters.iter().zip(falls_of).filter(|(_, falls)| *falls >= FALLS && falls * 10 > slices);
        history.gauges =
            often.filter(|(series, _)| reader.part(series).is_some()).map(|(series, _)| series.name()).collect();
        Some(history)
    }

    fn finding(self) -> Option<Finding<'a>> {
        let place = self.place;
        let shown = |shown: String| Some(Finding::Processes { place, shown });
        if self.turns > 0 {
            return shown(format!(
                "process_start_time_seconds goes back and forth ({} in the time before)",
                times(self.turns)
            ));
        }
        let [returns, heights] = self.returns();
        let together = self.falls.iter().filter(|fall| fall.families.len() > 1).count();
        let gauge = self.gauges.iter().find(|name| !is_counter(name));
        if let Some(name) = gauge.filter(|_| 2 * together < self.falls.len()) {
            return Some(Finding::Gauge(name));
        }
        if returns >= FALLS || heights > 0 || !self.gauges.is_empty() {
            let counters = if together > 0 { "its counters fell together" } else { "a counter of it fell" };
            return shown(format!(
                "{counters} although nothing restarted, {} in the time before",
                times(self.falls.len())
            ));
        }
        None
    }

    /// Falls by more than a replica of Prometheus may be behind, beside a rise by as much within one slice; and those of
    /// them that end higher than a new process can be.
    fn returns(&self) -> [usize; 2] {
        let rise = |pair: &[f64]| pair[1] - pair[0];
        let mut rises: Vec<f64> = self.levels.windows(2).map(rise).filter(|rise| *rise > 0.0).collect();
        rises.sort_unstable_by(f64::total_cmp);
        let Some(usual) = rises.get(rises.len().saturating_sub(1) / 2).copied() else { return [0; 2] };
        let (mut returns, mut heights) = (0, 0);
        for fall in &self.falls {
            let [before, down] = [self.levels[fall.index - 1], self.levels[fall.index]];
            let depth = before - down;
            let from = self.restarts.iter().rfind(|restart| **restart < fall.index).copied().unwrap_or(0);
            let end = self.restarts.iter().find(|restart| **restart > fall.index).copied().unwrap_or(self.levels.len());
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

fn is_counter(name: &str) -> bool {
    family(name) != name
}

/// A histogram is one family.
fn family(name: &str) -> &str {
    ["_total", "_count", "_bucket", "_sum"].iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name)
}
