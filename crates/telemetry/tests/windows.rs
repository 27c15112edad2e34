//! Windows from raw samples: births, resets, gaps, phases, and what makes a gate say nothing.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use microapp_core::counts::{Ask, Counts, Side, Unknown, Watch, Window};
use microapp_telemetry::{PodRef, Subject};

/// Both pods scraped at their phase for so many windows; `canary(k)` and `stable(k)` are (good, bad) so far.
fn steady(windows: u32, canary: impl Fn(u32) -> (u32, u32), stable: impl Fn(u32) -> (u32, u32)) -> Store {
    let mut store = Store::default();
    for k in 0..=windows {
        let base = f64::from(k) * 5.0 - 5.0;
        let ((good, bad), (stable_good, stable_bad)) = (canary(k), stable(k));
        store.requests(CANARY, base + 1.25, good, bad);
        store.requests(STABLE, base + 3.5, stable_good, stable_bad);
    }
    store
}

#[test]
fn a_window_holds_what_each_side_added() {
    let store = steady(4, |k| (10 + 3 * k, 0), |k| (500 + 20 * k, 4 + 2 * k));
    let windows = store.windows(&subject(vec![errors()]), 15.1);
    assert_eq!(windows.len(), 2, "the third one waits for stable's next scrape");
    assert_eq!(sides(&windows[0], "errors"), (count(0, 3), count(2, 22)));
    assert_eq!((windows[1].end, windows[1].length), (common::START as f64 + 10.0, 5.0));
    assert_eq!(windows[1].gates["errors"].unwrap().near, [count(2, 22), count(2, 22)]);
    assert!(!windows[0].gap && windows[0].inside_step);
}

#[test]
fn at_small_weights_nobody_waits_for_the_next_scrape_of_stable() {
    let store = steady(4, |k| (10 + 3 * k, 0), |k| (500 + 20 * k, 0));
    let mut subject = subject(vec![errors()]);
    subject.weight_ppm = 10_000;
    assert_eq!(store.windows(&subject, 13.6).len(), 3, "all samples of the third window are there before its end");
}

#[test]
fn the_first_error_of_an_old_pod_counts_from_zero() {
    let store = steady(3, |k| (10 + k, 0), |k| (500 + 20 * k, if k < 2 { 0 } else { 3 }));
    let windows = store.windows(&subject(vec![errors()]), 15.1);
    assert_eq!(sides(&windows[1], "errors").1, count(3, 23));
}

#[test]
fn a_pod_that_started_after_the_attempt_counts_from_zero_and_an_unknown_one_from_its_first_sample() {
    let mut store = steady(4, |k| (10 + k, 0), |k| (500 + 20 * k, 0));
    for pod in [CANARY_2, "shop-bbbbbbbbbb-5c4d-y3"] {
        store.requests(pod, 6.5, 7, 1);
        store.requests(pod, 11.5, 9, 1);
        store.requests(pod, 16.5, 9, 1);
    }
    let mut subject = subject(vec![errors()]);
    subject.canary_pods.push(PodRef { name: CANARY_2.to_owned(), started: START as f64 + 5.5 });
    let windows = store.windows(&subject, 18.6);
    assert_eq!(sides(&windows[1], "errors").0, count(1, 1 + 8));
    assert_eq!(sides(&windows[2], "errors").0, count(0, 1 + 2 + 2));
}

#[test]
fn a_restarted_process_counts_from_zero() {
    let started = "process_start_time_seconds";
    let mut store = steady(4, |k| (10 + k, 0), |k| (500 + 20 * k, 0));
    for (seconds, value, process) in
        [(-2.5, 40.0, 100.0), (2.5, 44.0, 100.0), (7.5, 45.0, 4000.0), (12.5, 46.0, 4000.0)]
    {
        store.scrape(CANARY_2, seconds, &[(REQUESTS, &[], value), (started, &[], process)]);
    }
    let windows = store.windows(&subject(vec![errors()]), 18.6);
    let canary: Vec<_> = windows.iter().map(|window| sides(window, "errors").0).collect();
    assert_eq!(canary, [count(0, 5), count(0, 46), count(0, 2)], "45 is more than 44, but the process is a new one");
}

#[test]
fn when_all_counters_of_a_target_fall_it_restarted_if_its_container_did() {
    let store = steady(3, |k| if k < 2 { (10 + k, 5) } else { (k, 1) }, |k| (500 + 20 * k, 0));
    let mut subject = subject(vec![errors()]);
    assert_eq!(refusal(&store.windows(&subject, 18.6)[1], "errors"), Unknown::NonMonotone);
    subject.canary_pods = vec![PodRef { name: CANARY.to_owned(), started: START as f64 + 4.0 }];
    assert_eq!(sides(&store.windows(&subject, 18.6)[1], "errors").0, count(1, 3));
}

#[test]
fn a_counter_that_falls_alone_says_nothing() {
    let store = steady(4, |k| (10 + k, if k == 2 { 3 } else { 5 }), |k| (500 + 20 * k, 0));
    let windows = store.windows(&subject(vec![errors()]), 18.6);
    assert_eq!(sides(&windows[0], "errors").0, count(0, 1));
    assert_eq!(refusal(&windows[1], "errors"), Unknown::NonMonotone);
}

#[test]
fn a_series_that_comes_back_with_its_past_is_not_believed() {
    let store = steady(4, |k| (10 + k, if k < 2 { 0 } else { 700 }), |k| (500 + 20 * k, 0));
    let windows = store.windows(&subject(vec![errors()]), 18.6);
    assert_eq!(refusal(&windows[1], "errors"), Unknown::ImplausibleBirth);
    assert_eq!(sides(&windows[2], "errors").0, count(0, 1));
}

#[test]
fn a_canary_that_fails_everything_from_the_start_is_believed() {
    let store = steady(3, |k| (0, if k < 2 { 0 } else { 40 * (k - 1) }), |k| (500 + 20 * k, 0));
    let windows = store.windows(&subject(vec![errors()]), 18.6);
    assert_eq!(sides(&windows[0], "errors").0, count(0, 0));
    assert_eq!(sides(&windows[1], "errors").0, count(40, 40));
}

#[test]
fn samples_that_were_missed_make_a_gap() {
    let mut store = Store::default();
    for k in 0..8_u32 {
        let base = f64::from(k) * 5.0 - 5.0;
        if !(2..6).contains(&k) {
            store.requests(CANARY, base + 1.0, 10 + k, 0);
        }
        store.requests(STABLE, base + 3.0, 500 + 20 * k, 0);
    }
    let windows = store.windows(&subject(vec![errors()]), 34.0);
    let gaps: Vec<_> = windows.iter().map(|window| (window.gap, sides(window, "errors").0)).collect();
    let none = |total| (false, count(0, total));
    assert_eq!(gaps[..3], [none(1), none(0), none(0)], "within three intervals zero is not missing");
    assert_eq!(gaps[4], (false, None), "after three it is");
    assert_eq!(gaps[5], (true, count(0, 5)));
}

/// Scraped each `from` seconds for half a minute, then each `to`; the windows that a look at each half second finds.
fn repaced(from: f64, to: f64) -> Vec<Window> {
    let until = 60.0 + 10.0 * to.max(from);
    let mut store = Store::default();
    let mut scrape = |pod: &str, phase: f64| {
        let mut seconds = phase - from;
        while seconds < until {
            store.requests(pod, seconds, 1000 + (seconds * 10.0) as u32, 0);
            seconds += if seconds < 30.0 { from } else { to };
        }
    };
    scrape(CANARY, 0.4 * from);
    scrape(STABLE, 0.7 * from);
    let mut subject = Subject { interval: Some(from), ..subject(vec![errors()]) };
    let mut watch = Watch::default();
    let mut found = Vec::new();
    for tick in 0..(2.0 * until) as u32 {
        if let Counts::Windows(windows, next) = store.ask(&subject, &Ask::Windows, &watch, f64::from(tick) / 2.0) {
            found.extend(windows);
            watch = next;
            subject.interval = watch.pace.length.map_or(Some(from), |length| Some(length as f64 / 1000.0));
        }
    }
    found
}

#[test]
fn windows_follow_scrapes_whose_interval_changes_and_compare_again() {
    for (from, to) in [(1.0, 5.0), (1.0, 60.0), (5.0, 30.0), (15.0, 5.0), (5.0, 1.0)] {
        let windows = repaced(from, to);
        let late = windows.iter().filter(|window| window.end > START as f64 + 30.0 + 5.0 * to.max(from));
        let late: Vec<_> = late.collect();
        assert!(late.len() >= 2, "{from} s to {to} s: {windows:#?}");
        for window in &late {
            assert_eq!((window.gap, window.length), (false, to), "{from} s to {to} s");
            let (canary, stable) = sides(window, "errors");
            let whole =
                |side: Option<Side>| matches!(side, Some(Side::Count { total, .. }) if total as f64 >= 9.0 * to);
            assert!(whole(canary) && whole(stable), "{from} s to {to} s: {window:?}");
        }
        let counted: u64 = windows
            .iter()
            .filter_map(|window| match sides(window, "errors").0 {
                Some(Side::Count { total, .. }) => Some(total),
                _ => None,
            })
            .sum();
        let last = windows.last().unwrap().end - START as f64;
        assert!((counted as f64) > 10.0 * (last - 2.0 * to.max(from)), "{from} s to {to} s: {counted} in {last} s");
    }
}

#[test]
fn one_pause_of_the_scrapes_is_no_other_pace() {
    let mut store = Store::default();
    for k in (0..30_u32).filter(|k| !(10..15).contains(k)) {
        let base = f64::from(k) * 5.0 - 5.0;
        store.requests(CANARY, base + 1.0, 10 + k, 0);
        store.requests(STABLE, base + 3.0, 500 + 20 * k, 0);
    }
    let watch = store.watch(&subject(vec![errors()]), 120.0);
    assert_eq!(watch.pace, microapp_core::counts::Pace::default());
}

#[test]
fn a_delta_over_the_change_of_weight_is_a_gap_and_the_next_one_is_inside_the_step() {
    let store = steady(5, |k| (10 + k, 0), |k| (500 + 20 * k, 0));
    let mut subject = subject(vec![errors()]);
    subject.step_since = Some(START as f64 + 7.0);
    let seen: Vec<_> = store.windows(&subject, 23.6).iter().map(|window| (window.gap, window.inside_step)).collect();
    // The canary is scraped at 6.25 and 11.25, stable at 8.5: after the raise took effect.
    assert_eq!(seen, [(false, false), (true, false), (true, false), (false, true)]);
}

#[test]
fn a_value_that_is_no_count_is_no_number() {
    for value in [f64::NAN, f64::INFINITY, 12.5, -1.0] {
        let mut store = steady(3, |k| (10 + k, 0), |k| (500 + 20 * k, 0));
        store.scrape(CANARY_2, 2.5, &[(REQUESTS, &[], 3.0)]);
        store.scrape(CANARY_2, 7.5, &[(REQUESTS, &[], value)]);
        let windows = store.windows(&subject(vec![errors()]), 15.6);
        assert_eq!(refusal(&windows[1], "errors"), Unknown::NotANumber, "{value}");
        assert_eq!(sides(&windows[0], "errors").0, count(0, 1));
    }
}

#[test]
fn two_endpoints_of_one_pod_with_the_same_counter_are_ambiguous() {
    let mut store = steady(3, |k| (10 + k, 0), |k| (500 + 20 * k, 0));
    for k in 0..4 {
        let labels = [("__name__", REQUESTS), ("namespace", "fintech"), ("pod", CANARY), ("job", "again")];
        store.put(&labels, f64::from(k) * 5.0 - 4.0, f64::from(k));
    }
    assert_eq!(refusal(&store.windows(&subject(vec![errors()]), 15.6)[0], "errors"), Unknown::Ambiguous);
}

#[test]
fn a_deleted_pod_is_not_waited_for_longer_than_one_and_a_half_intervals() {
    let mut store = Store::default();
    for k in 0..6_u32 {
        let base = f64::from(k) * 5.0 - 5.0;
        store.requests(CANARY, base + 1.0, 10 + k, 0);
        store.requests(STABLE, base + 3.0, 500 + 20 * k, 0);
        if k < 3 {
            store.requests(STABLE_2, base + 2.0, 300 + 20 * k, 0);
        }
    }
    let subject = subject(vec![errors()]);
    // Last seen at 7.0; its next sample would have been at 12.0.
    assert_eq!(store.windows(&subject, 14.4).len(), 1);
    let windows = store.windows(&subject, 14.6);
    assert_eq!(sides(&windows[1], "errors").1, count(0, 40), "what it counted until then counts");
    let watch = store.watch(&subject, 20.0);
    let later: Vec<_> = watch.watermarks.keys().filter(|key| key.contains(STABLE_2)).collect();
    assert_eq!(later.len(), 1, "kept for a while, or its return would count from zero");
}

#[test]
fn a_pod_that_is_gone_and_does_not_answer_is_not_waited_for() {
    let mut store = steady(3, |k| (10 + k, 0), |k| (500 + 20 * k, 0));
    // The pod that told the digest: Prometheus tried once more when it was gone already.
    store.down(CANARY_2, 4.4);
    let mut subject = subject(vec![errors()]);
    subject.weight_ppm = 10_000;
    assert_eq!(store.windows(&subject, 8.6).len(), 2, "both revisions' own samples are there");
    let next = store.watch(&subject, 8.6).next.unwrap() - START as f64;
    assert!(next > 10.0, "{next}");
    subject.canary_pods.push(PodRef { name: CANARY_2.to_owned(), started: START as f64 });
    assert_eq!(store.windows(&subject, 8.6).len(), 1, "one that should be there is");
}

#[test]
fn a_pod_that_does_not_answer_has_no_data_after_three_intervals() {
    let mut store = Store::default();
    for k in 0..9_u32 {
        let base = f64::from(k) * 5.0 - 5.0;
        if k < 2 {
            store.requests(CANARY, base + 1.0, 10 + k, 0);
        } else {
            store.down(CANARY, base + 1.0);
        }
        store.requests(STABLE, base + 3.0, 500 + 20 * k, 0);
    }
    let windows = store.windows(&subject(vec![errors()]), 39.0);
    assert_eq!(sides(&windows[1], "errors").0, count(0, 0));
    assert_eq!(sides(&windows[6], "errors"), (None, count(0, 20)));
}

#[test]
fn nothing_newer_than_three_intervals_is_stale() {
    let store = steady(3, |k| (10 + k, 0), |k| (500 + 20 * k, 0));
    let subject = subject(vec![errors()]);
    let watch = store.watch(&subject, 33.0);
    assert_eq!(store.ask(&subject, &Ask::Windows, &watch, 34.0), Counts::Silent(Unknown::Stale));
    assert_eq!(Store::default().ask(&subject, &Ask::Windows, &watch, 34.0), Counts::Silent(Unknown::Stale));
}

#[test]
fn a_partial_answer_says_nothing() {
    let mut store = steady(3, |k| (10 + k, 0), |k| (500 + 20 * k, 0));
    store.warnings.push("a store did not answer".to_owned());
    let silent = store.ask(&subject(vec![errors()]), &Ask::Windows, &Watch::default(), 17.0);
    assert_eq!(silent, Counts::Silent(Unknown::Partial));
}

#[test]
fn the_canary_is_seen_when_each_of_its_pods_has_answered_since_it_started() {
    let mut store = steady(3, |k| (k, 0), |k| (500 + 20 * k, 0));
    let mut subject = subject(vec![errors()]);
    subject.canary_pods.push(PodRef { name: CANARY_2.to_owned(), started: START as f64 + 9.0 });
    assert!(!store.watch(&subject, 12.0).canary_seen);
    store.requests(CANARY_2, 11.5, 0, 0);
    assert!(store.watch(&subject, 12.0).canary_seen);
    subject.canary_pods.clear();
    assert!(!store.watch(&subject, 12.0).canary_seen);
}

#[test]
fn the_next_question_is_timed_by_the_scrape_that_is_waited_for() {
    let store = steady(3, |k| (k, 0), |k| (500 + 20 * k, 0));
    let mut subject = subject(vec![errors()]);
    let next = store.watch(&subject, 9.0).next.unwrap() - START as f64;
    assert!((next - 13.55).abs() < 1e-6, "stable's scrape at 13.5 completes window 2: {next}");
    subject.weight_ppm = 10_000;
    let next = store.watch(&subject, 9.0).next.unwrap() - START as f64;
    assert!((next - 13.55).abs() < 1e-6, "and is the last one of window 3: {next}");
}

#[test]
fn samples_of_the_future_are_a_clock_that_differs() {
    let store = steady(3, |k| (10 + k, 0), |k| (500 + 20 * k, 0));
    let subject = subject(vec![errors()]);
    let now = START as f64 + 17.0;
    let query = &microapp_telemetry::queries(&subject, &Ask::Windows, &Watch::default(), now)[0];
    let prices = microapp_telemetry::PriceTable::built_in().unwrap();
    for (date, expected) in [(now + 31.0, true), (now - 31.0, true), (now + 2.0, false)] {
        let answer = microapp_telemetry::Answer { date: Some(date), ..store.answer(query) };
        let counts = microapp_telemetry::digest(&subject, &Ask::Windows, &Watch::default(), &[answer], &prices, now);
        assert_eq!(counts == Counts::Silent(Unknown::ClockSkew), expected);
    }
}

/// Prometheus keeps the times that an exposition gives each series. Looking at every series at every moment would then be
/// the square of them: 16 000 of them took four seconds of everybody's time.
#[test]
fn series_with_times_of_their_own_are_refused_where_they_would_cost_the_square_of_their_number() {
    let store = |series: u32, apart: f64| {
        let mut store = steady(4, |k| (10 + 3 * k, 0), |k| (500 + 20 * k, 0));
        for index in 0..series {
            let (user, mine) = (index.to_string(), f64::from(index) * apart);
            let labels = [
                ("__name__", REQUESTS),
                ("gen_ai_operation_name", "chat"),
                ("namespace", "fintech"),
                ("pod", CANARY),
                ("job", "pods"),
                ("instance", CANARY),
                ("user", user.as_str()),
            ];
            for k in 0..=4 {
                store.put(&labels, f64::from(k) * 5.0 - 3.75 + mine, f64::from(k));
            }
        }
        store
    };
    let errors = |series, apart| store(series, apart).windows(&subject(vec![errors()]), 15.1)[1].gates["errors"];
    assert_eq!(errors(1_000, 0.0).unwrap().canary, count(0, 1_003), "one time for all, as scrapes have it");
    assert_ne!(errors(100, 0.001), Err(Unknown::TooExpensive), "a few with times of their own");
    assert_eq!(errors(1_000, 0.001), Err(Unknown::TooExpensive));
}
