//! The bytes of a checkpoint: little endian, counts as LEB128, each gate led by a byte that says kind and version.
//!
//! A gate takes about 0.7 kB. Evidence is never just dropped, since each restart at E = 1 may add up to α; so bytes
//! that do not decode are `None`, and what then happens is the caller's decision.

use crate::process::Form;

/// Leading bytes.
pub(crate) const RATE_V1: u8 = 0x01;
/// A rate gate without an SLO: neither that nor its process is among the bytes.
pub(crate) const BESIDE_V1: u8 = 0x11;
pub(crate) const BAKE_V1: u8 = 0x21;
pub(crate) const MEAN_V1: u8 = 0x41;
/// A mean gate with a sum whose requests are still to come, behind all other bytes.
pub(crate) const MEAN_OPEN_V1: u8 = 0x51;

/// Appends to a buffer.
pub(crate) struct Writer<'a>(pub(crate) &'a mut Vec<u8>);

impl Writer<'_> {
    pub(crate) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(crate) fn bool(&mut self, value: bool) {
        self.u8(u8::from(value));
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.u128(u128::from(value));
    }

    fn u128(&mut self, mut value: u128) {
        while value >= 0x80 {
            self.u8(value as u8 | 0x80);
            value >>= 7;
        }
        self.u8(value as u8);
    }

    /// Zigzag, so that small negative sums stay small.
    pub(crate) fn i128(&mut self, value: i128) {
        self.u128(((value << 1) ^ (value >> 127)).cast_unsigned());
    }

    pub(crate) fn f64(&mut self, value: f64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn f64s(&mut self, values: &[f64]) {
        for value in values {
            self.f64(*value);
        }
    }

    pub(crate) fn option(&mut self, value: Option<f64>) {
        self.bool(value.is_some());
        if let Some(value) = value {
            self.f64(value);
        }
    }

    pub(crate) fn form(&mut self, form: Form) {
        self.bool(form == Form::Plain);
    }
}

/// Takes from the front of a slice; every method is `None` when the bytes end early or mean nothing.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl Reader<'_> {
    pub(crate) fn u8(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    pub(crate) fn bool(&mut self) -> Option<bool> {
        match self.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        u64::try_from(self.u128()?).ok()
    }

    fn u128(&mut self) -> Option<u128> {
        let mut value = 0_u128;
        for shift in (0..128).step_by(7) {
            let byte = self.u8()?;
            let low = u128::from(byte & 0x7f);
            if (low << shift) >> shift != low {
                return None;
            }
            value |= low << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    pub(crate) fn i128(&mut self) -> Option<i128> {
        let value = self.u128()?;
        Some((value >> 1).cast_signed() ^ -((value & 1).cast_signed()))
    }

    /// NaN is no state that a gate can be in.
    pub(crate) fn f64(&mut self) -> Option<f64> {
        let (first, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(f64::from_le_bytes(*first)).filter(|value| !value.is_nan())
    }

    pub(crate) fn f64s<const N: usize>(&mut self) -> Option<[f64; N]> {
        let mut values = [0.0; N];
        for value in &mut values {
            *value = self.f64()?;
        }
        Some(values)
    }

    #[expect(clippy::option_option, reason = "outside: could it be read; inside: was there a value")]
    pub(crate) fn option(&mut self) -> Option<Option<f64>> {
        Some(if self.bool()? { Some(self.f64()?) } else { None })
    }

    pub(crate) fn form(&mut self) -> Option<Form> {
        Some(if self.bool()? { Form::Plain } else { Form::Switch })
    }

    /// The leading byte, which must be `kind`.
    pub(crate) fn lead(&mut self, kind: u8) -> Option<()> {
        (self.u8()? == kind).then_some(())
    }
}

/// Decodes with `decode` and moves `bytes` on only when it succeeds.
pub(crate) fn load<T>(bytes: &mut &[u8], decode: impl FnOnce(&mut Reader) -> Option<T>) -> Option<T> {
    let mut reader = Reader(bytes);
    let value = decode(&mut reader)?;
    *bytes = reader.0;
    Some(value)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{Reader, Writer};

    #[test]
    fn numbers_survive_at_the_ends_of_their_ranges() {
        let mut bytes = Vec::new();
        let mut out = Writer(&mut bytes);
        for value in [0, 1, 127, 128, u64::MAX] {
            out.u64(value);
        }
        for value in [0, -1, 1, -64, 64, i128::MIN, i128::MAX] {
            out.i128(value);
        }
        out.f64(f64::NEG_INFINITY);
        let mut reader = Reader(&bytes);
        for value in [0, 1, 127, 128, u64::MAX] {
            assert_eq!(reader.u64().unwrap(), value);
        }
        for value in [0, -1, 1, -64, 64, i128::MIN, i128::MAX] {
            assert_eq!(reader.i128().unwrap(), value);
        }
        assert!(reader.f64().unwrap().is_infinite());
        assert!(reader.0.is_empty());
    }

    #[test]
    fn bytes_that_mean_nothing_are_none() {
        assert!(Reader(&[0x80; 40]).u64().is_none());
        assert!(Reader(&[0xff; 19]).i128().is_none());
        assert!(Reader(&f64::NAN.to_le_bytes()).f64().is_none());
        assert!(Reader(&[2]).bool().is_none());
        assert!(Reader(&[1, 2, 3]).f64().is_none());
    }
}
