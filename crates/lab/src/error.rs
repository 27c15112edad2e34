use std::path::PathBuf;

use crate::Part;

/// What can go wrong with the lab. Every message is a sentence for the person at the terminal.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The machine lacks something that the lab cannot install by itself.
    #[error("the lab needs {0}")]
    Needs(String),
    /// An operation of the file system or the kernel failed.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was tried, as the end of "cannot …".
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A program that the lab ran ended with an error.
    #[error("`{command}` failed ({status})\n{output}")]
    Command {
        /// The program and the start of its arguments.
        command: String,
        /// How it ended.
        status: String,
        /// The end of what it printed.
        output: String,
    },
    /// A part did not become ready in time, or died while it was starting.
    #[error("{part} {problem}\n--- the end of {}:\n{tail}", log.display())]
    NotReady {
        /// The part.
        part: Part,
        /// What was waited for and how long, or how it died.
        problem: String,
        /// The part's log.
        log: PathBuf,
        /// The end of that log.
        tail: String,
    },
    /// There is no lab to talk to.
    #[error("no lab is running; `lab up` starts one")]
    NotRunning,
    /// There is a lab already, with another state directory.
    #[error(
        "a lab is running in {0} already, and a machine has room for one; stop it with `MICROAPP_LAB={0} lab down`"
    )]
    Elsewhere(String),
    /// The part was left out when the lab was started.
    #[error("{0} is not part of the running lab")]
    NoSuchPart(Part),
    /// A value from outside cannot be used.
    #[error("{0}")]
    Invalid(String),
    /// A configuration template was rendered without a value for one of its places.
    #[error("the template {template} has no value for {place}")]
    Template {
        /// The template's file name.
        template: &'static str,
        /// The place that is left.
        place: String,
    },
    /// A certificate could not be made.
    #[error("cannot make the certificate {name}: {source}")]
    Certificate {
        /// The certificate's file name without its ending.
        name: &'static str,
        /// Why.
        source: rcgen::Error,
    },
}

/// The result of everything here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Adds what was tried to an error of the operating system.
pub(crate) trait Doing<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<std::io::Error>> Doing<T> for Result<T, E> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::Io { what: what(), source: source.into() })
    }
}
