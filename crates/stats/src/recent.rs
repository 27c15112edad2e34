//! Stable's windows of the last 60 s: what the guard looks at, and what canary windows are paired with.

use std::collections::VecDeque;

use crate::codec::{Reader, Writer};

/// How far back the guard looks and a canary window may reach for stable's counts, in seconds.
pub(crate) const LOOKBACK: f64 = 60.0;
/// Windows that begin closer together are kept as one, so that a short interval does not fill the checkpoint.
const SPACING: f64 = 4.6;
/// More entries than spacing and lookback can give are no state of ours.
const MOST: u64 = 64;

/// Counts of one or several windows that can be added up.
pub(crate) trait Counts: Clone {
    fn add(&mut self, other: &Self);
    fn save(&self, out: &mut Writer);
    fn load(bytes: &mut Reader) -> Option<Self>;
}

#[derive(Clone, Debug, PartialEq)]
struct Entry<C> {
    /// End of the first window in it, so that a merged entry leaves no later than its oldest part should.
    t: f64,
    used: bool,
    counts: C,
}

/// The queue. A used entry has been paired, but the guard still sees it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Recent<C>(VecDeque<Entry<C>>);

impl<C> Default for Recent<C> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<C: Counts> Recent<C> {
    /// Lets what is older than the lookback fall away.
    pub(crate) fn expire(&mut self, now: f64) {
        while self.0.front().is_some_and(|entry| entry.t <= now - LOOKBACK) {
            self.0.pop_front();
        }
    }

    pub(crate) fn push(&mut self, t: f64, counts: C) {
        self.0.push_back(Entry { t, used: false, counts });
    }

    /// A change of weight or a gap: nothing that came before may be paired any more.
    pub(crate) fn close(&mut self) {
        for entry in &mut self.0 {
            entry.used = true;
        }
    }

    /// What a canary window would be paired with.
    pub(crate) fn unused(&self) -> Option<C> {
        Self::sum(self.0.iter().filter(|entry| !entry.used))
    }

    /// All of the last 60 s.
    pub(crate) fn all(&self) -> Option<C> {
        Self::sum(self.0.iter())
    }

    fn sum<'a>(entries: impl Iterator<Item = &'a Entry<C>>) -> Option<C>
    where
        C: 'a,
    {
        entries.map(|entry| entry.counts.clone()).reduce(|mut sum, counts| {
            sum.add(&counts);
            sum
        })
    }

    /// Merges neighbours. Part of every window rather than of saving, so that a reload changes nothing.
    pub(crate) fn compact(&mut self) {
        let mut kept: VecDeque<Entry<C>> = VecDeque::with_capacity(self.0.len());
        for entry in self.0.drain(..) {
            match kept.back_mut() {
                Some(last) if last.used == entry.used && entry.t - last.t < SPACING => last.counts.add(&entry.counts),
                _ => kept.push_back(entry),
            }
        }
        self.0 = kept;
    }

    pub(crate) fn save(&self, out: &mut Writer) {
        out.u64(self.0.len() as u64);
        for Entry { t, used, counts } in &self.0 {
            out.f64(*t);
            out.bool(*used);
            counts.save(out);
        }
    }

    pub(crate) fn load(bytes: &mut Reader) -> Option<Self> {
        let length = bytes.u64().filter(|length| *length <= MOST)?;
        (0..length)
            .map(|_| Some(Entry { t: bytes.f64()?, used: bytes.bool()?, counts: C::load(bytes)? }))
            .collect::<Option<_>>()
            .map(Self)
    }
}

/// Stable's bad requests as seen, and as the relative tests count them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StableCounts {
    pub(crate) n: u64,
    pub(crate) seen: u64,
    /// `seen`, or more where a neighbouring window was over the guard. It only lowers the relative evidence.
    pub(crate) raised: f64,
}

impl Counts for StableCounts {
    fn add(&mut self, other: &Self) {
        self.n = self.n.saturating_add(other.n);
        self.seen = self.seen.saturating_add(other.seen);
        self.raised += other.raised;
    }

    fn save(&self, out: &mut Writer) {
        out.u64(self.n);
        out.u64(self.seen);
        out.option((self.raised > self.seen as f64).then_some(self.raised));
    }

    fn load(bytes: &mut Reader) -> Option<Self> {
        let (n, seen) = (bytes.u64()?, bytes.u64()?);
        Some(Self { n, seen, raised: bytes.option()?.unwrap_or(seen as f64) })
    }
}
