//! The LiteLLM proxy.
#![allow(clippy::unwrap_used)]

use super::*;

/// What preflight makes of a gate of the rollout `litellm`, whose keys the captured proxy knows.
fn proxied(exposed: &[Exposed], gate: &Gate) -> Result<Before, Unfit> {
    let mut store = Store::default();
    store.exposes("litellm-0", &[-600.0, -300.0, -60.0], exposed);
    let mut subject = subject(vec![Gate { source: Preset::Litellm, ..gate.clone() }]);
    "litellm".clone_into(&mut subject.name);
    match store.ask(&subject, &Ask::Baseline, &Watch::default(), 0.0) {
        Counts::Baseline { mut gates, .. } => gates.remove(&gate.name).unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_proxy_names_the_model_that_answered_in_a_counter_of_its_own() {
    // 134 answers, of which 14 came from the other model, to which the proxy fell back.
    let found = proxied(&capture("litellm"), &model()).unwrap();
    assert_eq!(found.side, Side::count(14, 134));
    assert_eq!(
        found.caveat.unwrap(),
        "the model is that of the deployment which answered: what the provider answered with is not seen"
    );
    let mut newer = capture("litellm");
    newer.retain(|(labels, _)| labels["__name__"] != "litellm_requests_metric_total");
    assert_eq!(proxied(&newer, &model()).unwrap().side, Side::count(14, 134), "by the durations, where it is gone");
}

#[test]
fn tokens_of_a_proxy_are_taken_over_its_good_answers() {
    let found = proxied(&capture("litellm"), &tokens()).unwrap();
    assert_eq!((found.side, found.per), (Side::Mean { n: 134, sum: 10_869 + 2_469 + 1_400 + 280 }, Per::Answer));
}

#[test]
fn cached_tokens_of_a_proxy_have_their_own_price() {
    let mut exposed = capture("litellm");
    let price = |exposed: &[Exposed]| match proxied(exposed, &cost()).unwrap() {
        Before { side: Side::Mean { sum, .. }, caveat: None, .. } => sum,
        other => panic!("{other:?}"),
    };
    let before = price(&exposed);
    let input = exposed.iter().find(|(labels, _)| labels["__name__"] == "litellm_input_tokens_metric_total").unwrap();
    let mut cached = input.clone();
    cached.0.insert("__name__".to_owned(), "litellm_input_cached_tokens_metric_total".to_owned());
    cached.1 = 1_000.0;
    assert_eq!(cached.0["model"], "gpt-5-nano");
    exposed.push(cached);
    assert_eq!(before - price(&exposed), 1_000 * (50_000 - 5_000));
}

#[test]
fn routes_that_prepare_an_answer_are_no_requests_of_users() {
    let mut exposed = capture("litellm");
    let mut aside = exposed
        .iter()
        .find(|(labels, _)| labels["__name__"] == "litellm_proxy_failed_requests_metric_total")
        .unwrap()
        .clone();
    aside.0.insert("route".to_owned(), "/v1/embeddings".to_owned());
    let errors = || Gate { source: Preset::Litellm, ..errors() };
    let before = proxied(&exposed, &errors()).unwrap().side;
    exposed.push(aside);
    assert_eq!(proxied(&exposed, &errors()).unwrap().side, before);
}
