//! What is true of a revision's traffic: out of the load generator's log, and the bill of the stand-in for the model.
//!
//! Where a user leaves nobody can say how the request ended, so such numbers are ranges.

use std::{collections::BTreeMap, fmt, ops::RangeInclusive};

use microapp_telemetry::PriceTable;

use crate::{
    case::{Called, To},
    model::{Bill, CACHED, INPUT, OUTPUT},
    traffic::{Entry, Saw},
};

/// The gates' limit for calls, in seconds.
const CALL_SLOW: f64 = 2.5;
/// Sums of tokens may be so many per cent off: a missing usage that was estimated is right, a missing one is not.
const ESTIMATE: i128 = 3;

/// What a gate counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum What {
    /// Requests of users that failed through the app: 5xx, and answers that broke off.
    Errors,
    /// Requests that were answered with 5xx, as somebody's own selectors have it: an answer that broke off has begun with
    /// 200, and exporters differ in what they make of it and of users who leave.
    Answered5xx,
    /// Requests of users that the app refused: 4xx but 429.
    Refused,
    /// Requests of users that took longer than so many seconds.
    Slow(f64),
    /// The same by somebody's own histogram: exporters differ in whether they time a stream to its end.
    OwnSlow(f64),
    /// Requests of users that were answered with 429.
    TooMany,
    /// Requests of users, none of them bad.
    Requests,
    /// Calls to the model that failed.
    CallErrors,
    /// Calls that took longer than 2.56 s.
    CallSlow,
    /// Calls that the provider refused since there were too many.
    CallTooMany,
    /// Streamed calls that began late.
    FirstToken,
    /// Chunks, or streams, whose pace is slow.
    PerToken,
    /// Calls that another model answered.
    OtherModel,
    /// Tokens.
    Tokens,
    /// Pico-USD at the prices of the table.
    Cost,
}

/// One revision's traffic.
#[derive(Clone, Debug)]
pub struct Truth {
    entries: Vec<Entry>,
    bill: Bill,
    /// The name that the model is asked by.
    model: &'static str,
    other: &'static str,
    /// LiteLLM is where users arrive: each request is a call.
    proxy: bool,
}

/// What a gate must have counted.
#[derive(Clone, Debug, PartialEq)]
pub enum Expected {
    /// So many bad ones of so many.
    Count {
        /// Bad ones.
        bad: RangeInclusive<u64>,
        /// All.
        total: RangeInclusive<u64>,
    },
    /// A sum over one of these numbers.
    Mean {
        /// The sum.
        sum: RangeInclusive<i128>,
        /// Of what, and how many.
        per: Vec<(&'static str, RangeInclusive<u64>)>,
    },
}

impl Truth {
    /// Of what a revision got. Without a bill it is what the log says that must have been answered.
    pub fn new(entries: Vec<Entry>, bill: Option<Bill>, model: &'static str, proxy: bool) -> Self {
        let bill = bill.unwrap_or_else(|| due(&entries));
        let other = if model.starts_with("claude") { "claude-3-5-haiku" } else { "gpt-5-mini" };
        Self { entries, bill, model, other, proxy }
    }

    fn count(&self, is: impl Fn(&Entry) -> bool) -> u64 {
        self.entries.iter().filter(|entry| is(entry)).count() as u64
    }

    fn users(&self, is: impl Fn(&Entry) -> bool) -> u64 {
        self.count(|entry| entry.case.is_user() && is(entry))
    }

    fn calls(&self, is: impl Fn(&Entry) -> bool) -> u64 {
        let calls = |entry: &&Entry| entry.case.calls();
        self.entries.iter().filter(|entry| is(entry)).map(|entry| calls(&entry)).sum()
    }

    /// What a gate must have counted.
    pub fn expected(&self, what: What, prices: &PriceTable) -> Expected {
        let left = self.users(|entry| entry.saw == Saw::Left);
        let users = self.users(|_| true);
        let status = |entry: &Entry, is: fn(u16) -> bool| matches!(entry.saw, Saw::Status(code) if is(code));
        let of_users = |bad: RangeInclusive<u64>| Expected::Count { bad, total: users - left..=users };
        let exactly = |bad: u64| bad..=bad;

        let calls = self.calls(|_| true);
        let called = |how: Called| self.calls(|entry| entry.case.called() == how);
        let streams = self.calls(|entry| entry.case.to == To::Stream);
        let calls_left = called(Called::Left);
        let good_calls = called(Called::Good);
        let of_calls = |bad: RangeInclusive<u64>| Expected::Count { bad, total: calls - calls_left..=calls };
        let began = |entry: &Entry| {
            entry.case.to == To::Stream && !matches!(entry.case.called(), Called::Failed | Called::Throttled)
        };

        match what {
            What::Errors => {
                let bad =
                    |entry: &Entry| entry.saw == Saw::Broke || status(entry, |code| code >= 500) || self.torn(entry);
                // Some exporters leave out paths that the app does not have.
                let nowhere = self.users(|entry| entry.case.to == To::Nowhere);
                Expected::Count { bad: exactly(self.users(bad)), total: users - left - nowhere..=users }
            }
            What::Answered5xx => {
                // Behind a stream that failed before its first byte a server may answer with 500 what the app had begun.
                let sure = self.users(|entry| entry.case.to != To::Stream && status(entry, |code| code >= 500));
                let bad = self.users(|entry| status(entry, |code| code >= 500));
                let broke = self.users(|entry| entry.saw == Saw::Broke);
                let nowhere = self.users(|entry| entry.case.to == To::Nowhere);
                Expected::Count { bad: sure..=bad + broke, total: users - left - nowhere - broke..=users }
            }
            What::Refused => of_users(exactly(
                self.users(|entry| status(entry, |code| (400..500).contains(&code) && code != 429 && code != 499)),
            )),
            What::TooMany => of_users(exactly(self.users(|entry| status(entry, |code| code == 429)))),
            What::Requests => of_users(exactly(0)),
            What::Slow(limit) => {
                // What waited in front of a busy server is slow for the user alone.
                let surely = self.users(|entry| entry.saw != Saw::Left && entry.case.is_slow());
                let slow = self.users(|entry| entry.saw != Saw::Left && entry.seconds > limit);
                of_users(surely.min(slow)..=slow + left)
            }
            What::OwnSlow(limit) => {
                let unseen = left + self.users(|entry| entry.saw == Saw::Broke || entry.case.to == To::Nowhere);
                let surely = self.users(|entry| entry.case.to != To::Stream && entry.case.is_slow());
                let slow = self.users(|entry| entry.saw != Saw::Left && entry.seconds > limit);
                Expected::Count { bad: surely.min(slow)..=slow + left, total: users - unseen..=users }
            }
            What::CallErrors => {
                let failed = called(Called::Failed) + called(Called::Broke);
                of_calls(failed..=failed + self.calls(|entry| self.surprised(entry)))
            }
            What::CallSlow => {
                // Whoever leaves before the answer begins does not stop the call.
                let surely = self.calls(|entry| entry.case.is_slow() || entry.case.word == "leftask");
                let busy = self.calls(|entry| !entry.case.is_slow() && entry.seconds > CALL_SLOW);
                Expected::Count { bad: surely..=surely + calls_left + busy, total: good_calls..=calls }
            }
            What::CallTooMany => Expected::Count {
                bad: exactly(called(Called::Throttled)),
                // That broken ones are missing is said by the gate of failures.
                total: calls - calls_left - called(Called::Broke)..=calls,
            },
            What::OtherModel => {
                let other = self.calls(|entry| entry.case.word == "othermodel");
                Expected::Count { bad: exactly(other), total: good_calls..=calls }
            }
            What::FirstToken => {
                let finished = self.calls(|entry| began(entry) && entry.case.called() == Called::Good);
                let late = self.calls(|entry| entry.case.word == "late");
                let busy = self.calls(|entry| began(entry) && !entry.case.is_slow() && entry.seconds > CALL_SLOW);
                Expected::Count { bad: late..=late + busy, total: finished..=streams }
            }
            What::PerToken => {
                let slow = self.calls(|entry| entry.case.word == "slowstream");
                let finished = self.calls(|entry| began(entry) && entry.case.called() == Called::Good);
                Expected::Count { bad: slow..=12 * (slow + calls_left), total: finished..=14 * streams }
            }
            What::Tokens => self.mean(|input, output, _| i128::from(input + output)),
            What::Cost => {
                let price = prices.price([self.model]);
                let other = prices.price([self.other]);
                self.mean(|input, output, is_other| {
                    let Some(price) = (if is_other { other } else { price }) else { return 0 };
                    price.input * i128::from(input) + price.output * i128::from(output)
                })
                .less(price.and_then(|price| {
                    Some((price.input - price.cached_input?) * i128::from(self.bill.cached * CACHED))
                }))
            }
        }
    }

    /// A failure that the case does not ask for: a machine that is too busy.
    fn surprised(&self, entry: &Entry) -> bool {
        let fine = entry.case.called() == Called::Good && !matches!(entry.case.word, "notjson" | "appcrash" | "");
        fine && !self.proxy && !matches!(entry.saw, Saw::Left | Saw::Status(200..=299))
    }

    /// LiteLLM answers a broken stream with 200 and an event that says so.
    fn torn(&self, entry: &Entry) -> bool {
        self.proxy && entry.case.called() == Called::Broke
    }

    /// What was answered to the end is billed; who left and what broke off, perhaps.
    fn mean(&self, worth: impl Fn(u64, u64, bool) -> i128) -> Expected {
        let perhaps = self.calls(|entry| matches!(entry.case.called(), Called::Left | Called::Broke));
        let bill = self.bill;
        let plain = bill.answered - bill.other;
        let own = worth(plain * INPUT, plain * OUTPUT, false);
        let other = |is_other: bool| worth(bill.other * INPUT, bill.other * OUTPUT, is_other);
        // The proxy names the model that it was told of, not the one that answered.
        let least = own + if self.proxy { other(true).min(other(false)) } else { other(true) };
        let most = own + other(true) + worth(perhaps * INPUT, perhaps * OUTPUT, false);
        // Where an answer does not say its usage some estimate it.
        let (least, most) = (least - least * ESTIMATE / 100, most + most * ESTIMATE / 100);
        let calls = self.calls(|_| true);
        let good_calls = self.calls(|entry| entry.case.called() == Called::Good);
        let users = self.users(|_| true);
        let left = self.users(|entry| entry.saw == Saw::Left);
        let good = self.users(|entry| matches!(entry.saw, Saw::Status(code) if code < 400));
        let per = vec![
            ("good requests", good..=good + left),
            ("requests", users - left..=users),
            ("good calls", good_calls..=good_calls + perhaps),
            ("calls", calls - self.calls(|entry| entry.case.called() == Called::Left)..=calls),
        ];
        Expected::Mean { sum: least..=most, per }
    }

    /// The log in short: how many of each kind came to what.
    pub fn summary(&self) -> Vec<String> {
        let mut counts: BTreeMap<(String, String), u64> = BTreeMap::new();
        for entry in &self.entries {
            let slow = if entry.seconds > 2.5 { " slow" } else { "" };
            let saw = match entry.saw {
                Saw::Status(code) => format!("{code}{slow}"),
                Saw::Broke => "broke".to_owned(),
                Saw::Left => "left".to_owned(),
            };
            *counts.entry((entry.case.tag(), saw)).or_default() += 1;
        }
        let bill = self.bill;
        let mut lines: Vec<String> = counts.into_iter().map(|((tag, saw), n)| format!("{tag} {saw}: {n}")).collect();
        lines.push(format!(
            "model: {} calls, {} answered to the end ({INPUT} + {OUTPUT} tokens each; {} with {CACHED} cached, {} by another model)",
            bill.calls, bill.answered, bill.cached, bill.other
        ));
        lines
    }
}

/// What is billed of these requests.
fn due(entries: &[Entry]) -> Bill {
    let mut bill = Bill::default();
    for case in entries.iter().map(|entry| entry.case) {
        // A model that the proxy does not have is asked for of nobody.
        bill.calls += if case.word == "nomodel" { 0 } else { case.calls() };
        if case.called() == Called::Good {
            bill.answered += case.calls();
            bill.cached += if case.word == "cached" { case.calls() } else { 0 };
            bill.other += if case.word == "othermodel" { case.calls() } else { 0 };
        }
    }
    bill
}

impl Expected {
    /// The sum may be less by this: cached tokens at their price.
    fn less(self, rebate: Option<i128>) -> Self {
        match self {
            Self::Mean { sum, per } => Self::Mean { sum: sum.start() - rebate.unwrap_or(0)..=*sum.end(), per },
            Self::Count { .. } => self,
        }
    }
}

fn range<T: PartialEq + fmt::Display>(range: &RangeInclusive<T>) -> String {
    if range.start() == range.end() {
        range.start().to_string()
    } else {
        format!("{}–{}", range.start(), range.end())
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count { bad, total } => write!(f, "{}/{}", range(bad), range(total)),
            Self::Mean { sum, per } => {
                let per: Vec<String> = per.iter().map(|(what, n)| format!("{} {what}", range(n))).collect();
                write!(f, "{} per {}", range(sum), per.join(", "))
            }
        }
    }
}
