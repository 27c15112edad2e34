//! Fault × verdict. `docs/faults.md` is this table (`make gen`); `page.rs` holds it to the sources.

mod around;
mod inside;
mod people;

/// What remains of the promise under a fault.
#[derive(Clone, Copy, Debug)]
pub enum Verdict {
    /// All of it: nobody who uses the application or the operator sees a difference but a delay of seconds.
    Resilient,
    /// No user is hurt, and something waits, for a person or for the end of the fault. `how` says what.
    Degraded,
    /// What it is about does not exist yet.
    NotBuilt,
}

impl Verdict {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Resilient => "Resilient",
            Self::Degraded => "Degraded",
            Self::NotBuilt => "not built",
        }
    }
}

/// One fault.
pub struct Row {
    pub fault: &'static str,
    pub verdict: Verdict,
    /// One sentence.
    pub how: &'static str,
    /// `file::name`, the file below `tests/tests` or, of the lab, below `tests/e2e/tests`.
    pub tests: &'static [&'static str],
}

pub struct Family {
    pub title: &'static str,
    pub rows: &'static [Row],
}

/// What stands above the table.
pub const HEAD: &str = "\
# Faults

Written by the tests (`make gen`): each row names the tests that run the operator under its fault, and a row without one
fails the build. *Resilient*: the promise holds, and nobody sees more than a delay of seconds. *Degraded*: no user is hurt,
and something waits for the end of the fault or for a person; the sentence says what. Throughout, in every version of
every object: no weight above its step, no raise after a breach, no step by the clock alone, nothing written at rest.
";

pub const FAMILIES: &[Family] = &[
    Family { title: "The operator dies", rows: inside::THE_OPERATOR_DIES },
    Family { title: "Watches", rows: inside::WATCHES },
    Family { title: "API server", rows: inside::API_SERVER },
    Family { title: "Prometheus", rows: around::PROMETHEUS },
    Family { title: "Route", rows: around::ROUTE },
    Family { title: "Pods", rows: around::PODS },
    Family { title: "Leaders and clocks", rows: people::LEADERS },
    Family { title: "People", rows: people::PEOPLE },
    Family { title: "Versions and sinks", rows: people::VERSIONS },
];
