//! As much PromQL as gates and preflight ask: selectors, ranges, subqueries, functions over time, aggregations and
//! plain arithmetic. Anything else is refused by name.

use std::collections::BTreeMap;

use promql_parser::label::Labels as Names;
use promql_parser::parser::{AggregateExpr, BinaryExpr, Call, Expr, LabelModifier, Offset, SubqueryExpr};

use super::series::{Database, Labels, Sample};

/// A result.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Answer {
    Scalar(f64),
    Vector(Vec<(Labels, f64)>),
    Matrix(Vec<(Labels, Vec<Sample>)>),
}

/// Evaluates a query at a time in milliseconds.
pub(super) fn query(database: &Database, promql: &str, at: i64) -> Result<Answer, String> {
    eval(database, &promql_parser::parser::parse(promql)?, at)
}

fn shift(offset: Option<&Offset>) -> i64 {
    match offset {
        None => 0,
        Some(Offset::Pos(d)) => d.as_millis() as i64,
        Some(Offset::Neg(d)) => -(d.as_millis() as i64),
    }
}

fn eval(database: &Database, expr: &Expr, at: i64) -> Result<Answer, String> {
    match expr {
        Expr::Paren(inner) => eval(database, &inner.expr, at),
        Expr::NumberLiteral(number) => Ok(Answer::Scalar(number.val)),
        Expr::VectorSelector(selector) => {
            let at = at - shift(selector.offset.as_ref());
            let series = database.select(selector);
            Ok(Answer::Vector(series.iter().filter_map(|s| Some((s.labels.clone(), s.instant(at)?))).collect()))
        }
        Expr::MatrixSelector(matrix) => {
            let at = at - shift(matrix.vs.offset.as_ref());
            let from = at - matrix.range.as_millis() as i64;
            let series = database.select(&matrix.vs);
            let samples = series.iter().map(|s| (s.labels.clone(), s.between(from, at)));
            Ok(Answer::Matrix(samples.filter(|(_, s)| !s.is_empty()).collect()))
        }
        Expr::Subquery(subquery) => slices(database, subquery, at),
        Expr::Call(call) => over_time(database, call, at),
        Expr::Aggregate(aggregate) => aggregated(database, aggregate, at),
        Expr::Binary(binary) => arithmetic(database, binary, at),
        other => Err(format!("not modelled: {other}")),
    }
}

/// A subquery's steps are multiples of the step since 1970, as in Prometheus.
fn slices(database: &Database, subquery: &SubqueryExpr, at: i64) -> Result<Answer, String> {
    let step = subquery.step.map_or(60_000, |s| s.as_millis() as i64).max(1);
    let until = at - shift(subquery.offset.as_ref());
    let from = until - subquery.range.as_millis() as i64;
    let times = (from.div_euclid(step) + 1..).map(|k| k * step).take_while(|t| *t <= until);
    let mut out: BTreeMap<Labels, Vec<Sample>> = BTreeMap::new();
    if let Expr::VectorSelector(selector) = &*subquery.expr {
        let series = database.select(selector);
        let offset = shift(selector.offset.as_ref());
        for time in times {
            for one in &series {
                if let Some(value) = one.instant(time - offset) {
                    out.entry(one.labels.clone()).or_default().push((time, value));
                }
            }
        }
    } else {
        for time in times {
            match eval(database, &subquery.expr, time)? {
                Answer::Vector(values) => {
                    for (labels, value) in values {
                        out.entry(labels).or_default().push((time, value));
                    }
                }
                Answer::Scalar(value) => out.entry(Labels::new()).or_default().push((time, value)),
                Answer::Matrix(_) => return Err("a subquery needs an instant vector".into()),
            }
        }
    }
    Ok(Answer::Matrix(out.into_iter().collect()))
}

fn over_time(database: &Database, call: &Call, at: i64) -> Result<Answer, String> {
    let name = call.func.name;
    let (Some(argument), 1) = (call.args.args.first(), call.args.args.len()) else {
        return Err(format!("not modelled: {name}"));
    };
    let range = match &**argument {
        Expr::MatrixSelector(matrix) => matrix.range,
        Expr::Subquery(subquery) => subquery.range,
        _ => return Err(format!("not modelled: {name} over this argument")),
    };
    let Answer::Matrix(series) = eval(database, argument, at)? else { return Err(format!("{name} needs a range")) };
    let mut out = vec![];
    for (mut labels, samples) in series {
        let values = || samples.iter().map(|(_, v)| *v);
        let Some(last) = values().next_back() else { continue };
        let increase = || {
            // Resets count from zero. No extrapolation to the range's ends: a whole number stays one.
            samples.windows(2).map(|w| if w[1].1 >= w[0].1 { w[1].1 - w[0].1 } else { w[1].1 }).sum::<f64>()
        };
        let value = match name {
            "last_over_time" => last,
            "max_over_time" => values().fold(f64::NEG_INFINITY, f64::max),
            "min_over_time" => values().fold(f64::INFINITY, f64::min),
            "sum_over_time" => values().sum(),
            "count_over_time" => samples.len() as f64,
            "avg_over_time" => values().sum::<f64>() / samples.len() as f64,
            "increase" | "rate" if samples.len() < 2 => continue,
            "increase" => increase(),
            "rate" => increase() / range.as_secs_f64(),
            _ => return Err(format!("not modelled: {name}")),
        };
        if name != "last_over_time" {
            labels.remove("__name__");
        }
        out.push((labels, value));
    }
    Ok(Answer::Vector(out))
}

fn aggregated(database: &Database, aggregate: &AggregateExpr, at: i64) -> Result<Answer, String> {
    let Answer::Vector(values) = eval(database, &aggregate.expr, at)? else {
        return Err("an aggregation needs an instant vector".into());
    };
    let listed = |names: &Names, label: &str| names.labels.iter().any(|l| l == label);
    let mut groups: BTreeMap<Labels, Vec<f64>> = BTreeMap::new();
    for (mut labels, value) in values {
        labels.retain(|label, _| match &aggregate.modifier {
            None => false,
            Some(LabelModifier::Include(names)) => listed(names, label),
            Some(LabelModifier::Exclude(names)) => label != "__name__" && !listed(names, label),
        });
        groups.entry(labels).or_default().push(value);
    }
    let op = aggregate.op.to_string();
    let fold = |values: Vec<f64>| {
        let sum: f64 = values.iter().sum();
        match op.as_str() {
            "sum" => Ok(sum),
            "count" => Ok(values.len() as f64),
            "avg" => Ok(sum / values.len() as f64),
            "max" => Ok(values.into_iter().fold(f64::NEG_INFINITY, f64::max)),
            "min" => Ok(values.into_iter().fold(f64::INFINITY, f64::min)),
            "group" => Ok(1.0),
            _ => Err(format!("not modelled: {op}")),
        }
    };
    let folded = groups.into_iter().map(|(labels, values)| Ok((labels, fold(values)?)));
    Ok(Answer::Vector(folded.collect::<Result<_, String>>()?))
}

fn arithmetic(database: &Database, binary: &BinaryExpr, at: i64) -> Result<Answer, String> {
    let op = binary.op.to_string();
    let apply: fn(f64, f64) -> f64 = match op.as_str() {
        "+" => |a, b| a + b,
        "-" => |a, b| a - b,
        "*" => |a, b| a * b,
        "/" => |a, b| a / b,
        _ => return Err(format!("not modelled: {op}")),
    };
    let unnamed = |mut labels: Labels| {
        labels.remove("__name__");
        labels
    };
    Ok(match (eval(database, &binary.lhs, at)?, eval(database, &binary.rhs, at)?) {
        (Answer::Scalar(a), Answer::Scalar(b)) => Answer::Scalar(apply(a, b)),
        (Answer::Vector(a), Answer::Scalar(b)) => {
            Answer::Vector(a.into_iter().map(|(l, v)| (unnamed(l), apply(v, b))).collect())
        }
        (Answer::Scalar(a), Answer::Vector(b)) => {
            Answer::Vector(b.into_iter().map(|(l, v)| (unnamed(l), apply(a, v))).collect())
        }
        (Answer::Vector(a), Answer::Vector(b)) => {
            let right: BTreeMap<Labels, f64> = b.into_iter().map(|(l, v)| (unnamed(l), v)).collect();
            let both = a.into_iter().map(|(l, v)| (unnamed(l), v));
            Answer::Vector(both.filter_map(|(l, v)| right.get(&l).map(|r| (l.clone(), apply(v, *r)))).collect())
        }
        _ => return Err("arithmetic on ranges".into()),
    })
}
