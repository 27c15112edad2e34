//! Clocks that jump.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use microapp_operator::clock::Clock;
use tokio::time::sleep;

use super::{MINUTE, at_five_percent, fails, promoted, reverted};
use crate::{invariants, stage::Stage};

/// The clock of one node, so many seconds off.
#[derive(Clone, Debug, Default)]
struct Off(Arc<AtomicI64>);

impl Clock for Off {
    fn now(&self) -> Timestamp {
        microapp_testkit::clock::now() + SignedDuration::from_secs(self.0.load(Relaxed))
    }
}

/// A second revision at 5 %, under an operator with a clock of its own.
async fn with_clock() -> (Stage, Off) {
    let mut stage = at_five_percent().await;
    let clock = Off::default();
    stage.operators.remove(0).end().await;
    let own = clock.clone();
    stage.start_with(|context| context.clock = Arc::new(own));
    sleep(Duration::from_secs(1)).await;
    (stage, clock)
}

/// Two hours forward or back, for a minute.
async fn jumps(by: i64) {
    let (stage, clock) = with_clock().await;
    clock.0.store(by, Relaxed);
    sleep(MINUTE).await;
    assert!(stage.aborted().is_null(), "{by}\n{stage:?}");
    assert!(stage.weights() == [95, 5] || stage.weights() == [75, 25], "no step is made of time alone\n{stage:?}");
    invariants::hold(&stage, &super::STEPS, false);
    clock.0.store(0, Relaxed);
    promoted(&stage).await;
    let (stage, clock) = with_clock().await;
    clock.0.store(by, Relaxed);
    fails(&stage);
    sleep(MINUTE).await;
    clock.0.store(0, Relaxed);
    reverted(&stage, Duration::from_secs(30)).await;
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_two_hours_ahead_and_back_makes_no_step_and_loses_no_rollback() {
    jumps(7200).await;
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_falls_two_hours_back_makes_no_step_and_loses_no_rollback() {
    jumps(-7200).await;
}
