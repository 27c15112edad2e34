//! Series grouped by the target that was scraped.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use sha2::{Digest as _, Sha256};

use crate::{
    presets::Scheme,
    query::{PodRef, Subject, millis},
    selector::Value,
    series::Series,
};

/// The two sides of a comparison; the number is the place in an array of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Canary = 0,
    Stable = 1,
}

/// One scraped target: what it exposed and when it was looked at.
#[derive(Debug)]
pub(crate) struct Target<'a> {
    /// The key of its watermark.
    pub(crate) key: String,
    /// Keys of targets that expose the same counters and are counted as this one.
    pub(crate) twins: Vec<String>,
    pub(crate) scheme: Scheme,
    /// Empty where it is no pod.
    pub(crate) pod: &'a str,
    /// Which revision it serves; `None`: it exposes both.
    pub(crate) role: Option<Role>,
    /// Counters with the revision that each belongs to.
    pub(crate) series: Vec<(Role, &'a Series)>,
    /// Times at which it answered, in milliseconds.
    pub(crate) answered: Vec<i64>,
    /// Those at which a scrape brought all its series; none where nobody tells (a gateway's `up` is not asked for).
    pub(crate) looks: Vec<i64>,
    /// Times at which it was scraped, answered or not.
    pub(crate) scraped: Vec<i64>,
    /// `process_start_time_seconds`.
    pub(crate) born: Option<&'a Series>,
    /// How long a scrape takes, in milliseconds.
    pub(crate) duration: i64,
}

impl Target<'_> {
    /// All keys that it goes by: while it is not scraped, another one of them counts.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.key).chain(&self.twins)
    }

    /// When its containers last started, as the cluster tells it, in milliseconds.
    pub(crate) fn started(&self, subject: &Subject) -> Option<i64> {
        self.pod_ref(subject).map(|pod| millis(pod.started))
    }

    /// What people know it by, beside another one of the same pod: the first label that differs.
    pub(crate) fn shown(&self, other: &Self) -> String {
        let label = |label: &str| [self, other].map(|target| target.series.first().map_or("", |(_, s)| s.label(label)));
        let label = ["job", "container", "instance"].into_iter().find(|name| label(name)[0] != label(name)[1]);
        let label = label.unwrap_or("job");
        format!("{label}=\"{}\"", self.series.first().map_or("", |(_, series)| series.label(label)))
    }

    /// The last time it was scraped.
    pub(crate) fn last(&self) -> Option<i64> {
        self.scraped.last().copied()
    }

    /// The median time between two scrapes.
    pub(crate) fn gap(&self) -> Option<i64> {
        median(self.scraped.windows(2).map(|pair| pair[1] - pair[0]).collect())
    }

    /// Has it a place in the side?
    pub(crate) fn serves(&self, role: Role) -> bool {
        self.role.is_none_or(|own| own == role)
    }

    /// Its pod as the operator knows it.
    pub(crate) fn pod_ref<'s>(&self, subject: &'s Subject) -> Option<&'s PodRef> {
        let pods = subject.canary_pods.iter().chain(&subject.stable_pods);
        (!self.pod.is_empty()).then(|| pods.into_iter().find(|pod| pod.name == self.pod)).flatten()
    }
}

/// The middle one; the lower of two.
pub(crate) fn median(mut values: Vec<i64>) -> Option<i64> {
    values.sort_unstable();
    values.get(values.len().checked_sub(1)? / 2).copied()
}

/// Pod, job and instance.
type Place<'a> = (&'a str, &'a str, &'a str);

/// Groups the series of one scheme; what belongs to neither revision is left out.
pub(crate) fn targets<'a>(subject: &Subject, scheme: Scheme, series: &'a [Series]) -> Vec<Target<'a>> {
    let mut groups: BTreeMap<Place<'a>, Vec<(Role, &'a Series)>> = BTreeMap::new();
    let place = |series: &'a Series| {
        let pod = if scheme.is_gateway() { "" } else { series.label("pod") };
        (pod, series.label("job"), series.label("instance"))
    };
    let canary = subject.canary.as_deref().map(|revision| Mark::of(subject, scheme, revision));
    let stable = Mark::of(subject, scheme, &subject.stable);
    let role = |series: &Series| match &canary {
        Some(canary) if canary.is_on(series) => Some(Role::Canary),
        _ => stable.is_on(series).then_some(Role::Stable),
    };
    for series in series {
        if let Some(role) = role(series) {
            groups.entry(place(series)).or_default().push((role, series));
        }
    }
    if scheme == Scheme::Evals {
        // Whoever judges is known by its verdicts; its `up` and its start, which have no revision, tell since when it is
        // there.
        for series in series.iter().filter(|series| ["up", "process_start_time_seconds"].contains(&series.name())) {
            if let Some(members) = groups.get_mut(&place(series)) {
                members.push((Role::Stable, series));
            }
        }
    }
    groups.into_iter().map(|((pod, job, instance), members)| target(scheme, pod, job, instance, members)).collect()
}

/// What tells the series of a revision.
enum Mark {
    /// Their pods' names begin so.
    Pods(String),
    /// A gateway's label with one of these values.
    Door(&'static str, Vec<Value>),
    /// The label `revision`.
    Evals(String),
}

impl Mark {
    fn of(subject: &Subject, scheme: Scheme, revision: &str) -> Self {
        match scheme {
            Scheme::Pods => Self::Pods(subject.pods(revision)),
            Scheme::Gateway(door) => {
                let (label, values) = subject.door(door, revision);
                Self::Door(label, values)
            }
            Scheme::Evals => Self::Evals(revision.to_owned()),
        }
    }

    fn is_on(&self, series: &Series) -> bool {
        match self {
            Self::Pods(prefix) => series.label("pod").starts_with(prefix.as_str()),
            Self::Door(label, values) => {
                let text = series.label(label);
                values.iter().any(|value| value.takes(text))
            }
            Self::Evals(revision) => series.label("revision") == revision,
        }
    }
}

fn target<'a>(scheme: Scheme, pod: &'a str, job: &str, instance: &str, members: Vec<(Role, &'a Series)>) -> Target<'a> {
    let mut answered = BTreeSet::new();
    let mut looks = Vec::new();
    let mut scraped = BTreeSet::new();
    let mut born = None;
    let mut duration = 0;
    let mut counters = Vec::new();
    let role = members.first().map(|(role, _)| *role).filter(|_| scheme == Scheme::Pods);
    for (role, series) in members {
        match series.name() {
            "up" => {
                scraped.extend(series.samples.iter().map(|sample| sample.at));
                looks.extend(series.samples.iter().filter(|sample| sample.value >= 1.0).map(|sample| sample.at));
                answered.extend(&looks);
            }
            "process_start_time_seconds" => born = Some(series),
            "scrape_duration_seconds" => {
                let last = series.samples.last().map_or(0.0, |sample| sample.value);
                duration = (last.clamp(0.0, 60.0) * 1000.0).ceil() as i64;
            }
            _ => {
                answered.extend(series.samples.iter().map(|sample| sample.at));
                counters.push((role, series));
            }
        }
    }
    scraped.extend(&answered);
    // The order of an answer is Prometheus' own affair.
    counters.sort_by(|(_, a), (_, b)| a.labels.cmp(&b.labels));
    Target {
        key: key(scheme, pod, job, instance),
        twins: Vec::new(),
        scheme,
        pod,
        role,
        series: counters,
        answered: answered.into_iter().collect(),
        looks,
        scraped: scraped.into_iter().collect(),
        born,
        duration,
    }
}

/// `p:POD:HASH`; the hash of job and instance keeps two endpoints of a pod apart.
pub(crate) fn key(scheme: Scheme, pod: &str, job: &str, instance: &str) -> String {
    let shown = if pod.is_empty() { instance } else { pod };
    let mut key = format!("{}:{shown}:", scheme.letter());
    for byte in Sha256::digest(format!("{job}\u{0}{instance}")).iter().take(4) {
        let _ = write!(key, "{byte:02x}");
    }
    key
}

/// The pod in a watermark's key.
pub(crate) fn pod_of(key: &str) -> Option<&str> {
    key.strip_prefix("p:")?.rsplit_once(':').map(|(pod, _)| pod)
}
