//! A stand-in for a language model behind the OpenAI-compatible API.
//!
//! It is **no model**: it reads the facts out of the request and puts them into a sentence. It says so in its log, on its `/`
//! page, in the header `x-model-stub: true` and in `system_fingerprint`. Demo and tests use it where a real
//! micro-app has a provider.
//!
//! The request decides how it answers, as with a real model. Two lines in the system prompt are understood, the last of a
//! kind counts: `verbosity: 3` (three times as many output tokens, 1 or less = no more than needed) and `invent: 0.2` (with
//! probability 0.2 the answer's numbers are wrong).
//!
//! | variable | default | meaning |
//! |---|---|---|
//! | `LISTEN` | `0.0.0.0:8000` | address |
//! | `STUB_BASE_MS`, `STUB_JITTER_MS` | 5, 2 | an answer takes base + [0, jitter) milliseconds |
//! | `STUB_MODEL` | – | the model that answers claim, whatever was asked for (a provider that moved an alias) |
//! | `STUB_SEED` | time | seed of the latency, the wording and `invent` |
mod answer;
mod config;
mod server;
mod tokens;

pub use answer::{Answer, Wording, compose};
pub use config::{Config, ConfigError};
pub use server::{STAND_IN_HEADER, router};
