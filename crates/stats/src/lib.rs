//! Pure numbers of the gates: how a difference between two revisions becomes evidence, and evidence a verdict.
//!
//! A gate looks at a canary after every scrape, for hours. A test that is made for one look would condemn 14–20 % of
//! canaries that are equal to stable at a nominal 1 %. The gates therefore carry an *e-process*: a number E whose
//! expectation is at most 1 while the canary is fine, at every moment at which one may stop. By Ville's inequality
//! P(E ever ≥ 1/α) ≤ α, however often one looks. All evidence is kept as ln E, in nats.
//!
//! - [`RateGate`]: errors, slow responses, bad verdicts. It fails when the canary is worse than stable *and* over an
//!   absolute rate, so that incidents that both revisions share condemn nobody; it passes a step on evidence that the
//!   canary is *not* worse by the margin of that step. Where nobody can say which share is too much (4xx answers), it has
//!   no SLO: it fails when the canary is clearly worse than stable is and was.
//! - [`BakeGate`]: the same at 100 %, where stable has no traffic to compare with.
//! - [`MeanGate`]: tokens and cost per request.
//! - [`pass_requests`], [`step_seconds`], [`mean_step_seconds`], [`auto_tolerance`], [`lowest_start`]: how long a ramp
//!   will take and where it can begin, before any traffic moves.
//!
//! There is no clock, no randomness and no I/O here. `ln` and `exp` come from `libm` and sums run in a fixed order,
//! so the same windows give the same bytes anywhere. Each gate saves into about 1 kB and goes on as if it had never
//! stopped.
//!
//! ```
//! use microapp_stats::{Form, RateConfig, RateGate, RateWindow, Tally};
//!
//! let config = RateConfig {
//!     slo: Some(0.01),
//!     alpha_g: 0.0025,
//!     beta: 0.05,
//!     epsilon: 0.005,
//!     phi: 1.0,
//!     tau: 3600.0,
//!     form: Form::Switch,
//! };
//! // Stable answered 180 000 requests in the last hour, 900 of them badly.
//! let mut gate = RateGate::new(config, Tally::new(180_000, 900));
//! assert!(!gate.refused(0.05));
//!
//! // 1 % of the traffic goes to a canary that fails half of it. Windows of 5 s.
//! for k in 1..=3 {
//!     gate.window(&RateWindow {
//!         t: f64::from(k) * 5.0,
//!         dt: 5.0,
//!         canary: Tally::new(3, 2),
//!         stable: Tally::new(247, 1),
//!         ..RateWindow::default()
//!     });
//! }
//! assert!(gate.fires(), "ln E is {}, {} is needed", gate.ln_e_fail(), gate.threshold());
//!
//! // A checkpoint.
//! let mut bytes = Vec::new();
//! gate.save(&mut bytes);
//! assert_eq!(RateGate::load(&mut bytes.as_slice()), Some(gate));
//! ```
//!
//! Literature: Ville 1939, *Étude critique de la notion de collectif* · Wald 1945, *Sequential tests of statistical
//! hypotheses* · Lindon, Malek 2022, *Anytime-valid inference for multinomial count data*, arXiv 2011.03567 ·
//! Grünwald, de Heide, Koolen 2024, *Safe testing* · Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas 2024,
//! *Time-uniform central limit theory and asymptotic confidence sequences*.
#![warn(missing_docs)]

mod acs;
mod bake;
mod baseline;
mod codec;
mod grid;
mod increments;
mod mean;
mod pairing;
mod plan;
mod process;
mod rate;
mod recent;
mod tally;

pub use acs::{MAX_NATS, Moments, acs_ln_e, acs_lower, acs_rho2};
pub use bake::{BakeGate, DECIDE_SECONDS};
pub use grid::{FAIL_GRID, K, PASS_GRID, T_MAX, log_add, log_mean_exp, log_sum_exp};
pub use increments::{inc_absolute, inc_relative, ln_e_pass};
pub use mean::{MeanConfig, MeanGate, MeanWindow, PASS_BATCH, PASS_REQUESTS, Sum};
pub use plan::{
    PlannedGate, TOLERANCES, auto_tolerance, lowest_start, mean_step_seconds, pass_requests, slower,
    smallest_tolerance, step_seconds,
};
pub use process::{Form, Plain, Switch};
pub use rate::{Processes, RateConfig, RateGate, Rule, Stand};
pub use tally::{RateWindow, Tally};
