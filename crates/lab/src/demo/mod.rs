//! The demo: a good revision that is promoted and a bad one that is reverted, on the machine's lab.
