//! No value breaks out of its quotes, and what is sent is what was meant.
#![allow(clippy::unwrap_used)]

use microapp_telemetry::selector::Selector;
use promql_parser::parser::{self, Expr};
use proptest::prelude::*;

/// Does the series with these labels match the query, as a Prometheus would read it?
fn matches(query: &str, labels: &[(&str, &str)]) -> bool {
    let Expr::MatrixSelector(matrix) = parser::parse(query).unwrap() else { panic!("{query}") };
    assert!(matrix.vs.name.is_none() && matrix.vs.matchers.or_matchers.is_empty(), "{query}");
    matrix.vs.matchers.matchers.iter().all(|matcher| {
        let value = labels.iter().find(|(name, _)| *name == matcher.name).map_or("", |(_, value)| *value);
        matcher.is_match(value)
    })
}

#[test]
fn a_selector_reads_as_promql_writes_it() {
    let selector = Selector::namespace("fintech").prefixed("pod", &["shop-a-".to_owned(), "shop-b-".to_owned()]);
    let selector = selector.any("le", &[String::new(), "2.56".to_owned()]);
    assert_eq!(
        selector.raw(37_500).unwrap(),
        r#"{namespace="fintech",pod=~"shop-a-.*|shop-b-.*",le=~"|2\\.56"}[37500ms]"#
    );
    assert!(selector.sliced(3_600_000, 60_000).unwrap().ends_with("[3600000ms:60000ms]"));
}

#[test]
fn values_that_try_to_break_out_stay_values() {
    for evil in [
        r#"x"} or {namespace="kube-system"#,
        r"x\",
        r#"\"}"#,
        "a\nb",
        "a|.*",
        ".*",
        "(?i)x",
        "${x}",
        "a{2}",
        "`x`",
        "\u{0}\u{7f}",
        "ü\"é",
    ] {
        let query = Selector::namespace(evil).any("evaluator", &[evil.to_owned()]).raw(1_000).unwrap();
        assert!(matches(&query, &[("namespace", evil), ("evaluator", evil)]), "{query}");
        assert!(!matches(&query, &[("namespace", "kube-system"), ("evaluator", evil)]), "{query}");
        assert!(!matches(&query, &[("namespace", evil), ("evaluator", "other")]), "{query}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_value_matches_itself_alone(
        value in r#"[a-c"\\\n\r\t{}()|.*+?^$,=~`' \PC]{0,12}"#,
        other in r#"[a-c"\\{}|.*]{0,12}"#,
    ) {
        prop_assume!(!value.is_empty());
        let query = Selector::namespace(&value).any("evaluator", std::slice::from_ref(&value)).raw(1_000).unwrap();
        prop_assert!(matches(&query, &[("namespace", &value), ("evaluator", &value)]), "{query}");
        if other != value {
            prop_assert!(!matches(&query, &[("namespace", &value), ("evaluator", &other)]), "{query}");
            prop_assert!(!matches(&query, &[("namespace", &other), ("evaluator", &value)]), "{query}");
        }
    }
}
