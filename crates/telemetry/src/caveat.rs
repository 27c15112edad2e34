//! What people should know of a gate although it works.

use microapp_core::{
    counts::Side,
    explain::dollars,
    strategy::{Gate, GateKind},
};

use crate::{
    delta::{Known, Wanted, increments},
    part::{Reader, Tally},
    pin::{self, Pin},
    presets,
    prices::PriceTable,
    series::Series,
    target::{Role, Target},
};

/// In a sentence without its full stop, if there is anything to say. `stable`: all series of the targets.
pub(crate) fn caveat(
    gate: &Gate,
    pin: &Pin,
    targets: &[Target],
    stable: &[&Series],
    prices: &PriceTable,
) -> Option<String> {
    match gate.kind {
        GateKind::Slow { .. } => bounds(pin),
        GateKind::Budget { .. } => money(gate, pin, targets, stable, prices),
        _ => None,
    }
}

/// The threshold lies between two bounds that are more than 1.5 times apart: nobody knows of what lies between.
fn bounds(pin: &Pin) -> Option<String> {
    let (lower, upper) = (pin.lower.parse::<f64>().ok()?, pin.upper.parse::<f64>().ok()?);
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
