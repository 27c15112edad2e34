//! What the operator recorded of an attempt.

use std::io::{BufRead, BufReader};

use flate2::read::MultiGzDecoder;
use k8s_openapi::api::core::v1::ConfigMap;
use microapp_core::trace::Line;

use crate::{exit::Failure, view::View};

/// The key of the ConfigMap.
const DATA: &str = "trace.jsonl.gz";
/// Characters of a line that are read: far more than any pass has.
const LONGEST: u64 = 64 << 20;

/// The revision on trial, or the last one that was.
pub fn last(view: &View) -> Option<String> {
    let running = view.running().map(|canary| canary.revision.clone());
    let tried = || {
        let history = view.status().history.iter().rev();
        history.filter(|entry| entry.attempt > 1).map(|entry| entry.revision.clone()).next()
    };
    running.or_else(tried)
}

/// The lines of a trace, as `replay` takes them.
///
/// # Errors
/// The ConfigMap holds no trace, or one of another version.
pub fn lines(config_map: &ConfigMap) -> Result<Vec<String>, Failure> {
    let data = config_map.binary_data.as_ref().and_then(|data| data.get(DATA));
    let data = data.ok_or_else(|| Failure::error(format!("the trace has no {DATA}")))?;
    let mut begun = None;
    let text = BufReader::new(std::io::Read::take(MultiGzDecoder::new(data.0.as_slice()), LONGEST));
    text.lines()
        .map(|line| {
            let unreadable = |why: &dyn std::fmt::Display| Failure::error(format!("the trace does not read: {why}"));
            let line = line.map_err(|error| unreadable(&error))?;
            let line: Line = serde_json::from_str(&line).map_err(|error| unreadable(&error))?;
            Ok(line.export(*begun.get_or_insert(line.pass.now)))
        })
        .collect()
}
