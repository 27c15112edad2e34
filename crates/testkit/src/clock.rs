//! One clock for the API server, the simulated cluster, Prometheus and the code under test.
//!
//! It reads tokio's time, so that pausing and advancing that moves everything together, and counts from a fixed epoch,
//! so that a golden file may contain timestamps.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::runtime::{Handle, Id};
use tokio::time::Instant;

/// What [`now`] says when it is asked for the first time in a runtime: 2026-03-01T10:00:00Z, in seconds since 1970.
pub const EPOCH_SECONDS: i64 = 1_772_359_200;

/// Each `#[tokio::test]` has a runtime of its own and thereby an epoch of its own, also when tests share a thread.
static ANCHORS: LazyLock<Mutex<HashMap<Id, Instant>>> = LazyLock::new(Mutex::default);

/// The epoch as a timestamp.
pub fn epoch() -> Timestamp {
    Timestamp::from_second(EPOCH_SECONDS).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Time since the first question asked in this runtime. Outside a runtime no time passes.
pub fn elapsed() -> Duration {
    let Ok(handle) = Handle::try_current() else { return Duration::ZERO };
    let mut anchors = ANCHORS.lock().unwrap_or_else(PoisonError::into_inner);
    anchors.entry(handle.id()).or_insert_with(Instant::now).elapsed()
}

/// The present moment on tokio's clock, counted from the epoch.
pub fn now() -> Timestamp {
    epoch() + elapsed()
}

/// The present moment in milliseconds since 1970, the unit in which Prometheus keeps its samples.
pub fn now_millis() -> i64 {
    now().as_millisecond()
}

/// RFC 3339 in whole seconds, as `metadata.creationTimestamp` is written.
pub fn rfc3339(at: Timestamp) -> String {
    Timestamp::from_second(at.as_second()).unwrap_or(at).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn time_starts_at_the_epoch_and_moves_with_tokio() {
        assert_eq!(now().to_string(), "2026-03-01T10:00:00Z");
        tokio::time::sleep(Duration::from_secs(90)).await;
        assert_eq!(rfc3339(now()), "2026-03-01T10:01:30Z");
        assert_eq!(now_millis(), EPOCH_SECONDS * 1000 + 90_000);
    }

    #[tokio::test(start_paused = true)]
    async fn every_test_has_its_own_epoch() {
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(now(), epoch(), "the first question sets the anchor");
    }
}
