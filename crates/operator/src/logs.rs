//! What is logged. No object, prompt, variable or answer of anybody ever is, at any level above debug.

use tracing_subscriber::{EnvFilter, filter::ParseError};

/// Libraries that log bodies: kube's client writes an answer that it cannot read at level warn, with every object in it.
const QUIET: &str =
    "kube_client=error,kube_runtime=error,hyper=error,hyper_util=error,tower=error,h2=error,reqwest=error";

/// The filter of `--log`. Libraries stay quiet unless they are named in it.
///
/// # Errors
/// The text is no list of directives, as in `RUST_LOG`.
pub fn filter(log: &str) -> Result<EnvFilter, ParseError> {
    EnvFilter::try_new(format!("{QUIET},{log}"))
}
