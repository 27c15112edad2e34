//! What stable did before the attempt, and what preflight finds missing.

use std::{borrow::Cow, collections::BTreeMap};

use microapp_core::{
    counts::{Before, BeforeResult, Counts, Per, Side, Unfit, Unknown},
    explain,
    strategy::{Gate, GateKind},
};

use crate::{
    caveat,
    delta::{Increment, Known, Wanted, increments},
    digest::ambiguous,
    part::{Part, Reader},
    pin::{self, Pin, Pins},
    presets::{self, Scheme},
    prices::PriceTable,
    pushed::{self, Names},
    query::{BEFORE, Brings, Query, Subject, WEEK},
    ratio,
    series::{Answer, Series},
    several::{self, Finding},
    tally::Tally,
    target::{Role, Target, median, targets},
    trust::LAG,
    twins::{Distinct, distinct},
    value,
};

/// From so many bad ones on the overdispersion is believed.
const ENOUGH: u64 = 30;
/// Without any scrape seen, in seconds.
const DEFAULT_INTERVAL: f64 = 15.0;

/// Sums the hour of slices up, per gate and source. Of several sources the first one that stable has counts; one that cannot
/// tell users from probes only where there is no other.
pub(crate) fn baseline(subject: &Subject, asked: &[(Query, &Answer)], prices: &PriceTable) -> Counts {
    let mut gates: BTreeMap<String, BeforeResult> = BTreeMap::new();
    let mut pins = Pins::new();
    let mut best = BTreeMap::new();
    // Whether users' own queries are about what is pushed is known from the other gates.
    let (own, counted): (Vec<_>, Vec<_>) =
        subject.gates.iter().enumerate().partition(|(_, gate)| matches!(gate.kind, GateKind::Query { .. }));
    let slices = asked.iter().filter(|(query, _)| query.brings == Brings::Slices);
    let slices: BTreeMap<Scheme, Distinct> =
        slices.map(|(query, answer)| (query.scheme, distinct(query.scheme, &answer.series, LAG))).collect();
    let every = gap(subject, asked, Scheme::Pods).map(|seconds| (seconds * 1000.0) as i64);
    for (_, gate) in counted {
        let (found, pin) = match look(subject, gate, &slices, prices, every) {
            Ok((before, pin)) => (Ok(Before { source: Some(gate.source), ..before }), Some(pin)),
            Err(unfit) => (Err(unfit), None),
        };
        let rank = rank(&found, pin.as_ref().is_some_and(|pin| pin.mixed));
        if best.get(gate.name.as_str()).is_none_or(|best| rank > *best) {
            best.insert(gate.name.as_str(), rank);
            gates.insert(gate.name.clone(), found);
            pins.extend(pin.map(|pin| (gate.name.clone(), pin)));
        }
    }
    for (place, gate) in own {
        let found = value::before(subject, place, asked, &pins).map(|(before, pushed)| {
            // Without a pin it would be asked where the others push.
            if pins.values().any(|pin| pin.pushed.is_some()) || pushed.is_some() {
                pins.insert(gate.name.clone(), Pin { pushed, ..Pin::default() });
            }
            before
        });
        gates.insert(gate.name.clone(), found);
    }
    let subject = &subject.settled(&gates);
    // The slowest source in use.
    let gap = |scheme| gap(subject, asked, scheme);
    let interval = subject.schemes(Some(&pins)).into_iter().filter_map(gap).reduce(f64::max);
    let interval = interval.unwrap_or(DEFAULT_INTERVAL);
    remark(subject, &pins, gap, &mut gates);
    let pins = pins.into_iter().map(|(gate, pin)| (gate, pin.write())).collect();
    Counts::Baseline { gates, interval, pins }
}

/// How good what a source said is, to compare the sources of one gate. What stable exposes and cannot be used says more
/// than what it does not expose.
fn rank(found: &BeforeResult, mixed: bool) -> u8 {
    match found {
        Ok(_) if !mixed => 3,
        Ok(_) => 2,
        Err(Unfit { reason: Unknown::NoData, .. }) => 0,
        Err(_) => 1,
    }
}

/// Says once, with the first gate of each way of pushing, that the series of its gates are pushed.
fn remark(
    subject: &Subject,
    pins: &Pins,
    gap: impl Fn(Scheme) -> Option<f64>,
    gates: &mut BTreeMap<String, BeforeResult>,
) {
    for names in Names::ALL {
        let is_pushed = |gate: &&Gate| pins.get(&gate.name).is_some_and(|pin| pin.pushed == Some(names));
        let mut own = subject.gates.iter().filter(is_pushed).map(|gate| gate.name.as_str());
        let Some(first) = own.next() else { continue };
        let every = gap(Scheme::Pushed(names)).unwrap_or(DEFAULT_INTERVAL);
        let remark = pushed::remark(names, &own.collect::<Vec<_>>(), every);
        if let Some(Ok(before)) = gates.get_mut(first) {
            before.caveat = Some(match before.caveat.take() {
                Some(other) => format!("{remark}; {other}"),
                None => remark,
            });
        }
    }
}

/// How far the samples of a scheme's targets are apart, in seconds.
fn gap(subject: &Subject, asked: &[(Query, &Answer)], scheme: Scheme) -> Option<f64> {
    // What is pushed with the labels of a scrape comes with what is scraped.
    let (asked_as, up) = match scheme {
        Scheme::Pods => (Scheme::Pods, Some(true)),
        Scheme::Pushed(Names::Plain) => (Scheme::Pods, Some(false)),
        Scheme::Pushed(Names::Attributes) | Scheme::Gateway(_) | Scheme::Evals => (scheme, None),
    };
    let (_, answer) = asked.iter().find(|(query, _)| query.scheme == asked_as && query.brings == Brings::Raw)?;
    let targets = targets(subject, asked_as, &answer.series);
    let own = targets.iter().filter(|target| up.is_none_or(|up| target.up == up));
    Some(median(own.filter_map(Target::gap).collect())? as f64 / 1000.0)
}

/// Looks for stable's series among those of the pods that are scraped, then among those that are pushed.
fn look(
    subject: &Subject,
    gate: &Gate,
    slices: &BTreeMap<Scheme, Distinct>,
    prices: &PriceTable,
    every: Option<i64>,
) -> Result<(Before, Pin), Unfit> {
    let of = |scheme: Scheme| slices.get(&scheme).map_or_else(|| Cow::Owned(distinct(scheme, &[], LAG)), Cow::Borrowed);
    let is_there = |slices: &Distinct| {
        let names = presets::candidates(gate, slices.scheme);
        slices.series.iter().any(|series| names.iter().any(|name| name == series.name()))
    };
    let own = presets::scheme(gate.source);
    let scraped = of(own);
    let mut unfit = match before(subject, &scraped, gate, prices, every) {
        Err(unfit) if !unfit.fatal && !is_there(&scraped) => unfit,
        found => return found,
    };
    for scheme in own.ways().skip(1) {
        let pushed = of(scheme);
        match before(subject, &pushed, gate, prices, every) {
            Err(_) if !is_there(&pushed) => {
                if pushed.series.iter().any(|series| series.name() == pushed::BEAT) {
                    unfit.message = format!("{}; {}", unfit.message, pushed::unpromoted());
                }
            }
            found => return found,
        }
    }
    Err(unfit)
}

/// Requests that a baseline should hold: so many over stable's share of bad ones.
const HOLD: f64 = 100.0;

/// How far to look back, in milliseconds, where some gate's hour does not hold 100/p̂ requests and there was traffic all
/// that time: as far as that should take, a week at most.
pub(crate) fn further(counts: &Counts) -> Option<i64> {
    let Counts::Baseline { gates, .. } = counts else { return None };
    let needed = |before: &Before| {
        let (bad, total) = match before.side {
            Side::Count { below, total, .. } => (below, total),
            Side::Late { bad, void, started, .. } => (bad, started.saturating_sub(void)),
            // How much a mean spreads is not known before.
            Side::Mean { .. } | Side::Value { .. } => return None,
        };
        let whole = before.seconds * 1000.0 >= 0.9 * BEFORE as f64;
        let share = (bad as f64 + 0.5) / (total as f64 + 1.0);
        (whole && total > 0).then(|| HOLD / share / total as f64)
    };
    let most = gates.values().filter_map(|gate| needed(gate.as_ref().ok()?)).fold(1.0, f64::max);
    (most > 1.0).then(|| ((BEFORE as f64 * most) as i64).min(WEEK))
}

/// The longer look, where it found the gate too.
pub(crate) fn joined(hour: Counts, more: Counts) -> Counts {
    match (hour, more) {
        (Counts::Baseline { gates: hour, interval, pins }, Counts::Baseline { gates: mut more, .. }) => {
            let gates = hour.into_iter().map(|(name, found)| match more.remove(&name) {
                // Means and values are of now.
                Some(Ok(longer)) if found.as_ref().is_ok_and(|found| is_counted(found.side)) => {
                    // How long steps take depends on the traffic of now.
                    let rps = found.as_ref().ok().and_then(rate);
                    let delay = found.as_ref().ok().and_then(|found| found.delay);
                    (name, Ok(Before { rps, delay, ..longer }))
                }
                Some(_) | None => (name, found),
            });
            Counts::Baseline { gates: gates.collect(), interval, pins }
        }
        (hour, _) => hour,
    }
}

/// Requests per second.
fn rate(before: &Before) -> Option<f64> {
    let requests = match before.side {
        Side::Count { total, .. } => total,
        Side::Late { void, started, .. } => started.saturating_sub(void),
        Side::Mean { n, .. } => n,
        Side::Value { .. } => return None,
    };
    (before.seconds > 0.0).then(|| requests as f64 / before.seconds)
}

const fn is_counted(side: Side) -> bool {
    matches!(side, Side::Count { .. } | Side::Late { .. })
}

/// `every`: how far the scrapes of pods are apart, in milliseconds.
fn before(
    subject: &Subject,
    slices: &Distinct,
    gate: &Gate,
    prices: &PriceTable,
    every: Option<i64>,
) -> Result<(Before, Pin), Unfit> {
    let scheme = slices.scheme;
    let wanted = subject.selector(scheme, &[&subject.stable], false).render();
    let (targets, twins) = (slices.targets(subject), slices.caveat());
    let stable: Vec<&Series> = targets.iter().flat_map(|target| target.series.iter().map(|(_, s)| *s)).collect();
    let pin = lately(subject, gate, pin::choose(gate, &stable, prices, &wanted)?, &targets, prices);
    let note = ratio::look(&gate.kind, &stable)?;
    let reader = Reader::new(gate, &pin, prices).probed(&subject.probes).scraped(every);
    let wanted_gate = [Wanted { index: 0, reader }];
    if let Some(unfit) = unfit(subject, &targets, &wanted_gate[0].reader, &wanted) {
        return Err(unfit);
    }
    let pushed = pushed(slices.scheme, &targets, &wanted_gate[0].reader);
    let slices_of = |target| increments(target, &Known::of_slices(target.started(subject)), &wanted_gate);
    let slices: Vec<Vec<Increment>> = targets.iter().map(slices_of).collect();

    let mut sum = Tally::default();
    let mut worst = None;
    for increment in slices.iter().flatten() {
        match &increment.cells[0][Role::Stable as usize] {
            Ok(tally) => sum.add(tally),
            Err(unknown) => worst = worst.max(Some(*unknown)),
        }
    }
    // Slices lie on whole minutes, so the last one or two minutes are in none.
    let young = slices.iter().all(Vec::is_empty);
    let silent = |what: &str| Unfit {
        reason: worst.unwrap_or(Unknown::NoData),
        message: if young {
            format!(
                "{} of stable with {wanted} is not there for a whole minute yet, and {what} are counted by whole minutes: it \
                 goes on by itself within two minutes of traffic",
                pin.family
            )
        } else {
            format!(
                "{} of stable with {wanted} counted no {what} in the whole minutes before: it goes on by itself within two \
                 minutes of traffic",
                pin.family
            )
        },
        fatal: false,
    };
    let side = match sum.side(&gate.kind) {
        Ok(side @ Side::Value { .. }) => side,
        Ok(_) if sum.total() == 0 => return Err(silent("requests")),
        Ok(Side::Late { bad: 0, good: 0, .. }) => return Err(silent("verdicts: is the evaluator alive?")),
        Ok(Side::Mean { sum: 0, .. }) if matches!(gate.kind, GateKind::Mean { .. }) => {
            return Err(silent("tokens beside its requests"));
        }
        Ok(side) => side,
        Err(unknown) => {
            let what = match unknown {
                Unknown::StreamsUnmeasured | Unknown::TokensMissing => explain::unknown(unknown),
                _ => "contradicts itself over the time before",
            };
            let message = format!("{} of stable with {wanted} {what}", pin.family);
            return Err(Unfit { reason: unknown, message, fatal: false });
        }
    };
    let first = slices.iter().flatten().map(|increment| increment.since).min().unwrap_or(0);
    let last = slices.iter().flatten().map(|increment| increment.at).max().unwrap_or(0);
    let seconds = (last - first).max(0) as f64 / 1000.0;
    let phi = if targets.len() > 1 { overdispersion(&gate.kind, &slices) } else { 1.0 };
    let delay = matches!(side, Side::Late { .. }).then(|| delay(&targets, &wanted_gate[0].reader)).flatten();
    let mixed = caveat::mixed(&pin, &stable, &sum);
    let several = caveat::several(subject, gate, scheme);
    let caveats = [note, mixed, several, caveat::caveat(subject, gate, &pin, &targets, &stable, prices), twins];
    let caveat = caveats.into_iter().flatten().reduce(|one, more| format!("{one}; {more}"));
    Ok((Before { phi, delay, caveat, per: pin.per, ..Before::of(side, seconds) }, Pin { pushed, ..pin.clone() }))
}

/// What is pinned goes by all that stable's pods have counted; where the last hour was another, by that: not all of its
/// answers had a token count, or named a model.
fn lately(subject: &Subject, gate: &Gate, pin: Pin, targets: &[Target], prices: &PriceTable) -> Pin {
    if !matches!(gate.kind, GateKind::Mean { .. } | GateKind::Model { .. }) {
        return pin;
    }
    let refused = {
        let wanted = [Wanted { index: 0, reader: Reader::new(gate, &pin, prices).probed(&subject.probes) }];
        let slices = |target| increments(target, &Known::of_slices(Target::started(target, subject)), &wanted);
        let mut sum = Tally::default();
        for increment in targets.iter().flat_map(slices) {
            if let Ok(tally) = &increment.cells[0][Role::Stable as usize] {
                sum.add(tally);
            }
        }
        sum.side(&gate.kind).err()
    };
    match (refused, &gate.kind) {
        (Some(Unknown::TokensMissing), GateKind::Mean { .. }) => {
            let per = if pin.users.is_empty() { Per::Counted } else { Per::UserCounted };
            Pin { per, ..pin }
        }
        (Some(Unknown::StreamsUnmeasured), GateKind::Model { .. }) => Pin { some: true, ..pin },
        _ => pin,
    }
}

/// By which labels the series that a gate reads are told apart, where nobody scrapes them.
fn pushed(scheme: Scheme, targets: &[Target], reader: &Reader) -> Option<Names> {
    match scheme {
        Scheme::Pushed(names) => Some(names),
        Scheme::Pods => {
            let is_read = |target: &&Target| target.series.iter().any(|(_, series)| reader.part(series).is_some());
            let is_scraped = targets.iter().filter(is_read).any(|target| target.up);
            (!is_scraped).then_some(Names::Plain)
        }
        Scheme::Gateway(_) | Scheme::Evals => None,
    }
}

/// Numbers that are not those of one process each, and what to do about it.
fn unfit(subject: &Subject, targets: &[Target], reader: &Reader, wanted: &str) -> Option<Unfit> {
    let is_total = |series: &Series| reader.part(series).is_some_and(Part::is_total);
    if let Some([one, other]) = ambiguous(targets, &is_total) {
        let message = format!(
            "{} of stable is scraped as {} and as {}, which count different things under the same names: let this gate \
             see one of them (one port, one monitor)",
            one.pod,
            one.shown(other),
            other.shown(one)
        );
        return Some(Unfit { reason: Unknown::Ambiguous, message, fatal: false });
    }
    let message = match several::finding(subject, targets, reader)? {
        Finding::Gauge(name) => format!(
            "{name} of stable with {wanted} rises and falls although nothing restarts: it is a gauge, and this gate \
             counts; name a counter, or use a `query` gate"
        ),
        Finding::Processes { place, shown } => format!(
            "several processes answer behind the /metrics of {place}: {shown}; what one of them counts is not what users \
             got: run one process per pod (`--workers 1`, and more replicas), or let them count together \
             (PROMETHEUS_MULTIPROC_DIR, the multiprocess mode of prometheus_client)"
        ),
    };
    Some(Unfit { reason: Unknown::NonMonotone, message, fatal: false })
}

/// No judge is believed to take longer, in seconds.
const LATEST: f64 = 600.0;

/// Seconds from a request to its verdict (Little's law): those that are open, over how many there are a second. Verdicts
/// that never come would look like late ones: how many more are open than when the first verdict of that time had come
/// says how many are lost, where that is more than chance (three standard deviations of the difference of two Poisson
/// numbers).
fn delay(targets: &[Target], reader: &Reader) -> Option<f64> {
    let (mut open, mut started, mut more_open, mut more_started, mut seconds) = (0.0, 0.0, 0.0, 0.0, 0.0_f64);
    for target in targets {
        // Started and judged until then.
        let until = |at: i64| {
            let own = target.series.iter().filter(|(role, _)| *role == Role::Stable);
            own.fold((0.0, 0.0), |(started, judged), (_, series)| match (reader.part(series), series.at(at)) {
                (Some(Part::Total { .. }), Some(value)) => (started + value, judged),
                (Some(Part::Verdict(_) | Part::Foreign), Some(value)) => (started, judged + value),
                _ => (started, judged),
            })
        };
        let Some(last) = target.answered.last().copied() else { continue };
        let Some(first) = target.answered.iter().copied().find(|at| until(*at).1 > 0.0) else { continue };
        let (now, then) = (until(last), until(first));
        started += now.0;
        open += now.0 - now.1;
        more_started += now.0 - then.0;
        more_open += now.0 - now.1 - (then.0 - then.1);
        seconds = seconds.max((last - first) as f64 / 1000.0);
    }
    let rps = (more_started > 0.0 && seconds > 0.0).then(|| more_started / seconds)?;
    let chance = 3.0 * (2.0 * open.clamp(1.0, (rps * LATEST).max(1.0))).sqrt();
    let lost = if more_open > chance { started * more_open / more_started } else { 0.0 };
    Some((open - lost).max(0.0) / rps)
}

/// φ̂ over the slices, from two halves A and B of stable's targets: the mean of (x_A − Kθ)² / (Kθ(1 − θ)) with
/// K = x_A + x_B and θ = n_A / (n_A + n_B); at least 1, and 1 with fewer than 30 bad ones.
fn overdispersion(kind: &GateKind, slices: &[Vec<Increment>]) -> f64 {
    let mut halves: BTreeMap<i64, [(u64, u64); 2]> = BTreeMap::new();
    for (place, increments) in slices.iter().enumerate() {
        for increment in increments {
            if let Ok(tally) = &increment.cells[0][Role::Stable as usize] {
                let (bad, total) = &mut halves.entry(increment.at).or_default()[place % 2];
                *bad += tally.bad(kind);
                *total += tally.total();
            }
        }
    }
    let (mut sum, mut slices, mut all) = (0.0, 0.0, 0);
    for [(bad_a, total_a), (bad_b, total_b)] in halves.into_values() {
        all += bad_a + bad_b;
        if bad_a + bad_b == 0 || total_a == 0 || total_b == 0 {
            continue;
        }
        let bad = (bad_a + bad_b) as f64;
        let share = total_a as f64 / (total_a + total_b) as f64;
        sum += (bad_a as f64 - bad * share).powi(2) / (bad * share * (1.0 - share));
        slices += 1.0;
    }
    if all < ENOUGH || slices < 1.0 { 1.0 } else { (sum / slices).max(1.0) }
}
