//! The leader's lease: 10 s long, renewed every 2 s by calls of at most 2 s, `resourceVersion` in every write, the
//! monotonic clock for every "how long". It saves work; the compare-and-set of the route is what keeps promises.
//!
//! The known lease crates patch without the version that they read, so two of them can both believe that they won.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube_client::{Api, Client, api::PostParams};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{clock::Clock, health::Fitness};

/// Length of the lease.
pub const LENGTH: Duration = Duration::from_secs(10);
/// Between two renewals.
pub const RENEW: Duration = Duration::from_secs(2);
/// Deadline of one call.
const CALL: Duration = Duration::from_secs(2);
/// After a call that failed.
const RETRY: Duration = Duration::from_millis(500);
/// We step down this long after the sending of the last good renewal: before anybody else can step up.
const STEP_DOWN: Duration = Duration::from_secs(8);
/// So much later than others a candidate with a dead watch takes a lease that is free.
const HANDICAP: Duration = Duration::from_secs(20);
/// Annotation of a lease whose holder would rather give it to somebody who sees more.
const RELUCTANT: &str = "microapp.dev/reluctant";
/// No raise later than this after the sending of the last good renewal.
pub const MARGIN: Duration = Duration::from_secs(5);

/// Do we lead, and for how long have we known?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Term {
    number: i64,
    /// The sending of the last good renewal; none where nobody else can lead.
    renewed: Option<Instant>,
}

/// What passes ask.
#[derive(Clone, Debug)]
pub struct Leadership {
    term: watch::Receiver<Option<Term>>,
    known: Arc<AtomicBool>,
}

impl Leadership {
    /// The only one there is: no election.
    pub fn alone() -> Self {
        let term = watch::channel(Some(Term { number: 0, renewed: None })).1;
        Self { term, known: Arc::new(AtomicBool::new(true)) }
    }

    /// Has the lease been read at all? Before that we neither lead nor follow.
    pub fn is_known(&self) -> bool {
        self.known.load(Ordering::Relaxed)
    }

    /// Which term of ours it is; none where somebody else leads. What was learned in an earlier term may be stale.
    pub fn term(&self) -> Option<i64> {
        let term = (*self.term.borrow())?;
        term.renewed.is_none_or(|at| at.elapsed() < STEP_DOWN).then_some(term.number)
    }

    /// May a weight go up? Only with time to spare.
    pub fn may_raise(&self) -> bool {
        self.term.borrow().is_some_and(|term| term.renewed.is_none_or(|at| at.elapsed() <= MARGIN))
    }

    /// Returns when we began or ceased to lead.
    pub async fn changed(&mut self) {
        if self.term.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Who competes, and for what.
#[derive(Clone)]
pub struct Candidate {
    /// By the client that nothing else waits in.
    pub client: Client,
    /// Where the lease is.
    pub namespace: String,
    /// What it is called.
    pub name: String,
    /// Who we are: different for each process.
    pub identity: String,
    /// For the times in the lease, which nobody's decision rests on.
    pub clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Candidate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { client: _, namespace, name, identity, clock: _ } = self;
        f.debug_struct("Candidate")
            .field("namespace", namespace)
            .field("name", name)
            .field("identity", identity)
            .finish_non_exhaustive()
    }
}

/// A lease as it was last seen to change, by our own clock.
#[derive(Clone, Debug, PartialEq)]
struct Sight {
    version: Option<String>,
    at: Instant,
}

/// What a candidate remembers from look to look.
#[derive(Debug)]
struct View {
    sight: Option<Sight>,
    fitness: Fitness,
    /// It leads though it is blind, since nobody else did.
    reluctant: bool,
}

impl Default for View {
    fn default() -> Self {
        Self { sight: None, fitness: Fitness::Unready, reluctant: false }
    }
}

impl Candidate {
    /// Competes until `stop`, then gives the lease back. The future must be polled for the leadership to mean anything.
    pub fn run(self, stop: CancellationToken) -> (Leadership, impl Future<Output = ()>) {
        // Without its other end the fitness stays what it is.
        self.run_while(watch::channel(Fitness::Fit).1, stop)
    }

    /// The same, as far as the caches allow it.
    pub fn run_while(
        self,
        fitness: watch::Receiver<Fitness>,
        stop: CancellationToken,
    ) -> (Leadership, impl Future<Output = ()>) {
        let (sender, term) = watch::channel(None);
        let known = Arc::new(AtomicBool::new(false));
        (Leadership { term, known: known.clone() }, self.compete(sender, known, fitness, stop))
    }

    async fn compete(
        self,
        sender: watch::Sender<Option<Term>>,
        known: Arc<AtomicBool>,
        mut fitness: watch::Receiver<Fitness>,
        stop: CancellationToken,
    ) {
        let mut view = View::default();
        while !stop.is_cancelled() {
            let sent = Instant::now();
            let fit = *fitness.borrow_and_update();
            if fit == Fitness::Blind && sender.borrow().is_some() && !view.reluctant {
                tracing::warn!("a watch is dead: the lease is given back to whoever sees more");
                set(&sender, None);
                let _ = timeout(CALL, self.release()).await;
            }
            view.fitness = fit;
            let pause = match timeout(CALL, self.renew(&mut view)).await {
                Ok(Ok(Some(number))) => {
                    known.store(true, Ordering::Relaxed);
                    set(&sender, Some(Term { number, renewed: Some(sent) }));
                    RENEW
                }
                Ok(Ok(None)) => {
                    known.store(true, Ordering::Relaxed);
                    set(&sender, None);
                    RENEW
                }
                Ok(Err(error)) => {
                    tracing::warn!(error = outline(&error), "the lease was not renewed");
                    RETRY
                }
                Err(_) => {
                    tracing::warn!("the lease was not renewed in time");
                    RETRY
                }
            };
            let held = *sender.borrow();
            if held.and_then(|term| term.renewed).is_some_and(|at| at.elapsed() >= STEP_DOWN) {
                set(&sender, None);
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = sleep(pause) => {}
                Ok(()) = fitness.changed() => {}
            }
        }
        let led = sender.borrow().is_some();
        set(&sender, None);
        if led && timeout(CALL, self.release()).await.is_err() {
            tracing::warn!("the lease was not given back in time");
        }
    }

    fn api(&self) -> Api<Lease> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The number of our term, where we lead now.
    async fn renew(&self, view: &mut View) -> Result<Option<i64>, kube_client::Error> {
        let api = self.api();
        let Some(mut lease) = api.get_opt(&self.name).await? else {
            if view.fitness == Fitness::Unready {
                return Ok(None);
            }
            view.reluctant = view.fitness == Fitness::Blind;
            let lease = Lease { metadata: self.metadata(view.reluctant), spec: Some(self.spec(None)) };
            return match api.create(&PostParams::default(), &lease).await {
                Ok(_) => Ok(Some(0)),
                Err(error) if is_conflict(&error) => Ok(None),
                Err(error) => Err(error),
            };
        };
        let version = lease.metadata.resource_version.clone();
        if view.sight.as_ref().is_none_or(|sight| sight.version != version) {
            view.sight = Some(Sight { version, at: Instant::now() });
        }
        let spec = lease.spec.clone().unwrap_or_default();
        let holder = spec.holder_identity.as_deref().unwrap_or_default();
        let length = Duration::from_secs(spec.lease_duration_seconds.unwrap_or(0).max(0).cast_unsigned().into());
        // An expired lease is one that nobody changed for its whole length, while we looked.
        let unchanged = view.sight.as_ref().map_or(Duration::ZERO, |sight| sight.at.elapsed());
        let (ours, expired) = (holder == self.identity, unchanged >= length);
        let reluctant = lease.metadata.annotations.as_ref().is_some_and(|all| all.contains_key(RELUCTANT));
        let free = match view.fitness {
            Fitness::Unready => false,
            Fitness::Fit => holder.is_empty() || expired || reluctant,
            // Whoever sees more has had its chance.
            Fitness::Blind => (holder.is_empty() || expired) && unchanged >= length + HANDICAP,
        };
        if !(free || ours && view.fitness != Fitness::Unready) {
            return Ok(None);
        }
        view.reluctant = view.fitness == Fitness::Blind;
        lease.metadata.annotations.get_or_insert_default().remove(RELUCTANT);
        if view.reluctant {
            lease.metadata.annotations.get_or_insert_default().insert(RELUCTANT.to_owned(), "true".to_owned());
        }
        let next = Lease { spec: Some(self.spec(Some(&spec))), ..lease };
        let number = next.spec.as_ref().and_then(|spec| spec.lease_transitions).unwrap_or_default();
        match api.replace(&self.name, &PostParams::default(), &next).await {
            Ok(_) => Ok(Some(i64::from(number))),
            Err(error) if is_conflict(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Gives it back, if it is still ours, so that nobody has to wait for its end.
    async fn release(&self) {
        let api = self.api();
        let Ok(Some(lease)) = api.get_opt(&self.name).await else { return };
        let Some(spec) = lease.spec.clone().filter(|spec| spec.holder_identity.as_ref() == Some(&self.identity)) else {
            return;
        };
        let spec = LeaseSpec { holder_identity: Some(String::new()), lease_duration_seconds: Some(1), ..spec };
        let next = Lease { spec: Some(spec), ..lease };
        if let Err(error) = api.replace(&self.name, &PostParams::default(), &next).await {
            tracing::warn!(error = outline(&error), "the lease was not given back");
        }
    }

    fn metadata(&self, reluctant: bool) -> ObjectMeta {
        let annotations = reluctant.then(|| [(RELUCTANT.to_owned(), "true".to_owned())].into());
        ObjectMeta {
            name: Some(self.name.clone()),
            namespace: Some(self.namespace.clone()),
            annotations,
            ..ObjectMeta::default()
        }
    }

    fn spec(&self, before: Option<&LeaseSpec>) -> LeaseSpec {
        let now = Some(MicroTime(self.clock.now()));
        let ours = before.is_some_and(|spec| spec.holder_identity.as_ref() == Some(&self.identity));
        let transitions = before.and_then(|spec| spec.lease_transitions).unwrap_or_default();
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: Some(i32::try_from(LENGTH.as_secs()).unwrap_or(i32::MAX)),
            acquire_time: before.filter(|_| ours).and_then(|spec| spec.acquire_time.clone()).or_else(|| now.clone()),
            renew_time: now,
            lease_transitions: Some(transitions + i32::from(before.is_some() && !ours)),
            ..LeaseSpec::default()
        }
    }
}

/// The conflict says that somebody else wrote; who leads is known at the next look.
fn is_conflict(error: &kube_client::Error) -> bool {
    matches!(error, kube_client::Error::Api(status) if status.code == 409)
}

/// What it is, without the words of anybody else.
fn outline(error: &kube_client::Error) -> String {
    match error {
        kube_client::Error::Api(status) => format!("the API server answered {}", status.code),
        _ => "the API server cannot be reached".to_owned(),
    }
}

/// Wakes those who wait only where leading begins or ends.
fn set(sender: &watch::Sender<Option<Term>>, next: Option<Term>) {
    sender.send_if_modified(|term| {
        let number = |term: &Option<Term>| term.map(|term| term.number);
        let changed = number(term) != number(&next);
        if changed {
            tracing::info!(leads = next.is_some(), "leadership");
        }
        *term = next;
        changed
    });
}
