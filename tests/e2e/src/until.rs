//! Waiting for conditions, never for the clock alone.

use std::thread;
use std::time::{Duration, Instant};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);

/// Looks until something holds and returns it; panics when it does not in time.
pub fn until<T>(limit: Duration, what: &str, mut holds: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = holds() {
            return answer;
        }
        assert!(begun.elapsed() < limit, "{what} did not happen within {} s", limit.as_secs());
        thread::sleep(PAUSE);
    }
}

/// Looks for a while; panics as soon as the check does. For what must not happen.
pub fn always(span: Duration, mut check: impl FnMut()) {
    let begun = Instant::now();
    while begun.elapsed() < span {
        check();
        thread::sleep(PAUSE);
    }
}
