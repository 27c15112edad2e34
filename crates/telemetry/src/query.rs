//! What to ask: one query per label scheme, both revisions in it.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use microapp_core::{
    counts::{Ask, BeforeResult, Watch},
    probes::Probe,
    strategy::{Gate, GateKind, Judged, Share},
};

use crate::{
    gateways,
    own::{Picked, confined},
    pin::{self, Pin, Pins},
    presets::{self, Door, Scheme},
    pushed,
    selector::{Selector, Value},
};

/// The longest stretch of raw samples that is asked for, in milliseconds.
const LONGEST: i64 = 3_600_000;
/// How far preflight looks back at first, and at most, in milliseconds.
pub(crate) const BEFORE: i64 = 3_600_000;
pub(crate) const WEEK: i64 = 7 * 24 * 3_600_000;
/// In which slices, in milliseconds, and at most how many.
const SLICE: i64 = 60_000;
const SLICES: i64 = 300;
/// The stretch of raw samples that tells the scrape interval, in milliseconds.
const RECENT: i64 = 300_000;
/// The same where the pods push, which some do every five minutes.
const PUSHES: i64 = 900_000;
/// Windows that follow on the oldest watermark need this many intervals before it: its own predecessor, the window
/// before it (stable's neighbour) and what that one's deltas begin with.
const LEAD: f64 = 3.5;

/// A pod that is expected to be scraped.
#[derive(Clone, Debug, PartialEq)]
pub struct PodRef {
    /// Its name.
    pub name: String,
    /// When its containers last started, seconds since the epoch.
    pub started: f64,
}

/// What is measured: one rollout, two revisions, and where its attempt stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Subject {
    /// The rollout's namespace.
    pub namespace: String,
    /// The rollout's name.
    pub name: String,
    /// The Service's port.
    pub port: u16,
    /// The stable revision.
    pub stable: String,
    /// The canary, once there is one.
    pub canary: Option<String>,
    /// The gates of the plan.
    pub gates: Vec<Gate>,
    /// Windows are counted from here: seconds since the epoch.
    pub attempt_started: f64,
    /// When the weight in force was written: seconds since the epoch.
    pub step_since: Option<f64>,
    /// The canary's weight in parts per million.
    pub weight_ppm: i64,
    /// The canary's pods.
    pub canary_pods: Vec<PodRef>,
    /// Stable's pods.
    pub stable_pods: Vec<PodRef>,
    /// The length of a window in seconds, as preflight found it; fixed for the attempt.
    pub interval: Option<f64>,
    /// How far preflight looks back, in milliseconds; `None`: an hour.
    pub back: Option<i64>,
    /// What asks the pods without being a user.
    pub probes: Vec<Probe>,
    /// How the pod template asks for several processes in one pod (`--workers 4`), where it does.
    pub workers: Option<String>,
}

/// An instant query.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// Whose series it brings.
    pub scheme: Scheme,
    /// The text.
    pub promql: String,
    /// At which time, seconds since the epoch.
    pub time: f64,
    /// The first moment that it covers, milliseconds since the epoch.
    pub from: i64,
    /// What it brings.
    pub brings: Brings,
}

/// What an answer brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Brings {
    /// Raw samples.
    Raw,
    /// Slices of the time before.
    Slices,
    /// The value of a user's own query, for the gate at this place of the plan.
    Value(usize),
}

/// As Traefik normalizes names: without two dashes in a row.
fn single_dashes(text: &str) -> String {
    let mut single = text.to_owned();
    while single.contains("--") {
        single = single.replace("--", "-");
    }
    single
}

impl Subject {
    /// For preflight each gate stands there once more for each further source that it may read; behind all others, so that
    /// places stay.
    pub(crate) fn with_sources(&self, ask: &Ask) -> Cow<'_, Self> {
        if *ask == Ask::Windows || self.gates.iter().all(|gate| gate.fallbacks.is_empty()) {
            return Cow::Borrowed(self);
        }
        let at = |gate: &Gate, source| Gate { source, fallbacks: Vec::new(), ..gate.clone() };
        let first = self.gates.iter().map(|gate| at(gate, gate.source));
        let others = self.gates.iter().flat_map(|gate| gate.fallbacks.iter().map(|source| at(gate, *source)));
        Cow::Owned(Self { gates: first.chain(others).collect(), ..self.clone() })
    }

    /// Each gate once, at the source that preflight has chosen and no other; those without one as they are.
    pub(crate) fn settled(&self, found: &BTreeMap<String, BeforeResult>) -> Self {
        let source = |gate: &Gate| found.get(&gate.name)?.as_ref().ok()?.source;
        let mut gates: Vec<Gate> = Vec::new();
        for gate in &self.gates {
            if gates.iter().all(|known| known.name != gate.name) {
                gates.push(match source(gate) {
                    Some(source) => Gate { source, fallbacks: Vec::new(), ..gate.clone() },
                    None => gate.clone(),
                });
            }
        }
        Self { gates, ..self.clone() }
    }

    /// Seconds to milliseconds.
    pub(crate) fn start(&self) -> i64 {
        millis(self.attempt_started)
    }

    /// The length of a window in milliseconds, where preflight has found it.
    pub(crate) fn window(&self) -> Option<i64> {
        self.interval.filter(|interval| *interval > 0.0).map(millis)
    }

    /// Both revisions, stable first.
    pub(crate) fn revisions(&self) -> Vec<&str> {
        std::iter::once(self.stable.as_str()).chain(self.canary.as_deref()).collect()
    }

    /// How a gateway names the Service of a revision: the label, and its values.
    pub(crate) fn door(&self, door: Door, revision: &str) -> (&'static str, Vec<Value>) {
        let Self { namespace, name, port, .. } = self;
        match door {
            // Contour's; Envoy Gateway's with merged backends.
            Door::Envoy => (
                "envoy_cluster_name",
                vec![
                    Value::Is(format!("{namespace}_{name}-{revision}_{port}")),
                    Value::Is(format!("service/{namespace}/{name}-{revision}/{port}")),
                ],
            ),
            Door::Traefik => (
                "service",
                vec![
                    Value::Numbered(
                        single_dashes(&format!("httproute-{namespace}-{name}-gw-")),
                        format!("-svc-{namespace}-{name}-{revision}-"),
                        "@kubernetesgateway",
                    ),
                    // Before 3.7.
                    Value::Is(single_dashes(&format!("{namespace}-{name}-{revision}-http-{port}@kubernetesgateway"))),
                ],
            ),
            Door::Nginx => ("service", vec![Value::Is(format!("{name}-{revision}"))]),
            Door::Litellm => ("api_key_alias", vec![Value::Is(format!("{namespace}/{name}/{revision}"))]),
        }
    }

    /// What the names of a revision's pods begin with.
    pub(crate) fn pods(&self, revision: &str) -> String {
        format!("{}-{revision}-", self.name)
    }

    /// Is it a pod of another rollout with this revision? Every rollout's are named `<rollout>-<revision>-…`.
    pub(crate) fn is_others(&self, pod: &str, revision: &str) -> bool {
        pod.contains(&format!("-{revision}-")) && !pod.starts_with(&self.pods(revision))
    }

    /// The gates of one scheme with their place in the plan; all that may turn out to be where nothing is pinned yet.
    pub(crate) fn gates_of<'a>(
        &'a self,
        scheme: Scheme,
        pins: Option<&'a Pins>,
    ) -> impl Iterator<Item = (usize, &'a Gate)> {
        self.gates.iter().enumerate().filter(move |(_, gate)| presets::reads(gate, scheme, pins))
    }

    /// The schemes in use, in a fixed order.
    pub(crate) fn schemes(&self, pins: Option<&Pins>) -> Vec<Scheme> {
        let in_use = |scheme: &Scheme| self.gates.iter().any(|gate| presets::reads(gate, *scheme, pins));
        Scheme::ALL.into_iter().filter(in_use).collect()
    }

    /// The matchers of a scheme, without names. `bare`: series without the labels of evaluations come too (`up`).
    pub(crate) fn selector(&self, scheme: Scheme, revisions: &[&str], bare: bool) -> Selector {
        let none = || bare.then(String::new).into_iter();
        match scheme {
            Scheme::Pods | Scheme::Pushed(_) => {
                let pods: Vec<String> = revisions.iter().map(|revision| self.pods(revision)).collect();
                let names = scheme.names();
                Selector::within(names.namespace(), &self.namespace).prefixed(names.pod(), &pods)
            }
            Scheme::Gateway(door) => {
                let mut label = "";
                let mut values = Vec::new();
                for revision in revisions {
                    let (of, own) = self.door(door, revision);
                    label = of;
                    values.extend(own);
                }
                let selector = gateways::confine(Selector::gateway(label, &values), door == Door::Nginx);
                // The controller knows whose Ingress it was; a Service's name alone says nothing.
                if door == Door::Nginx { selector.equal("namespace", &self.namespace) } else { selector }
            }
            Scheme::Evals => {
                let revisions: Vec<String> = none().chain(revisions.iter().map(|r| (*r).to_owned())).collect();
                let sampling: Vec<String> = none().chain(["random".to_owned()]).collect();
                // A revision's hash does not hold the rollout's name, and judges that do not know it leave the label out.
                let rollouts = [String::new(), self.name.clone()];
                let selector = Selector::namespace(&self.namespace).any("revision", &revisions);
                let selector = selector.any("rollout", &rollouts);
                let selector = selector.any("sampling", &sampling);
                match self.evaluators() {
                    Some(evaluators) => selector.any("evaluator", &none().chain(evaluators).collect::<Vec<_>>()),
                    None => selector,
                }
            }
        }
    }

    /// The evaluators that the gates name; `None` where one of them takes every evaluator.
    fn evaluators(&self) -> Option<Vec<String>> {
        let mut named = Vec::new();
        for (_, gate) in self.gates_of(Scheme::Evals, None) {
            match &gate.kind {
                GateKind::Judged { what: Judged::Feedback, .. } => {}
                GateKind::Judged { evaluator, .. } => named.push(evaluator.clone()?),
                _ => {}
            }
        }
        (!named.is_empty()).then_some(named)
    }
}

/// Seconds to milliseconds.
pub(crate) fn millis(seconds: f64) -> i64 {
    (seconds * 1000.0).round() as i64
}

/// The instant queries of an [`Ask`]: for windows one per label scheme, raw samples since the watermarks; for the
/// baseline two per scheme, an hour in slices and some minutes of raw samples that tell the interval.
pub fn queries(subject: &Subject, ask: &Ask, watch: &Watch, now: f64) -> Vec<Query> {
    let subject = &*subject.with_sources(ask);
    let pins = pins(watch);
    let mut queries = Vec::new();
    match ask {
        Ask::Baseline => {
            for scheme in subject.schemes(None) {
                queries.extend(baseline(subject, scheme, now));
            }
        }
        Ask::Windows => {
            for scheme in subject.schemes(Some(&pins)) {
                queries.extend(windows(subject, scheme, watch, &pins, now));
            }
        }
    }
    queries.extend(values(subject, ask, &pins, now));
    queries
}

fn windows(subject: &Subject, scheme: Scheme, watch: &Watch, pins: &Pins, now: f64) -> Option<Query> {
    let mut names = Vec::new();
    let mut bounds: Option<BTreeSet<String>> = Some(BTreeSet::new());
    for (_, gate) in subject.gates_of(scheme, Some(pins)) {
        if let Some(pin) = pins.get(&gate.name) {
            names.extend(pin.names(gate, scheme));
            bounds = bounds.zip(bounds_of(gate, pin)).map(|(known, more)| known.into_iter().chain(more).collect());
        } else {
            names.extend(presets::candidates(gate, scheme));
            let own = if matches!(gate.kind, GateKind::Slow { .. }) { None } else { bounds_of(gate, &Pin::default()) };
            bounds = bounds.zip(own).map(|(known, more)| known.into_iter().chain(more).collect());
        }
    }
    match scheme {
        Scheme::Pods => {
            names.extend(["up", "process_start_time_seconds", "scrape_duration_seconds"].map(str::to_owned));
        }
        Scheme::Pushed(_) => names.push(pushed::BEAT.to_owned()),
        Scheme::Evals => names.extend(["up", "process_start_time_seconds"].map(str::to_owned)),
        Scheme::Gateway(_) => {}
    }
    let interval = subject.window().unwrap_or(15_000);
    let now_ms = millis(now);
    let oldest = oldest(watch, scheme, interval).unwrap_or_else(|| subject.start());
    let range = (now_ms - oldest).max(0) + (LEAD * interval as f64).ceil() as i64;
    let range = range.min(LONGEST.max(8 * interval));
    let mut selector = named(subject.selector(scheme, &subject.revisions(), true), names);
    if scheme != Scheme::Evals
        && let Some(bounds) = bounds
    {
        let bounds: Vec<String> = std::iter::once(String::new()).chain(bounds).collect();
        selector = selector.any("le", &bounds);
    }
    let promql = selector.raw(range).ok()?;
    Some(Query { scheme, promql, time: now, from: now_ms - range, brings: Brings::Raw })
}

/// The bounds that a gate needs; `None`: all.
fn bounds_of(gate: &Gate, pin: &Pin) -> Option<Vec<String>> {
    let GateKind::Share { what: Share::Ratio { bad, total }, .. } = &gate.kind else { return Some(pin.bounds()) };
    let own = |text: &str| Picked::parse(text).map_or(Some(Vec::new()), |picked| picked.bounds());
    Some([own(bad)?, own(total)?].concat())
}

/// The user's own queries. In preflight, when the canary has had no traffic, about stable.
fn values(subject: &Subject, ask: &Ask, pins: &Pins, now: f64) -> Vec<Query> {
    let revision = match ask {
        Ask::Baseline => &subject.stable,
        Ask::Windows => subject.canary.as_ref().unwrap_or(&subject.stable),
    };
    let mut queries = Vec::new();
    for (place, gate) in subject.gates.iter().enumerate() {
        let GateKind::Query { promql, .. } = &gate.kind else { continue };
        let schemes: Vec<Scheme> = match ask {
            Ask::Baseline => presets::scheme(gate.source).ways().collect(),
            Ask::Windows => vec![pin::scheme(gate, pins)],
        };
        for scheme in schemes {
            // One that cannot be confined is not asked, which preflight says.
            let Ok(promql) = confined(promql, subject, scheme, revision) else { continue };
            let brings = Brings::Value(place);
            queries.push(Query { scheme, promql, time: now, from: millis(now), brings });
        }
    }
    queries
}

/// A target that has been silent for 20 intervals more than the others (and two minutes: the interval may have become
/// longer) does not make everybody's query longer: its next sample is a new beginning. In milliseconds.
pub(crate) fn forgotten(interval: i64) -> i64 {
    (20 * interval).max(120_000)
}

/// The oldest watermark to go on from; of a target that is not believed the last sample that was.
fn oldest(watch: &Watch, scheme: Scheme, interval: i64) -> Option<i64> {
    let newest = watch.watermarks.values().copied().max()?;
    let own = watch.watermarks.iter().filter(|(key, _)| key.starts_with(scheme.letter()));
    let own = own
        .filter(|(_, at)| **at >= newest - forgotten(interval))
        .map(|(key, at)| watch.doubts.get(key).filter(|doubt| doubt.holds()).map_or(*at, |doubt| doubt.since.min(*at)));
    own.min().or(Some(newest))
}

fn baseline(subject: &Subject, scheme: Scheme, now: f64) -> Vec<Query> {
    let gates = || subject.gates_of(scheme, None).map(|(_, gate)| gate);
    let mut names: Vec<String> = gates().flat_map(|gate| presets::candidates(gate, scheme)).collect();
    let mut beat = names.clone();
    names.extend(gates().flat_map(|gate| presets::witnesses(gate, scheme)));
    match scheme {
        Scheme::Pods => {
            names.extend(["up", "process_start_time_seconds"].map(str::to_owned));
            // What is pushed with the labels of a scrape has no `up`.
            beat = vec!["up".to_owned(), pushed::BEAT.to_owned()];
        }
        Scheme::Pushed(_) => {
            names.push(pushed::BEAT.to_owned());
            beat.push(pushed::BEAT.to_owned());
        }
        Scheme::Gateway(_) => {
            let requests = gates().flat_map(|gate| presets::definition(gate.source).requests);
            beat = requests.map(|name| (*name).to_owned()).collect();
        }
        Scheme::Evals => {}
    }
    // Votes and costs have no `sampling`.
    let bare =
        |gate: &Gate| matches!(gate.kind, GateKind::Judged { what: Judged::Feedback, .. } | GateKind::Budget { .. });
    let bare = scheme == Scheme::Evals && subject.gates.iter().any(bare);
    let selector = || subject.selector(scheme, &[&subject.stable], bare);
    let now_ms = millis(now);
    let back = subject.back.unwrap_or(BEFORE);
    // Whole minutes, so that the slices of all series lie at the same moments.
    let slice = SLICE * (back / SLICES / SLICE + i64::from(back / SLICES % SLICE > 0)).max(1);
    let hour = named(selector(), names).sliced(back, slice).ok();
    let beat = named(selector(), beat);
    let (beat, recent) =
        if matches!(scheme, Scheme::Pushed(_)) { (beat.equal("le", ""), PUSHES) } else { (beat, RECENT) };
    let minutes = beat.raw(recent).ok();
    let hour = hour.map(|promql| Query { scheme, promql, time: now, from: now_ms - back, brings: Brings::Slices });
    let minutes = minutes.map(|promql| Query { scheme, promql, time: now, from: now_ms - recent, brings: Brings::Raw });
    hour.into_iter().chain(minutes).collect()
}

fn named(selector: Selector, names: Vec<String>) -> Selector {
    let names: BTreeSet<String> = names.into_iter().collect();
    selector.any("__name__", &names.into_iter().collect::<Vec<_>>())
}

/// The pins of all gates that have one.
pub(crate) fn pins(watch: &Watch) -> Pins {
    watch.pins.iter().filter_map(|(gate, text)| Some((gate.clone(), Pin::read(text)?))).collect()
}
