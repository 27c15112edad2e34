//! The labels of a series.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};

/// Names and values of labels, in the order of the names. A series has a handful of them and an answer thousands: a row
/// is faster to build and to search than a tree.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Labels(Vec<(String, String)>);

impl Labels {
    /// The value of a label.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// Sets a label, new or not.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        match self.0.binary_search_by(|(own, _)| own.as_str().cmp(name)) {
            Ok(index) => self.0[index].1 = value.into(),
            Err(index) => self.0.insert(index, (name.into(), value.into())),
        }
    }

    /// Takes a label away.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(own, _)| own != name);
    }
}

impl FromIterator<(String, String)> for Labels {
    /// Of two values of the same name the later one counts.
    fn from_iter<I: IntoIterator<Item = (String, String)>>(labels: I) -> Self {
        let mut labels: Vec<_> = labels.into_iter().collect();
        // Prometheus has them in order.
        if !labels.is_sorted_by(|(one, _), (next, _)| one < next) {
            labels.reverse();
            labels.sort_by(|(one, _), (other, _)| one.cmp(other));
            labels.dedup_by(|(later, _), (first, _)| later == first);
        }
        Self(labels)
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
                let mut labels = Vec::with_capacity(8);
                while let Some(label) = map.next_entry()? {
                    labels.push(label);
                }
                Ok(Labels::from_iter(labels))
            }
        }
        deserializer.deserialize_map(Row)
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
        assert!(serde_json::from_str::<Labels>(r#"{"pod": 1}"#).is_err());
        assert!(serde_json::from_str::<Labels>("[]").is_err());
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
