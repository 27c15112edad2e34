use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use serde::Serialize;

use crate::audit::Audit;
use crate::error::{Error, Result};
use crate::image::{self, ImageSpec};
use crate::process::{self, Liveness, Record};
use crate::{Options, Part, Paths, command, config, containerd, down, netns, ready, up};

/// The machine's lab.
#[derive(Clone, Debug)]
pub struct Lab {
    paths: Paths,
}

/// One line of `lab status`.
#[derive(Clone, Debug, Serialize)]
pub struct PartStatus {
    /// The part.
    pub part: Part,
    /// What its process is doing.
    pub state: Liveness,
    /// Whether it answers its health check.
    pub ready: bool,
    /// Its process id.
    pub pid: i32,
    /// Resident memory in bytes.
    pub memory: u64,
}

impl Lab {
    pub(crate) fn new(paths: Paths) -> Self {
        Self { paths }
    }

    /// Starts a lab and waits until everything in it is ready, or finds one that runs and has all that is asked for.
    ///
    /// What is left of a lab that was killed is removed first; so is one that lacks something.
    pub fn up(options: &Options) -> Result<Self> {
        up::up(options)
    }

    /// Finds the lab that runs, without changing it.
    pub fn attach() -> Result<Self> {
        let paths = Paths::from_env()?;
        if netns::exists() && down::any_alive(&paths) { Ok(Self { paths }) } else { Err(Error::NotRunning) }
    }

    /// Stops the lab and removes everything that it left on the machine; false when there was none.
    pub fn down() -> Result<bool> {
        down::down()
    }

    /// Where it keeps its state.
    pub fn paths(&self) -> &Paths {
        &self.paths
    }

    /// How it was started.
    pub fn options(&self) -> Result<Options> {
        self.paths.options().ok_or(Error::NotRunning)
    }

    /// The administrator's kubeconfig. Its address is one inside the namespace.
    pub fn kubeconfig(&self) -> PathBuf {
        self.paths.kubeconfig("admin")
    }

    /// `KUBECONFIG`, `GATEWAY` and `PROMETHEUS` with their values.
    pub fn environment(&self) -> [(&'static str, String); 3] {
        config::environment(&self.paths)
    }

    /// The same command inside the lab's network namespace, with [`Lab::environment`] and the lab's kubectl and helm on
    /// its PATH. Standard input and output are the caller's to set on the new command: they cannot be read from the old.
    pub fn in_namespace(&self, command: &Command) -> Command {
        let mut inside = if netns::is_inside() {
            Command::new(command.get_program())
        } else {
            netns::command(command.get_program())
        };
        inside.args(command.get_args()).envs(self.environment());
        let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/sbin:/usr/bin:/sbin:/bin".into());
        inside.env("PATH", format!("{}:{path}", self.paths.join("bin").display()));
        for (key, value) in command.get_envs() {
            match value {
                Some(value) => inside.env(key, value),
                None => inside.env_remove(key),
            };
        }
        if let Some(dir) = command.get_current_dir() {
            inside.current_dir(dir);
        }
        inside
    }

    /// Moves the calling thread, and the threads that it starts later, into the namespace. Call it before an
    /// asynchronous runtime starts its workers.
    pub fn enter(&self) -> Result<()> {
        netns::enter()
    }

    /// Runs kubectl as the administrator and returns what it printed.
    pub fn kubectl<S: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Result<String> {
        command::run(ready::kubectl(&self.paths).args(args))
    }

    /// Runs helm as the administrator and returns what it printed.
    pub fn helm<S: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Result<String> {
        command::run(self.in_namespace(&Command::new(self.paths.bin("helm"))).args(args))
    }

    /// Kills a part with SIGKILL and waits until it is gone.
    pub fn kill(&self, part: Part) -> Result<()> {
        self.signal(part, Signal::KILL, Liveness::Dead)
    }

    /// Freezes a part with SIGSTOP: it keeps its connections and answers nothing.
    pub fn stop(&self, part: Part) -> Result<()> {
        self.signal(part, Signal::STOP, Liveness::Frozen)
    }

    /// Lets a frozen part go on.
    pub fn cont(&self, part: Part) -> Result<()> {
        self.signal(part, Signal::CONT, Liveness::Running)
    }

    /// Ends a part if it is alive, starts it with the same command line and waits until it is ready.
    pub fn restart(&self, part: Part) -> Result<()> {
        up::restart(&self.paths, part)
    }

    fn signal(&self, part: Part, signal: Signal, expected: Liveness) -> Result<()> {
        let record = process::recorded(&self.paths, part)?;
        let sent = record.signal(signal);
        let limit = std::time::Duration::from_secs(5);
        if (sent || expected == Liveness::Dead) && process::until(limit, || record.liveness() == expected) {
            return Ok(());
        }
        Err(Error::Invalid(format!("{part} is {:?}, not {expected:?}", record.liveness()).to_lowercase()))
    }

    /// The parts with their states, in the order in which they start.
    pub fn status(&self) -> Result<Vec<PartStatus>> {
        let parts = self.options()?.parts().collect::<Vec<_>>();
        Ok(parts.into_iter().map(|part| self.status_of(part)).collect())
    }

    fn status_of(&self, part: Part) -> PartStatus {
        let record = Record::load(&self.paths, part);
        let state = record.as_ref().map_or(Liveness::Dead, Record::liveness);
        PartStatus {
            part,
            state,
            ready: state == Liveness::Running && ready::is_ready(&self.paths, part),
            pid: record.as_ref().map_or(0, |r| r.pid),
            memory: record.as_ref().map_or(0, Record::memory),
        }
    }

    /// Changes Prometheus' scrape interval (`1s`, `500ms`) while it runs.
    pub fn scrape(&self, interval: &str) -> Result<()> {
        up::scrape(&self.paths, interval)
    }

    /// What a part printed.
    pub fn log(&self, part: Part) -> PathBuf {
        self.paths.log(part)
    }

    /// Every request to the API server from now on, with its user.
    pub fn audit(&self) -> Result<Audit> {
        Audit::from_now(&self.paths.audit_log())
    }

    /// Puts the images of an archive (`docker save`, OCI layout) onto the node under their tags and their digests; returns
    /// `name@sha256:…` of each.
    pub fn load_image(&self, archive: &Path) -> Result<Vec<String>> {
        containerd::load(&self.paths, archive)
    }

    /// Builds an image of one binary and puts it onto the node under its tag and its digest; returns `name@sha256:…`.
    pub fn build_image(&self, spec: &ImageSpec) -> Result<String> {
        containerd::import(&self.paths, &spec.reference, &image::build(spec)?)
    }

    /// Builds an image of one binary and pushes it to the lab's registry, from which pods pull it as in life; returns
    /// `10.90.0.10:5000/name@sha256:…`.
    pub fn push_image(&self, spec: &ImageSpec) -> Result<String> {
        process::recorded(&self.paths, Part::Registry)?;
        let reference = containerd::in_registry(&spec.reference);
        let spec = ImageSpec { reference: reference.clone(), ..spec.clone() };
        containerd::push(&self.paths, &reference, &image::build(&spec)?)
    }
}
