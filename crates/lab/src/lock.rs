//! One lab per machine.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use crate::Paths;
use crate::error::{Doing, Result};

const FILE: &str = "/run/microapp-lab.lock";

/// Held while a lab is started, stopped or changed. The file names the state directory of the machine's lab.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
}

impl Lock {
    /// Waits for whoever holds it.
    pub(crate) fn take() -> Result<Self> {
        let file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(FILE)
            .doing(|| format!("open {FILE} (the lab needs root)"))?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            eprintln!("lab: waiting for another command of the lab to end");
            flock(&file, FlockOperation::LockExclusive).doing(|| format!("lock {FILE}"))?;
        }
        Ok(Self { file })
    }

    /// The state directory that the machine's lab was started with, if there is or was one.
    pub(crate) fn owner(&self) -> Option<Paths> {
        let mut root = String::new();
        (&self.file).seek(SeekFrom::Start(0)).and_then(|_| (&self.file).read_to_string(&mut root)).ok()?;
        (!root.is_empty()).then(|| Paths::at(Path::new(root.trim_end())))
    }

    pub(crate) fn set_owner(&self, paths: Option<&Paths>) -> Result<()> {
        let mut file = &self.file;
        let written = file
            .set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| file.write_all(paths.map(Paths::text).unwrap_or_default().as_bytes()));
        written.doing(|| format!("write {FILE}"))
    }
}
