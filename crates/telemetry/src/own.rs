//! What users bring along: selectors of `ratio` gates, queries of `query` gates. Both are parsed, confined to the
//! rollout's namespace, written out again and parsed once more; nothing is pasted.

use promql_parser::{
    label::{MatchOp, Matcher, Matchers},
    parser::{self, Expr, VectorSelector},
};

use microapp_core::strategy::OwnHistogram;

use crate::{presets::Scheme, pushed::Names, query::Subject, selector::Selector, series::Series, words};

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

/// The user's query about one revision, every selector in it confined to what the rollout may see.
pub(crate) fn confined(promql: &str, subject: &Subject, scheme: Scheme, revision: &str) -> Result<String, OwnError> {
    let filled = fill(promql, subject, revision);
    let wrong = |why: String| OwnError(format!("the query {why}"));
    let mut parsed = parser::parse(&filled).map_err(|_| wrong("does not parse as PromQL".to_owned()))?;
    let added = match scheme {
        Scheme::Pods | Scheme::Pushed(_) => Selector::within(scheme.names().namespace(), &subject.namespace),
        Scheme::Gateway(_) | Scheme::Evals => subject.selector(scheme, &subject.revisions(), true),
    };
    let added = added.matchers().map_err(|_| wrong("cannot be confined".to_owned()))?;
    let mut selectors = 0;
    confine(&mut parsed, &added, &mut selectors).map_err(wrong)?;
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
