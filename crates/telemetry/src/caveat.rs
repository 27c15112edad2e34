//! What people should know of a gate although it works.

use microapp_core::{
    counts::Side,
    explain::dollars,
    strategy::{Gate, GateKind, Mean, Share, Slow},
};

use crate::{
    bounds,
    delta::{Known, Wanted, increments},
    means,
    outcome::OTHER,
    part::Reader,
    pin::{self, Pin},
    presets::{self, Definition, Scheme},
    prices::PriceTable,
    query::Subject,
    routes,
    series::Series,
    streams::{self, Early},
    tally::Tally,
    target::{Role, Target},
    words,
};

/// In a sentence without its full stop, if there is anything to say. `stable`: all series of the targets.
pub(crate) fn caveat(
    subject: &Subject,
    gate: &Gate,
    pin: &Pin,
    targets: &[Target],
    stable: &[&Series],
    prices: &PriceTable,
) -> Option<String> {
    let definition = presets::definition(gate.source);
    let words: Vec<String> = match gate.kind.clone() {
        GateKind::Share { what: Share::Errors, .. } => {
            let other = other(gate, pin, stable);
            let unknown = unknown(definition, pin, stable);
            other.into_iter().chain(unknown).chain(streams::unseen(definition, &pin.family, stable)).collect()
        }
        GateKind::Share { what: Share::Throttled, .. } => streams::unrefused(definition, &pin.family, stable),
        GateKind::Slow { what: Slow::Response, .. } => {
            let lengths = streams::lengths(definition, &pin.family, stable);
            bounds(gate, pin)
                .into_iter()
                .chain(lengths)
                .chain(streams::waits(definition, &pin.family, stable))
                .collect()
        }
        GateKind::Slow { what: Slow::FirstToken, .. } => {
            bounds(gate, pin).into_iter().chain(streams::waits(definition, &pin.family, stable)).collect()
        }
        GateKind::Slow { what: Slow::PerToken, .. } => bounds(gate, pin).into_iter().collect(),
        GateKind::Mean { what, .. } => means::caveats(definition, pin, stable, (what == Mean::Cost).then_some(prices)),
        GateKind::Budget { .. } => budget(gate, pin, targets, stable, prices),
        GateKind::Judged { .. } => anybodys(subject, &pin.family, stable).into_iter().collect(),
        GateKind::Model { .. } => {
            let configured = definition.model_is.map(str::to_owned);
            nameless(definition, pin, stable).into_iter().chain(configured).collect()
        }
        GateKind::Share { .. } | GateKind::Traffic | GateKind::Saturation { .. } | GateKind::Query { .. } => Vec::new(),
    };
    (!words.is_empty()).then(|| words.join("; "))
}

/// Verdicts that do not say of which rollout they are, of a judge that is no pod of this one's.
fn anybodys(subject: &Subject, family: &str, stable: &[&Series]) -> Option<String> {
    let own = subject.pods(&subject.stable);
    let nameless = |series: &&&Series| {
        series.name() == family && series.label("rollout").is_empty() && !series.label("pod").starts_with(&own)
    };
    stable.iter().find(nameless).map(|series| {
        format!(
            "{} has no label rollout: what another rollout with the same revision is told would count too",
            series.name()
        )
    })
}

/// Answers that name no model say nothing of which one answered.
fn nameless(definition: &Definition, pin: &Pin, stable: &[&Series]) -> Option<String> {
    let Early { good, unnamed, .. } = Early::of(definition, &pin.family, stable, &pin.named);
    pin.some.then(|| {
        format!(
            "{unnamed} of {good} answers of stable name no model (streams that were counted before their answer was there), \
             and are not looked at"
        )
    })
}

/// By a counter of USD where it knows the prices, otherwise by the table.
fn budget(gate: &Gate, pin: &Pin, targets: &[Target], stable: &[&Series], prices: &PriceTable) -> Vec<String> {
    let definition = presets::definition(gate.source);
    let counter = pin::spend(definition, stable);
    if counter.is_some_and(|counter| pin.tokens.iter().any(|pinned| pinned == counter)) {
        return money(gate, pin, targets, stable, prices).into_iter().collect();
    }
    let unused = counter.map(|counter| {
        format!(
            "{counter} of stable stays at 0 USD beside counted tokens (it has no price for their model), so the budget goes \
             by the price table {}",
            prices.digest()
        )
    });
    let unseen = means::unseen(definition, pin, stable);
    unused.into_iter().chain(unseen).chain(means::caveats(definition, pin, stable, Some(prices))).collect()
}

/// Probes and scrapes are among the requests, and nobody can tell which they are.
pub(crate) fn mixed(pin: &Pin, stable: &[&Series], counted: &Tally) -> Option<String> {
    pin.mixed.then(|| {
        let what = if routes::names_routes(stable, &pin.family) { "does not name the route of all" } else { "has no label that names the route" };
        format!(
            "{} {what}: up to {} of its {} requests are probes and scrapes, which no Pass counts; set http.route (an \
             instrumentation of the framework does), leave them out of the instrumentation, or use the gateway's preset",
            pin.family,
            counted.idle(),
            counted.total()
        )
    })
}

/// The pods start several processes, and nobody has seen another one yet.
pub(crate) fn several(subject: &Subject, gate: &Gate, scheme: Scheme) -> Option<String> {
    let workers = subject.workers.as_ref().filter(|_| scheme == Scheme::Pods)?;
    (!matches!(gate.kind, GateKind::Query { .. })).then(|| {
        format!(
            "the pod template asks for several processes ({workers}), and behind one /metrics a scrape meets one of them: run \
             one process per pod and more replicas, or let them count together (PROMETHEUS_MULTIPROC_DIR, the multiprocess \
             mode of prometheus_client)"
        )
    })
}

/// Some of stable's requests ended in a way that the source has no word for.
fn other(gate: &Gate, pin: &Pin, stable: &[&Series]) -> Option<String> {
    let label =
        presets::definition(gate.source).ended.told().map(|told| told.error).filter(|label| !label.is_empty())?;
    let is = |series: &&&Series| {
        let used = series.samples.last().is_some_and(|sample| sample.value > 0.0);
        used && series.name() == pin.family && series.label(label) == OTHER
    };
    stable.iter().find(is).map(|series| {
        format!(
            "{} of stable has {label}=\"{OTHER}\": the source does not say whether such a request failed or its user left, \
             and each counts as failed",
            series.name()
        )
    })
}

/// Of some of stable's requests nobody knows how they ended.
fn unknown(definition: &Definition, pin: &Pin, stable: &[&Series]) -> Option<String> {
    let own = || streams::calls(definition, &pin.family, stable);
    let unsaid = || own().filter(|series| definition.is_unknown(&Share::Errors, series));
    let (all, unknown): (f64, f64) = (own().map(streams::last).sum(), unsaid().map(streams::last).sum());
    let told = definition.ended.told().filter(|_| streams::is_short(all, all - unknown))?;
    let words = words::values(unsaid().map(|series| series.label(told.status)).filter(|word| !word.is_empty()), ", ");
    let words = if words.is_empty() { String::new() } else { format!(" ({words})") };
    Some(format!(
        "{unknown} of {all} requests of stable have no status that is known{words}: such a request is neither good nor failed, \
         and counts for no Pass"
    ))
}

/// The threshold lies between two bounds that are more than 1.5 times apart: nobody knows of what lies between. One that
/// nobody chose is taken at the nearest.
fn bounds(gate: &Gate, pin: &Pin) -> Option<String> {
    let (lower, upper) = (pin.lower.parse::<f64>().ok()?, pin.upper.parse::<f64>().ok()?);
    if let GateKind::Slow { max_micros, .. } = &gate.kind
        && gate.defaulted
        && pin.lower == pin.upper
    {
        let per_second = presets::definition(gate.source).per_second(&pin.family);
        return (bounds::micros(&pin.upper, per_second) != Some(*max_micros))
            .then(|| format!("its threshold is taken at the bucket bound {upper} of {}", pin.family));
    }
    (upper > 1.5 * lower).then(|| {
        format!(
            "its threshold lies between the bucket bounds {lower} and {upper} of {}: a request fails it over the upper \
             one and passes it under the lower one; a threshold at a bound decides sooner",
            pin.family
        )
    })
}

/// A counter of money and the price table differ by more than a tenth. A counter may have an old price, or none for a new
/// model; a table knows no discounts.
fn money(gate: &Gate, pin: &Pin, targets: &[Target], stable: &[&Series], prices: &PriceTable) -> Option<String> {
    let definition = presets::definition(gate.source);
    let counter = pin.tokens.iter().find(|name| definition.spend.contains(&name.as_str()))?;
    let tokens = pin::tokens(gate, stable, prices, true, "").ok()?;
    // What judges cost is in all three.
    let pins = [vec![counter.clone()], tokens, Vec::new()].map(|tokens| Pin {
        family: pin.family.clone(),
        tokens,
        ..Pin::default()
    });
    let [counted, priced, judges] = sums(gate, &pins, targets, prices)?;
    let (counted, priced) = (counted - judges, priced - judges);
    (10 * counted.max(priced) > 11 * counted.min(priced)).then(|| {
        format!(
            "{counter} of stable counted {} USD where its tokens cost {} USD by the price table {}: the budget goes by \
             the counter, gates of costs by the table; mend the one that is wrong",
            dollars(counted),
            dollars(priced),
            prices.digest()
        )
    })
}

/// What each pin sums up for stable over the increments of which all of them know something.
fn sums(gate: &Gate, pins: &[Pin; 3], targets: &[Target], prices: &PriceTable) -> Option<[i128; 3]> {
    let wanted: Vec<_> = pins.iter().map(|pin| Wanted { index: 0, reader: Reader::new(gate, pin, prices) }).collect();
    let mut tallies = <[Tally; 3]>::default();
    for increment in targets.iter().flat_map(|target| increments(target, &Known::of_slices(None), &wanted)) {
        let cells: Option<Vec<_>> =
            increment.cells.iter().map(|sides| sides[Role::Stable as usize].as_ref().ok()).collect();
        for (tally, cell) in tallies.iter_mut().zip(cells.into_iter().flatten()) {
            tally.add(cell);
        }
    }
    let mut sums = [0; 3];
    for (sum, tally) in sums.iter_mut().zip(&tallies) {
        let Side::Mean { sum: cost, .. } = tally.side(&gate.kind).ok()? else { return None };
        *sum = cost;
    }
    Some(sums)
}
