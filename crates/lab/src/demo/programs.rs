//! Builds what runs in the cluster: static executables, so that an image is one file.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::command;
use crate::error::{Doing, Error, Result};

const TARGET: &str = "x86_64-unknown-linux-gnu";
/// Package and executable.
const PROGRAMS: [(&str, &str); 4] = [
    ("microapp-operator", "microapp-operator"),
    ("microapp-cli", "kubectl-microapp"),
    ("invoice-helper", "invoice-helper"),
    ("model-stub", "model-stub"),
];

/// The checkout that this program was built from, or the current directory when it is one.
pub(crate) fn checkout() -> Result<PathBuf> {
    let here = std::env::current_dir().ok().filter(|dir| is_checkout(dir));
    let built =
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().ok().filter(|dir| is_checkout(dir));
    here.or_else(built)
        .ok_or_else(|| Error::Needs("the project's checkout for the demo: run it from its top folder".into()))
}

fn is_checkout(dir: &Path) -> bool {
    dir.join("charts/microapp-rollouts/Chart.yaml").exists() && dir.join("Cargo.lock").exists()
}

/// Where [`build`] puts them.
pub(crate) fn executable(checkout: &Path, name: &str) -> PathBuf {
    checkout.join("target/static").join(TARGET).join("release").join(name)
}

/// Builds all of them; takes a moment when nothing changed. What cargo says is the progress.
pub(crate) fn build(checkout: &Path) -> Result<()> {
    let missing = PROGRAMS.iter().any(|(_, name)| !executable(checkout, name).exists());
    if missing {
        eprintln!("demo: building the operator and the demo app (usually 6 minutes on two cores)");
    }
    let since = Instant::now();
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // A folder of its own: other flags in the same one would build everything again, each time. With --target the flags
    // are not those of build scripts and macros, which cannot be static.
    cargo.current_dir(checkout).env("RUSTFLAGS", "-C target-feature=+crt-static").env_remove("CARGO_ENCODED_RUSTFLAGS");
    cargo.args(["build", "--release", "--locked", "--target", TARGET, "--target-dir", "target/static"]);
    cargo.args(PROGRAMS.iter().flat_map(|(package, _)| ["--package", package]));
    let status = cargo.status().doing(|| "run cargo, which builds the demo".into())?;
    if !status.success() {
        let command = command::words(&cargo);
        return Err(Error::Command {
            command,
            status: status.to_string(),
            output: "cargo's messages are above".into(),
        });
    }
    if missing {
        eprintln!("demo: built in {} s", since.elapsed().as_secs());
    }
    Ok(())
}
