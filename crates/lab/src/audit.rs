//! The API server's audit log, read on from some moment: who asked what, which its metrics do not say.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::Path;

use jiff::Timestamp;
use serde_json::Value;

use crate::error::{Doing, Result};

/// Reads on where the last look ended.
#[derive(Debug)]
pub struct Audit {
    log: BufReader<File>,
}

/// One request that was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Who asked.
    pub user: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`.
    pub verb: String,
    /// The plural of the kind.
    pub resource: String,
    /// Empty where the kind has none.
    pub namespace: String,
    /// The path with its parameters.
    pub uri: String,
    /// When it was answered; a watch: when it began.
    pub at: Timestamp,
}

impl Audit {
    /// What comes after now.
    pub(crate) fn from_now(path: &Path) -> Result<Self> {
        let doing = || format!("read {}", path.display());
        let mut log = File::open(path).doing(doing)?;
        log.seek(SeekFrom::End(0)).doing(doing)?;
        Ok(Self { log: BufReader::new(log) })
    }

    /// What was answered since the last look, in the order of the log.
    pub fn requests(&mut self) -> Result<Vec<Request>> {
        let doing = || "read the audit log".to_owned();
        let mut found = Vec::new();
        let mut line = String::new();
        loop {
            let start = self.log.stream_position().doing(doing)?;
            line.clear();
            self.log.read_line(&mut line).doing(doing)?;
            if !line.ends_with('\n') {
                // It is being written.
                self.log.seek(SeekFrom::Start(start)).doing(doing)?;
                return Ok(found);
            }
            found.extend(request(&line));
        }
    }
}

fn request(line: &str) -> Option<Request> {
    let event: Value = serde_json::from_str(line).ok()?;
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    Some(Request {
        user: text("/user/username"),
        verb: text("/verb"),
        resource: text("/objectRef/resource"),
        namespace: text("/objectRef/namespace"),
        uri: text("/requestURI"),
        at: text("/stageTimestamp").parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Write;

    use super::*;

    #[test]
    fn whole_lines_are_read_once_and_half_a_line_when_it_is_whole() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "{{\"verb\":\"get\",\"stageTimestamp\":\"2026-03-01T10:00:00Z\"}}").unwrap();
        let mut audit = Audit::from_now(file.path()).unwrap();
        let line = r#"{"verb":"patch","user":{"username":"system:serviceaccount:a:b"},"requestURI":"/apis/x",
            "objectRef":{"resource":"httproutes","namespace":"demo"},"stageTimestamp":"2026-03-01T10:00:01.250000Z"}"#;
        let line = line.replace('\n', " ");
        let (first, second) = line.split_at(40);
        write!(file, "{first}").unwrap();
        assert_eq!(audit.requests().unwrap(), []);
        writeln!(file, "{second}").unwrap();
        let expected = Request {
            user: "system:serviceaccount:a:b".into(),
            verb: "patch".into(),
            resource: "httproutes".into(),
            namespace: "demo".into(),
            uri: "/apis/x".into(),
            at: "2026-03-01T10:00:01.25Z".parse().unwrap(),
        };
        assert_eq!(audit.requests().unwrap(), [expected]);
        assert_eq!(audit.requests().unwrap(), []);
    }
}
