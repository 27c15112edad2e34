use std::io::ErrorKind;
use std::path::Path;

use crate::config::ConfigError;

const DEFAULT_SYSTEM: &str =
    "You answer questions about one invoice. Use only the facts that are given. Be brief and friendly.";

/// What a prompt directory holds.
#[derive(Clone, Debug)]
pub(crate) struct Prompts {
    /// `system.md`.
    pub(crate) system: String,
    /// `faults.json`, unparsed.
    pub(crate) faults: Option<String>,
}

impl Prompts {
    /// Reads the directory. Without one there is a prompt of our own, so that the program can be tried by hand; a
    /// directory without `system.md` is a mistake.
    pub(crate) fn load(directory: &Path) -> Result<Self, ConfigError> {
        if !directory.is_dir() {
            tracing::warn!(directory = %directory.display(), "no prompt directory, using the built-in prompt");
            return Ok(Self { system: DEFAULT_SYSTEM.to_owned(), faults: None });
        }
        let system = read(&directory.join("system.md"))?;
        let system = system.ok_or_else(|| ConfigError::NoPrompt(directory.join("system.md")))?;
        Ok(Self { system: system.trim_end().to_owned(), faults: read(&directory.join("faults.json"))? })
    }
}

fn read(path: &Path) -> Result<Option<String>, ConfigError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ConfigError::Read { path: path.to_owned(), source }),
    }
}
