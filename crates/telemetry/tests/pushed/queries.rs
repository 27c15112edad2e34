//! Queries of the user's own about what is pushed.
#![allow(clippy::unwrap_used)]

use super::*;

fn own_query(promql: &str) -> Gate {
    let kind = GateKind::Query { promql: promql.to_owned(), min: None, max: Some(500_000_000), breaches: 3, of: 5 };
    gate("value", kind, Preset::OtelGenai)
}

fn sent(subject: &Subject, ask: &Ask, watch: &Watch) -> Vec<Query> {
    let all = queries(subject, ask, watch, START as f64);
    all.into_iter().filter(|query| matches!(query.brings, Brings::Value(_))).collect()
}

#[test]
fn a_query_about_what_is_pushed_is_confined_by_the_label_that_names_the_namespace_there() {
    let own = own_query(r#"sum(rate(bad{k8s_pod_name=~"$name-$revision-.*"}[1m])) / sum(rate(all[1m]))"#);
    let subject = subject(vec![errors(), own]);
    assert_eq!(sent(&subject, &Ask::Baseline, &Watch::default()).len(), 2, "scraped or pushed");
    // The confinement under which stable has a value counts; where both have one, that of the other gates.
    for (store, by_scrape, by_push, label) in [
        (stable(), None, Some(0.25), "k8s_namespace_name"),
        (stable(), Some(0.0), Some(0.25), "k8s_namespace_name"),
        (stable(), Some(0.5), None, "namespace"),
        (Store::default(), Some(0.5), Some(0.25), "namespace"),
    ] {
        let now = START as f64;
        let asked = queries(&subject, &Ask::Baseline, &Watch::default(), now);
        let number = |value: Option<f64>| {
            let one = |value| Series { samples: vec![Sample { at: at(0.0), value }], ..Series::default() };
            Answer { series: value.map(one).into_iter().collect(), ..Answer::default() }
        };
        let answer = |query: &Query| match (query.brings, query.scheme) {
            (Brings::Value(_), Scheme::Pods) => number(by_scrape),
            (Brings::Value(_), _) => number(by_push),
            _ => store.answer(query),
        };
        let answers: Vec<Answer> = asked.iter().map(answer).collect();
        let prices = PriceTable::built_in().unwrap();
        let counts = digest(&subject, &Ask::Baseline, &Watch::default(), &answers, &prices, now);
        let Counts::Baseline { gates, pins, .. } = counts else { panic!("{counts:?}") };
        let value = if label == "namespace" { by_scrape } else { by_push };
        assert_eq!(gates["value"].as_ref().unwrap().side, Side::value(value.unwrap()).unwrap());
        let watch = Watch { pins, ..Watch::default() };
        let asked = sent(&subject, &Ask::Windows, &watch);
        let own = format!("{label}=\"fintech\"");
        assert!(asked.len() == 1 && asked[0].promql.matches(&own).count() == 2, "{}", asked[0].promql);
        assert_eq!(asked[0].promql.contains("k8s_namespace_name=\""), label != "namespace", "{}", asked[0].promql);
        let answers: Vec<Answer> = queries(&subject, &Ask::Windows, &watch, now + 20.0)
            .iter()
            .map(|query| if matches!(query.brings, Brings::Value(_)) { number(Some(0.5)) } else { store.answer(query) })
            .collect();
        let counts = digest(&subject, &Ask::Windows, &watch, &answers, &prices, now + 20.0);
        let seen = matches!(&counts, Counts::Windows(_, next) if next.canary_seen);
        assert_eq!(seen, !store.series.is_empty(), "pods that push are not waited for: {counts:?}");
    }
}

#[test]
fn no_spelling_of_another_namespace_is_sent() {
    for other in
        [r#"a{k8s_namespace_name="payments"}"#, r#"a{namespace="payments"}"#, r#"a{k8s_namespace_name!="fintech"}"#]
    {
        let subject = subject(vec![errors(), own_query(other)]);
        let (found, _, watch) = preflight(&stable(), &subject);
        let unfit = found[1].clone().unwrap_err();
        assert!(unfit.fatal && unfit.message.contains("selects the namespace"), "{}", unfit.message);
        assert!(sent(&subject, &Ask::Baseline, &Watch::default()).is_empty(), "{other}");
        assert!(sent(&subject, &Ask::Windows, &watch).is_empty(), "{other}");
    }
}
