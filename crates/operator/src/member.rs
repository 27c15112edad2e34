//! The task of one rollout: it sleeps until something that its pass depends on may have changed, and runs passes until
//! there is nothing left to do. Its memory makes passes faster, never different.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt;
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use crate::{
    cache::Key,
    driver::{self, Next},
    error::PassError,
    evidence::Memory,
    fleet::Fleet,
    poll::Poller,
    report,
    trace::Tracer,
};

/// After a pass that failed: doubled each time, with jitter.
const BACKOFF: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(30)];
/// After a write that somebody else was faster than, doubled each time.
const CONTESTED: [Duration; 2] = [Duration::from_millis(5), Duration::from_secs(1)];
/// No timer at all.
const LONG: Duration = Duration::from_secs(24 * 3600);

/// One rollout.
pub(crate) struct Member {
    pub fleet: Arc<Fleet>,
    pub key: Key,
    pub memory: Memory,
    pub poller: Poller,
    pub tracer: Tracer,
    wake: Arc<Notify>,
    pub stop: CancellationToken,
    failures: u32,
    contested: u32,
}

impl Member {
    pub fn new(fleet: Arc<Fleet>, key: Key, wake: Arc<Notify>, stop: CancellationToken) -> Self {
        let poller = Poller::new(wake.clone(), stop.clone());
        let tracer = Tracer::new(fleet.context().clone(), stop.clone());
        Self { fleet, key, memory: Memory::default(), poller, tracer, wake, stop, failures: 0, contested: 0 }
    }

    /// Until the rollout or the operator goes.
    pub async fn live(mut self) {
        let mut leadership = self.fleet.leadership.clone();
        tokio::select! {
            () = self.stop.cancelled() => return,
            () = self.fleet.synced() => {}
        }
        let mut alarm = Instant::now();
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                () = self.wake.notified() => {}
                () = leadership.changed() => {}
                () = sleep_until(alarm) => {}
            }
            alarm = Instant::now() + self.turn().await;
        }
    }

    /// Passes until nothing is left to do; then how long to sleep.
    async fn turn(&mut self) -> Duration {
        while !self.stop.is_cancelled() {
            let fleet = self.fleet.clone();
            let begun = Instant::now();
            // A panic hurts this rollout alone. What it leaves half-done is memory, which may be forgotten.
            let passed = AssertUnwindSafe(driver::pass(self)).catch_unwind().await;
            let metrics = &fleet.context().metrics;
            metrics.reconcile(begun.elapsed());
            match passed.unwrap_or(Err(PassError::Panic)) {
                Ok(Next::Again) => (self.failures, self.contested) = (0, 0),
                Ok(Next::Contested) => {
                    tokio::time::sleep(delay(CONTESTED, self.contested)).await;
                    self.contested = self.contested.saturating_add(1);
                }
                Ok(Next::Sleep(how_long)) => {
                    (self.failures, self.contested) = (0, 0);
                    return how_long.unwrap_or(LONG);
                }
                Err(error) => {
                    if matches!(error, PassError::Panic) {
                        self.memory = Memory::default();
                    }
                    metrics.error(error.category());
                    if let Some(obstacle) = report::failed(&fleet, &self.key, &error) {
                        // Only a new one is told before the write is tried again.
                        let known = self.memory.obstacle.as_ref() == Some(&obstacle);
                        self.memory.obstacle = Some(obstacle);
                        if !known {
                            continue;
                        }
                    }
                    tracing::warn!(namespace = self.key.namespace, name = self.key.name, %error, "pass");
                    let pause = delay(BACKOFF, self.failures);
                    self.failures = self.failures.saturating_add(1);
                    return pause;
                }
            }
        }
        LONG
    }
}

/// The `times`-th delay, between half and one and a half of it, so that many do not come at once.
fn delay([first, most]: [Duration; 2], times: u32) -> Duration {
    let delay = first.saturating_mul(1 << times.min(16)).min(most);
    delay.mul_f64(0.5 + fastrand::f64())
}
