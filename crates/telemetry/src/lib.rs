//! From Prometheus to integer counts: presets, selectors, decoding, deltas.
//!
//! [`queries`] says what to ask, [`digest()`] reads the answers; both are pure. [`http`] is the only part that talks to
//! anybody. Raw samples are differenced here, not by `rate()` or `increase()`: both drop the value that a series is born
//! with, and every series of a canary is new.

mod baseline;
mod caveat;
pub mod decode;
mod delta;
mod digest;
pub mod http;
mod labels;
mod native;
mod own;
mod part;
mod pin;
mod presets;
pub mod prices;
mod query;
pub mod selector;
mod series;
mod several;
mod target;
mod trust;
mod twins;
mod value;
mod window;

pub use digest::digest;
pub use http::{HttpPrometheus, Prometheus, QueryError, ask};
pub use labels::Labels;
pub use own::OwnError;
pub use pin::Pin;
pub use presets::{Door, Scheme, scheme};
pub use prices::{Price, PriceTable};
pub use query::{Brings, PodRef, Query, Subject, queries};
pub use series::{Answer, Histogram, Sample, Series};
