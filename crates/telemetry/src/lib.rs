//! From Prometheus to integer counts: presets, selectors, decoding, deltas.
//!
//! [`queries`] says what to ask, [`digest()`] reads the answers; both are pure. [`http`] is the only part that talks to
//! anybody. Raw samples are differenced here, not by `rate()` or `increase()`: both drop the value that a series is born
//! with, and every series of a canary is new.

mod baseline;
mod bounds;
mod caveat;
pub mod decode;
mod delta;
mod digest;
mod exposed;
pub mod gateways;
pub mod http;
mod labels;
mod means;
mod native;
mod nearest;
mod outcome;
mod own;
mod part;
mod pin;
mod presets;
pub mod prices;
mod pushed;
mod query;
mod ratio;
mod routes;
mod scopes;
pub mod selector;
mod series;
mod several;
mod streams;
mod tally;
mod target;
mod trust;
mod twins;
mod unfinished;
mod value;
mod window;
mod words;

pub use digest::digest;
pub use http::{HttpPrometheus, Prometheus, QueryError, ask};
pub use labels::Labels;
pub use outcome::Counted;
pub use own::OwnError;
pub use pin::Pin;
pub use presets::{Door, Scheme, scheme, side};
pub use prices::{Price, PriceTable};
pub use pushed::Names;
pub use query::{Brings, PodRef, Query, Subject, queries};
pub use series::{Answer, Histogram, Sample, Series};
