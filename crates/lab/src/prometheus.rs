//! What the lab's Prometheus says, and how much it was asked.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::{Lab, commandline, netns};

/// The raw samples of one series: the label `pod`, then time and value of each.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// The label `pod`; empty where there is none.
    pub pod: String,
    /// In order of time.
    pub samples: Vec<(Timestamp, f64)>,
}

impl Lab {
    /// The raw samples that a selector with a range brings (`up{namespace="demo"}[5m]`), as of now.
    pub fn samples(&self, selector: &str) -> Result<Vec<Series>> {
        Ok(asked(selector)?.iter().map(read).collect())
    }

    /// Does an expression with a comparison hold of anything now (`up == 0`)?
    pub fn holds(&self, expression: &str) -> Result<bool> {
        Ok(!asked(expression)?.is_empty())
    }

    /// How many queries Prometheus has answered, by its own metrics.
    pub fn queries(&self) -> Result<u64> {
        let text = netns::get(commandline::PROMETHEUS, "/metrics");
        let text = text.ok_or_else(|| Error::Invalid("Prometheus does not show its metrics".into()))?;
        let asked = |line: &&str| {
            line.starts_with("prometheus_http_requests_total{")
                && (line.contains("handler=\"/api/v1/query\"") || line.contains("handler=\"/api/v1/query_range\""))
        };
        let counts = text.lines().filter(asked).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        Ok(counts.sum::<f64>() as u64)
    }
}

/// The series of an instant query's answer.
fn asked(promql: &str) -> Result<Vec<Value>> {
    let mut path = "/api/v1/query?query=".to_owned();
    for byte in promql.bytes() {
        let _ = write!(path, "%{byte:02X}");
    }
    let answer = netns::get(commandline::PROMETHEUS, &path);
    let mut answer = answer.and_then(|body| serde_json::from_str::<Value>(&body).ok());
    match answer.as_mut().map(|answer| answer["data"]["result"].take()) {
        Some(Value::Array(series)) => Ok(series),
        _ => Err(Error::Invalid(format!("Prometheus does not answer {promql}"))),
    }
}

fn read(series: &Value) -> Series {
    let sample = |pair: &Value| {
        let at = Timestamp::from_millisecond((pair[0].as_f64()? * 1000.0).round() as i64).ok()?;
        Some((at, pair[1].as_str()?.parse().ok()?))
    };
    let values = series["values"].as_array();
    Series {
        pod: series["metric"]["pod"].as_str().unwrap_or_default().to_owned(),
        samples: values.into_iter().flatten().filter_map(sample).collect(),
    }
}
