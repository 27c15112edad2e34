use crate::tokens;

/// How an answer is worded; asked by the request, see the crate's documentation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wording {
    /// Factor on the output tokens.
    pub verbosity: f64,
    /// Probability that the numbers are wrong.
    pub invent: f64,
}

/// An answer and what it cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The text.
    pub text: String,
    /// Whether it was cut at the request's limit.
    pub cut: bool,
}

const OPENINGS: [&str; 4] = [
    "According to invoice",
    "I looked it up for you: on invoice",
    "Good question. As stated on the document with the number",
    "On invoice",
];
const CLOSING: &str = "I took this from the invoice that you gave me and used no other source. Please compare it with the \
original document before you pay, and tell me when something looks wrong.";
const PADDING: [&str; 4] = [
    "Let me explain step by step how I came to this answer, since it is always good to understand what stands behind it.",
    "First I read the whole document from the top to the bottom, then I looked for the line that your question is about.",
    "An invoice is a commercial document that a seller sends to a buyer and that lists what was delivered and what is owed.",
    "It might also be worth remembering that terms of payment differ between suppliers, countries, and kinds of contract.",
];
const NO_INVOICE: &str =
    "I am a stand-in for a language model and can only read out an invoice, but I found none in the request.";

impl Wording {
    /// Reads the last `verbosity:` and `invent:` line of a system prompt.
    pub fn of(system: &str) -> Self {
        Self {
            verbosity: setting(system, "verbosity").unwrap_or(1.0),
            invent: setting(system, "invent").unwrap_or(0.0),
        }
    }
}

fn setting(system: &str, wanted: &str) -> Option<f64> {
    system
        .lines()
        .filter_map(|line| line.split_once(':'))
        .filter(|(key, _)| key.trim().eq_ignore_ascii_case(wanted))
        .filter_map(|(_, value)| value.trim().parse().ok())
        .next_back()
}

/// Answers a question about the `key: value` lines that stand before `Question:` in the user's message.
///
/// `limit` is in tokens. The text has at least `verbosity` times the tokens of the plain answer, unless the limit cuts it.
pub fn compose(user: &str, wording: Wording, limit: Option<u64>, random: &mut fastrand::Rng) -> Answer {
    // Always the same two draws, so that equal seeds give comparable sequences.
    let (opening, invented) = (random.usize(..OPENINGS.len()), random.f64() < wording.invent);
    let (facts, question) = user.split_once("Question:").unwrap_or(("", user));
    let facts: Vec<(&str, &str)> =
        facts.lines().filter_map(|line| line.split_once(':')).map(|(key, value)| (key.trim(), value.trim())).collect();
    let facts: Vec<(&str, &str)> = facts.into_iter().filter(|(_, value)| !value.is_empty()).collect();
    let mut text = match facts.iter().find(|(key, _)| key.eq_ignore_ascii_case("number")) {
        None => NO_INVOICE.to_owned(),
        Some((_, number)) => {
            format!("{} {number}, {}. {CLOSING}", OPENINGS[opening], claims(&facts, question, invented))
        }
    };
    let wanted = wording.verbosity * tokens::count(&text) as f64;
    for sentence in PADDING.iter().cycle() {
        if tokens::count(&text) as f64 >= wanted {
            break;
        }
        text.push(' ');
        text.push_str(sentence);
    }
    let (text, cut) = tokens::truncate(text, limit.unwrap_or(u64::MAX));
    Answer { text, cut }
}

/// The facts whose names occur in the question, or the total, as a clause.
fn claims(facts: &[(&str, &str)], question: &str, invented: bool) -> String {
    let question = question.to_lowercase();
    let asked = |key: &str| key.to_lowercase().split(' ').any(|word| question.contains(word));
    let mut chosen: Vec<_> = facts.iter().filter(|(key, _)| asked(key)).collect();
    if chosen.is_empty() || invented {
        // Something countable must be wrong for anybody to be able to notice.
        chosen.extend(facts.iter().filter(|(key, _)| key.eq_ignore_ascii_case("total") && !asked(key)));
    }
    let clauses = chosen.iter().map(|(key, value)| {
        let value = if invented { wrong(value) } else { (*value).to_owned() };
        format!("the {} is {value}", key.to_lowercase())
    });
    clauses.collect::<Vec<_>>().join(" and ")
}

/// The same value with other digits.
fn wrong(value: &str) -> String {
    let shift = |digit: u32| char::from_digit((digit + 3) % 10, 10).unwrap_or('0');
    value.chars().map(|c| c.to_digit(10).map_or(c, shift)).collect()
}
