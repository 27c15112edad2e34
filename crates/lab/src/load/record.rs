use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// One answer, and one line of the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Response {
    /// When the answer was complete (or given up), in seconds since 1970.
    pub t: f64,
    /// The HTTP status; 0 for a connection that failed and a request that timed out.
    pub code: u16,
    /// The response header `x-revision`, empty without one.
    pub revision: String,
    /// From the moment at which the request was due to the complete answer, in milliseconds. A request that left late
    /// because the machine was busy is as slow for its user as one that was answered late.
    pub ms: f64,
    /// What the answer says of itself in `verdict`; only with [`LoadConfig::read_body`](super::LoadConfig::read_body).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
    /// What the answer says in `tokens.output`; only with [`LoadConfig::read_body`](super::LoadConfig::read_body).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
}

impl Response {
    /// Whether a user would call it broken: no answer, or a server's error.
    pub fn is_bad(&self) -> bool {
        self.code == 0 || self.code >= 500
    }

    /// The line of the log, with its end.
    pub(crate) fn line(&self) -> String {
        let mut line = serde_json::to_string(self).unwrap_or_default();
        line.push('\n');
        line
    }
}

/// Counts of answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// All.
    pub total: u64,
    /// Those that a user would call broken.
    pub bad: u64,
}

/// What the load generator saw.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// All answers.
    pub all: Counts,
    /// By the header `x-revision`; the empty name is for answers without one.
    pub revisions: BTreeMap<String, Counts>,
}

impl Summary {
    pub(crate) fn add(&mut self, response: &Response) {
        let revision = self.revisions.entry(response.revision.clone()).or_default();
        for counts in [&mut self.all, revision] {
            counts.total += 1;
            counts.bad += u64::from(response.is_bad());
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} responses, {} bad", self.all.total, self.all.bad)?;
        for (revision, counts) in &self.revisions {
            let name = if revision.is_empty() { "(no revision)" } else { revision };
            write!(f, "; {name}: {} of {} bad", counts.bad, counts.total)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn response(code: u16, revision: &str) -> Response {
        let t = 1_700_000_000.125;
        Response { t, code, revision: revision.into(), ms: 12.3, verdict: None, output_tokens: None }
    }

    #[test]
    fn a_line_is_one_json_object_with_four_fields() {
        let line = response(200, "v2").line();
        assert_eq!(line, "{\"t\":1700000000.125,\"code\":200,\"revision\":\"v2\",\"ms\":12.3}\n");
        assert_eq!(serde_json::from_str::<Response>(&line).unwrap(), response(200, "v2"));
    }

    #[test]
    fn no_answer_and_a_servers_error_are_bad_and_a_callers_error_is_not() {
        let mut summary = Summary::default();
        for code in [0, 200, 404, 429, 500, 503] {
            summary.add(&response(code, if code == 0 { "" } else { "v1" }));
        }
        assert_eq!(summary.all, Counts { total: 6, bad: 3 });
        assert_eq!(summary.revisions["v1"], Counts { total: 5, bad: 2 });
        assert_eq!(summary.to_string(), "6 responses, 3 bad; (no revision): 1 of 1 bad; v1: 2 of 5 bad");
    }
}
