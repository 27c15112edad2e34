//! The shell around the core: observe, apply, report, lease, health, metrics.
