//! A real cluster on one Linux machine, started and stopped by one command each: Kubernetes, containerd with real pods,
//! Contour and Envoy as the Gateway API's data plane, Prometheus, an image registry.
//!
//! Everything runs in one network namespace, `microapp-lab`, with its state in one directory. The library does what the
//! program `lab` does: end-to-end tests start the lab, kill, freeze and restart its parts with [`Lab`], and read what
//! users got from a [`LoadGenerator`].
//!
//! On systems other than Linux the crate is empty, so that the rest of the workspace can still be built there.
#![cfg(target_os = "linux")]

mod audit;
mod build;
mod command;
mod commandline;
mod config;
mod containerd;
pub mod demo;
mod down;
mod error;
mod image;
mod lab;
pub mod load;
mod lock;
mod netns;
mod parts;
mod paths;
mod pki;
mod process;
mod prometheus;
mod ready;
mod sysctl;
mod up;

pub use audit::{Audit, Request};
pub use build::{Artifact, Built, build, for_options};
pub use error::{Error, Result};
pub use image::{Image, ImageSpec, build as build_image};
pub use lab::{Lab, PartStatus};
pub use load::{LoadConfig, LoadGenerator};
pub use netns::{NAME as NAMESPACE, NODE_ADDRESS};
pub use parts::{Extra, Options, Part};
pub use paths::Paths;
pub use process::{Liveness, Record};
pub use prometheus::Series;
