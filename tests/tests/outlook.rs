//! The tolerance is chosen once: what is pinned reads back as what was found, and is never chosen again.
#![allow(clippy::unwrap_used)]

use std::{collections::BTreeMap, sync::Arc};

use microapp_api::v1alpha1::MicroAppRolloutSpec;
use microapp_core::{
    Evidence, Judgement, Position, Strategy,
    counts::{Before, Counts, Per, Side},
    evidence::Preflight,
    fold, judge,
    outlook::{Outlook, Settled, choose},
};
use serde_json::{Value, json};

fn plan(strategy: &Value) -> Strategy {
    let spec: MicroAppRolloutSpec = serde_json::from_value(json!({
        "template": {}, "model": {"provider": "p", "name": "m", "version": "1"},
        "traffic": {"port": 80, "gateway": {"parentRefs": [{"name": "g"}]}},
        "strategy": strategy,
        "gates": [
            {"name": "errors", "errorRate": {"max": "1%"}},
            {"name": "latency", "latency": {"quantile": "0.95", "max": "2s"}},
            {"name": "cost", "tokenCost": {"maxIncrease": "10%"}},
            {"name": "grounded", "hallucination": {"max": "4%"}},
        ],
    }))
    .unwrap();
    Strategy::resolve(&spec, "").unwrap()
}

const BOUNDS: &str = "its threshold lies between two bounds";

/// An hour of stable at a rate: 0.5 % errors, 4 % slow between two bounds, 2 % of the verdicts bad.
fn before(rps: u64) -> BTreeMap<String, Before> {
    let n = rps * 3600;
    let one = |side, phi| Before { phi, ..Before::of(side, 3600.0) };
    BTreeMap::from([
        ("errors".to_owned(), one(Side::count(n / 200, n), 1.25)),
        (
            "latency".to_owned(),
            Before {
                caveat: Some(BOUNDS.to_owned()),
                ..one(Side::Count { above: n / 30, below: n / 25, total: n }, 1.0)
            },
        ),
        (
            "cost".to_owned(),
            Before { per: Per::Counted, ..one(Side::Mean { n, sum: i128::from(n) * 2_000_000_000 }, 1.0) },
        ),
        (
            "grounded".to_owned(),
            Before {
                delay: Some(0.1),
                ..one(Side::Late { bad: n / 50, good: n - n / 50 - 9, void: 5, started: n }, 1.0)
            },
        ),
    ])
}

fn preflight(plan: &Strategy, rps: u64) -> Judgement {
    let gates = before(rps).into_iter().map(|(name, before)| (name, Ok(before))).collect();
    let counts = Counts::Baseline { gates, interval: 5.0, pins: BTreeMap::new() };
    let at_zero = Position { attempt: 2, step: None, since: 0.0, paused: false };
    judge(&fold(&Evidence::begin(2, Arc::new(plan.clone()), 0.0), &at_zero, &counts), 0.0)
}

#[test]
fn what_is_pinned_reads_back_as_what_was_found() {
    let plan = plan(&json!({}));
    let settled = preflight(&plan, 50).settled.unwrap();
    assert_eq!(settled.before, before(50));
    let found = Outlook::of(&plan, &settled);
    let mut pinned = Strategy { epsilon_ppm: Some(settled.epsilon_ppm), ..plan }.to_pinned();
    assert_eq!(Outlook::of_pinned(&pinned), None, "preflight has not settled it");
    pinned.interval_millis = Some(5_000);
    for gate in &mut pinned.gates {
        let baseline = match gate.gate.name.as_str() {
            "errors" => json!({"counts": [900, 180_000], "millis": 3_600_000, "phi": "1.250000"}),
            "latency" => json!({"counts": [6_000, 7_200, 180_000], "millis": 3_600_000, "caveat": BOUNDS}),
            "cost" => json!({"counts": [180_000], "sum": "360000000000000", "per": "Counted", "millis": 3_600_000}),
            _ => json!({"counts": [3_600, 176_391, 5, 180_000], "millis": 3_600_000, "delayMillis": 100}),
        };
        gate.baseline = Some(serde_json::from_value(baseline).unwrap());
    }
    assert_eq!(Outlook::of_pinned(&pinned), Some(found));
}

/// Whoever is judged later counts as bad until then, so a step must last until those are few.
#[test]
fn auto_counts_the_time_that_verdicts_take() {
    let plan = plan(&json!({}));
    let with = |delay| {
        let mut known = before(50);
        known.get_mut("grounded").unwrap().delay = delay;
        known
    };
    assert_eq!(choose(&plan, &with(Some(2.0)), 5.0), Ok((5_000, 0)));
    assert_eq!(choose(&plan, &with(Some(30.0)), 5.0), Ok((50_000, 0)));
    // From what was not judged when it was counted, where nothing better is known.
    let mut open = with(None);
    let grounded = open.get_mut("grounded").unwrap();
    grounded.side = Side::Late { bad: 3_600, good: 176_391 - 1_500, void: 5, started: 180_000 };
    assert_eq!(choose(&plan, &open, 5.0), Ok((50_000, 0)));
    let settled = Settled { epsilon_ppm: 50_000, first: 0, interval: 5.0, before: with(Some(30.0)) };
    let lines = Outlook::of(&plan, &settled).lines();
    assert!(lines[3].contains("50 a second, judged 30 s later"), "{lines:?}");
}

/// Of the GenAI conventions' requests only failed ones say how they ended.
#[test]
fn an_error_gate_that_never_saw_an_error_says_what_it_relies_on() {
    let plan = plan(&json!({}));
    let words = |bad| {
        let mut known = before(50);
        known.insert("errors".to_owned(), Before::of(Side::count(bad, 180_000), 3600.0));
        let settled = Settled { epsilon_ppm: 5_000, first: 0, interval: 5.0, before: known };
        let outlook = Outlook::of(&plan, &settled);
        (outlook.findings(), outlook.lines().remove(0))
    };
    let (findings, line) = words(0);
    assert!(findings.contains("; errors has seen no request fail yet: make sure that failed ones carry error_type; "));
    assert!(line.ends_with("; no request has failed yet: make sure that failed ones carry error_type"), "{line}");
    let (findings, line) = words(1);
    assert!(!findings.contains("error_type") && !line.contains("error_type"), "{line}");
}

#[test]
fn what_telemetry_has_to_say_of_a_gate_is_in_the_words() {
    let plan = plan(&json!({}));
    let outlook = Outlook::of(&plan, &preflight(&plan, 50).settled.unwrap());
    assert!(outlook.findings().ends_with("; latency: its threshold lies between two bounds"), "{}", outlook.findings());
    let said = outlook.lines().into_iter().filter(|line| line.contains(BOUNDS)).collect::<Vec<_>>();
    assert!(said.len() == 1 && said[0].starts_with("latency: stable before: "), "{said:?}");
}

#[test]
fn what_a_mean_is_taken_over_is_in_the_words() {
    let plan = plan(&json!({}));
    for (per, words) in [
        (Per::Request, "0.002 USD a request over 180000 requests"),
        (Per::Answer, "0.002 USD per answer over 180000 answers"),
        (Per::Counted, "0.002 USD per answer with a token count over 180000 answers"),
        (Per::User, "0.002 USD per request of a user over 180000 requests"),
    ] {
        let mut known = before(50);
        known.get_mut("cost").unwrap().per = per;
        let settled = Settled { epsilon_ppm: 5_000, first: 0, interval: 5.0, before: known };
        let line = Outlook::of(&plan, &settled).lines().remove(2);
        assert!(line.starts_with(&format!("cost: stable before: {words} in 1 h, ")), "{line}");
    }
    let judged = preflight(&plan, 50);
    assert_eq!(
        judged.gates.iter().map(|gate| gate.per).collect::<Vec<_>>()[2],
        Per::Counted,
        "and stays with the gate"
    );
}

#[test]
fn a_gate_that_cannot_pass_says_what_is_known_of_its_bounds() {
    let plan = plan(&json!({}));
    let mut known = before(50);
    let side = Side::Count { above: 0, below: 180_000, total: 180_000 };
    known.insert("latency".to_owned(), Before { caveat: Some(BOUNDS.to_owned()), ..Before::of(side, 3600.0) });
    let (gate, unfit) = choose(&plan, &known, 5.0).unwrap_err();
    assert_eq!(gate, "latency");
    assert!(unfit.message.contains(&format!("even with a tolerance of 10% ({BOUNDS}): ")), "{}", unfit.message);
}

#[test]
fn a_tolerance_that_was_chosen_stays_when_preflight_is_asked_again_with_other_traffic() {
    let open = plan(&json!({"lowTraffic": "SkipSteps", "maxStepDuration": "4h"}));
    assert_eq!(open.epsilon_ppm, None);
    let chosen = preflight(&open, 1).settled.unwrap();
    assert_ne!((chosen.epsilon_ppm, chosen.first), (5_000, 0));
    let mut pinned = open.to_pinned();
    assert_eq!(pinned.epsilon, "Auto");
    pinned.epsilon = format!("{:.6}", chosen.epsilon_ppm as f64 / 1e6);
    pinned.first_step = i32::try_from(chosen.first).unwrap();
    let again = preflight(&Strategy::from_pinned(&pinned).unwrap(), 5_000).settled.unwrap();
    assert_eq!((again.epsilon_ppm, again.first), (chosen.epsilon_ppm, chosen.first));
    assert_eq!(preflight(&open, 5_000).settled.unwrap().epsilon_ppm, 5_000);
}

#[test]
fn whatever_is_chosen_every_step_fits_into_half_of_its_time() {
    for rps in [1, 2, 3, 5, 8, 13, 20, 50, 200, 1_000, 5_000] {
        for low_traffic in ["Hold", "SkipSteps"] {
            let plan = plan(&json!({"lowTraffic": low_traffic, "maxStepDuration": "3h"}));
            let judged = preflight(&plan, rps);
            let Some(settled) = judged.settled else {
                assert!(matches!(judged.preflight, Preflight::Refused(_)), "{rps}");
                assert!(choose(&plan, &before(rps), 5.0).is_err(), "{rps}");
                continue;
            };
            assert!(settled.first == 0 || low_traffic == "SkipSteps", "{rps}");
            let outlook = Outlook::of(&plan, &settled);
            assert_eq!(outlook.advice(), None, "{rps}");
            let taken = outlook.steps.iter().filter(|step| !step.skipped);
            let slowest = taken.filter_map(|step| step.slowest.as_ref()).map(|(seconds, _)| *seconds);
            assert!(slowest.fold(0.0, f64::max) <= 5_400.0, "{rps}: {outlook:?}");
        }
    }
}
