//! A load generator with an open loop: requests leave at a fixed rate, whether or not earlier ones were answered, as
//! users do. A closed loop would slow down with a slow revision and hide it.

mod record;
mod run;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;

use crate::error::{Doing, Error, Result};
use crate::netns;

pub use record::{Response, Summary};

/// What to send, where and how fast.
// Independent switches, named at each use.
#[allow(clippy::struct_excessive_bools)]
#[derive(Clone, Debug)]
pub struct LoadConfig {
    /// Scheme and authority of the address to connect to.
    pub target: String,
    /// The `Host` header; the target's authority when there is none.
    pub host: Option<String>,
    /// The path with its query.
    pub path: String,
    /// The method; POST with a body and GET without when there is none.
    pub method: Option<String>,
    /// The body, sent as JSON.
    pub body: Option<String>,
    /// Requests per second.
    pub rps: f64,
    /// How long; until it is stopped when there is none.
    pub duration: Option<Duration>,
    /// After this long a request counts as not answered.
    pub timeout: Duration,
    /// Where the log goes; `-` is standard output.
    pub out: Option<PathBuf>,
    /// Whether to connect from inside the lab's network namespace.
    pub in_lab: bool,
    /// Whether to keep every response in memory for [`LoadGenerator::responses`].
    pub keep: bool,
    /// Whether to keep what answers in JSON say in `verdict` and `tokens.output`.
    pub read_body: bool,
    /// Whether SIGINT and SIGTERM end the load.
    pub until_signal: bool,
}

impl LoadConfig {
    /// GET requests through the lab's gateway to one host, kept in memory.
    pub fn to(host: impl Into<String>, rps: f64) -> Self {
        Self {
            target: format!("http://{}:8080", netns::NODE_ADDRESS),
            host: Some(host.into()),
            path: "/".into(),
            method: None,
            body: None,
            rps,
            duration: None,
            timeout: Duration::from_secs(10),
            out: None,
            in_lab: true,
            keep: true,
            read_body: false,
            until_signal: false,
        }
    }
}

/// What was answered so far.
#[derive(Debug, Default)]
struct Answers {
    summary: Summary,
    responses: Vec<Response>,
}

/// Load that is being sent by a thread of its own. Dropping it stops the load.
#[derive(Debug)]
pub struct LoadGenerator {
    stop: watch::Sender<bool>,
    answers: Arc<Mutex<Answers>>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl LoadGenerator {
    /// Starts to send.
    pub fn start(config: LoadConfig) -> Result<Self> {
        if !(config.rps.is_finite() && config.rps > 0.0 && config.rps <= 100_000.0) {
            return Err(Error::Invalid(format!("{} is no rate; write requests per second above 0", config.rps)));
        }
        let plan = run::Plan::new(config)?;
        let (stop, stopped) = watch::channel(false);
        let answers = Arc::new(Mutex::new(Answers::default()));
        let shared = Arc::clone(&answers);
        let thread = std::thread::Builder::new()
            .name("load".into())
            .spawn(move || {
                // Before the runtime, whose threads inherit the namespace.
                if plan.in_lab() {
                    netns::enter()?;
                }
                tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .doing(|| "start the load generator".into())?
                    .block_on(run::run(plan, stopped, &shared))
            })
            .doing(|| "start the load generator".into())?;
        Ok(Self { stop, answers, thread: Some(thread) })
    }

    /// Counts of what was answered so far.
    pub fn summary(&self) -> Summary {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).summary.clone()
    }

    /// Every response so far, in the order in which they came; empty unless [`LoadConfig::keep`] is set.
    pub fn responses(&self) -> Vec<Response> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).responses.clone()
    }

    /// Reads the responses so far without copying them; the load goes on only afterwards, so be brief.
    pub fn read<T>(&self, read: impl FnOnce(&[Response]) -> T) -> T {
        read(&self.answers.lock().unwrap_or_else(PoisonError::into_inner).responses)
    }

    /// Sends nothing more, waits for what is on its way and returns the counts of everything.
    pub fn stop(self) -> Result<Summary> {
        self.stop.send_replace(true);
        self.wait()
    }

    /// Waits until the load's duration is over and returns the counts of everything.
    pub fn wait(mut self) -> Result<Summary> {
        let result = self.thread.take().map_or(Ok(Ok(())), JoinHandle::join);
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok(self.summary())
    }
}

impl Drop for LoadGenerator {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}
