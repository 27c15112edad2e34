//! However the questions are spread over time, and whatever was forgotten but the watermarks, the windows are the same.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use microapp_core::counts::{Ask, Counts, Side, Watch, Window};
use microapp_telemetry::{PodRef, Subject};
use proptest::prelude::*;

/// A pod's life: its phase in the interval, and per scrape what it adds (good, bad) or that the scrape is lost.
#[derive(Clone, Debug)]
struct Life {
    phase: f64,
    scrapes: Vec<Option<(u32, u32)>>,
}

fn life() -> impl Strategy<Value = Life> {
    let added = prop_oneof![9 => (0..40_u32, 0..3_u32).prop_map(Some), 1 => Just(None)];
    (50..4950_u32, prop::collection::vec(added, 24))
        .prop_map(|(phase, scrapes)| Life { phase: f64::from(phase) / 1000.0, scrapes })
}

fn store(lives: &[Life]) -> (Store, Subject) {
    stretched(lives, 1.0)
}

/// From the 13th scrape on they are so many times further apart.
fn stretched(lives: &[Life], times: f64) -> (Store, Subject) {
    let mut store = Store { delay: 10, ..Store::default() };
    for (pod, life) in [CANARY, CANARY_2, STABLE, STABLE_2].into_iter().zip(lives) {
        let (mut good, mut bad) = (7, 0);
        for (k, added) in life.scrapes.iter().enumerate() {
            let k_from_then = (k as f64 - 12.0).max(0.0);
            let seconds = k as f64 * 5.0 - 10.0 + life.phase + k_from_then * 5.0 * (times - 1.0);
            // A lost scrape is written down as such, as Prometheus does.
            let Some((more, worse)) = added.filter(|_| k > 2).or((k <= 2).then_some((1, 0))) else {
                store.down(pod, seconds);
                continue;
            };
            good += more;
            bad += worse;
            store.requests(pod, seconds, good, bad);
        }
    }
    let mut subject = subject(vec![errors()]);
    let old = |name: &str| PodRef { name: name.to_owned(), started: (START - 86_400) as f64 };
    subject.canary_pods.push(old(CANARY_2));
    subject.stable_pods.push(old(STABLE_2));
    subject.step_since = Some(START as f64 + 21.7);
    (store, subject)
}

/// Asks at these moments; only the watermarks go from one question to the next, through their stored form.
fn run(store: &Store, subject: &Subject, moments: &[f64]) -> Vec<Window> {
    let mut watch = Watch::default();
    let mut all = Vec::new();
    let mut subject = subject.clone();
    for moment in moments {
        while let Counts::Windows(windows, next) = store.ask(&subject, &Ask::Windows, &watch, *moment) {
            let again = next.pace.origin != watch.pace.origin;
            all.extend(windows);
            watch = serde_json::from_str(&serde_json::to_string(&next).unwrap()).unwrap();
            if !again {
                break;
            }
            subject.interval = watch.pace.length.map(|length| length as f64 / 1000.0);
        }
    }
    all
}

/// Requests of the canary and of stable.
fn counted(windows: &[Window]) -> [u64; 2] {
    let mut sums = [0, 0];
    for window in windows {
        let (canary, stable) = sides(window, "errors");
        for (sum, side) in sums.iter_mut().zip([canary, stable]) {
            if let Some(Side::Count { total, .. }) = side {
                *sum += total;
            }
        }
    }
    sums
}

fn brief(windows: &[Window]) -> Vec<(f64, f64, bool, [u64; 2])> {
    windows.iter().map(|w| (w.end - START as f64, w.length, w.gap, counted(std::slice::from_ref(w)))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_same_samples_give_the_same_windows_however_often_one_asks(
        lives in prop::collection::vec(life(), 4),
        weight in prop_oneof![Just(10_000_i64), Just(250_000)],
        mut moments in prop::collection::vec(1.0..100.0_f64, 0..40),
    ) {
        let (store, mut subject) = store(&lives);
        subject.weight_ppm = weight;
        moments.push(100.0);
        moments.sort_by(f64::total_cmp);
        let once = run(&store, &subject, &[100.0]);
        let often = run(&store, &subject, &moments);
        prop_assert!(once.len() >= 15);
        prop_assert_eq!(once, often);
    }

    #[test]
    fn when_the_scrapes_become_rarer_each_request_still_counts_once_however_often_one_asks(
        lives in prop::collection::vec(life(), 4),
        mut moments in prop::collection::vec(1.0..240.0_f64, 0..60),
    ) {
        let (store, subject) = stretched(&lives, 4.0);
        // Long after the last scrape.
        moments.push(400.0);
        moments.sort_by(f64::total_cmp);
        let once = run(&store, &subject, &[400.0]);
        let often = run(&store, &subject, &moments);
        prop_assert_eq!(counted(&once), counted(&often), "{:?}\n{:?}", brief(&once), brief(&often));
        for windows in [once, often] {
            prop_assert_eq!(windows.last().map(|window| window.length), Some(20.0));
        }
    }

    #[test]
    fn each_request_counts_once(lives in prop::collection::vec(life(), 4)) {
        let (store, subject) = store(&lives);
        let windows = run(&store, &subject, &(1..48).map(|k| f64::from(k) * 2.1).collect::<Vec<_>>());
        let seen = counted(&windows);
        let last = windows.last().unwrap().end - START as f64;
        let mut expected = [0, 0];
        for (place, life) in lives.iter().enumerate() {
            for (k, added) in life.scrapes.iter().enumerate() {
                let seconds = k as f64 * 5.0 - 10.0 + life.phase;
                let (good, bad) = added.filter(|_| k > 2).or((k <= 2).then_some((1, 0))).unwrap_or((0, 0));
                if seconds > 0.0 && seconds <= last {
                    expected[place / 2] += u64::from(good + bad);
                }
            }
        }
        prop_assert_eq!(seen, expected);
    }
}
