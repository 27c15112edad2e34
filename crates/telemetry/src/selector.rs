//! Selectors are built, never pasted: each value is escaped, and the finished query is parsed and compared with what
//! was meant, so that no label value can break out of its quotes.

use std::fmt::Write as _;

use promql_parser::{
    label::{MatchOp, Matcher, Matchers},
    parser::{self, Expr},
};

/// A query that does not parse to what was meant. It is never sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the selector {selector} is not what was meant")]
pub struct SelectorError {
    /// The text that was refused.
    pub selector: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Equal,
    Regex,
}

/// The matchers of one vector selector.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    matchers: Vec<(&'static str, Op, String)>,
}

impl Selector {
    /// Everything in this namespace: the one way to begin, but for gateways.
    pub fn namespace(namespace: &str) -> Self {
        Self::within("namespace", namespace)
    }

    /// The same where another label names the namespace.
    pub(crate) fn within(label: &'static str, namespace: &str) -> Self {
        Self::default().equal(label, namespace)
    }

    /// For a gateway's series, whose own namespace is another: only these values, each of which holds the rollout's
    /// namespace in a form that no other namespace can spell.
    pub(crate) fn gateway(label: &'static str, values: &[Value]) -> Self {
        let patterns: Vec<String> = values.iter().map(Value::pattern).collect();
        Self::default().regex(label, patterns.join("|"))
    }

    /// The label has exactly this value.
    #[must_use]
    pub fn equal(mut self, label: &'static str, value: &str) -> Self {
        self.matchers.push((label, Op::Equal, value.to_owned()));
        self
    }

    /// The label has one of these values. An empty value also takes series without the label.
    #[must_use]
    pub fn any(self, label: &'static str, values: &[String]) -> Self {
        let quoted: Vec<String> = values.iter().map(|value| quote(value)).collect();
        self.regex(label, quoted.join("|"))
    }

    /// The label begins with one of these values.
    #[must_use]
    pub fn prefixed(self, label: &'static str, values: &[String]) -> Self {
        let quoted: Vec<String> = values.iter().map(|value| format!("{}.*", quote(value))).collect();
        self.regex(label, quoted.join("|"))
    }

    fn regex(mut self, label: &'static str, pattern: String) -> Self {
        self.matchers.push((label, Op::Regex, pattern));
        self
    }

    /// As the parser reads them, to be added to a query of the user's.
    pub(crate) fn matchers(&self) -> Result<Vec<Matcher>, SelectorError> {
        match parser::parse(&self.render()) {
            Ok(Expr::VectorSelector(vector)) if self.is(&vector.matchers) => Ok(vector.matchers.matchers),
            _ => Err(SelectorError { selector: self.render() }),
        }
    }

    /// As PromQL writes it.
    pub fn render(&self) -> String {
        let mut text = String::from("{");
        for (index, (label, op, value)) in self.matchers.iter().enumerate() {
            let op = match op {
                Op::Equal => "=",
                Op::Regex => "=~",
            };
            let comma = if index == 0 { "" } else { "," };
            let _ = write!(text, "{comma}{label}{op}\"{}\"", escape(value));
        }
        text.push('}');
        text
    }

    /// All raw samples of the last `range` milliseconds.
    pub fn raw(&self, range: i64) -> Result<String, SelectorError> {
        self.checked(format!("{}[{}ms]", self.render(), range.max(1)))
    }

    /// The last `range` milliseconds in slices of `step` milliseconds.
    pub fn sliced(&self, range: i64, step: i64) -> Result<String, SelectorError> {
        self.checked(format!("{}[{}ms:{}ms]", self.render(), range.max(1), step.max(1)))
    }

    /// One series for each combination of these labels.
    pub(crate) fn grouped(&self, by: &[&str]) -> Result<String, SelectorError> {
        self.checked(format!("group by ({}) ({})", by.join(","), self.render()))
    }

    fn checked(&self, query: String) -> Result<String, SelectorError> {
        let matchers = match parser::parse(&query) {
            Ok(Expr::MatrixSelector(matrix)) if matrix.vs.name.is_none() => Some(matrix.vs.matchers),
            Ok(Expr::Subquery(sub)) => match *sub.expr {
                Expr::VectorSelector(vector) if vector.name.is_none() => Some(vector.matchers),
                _ => None,
            },
            Ok(Expr::Aggregate(aggregate)) => match *aggregate.expr {
                Expr::VectorSelector(vector) if vector.name.is_none() => Some(vector.matchers),
                _ => None,
            },
            _ => None,
        };
        if matchers.is_some_and(|matchers| self.is(&matchers)) {
            return Ok(query);
        }
        Err(SelectorError { selector: self.render() })
    }

    fn is(&self, parsed: &Matchers) -> bool {
        parsed.or_matchers.is_empty()
            && parsed.matchers.len() == self.matchers.len()
            && self.matchers.iter().all(|(label, op, value)| {
                parsed.matchers.iter().any(|matcher| {
                    let same = match matcher.op {
                        MatchOp::Equal => *op == Op::Equal,
                        MatchOp::Re(_) => *op == Op::Regex,
                        MatchOp::NotEqual | MatchOp::NotRe(_) => false,
                    };
                    same && matcher.name == *label && matcher.value == *value
                })
            })
    }
}

/// A label's value with parts that others choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// Exactly this.
    Is(String),
    /// Begins with one, ends with the other, a number between the second and the third.
    Numbered(String, String, &'static str),
}

impl Value {
    fn pattern(&self) -> String {
        match self {
            Self::Is(value) => quote(value),
            Self::Numbered(begin, before, after) => {
                format!("{}.*{}[0-9]+{}", quote(begin), quote(before), quote(after))
            }
        }
    }

    /// Is it this one?
    pub(crate) fn takes(&self, text: &str) -> bool {
        match self {
            Self::Is(value) => value == text,
            Self::Numbered(begin, before, after) => {
                let inner = text.strip_prefix(begin.as_str()).and_then(|rest| rest.strip_suffix(after));
                inner
                    .and_then(|rest| rest.rsplit_once(before.as_str()))
                    .is_some_and(|(_, number)| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
            }
        }
    }
}

/// Every character that RE2 takes for more than itself, with a backslash (Go's `regexp.QuoteMeta`).
fn quote(value: &str) -> String {
    let mut quoted = String::with_capacity(value.len() + 4);
    for c in value.chars() {
        if r"\.+*?()|[]{}^$".contains(c) {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted
}

/// The inside of a double-quoted PromQL string.
fn escape(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len() + 4);
    for c in value.chars() {
        match c {
            '\\' => escaped.push_str("\\\\"),
            '"' => escaped.push_str("\\\""),
            '\n' => escaped.push_str("\\n"),
            c if c.is_control() => {
                let _ = write!(escaped, "\\u{:04x}", u32::from(c));
            }
            c => escaped.push(c),
        }
    }
    escaped
}
