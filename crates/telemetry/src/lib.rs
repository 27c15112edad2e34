//! From Prometheus to integer counts: presets, selectors, decoding, deltas.
