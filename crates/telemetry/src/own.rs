//! What users bring along: selectors of `ratio` gates, queries of `query` gates. Both are parsed, confined to the
//! rollout's namespace, written out again and parsed once more; nothing is pasted.

use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex, PoisonError},
    time::Duration,
};

use promql_parser::{
    label::{MatchOp, Matcher, Matchers},
    parser::{self, AtModifier, Expr, Offset, VectorSelector},
};

use microapp_core::strategy::OwnHistogram;

use crate::{presets::Scheme, pushed::Names, query::Subject, selector::Selector, series::Series, words};

/// The longest range, subquery or offset of a user's query: Prometheus reads every sample in it each few seconds.
const LONGEST: Duration = Duration::from_secs(3600);
/// Regular expressions of one query; each is compiled here and by Prometheus.
const EXPRESSIONS: usize = 8;
/// Counted repetitions (`{60}`) in all of them: each multiplies what is compiled.
const REPETITIONS: usize = 2;
/// The largest count of one.
const COUNT: u32 = 20;

/// Is it small enough to be parsed? A regular expression of twenty characters can take a second to compile.
fn is_small(text: &str) -> Result<(), &'static str> {
    let expressions = text.matches("=~").count() + text.matches("!~").count();
    if expressions > EXPRESSIONS {
        return Err("has more than 8 regular expressions: select by fewer labels");
    }
    if expressions == 0 {
        return Ok(());
    }
    if ["\\p", "\\P"].iter().any(|class| text.contains(class)) {
        return Err("has a Unicode class such as \\p{L} in a regular expression: write the characters out");
    }
    let counted = text.split('{').skip(1).filter_map(|rest| {
        let (inner, _) = rest.split_once('}')?;
        let numbers = inner.split(',').map(str::trim).filter(|number| !number.is_empty());
        let numbers: Vec<u32> = numbers.map(|number| number.parse().ok()).collect::<Option<_>>()?;
        numbers.into_iter().max()
    });
    let counted: Vec<u32> = counted.collect();
    if counted.len() > REPETITIONS || counted.iter().any(|count| *count > COUNT) {
        return Err("repeats too much in a regular expression: at most two repetitions, of 20 at most");
    }
    Ok(())
}

/// Does every range end within [`LONGEST`]?
fn is_recent(expr: &Expr) -> bool {
    let short = |range: &Duration| *range <= LONGEST;
    let offset = |offset: &Option<Offset>| match offset {
        None => true,
        Some(Offset::Pos(by) | Offset::Neg(by)) => short(by),
    };
    let now = |at: &Option<AtModifier>| !matches!(at, Some(AtModifier::At(_)));
    match expr {
        Expr::VectorSelector(vector) => offset(&vector.offset) && now(&vector.at),
        Expr::MatrixSelector(matrix) => short(&matrix.range) && offset(&matrix.vs.offset) && now(&matrix.vs.at),
        Expr::Subquery(subquery) => {
            short(&subquery.range) && offset(&subquery.offset) && now(&subquery.at) && is_recent(&subquery.expr)
        }
        Expr::Aggregate(aggregate) => is_recent(&aggregate.expr) && aggregate.param.as_deref().is_none_or(is_recent),
        Expr::Unary(unary) => is_recent(&unary.expr),
        Expr::Binary(binary) => is_recent(&binary.lhs) && is_recent(&binary.rhs),
        Expr::Paren(paren) => is_recent(&paren.expr),
        Expr::Call(call) => call.args.args.iter().all(|argument| is_recent(argument)),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => true,
    }
}

/// Why a text of the user's cannot be used: one sentence, with what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct OwnError(String);

/// A selector of one metric, matched here.
#[derive(Clone, Debug)]
pub(crate) struct Picked {
    /// The metric.
    pub(crate) name: String,
    pub(crate) matchers: Vec<Matcher>,
}

impl Picked {
    /// `name{matchers}`, and nothing else.
    pub(crate) fn parse(text: &str) -> Result<Self, OwnError> {
        Self::read(text).map_err(|why| {
            OwnError(format!(
                "{:?} {why}: write one metric with matchers, such as http_requests_total{{status=~\"5..\"}} where its \
                 label status says how a request ended",
                words::selector(text)
            ))
        })
    }

    /// The same; otherwise why not.
    fn read(text: &str) -> Result<Self, &'static str> {
        is_small(text)?;
        let parsed = parser::parse(text).map_err(|_| "is no selector")?;
        let Expr::VectorSelector(vector) = parsed else { return Err("is more than a selector") };
        let VectorSelector { name, matchers, offset, at } = vector;
        if offset.is_some() || at.is_some() || !matchers.or_matchers.is_empty() {
            return Err("has more than matchers");
        }
        let name = name.ok_or("names no metric")?;
        if matchers.matchers.iter().any(|matcher| matcher.name == "namespace" || matcher.name == "__name__") {
            return Err("matches namespace or __name__, which are added");
        }
        Ok(Self { name, matchers: matchers.matchers })
    }

    /// Is the series meant?
    pub(crate) fn takes(&self, series: &Series) -> bool {
        series.name() == self.name && self.fits(series)
    }

    /// Has it the labels, whatever its name?
    pub(crate) fn fits(&self, series: &Series) -> bool {
        self.matchers.iter().all(|matcher| is_met(matcher, series))
    }

    /// Bucket bounds that it asks for, in every spelling; `None`: of any bucket.
    pub(crate) fn bounds(&self) -> Option<Vec<String>> {
        let mut own = self.matchers.iter().filter(|matcher| matcher.name == "le");
        match (own.next(), own.next()) {
            (None, _) => (!self.name.ends_with("_bucket")).then(Vec::new),
            (Some(Matcher { op: MatchOp::Equal, value, .. }), None) => Some(spellings(value)),
            (Some(_), _) => None,
        }
    }
}

/// Does the label say what is asked for? Bounds of buckets are numbers: Prometheus 3 writes `5.0` where an exporter
/// wrote `5`.
pub(crate) fn is_met(matcher: &Matcher, series: &Series) -> bool {
    let own = series.label(&matcher.name);
    let number = |text: &str| text.parse::<f64>().ok();
    matcher.is_match(own)
        || (matcher.name == "le"
            && matcher.op == MatchOp::Equal
            && number(own).is_some_and(|own| number(&matcher.value) == Some(own)))
}

/// A bucket bound as it is given, and as others write it (`5` and `5.0`).
pub(crate) fn spellings(bound: &str) -> Vec<String> {
    let mut all = vec![bound.to_owned()];
    if let Ok(value) = bound.parse::<f64>() {
        all.extend([format!("{value}"), format!("{value:?}")]);
    }
    all
}

/// The histogram's name without what its series end in.
pub(crate) fn base(own: &OwnHistogram) -> &str {
    let name = own.histogram.as_str();
    ["_bucket", "_count", "_sum"].iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name)
}

/// Which of its series are meant: their labels, under the name of the base.
pub(crate) fn series_of(own: &OwnHistogram) -> Result<Picked, OwnError> {
    let (base, matching) = (base(own), own.matching.as_deref().unwrap_or("").trim());
    let wrong = |why: &str| {
        let matching = words::selector(matching);
        OwnError(format!("matching {matching:?} {why}: write matchers in braces, such as {{route=\"/ask\"}}"))
    };
    if Picked::read(base).map_or(true, |read| read.name != base) {
        let base = words::selector(base);
        return Err(OwnError(format!("histogram {base:?} is no name of a metric: labels stand in matching")));
    }
    let picked = Picked::read(&format!("{base}{matching}")).map_err(wrong)?;
    // It belongs to the name, or is a remark.
    if picked.name != base || (picked.matchers.is_empty() && matching.contains(|c| !matches!(c, '{' | '}' | ' '))) {
        return Err(wrong("is no list of matchers"));
    }
    if picked.matchers.iter().any(|matcher| matcher.name == "le") {
        return Err(wrong("matches le, for which max is there"));
    }
    Ok(picked)
}

/// How many of its units are one second, by the last word of its name that is a unit; seconds where none is. What the
/// exporters write: `http_server_duration_milliseconds` (OpenTelemetry), `http_request_duration_ms` and
/// `…_duration_millis` (Node and Java), `…_microseconds` and `…_nanoseconds` (old Kubernetes and Go). OpenTelemetry's
/// durations of before the stable conventions are milliseconds also where the exporter appends no unit.
pub(crate) fn per_second(base: &str) -> i64 {
    if ["http_server_duration", "http_client_duration", "rpc_server_duration", "rpc_client_duration"].contains(&base) {
        return 1_000;
    }
    let unit = |word: &str| match word {
        "seconds" | "second" | "secs" | "sec" | "s" => Some(1),
        "milliseconds" | "millisecond" | "millis" | "milli" | "msecs" | "msec" | "ms" => Some(1_000),
        "microseconds" | "microsecond" | "micros" | "usecs" | "usec" | "us" => Some(1_000_000),
        "nanoseconds" | "nanosecond" | "nanos" | "nsecs" | "nsec" | "ns" => Some(1_000_000_000),
        _ => None,
    };
    base.rsplit(['_', ':']).find_map(unit).unwrap_or(1)
}

/// The user's query about one revision, every selector in it confined to what the rollout may see. It is worked out once:
/// a query is asked every few seconds and never changes.
pub(crate) fn confined(promql: &str, subject: &Subject, scheme: Scheme, revision: &str) -> Result<String, OwnError> {
    type Known = HashMap<(String, String), Result<String, OwnError>>;
    /// Texts that are kept; then all are forgotten.
    const KEPT: usize = 1024;
    static KNOWN: LazyLock<Mutex<Known>> = LazyLock::new(Mutex::default);
    let filled = fill(promql, subject, revision);
    let wrong = |why: String| OwnError(format!("the query {why}"));
    let added = match scheme {
        Scheme::Pods | Scheme::Pushed(_) => Selector::within(scheme.names().namespace(), &subject.namespace),
        Scheme::Gateway(_) | Scheme::Evals => subject.selector(scheme, &subject.revisions(), true),
    };
    let key = (filled, added.render());
    if let Some(known) = KNOWN.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
        return known.clone();
    }
    let added = added.matchers().map_err(|_| wrong("cannot be confined".to_owned()))?;
    let text = confine_to(&key.0, &added);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if known.len() >= KEPT {
        known.clear();
    }
    known.insert(key, text.clone());
    text
}

fn confine_to(filled: &str, added: &[Matcher]) -> Result<String, OwnError> {
    let wrong = |why: String| OwnError(format!("the query {why}"));
    is_small(filled).map_err(|why| wrong(why.to_owned()))?;
    let mut parsed = parser::parse(filled).map_err(|_| wrong("does not parse as PromQL".to_owned()))?;
    if !is_recent(&parsed) {
        return Err(wrong(
            "reads more than the last hour: write ranges, subqueries and offsets of at most 1h".to_owned(),
        ));
    }
    let mut selectors = 0;
    confine(&mut parsed, added, &mut selectors).map_err(wrong)?;
    if selectors == 0 {
        return Err(wrong("reads no series".to_owned()));
    }
    let text = parsed.to_string();
    // What is sent is what was meant: read back it is the same query.
    sort(&mut parsed);
    let back = parser::parse(&text).map(|mut back| {
        sort(&mut back);
        back
    });
    if back.is_ok_and(|back| back == parsed) {
        Ok(text)
    } else {
        Err(wrong("cannot be written out again: leave backslashes and quotes out of its label values".to_owned()))
    }
}

/// Names of Kubernetes objects hold nothing that PromQL takes for more than text.
fn fill(promql: &str, subject: &Subject, revision: &str) -> String {
    promql
        .replace("$revision", revision)
        .replace("$stable", &subject.stable)
        .replace("$namespace", &subject.namespace)
        .replace("$name", &subject.name)
}

fn confine(expr: &mut Expr, added: &[Matcher], selectors: &mut usize) -> Result<(), String> {
    let names_one = |matcher: &&Matcher| Names::ALL.iter().any(|names| names.namespace() == matcher.name);
    let namespace = added.iter().find(names_one).map(|matcher| matcher.value.as_str());
    let mut foreign = None;
    each(expr, &mut |vector| {
        *selectors += 1;
        let Matchers { matchers, or_matchers } = &mut vector.matchers;
        if !or_matchers.is_empty() {
            foreign = Some("has matchers joined by `or`, which cannot be confined".to_owned());
        }
        for own in matchers.iter().filter(names_one) {
            if namespace.is_some_and(|namespace| !own.is_match(namespace)) {
                foreign =
                    Some(format!("selects the namespace {:?}: leave it out, the rollout's own is added", own.value));
            }
        }
        for matcher in added {
            if !matchers.contains(matcher) {
                matchers.push(matcher.clone());
            }
        }
    });
    foreign.map_or(Ok(()), Err)
}

/// The order of matchers means nothing.
fn sort(expr: &mut Expr) {
    each(expr, &mut |vector| vector.matchers.matchers.sort_by_key(ToString::to_string));
}

/// Calls `visit` for each vector selector.
fn each(expr: &mut Expr, visit: &mut dyn FnMut(&mut VectorSelector)) {
    match expr {
        Expr::VectorSelector(vector) => visit(vector),
        Expr::MatrixSelector(matrix) => visit(&mut matrix.vs),
        Expr::Aggregate(aggregate) => {
            each(&mut aggregate.expr, visit);
            if let Some(param) = &mut aggregate.param {
                each(param, visit);
            }
        }
        Expr::Unary(unary) => each(&mut unary.expr, visit),
        Expr::Binary(binary) => {
            each(&mut binary.lhs, visit);
            each(&mut binary.rhs, visit);
        }
        Expr::Paren(paren) => each(&mut paren.expr, visit),
        Expr::Subquery(subquery) => each(&mut subquery.expr, visit),
        Expr::Call(call) => {
            for argument in &mut call.args.args {
                each(argument, visit);
            }
        }
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => {}
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn asked(promql: &str) -> Result<String, OwnError> {
        confine_to(promql, &Selector::namespace("shop").matchers().unwrap())
    }

    #[test]
    fn what_reads_more_than_an_hour_is_refused() {
        for promql in
            ["rate(x[1h])", "max_over_time(rate(x[5m])[1h:1m])", "x offset 1h", "x @ end()", "sum(x) / sum(y)"]
        {
            assert!(asked(promql).is_ok(), "{promql}: {:?}", asked(promql));
        }
        for promql in [
            "last_over_time(up[365d])",
            "max_over_time(x[61m:1m])",
            "x offset 2h",
            "x offset -2h",
            "x @ 1",
            "sum by (a) (rate(x[1h]) + rate(y[2h]))",
            "topk(scalar(x offset 1d), y)",
            "-(x offset 1d)",
        ] {
            assert!(asked(promql).unwrap_err().to_string().contains("at most 1h"), "{promql}");
        }
    }

    #[test]
    fn expressions_that_take_long_to_compile_are_refused_unread() {
        let many = ["x{a=~\"b\"}"; 9].join("+");
        for promql in [
            r#"x{a=~"\\pL{60}"}"#,
            r#"x{a=~"\\p{Greek}+"}"#,
            r#"x{a=~"a{500}"}"#,
            r#"x{a=~"((a{9}){9}){9}"}"#,
            r#"x{a!~"a{1,100}"}"#,
            many.as_str(),
        ] {
            let refused = asked(promql).unwrap_err().to_string();
            assert!(refused.contains("regular expression"), "{promql}: {refused}");
        }
        for promql in [r#"x{status=~"5..",route!~"/health|/ready"}"#, r#"x{a=~"[0-9]{3}"}"#, r#"x{a=~"b"}"#] {
            assert!(asked(promql).is_ok(), "{promql}: {:?}", asked(promql));
        }
        assert!(Picked::parse(r#"x{a=~"a{500}"}"#).is_err());
    }
}
