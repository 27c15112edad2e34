//! A real cluster on one machine: start, stop, status, load, demo.
