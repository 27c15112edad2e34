//! What was counted beside what is true.

use std::fmt;

use microapp_core::counts::{BeforeResult, Side};

use crate::{measure::Sum, truth::Expected};

/// What is to be said of a gate's numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They are those of the log; perhaps with a sentence all the same.
    Right(Option<String>),
    /// They are not, and a sentence says so.
    Caveat(String),
    /// There are none, and a sentence says why.
    Refused(String),
    /// They are not, and nobody says so.
    Wrong,
}

/// One gate of one app.
#[derive(Clone, Debug)]
pub struct Row {
    /// Which app.
    pub app: &'static str,
    /// Which gate.
    pub gate: &'static str,
    /// What was counted, and what is true: stable before, the canary and stable during the attempt.
    pub counted: Vec<(String, String)>,
    /// What follows.
    pub verdict: Verdict,
}

/// What one question brought.
pub enum Answer<'a> {
    /// Of stable before.
    Before(&'a BeforeResult),
    /// Of one side during the attempt.
    During(&'a Sum),
}

impl Row {
    /// Judges the answers of a gate.
    pub fn new(app: &'static str, gate: &'static str, answers: &[(Answer, Expected)]) -> Self {
        let mut counted = Vec::new();
        let mut refused = None;
        let mut caveat = None;
        let mut wrong = false;
        for (answer, expected) in answers {
            let side = match answer {
                Answer::Before(Ok(before)) => {
                    caveat = caveat.or_else(|| before.caveat.clone());
                    Some(before.side)
                }
                Answer::Before(Err(unfit)) => {
                    refused = refused.or_else(|| Some(unfit.message.clone()));
                    None
                }
                Answer::During(sum) => {
                    if let Some(why) = sum.unknown.iter().next_back() {
                        refused = refused.or_else(|| Some(format!("windows are Unknown: {}", why.as_str())));
                    }
                    sum.side
                }
            };
            wrong |= side.is_some_and(|side| !holds(side, expected));
            counted.push((side.map_or_else(|| "–".to_owned(), shown), expected.to_string()));
        }
        // Nothing was refused and nothing came: that is no sentence.
        let silent = refused.is_none() && counted.iter().any(|(side, _)| side == "–");
        let verdict = match (refused, caveat) {
            (Some(why), _) => Verdict::Refused(why),
            (None, Some(sentence)) if wrong => Verdict::Caveat(sentence),
            (None, _) if wrong || silent => Verdict::Wrong,
            (None, caveat) => Verdict::Right(caveat),
        };
        Self { app, gate, counted, verdict }
    }

    /// A gate that this version of the API does not have.
    pub fn unknown(app: &'static str, gate: &'static str, why: &str) -> Self {
        Self { app, gate, counted: Vec::new(), verdict: Verdict::Refused(format!("no such gate: {why}")) }
    }
}

fn holds(side: Side, expected: &Expected) -> bool {
    match (side, expected) {
        // Between two bounds of a histogram nobody knows: the truth lies between both.
        (Side::Count { above, below, total }, Expected::Count { bad, total: all }) => {
            above <= *bad.end() && below >= *bad.start() && all.contains(&total)
        }
        (Side::Mean { n, sum: counted }, Expected::Mean { sum, per }) => {
            sum.contains(&counted) && per.iter().any(|(_, number)| number.contains(&n))
        }
        _ => false,
    }
}

fn shown(side: Side) -> String {
    match side {
        Side::Count { above, below, total } if above == below => format!("{above}/{total}"),
        Side::Count { above, below, total } => format!("{above}–{below}/{total}"),
        Side::Mean { n, sum } => format!("{sum} per {n}"),
        Side::Late { bad, good, void, started } => format!("{bad}+{good}+{void} of {started}"),
        Side::Value { nano } => format!("{nano}e-9"),
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, sentence) = match &self.verdict {
            Verdict::Right(None) => ("right", String::new()),
            Verdict::Right(Some(sentence)) => ("right", format!(" ({sentence})")),
            Verdict::Caveat(sentence) => ("caveat", format!(": {sentence}")),
            Verdict::Refused(sentence) => ("refused", format!(": {sentence}")),
            Verdict::Wrong => ("WRONG", String::new()),
        };
        writeln!(f, "{:<22} {:<18} {word}{sentence}", self.app, self.gate)?;
        for ((counted, truth), who) in self.counted.iter().zip(["stable before", "canary", "stable"]) {
            writeln!(f, "    {who:<14} counted {counted:<28} truth {truth}")?;
        }
        Ok(())
    }
}
