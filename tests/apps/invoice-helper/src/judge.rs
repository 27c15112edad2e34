/// The name under which the verdicts are reported.
pub(crate) const EVALUATOR: &str = "faithfulness";
/// Changes whenever the same answer could get another verdict.
pub(crate) const EVALUATOR_VERSION: &str = "1";

/// What the judge says about one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everything checkable is in the facts.
    Pass,
    /// Something is not in the facts: a hallucination.
    Fail,
    /// Nothing in the answer can be checked.
    Abstain,
}

impl Verdict {
    /// The label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Abstain => "abstain",
        }
    }
}

/// Checks each claim of an answer, that is each word with a digit in it (amounts, dates, numbers), against the facts.
pub fn judge(facts: &str, answer: &str) -> Verdict {
    let mut verdict = Verdict::Abstain;
    for claim in claims(answer) {
        if !claims(facts).any(|fact| fact == claim) {
            return Verdict::Fail;
        }
        verdict = Verdict::Pass;
    }
    verdict
}

fn claims(text: &str) -> impl Iterator<Item = &str> {
    text.split_whitespace()
        .map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()))
        .filter(|word| word.contains(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invoice::FACTS;

    #[test]
    fn an_answer_from_the_facts_passes_whatever_punctuation_surrounds_them() {
        assert_eq!(judge(FACTS, "Invoice INV-2026-0417, due (2026-03-31): 1,487.50 EUR."), Verdict::Pass);
    }

    #[test]
    fn one_number_that_is_not_in_the_facts_fails() {
        assert_eq!(judge(FACTS, "On INV-2026-0417 the total is 1,478.50 EUR."), Verdict::Fail);
    }

    #[test]
    fn an_answer_without_numbers_is_not_judged() {
        assert_eq!(judge(FACTS, "I cannot say."), Verdict::Abstain);
    }
}
