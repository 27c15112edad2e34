//! The labels of a series.

use std::{cmp::Ordering, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, MapAccess, Visitor},
};

/// Names and values of labels, in the order of the names, each name once. A series has a handful of them and an answer
/// thousands: they stand in one text, one behind the other, which costs two allocations and not two for each label.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    text: String,
    /// Where each name and its value end in the text.
    ends: Vec<[u32; 2]>,
}

impl Labels {
    /// The value of a label.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(own, _)| *own == name).map(|(_, value)| value)
    }

    /// Sets a label, new or not.
    pub fn set(&mut self, name: &str, value: &str) {
        *self = self.iter().chain([(name, value)]).collect();
    }

    /// Takes a label away.
    pub fn remove(&mut self, name: &str) {
        *self = self.iter().filter(|(own, _)| *own != name).collect();
    }

    /// Names and values, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut start = 0;
        self.ends.iter().map(move |[name, value]| {
            let (name, value) = (*name as usize, *value as usize);
            let label = (&self.text[start..name], &self.text[name..value]);
            start = value;
            label
        })
    }

    /// In order, and each name once. Prometheus has them so.
    fn is_sorted(&self) -> bool {
        self.iter().is_sorted_by(|(one, _), (next, _)| one < next)
    }

    fn end(&self) -> u32 {
        // No answer is read that is above 8 MiB.
        u32::try_from(self.text.len()).unwrap_or(u32::MAX)
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for Labels {
    /// Of two values of the same name the later one counts.
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(labels: I) -> Self {
        let mut labels: Vec<_> = labels.into_iter().collect();
        labels.reverse();
        labels.sort_by_key(|(name, _)| *name);
        labels.dedup_by_key(|(name, _)| *name);
        let mut row = Self::default();
        for (name, value) in labels {
            row.text.push_str(name);
            let end = row.end();
            row.text.push_str(value);
            row.ends.push([end, row.end()]);
        }
        row
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Labels {
    fn cmp(&self, other: &Self) -> Ordering {
        self.iter().cmp(other.iter())
    }
}

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Row;
        impl<'de> Visitor<'de> for Row {
            type Value = Labels;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object of labels")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Labels, A::Error> {
                let mut row = Labels { text: String::with_capacity(256), ends: Vec::with_capacity(8) };
                while map.next_key_seed(Append(&mut row.text))?.is_some() {
                    let end = row.end();
                    map.next_value_seed(Append(&mut row.text))?;
                    row.ends.push([end, row.end()]);
                }
                Ok(if row.is_sorted() { row } else { row.iter().collect() })
            }
        }
        deserializer.deserialize_map(Row)
    }
}

/// A string that is added to another one.
struct Append<'a>(&'a mut String);

impl<'de> DeserializeSeed<'de> for Append<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Append<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.0.push_str(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn labels(text: &str) -> Labels {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn they_are_in_order_and_each_name_is_there_once() {
        let given = labels(r#"{"pod": "p", "__name__": "up", "pod": "q"}"#);
        assert_eq!(given, labels(r#"{"__name__": "up", "pod": "q"}"#));
        assert_eq!((given.get("pod"), given.get("job")), (Some("q"), None));
        assert_eq!(labels(r#"{"path": "/\u00e9\"x\"", "pod": "q"}"#).get("path"), Some("/é\"x\""), "escaped");
        assert!(serde_json::from_str::<Labels>(r#"{"pod": 1}"#).is_err());
        assert!(serde_json::from_str::<Labels>("[]").is_err());
    }

    #[test]
    fn they_compare_label_by_label() {
        // The text of the first and the third is the same.
        let rows = [r#"{"a": "bc"}"#, r#"{"a": "bc", "b": ""}"#, r#"{"ab": "c"}"#, r#"{"b": "a"}"#].map(labels);
        assert!(rows.is_sorted_by(|one, next| one < next), "{rows:?}");
        assert_ne!(rows[0], rows[2]);
    }

    #[test]
    fn a_label_is_set_or_taken_away() {
        let mut own = labels(r#"{"job": "j"}"#);
        own.set("job", "k");
        own.set("instance", "i");
        assert_eq!(own, labels(r#"{"instance": "i", "job": "k"}"#));
        own.remove("instance");
        assert_eq!(own, labels(r#"{"job": "k"}"#));
    }
}
