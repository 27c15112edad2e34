//! Answers, and what can be wrong with them.

use std::time::Duration;

use serde_json::{Value, json};

use super::Shared;
use super::eval::{self, Answer};

/// What is wrong with Prometheus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PromFault {
    /// Connections are refused.
    Refuse,
    /// Nothing comes until the client gives up.
    Hang,
    /// The answer comes after a while.
    Slow(Duration),
    /// Another status, with a body that is no answer.
    Status(u16),
    /// 200 with a login page.
    Html,
    /// Every value is NaN.
    Nan,
    /// No series.
    Empty,
    /// A body of at least so many bytes.
    Huge(usize),
    /// The answer is whole, but says that it may not be.
    Warnings(String),
    /// Only every other series, and a warning.
    Partial,
    /// Nothing is scraped any more.
    Stale,
    /// Sample times are off by so many milliseconds.
    Skew(i64),
    /// Every series twice, as from two replicas without deduplication.
    Twice,
}

/// The connection was refused or broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused;

/// What a client gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: &'static str,
    /// Body.
    pub body: Vec<u8>,
}

pub(super) async fn answer(shared: &Shared, promql: &str, at: i64) -> Result<Answered, Refused> {
    let fault = shared.asked(promql).fault.clone();
    let mut healed = shared.healed.subscribe();
    let html = |status| Answered { status, content_type: "text/html", body: b"<html>please log in</html>".to_vec() };
    match fault {
        Some(PromFault::Refuse) => return Err(Refused),
        Some(PromFault::Hang) => {
            // Ends when the fault does, and with a broken connection.
            let _ = healed.changed().await;
            return Err(Refused);
        }
        Some(PromFault::Slow(delay)) => tokio::time::sleep(delay).await,
        Some(PromFault::Status(status)) => return Ok(html(status)),
        Some(PromFault::Html) => return Ok(html(200)),
        _ => {}
    }
    let body = json(shared, promql, at);
    let status = if body["status"] == "error" { 400 } else { 200 };
    let mut body = body.to_string().into_bytes();
    if let Some(PromFault::Huge(bytes)) = fault {
        // White space after the value is still JSON.
        body.resize(body.len().max(bytes), b' ');
    }
    Ok(Answered { status, content_type: "application/json", body })
}

pub(super) fn json(shared: &Shared, promql: &str, at: i64) -> Value {
    let state = shared.sync();
    let mut result = match eval::query(&state.world.database, promql, at) {
        Ok(result) => result,
        Err(error) => return json!({"status": "error", "errorType": "bad_data", "error": error}),
    };
    let warning = spoil(&mut result, state.fault.as_ref());
    let (kind, result) = render(result, at);
    let mut body = json!({"status": "success", "data": {"resultType": kind, "result": result}});
    if let Some(warning) = warning {
        body["warnings"] = json!([warning]);
    }
    body
}

fn spoil(result: &mut Answer, fault: Option<&PromFault>) -> Option<String> {
    match (fault?, &mut *result) {
        (PromFault::Warnings(text), _) => return Some(text.clone()),
        (PromFault::Nan, Answer::Matrix(m)) => {
            m.iter_mut().flat_map(|(_, samples)| samples).for_each(|(_, v)| *v = f64::NAN);
        }
        (PromFault::Nan, Answer::Vector(v)) => v.iter_mut().for_each(|(_, v)| *v = f64::NAN),
        (PromFault::Empty, Answer::Matrix(m)) => m.clear(),
        (PromFault::Empty, Answer::Vector(v)) => v.clear(),
        (PromFault::Skew(by), Answer::Matrix(m)) => {
            m.iter_mut().flat_map(|(_, samples)| samples).for_each(|(t, _)| *t += by);
        }
        (PromFault::Twice, Answer::Matrix(m)) => {
            let mut copy = m.clone();
            for (labels, _) in &mut copy {
                labels.insert("replica".into(), "b".into());
            }
            m.append(&mut copy);
        }
        (PromFault::Partial, _) => {
            let mut keep = false;
            let mut every_other = || {
                keep = !keep;
                keep
            };
            match result {
                Answer::Matrix(m) => m.retain(|_| every_other()),
                Answer::Vector(v) => v.retain(|_| every_other()),
                Answer::Scalar(_) => {}
            }
            return Some("PromQL warning: a store could not be reached".into());
        }
        _ => {}
    }
    None
}

fn number(value: f64) -> String {
    if value == f64::INFINITY {
        "+Inf".into()
    } else if value == f64::NEG_INFINITY {
        "-Inf".into()
    } else {
        value.to_string()
    }
}

fn render(result: Answer, at: i64) -> (&'static str, Value) {
    let point = |time: i64, value: f64| json!([time as f64 / 1000.0, number(value)]);
    match result {
        Answer::Scalar(value) => ("scalar", point(at, value)),
        Answer::Vector(values) => {
            let one = |(labels, value)| json!({"metric": labels, "value": point(at, value)});
            ("vector", values.into_iter().map(one).collect())
        }
        Answer::Matrix(series) => {
            let one = |(labels, samples): (super::series::Labels, Vec<(i64, f64)>)| {
                let values: Vec<Value> = samples.into_iter().map(|(t, v)| point(t, v)).collect();
                json!({"metric": labels, "values": values})
            };
            ("matrix", series.into_iter().map(one).collect())
        }
    }
}
