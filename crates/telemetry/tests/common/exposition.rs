//! What a real application exposed at one moment, in Prometheus' text format, as scraped series.
#![allow(dead_code, clippy::unwrap_used, clippy::missing_panics_doc)]

use std::{collections::BTreeMap, fs};

use promql_parser::parser::{self, Expr};

use super::Store;

/// A counter, gauge or bucket: labels with `__name__`, and its value.
pub type Exposed = (BTreeMap<String, String>, f64);

/// Reads `tests/fixtures/apps/<name>.prom`.
pub fn capture(name: &str) -> Vec<Exposed> {
    let path = format!("{}/tests/fixtures/apps/{name}.prom", env!("CARGO_MANIFEST_DIR"));
    parse(&fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}")))
}

/// Reads the text format. Labels without a value are dropped, as Prometheus drops them when it scrapes.
pub fn parse(text: &str) -> Vec<Exposed> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).map(line).collect()
}

fn line(text: &str) -> Exposed {
    let end = text.rfind('}').map_or_else(|| text.find(' ').unwrap(), |brace| brace + 1);
    let (selector, value) = text.split_at(end);
    let Expr::VectorSelector(vector) = parser::parse(selector).unwrap_or_else(|error| panic!("{text}: {error}")) else {
        panic!("{text} is no series")
    };
    let labels = vector.matchers.matchers.into_iter().filter(|label| !label.value.is_empty());
    let mut labels: BTreeMap<String, String> = labels.map(|label| (label.name, label.value)).collect();
    if let Some(le) = labels.get_mut("le")
        && let Ok(bound) = le.parse::<f64>()
        && bound.is_finite()
    {
        // Prometheus 3 writes bounds as floating point.
        *le = format!("{bound:?}");
    }
    labels.insert("__name__".to_owned(), vector.name.unwrap());
    (labels, value.split_whitespace().next().unwrap().parse().unwrap())
}

impl Store {
    /// A pod that exposed nothing but zeros at the first of these seconds, and all of this at the others.
    pub fn exposes(&mut self, pod: &str, seconds: &[f64], exposed: &[Exposed]) {
        for (nth, second) in seconds.iter().enumerate() {
            self.scrape(pod, *second, &[]);
            for (labels, value) in exposed {
                let target = [("namespace", "fintech"), ("pod", pod), ("job", "pods"), ("instance", pod)];
                let own = labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
                let labels: Vec<_> = own.chain(target).collect();
                let name = labels.iter().find(|(name, _)| *name == "__name__").unwrap().1;
                let still = ["process_start_time_seconds", "target_info"].contains(&name);
                self.put(&labels, *second, if nth == 0 && !still { 0.0 } else { *value });
            }
        }
    }
}
