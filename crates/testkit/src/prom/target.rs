//! One scraped process: its counters, as the demo application and Envoy expose them.

use std::collections::BTreeMap;

use super::series::{Database, Labels};

/// A counter: its series and its value.
#[derive(Clone, Copy, Debug)]
struct Counter {
    series: usize,
    value: f64,
}

/// A histogram: the places of its counters.
#[derive(Debug)]
struct Histogram {
    buckets: Vec<(f64, usize)>,
    sum: usize,
    count: usize,
}

/// What a scrape reads.
#[derive(Debug)]
pub(super) struct Target {
    /// Labels that the scrape adds to everything.
    identity: Labels,
    counters: Vec<Counter>,
    known: BTreeMap<u64, usize>,
    histograms: BTreeMap<u64, Histogram>,
    up: usize,
    start: usize,
    duration: usize,
    /// When the process started, milliseconds since 1970.
    pub started: i64,
    /// When it is scraped next.
    pub next: i64,
}

/// .01 · 2^k up to 81.92 s (OpenTelemetry's GenAI conventions).
pub(super) fn seconds() -> Vec<f64> {
    (0..14).map(|k| 0.01 * f64::from(1_u32 << k)).collect()
}

/// 4^k up to 67 108 864 tokens (the same).
pub(super) fn tokens() -> Vec<f64> {
    (0..14).map(|k| 4_f64.powi(k)).collect()
}

/// Envoy's default bounds in milliseconds.
pub(super) fn envoy_millis() -> Vec<f64> {
    [0.5, 1., 5., 10., 25., 50., 100., 250., 500., 1e3, 2.5e3, 5e3, 1e4, 3e4, 6e4, 3e5, 6e5, 1.8e6, 3.6e6].to_vec()
}

impl Target {
    pub fn new(database: &mut Database, identity: Labels, started: i64, next: i64) -> Self {
        let mut own = |name: &str| {
            let mut labels = identity.clone();
            labels.insert("__name__".into(), name.into());
            database.series(labels)
        };
        let (up, start, duration) = (own("up"), own("process_start_time_seconds"), own("scrape_duration_seconds"));
        Self {
            identity,
            counters: vec![],
            known: BTreeMap::new(),
            histograms: BTreeMap::new(),
            up,
            start,
            duration,
            started,
            next,
        }
    }

    /// A counter; it exists from now on, at zero.
    pub fn counter(&mut self, database: &mut Database, name: &str, labels: &[(&str, &str)]) -> usize {
        let key = key(name, labels);
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        let mut all = self.identity.clone();
        all.insert("__name__".into(), name.into());
        all.extend(labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let at = self.counters.len();
        self.counters.push(Counter { series: database.series(all), value: 0.0 });
        self.known.insert(key, at);
        at
    }

    pub fn add(&mut self, counter: usize, amount: f64) {
        if let Some(counter) = self.counters.get_mut(counter) {
            counter.value += amount;
        }
    }

    /// Observes a value in a histogram that is made where it is new.
    pub fn observe(
        &mut self,
        database: &mut Database,
        name: &str,
        labels: &[(&str, &str)],
        bounds: fn() -> Vec<f64>,
        value: f64,
    ) {
        let key = key(name, labels);
        if !self.histograms.contains_key(&key) {
            self.histogram(database, name, labels, bounds);
        }
        let Some(histogram) = self.histograms.get(&key) else { return };
        let buckets = histogram.buckets.iter().filter(|(bound, _)| value <= *bound).map(|(_, counter)| (*counter, 1.0));
        for (counter, amount) in buckets.chain([(histogram.sum, value), (histogram.count, 1.0)]) {
            if let Some(counter) = self.counters.get_mut(counter) {
                counter.value += amount;
            }
        }
    }

    /// A histogram; it exists from now on, empty.
    pub fn histogram(
        &mut self,
        database: &mut Database,
        name: &str,
        labels: &[(&str, &str)],
        bounds: fn() -> Vec<f64>,
    ) {
        let key = key(name, labels);
        if self.histograms.contains_key(&key) {
            return;
        }
        let mut buckets = vec![];
        for bound in bounds().into_iter().chain([f64::INFINITY]) {
            let le = if bound.is_infinite() { "+Inf".to_owned() } else { spelled(bound) };
            let labels: Vec<(&str, &str)> = labels.iter().copied().chain([("le", le.as_str())]).collect();
            buckets.push((bound, self.counter(database, &format!("{name}_bucket"), &labels)));
        }
        let sum = self.counter(database, &format!("{name}_sum"), labels);
        let count = self.counter(database, &format!("{name}_count"), labels);
        self.histograms.insert(key, Histogram { buckets, sum, count });
    }

    /// The process starts anew: all its counters are gone, and come back as they are used.
    pub fn restart(&mut self, database: &mut Database, now: i64) {
        self.end_counters(database, now);
        self.counters.clear();
        self.known.clear();
        self.histograms.clear();
        self.started = now;
    }

    /// What a process pushes that has anything to tell, all of it at one moment. Nothing marks its end.
    pub fn push(&self, database: &mut Database, time: i64) {
        if self.counters.is_empty() {
            return;
        }
        let mut info = self.identity.clone();
        info.insert("__name__".into(), "target_info".into());
        let info = database.series(info);
        database.append(info, time, 1.0);
        for counter in &self.counters {
            database.append(counter.series, time, counter.value);
        }
    }

    /// Another process in its place, with another identity.
    pub fn replace(&mut self, database: &mut Database, identity: Labels, now: i64) {
        let next = self.next;
        *self = Self::new(database, identity, now, next);
    }

    /// Reads everything. A process that does not answer leaves `up` alone, at 0.
    pub fn scrape(&mut self, database: &mut Database, time: i64, answers: bool) {
        database.append(self.up, time, f64::from(u8::from(answers)));
        database.append(self.duration, time, 0.004);
        if answers {
            database.append(self.start, time, self.started as f64 / 1000.0);
            for counter in &self.counters {
                database.append(counter.series, time, counter.value);
            }
        } else {
            database.end(self.start, time);
            self.end_counters(database, time);
        }
    }

    fn end_counters(&self, database: &mut Database, time: i64) {
        self.counters.iter().for_each(|c| database.end(c.series, time));
    }

    /// The target is gone.
    pub fn end(&self, database: &mut Database, time: i64) {
        self.end_counters(database, time);
        for series in [self.up, self.start, self.duration] {
            database.end(series, time);
        }
    }
}

/// Looked up for each request, so a hash and no text.
fn key(name: &str, labels: &[(&str, &str)]) -> u64 {
    let parts = labels.iter().flat_map(|(name, value)| [*name, *value]);
    let mix =
        |key: u64, part: &str| key.rotate_left(5).wrapping_mul(0x0100_0000_01b3) ^ crate::stable_hash(part.as_bytes());
    std::iter::once(name).chain(parts).fold(0, mix)
}

/// A bound as Prometheus 3 spells it: `5.0`, `0.01`, `2.56`.
fn spelled(bound: f64) -> String {
    let text = format!("{}", (bound * 1e6).round() / 1e6);
    if text.contains('.') { text } else { format!("{text}.0") }
}
