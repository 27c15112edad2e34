//! What a mean of tokens or costs is taken over. Failing is not saving: requests that failed have no part in it, and where
//! not every answer has a token count, those without one have none either.

use microapp_core::{
    counts::{Per, Unknown},
    strategy::{Preset, Watches},
};

use crate::{
    pin::Pin,
    presets::{self, Definition, Generation, Token},
    prices::PriceTable,
    routes,
    series::Series,
    streams::{calls, is_short, last},
};

/// Answers of stable, and those among them whose tokens were counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Answers {
    pub(crate) good: f64,
    pub(crate) counted: f64,
}

impl Answers {
    /// Of a counter of calls and the tokens of a generation; `None` where its counters do not say how many they counted.
    fn of(definition: &Definition, family: &str, counted: &str, stable: &[&Series]) -> Option<Self> {
        let mut observed =
            calls(definition, counted, stable).filter(|series| is_observation(definition, series)).peekable();
        observed.peek()?;
        let good = calls(definition, family, stable).filter(|series| definition.is_good(series));
        Some(Self { good: good.map(last).sum(), counted: observed.map(last).sum() })
    }

    /// How many have no count, and what follows.
    fn uncounted(self, then: &str) -> String {
        let Self { good, counted } = self;
        format!(
            "{} of {good} answers of stable have no token count (streams without usage: set stream_options.include_usage), \
             and {then}",
            good - counted
        )
    }

    /// Clearly fewer have a count than there are.
    fn is_partial(self) -> bool {
        is_short(self.good, self.counted)
    }
}

/// One for each answer whose tokens were counted. Of calls that failed some have counts too (opentelemetry-util-genai
/// 1.3b0, `_record_client_metrics`: Anthropic says what a stream has used when it begins).
pub(crate) fn is_observation(definition: &Definition, series: &Series) -> bool {
    series.label("gen_ai_token_type") == "input" && definition.is_good(series)
}

/// What the mean is taken over, and the counter of answers whose tokens were counted, where there is one. This is the one
/// place that chooses it: for another denominator choose another `Per`, and read it in [`mean`].
pub(crate) fn denominator(
    definition: &Definition,
    family: &str,
    tokens: &[String],
    stable: &[&Series],
) -> (Per, String) {
    let counted = counter(definition, tokens).unwrap_or_default();
    match Answers::of(definition, family, counted, stable) {
        Some(answers) if answers.is_partial() => (Per::Counted, counted.to_owned()),
        Some(_) => (Per::Answer, counted.to_owned()),
        None => (Per::Answer, String::new()),
    }
}

/// Counters of requests by route and status that other exporters have: prometheus-fastapi-instrumentator and tutorials,
/// starlette_exporter, prometheus_flask_exporter, express-prom-bundle.
const OTHERS: [&str; 4] = [
    "http_requests_total",
    "starlette_requests_total",
    "flask_http_request_duration_seconds_count",
    "http_request_duration_seconds_count",
];

/// Where requests of users may be counted beside the calls of a source.
pub(crate) fn users() -> impl Iterator<Item = &'static str> {
    presets::definition(Preset::OtelHttp).requests.iter().copied().chain(OTHERS)
}

/// The counter of requests of users that the pods of a source of calls expose beside it, where it names their routes.
pub(crate) fn requests_of_users(source: Preset, stable: &[&Series]) -> Option<String> {
    let own = source.watches() == Watches::Calls && !presets::scheme(source).is_gateway();
    let exists = |name: &&str| {
        let mut good = stable.iter().filter(|series| series.name() == *name && is_of_a_user(series));
        good.any(|series| last(series) > 0.0)
    };
    users().find(exists).filter(|_| own).map(str::to_owned)
}

/// An answer that a user got and that did not fail. Of what names no route nobody knows whose it was: with probes and
/// scrapes among them, of which a canary has a larger share, it would seem to cost less.
pub(crate) fn is_of_a_user(series: &Series) -> bool {
    let is_good = || {
        if OTHERS.contains(&series.name()) {
            routes::is_answered(series)
        } else {
            presets::definition(Preset::OtelHttp).is_good(series)
        }
    };
    routes::is_named(series) && is_good()
}

/// The same per request of a user.
pub(crate) const fn of_users(per: Per) -> Per {
    match per {
        Per::Counted | Per::UserCounted => Per::UserCounted,
        Per::Request | Per::Answer | Per::User => Per::User,
    }
}

/// n and the sum of a window: `answers` that did not fail (of users, where they are counted: `calls` are then those to the
/// model) and `counted` ones among them (`None`: nobody counts them), with what these used.
///
/// # Errors
/// Answers have no count where stable's had one: their tokens are not known, and nobody may take them for saved.
pub(crate) fn mean(
    per: Per,
    answers: u64,
    calls: u64,
    counted: Option<u64>,
    sum: i128,
) -> Result<(u64, i128), Unknown> {
    match (per, counted) {
        (Per::User, Some(counted)) if is_short(calls as f64, counted as f64) => Err(Unknown::TokensMissing),
        (Per::Request | Per::Answer | Per::User, None) | (Per::User, Some(_)) => Ok((answers, sum)),
        (Per::Counted, None) if answers == 0 => Ok((0, sum)),
        (Per::UserCounted, None | Some(0)) if calls == 0 => Ok((answers, sum)),
        (Per::Counted | Per::UserCounted, None) | (Per::UserCounted, Some(0)) => Err(Unknown::TokensMissing),
        (Per::Counted, Some(0)) if answers > 0 => Err(Unknown::TokensMissing),
        (Per::Counted, Some(counted)) => Ok((counted, sum)),
        // Calls without a count are taken for like the others, so that one more call costs what a call costs.
        (Per::UserCounted, Some(counted)) => Ok((answers, sum * i128::from(calls.max(counted)) / i128::from(counted))),
        (Per::Request | Per::Answer, Some(counted)) if is_short(answers as f64, counted as f64) => {
            Err(Unknown::TokensMissing)
        }
        (Per::Request | Per::Answer, Some(counted)) => Ok((answers.min(counted), sum)),
    }
}

/// What a budget by the price table does not see.
pub(crate) fn unseen(definition: &Definition, pin: &Pin, stable: &[&Series]) -> Option<String> {
    let answers = Answers::of(definition, &pin.family, counter(definition, &pin.tokens)?, stable)?;
    answers.is_partial().then(|| answers.uncounted("the budget does not see what they cost"))
}

/// The generation of these token counters.
fn generation<'a>(definition: &'a Definition, tokens: &[String]) -> Option<&'a Generation> {
    definition
        .tokens
        .iter()
        .find(|generation| generation.names.iter().any(|(name, _)| tokens.iter().any(|t| t == name)))
}

fn counter(definition: &Definition, tokens: &[String]) -> Option<&'static str> {
    generation(definition, tokens)?.counted
}

/// What to know of a mean, or of a budget that goes by the price table.
pub(crate) fn caveats(
    definition: &Definition,
    pin: &Pin,
    stable: &[&Series],
    prices: Option<&PriceTable>,
) -> Vec<String> {
    let partial = match pin.per {
        Per::Counted => Some("the mean is over the others"),
        Per::UserCounted => Some("are taken for like the others"),
        Per::Request | Per::Answer | Per::User => None,
    };
    let answers = Answers::of(definition, &pin.family, &pin.counted, stable);
    let partial = partial.zip(answers).map(|(then, answers)| answers.uncounted(then));
    partial.into_iter().chain(prices.and_then(|prices| cached(definition, pin, stable, prices))).collect()
}

/// The provider has a cache with a price of its own, and the source does not say which tokens came from it.
fn cached(definition: &Definition, pin: &Pin, stable: &[&Series], prices: &PriceTable) -> Option<String> {
    let generation = generation(definition, &pin.tokens)?;
    let told = generation.names.iter().any(|(_, token)| *token == Some(Token::CachedInput))
        || stable.iter().any(|series| generation.token(series) == Some(Token::CachedInput));
    let cheaper = |series: &&&Series| {
        let price = prices.price(crate::presets::models(definition, series));
        last(series) > 0.0 && price.is_some_and(|price| price.cached_input.is_some())
    };
    let own = stable.iter().filter(|series| generation.token(series).is_some() && (definition.user)(series));
    (!told && own.clone().any(|series| cheaper(&series))).then(|| {
        format!(
            "cached tokens are priced in full: {} does not tell them apart",
            own.clone().next().map_or("the source", |series| series.name())
        )
    })
}
