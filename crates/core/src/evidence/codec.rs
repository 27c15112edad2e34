//! The opaque string of a checkpoint: base64 of versioned bytes, at most 8 KiB.

use std::{collections::BTreeMap, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD as BASE64};
use microapp_stats::{BakeGate, MeanGate, RateGate};

use super::{
    Evidence,
    gate::{GateEvidence, Late, Process, Seen},
    marks,
    plain::Plain,
};
use crate::{
    counts::{Doubt, Side, Watch},
    strategy::Strategy,
};

/// Version of the format; another one is read as nothing, and nothing is raised before the evidence is there again.
const VERSION: &str = "e2";
/// The largest string that is written.
pub const LIMIT: usize = 8 * 1024;

impl Evidence {
    /// The checkpoint. `None` when it would be above the limit of 8 KiB; what is not believed of many targets at a time is
    /// left out before that, since the evidence weighs more and another fall of a counter brings it back.
    pub fn save(&self) -> Option<String> {
        let mut out = Vec::with_capacity(4096);
        // Without `..`: a new field must say how it survives a restart.
        let Self {
            attempt,
            strategy: _, // pinned in status, beside this string
            step,
            since,
            paused,
            guarded,
            counted,
            interval,
            ready,
            refusals: _, // found again by the next preflight
            settled: _,  // pinned in status by the same write
            gates,
            last,
            windows,
            hung,
            backs,
            watch,
            silence: _, // of the moment
        } = self;
        put_i64(&mut out, *attempt);
        put_i64(&mut out, step.map_or(-1, |step| step as i64));
        for value in [*since, *paused, *guarded, *counted, *interval, last.unwrap_or(f64::NEG_INFINITY)] {
            out.extend_from_slice(&value.to_bits().to_le_bytes());
        }
        put_i64(&mut out, (*windows).cast_signed());
        out.push(u8::from(*ready) | u8::from(*hung) << 1);
        out.push(*backs);
        for gate in gates {
            save_gate(gate, &mut out);
        }
        marks::save(&watch.watermarks, &mut out);
        // Other text as JSON; numbers above as bits.
        let with = |doubts| {
            let watch = Watch { watermarks: BTreeMap::new(), doubts, ..watch.clone() };
            let bytes = [out.clone(), serde_json::to_vec(&watch).ok()?].concat();
            let text = format!("{VERSION}.{:.3}.{}", last.unwrap_or(*since), BASE64.encode(bytes));
            (text.len() <= LIMIT).then_some(text)
        };
        with(numbered(watch)).or_else(|| with(BTreeMap::new()))
    }

    /// What status keeps: the checkpoint, or what stands there under the new time where this one would be too large.
    /// Otherwise it would stay due and be written again and again; a restart folds from the older watermarks.
    #[must_use]
    pub fn checkpoint(&self, before: Option<&str>) -> String {
        self.save().unwrap_or_else(|| {
            let bytes = before.and_then(|text| text.rsplit_once('.')).map_or("", |(_, bytes)| bytes);
            format!("{VERSION}.{:.3}.{bytes}", self.last.unwrap_or(self.since))
        })
    }

    /// Reads a checkpoint that belongs to this plan; `None` for anything else.
    pub fn load(text: &str, strategy: Arc<Strategy>) -> Option<Self> {
        let (_, bytes) = text.strip_prefix(VERSION)?.strip_prefix('.')?.rsplit_once('.')?;
        let bytes = BASE64.decode(bytes).ok()?;
        let bytes = &mut bytes.as_slice();
        let attempt = take_i64(bytes)?;
        let step = usize::try_from(take_i64(bytes)?).ok();
        let mut number = || take_f64(bytes);
        let [since, paused, guarded, counted, interval, last] =
            [number()?, number()?, number()?, number()?, number()?, number()?];
        let windows = take_i64(bytes)?.cast_unsigned();
        let flags = take_u8(bytes)?;
        let backs = take_u8(bytes)?;
        let gates = strategy.gates.iter().map(|gate| load_gate(&gate.name, bytes)).collect::<Option<Vec<_>>>()?;
        let watermarks = marks::load(bytes)?;
        let watch: Watch = serde_json::from_slice(bytes).ok()?;
        let watch = Watch { doubts: named(watch.doubts, &watermarks), watermarks, ..watch };
        let ready = flags & 1 == 1;
        if ready && strategy.epsilon_ppm.is_none() {
            // Judged with a tolerance that the plan does not have: preflight chooses again.
            return None;
        }
        Some(Self {
            attempt,
            strategy,
            step,
            since,
            paused,
            guarded,
            counted,
            interval,
            ready,
            refusals: Vec::new(),
            settled: None,
            gates,
            last: last.is_finite().then_some(last),
            windows,
            hung: flags & 2 == 2,
            backs,
            watch,
            silence: None,
        })
    }
}

/// Doubts by the place of their target among the watermarks: its name is there already.
fn numbered(watch: &Watch) -> BTreeMap<String, Doubt> {
    let place = |key| watch.watermarks.keys().position(|known| known == key);
    watch.doubts.iter().filter_map(|(key, doubt)| Some((place(key)?.to_string(), doubt.clone()))).collect()
}

fn named(doubts: BTreeMap<String, Doubt>, watermarks: &BTreeMap<String, i64>) -> BTreeMap<String, Doubt> {
    let name = |place: &str| watermarks.keys().nth(place.parse().ok()?).cloned();
    doubts.into_iter().filter_map(|(place, doubt)| Some((name(&place)?, doubt))).collect()
}

/// The end of the last window in a checkpoint, seconds since the epoch, without decoding the rest.
pub fn saved_at(text: &str) -> Option<f64> {
    text.strip_prefix(VERSION)?.strip_prefix('.')?.rsplit_once('.')?.0.parse().ok()
}

fn save_gate(gate: &GateEvidence, out: &mut Vec<u8>) {
    // A gate that fails ends the attempt: `spared` is in the words of that.
    let GateEvidence { name: _, process, seen, fresh, unknown: _, counted, spared: _ } = gate;
    out.push(u8::from(*counted));
    out.extend_from_slice(&fresh.unwrap_or(f64::NEG_INFINITY).to_bits().to_le_bytes());
    for side in seen.attempt.iter().chain(&seen.step) {
        save_side(*side, out);
    }
    match process {
        Process::Pending => out.push(0),
        Process::NotWatched(why) => {
            out.push(1);
            let why: String = why.chars().take(120).collect();
            out.push(why.len().min(255) as u8);
            out.extend_from_slice(&why.as_bytes()[..why.len().min(255)]);
        }
        Process::Rate { gate, bake, rate_before, late } => {
            out.push(2);
            gate.save(out);
            out.extend_from_slice(&rate_before.to_bits().to_le_bytes());
            out.push(u8::from(bake.is_some()) | u8::from(late.is_some()) << 1);
            if let Some(bake) = bake {
                bake.save(out);
            }
            if let Some(Late { used }) = late {
                for value in used {
                    put_i64(out, value.cast_signed());
                }
            }
        }
        Process::Mean(gate) => {
            out.push(3);
            gate.save(out);
        }
        Process::Plain(Plain { outside, attempt, step, last }) => {
            out.push(4);
            put_i64(out, outside.cast_signed());
            out.extend_from_slice(&[*attempt, *step]);
            out.extend_from_slice(&last.to_le_bytes());
        }
    }
}

fn load_gate(name: &str, bytes: &mut &[u8]) -> Option<GateEvidence> {
    let counted = take_u8(bytes)? == 1;
    let fresh = Some(take_f64(bytes)?).filter(|fresh| fresh.is_finite());
    let mut sides = [None; 4];
    for side in &mut sides {
        load_side(bytes, side)?;
    }
    let process = match take_u8(bytes)? {
        0 => Process::Pending,
        1 => {
            let length = usize::from(take_u8(bytes)?);
            let (text, rest) = bytes.split_at_checked(length)?;
            *bytes = rest;
            Process::NotWatched(String::from_utf8_lossy(text).into_owned())
        }
        2 => {
            let gate = Box::new(RateGate::load(bytes)?);
            let rate_before = take_f64(bytes)?;
            let flags = take_u8(bytes)?;
            let bake = if flags & 1 == 1 { Some(Box::new(BakeGate::load(bytes)?)) } else { None };
            let late = if flags & 2 == 2 {
                Some(Late { used: [take_i64(bytes)?.cast_unsigned(), take_i64(bytes)?.cast_unsigned()] })
            } else {
                None
            };
            Process::Rate { gate, bake, rate_before, late }
        }
        3 => Process::Mean(Box::new(MeanGate::load(bytes)?)),
        4 => Process::Plain(Plain {
            outside: take_i64(bytes)?.cast_unsigned(),
            attempt: take_u8(bytes)?,
            step: take_u8(bytes)?,
            last: take_i128(bytes)?,
        }),
        _ => return None,
    };
    let [a, b, c, d] = sides;
    let seen = Seen { attempt: [a, b], step: [c, d] };
    Some(GateEvidence { name: name.to_owned(), process, seen, fresh, unknown: None, counted, spared: None })
}

fn save_side(side: Option<Side>, out: &mut Vec<u8>) {
    let (kind, values): (u8, Vec<i128>) = match side {
        None => (0, vec![]),
        Some(Side::Count { above, below, total }) => (1, [above, below, total].map(i128::from).to_vec()),
        Some(Side::Mean { n, sum }) => (2, vec![i128::from(n), sum]),
        Some(Side::Late { bad, good, void, started }) => (3, [bad, good, void, started].map(i128::from).to_vec()),
        Some(Side::Value { nano }) => (4, vec![nano]),
    };
    out.push(kind);
    for value in values {
        // Every value of a side is a count below 2^63 apart from sums and values, which get their 16 bytes.
        if kind == 2 || kind == 4 {
            out.extend_from_slice(&value.to_le_bytes());
        } else {
            put_i64(out, value as i64);
        }
    }
}

fn load_side(bytes: &mut &[u8], side: &mut Option<Side>) -> Option<()> {
    let kind = take_u8(bytes)?;
    let count = |bytes: &mut &[u8]| take_i64(bytes).map(i64::cast_unsigned);
    *side = match kind {
        0 => None,
        1 => Some(Side::Count { above: count(bytes)?, below: count(bytes)?, total: count(bytes)? }),
        2 => Some(Side::Mean { n: u64::try_from(take_i128(bytes)?).ok()?, sum: take_i128(bytes)? }),
        4 => Some(Side::Value { nano: take_i128(bytes)? }),
        3 => Some(Side::Late { bad: count(bytes)?, good: count(bytes)?, void: count(bytes)?, started: count(bytes)? }),
        _ => return None,
    };
    Some(())
}

fn put_i64(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn take_u8(bytes: &mut &[u8]) -> Option<u8> {
    let (first, rest) = bytes.split_first()?;
    *bytes = rest;
    Some(*first)
}

fn take_i64(bytes: &mut &[u8]) -> Option<i64> {
    let (first, rest) = bytes.split_first_chunk::<8>()?;
    *bytes = rest;
    Some(i64::from_le_bytes(*first))
}

fn take_i128(bytes: &mut &[u8]) -> Option<i128> {
    let (first, rest) = bytes.split_first_chunk::<16>()?;
    *bytes = rest;
    Some(i128::from_le_bytes(*first))
}

/// NaN is no state that evidence can be in.
fn take_f64(bytes: &mut &[u8]) -> Option<f64> {
    take_i64(bytes).map(|bits| f64::from_bits(bits.cast_unsigned())).filter(|value| !value.is_nan())
}
