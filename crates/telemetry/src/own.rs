//! What users bring along: selectors of `ratio` gates, queries of `query` gates. Both are parsed, confined to the
//! rollout's namespace, written out again and parsed once more; nothing is pasted.

use promql_parser::{
    label::{MatchOp, Matcher, Matchers},
    parser::{self, Expr, VectorSelector},
};

use crate::{presets::Scheme, pushed::Names, query::Subject, selector::Selector, series::Series};

/// Why a text of the user's cannot be used: one sentence, with what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct OwnError(String);

/// A selector of one metric, matched here.
#[derive(Clone, Debug)]
pub(crate) struct Picked {
    /// The metric.
    pub(crate) name: String,
    matchers: Vec<Matcher>,
}

impl Picked {
    /// `name{matchers}`, and nothing else.
    pub(crate) fn parse(text: &str) -> Result<Self, OwnError> {
        let wrong = |why: &str| {
            OwnError(format!(
                "{text:?} {why}: write one metric with matchers, such as http_requests_total{{code=~\"5..\"}}"
            ))
        };
        let parsed = parser::parse(text).map_err(|_| wrong("is no selector"))?;
        let Expr::VectorSelector(vector) = parsed else { return Err(wrong("is more than a selector")) };
        let VectorSelector { name, matchers, offset, at } = vector;
        if offset.is_some() || at.is_some() || !matchers.or_matchers.is_empty() {
            return Err(wrong("has more than matchers"));
        }
        let name = name.ok_or_else(|| wrong("names no metric"))?;
        if matchers.matchers.iter().any(|matcher| matcher.name == "namespace" || matcher.name == "__name__") {
            return Err(wrong("matches namespace or __name__, which are added"));
        }
        Ok(Self { name, matchers: matchers.matchers })
    }

    /// Is the series meant?
    pub(crate) fn takes(&self, series: &Series) -> bool {
        series.name() == self.name && self.matchers.iter().all(|matcher| matcher.is_match(series.label(&matcher.name)))
    }

    /// Bucket bounds that it asks for; `None`: of any bucket.
    pub(crate) fn bounds(&self) -> Option<Vec<String>> {
        let mut own = self.matchers.iter().filter(|matcher| matcher.name == "le");
        match (own.next(), own.next()) {
            (None, _) => (!self.name.ends_with("_bucket")).then(Vec::new),
            (Some(Matcher { op: MatchOp::Equal, value, .. }), None) => Some(vec![value.clone()]),
            (Some(_), _) => None,
        }
    }
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
