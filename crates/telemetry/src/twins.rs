//! One process that is scraped twice (a ServiceMonitor that matches two Services, a PodMonitor beside it, two replicas of
//! Prometheus behind one querier) is counted once. All its targets have the same counters; one of them has the word, and
//! another one only while that one is not scraped.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, VecDeque},
};

use crate::{
    labels::Labels,
    presets::{Door, Scheme},
    query::Subject,
    series::{Sample, Series},
    target::{Target, key, median, targets},
};

/// Labels that say who scraped it.
const SCRAPER: [&str; 6] = ["job", "instance", "endpoint", "prometheus", "prometheus_replica", "service"];
/// So many intervals after its last scrape a target does not have the word any more.
const SILENT: i64 = 3;
/// Where nothing tells the interval, in milliseconds.
const INTERVAL: i64 = 15_000;

/// An answer in which each process is there once.
#[derive(Clone, Debug)]
pub(crate) struct Distinct<'a> {
    pub(crate) scheme: Scheme,
    pub(crate) series: Cow<'a, [Series]>,
    pub(crate) twins: Vec<Twin>,
}

/// A target that is counted as another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Twin {
    /// The pod, or the gateway's instance.
    pub(crate) place: String,
    /// What has the word, as people know it.
    pub(crate) speaks: String,
    /// What has not.
    pub(crate) silent: String,
    /// The keys of both.
    keys: [String; 2],
}

impl Distinct<'_> {
    /// The targets of its series.
    pub(crate) fn targets(&self, subject: &Subject) -> Vec<Target<'_>> {
        let mut targets = targets(subject, self.scheme, &self.series);
        for target in &mut targets {
            let own = self.twins.iter().filter(|twin| twin.keys[0] == target.key && twin.keys[1] != target.key);
            target.twins = own.map(|twin| twin.keys[1].clone()).collect();
        }
        targets
    }

    /// For people, in a sentence without its full stop: which targets are one process.
    pub(crate) fn caveat(&self) -> Option<String> {
        let Twin { place, speaks, silent, .. } = self.twins.first()?;
        let more = match self.twins.iter().map(|twin| &twin.place).collect::<BTreeSet<_>>().len() {
            1 => String::new(),
            more => format!(" and {} more", more - 1),
        };
        Some(format!(
            "{place}{more} is scraped twice, as {speaks} and as {silent}: the first is counted, the second is not; let \
             one monitor select it"
        ))
    }
}

/// Who scraped a series: the values of the labels that say it.
type Origin<'a> = Vec<&'a str>;

/// What tells who scraped the series of one place. An application may use the same words for labels of its own
/// (`endpoint="/ask"`): a value is the scraper's where `up` has it, or where there is no `up`.
struct Scraper<'a> {
    labels: &'static [&'static str],
    ups: Vec<&'a Series>,
}

impl<'a> Scraper<'a> {
    fn new(labels: &'static [&'static str], series: &[&'a Series]) -> Self {
        Self { labels, ups: series.iter().copied().filter(|series| series.name() == "up").collect() }
    }

    fn wrote(&self, label: &str, value: &str) -> bool {
        self.labels.contains(&label) && (self.ups.is_empty() || self.ups.iter().any(|up| up.label(label) == value))
    }

    fn origin(&self, series: &'a Series) -> Origin<'a> {
        let own = |label: &&str| Some(series.label(label)).filter(|value| self.wrote(label, value)).unwrap_or_default();
        self.labels.iter().map(own).collect()
    }
}

/// Finds targets that are one process. `lag`: a sample may be so much older than its time says, in milliseconds.
pub(crate) fn distinct(scheme: Scheme, series: &[Series], lag: i64) -> Distinct<'_> {
    let mut places: BTreeMap<&str, Vec<&Series>> = BTreeMap::new();
    for one in series {
        let place = Some(one.label("pod")).filter(|pod| !pod.is_empty()).unwrap_or_else(|| one.label("instance"));
        places.entry(place).or_default().push(one);
    }
    let (mut twins, mut merged) = (Vec::new(), Vec::new());
    let mut gone: BTreeSet<*const Series> = BTreeSet::new();
    for (place, own) in places {
        let scraper = &Scraper::new(scraper(scheme), &own);
        let mut origins: BTreeMap<Origin, Vec<&Series>> = BTreeMap::new();
        for one in own {
            origins.entry(scraper.origin(one)).or_default().push(one);
        }
        if origins.len() < 2 {
            continue;
        }
        let seen = origins.into_iter().map(|(origin, series)| Seen::new(origin, series, scraper));
        // One without counters may be anything.
        let mut seen: VecDeque<Seen> = seen.filter(|seen| !seen.counters.is_empty()).collect();
        while let Some(first) = seen.pop_front() {
            let (same, others): (Vec<Seen>, Vec<Seen>) = seen.into_iter().partition(|other| first.is_same(other, lag));
            seen = others.into();
            if !same.is_empty() {
                let all = same.iter().chain([&first]).flat_map(|seen| &seen.series);
                gone.extend(all.map(|series| std::ptr::from_ref(*series)));
                twins.extend(same.iter().map(|other| first.twin(other, place, scheme, scraper)));
                merged.extend(first.merged(&same, scraper));
            }
        }
    }
    if twins.is_empty() {
        return Distinct { scheme, series: Cow::Borrowed(series), twins };
    }
    merged.extend(series.iter().filter(|one| !gone.contains(&std::ptr::from_ref(*one))).cloned());
    Distinct { scheme, series: Cow::Owned(merged), twins }
}

/// For some gateways the label `service` names a revision.
const fn scraper(scheme: Scheme) -> &'static [&'static str] {
    match scheme {
        Scheme::Gateway(Door::Traefik | Door::Nginx) => SCRAPER.split_at(SCRAPER.len() - 1).0,
        Scheme::Gateway(Door::Envoy | Door::Litellm) | Scheme::Pods | Scheme::Evals => &SCRAPER,
        // Nobody scrapes it: each process pushes for itself.
        Scheme::Pushed(_) => &[],
    }
}

/// A target among those of one pod.
struct Seen<'a> {
    origin: Origin<'a>,
    /// All that it has.
    series: Vec<&'a Series>,
    /// Its counters by what they are called, whoever scraped them.
    counters: BTreeMap<Labels, &'a Series>,
    /// When it was scraped, as far as there are counters.
    times: BTreeSet<i64>,
    /// Labels of its target, by its `up`.
    own: Labels,
}

impl<'a> Seen<'a> {
    fn new(origin: Origin<'a>, series: Vec<&'a Series>, scraper: &Scraper) -> Self {
        let up = series.iter().find(|series| series.name() == "up");
        let own = up.map(|up| up.labels.clone()).unwrap_or_default();
        let mut seen = Self { origin, series, counters: BTreeMap::new(), times: BTreeSet::new(), own };
        for series in &seen.series {
            let name = series.name();
            if name != "up" && !name.starts_with("scrape_") && !name.starts_with("process_") {
                seen.counters.insert(seen.plain(series, scraper), series);
                seen.times.extend(series.samples.iter().map(|sample| sample.at));
            }
        }
        seen
    }

    /// The labels of a series without those of the target.
    fn plain(&self, series: &Series, scraper: &Scraper) -> Labels {
        let is_targets = |name: &str, value: &str| {
            scraper.wrote(name, value) || (name != "__name__" && self.own.get(name) == Some(value))
        };
        series.labels.iter().filter(|(name, value)| !is_targets(name, value)).collect()
    }

    /// Have they the same counters, and does neither contradict the other?
    fn is_same(&self, other: &Self, lag: i64) -> bool {
        let both = || self.counters.iter().filter_map(|(labels, own)| Some((*own, *other.counters.get(labels)?)));
        let is_sure = |series: &Series| {
            ["_total", "_count", "_bucket", "_sum"].iter().any(|suffix| series.name().ends_with(suffix))
        };
        // A gauge may be anything at any time.
        let sure = both().any(|(own, _)| is_sure(own));
        let mut compared = both().filter(|(own, _)| !sure || is_sure(own)).peekable();
        compared.peek().is_some()
            && compared.all(|(own, other)| !contradicts(own, other, lag) && !contradicts(other, own, lag))
    }

    fn twin(&self, other: &Self, place: &str, scheme: Scheme, scraper: &Scraper) -> Twin {
        let differs = scraper.labels.iter().zip(&self.origin).zip(&other.origin).find(|((_, own), other)| own != other);
        let (speaks, silent) = differs.map_or_else(Default::default, |((label, own), other)| {
            (format!("{label}=\"{own}\""), format!("{label}=\"{other}\""))
        });
        let pod = if scheme.is_gateway() { "" } else { place };
        let key = |origin: &Origin| key(scheme, pod, origin[0], origin[1]);
        Twin { place: place.to_owned(), speaks, silent, keys: [key(&self.origin), key(&other.origin)] }
    }

    /// Its series with the samples that others have of the time when it was not scraped.
    fn merged(&self, twins: &[Self], scraper: &Scraper) -> Vec<Series> {
        let mut merged: BTreeMap<Labels, Series> =
            self.series.iter().map(|series| (self.plain(series, scraper), (*series).clone())).collect();
        let mut times = self.times.clone();
        for twin in twins {
            let gap = gap(&self.times).or_else(|| gap(&twin.times)).unwrap_or(INTERVAL);
            let speaks = |at: i64| times.range(at - SILENT * gap..=at).next().is_none();
            for series in &twin.series {
                let samples: Vec<Sample> = series.samples.iter().filter(|sample| speaks(sample.at)).copied().collect();
                if samples.is_empty() {
                    continue;
                }
                let own = merged.entry(twin.plain(series, scraper)).or_insert_with(|| self.renamed(series, scraper));
                own.samples.extend(samples);
                own.samples.sort_by_key(|sample| sample.at);
                own.samples.dedup_by_key(|sample| sample.at);
                own.breaks.extend(&series.breaks);
            }
            times.extend(twin.times.iter().copied().filter(|at| speaks(*at)).collect::<Vec<_>>());
        }
        merged.into_values().collect()
    }

    /// A series that only the other one has yet, as this one would have it.
    fn renamed(&self, series: &Series, scraper: &Scraper) -> Series {
        let mut labels = series.labels.clone();
        for (label, value) in scraper.labels.iter().zip(&self.origin) {
            if scraper.wrote(label, series.label(label)) {
                labels.set(label, value);
            }
        }
        Series { labels, ..Series::default() }
    }
}

fn gap(times: &BTreeSet<i64>) -> Option<i64> {
    median(times.iter().zip(times.iter().skip(1)).map(|(before, at)| at - before).collect())
}

/// Has one a lower value after a higher one of the other, without a restart? A counter cannot.
fn contradicts(one: &Series, other: &Series, lag: i64) -> bool {
    let fell = |series: &Series, from: i64, until: i64| {
        series.samples.windows(2).any(|pair| pair[1].at > from && pair[1].at <= until && pair[1].value < pair[0].value)
    };
    one.samples.iter().any(|sample| {
        let Some(before) = other.before(sample.at - lag) else { return false };
        let next = other.samples.iter().find(|next| next.at > before.at).map_or(before.at, |next| next.at);
        before.value > sample.value
            && !fell(one, before.at - lag, sample.at)
            && !fell(other, before.at - lag, next.max(sample.at))
    })
}
