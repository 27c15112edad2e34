//! Streams: which calls were counted before their answer was there, and what an instrumentation does not see of them.
//!
//! An instrumentation that records a call when the call returns has nothing of a stream but its headers: no duration, no
//! end, no tokens, and no name of the model that answered. So a good call without that name, from a source that names it
//! elsewhere, is a stream measured to its headers, whatever the source is called.

use microapp_core::{
    counts::{Unfit, Unknown},
    strategy::Preset,
};

use crate::{
    presets::{self, Definition},
    scopes::{Miss, Scope},
    series::Series,
};

/// Who counted what: an instrumentation, a provider and an operation. Each of them names the model that answered, or
/// never does.
pub(crate) fn speaker(series: &Series) -> String {
    let provider = [series.label("gen_ai_provider_name"), series.label("gen_ai_system")].concat();
    format!("{}/{provider}/{}", series.label("otel_scope_name"), series.label("gen_ai_operation_name"))
}

/// A good call that names no model.
fn is_nameless(definition: &Definition, series: &Series) -> bool {
    let label = definition.model.first().filter(|_| definition.names_answers);
    label.is_some_and(|label| definition.is_good(series) && series.label(label).is_empty())
}

/// Was it counted before its answer was there? `named`: who names the model that answered.
pub(crate) fn is_early(definition: &Definition, series: &Series, named: &[String]) -> bool {
    let told = || Scope::of(series).is_some_and(|scope| scope.lacks(Miss::Length)) || named.contains(&speaker(series));
    is_nameless(definition, series) && told()
}

/// Good calls of stable and those among them that were counted before their answer was there.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Early {
    pub(crate) good: f64,
    pub(crate) unnamed: f64,
    scope: Option<&'static Scope>,
}

impl Early {
    /// Of a counter of calls.
    pub(crate) fn of(definition: &Definition, family: &str, stable: &[&Series], named: &[String]) -> Self {
        let mut found = Self::default();
        for series in calls(definition, family, stable).filter(|series| definition.is_good(series)) {
            let value = last(series);
            found.good += value;
            if value > 0.0 && is_early(definition, series, named) {
                found.unnamed += value;
                found.scope = found.scope.or_else(|| Scope::of(series));
            }
        }
        found
    }

    /// More than chance: a scrape may fall between two of a call's numbers.
    pub(crate) fn any(&self) -> bool {
        is_short(self.good, self.good - self.unnamed)
    }

    /// Why a duration cannot be judged, with the way out.
    pub(crate) fn refusal(&self) -> Unfit {
        let Self { good, unnamed, scope } = self;
        let message = match scope {
            Some(scope) => format!(
                "{} measures a stream only to its headers ({unnamed} of {good} good calls of stable), so that a slow stream \
                 would count as a fast one: {}",
                scope.name, scope.instead
            ),
            None => format!(
                "{unnamed} of {good} good calls of stable name no model that answered, so they were counted before their \
                 answer was there: streams, measured only to their headers, and a slow one would count as a fast one; use \
                 an instrumentation that measures them to their end (docs/telemetry.md), or a timeToFirstToken gate"
            ),
        };
        Unfit { reason: Unknown::StreamsUnmeasured, message, fatal: false }
    }
}

/// Are these clearly fewer than all? One may be on its way, and one of twenty tells nothing.
pub(crate) fn is_short(all: f64, these: f64) -> bool {
    all - these > f64::max(1.0, all / 20.0)
}

/// The series of a family that count what users wait for.
pub(crate) fn calls<'a>(
    definition: &'a Definition,
    family: &'a str,
    stable: &'a [&'a Series],
) -> impl Iterator<Item = &'a Series> {
    stable.iter().copied().filter(move |series| series.name() == family && (definition.user)(series))
}

/// What a counter counts now.
pub(crate) fn last(series: &Series) -> f64 {
    series.samples.last().map_or(0.0, |sample| sample.value).max(0.0)
}

/// Who names the model that answered.
pub(crate) fn named(definition: &Definition, family: &str, stable: &[&Series]) -> Vec<String> {
    let Some(label) = definition.model.first().filter(|_| definition.names_answers) else { return Vec::new() };
    let telling =
        |series: &&Series| definition.is_good(series) && last(series) > 0.0 && !series.label(label).is_empty();
    let mut named: Vec<String> = calls(definition, family, stable).filter(telling).map(speaker).collect();
    named.sort();
    named.dedup();
    named
}

/// Instrumentations that count calls in this family and miss something, each once.
pub(crate) fn missing(definition: &Definition, family: &str, stable: &[&Series], miss: Miss) -> Vec<&'static Scope> {
    let mut found: Vec<&Scope> = calls(definition, family, stable)
        .filter(|series| last(series) > 0.0)
        .filter_map(Scope::of)
        .filter(|scope| scope.lacks(miss))
        .collect();
    found.sort_by_key(|scope| scope.name);
    found.dedup();
    found
}

/// An instrumentation that counts no failed call, where there is no other: the gate could never fail.
pub(crate) fn blind(definition: &Definition, family: &str, stable: &[&Series]) -> Option<Unfit> {
    let mut scopes = calls(definition, family, stable).filter(|series| last(series) > 0.0).map(Scope::of);
    let first = scopes.next()??;
    let all = first.lacks(Miss::Failures) && scopes.all(|scope| scope == Some(first));
    all.then(|| Unfit {
        reason: Unknown::NoData,
        message: format!("{} counts no failed call, so that this gate could never fail: {}", first.name, first.instead),
        fatal: false,
    })
}

/// What a counter misses, in a sentence for each instrumentation.
fn told(definition: &Definition, family: &str, stable: &[&Series], miss: Miss, what: &str) -> Vec<String> {
    let scopes = missing(definition, family, stable, miss);
    scopes.into_iter().map(|scope| format!("{} {what}: {}", scope.name, scope.instead)).collect()
}

/// What the counter of calls does not see of failures, in a sentence each.
pub(crate) fn unseen(definition: &Definition, family: &str, stable: &[&Series]) -> Vec<String> {
    let mut words = unrefused(definition, family, stable);
    words.extend(told(definition, family, stable, Miss::Break, "calls a stream that breaks off good"));
    words.extend(told(definition, family, stable, Miss::Broken, "counts a stream that breaks off nowhere"));
    words.extend(unfinished(definition, family, stable, words.is_empty()));
    if words.is_empty() {
        words.extend(unknown(definition, family, stable));
    }
    words
}

/// An instrumentation of which nothing is known counts streams: those that break off may be good to it, or nowhere, and
/// where stable's do not break, nothing shows it.
fn unknown(definition: &Definition, family: &str, stable: &[&Series]) -> Option<String> {
    let begun = definition.first_token.iter().map(|base| format!("{base}_count"));
    let streams = begun.into_iter().any(|name| calls(definition, &name, stable).any(|series| last(series) > 0.0));
    let mut counted = calls(definition, family, stable).filter(|series| last(series) > 0.0);
    let nameless =
        counted.find(|series| Scope::of(series).is_none()).filter(|_| streams && definition.names_answers)?;
    let name = match nameless.label("otel_scope_name") {
        "" => "the source",
        name => name,
    };
    Some(format!("it is not known whether {name} counts a stream that breaks off as failed: watch what users get, too"))
}

/// What it does not see of calls that were refused.
pub(crate) fn unrefused(definition: &Definition, family: &str, stable: &[&Series]) -> Vec<String> {
    let mut words = told(definition, family, stable, Miss::Failures, "counts no failed call");
    words.extend(told(definition, family, stable, Miss::Failed, "counts a stream that fails nowhere"));
    words
}

/// Streams that began and did not end, where both are counted: those whose first token was timed, and those whose
/// generation was; otherwise all calls, which cannot be fewer. `alone`: nothing else was said of them.
fn unfinished(definition: &Definition, family: &str, stable: &[&Series], alone: bool) -> Option<String> {
    let sum = |name: &str| calls(definition, name, stable).map(last).sum::<f64>();
    let first = definition.first_token.iter().map(|base| format!("{base}_count"));
    let begun = first.map(|name| sum(&name)).find(|begun| *begun > 0.0)?;
    let ended: f64 = definition.generation.iter().map(|base| sum(&format!("{base}_count"))).sum();
    if ended > 0.0 {
        return is_short(begun, ended).then(|| {
            let open = begun - ended;
            let what = "streams of stable that began did not end (broken off, or left by the user)";
            if alone {
                format!("{open} of {begun} {what} and are no failures")
            } else {
                format!("{open} of {begun} {what}")
            }
        });
    }
    let all = sum(family);
    is_short(begun, all).then(|| {
        format!(
            "{begun} streams of stable began and {all} calls were counted: streams that break off are counted nowhere"
        )
    })
}

/// The instrumentations of HTTP servers that measure a streamed answer to its headers; and calls that took far less time
/// than the requests of the same pods, where nothing better is known.
pub(crate) fn lengths(definition: &Definition, base: &str, stable: &[&Series]) -> Vec<String> {
    let family = format!("{base}_count");
    let scopes = missing(definition, &family, stable, Miss::Length);
    if !scopes.is_empty() {
        let told = |scope: &Scope| {
            format!("{} measures an answer that is streamed only to its headers: {}", scope.name, scope.instead)
        };
        return scopes.into_iter().map(told).collect();
    }
    if !definition.names_answers || !named(definition, &family, stable).is_empty() {
        return Vec::new();
    }
    let sum = |name: &str, posted: bool| {
        let own = calls(definition, name, stable).filter(|series| !posted || is_posted(series));
        own.map(last).sum::<f64>()
    };
    let calls = sum(&format!("{base}_sum"), false);
    let http = presets::definition(Preset::OtelHttp);
    let seconds = |base: &&str| sum(&format!("{base}_sum"), true) / http.per_second(base) as f64;
    let requests: f64 = http.durations.iter().map(seconds).sum();
    if sum(&family, false) < 20.0 || 2.0 * calls >= requests {
        return Vec::new();
    }
    vec![format!(
        "the calls to the model took {calls:.0} s in all, the HTTP requests of the same pods {requests:.0} s: the rest is \
         the application's own time, or streams that are measured only to their headers"
    )]
}

/// The instrumentations whose clock begins at a stream's headers.
pub(crate) fn waits(definition: &Definition, base: &str, stable: &[&Series]) -> Vec<String> {
    let what = "times a stream from its headers, so that a long wait for them is not seen";
    told(definition, &format!("{base}_count"), stable, Miss::Wait, what)
}

/// Scrapes and probes are read with GET; a question to a model is sent.
fn is_posted(series: &Series) -> bool {
    let methods = [series.label("http_request_method"), series.label("http_method")];
    !methods.iter().any(|method| ["GET", "HEAD", "OPTIONS"].contains(method))
}
