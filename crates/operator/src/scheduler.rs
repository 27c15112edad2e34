//! All questions to one Prometheus, from all rollouts: so many at a time, and equal ones once.
//!
//! Nothing here may delay a rollback. So whoever looks at users ([`Lane::Exposed`]) has places of its own that a storm of
//! preflights cannot take, and a server that came back wakes everybody whom it had failed. While it is away one probe a
//! second asks for all: the questions themselves are answered at once with what is wrong. The probe is nobody's question,
//! so it cannot end with its asker, and nobody waits for it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use futures::{
    FutureExt,
    future::{BoxFuture, Shared, WeakShared},
};
use microapp_telemetry::{Answer, Prometheus, QueryError, decode::DecodeError, http::Boxed};
use tokio::{
    sync::{Notify, Semaphore, watch},
    time::{Instant, sleep, timeout},
};

/// Questions under way about revisions that users reach.
const EXPOSED: usize = 16;
/// And about those that nobody reaches yet.
const PATIENT: usize = 4;
/// Queries of users' own under way: places of their own, since nobody knows what they cost.
const OWN: usize = 4;
/// And how long a tick waits for one; then the answer before it counts, where that is not too old.
const GRACE: Duration = Duration::from_secs(1);
const OLD: Duration = Duration::from_secs(30);
/// No query of a user's takes longer.
const OWN_TIME: Duration = Duration::from_secs(10);
/// After so many failures in a row the server counts as away.
const AWAY: u32 = 3;
/// What is asked meanwhile: it costs nothing, and any answer will do, a refusal too.
const PROBE: &str = "vector(1)";
/// How often.
const PROBE_EVERY: Duration = Duration::from_secs(1);
/// How long a probe may take.
const PROBE_TIME: Duration = Duration::from_secs(10);
/// Where nobody wanted to know for so long, nothing is asked any more.
const INTEREST: Duration = Duration::from_secs(60);

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Users reach the canary: the answer may be a breach.
    Exposed,
    /// Nobody does.
    Patient,
}

type Asked = BoxFuture<'static, Result<Answer, QueryError>>;

/// One Prometheus, shared.
pub struct Scheduler {
    prometheus: Arc<dyn Prometheus>,
    exposed: Arc<Semaphore>,
    patient: Arc<Semaphore>,
    own: Arc<Semaphore>,
    values: Mutex<HashMap<String, Value>>,
    state: Mutex<State>,
}

/// A user's own query.
#[derive(Default)]
struct Value {
    /// It is under way.
    asked: Option<watch::Receiver<()>>,
    /// Its last answer.
    last: Option<(Instant, Result<Answer, QueryError>)>,
    /// When somebody last wanted it.
    wanted: Option<Instant>,
}

#[derive(Default)]
struct State {
    /// Failures in a row.
    failures: u32,
    /// What is wrong with a server that is away, and when somebody last wanted to ask.
    away: Option<(QueryError, Instant)>,
    /// When it last began to answer again.
    recovered: Option<Instant>,
    /// Whom it failed.
    waiting: Vec<Weak<Notify>>,
    /// Questions under way, by text and time in milliseconds, with their number. Whoever asks keeps them alive.
    flights: HashMap<(String, i64), (u64, WeakShared<Asked>)>,
    /// How many there were.
    number: u64,
}

impl std::fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scheduler").finish_non_exhaustive()
    }
}

/// One lane of a scheduler, to be asked like a Prometheus of its own.
#[derive(Debug)]
pub(crate) struct Asker<'a> {
    pub scheduler: &'a Arc<Scheduler>,
    pub lane: Lane,
}

impl Prometheus for Asker<'_> {
    fn query<'a>(&'a self, promql: &'a str, time: f64) -> Boxed<'a, Result<Answer, QueryError>> {
        Box::pin(self.scheduler.ask(self.lane, promql, time))
    }

    fn value<'a>(&'a self, promql: &'a str, time: f64) -> Boxed<'a, Result<Answer, QueryError>> {
        // Nobody is in danger at weight 0, so that the answer is waited for.
        let grace = match self.lane {
            Lane::Exposed => GRACE,
            Lane::Patient => OWN_TIME,
        };
        Box::pin(self.scheduler.value(promql, time, grace))
    }
}

impl Scheduler {
    /// In front of a Prometheus.
    pub fn new(prometheus: Arc<dyn Prometheus>) -> Arc<Self> {
        let (exposed, patient) = (Arc::new(Semaphore::new(EXPOSED)), Arc::new(Semaphore::new(PATIENT)));
        Arc::new(Self {
            prometheus,
            exposed,
            patient,
            own: Arc::new(Semaphore::new(OWN)),
            values: Mutex::default(),
            state: Mutex::default(),
        })
    }

    /// Did it begin to answer again after this moment?
    pub(crate) fn recovered_since(&self, moment: Instant) -> bool {
        self.state().recovered.is_some_and(|recovered| recovered >= moment)
    }

    /// Wakes `whom` when it answers again.
    pub(crate) fn wake_when_back(&self, whom: &Arc<Notify>) {
        let mut state = self.state();
        if state.failures == 0 {
            whom.notify_one();
            return;
        }
        state.waiting.retain(|known| known.strong_count() > 0 && !known.ptr_eq(&Arc::downgrade(whom)));
        state.waiting.push(Arc::downgrade(whom));
    }

    async fn ask(self: &Arc<Self>, lane: Lane, promql: &str, time: f64) -> Result<Answer, QueryError> {
        if let Some((error, wanted)) = &mut self.state().away {
            *wanted = Instant::now();
            return Err(error.clone());
        }
        let key = (promql.to_owned(), (time * 1000.0).round() as i64);
        self.flight(lane, key).await
    }

    /// A user's own query: asked beside everything else, and waited for no longer than `grace`.
    async fn value(self: &Arc<Self>, promql: &str, time: f64, grace: Duration) -> Result<Answer, QueryError> {
        if let Some((error, wanted)) = &mut self.state().away {
            *wanted = Instant::now();
            return Err(error.clone());
        }
        let begun = Instant::now();
        let mut asked = self.begin(promql, time);
        // Its other end goes with the answer.
        let _ = timeout(grace, asked.changed()).await;
        let values = self.values();
        let last = values.get(promql).and_then(|value| value.last.as_ref());
        match last.filter(|(at, _)| *at >= begun || at.elapsed() < OLD) {
            Some((_, answer)) => answer.clone(),
            None => Err(QueryError::Decode(DecodeError::Refused { kind: "timeout" })),
        }
    }

    /// Asks where it is not being asked. What is returned ends with the answer.
    fn begin(self: &Arc<Self>, promql: &str, time: f64) -> watch::Receiver<()> {
        let mut values = self.values();
        values
            .retain(|_, value| value.asked.is_some() || value.wanted.is_some_and(|wanted| wanted.elapsed() < INTEREST));
        let value = values.entry(promql.to_owned()).or_default();
        value.wanted = Some(Instant::now());
        // Its other end goes with the answer, or with the task that was to bring one.
        if let Some(asked) = value.asked.as_ref().filter(|asked| asked.has_changed().is_ok()) {
            return asked.clone();
        }
        let (done, asked) = watch::channel(());
        value.asked = Some(asked.clone());
        let (scheduler, promql) = (self.clone(), promql.to_owned());
        tokio::spawn(async move {
            let _done = done;
            // The semaphore is never closed.
            let place = scheduler.own.acquire().await;
            let answer = match timeout(OWN_TIME, scheduler.prometheus.value(&promql, time)).await {
                Ok(answer) => answer,
                Err(_) => Err(QueryError::Decode(DecodeError::Refused { kind: "timeout" })),
            };
            drop(place);
            if let Some(value) = scheduler.values().get_mut(&promql) {
                value.asked = None;
                value.last = Some((Instant::now(), answer));
            }
        });
        asked
    }

    fn values(&self) -> MutexGuard<'_, HashMap<String, Value>> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn flight(self: &Arc<Self>, lane: Lane, key: (String, i64)) -> Shared<Asked> {
        let mut state = self.state();
        if let Some(asked) = state.flights.get(&key).and_then(|(_, asked)| asked.upgrade()) {
            return asked;
        }
        state.number += 1;
        let number = state.number;
        let flight = Flight { scheduler: self.clone(), key: key.clone(), number };
        let asked = flight.run(lane).boxed().shared();
        if let Some(weak) = asked.downgrade() {
            state.flights.insert(key, (number, weak));
        }
        asked
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what came of a question or probe at `time`.
    fn learn(self: &Arc<Self>, answered: &Result<Answer, QueryError>, time: f64) {
        let mut state = self.state();
        if let Err(error) = answered
            && error.is_of_the_server()
        {
            state.failures = state.failures.saturating_add(1);
            if state.failures >= AWAY && state.away.is_none() {
                state.away = Some((error.clone(), Instant::now()));
                tokio::spawn(probe(Arc::downgrade(self), time));
            }
            return;
        }
        if state.failures > 0 {
            state.failures = 0;
            state.away = None;
            state.recovered = Some(Instant::now());
            for whom in state.waiting.drain(..) {
                if let Some(whom) = whom.upgrade() {
                    whom.notify_one();
                }
            }
        }
    }
}

/// Asks for all until the server answers, or nobody wants to know. Which time it asks about does not matter.
async fn probe(scheduler: Weak<Scheduler>, time: f64) {
    loop {
        sleep(PROBE_EVERY).await;
        let Some(scheduler) = scheduler.upgrade() else { return };
        {
            let mut state = scheduler.state();
            match &state.away {
                None => return,
                // Whoever comes next finds out.
                Some((_, wanted)) if wanted.elapsed() > INTEREST => {
                    state.away = None;
                    return;
                }
                Some(_) => {}
            }
        }
        let asked = timeout(PROBE_TIME, scheduler.prometheus.query(PROBE, time));
        scheduler.learn(&asked.await.unwrap_or(Err(QueryError::Timeout)), time);
    }
}

/// A question under way. It leaves the table however it ends.
struct Flight {
    scheduler: Arc<Scheduler>,
    key: (String, i64),
    number: u64,
}

impl Flight {
    async fn run(self, lane: Lane) -> Result<Answer, QueryError> {
        let places = match lane {
            Lane::Exposed => &self.scheduler.exposed,
            Lane::Patient => &self.scheduler.patient,
        };
        // The semaphores are never closed.
        let _place = places.acquire().await.map_err(|_| QueryError::Broken)?;
        // It went away while this one waited.
        if let Some((error, _)) = &self.scheduler.state().away {
            return Err(error.clone());
        }
        let time = self.key.1 as f64 / 1000.0;
        let answered = self.scheduler.prometheus.query(&self.key.0, time).await;
        self.scheduler.learn(&answered, time);
        answered
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let mut state = self.scheduler.state();
        if state.flights.get(&self.key).is_some_and(|(number, _)| *number == self.number) {
            state.flights.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

    use futures::future::join_all;

    use super::*;

    #[derive(Default)]
    struct Server {
        asked: AtomicUsize,
        at_once: AtomicUsize,
        most: AtomicUsize,
        down: AtomicBool,
    }

    impl Prometheus for Server {
        fn query<'a>(&'a self, _: &'a str, _: f64) -> Boxed<'a, Result<Answer, QueryError>> {
            Box::pin(async {
                self.asked.fetch_add(1, SeqCst);
                let now = self.at_once.fetch_add(1, SeqCst) + 1;
                self.most.fetch_max(now, SeqCst);
                sleep(Duration::from_secs(1)).await;
                self.at_once.fetch_sub(1, SeqCst);
                if self.down.load(SeqCst) { Err(QueryError::Connect) } else { Ok(Answer::default()) }
            })
        }
    }

    fn scheduler() -> (Arc<Server>, Arc<Scheduler>) {
        let server = Arc::new(Server::default());
        (server.clone(), Scheduler::new(server))
    }

    #[tokio::test(start_paused = true)]
    async fn a_storm_of_preflights_does_not_delay_who_looks_at_users() {
        let (server, scheduler) = scheduler();
        let texts: Vec<String> = (0..100).map(|n| format!("q{n}")).collect();
        let storm = join_all(texts.iter().map(|text| scheduler.ask(Lane::Patient, text, 1.0)));
        let urgent = async {
            sleep(Duration::from_millis(100)).await;
            let begun = Instant::now();
            scheduler.ask(Lane::Exposed, "breach?", 1.0).await.unwrap();
            begun.elapsed()
        };
        let (_, took) = tokio::join!(storm, urgent);
        assert_eq!(took, Duration::from_secs(1), "as long as Prometheus takes");
        assert_eq!(server.most.load(SeqCst), PATIENT + 1, "the storm is spread");
    }

    #[tokio::test(start_paused = true)]
    async fn equal_questions_are_asked_once() {
        let (server, scheduler) = scheduler();
        let all = join_all((0..10).map(|_| scheduler.ask(Lane::Exposed, "same", 7.0))).await;
        assert!(all.iter().all(Result::is_ok));
        assert_eq!(server.asked.load(SeqCst), 1);
        scheduler.ask(Lane::Exposed, "same", 7.0).await.unwrap();
        assert_eq!(server.asked.load(SeqCst), 2, "an answer is not kept");
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_is_back_wakes_everybody_whom_it_had_failed() {
        let (server, scheduler) = scheduler();
        server.down.store(true, SeqCst);
        let wakes: Vec<Arc<Notify>> = (0..200).map(|_| Arc::default()).collect();
        for (place, wake) in wakes.iter().enumerate() {
            assert!(scheduler.ask(Lane::Exposed, &format!("{place}"), 1.0).await.is_err());
            scheduler.wake_when_back(wake);
        }
        let last = Instant::now();
        server.down.store(false, SeqCst);
        for wake in &wakes {
            timeout(3 * PROBE_EVERY, wake.notified()).await.unwrap();
        }
        assert!(scheduler.recovered_since(last));
        scheduler.ask(Lane::Exposed, "again", 2.0).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn while_the_server_is_away_one_probe_asks_for_all_and_everybody_hears_at_once() {
        let (server, scheduler) = scheduler();
        server.down.store(true, SeqCst);
        for question in ["a", "b", "c"] {
            assert!(scheduler.ask(Lane::Exposed, question, 1.0).await.is_err());
        }
        let (before, begun) = (server.asked.load(SeqCst), Instant::now());
        for second in 0..30 {
            let texts: Vec<String> = (0..500).map(|n| format!("{second} {n}")).collect();
            let all = join_all(texts.iter().map(|text| scheduler.ask(Lane::Exposed, text, 1.0)));
            let heard = timeout(Duration::from_millis(1), all).await.unwrap();
            assert!(heard.iter().all(|answer| matches!(answer, Err(QueryError::Connect))));
            sleep(Duration::from_secs(1)).await;
        }
        let (asked, seconds) = (server.asked.load(SeqCst) - before, begun.elapsed().as_secs());
        assert!((10..=31).contains(&asked), "{asked} probes for 15 000 questions in {seconds} s");
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_does_not_end_with_who_asked_and_ends_when_nobody_asks() {
        let (server, scheduler) = scheduler();
        server.down.store(true, SeqCst);
        for question in ["a", "b", "c"] {
            assert!(scheduler.ask(Lane::Exposed, question, 1.0).await.is_err());
        }
        // Two at a time, of which the first failure ends the other one.
        let both = futures::future::try_join_all(["d", "e"].map(|text| scheduler.ask(Lane::Exposed, text, 1.0)));
        assert!(both.await.is_err());
        sleep(Duration::from_secs(20)).await;
        let before = server.asked.load(SeqCst);
        assert!(before > 8, "the probe goes on: {before}");
        sleep(2 * INTEREST).await;
        let (asked, then) = (server.asked.load(SeqCst), scheduler.state().away.is_none());
        sleep(2 * INTEREST).await;
        assert_eq!((server.asked.load(SeqCst), then), (asked, true), "nobody wanted to know");
        server.down.store(false, SeqCst);
        scheduler.ask(Lane::Exposed, "again", 2.0).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_that_somebody_gave_up_blocks_nobody() {
        let (server, scheduler) = scheduler();
        assert!(timeout(Duration::from_millis(500), scheduler.ask(Lane::Exposed, "same", 7.0)).await.is_err());
        scheduler.ask(Lane::Exposed, "same", 7.0).await.unwrap();
        assert_eq!(server.asked.load(SeqCst), 2);
        assert!(scheduler.state().flights.is_empty());
    }

    /// One number, as late as it is told.
    struct Slow(Duration);

    impl Prometheus for Slow {
        fn query<'a>(&'a self, _: &'a str, _: f64) -> Boxed<'a, Result<Answer, QueryError>> {
            Box::pin(async { Ok(Answer::default()) })
        }

        fn value<'a>(&'a self, _: &'a str, _: f64) -> Boxed<'a, Result<Answer, QueryError>> {
            Box::pin(async {
                sleep(self.0).await;
                Ok(Answer::default())
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_query_of_a_users_delays_neither_its_own_tick_nor_another_one() {
        let scheduler = Scheduler::new(Arc::new(Slow(Duration::from_secs(8))));
        let asker = Asker { scheduler: &scheduler, lane: Lane::Exposed };
        let texts: Vec<String> = (0..100).map(|n| format!("q{n}")).collect();
        let begun = Instant::now();
        let storm = join_all(texts.iter().map(|text| asker.value(text, 1.0)));
        let (storm, built_in) = tokio::join!(storm, asker.query("breach?", 1.0));
        assert!(built_in.is_ok() && begun.elapsed() <= GRACE, "{:?}", begun.elapsed());
        assert!(storm.iter().all(|answer| matches!(answer, Err(error) if !error.is_of_the_server())));
        sleep(Duration::from_secs(8)).await;
        let again = Instant::now();
        assert!(asker.value("q0", 2.0).await.is_ok(), "the last answer counts");
        assert!(again.elapsed() <= GRACE);
        sleep(300 * OWN_TIME).await;
        let patient = Asker { scheduler: &scheduler, lane: Lane::Patient };
        assert!(patient.value("alone", 3.0).await.is_ok(), "before any traffic it is waited for");
    }
}
