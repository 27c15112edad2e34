//! The task of one rollout: it sleeps until something that its pass depends on may have changed, and runs passes until
//! there is nothing left to do. Its memory makes passes faster, never different.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt;
use microapp_core::{Write, build::request, lens::Objects, world::World};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use crate::{
    brake::{self, Brake, Print},
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
/// After one that failed at what a person must change, and was told.
const REFUSED: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(120)];
/// After a write that somebody else was faster than, doubled each time.
const CONTESTED: [Duration; 2] = [Duration::from_millis(5), Duration::from_secs(10)];
/// The same for a lower, which is through within five seconds whatever came before.
const OVERTAKEN: [Duration; 2] = [Duration::from_millis(5), Duration::from_secs(2)];
/// After a lower that did not get through: with its own deadline always within five seconds.
const BLOCKED: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(2)];
/// No timer at all.
const LONG: Duration = Duration::from_secs(24 * 3600);

/// One rollout.
pub(crate) struct Member {
    pub fleet: Arc<Fleet>,
    pub key: Key,
    pub memory: Memory,
    pub poller: Poller,
    pub tracer: Tracer,
    pub brake: Brake,
    wake: Arc<Notify>,
    pub stop: CancellationToken,
    failures: u32,
    contested: u32,
    blocked: u32,
}

impl Member {
    pub fn new(fleet: Arc<Fleet>, key: Key, wake: Arc<Notify>, stop: CancellationToken) -> Self {
        let poller = Poller::new(wake.clone(), stop.clone());
        let tracer = Tracer::new(fleet.context().clone(), stop.clone());
        Self {
            fleet,
            key,
            memory: Memory::default(),
            poller,
            tracer,
            brake: Brake::default(),
            wake,
            stop,
            failures: 0,
            contested: 0,
            blocked: 0,
        }
    }

    /// Until the rollout or the operator goes.
    pub async fn live(mut self) {
        let mut leadership = self.fleet.leadership.clone();
        tokio::select! {
            () = self.stop.cancelled() => return,
            () = self.fleet.synced(&self.key.namespace) => {}
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
                Ok(Next::Again) => self.went(),
                Ok(Next::Blocked(true)) => {}
                Ok(Next::Blocked(false)) => {
                    let pause = delay(BLOCKED, self.blocked);
                    self.blocked = self.blocked.saturating_add(1);
                    return pause;
                }
                Ok(Next::Contested(lower)) => {
                    let pause = if lower { OVERTAKEN } else { CONTESTED };
                    tokio::time::sleep(delay(pause, self.contested)).await;
                    self.contested = self.contested.saturating_add(1);
                }
                Ok(Next::Sleep(how_long)) => {
                    self.went();
                    return how_long.unwrap_or(LONG);
                }
                Err(error) => {
                    if matches!(error, PassError::Panic) {
                        self.memory = Memory::default();
                    }
                    metrics.error(error.category());
                    let mut backoff = BACKOFF;
                    if let Some(obstacle) = report::failed(&fleet, &self.key, &error) {
                        // Only a new one is told before the write is tried again.
                        let known = self.memory.obstacle.as_ref() == Some(&obstacle);
                        self.memory.obstacle = Some(obstacle);
                        if !known {
                            continue;
                        }
                        backoff = REFUSED;
                    }
                    tracing::warn!(namespace = self.key.namespace, name = self.key.name, %error, "pass");
                    let pause = delay(backoff, self.failures);
                    self.failures = self.failures.saturating_add(1);
                    return pause;
                }
            }
        }
        LONG
    }

    fn went(&mut self) {
        (self.failures, self.contested, self.blocked) = (0, 0, 0);
    }

    /// How long a write must wait that was written before and is wanted again.
    pub fn held(&mut self, write: &Write, print: Option<&Print>, world: &World, objects: &Objects) -> Option<Duration> {
        // A status is a copy: whatever is wanted beside it is still wanted.
        let print = print.filter(|print| !print.is_of_status())?;
        self.brake.release(Some(print));
        // Down waits for nobody.
        if matches!(write, Write::Lower(_)) {
            return None;
        }
        let live = print.live(objects);
        let who = world.route().and_then(|route| route.stranger.as_deref()).filter(|_| print.is_of_route());
        self.brake.hold(print, live.as_deref(), who)
    }

    /// The same for a status.
    pub fn held_copy(&mut self, write: &Write, world: &World, objects: &Objects) -> Option<Duration> {
        let print = brake::print(write, &request(world, write).ok()?);
        self.brake.hold(&print, Some(&objects.rollout), None)
    }
}

/// The `times`-th delay, between half and one and a half of it, so that many do not come at once.
fn delay([first, most]: [Duration; 2], times: u32) -> Duration {
    let delay = first.saturating_mul(1 << times.min(16)).min(most);
    delay.mul_f64(0.5 + fastrand::f64())
}
