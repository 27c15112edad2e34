//! Questions to Prometheus, beside the passes: a pass never waits for it. An answer goes into the mailbox and wakes the
//! rollout's task; one that is lost is asked for again, since watermarks move only by folding.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::FutureExt;
use jiff::{SignedDuration, Timestamp};
use microapp_core::{
    Judgement,
    counts::{Ask, Counts},
    evidence::{Place, Preflight},
};
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    Context,
    clock::seconds,
    evidence::Question,
    scheduler::{Asker, Lane},
};

/// No question takes longer, whatever the client thinks.
const DEADLINE: Duration = Duration::from_secs(15);
/// A refusal of preflight is looked at again after so long.
const REFUSED: SignedDuration = SignedDuration::from_secs(15);
/// Between two questions lie no more than two intervals, or than this where that is more: while a clock is hours behind, the
/// next scrape seems hours away.
const LATEST: SignedDuration = REFUSED;

/// The questions of one rollout, one at a time.
#[derive(Debug)]
pub(crate) struct Poller {
    slot: Arc<Mutex<Slot>>,
    wake: Arc<Notify>,
    stop: CancellationToken,
    last: Option<(Timestamp, Ask)>,
    failures: i32,
    asked_at: Option<Instant>,
}

#[derive(Debug, Default)]
struct Slot {
    busy: bool,
    mail: Option<(Place, Counts)>,
}

impl Poller {
    pub fn new(wake: Arc<Notify>, stop: CancellationToken) -> Self {
        Self { slot: Arc::default(), wake, stop, last: None, failures: 0, asked_at: None }
    }

    /// The answer that came, if it is about this place.
    pub fn take(&mut self, place: Place) -> Option<Counts> {
        let (about, counts) = lock(&self.slot).mail.take()?;
        match &counts {
            Counts::Silent(_) => self.failures = self.failures.saturating_add(1),
            Counts::None | Counts::Baseline { .. } | Counts::Windows(..) => self.failures = 0,
        }
        if about == place {
            return Some(counts);
        }
        self.last = None;
        None
    }

    /// Asks where it is time. Otherwise: when it will be; `None` while an answer is under way, since that wakes us.
    pub fn turn(
        &mut self,
        context: &Arc<Context>,
        question: Question,
        ask: &Ask,
        judgement: &Judgement,
        now: Timestamp,
    ) -> Option<Timestamp> {
        if lock(&self.slot).busy {
            return None;
        }
        let due = self.due(context, ask, judgement, question.interval, now);
        if due > now {
            return Some(due);
        }
        self.last = Some((now, ask.clone()));
        self.asked_at = Some(Instant::now());
        lock(&self.slot).busy = true;
        let done = Done { slot: self.slot.clone(), wake: self.wake.clone() };
        let (context, place) = (context.clone(), question.place);
        let answering =
            answer(context.clone(), question, ask.clone(), self.slot.clone(), done.wake.clone(), self.stop.clone());
        tokio::spawn(async move {
            if AssertUnwindSafe(answering).catch_unwind().await.is_err() {
                tracing::error!("reading an answer of Prometheus panicked");
                context.metrics.error("panic");
                let silent = Counts::Silent(microapp_core::counts::Unknown::Unreachable);
                lock(&done.slot).mail = Some((place, silent));
            }
            drop(done);
        });
        None
    }

    /// By the targets' own scrapes, and never more often than four times an interval.
    fn due(&self, context: &Context, ask: &Ask, judgement: &Judgement, interval: f64, now: Timestamp) -> Timestamp {
        let Some((last, asked)) = &self.last else { return now };
        // One that was asked in the future was asked by a clock that has been put right since.
        if asked != ask || *last > now {
            return now;
        }
        let latest = SignedDuration::try_from_secs_f64(2.0 * interval).unwrap_or(LATEST).max(LATEST);
        self.expected(context, (*last, ask), judgement, interval, now).min(last.saturating_add(latest).unwrap_or(now))
    }

    fn expected(
        &self,
        context: &Context,
        (last, ask): (Timestamp, &Ask),
        judgement: &Judgement,
        interval: f64,
        now: Timestamp,
    ) -> Timestamp {
        let span = |seconds: f64| SignedDuration::from_millis((seconds * 1000.0) as i64);
        let at = |delay: SignedDuration| last.checked_add(delay).unwrap_or(now);
        if self.failures > 0 {
            if self.asked_at.is_some_and(|asked| context.prometheus.recovered_since(asked)) {
                return now;
            }
            return at(SignedDuration::from_secs(i64::from(self.failures.min(5))));
        }
        match ask {
            Ask::Baseline => match judgement.preflight {
                Preflight::Refused(_) => at(REFUSED),
                Preflight::Pending | Preflight::Passed => at(span(interval)),
            },
            Ask::Windows => {
                let expected = judgement.next.and_then(|next| Timestamp::from_millisecond((next * 1000.0) as i64).ok());
                match expected {
                    // What should have been there an interval ago will hardly be there in a quarter of one.
                    Some(expected) if expected >= at(-span(interval)) => expected.max(at(span(interval / 4.0))),
                    Some(_) | None => at(span(interval)),
                }
            }
        }
    }
}

async fn answer(
    context: Arc<Context>,
    question: Question,
    ask: Ask,
    slot: Arc<Mutex<Slot>>,
    wake: Arc<Notify>,
    stop: CancellationToken,
) {
    let now = seconds(context.clock.now());
    let begun = Instant::now();
    let Question { subject, watch, place, interval: _ } = &question;
    // At weight 0 nobody is in danger.
    let lane = if subject.weight_ppm > 0 { Lane::Exposed } else { Lane::Patient };
    let asker = Asker { scheduler: &context.prometheus, lane };
    let asking = microapp_telemetry::ask(&asker, subject, &ask, watch, &context.prices, now);
    let (counts, outcome) = tokio::select! {
        () = stop.cancelled() => return,
        answered = timeout(DEADLINE, asking) => match answered {
            Ok((counts, None)) => (counts, "ok"),
            Ok((counts, Some(error))) => {
                tracing::warn!(namespace = subject.namespace, name = subject.name, %error, "Prometheus");
                (counts, error.category())
            }
            Err(_) => (Counts::Silent(microapp_core::counts::Unknown::Unreachable), "timeout"),
        },
    };
    if matches!(counts, Counts::Silent(_)) {
        context.prometheus.wake_when_back(&wake);
    }
    context.metrics.query(outcome, begun.elapsed());
    tracing::debug!(namespace = subject.namespace, name = subject.name, ?ask, outcome, ?counts, "asked");
    lock(&slot).mail = Some((*place, counts));
}

/// Frees the slot and wakes the task, whatever became of the question.
struct Done {
    slot: Arc<Mutex<Slot>>,
    wake: Arc<Notify>,
}

impl Drop for Done {
    fn drop(&mut self) {
        lock(&self.slot).busy = false;
        self.wake.notify_one();
    }
}

fn lock(slot: &Mutex<Slot>) -> std::sync::MutexGuard<'_, Slot> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}
