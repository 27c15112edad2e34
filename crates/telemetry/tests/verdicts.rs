//! Verdicts are of one revision of one rollout: a revision is a hash of what runs, and two rollouts may run the same.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use microapp_core::counts::{Ask, Counts, Side, Watch};

type Labels<'a> = &'a [(&'a str, &'a str)];

/// Ten answers judged in each scrape, from 10 min before the attempt on, by each of these.
fn judged(judges: &[Labels]) -> Store {
    let mut store = Store::default();
    for k in 0..124 {
        let at = f64::from(k) * 5.0 - 602.0;
        for own in judges {
            for (name, each) in [("llm_eval_started_total", 10.0), ("llm_eval_results_total", 10.0)] {
                let verdict = if name == "llm_eval_results_total" { &[("verdict", "pass")][..] } else { &[] };
                let labels = [("__name__", name), ("namespace", "fintech"), ("evaluator", "j"), ("sampling", "random")];
                store.put(&[&labels[..], own, verdict].concat(), at, each * f64::from(k));
            }
        }
        for (pod, job) in [(STABLE, "pods"), (CANARY, "pods")] {
            store.put(&[("__name__", "up"), ("namespace", "fintech"), ("pod", pod), ("job", job)], at, 1.0);
        }
    }
    store
}

/// Started in the first window, for stable.
fn started(judges: &[Labels]) -> u64 {
    match sides(&judged(judges).windows(&subject(vec![grounded()]), 12.0)[0], "grounded").1 {
        Some(Side::Late { started, .. }) => started,
        other => panic!("{other:?}"),
    }
}

fn caveat(judges: &[Labels]) -> Option<String> {
    let counts = judged(judges).ask(&subject(vec![grounded()]), &Ask::Baseline, &Watch::default(), 0.0);
    let Counts::Baseline { gates, .. } = counts else { panic!("{counts:?}") };
    gates["grounded"].clone().unwrap().caveat
}

const OWN: Labels = &[("pod", "judge-0"), ("job", "judge"), ("revision", "aaaaaaaaaa"), ("rollout", "shop")];
const OTHERS: Labels = &[("pod", "judge-0"), ("job", "judge"), ("revision", "aaaaaaaaaa"), ("rollout", "desk")];
const NAMELESS: Labels = &[("pod", "judge-0"), ("job", "judge"), ("revision", "aaaaaaaaaa")];
const SELF: Labels = &[("pod", STABLE), ("job", "pods"), ("revision", "aaaaaaaaaa")];
const OTHERS_SELF: Labels = &[("pod", "desk-aaaaaaaaaa-7d9f-z1"), ("job", "pods"), ("revision", "aaaaaaaaaa")];

#[test]
fn verdicts_of_another_rollout_with_the_same_revision_never_count() {
    assert_eq!(started(&[OWN]), 10);
    assert_eq!(started(&[OWN, OTHERS]), 10);
    assert_eq!(started(&[SELF, OTHERS_SELF]), 10, "told by the names of the pods that judge themselves");
    assert_eq!(caveat(&[OWN, OTHERS]), None);
    assert_eq!(caveat(&[SELF, OTHERS_SELF]), None);
}

#[test]
fn verdicts_of_a_judge_that_does_not_say_the_rollout_count_and_it_is_told() {
    assert_eq!(started(&[NAMELESS]), 10);
    assert_eq!(
        caveat(&[NAMELESS]).unwrap(),
        "llm_eval_started_total has no label rollout: what another rollout with the same revision is told would count too"
    );
}

/// Whoever judges is one of the rollout's own namespace, as Prometheus names the target: a pod elsewhere may expose what it
/// likes, with all names right, and fails and dilutes nobody's gate.
#[test]
fn verdicts_of_another_namespace_never_count() {
    let mut store = judged(&[OWN]);
    for k in 0..124 {
        for (name, verdict) in [("llm_eval_started_total", ""), ("llm_eval_results_total", "fail")] {
            let labels = [
                ("__name__", name),
                ("namespace", "attacker"),
                ("exported_namespace", "fintech"),
                ("evaluator", "j"),
                ("sampling", "random"),
                ("verdict", verdict),
            ];
            let labels: Vec<_> = labels.into_iter().filter(|(_, value)| !value.is_empty()).collect();
            store.put(&[&labels[..], OWN].concat(), f64::from(k) * 5.0 - 602.0, 50.0 * f64::from(k));
        }
    }
    let alone = judged(&[OWN]).windows(&subject(vec![grounded()]), 12.0);
    assert_eq!(store.windows(&subject(vec![grounded()]), 12.0), alone);
    let before = |store: &Store| store.ask(&subject(vec![grounded()]), &Ask::Baseline, &Watch::default(), 0.0);
    assert_eq!(before(&store), before(&judged(&[OWN])));
}
