//! Decisions in words. A reader who knows no statistics understands them; the numbers are those that decided.

use jiff::SignedDuration;
use microapp_api::{
    v1alpha1::Verdict,
    values::{Nano, PicoUsd, Weight},
};

use serde::{Deserialize, Serialize};

use crate::{
    counts::{Per, Side, Unknown},
    evidence::{GateView, Rule},
    strategy::{Gate, GateKind, Mean, Share, Watches},
};

/// Why a gate failed: what was seen on both sides, and how surprising that would be from a healthy canary.
pub fn breach(gate: &GateView, weight: Weight) -> String {
    let [canary, stable] = gate.seen;
    if let Some(note) = &gate.note {
        return format!("gate {} fails at {weight}: {note}; canary {}", gate.name, side(canary, gate.unit, gate.per));
    }
    let because = gate.rule.map_or_else(String::new, |rule| format!("; {}", decided(rule)));
    let spared = gate.spared.map_or_else(String::new, |bad| format!("; with {bad} bad or fewer it would have gone on"));
    format!(
        "gate {} fails at {weight}: canary {}; stable {}; {}{because}{spared}",
        gate.name,
        side(canary, gate.unit, gate.per),
        side(stable, gate.unit, gate.per),
        chance(gate.ln_fail)
    )
}

/// The rule that decided, in words.
const fn decided(rule: Rule) -> &'static str {
    match rule {
        Rule::Worse => "it is over its limit and worse than stable",
        Rule::Clearly => "it is more than 1.5 times as bad as stable, and worse than stable was before",
        Rule::Far => "it is more than 3 times as bad as stable, whatever befell both",
    }
}

/// Limits of a value, in words.
pub fn outside(min: Option<i128>, max: Option<i128>) -> String {
    match (min.map(Nano), max.map(Nano)) {
        (Some(min), Some(max)) => format!("outside {min} to {max}"),
        (Some(min), None) => format!("under {min}"),
        (None, Some(max)) => format!("over {max}"),
        (None, None) => "outside nothing".to_owned(),
    }
}

/// How the gates stand: what is waited for, and what is worth knowing although it keeps nobody waiting.
pub fn standing(gates: &[GateView]) -> String {
    let mut words = vec![waiting(gates)];
    for view in gates {
        // A budget is worth a word before it is spent.
        if let (Some(note), Verdict::Pass, Some(Side::Mean { .. })) = (&view.note, view.verdict, view.seen[0]) {
            words.push(format!("{}: {note}", view.name));
        }
        if view.advisory && view.verdict == Verdict::Fail {
            words.push(format!("{} advises: {}", view.name, gate(view)));
        }
    }
    words.join("; ")
}

/// Why the bake steps back.
pub fn over(gate: &GateView) -> String {
    format!(
        "gate {} looks bad at 100 %: canary {} in this step; back to where stable can be compared with it",
        gate.name,
        side(gate.step[0], gate.unit, gate.per)
    )
}

/// What a step that waits is waiting for.
pub fn waiting(gates: &[GateView]) -> String {
    if gates.is_empty() {
        return "no window was counted yet".to_owned();
    }
    let list: Vec<_> = gates
        .iter()
        .filter(|gate| gate.verdict == Verdict::Unknown && !gate.advisory)
        .map(|gate| format!("{} {}", gate.name, unknown(gate.unknown.unwrap_or(Unknown::Undecided))))
        .collect();
    if list.is_empty() { "every gate passes".to_owned() } else { list.join("; ") }
}

/// A gate in one line, for status and `why`.
pub fn gate(view: &GateView) -> String {
    let odds = |ln: f64| if ln <= 0.0 { "none".to_owned() } else { format!("{} to 1", power(ln)) };
    if let (Some(note), true) = (&view.note, view.ln_fail_at == 0.0 && view.verdict != Verdict::NotWatched) {
        return match (view.verdict, view.unknown) {
            (Verdict::Unknown, Some(why)) => format!("{}; {note}", unknown(why)),
            (Verdict::Unknown, None) | (Verdict::Pass | Verdict::Fail | Verdict::NotWatched, _) => note.clone(),
        };
    }
    match view.verdict {
        Verdict::Unknown if view.ln_fail_at == 0.0 => unknown(view.unknown.unwrap_or(Unknown::Undecided)).to_owned(),
        Verdict::NotWatched => {
            format!("not watched: {}", view.note.as_deref().unwrap_or("stable has no data for it"))
        }
        Verdict::Fail => format!("worse than allowed; {}", chance(view.ln_fail)),
        Verdict::Pass => "good enough for the next step".to_owned(),
        Verdict::Unknown => format!(
            "{}; evidence against it {} ({} at {}), for it {} (passes at {})",
            unknown(view.unknown.unwrap_or(Unknown::Undecided)),
            odds(view.ln_fail),
            if view.advisory { "fails" } else { "rolls back" },
            power(view.ln_fail_at),
            odds(view.ln_pass),
            power(view.ln_pass_at)
        ),
    }
}

/// What a gate's numbers count, where it is not requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Unit {
    /// Sums: pico-USD. Counts: requests.
    #[default]
    Usd,
    /// Tokens.
    Tokens,
    /// Calls to the model.
    Calls,
    /// Requests that were answered with 4xx or a redirect, of requests.
    Refusals,
}

impl Unit {
    /// That of a gate.
    pub fn of(gate: &Gate) -> Self {
        match &gate.kind {
            GateKind::Mean { what: Mean::Tokens, .. } => Self::Tokens,
            GateKind::Share { what: Share::ClientErrors, .. } => Self::Refusals,
            // Counters and histograms of the user's own count what the user says.
            GateKind::Share { what: Share::Ratio { .. }, .. } | GateKind::Slow { own: Some(_), .. } => Self::Usd,
            GateKind::Share { .. } | GateKind::Slow { .. } | GateKind::Model { .. } | GateKind::Traffic
                if gate.source.watches() == Watches::Calls =>
            {
                Self::Calls
            }
            _ => Self::Usd,
        }
    }

    /// Where it goes without saying.
    #[allow(clippy::trivially_copy_pass_by_ref)] // serde hands over a reference
    pub(crate) const fn is_usd(&self) -> bool {
        matches!(self, Self::Usd)
    }
}

/// A side's counts in words; a mean with what it is taken over.
pub fn side(side: Option<Side>, unit: Unit, per: Per) -> String {
    let share = |bad: u64, total: u64| {
        if total == 0 { String::new() } else { format!(" ({})", percent(bad as f64 / total as f64)) }
    };
    match side {
        None => "has no data".to_owned(),
        Some(Side::Count { above, total, .. }) => {
            let of = match unit {
                Unit::Calls => format!("{above} bad of {total} calls to the model"),
                Unit::Refusals => format!("{above} answered with 4xx or a redirect of {total} requests"),
                Unit::Usd | Unit::Tokens => format!("{above} bad of {total} requests"),
            };
            of + &share(above, total)
        }
        Some(Side::Mean { n, sum }) => {
            let (each, all) = unit_of(per);
            match (n, unit) {
                (0, _) => format!("0 {all}"),
                (_, Unit::Tokens) => format!("{:.0} tokens {each} over {n} {all}", sum as f64 / n as f64),
                (_, Unit::Usd | Unit::Calls | Unit::Refusals) => {
                    format!("{} USD {each} over {n} {all}", dollars(sum / i128::from(n)))
                }
            }
        }
        Some(Side::Value { nano }) => Nano(nano).to_string(),
        Some(Side::Late { bad, good, void, started }) => {
            let open = started.saturating_sub(void + bad + good);
            format!("{bad} bad of {} verdicts{}, {open} open", bad + good, share(bad, bad + good))
        }
    }
}

/// What a mean is taken over, one of them and all.
const fn unit_of(per: Per) -> (&'static str, &'static str) {
    match per {
        Per::Request => ("a request", "requests"),
        Per::Answer => ("per answer", "answers"),
        Per::Counted => ("per answer with a token count", "answers"),
        Per::User | Per::UserCounted => ("per request of a user", "requests"),
    }
}

/// The chance of seeing this much evidence from a canary that is fine: at most 1/E (Ville 1939).
fn chance(ln: f64) -> String {
    format!("chance of seeing this from a healthy canary: less than 1 in {}", power(ln))
}

/// e^ln in words, capped: nobody needs more.
fn power(ln: f64) -> String {
    const CAP: f64 = 20.72; // ln 10^9
    if ln > CAP {
        return "1 000 000 000".to_owned();
    }
    let mut digits = format!("{:.0}", ln.exp());
    let mut at = digits.len();
    while at > 3 {
        at -= 3;
        digits.insert(at, ' ');
    }
    digits
}

/// Two significant digits of a share.
pub fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent >= 10.0 || percent == 0.0 { format!("{percent:.0} %") } else { format!("{percent:.2} %") }
}

/// An amount of pico-USD in USD.
pub fn dollars(pico: i128) -> String {
    // Six decimals are enough to see a difference of a thousandth of a cent.
    let micro = pico / 1_000_000 * 1_000_000;
    PicoUsd(micro).to_string()
}

/// A duration as people write it.
pub fn span(duration: SignedDuration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 3600, seconds % 3600 / 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, 0) => format!("{minutes} min"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, 0, _) => format!("{hours} h"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

/// Why a gate says nothing, in words.
pub const fn unknown(why: Unknown) -> &'static str {
    match why {
        Unknown::Undecided => "is undecided: more requests are needed",
        Unknown::Guarded => "waits: stable itself is in trouble, an incident of the environment",
        Unknown::NoData => "has no data",
        Unknown::Stale => "has no fresh data: nothing newer than three scrapes",
        Unknown::Inconsistent => "counts more bad requests than requests",
        Unknown::NonMonotone => {
            "has a counter that fell although nothing restarted (several processes behind one /metrics?)"
        }
        Unknown::ImplausibleBirth => "has a new series with more than its target can have counted",
        Unknown::NotANumber => "got NaN or infinity where a count is meant",
        Unknown::Ambiguous => "got several series where one is meant",
        Unknown::Partial => "got a partial answer of Prometheus",
        Unknown::ClockSkew => "got samples whose time is more than 30 s off",
        Unknown::SchemaChanged => "has a histogram whose bounds changed",
        Unknown::MissingBucket => "has no histogram bucket at its threshold",
        Unknown::UnknownModel => "has no price for the model",
        Unknown::TokensMissing => {
            "has answers without a token count, where stable's had one (streams without usage: set stream_options.include_usage)"
        }
        Unknown::StreamsUnmeasured => {
            "has streams that were measured only to their headers, where stable's answers were measured to their end"
        }
        Unknown::StreamsUnfinished => {
            "has streams that began and were counted nowhere at their end, more than stable's: broken off, or left by their \
             users; look for broken streams in the canary's logs"
        }
        Unknown::Void => "compares nothing: another evaluator or model than the pinned one answers",
        Unknown::ShareMismatch => {
            "compares nothing: the canary does not get the share of the requests that its weight gives it"
        }
        Unknown::Saturated => "waits: a model server is over its limits",
        Unknown::BadQuery => "has a selector or query that cannot be used",
        Unknown::TooExpensive => "has no data: the question or its answer is over a limit",
        Unknown::Unreachable => "has no data: Prometheus does not answer",
    }
}
