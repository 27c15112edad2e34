//! Names, values and selectors of somebody else's in our sentences: cleaned, cut, and only so many.

use std::collections::{BTreeMap, BTreeSet};

use crate::series::Series;

/// The statuses that fail a request, as numbers or as their class.
pub(crate) const FAILED: &str = "5..";

/// Characters of a label's value.
const VALUE: usize = 32;
/// Characters of a metric's name or a selector.
const SELECTOR: usize = 120;
/// Values of one label.
const VALUES: usize = 6;
/// Characters of what is said of one metric's labels.
const LABELS: usize = 160;

/// Labels that scrape configurations and exporters give to every series: they say nothing of a request.
const OF_THE_TARGET: &[&str] = &[
    "__name__",
    "namespace",
    "pod",
    "job",
    "instance",
    "container",
    "node",
    "service",
    "prometheus",
    "cluster",
    "le",
    "quantile",
    "app_name",
    "server_address",
    "server_port",
    "url_scheme",
    "network_protocol_version",
    "http_flavor",
    "http_host",
    "http_scheme",
    "http_server_name",
    "net_host_name",
    "net_host_port",
];

/// Words in the names of labels that say how a request ended, the surest first.
const OUTCOMES: &[&str] =
    &["status", "code", "outcome", "result", "verdict", "classification", "error", "err", "exception", "reason"];

/// Without characters that are not to be seen or turn a line around, and with at most so many.
pub(crate) fn cut(text: &str, most: usize) -> String {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let mut shown = text.chars().filter(|c| !hidden(*c));
    let mut cut: String = shown.by_ref().take(most).collect();
    if shown.next().is_some() {
        cut.push('…');
    }
    cut
}

/// A label's value.
pub(crate) fn value(text: &str) -> String {
    cut(text, VALUE)
}

/// A selector or the name of a metric.
pub(crate) fn selector(text: &str) -> String {
    cut(text, SELECTOR)
}

/// `2xx, 4xx, 5xx`.
pub(crate) fn values<'a>(values: impl IntoIterator<Item = &'a str>, between: &str) -> String {
    let values: BTreeSet<&str> = values.into_iter().collect();
    let shown: Vec<String> = values.iter().take(VALUES).map(|text| value(text)).collect();
    let more = if values.len() > VALUES { format!("{between}… ({} values)", values.len()) } else { String::new() };
    format!("{}{more}", shown.join(between))
}

/// The values of each label of these series that says something of a request.
pub(crate) fn labels<'a>(series: impl IntoIterator<Item = &'a Series>) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
    let mut labels: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, value) in series.into_iter().flat_map(|series| series.labels.iter()) {
        let of_the_target = OF_THE_TARGET.contains(&name)
            || name.starts_with("otel_scope_")
            // The port's name, where a ServiceMonitor gives it; a route otherwise.
            || (name == "endpoint" && !value.contains('/'));
        if !of_the_target {
            labels.entry(name).or_default().insert(value);
        }
    }
    labels
}

/// How likely a label says how a request ended: the less the likelier; `None`: hardly.
pub(crate) fn outcome(label: &str) -> Option<usize> {
    let mut words = label.split('_');
    words.find_map(|word| OUTCOMES.iter().position(|known| *known == word))
}

/// `http_requests_total with status=2xx,5xx and handler=/ask,/stream`; the labels that say how a request ended first.
pub(crate) fn metric(name: &str, labels: &BTreeMap<&str, BTreeSet<&str>>) -> String {
    let mut labels: Vec<_> =
        labels.iter().map(|(label, values)| (outcome(label).unwrap_or(usize::MAX), *label, values)).collect();
    labels.sort();
    let mut said = String::new();
    for (_, label, own) in labels {
        let more = format!(
            "{}{}={}",
            if said.is_empty() { " with " } else { ", " },
            value(label),
            values(own.iter().copied(), ",")
        );
        if said.chars().count() + more.chars().count() > LABELS {
            break;
        }
        said.push_str(&more);
    }
    format!("{}{said}", selector(name))
}

/// The label that holds a status of HTTP, and how these of them are written: `status=~"5.."`. A class says no number.
pub(crate) fn failures(labels: &BTreeMap<&str, BTreeSet<&str>>, statuses: &str) -> Option<String> {
    let of_statuses = |values: &BTreeSet<&str>| values.iter().any(|value| is_status(value));
    let is_told = |values: &BTreeSet<&str>| statuses.ends_with("..") || !values.iter().any(|value| is_class(value));
    let likely = labels.iter().filter(|(_, values)| of_statuses(values) && is_told(values));
    let (_, label) = likely.filter_map(|(label, _)| Some((outcome(label)?, label))).min()?;
    let op = if statuses.ends_with("..") { "=~" } else { "=" };
    Some(format!("{label}{op}\"{statuses}\""))
}

/// How an answer ended in Micrometer's words (Spring's `http_server_requests_seconds_count{outcome}`).
pub(crate) const ENDINGS: [&str; 6] =
    ["INFORMATIONAL", "SUCCESS", "REDIRECTION", "CLIENT_ERROR", "SERVER_ERROR", "UNKNOWN"];

/// `404`, or its class `4xx`.
pub(crate) fn is_status(value: &str) -> bool {
    is_class(value) || (value.len() == 3 && matches!(value.parse::<u16>(), Ok(100..=599)))
}

/// `4xx`.
pub(crate) fn is_class(value: &str) -> bool {
    matches!(value.as_bytes(), [b'1'..=b'5', b'x' | b'X', b'x' | b'X'])
}
