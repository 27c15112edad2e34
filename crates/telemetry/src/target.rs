//! Series grouped by the target that was scraped.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use sha2::{Digest as _, Sha256};

use crate::{
    presets::Scheme,
    pushed,
    query::{PodRef, Subject, millis},
    routes::Routes,
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
    /// Who scraped it, or `service.name` of the process that pushes.
    pub(crate) job: &'a str,
    /// It has `up`: somebody scrapes it.
    pub(crate) up: bool,
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
        let pod = if scheme.is_gateway() { "" } else { series.label(scheme.names().pod()) };
        (pod, series.label("job"), series.label("instance"))
    };
    let canary = subject.canary.as_deref().map(|revision| Mark::of(subject, scheme, revision));
    let stable = Mark::of(subject, scheme, &subject.stable);
    let role = |series: &Series| match &canary {
        Some(canary) if canary.is_on(subject, series) => Some(Role::Canary),
        _ => stable.is_on(subject, series).then_some(Role::Stable),
    };
    let routes = matches!(scheme, Scheme::Pods | Scheme::Pushed(_)).then(|| Routes::of(&subject.probes, series));
    let of_users = |series: &Series| routes.as_ref().is_none_or(|routes| routes.of_users(series));
    for series in series {
        if let Some(role) = role(series).filter(|_| of_users(series)) {
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
    /// Their pods' names, in this label, begin so.
    Pods(&'static str, String),
    /// A gateway's label with one of these values.
    Door(&'static str, Vec<Value>),
    /// The label `revision`, and `rollout` where the judge knows it.
    Evals(String),
}

impl Mark {
    fn of(subject: &Subject, scheme: Scheme, revision: &str) -> Self {
        match scheme {
            Scheme::Pods | Scheme::Pushed(_) => Self::Pods(scheme.names().pod(), subject.pods(revision)),
            Scheme::Gateway(door) => {
                let (label, values) = subject.door(door, revision);
                Self::Door(label, values)
            }
            Scheme::Evals => Self::Evals(revision.to_owned()),
        }
    }

    fn is_on(&self, subject: &Subject, series: &Series) -> bool {
        match self {
            Self::Pods(label, prefix) => series.label(label).starts_with(prefix.as_str()),
            Self::Door(label, values) => {
                let text = series.label(label);
                values.iter().any(|value| value.takes(text))
            }
            Self::Evals(revision) => {
                let own = match series.label("rollout") {
                    "" => !subject.is_others(series.label("pod"), revision),
                    rollout => rollout == subject.name,
                };
                own && series.label("revision") == revision
            }
        }
    }
}

fn target<'a>(
    scheme: Scheme,
    pod: &'a str,
    job: &'a str,
    instance: &str,
    members: Vec<(Role, &'a Series)>,
) -> Target<'a> {
    let is_pod = matches!(scheme, Scheme::Pods | Scheme::Pushed(_));
    let mut answered = BTreeSet::new();
    let mut looks = Vec::new();
    let mut scraped = BTreeSet::new();
    let mut up = false;
    let mut born = None;
    let mut duration = if matches!(scheme, Scheme::Pushed(_)) { pushed::SETTLE } else { 0 };
    let mut counters = Vec::new();
    let role = members.first().map(|(role, _)| *role).filter(|_| is_pod);
    for (role, series) in members {
        match series.name() {
            "up" => {
                up = true;
                scraped.extend(series.samples.iter().map(|sample| sample.at));
                looks.extend(series.samples.iter().filter(|sample| sample.value >= 1.0).map(|sample| sample.at));
                answered.extend(&looks);
            }
            "process_start_time_seconds" => born = Some(series),
            "scrape_duration_seconds" => {
                let last = series.samples.last().map_or(0.0, |sample| sample.value);
                duration = (last.clamp(0.0, 60.0) * 1000.0).ceil() as i64;
            }
            // It is there as long as the process pushes, and counts nothing.
            pushed::BEAT => answered.extend(series.samples.iter().map(|sample| sample.at)),
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
        job,
        up,
        role,
        series: counters,
        answered: answered.into_iter().collect(),
        looks,
        scraped: scraped.into_iter().collect(),
        born,
        duration,
    }
}

/// `p:POD:HASH` (`o:POD:HASH` where it pushes); the hash of job and instance keeps two endpoints of a pod apart.
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
    key.strip_prefix("p:").or_else(|| key.strip_prefix("o:"))?.rsplit_once(':').map(|(pod, _)| pod)
}
