//! The demo micro-app: answers questions about an invoice with a prompt directory and a model behind an OpenAI-compatible
//! address.
//!
//! `POST /ask {"question": …}`, `GET /ask?q=…`, `GET /healthz`, `GET /metrics`. Every response carries `x-revision`. The
//! variables, the faults and the metrics are in the README beside this crate.
mod app;
mod config;
mod faults;
mod invoice;
mod judge;
mod metrics;
mod model;
mod process;
mod prompts;
mod tokens;

pub use app::{App, REVISION_HEADER};
pub use config::{Config, ConfigError};
pub use faults::{Draw, Faults};
pub use invoice::FACTS;
pub use judge::{Verdict, judge};
pub use model::{Message, ModelError};
pub use process::{serve, start_faults};
pub use tokens::{conversation, count};
