//! One lab per machine.

use std::fs::{self, File};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use crate::Paths;
use crate::error::{Doing, Result};

const FILE: &str = "/run/microapp-lab.lock";

/// Held while a lab is started, stopped or changed. The file names the state directory of the machine's lab.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Waits for whoever holds it.
    pub(crate) fn take() -> Result<Self> {
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(FILE)
            .doing(|| format!("open {FILE} (the lab needs root)"))?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            eprintln!("lab: waiting for another command of the lab to end");
            flock(&file, FlockOperation::LockExclusive).doing(|| format!("lock {FILE}"))?;
        }
        Ok(Self { _file: file })
    }

    /// The state directory that the machine's lab was started with, if there is or was one.
    pub(crate) fn owner(&self) -> Option<Paths> {
        let root = fs::read_to_string(FILE).ok()?;
        (!root.is_empty()).then(|| Paths::at(Path::new(root.trim_end())))
    }

    pub(crate) fn set_owner(&self, paths: Option<&Paths>) -> Result<()> {
        fs::write(FILE, paths.map(Paths::text).unwrap_or_default()).doing(|| format!("write {FILE}"))
    }
}
