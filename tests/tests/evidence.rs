//! Evidence survives a restart: saved, loaded and continued it is what it would have been.
#![allow(clippy::unwrap_used)]

use std::{collections::BTreeMap, sync::Arc};

use microapp_api::v1alpha1::{MicroAppRolloutSpec, Verdict};
use microapp_core::{
    Evidence, Position, Strategy,
    counts::{Before, Counts, Doubt, Side, Sides, Unknown, Watch, Window},
    evidence::saved_at,
    fold, judge,
};
use microapp_tests::traffic::Rng;
use serde_json::json;

/// Four gates of every kind, the steps of the preset.
fn strategy() -> Arc<Strategy> {
    let spec: MicroAppRolloutSpec = serde_json::from_value(json!({
        "template": {}, "model": {"provider": "p", "name": "m", "version": "1"},
        "traffic": {"port": 80, "gateway": {"parentRefs": [{"name": "g"}]}},
    }))
    .unwrap();
    Arc::new(Strategy::resolve(&spec, "").unwrap())
}

fn begin() -> Evidence {
    let before = |side| Ok(Before::of(side, 3600.0));
    let gates = BTreeMap::from([
        ("errors".to_owned(), before(Side::count(900, 180_000))),
        ("model-errors".to_owned(), before(Side::count(700, 190_000))),
        ("client-errors".to_owned(), before(Side::count(1_900, 180_000))),
        ("latency".to_owned(), before(Side::Count { above: 5000, below: 5400, total: 180_000 })),
        ("cost".to_owned(), before(Side::Mean { n: 180_000, sum: 9_000_000_000 })),
        ("grounded".to_owned(), before(Side::Late { bad: 3000, good: 140_900, void: 50, started: 144_000 })),
    ]);
    let evidence = Evidence::begin(3, strategy(), 0.0);
    fold(&evidence, &at(None, 0.0), &Counts::Baseline { gates, interval: 5.0, pins: BTreeMap::new() })
}

fn at(step: Option<usize>, since: f64) -> Position {
    Position { attempt: 3, step, since, paused: false }
}

fn window(rng: &mut Rng, end: f64, weight: f64) -> Counts {
    let mut side = |share: f64| {
        let n = rng.poisson(250.0 * share);
        let counts = Side::count(rng.binomial(n, 0.005), n);
        let slow = rng.binomial(n, 0.02);
        let latency = Side::Count { above: slow, below: slow + rng.binomial(n, 0.001), total: n };
        let cost = Side::Mean { n, sum: i128::from(n) * 50_000 + i128::from(rng.binomial(n, 0.3)) * 10_000 };
        let judged = Side::Late { bad: rng.binomial(n, 0.02), good: n / 2, void: rng.binomial(n, 0.01), started: n };
        [counts, latency, cost, judged]
    };
    let (canary, stable) = (side(weight), side(1.0 - weight));
    let names = ["errors", "latency", "cost", "grounded"];
    let mut gates: BTreeMap<_, _> = (0..4)
        .map(|i| {
            (
                names[i].to_owned(),
                Ok(Sides { canary: Some(canary[i]), stable: Some(stable[i]), near: [None, None], idle: 0 }),
            )
        })
        .collect();
    if rng.unit() < 0.1 {
        gates.insert("latency".to_owned(), Err(Unknown::Partial));
    }
    let window = Window { end, length: 5.0, gates, gap: rng.unit() < 0.05, inside_step: true };
    // As many as a checkpoint must hold: sixty pods, each with a name of its own.
    let watermarks = (0..60_i64)
        .map(|pod| {
            (format!("p:kyc-helper-x7f4bd62hz-7854f9695c-{:05x}:{pod:08x}", pod * 7919), 1_772_361_999_000 - pod)
        })
        .collect();
    Counts::Windows(vec![window], Watch { watermarks, canary_seen: true, newest: Some(end), ..Watch::default() })
}

#[test]
fn saved_loaded_and_continued_it_is_what_it_would_have_been() {
    let mut rng = Rng::new(7);
    let (mut whole, mut restarted) = (begin(), begin());
    let mut largest = 0;
    // 1 %, 5 %, 25 %, the bake, and back from it: every kind of state is in some checkpoint.
    let steps = [(Some(0), 0.01), (Some(1), 0.05), (Some(2), 0.25), (Some(3), 1.0), (Some(2), 0.25)];
    for (index, (step, weight)) in steps.into_iter().enumerate() {
        for k in 1..=30 {
            let since = index as f64 * 150.0 + 0.001;
            let end = since + f64::from(k) * 5.0;
            let counts = window(&mut rng, end, weight);
            whole = fold(&whole, &at(step, since), &counts);
            let saved = restarted.save().unwrap();
            largest = largest.max(saved.len());
            restarted = Evidence::load(&saved, restarted.strategy.clone()).unwrap();
            restarted = fold(&restarted, &at(step, since), &counts);
            assert_eq!(judge(&whole, end), judge(&restarted, end), "step {step:?}, window {k}");
        }
    }
    assert_eq!(whole, restarted);
    assert!(largest > 2000 && largest <= 8192, "{largest} bytes");
    assert_eq!(saved_at(&whole.save().unwrap()), whole.last.map(|last| (last * 1000.0).round() / 1000.0));
}

/// An instrumentation that is gone: users come, and nobody counts what their answers used.
#[test]
fn a_canary_that_seems_to_cost_nothing_passes_no_gate_of_costs() {
    let mut evidence = begin();
    let sides = |canary: i128| Sides {
        canary: Some(Side::Mean { n: 20, sum: canary }),
        stable: Some(Side::Mean { n: 200, sum: 200 * 50_000 }),
        ..Sides::default()
    };
    let mut seen = Vec::new();
    for k in 1..=60 {
        let end = 0.001 + f64::from(k) * 5.0;
        let gates = BTreeMap::from([("cost".to_owned(), Ok(sides(if k <= 30 { 0 } else { 20 * 50_000 })))]);
        let window = Window { end, length: 5.0, gates, gap: false, inside_step: true };
        let watch = Watch { canary_seen: true, newest: Some(end), ..Watch::default() };
        evidence = fold(&evidence, &at(Some(0), 0.001), &Counts::Windows(vec![window], watch));
        let judgement = judge(&evidence, end);
        let cost = judgement.gates.iter().find(|gate| gate.name == "cost").unwrap();
        seen.push((cost.verdict, cost.unknown));
    }
    assert_eq!(seen[29], (Verdict::Unknown, Some(Unknown::TokensMissing)));
    assert_eq!(seen[59], (Verdict::Pass, None), "and once they are counted, they are compared");
}

/// With 12 windows, and so many pods that are not believed.
fn doubted(pods: usize) -> Evidence {
    let mut rng = Rng::new(7);
    let mut evidence = begin();
    for k in 1..=12 {
        let end = 0.001 + f64::from(k) * 5.0;
        let Counts::Windows(windows, mut watch) = window(&mut rng, end, 0.25) else { panic!() };
        let doubt = |(place, (key, at)): (usize, (&String, &i64))| {
            let levels = (0..place as u64 % 4).map(|level| 70_000 + level).collect();
            (key.clone(), Doubt { since: at - 15_000, until: *at, scrapes: 3, steady: 1, levels })
        };
        watch.doubts = watch.watermarks.iter().enumerate().take(pods).map(doubt).collect();
        evidence = fold(&evidence, &at(Some(2), 0.001), &Counts::Windows(windows, watch));
    }
    evidence
}

#[test]
fn what_is_not_believed_of_pods_is_in_the_checkpoint_and_makes_room_for_the_evidence() {
    let restarted = |evidence: &Evidence| {
        let saved = evidence.save().unwrap();
        Evidence::load(&saved, evidence.strategy.clone()).unwrap()
    };
    let some = doubted(12);
    assert_eq!(restarted(&some).watch, some.watch);
    let all = doubted(60);
    let kept = restarted(&all);
    assert_eq!(kept.watch, Watch { doubts: BTreeMap::new(), ..all.watch.clone() });
    assert_eq!(judge(&kept, 60.0).gates, judge(&all, 60.0).gates, "no evidence is lost");
}

#[test]
fn what_is_no_checkpoint_of_this_plan_is_nothing() {
    let saved = begin().save().unwrap();
    let settled = begin().strategy;
    assert!(Evidence::load(&saved, settled.clone()).is_some());
    assert_eq!(settled.epsilon_ppm, Some(5_000));
    assert_eq!(Evidence::load(&saved, strategy()), None, "judged with a tolerance that this plan does not have");
    for text in ["", "e2", "e2.0.", "e3.0.AAAA", &saved[..saved.len() - 40], &saved.replace("e2", "e0")] {
        assert_eq!(Evidence::load(text, settled.clone()), None, "{text}");
    }
}

/// "With so many bad or fewer it would have gone on": always fewer than there were, and just what it took, however the
/// bad ones were spread over the windows.
#[test]
fn what_would_have_been_spared_is_fewer_than_there_were_and_just_enough() {
    let windows = |bad: &[u64]| -> Vec<Window> {
        let one = |(k, bad): (usize, &u64)| {
            let sides = Sides {
                canary: Some(Side::count(*bad, 12)),
                stable: Some(Side::count(0, 48)),
                near: [None, None],
                idle: 0,
            };
            let gates = BTreeMap::from([("errors".to_owned(), Ok(sides))]);
            Window { end: 5.0 * (k + 1) as f64, length: 5.0, gates, gap: false, inside_step: true }
        };
        bad.iter().enumerate().map(one).collect()
    };
    let at = at(Some(0), 0.0);
    // All windows at once, as after an outage, or one by one.
    let told = |bad: &[u64], at_once: bool| {
        let windows = windows(bad);
        let mut evidence = fold(&begin(), &at, &Counts::None);
        for part in windows.chunks(if at_once { windows.len() } else { 1 }) {
            evidence = fold(&evidence, &at, &Counts::Windows(part.to_vec(), Watch::default()));
        }
        let view = judge(&evidence, 0.0).gates.remove(0);
        (view.verdict, view.spared)
    };
    let mut rng = Rng::new(3);
    let mut failed = 0;
    for run in 0..40 {
        let mut bad = Vec::new();
        // Good at first in half of the runs: late bad ones weigh more than early ones.
        let calm = if run % 2 == 0 { 0 } else { 30 };
        while told(&bad, false).0 != Verdict::Fail && bad.len() < 120 {
            bad.push(if bad.len() < calm { 0 } else { rng.binomial(12, 0.1) });
        }
        for at_once in [true, false] {
            let (verdict, spared) = told(&bad, at_once);
            let Some(spared) = spared.filter(|_| verdict == Verdict::Fail) else { continue };
            failed += 1;
            let all: u64 = bad.iter().sum();
            assert!(spared < all, "{spared} of {all}");
            let without = |mut fewer: u64| {
                let mut bad = bad.clone();
                for count in bad.iter_mut().rev() {
                    let less = fewer.min(*count);
                    (*count, fewer) = (*count - less, fewer - less);
                }
                bad
            };
            assert_ne!(told(&without(all - spared), at_once).0, Verdict::Fail, "{spared} of {all}");
            assert_eq!(told(&without(all - spared - 1), at_once).0, Verdict::Fail, "{spared} of {all}");
        }
    }
    assert!(failed >= 60, "{failed}");
}

/// Scrapes go on, and say for a minute that a counter falls, or that answers have no token count.
#[test]
fn a_gate_without_counts_says_why_for_as_long_as_its_targets_answer() {
    for (why, shown) in [
        (Unknown::NonMonotone, Unknown::NonMonotone),
        (Unknown::TokensMissing, Unknown::TokensMissing),
        (Unknown::NoData, Unknown::Stale),
    ] {
        let mut rng = Rng::new(7);
        let mut evidence = begin();
        for k in 1..=13 {
            let end = 0.001 + f64::from(k) * 5.0;
            let mut counts = window(&mut rng, end, 0.25);
            if let (Counts::Windows(windows, _), 2..) = (&mut counts, k) {
                windows[0].gates.insert("cost".to_owned(), Err(why));
            }
            evidence = fold(&evidence, &at(Some(2), 0.001), &counts);
        }
        let gate = judge(&evidence, 66.0).gates.into_iter().find(|gate| gate.name == "cost").unwrap();
        assert_eq!(gate.unknown, Some(shown), "{why:?}");
        let late = judge(&evidence, 90.0).gates.into_iter().find(|gate| gate.name == "cost").unwrap();
        assert_eq!(late.unknown, Some(Unknown::Stale), "{why:?}: nobody is scraped any more");
    }
}

/// The first seconds of a canary: nothing is loaded, no connection is open. That is slow, and it is no other version.
#[test]
fn while_the_canary_warms_up_gates_of_time_wait_and_errors_count() {
    let sides = |canary, stable| Ok(Sides { canary: Some(canary), stable: Some(stable), ..Sides::default() });
    let slow = |n| Side::Count { above: n, below: n, total: 4 };
    let fold_from = |mut evidence: Evidence, at: Position, ends: std::ops::Range<u32>, errors: u64, late: u64| {
        for k in ends {
            let gates = BTreeMap::from([
                ("errors".to_owned(), sides(Side::count(errors, 4), Side::count(1, 400))),
                ("latency".to_owned(), sides(slow(late), Side::Count { above: 8, below: 9, total: 400 })),
            ]);
            let end = f64::from(k) * 5.0;
            let window = Window { end, length: 5.0, gates, gap: false, inside_step: true };
            let watch = Watch { canary_seen: true, newest: Some(end), ..Watch::default() };
            evidence = fold(&evidence, &at, &Counts::Windows(vec![window], watch));
        }
        evidence
    };
    let said = |evidence: &Evidence, gate: &str| {
        let judged = judge(evidence, evidence.last.unwrap());
        let view = judged.gates.into_iter().find(|view| view.name == gate).unwrap();
        (view.verdict, view.unknown, view.step[0])
    };
    let raised = at(Some(0), 0.0);
    // All answers of the first twenty seconds are slow, and it is known that they are only cold.
    let cold = fold_from(begin(), raised, 1..5, 0, 4);
    assert_eq!(said(&cold, "latency"), (Verdict::Unknown, Some(Unknown::Undecided), None));
    let warm = fold_from(cold.clone(), raised, 5..30, 0, 0);
    assert_ne!(said(&warm, "latency").0, Verdict::Fail);
    let on = fold_from(cold, raised, 5..12, 0, 4);
    assert_eq!(said(&on, "latency").0, Verdict::Fail, "slow for longer is slow");
    assert_eq!(said(&fold_from(begin(), raised, 1..4, 4, 0), "errors").0, Verdict::Fail, "from the first request");
}

/// The model goes away while all users are on the canary; the gateway follows the step back seconds later, and one of its
/// replicas, or a probe, asks stable before that. What both failed is no word against the canary.
#[test]
fn back_from_the_bake_the_canary_is_judged_from_when_stable_has_its_share_again() {
    let errors = |evidence: Evidence, at: Position, end: u32, canary: (u64, u64), stable: (u64, u64)| {
        let side = |(bad, n)| Some(Side::count(bad, n));
        let sides = Sides { canary: side(canary), stable: side(stable), ..Sides::default() };
        let gates = BTreeMap::from([("errors".to_owned(), Ok(sides))]);
        let end = f64::from(end) * 5.0;
        let window = Window { end, length: 5.0, gates, gap: false, inside_step: true };
        let watch = Watch { canary_seen: true, newest: Some(end), ..Watch::default() };
        fold(&evidence, &at, &Counts::Windows(vec![window], watch))
    };
    let said = |evidence: &Evidence| judge(evidence, evidence.last.unwrap()).gates.remove(0);
    let last = strategy().last();
    let mut evidence = errors(begin(), at(Some(last - 1), 0.0), 1, (0, 100), (1, 400));
    evidence = errors(evidence, at(Some(last), 5.0), 2, (500, 500), (0, 0));
    assert!(said(&evidence).over, "it is bad, and nobody knows whose fault it is");
    let back = at(Some(last - 1), 10.0);
    evidence = errors(evidence, back, 3, (500, 500), (0, 1));
    evidence = errors(evidence, back, 4, (500, 500), (0, 0));
    evidence = errors(evidence, back, 5, (100, 100), (400, 400));
    for end in 6..40 {
        evidence = errors(evidence, back, end, (0, 100), (2, 400));
    }
    assert_eq!(said(&evidence).verdict, Verdict::Pass, "{:?}", said(&evidence));
}
