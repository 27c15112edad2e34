//! Can a selector of the user's ever match? A counter of failures that nobody has, or a label that is written otherwise,
//! reads as "no failure" for ever: what stable exposes tells such a mistake from a failure that has not come yet.

use std::collections::{BTreeMap, BTreeSet};

use microapp_core::{
    counts::{Unfit, Unknown},
    strategy::{GateKind, Share},
};
use promql_parser::label::{MatchOp, Matcher};

use crate::{
    own::{Picked, is_met},
    series::Series,
    words,
};

/// Labels that are there where something failed and absent where nothing did, by OpenTelemetry's conventions ("if the
/// operation ended in error", semantic-conventions, `error.type`).
const ONLY_OF_FAILURES: &[&str] = &["error_type"];

/// What stable says of a `ratio` whose total it has: what to know of it, or why it could never fail. `None` for other
/// gates.
pub(crate) fn look(kind: &GateKind, stable: &[&Series]) -> Result<Option<String>, Unfit> {
    let GateKind::Share { what: Share::Ratio { bad, total }, .. } = kind else { return Ok(None) };
    let (Ok(own), Ok(all)) = (Picked::parse(bad), Picked::parse(total)) else { return Ok(None) };
    let (known, of_all) = (Known::of(&own, stable), Known::of(&all, stable));
    let name = words::selector(&own.name);
    if known.series.is_empty() {
        return Err(unfit(format!(
            "stable has no metric {name}, so that nothing would ever count as bad: {}; a counter that begins with its first \
             failure must be set to 0 when the process starts",
            of_all.advised()
        )));
    }
    known.holds(&own, bad)?;
    if own.name == all.name && known.takes_all(&own) {
        return Err(unfit(format!(
            "no series of stable's {name} has the label {}, so that {} takes every request for a bad one: {}",
            words::value(&own.matchers[0].name),
            words::selector(bad),
            known.advised()
        )));
    }
    if let Some(label) = known.apart(&own, &all) {
        return Err(unfit(format!(
            "{} leaves out by its label {} what {} counts, so that failures would not be among the requests: let total count \
             every request",
            words::selector(total),
            words::value(label),
            words::selector(bad)
        )));
    }
    let mut notes: Vec<String> = known.not_yet(&own, bad).into_iter().collect();
    if let Some(base) = own.name.strip_suffix("_bucket") {
        notes.push(format!(
            "{} counts the requests that were fast enough: for slow ones write latency with histogram: {}",
            words::selector(bad),
            words::selector(base)
        ));
    }
    notes.extend(known.leaves_nothing_out(&own));
    notes.extend(of_all.leaves_nothing_out(&all));
    notes.dedup();
    Ok((!notes.is_empty()).then(|| notes.join("; ")))
}

/// Why no series of stable is taken, with what there is; `what` says what it is for.
pub(crate) fn nothing(picked: &Picked, text: &str, stable: &[&Series], wanted: &str) -> String {
    let known = Known::of(picked, stable);
    let text = words::selector(text);
    if known.series.is_empty() {
        return format!("stable has no series {text} with {wanted}");
    }
    match picked.matchers.iter().find(|matcher| known.lacks(matcher) && !matcher.is_match("")) {
        Some(matcher) => format!(
            "no series of stable's {} has the label {}, so that nothing is {text}: {}",
            words::selector(&picked.name),
            words::value(&matcher.name),
            known.said()
        ),
        None => format!("no series of stable is {text}: {}", known.said()),
    }
}

fn unfit(message: String) -> Unfit {
    Unfit { reason: Unknown::NoData, message, fatal: false }
}

/// Must the label be there before anything has failed? Not where a matcher lets series without it through, nor where it
/// asks whether there is a value, whichever (`error!=""`, `error=~".+"`); but every request has a status.
fn is_needed(matcher: &Matcher) -> bool {
    let asks = match &matcher.op {
        MatchOp::NotEqual | MatchOp::NotRe(_) => true,
        // What nobody would write down.
        MatchOp::Re(regex) => regex.is_match("\u{1}"),
        MatchOp::Equal => false,
    };
    let of_all = matcher.name.split('_').any(|word| word == "status" || word == "code");
    let of_failures = ONLY_OF_FAILURES.contains(&matcher.name.as_str());
    !matcher.is_match("") && !of_failures && (of_all || !asks)
}

/// The series of a metric, and what their labels say.
struct Known<'a> {
    name: &'a str,
    series: Vec<&'a Series>,
}

impl<'a> Known<'a> {
    fn of(picked: &'a Picked, stable: &[&'a Series]) -> Self {
        let series = stable.iter().copied().filter(|series| series.name() == picked.name).collect();
        Self { name: &picked.name, series }
    }

    /// Has none of them this label?
    fn lacks(&self, matcher: &Matcher) -> bool {
        self.series.iter().all(|series| series.label(&matcher.name).is_empty())
    }

    /// Refuses a label that nobody has, and a bucket that nobody has.
    fn holds(&self, own: &Picked, bad: &str) -> Result<(), Unfit> {
        let is_wanting = |matcher: &&Matcher| {
            if matcher.name == "le" {
                self.strange(own).contains(matcher)
            } else {
                self.lacks(matcher) && is_needed(matcher)
            }
        };
        let Some(matcher) = own.matchers.iter().find(is_wanting) else { return Ok(()) };
        if matcher.name == "le" {
            return Err(self.no_bound(bad));
        }
        let label = words::value(&matcher.name);
        let has = if words::failures(&self.labels(), words::FAILED).is_some() {
            self.advised()
        } else {
            format!("{}; where only failures carry it, write {label}!=\"\"", self.said())
        };
        Err(unfit(format!(
            "no series of stable's {} has the label {label}, so that {} could never match and the gate never fail: {has}",
            words::selector(self.name),
            words::selector(bad)
        )))
    }

    /// The label by which nothing can be both, of one metric: no value that is there, no status and no class.
    fn apart<'p>(&self, bad: &'p Picked, total: &Picked) -> Option<&'p str> {
        let own = bad.matchers.iter().filter(|_| bad.name == total.name);
        let both =
            own.flat_map(|one| total.matchers.iter().filter(|all| all.name == one.name).map(move |all| (one, all)));
        let statuses = (100..=599).map(|status: u16| status.to_string());
        let classes = (1..=5).flat_map(|class| [format!("{class}xx"), format!("{class}XX")]);
        let words: Vec<String> = statuses.chain(classes).collect();
        let (one, _) = both.into_iter().find(|(one, all)| {
            let there = self.series.iter().map(|series| series.label(&one.name));
            let mut values = there.chain(words.iter().map(String::as_str)).chain(words::ENDINGS);
            let reads = words.iter().any(|word| one.is_match(word));
            reads && !values.any(|value| one.is_match(value) && all.is_match(value))
        })?;
        Some(&one.name)
    }

    /// Has it matchers, and do all of them only leave out what nobody has?
    fn takes_all(&self, own: &Picked) -> bool {
        !own.matchers.is_empty() && own.matchers.iter().all(|matcher| self.is_idle(matcher))
    }

    /// It was to leave something out, by a label that nobody has.
    fn is_idle(&self, matcher: &Matcher) -> bool {
        self.lacks(matcher) && matcher.is_match("") && !matcher.value.is_empty()
    }

    fn leaves_nothing_out(&self, picked: &Picked) -> Option<String> {
        let matcher = picked.matchers.iter().find(|matcher| self.is_idle(matcher))?;
        Some(format!(
            "{} leaves nothing out, since no series of stable's {} has this label",
            words::selector(&matcher.to_string()),
            words::selector(&picked.name)
        ))
    }

    /// What has not come yet, if anything.
    fn not_yet(&self, own: &Picked, bad: &str) -> Option<String> {
        if let Some(matcher) = own.matchers.iter().find(|matcher| self.lacks(matcher) && !matcher.is_match("")) {
            return Some(format!(
                "no series of stable's {} has the label {} yet: make sure that failures carry it",
                words::selector(self.name),
                words::value(&matcher.name)
            ));
        }
        let seen = self.series.iter().any(|series| own.takes(series));
        (!seen).then(|| format!("no series of stable matches {} yet; {}", words::selector(bad), self.values_of(own)))
    }

    fn labels(&self) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
        words::labels(self.series.iter().copied())
    }

    /// `stable has http_requests_total with status=2xx,5xx`.
    fn said(&self) -> String {
        format!("stable has {}", words::metric(self.name, &self.labels()))
    }

    /// The same, with how failures are written.
    fn advised(&self) -> String {
        let write = words::failures(&self.labels(), words::FAILED);
        let write =
            write.map_or_else(String::new, |write| format!("; write {}{{{write}}}", words::selector(self.name)));
        format!("{}{write}", self.said())
    }

    /// The matchers that no series meets.
    fn strange<'p>(&self, picked: &'p Picked) -> Vec<&'p Matcher> {
        let strange = |matcher: &&Matcher| !self.series.iter().any(|series| is_met(matcher, series));
        picked.matchers.iter().filter(strange).collect()
    }

    /// Which labels keep every series out, what they are instead, and what to make sure of.
    fn values_of(&self, picked: &Picked) -> String {
        let strange = self.strange(picked);
        if strange.is_empty() {
            return "each of its matchers has series, but none has all of them: make sure that failures do".to_owned();
        }
        // Of the routes that are meant, say, and not of all.
        let fits = |series: &&&Series| {
            picked.matchers.iter().all(|matcher| strange.contains(&matcher) || is_met(matcher, series))
        };
        let mut meant: Vec<&Series> = self.series.iter().filter(fits).copied().collect();
        if meant.is_empty() {
            meant.clone_from(&self.series);
        }
        let mut advice = "make sure that failures read so".to_owned();
        let mut values = Vec::new();
        for matcher in &strange {
            let label = words::value(&matcher.name);
            let own: BTreeSet<&str> = meant.iter().map(|series| series.label(&matcher.name)).collect();
            let own: BTreeSet<&str> = own.into_iter().filter(|value| !value.is_empty()).collect();
            if is_of_another_form(matcher, &own) {
                let matcher = words::selector(&matcher.to_string());
                let failed = if own.iter().all(|value| words::ENDINGS.contains(value)) {
                    "=\"SERVER_ERROR\""
                } else {
                    "=~\"5..\""
                };
                advice = format!("{matcher} can match none of their kind: write {label}{failed}");
            }
            values.push(format!("{label} is {}", words::values(own, ", ")));
        }
        format!("{}: {advice}", values.join(", "))
    }

    /// Bounds of buckets are all there from the first request on.
    fn no_bound(&self, text: &str) -> Unfit {
        let bounds: BTreeSet<&str> = self.series.iter().map(|series| series.label("le")).collect();
        let bounds = words::values(bounds.into_iter().filter(|bound| !bound.is_empty()), ", ");
        let has = if bounds.is_empty() { "no bounds".to_owned() } else { bounds };
        let message = format!("no series of stable is {}, and none will be: le is {has}", words::selector(text));
        Unfit { reason: Unknown::MissingBucket, message, fatal: true }
    }
}

/// Every status is a class (`5xx`) and numbers are asked for, or the other way round.
fn is_of_another_form(matcher: &Matcher, values: &BTreeSet<&str>) -> bool {
    if !values.is_empty() && values.iter().all(|value| words::ENDINGS.contains(value)) {
        return !words::ENDINGS.iter().any(|outcome| !values.contains(outcome) && matcher.is_match(outcome));
    }
    let classes = || (1..=5).flat_map(|class| [format!("{class}xx"), format!("{class}XX")]);
    let possible = if values.iter().all(|value| words::is_class(value)) {
        classes().any(|class| matcher.is_match(&class))
    } else {
        (0..=999).any(|status: u16| matcher.is_match(&status.to_string()))
    };
    !possible && !values.is_empty() && values.iter().all(|value| words::is_status(value))
}
