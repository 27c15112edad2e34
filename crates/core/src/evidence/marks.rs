//! Watermarks in few bytes: there is one for each target, and the checkpoint must hold those of a hundred pods.
//!
//! Keys come sorted, so each says how many bytes it shares with the one before; times are differences to the newest.

use std::collections::BTreeMap;

/// Writes the count, the newest time, then per target: shared bytes, length and bytes of the rest, milliseconds behind.
pub(super) fn save(marks: &BTreeMap<String, i64>, out: &mut Vec<u8>) {
    let newest = marks.values().copied().max().unwrap_or(0);
    put(out, marks.len() as u64);
    out.extend_from_slice(&newest.to_le_bytes());
    let mut before: &[u8] = b"";
    for (key, at) in marks {
        let key = key.as_bytes();
        let shared = before.iter().zip(key).take_while(|(a, b)| a == b).count();
        put(out, shared as u64);
        put(out, (key.len() - shared) as u64);
        out.extend_from_slice(&key[shared..]);
        put(out, newest.abs_diff(*at));
        before = key;
    }
}

/// Reads what [`save`] wrote; `None` for anything else.
pub(super) fn load(bytes: &mut &[u8]) -> Option<BTreeMap<String, i64>> {
    let count = take(bytes)?;
    let (newest, rest) = bytes.split_first_chunk::<8>()?;
    *bytes = rest;
    let newest = i64::from_le_bytes(*newest);
    let mut marks = BTreeMap::new();
    let mut before: Vec<u8> = Vec::new();
    for _ in 0..count {
        let shared = usize::try_from(take(bytes)?).ok()?;
        let length = usize::try_from(take(bytes)?).ok()?;
        let (rest, left) = bytes.split_at_checked(length)?;
        *bytes = left;
        let key = [before.get(..shared)?, rest].concat();
        let behind = i64::try_from(take(bytes)?).ok()?;
        marks.insert(String::from_utf8(key.clone()).ok()?, newest.checked_sub(behind)?);
        before = key;
    }
    Some(marks)
}

/// LEB128: seven bits a byte, the lowest first.
fn put(out: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..63).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_hundred_pods_come_back_from_less_than_two_and_a_half_kilobytes() {
        let key =
            |pod: u32| format!("p:kyc-helper-x7f4bd62hz-7854f9695c-{:05x}:{pod:08x}", pod.wrapping_mul(7919) % 0xfffff);
        let marks: BTreeMap<_, _> = (0..100).map(|pod| (key(pod), 1_772_361_999_000 - i64::from(pod) * 37)).collect();
        let mut out = vec![];
        save(&marks, &mut out);
        assert!(out.len() < 2_500, "{} bytes", out.len());
        assert_eq!(load(&mut out.as_slice()), Some(marks));
    }

    #[test]
    fn nothing_and_the_oldest_time_come_back_and_half_of_it_does_not() {
        for marks in [BTreeMap::new(), BTreeMap::from([("g:a".to_owned(), 0), ("g:ü".to_owned(), i64::MAX)])] {
            let mut out = vec![];
            save(&marks, &mut out);
            assert_eq!(load(&mut out.as_slice()), Some(marks));
            assert_eq!(load(&mut &out[..out.len() - 1]), None);
        }
    }
}
