//! An in-process API server with faults, builders, a clock and a fake Prometheus.
