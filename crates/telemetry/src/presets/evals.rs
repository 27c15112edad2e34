//! The evaluation contract: any judge can expose it. `revision` and `rollout` are those of the judged request: a revision
//! is a hash of what runs, which two rollouts may have in common.

use super::{Definition, NOTHING, Scheme};

/// Evaluations begun.
pub(crate) const STARTED: &str = "llm_eval_started_total";
/// Votes of users.
pub(crate) const FEEDBACK: &str = "llm_feedback_total";
/// What judging costs, in USD.
pub(crate) const JUDGES_COST: &str = "llm_eval_cost_usd_total";
/// Verdicts.
pub(crate) const RESULTS: &str = "llm_eval_results_total";

pub(super) static DEFINITION: Definition = Definition { scheme: Scheme::Evals, ..NOTHING };

/// What came of an evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Fail,
    Pass,
    /// The judge abstained or failed: no verdict.
    Void,
}

/// Reads the label `verdict`; a word outside the contract is no verdict.
pub(crate) fn verdict(label: &str) -> Verdict {
    match label {
        "fail" => Verdict::Fail,
        "pass" => Verdict::Pass,
        _ => Verdict::Void,
    }
}
