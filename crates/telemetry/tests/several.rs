//! Several processes behind one `/metrics`, and series that step back: a fall is a restart only where something started
//! anew. What is counted was served.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use microapp_core::{
    counts::{Ask, Before, Counts, Side, Unfit, Unknown, Watch, Window},
    strategy::{GateKind, Preset, Share},
};
use microapp_telemetry::{PodRef, Sample, Subject};
use proptest::prelude::*;

const BORN: &str = "process_start_time_seconds";
const CHAT: &[(&str, &str)] = &[("gen_ai_operation_name", "chat")];
const FAILED: &[(&str, &str)] = &[("gen_ai_operation_name", "chat"), ("error_type", "timeout")];

/// One scrape of the canary: good, bad, and its start in seconds since the epoch.
type Scrape = (u32, u32, Option<f64>);

fn scrape(store: &mut Store, pod: &str, seconds: f64, (good, bad, born): Scrape) {
    let mut counters: Vec<Counter> = Vec::new();
    counters.extend((good > 0).then_some((REQUESTS, CHAT, f64::from(good))));
    counters.extend((bad > 0).then_some((REQUESTS, FAILED, f64::from(bad))));
    counters.extend(born.map(|born| (BORN, &[][..], born)));
    store.scrape(pod, seconds, &counters);
}

fn canary(scrapes: &[Scrape]) -> Store {
    scraped(&scrapes.iter().copied().map(Some).collect::<Vec<_>>())
}

/// The canary as scraped at -3.75 s, 1.25 s, 6.25 s and so on; stable serves 20 requests each time.
fn scraped(scrapes: &[Option<Scrape>]) -> Store {
    let mut store = Store { delay: 10, ..Store::default() };
    for (k, one) in scrapes.iter().enumerate() {
        let base = k as f64 * 5.0 - 5.0;
        match one {
            Some(one) => scrape(&mut store, CANARY, base + 1.25, *one),
            None => store.down(CANARY, base + 1.25),
        }
        store.requests(STABLE, base + 3.5, 500 + 20 * k as u32, 0);
    }
    store
}

/// What each window says of the canary's requests.
fn told(store: &Store, subject: &Subject) -> Vec<Result<(u64, u64), Unknown>> {
    read(&store.windows(subject, 5.0 * 60.0))
}

fn read(windows: &[Window]) -> Vec<Result<(u64, u64), Unknown>> {
    let one = |window: &Window| match window.gates["errors"]?.canary {
        Some(Side::Count { above, total, .. }) => Ok((above, total)),
        None => Ok((0, 0)),
        other => panic!("{other:?}"),
    };
    windows.iter().map(one).collect()
}

const LOST: Result<(u64, u64), Unknown> = Err(Unknown::NonMonotone);

#[test]
fn processes_that_the_template_asks_for_are_told_before_a_second_one_was_seen() {
    let mut store = Store::default();
    store.exposes(STABLE, &[-600.0, -300.0, -60.0], &common::exposition::capture("genai"));
    let told = |workers: Option<&str>| {
        let subject = Subject { workers: workers.map(str::to_owned), ..subject(vec![errors()]) };
        let Counts::Baseline { gates, .. } = store.ask(&subject, &Ask::Baseline, &Watch::default(), 0.0) else {
            panic!()
        };
        gates["errors"].clone().unwrap().caveat.unwrap_or_default()
    };
    assert_eq!(told(None), "");
    assert_eq!(
        told(Some("--workers 4")),
        "the pod template asks for several processes (--workers 4), and behind one /metrics a scrape meets one of them: run \
         one process per pod and more replicas, or let them count together (PROMETHEUS_MULTIPROC_DIR, the multiprocess \
         mode of prometheus_client)"
    );
}

#[test]
fn two_workers_that_answer_in_turn_are_never_counted_twice() {
    let (early, late) = (START as f64 - 900.0, START as f64 - 895.0);
    // Both started together; one after the other; without a start; and with the first one seen last.
    for [a, b] in [[Some(early); 2], [Some(early), Some(late)], [Some(late), Some(early)], [None; 2]] {
        let scrapes: Vec<Scrape> = (0..16).map(|k| if k % 2 == 0 { (24 + k, 6, a) } else { (9 + k, 2, b) }).collect();
        let seen = told(&canary(&scrapes), &subject(vec![errors()]));
        assert!(seen.len() > 10 && seen.iter().all(|window| *window == LOST), "{seen:?}");
    }
}

#[test]
fn one_lower_sample_of_a_deduplicating_querier_loses_its_windows_and_nothing_else() {
    for born in [None, Some(START as f64 - 90_000.0)] {
        let values = [78_986, 78_988, 78_990, 78_989, 78_992, 78_994, 78_996, 78_998];
        let scrapes: Vec<Scrape> = values.iter().map(|value| (*value, 0, born)).collect();
        let seen = told(&canary(&scrapes), &subject(vec![errors()]));
        assert_eq!(seen[..6], [Ok((0, 2)), Ok((0, 2)), LOST, LOST, LOST, Ok((0, 2))]);
    }
}

#[test]
fn a_process_that_started_before_the_last_scrape_did_not_start_in_between() {
    // A second worker, seen for the first time in mid-attempt.
    let [one, other] = [START as f64 - 900.0, START as f64 - 600.0];
    let scrapes: Vec<Scrape> =
        (0..12).map(|k| if k < 5 { (30 + k, 0, Some(one)) } else { (700 + k, 9, Some(other)) }).collect();
    let seen = told(&canary(&scrapes), &subject(vec![errors()]));
    assert_eq!(seen[..4], [Ok((0, 1)); 4]);
    assert_eq!(seen[4..7], [LOST; 3]);
    assert_eq!(seen[7..10], [Ok((0, 1)); 3], "it is the one that answers now");
}

#[test]
fn a_process_that_started_between_two_scrapes_counts_from_zero() {
    let scrapes = [(40, 5, START as f64 - 900.0), (41, 5, START as f64 - 900.0), (3, 1, START as f64 + 3.0)];
    let scrapes: Vec<Scrape> = scrapes.map(|(good, bad, born)| (good, bad, Some(born))).to_vec();
    assert_eq!(told(&canary(&scrapes), &subject(vec![errors()]))[..2], [Ok((0, 1)), Ok((1, 4))]);
}

#[test]
fn without_a_start_time_the_cluster_says_whether_a_container_started_anew() {
    let scrapes = [(40, 5, None), (41, 5, None), (3, 1, None), (4, 1, None)];
    let store = canary(&scrapes);
    let mut subject = subject(vec![errors()]);
    assert_eq!(told(&store, &subject)[..3], [Ok((0, 1)), LOST, LOST]);
    // The clock of the cluster knows whole seconds; the pod was there before the attempt.
    subject.canary_pods = vec![PodRef { name: CANARY.to_owned(), started: START as f64 + 4.0 }];
    assert_eq!(told(&store, &subject)[..3], [Ok((0, 1)), Ok((1, 4)), Ok((0, 1))]);
    // A sidecar started anew, the application did not.
    let rising = canary(&[(40, 5, None), (41, 5, None), (43, 5, None)]);
    assert_eq!(told(&rising, &subject)[..2], [Ok((0, 1)), Ok((0, 2))]);
}

#[test]
fn a_start_time_that_did_not_rise_is_believed_more_than_a_container() {
    let born = Some(START as f64 - 900.0);
    let store = canary(&[(40, 5, born), (41, 5, born), (3, 1, born)]);
    let mut subject = subject(vec![errors()]);
    subject.canary_pods = vec![PodRef { name: CANARY.to_owned(), started: START as f64 + 4.0 }];
    assert_eq!(told(&store, &subject)[..2], [Ok((0, 1)), LOST]);
}

#[test]
fn old_errors_of_a_worker_that_has_a_series_more_do_not_come_back() {
    // Between two scrapes of the other one its series is older than what is asked for again.
    let scrapes: Vec<Scrape> = (0..60).map(|k| (50, if (k / 6) % 2 == 0 { 5 } else { 0 }, None)).collect();
    let store = canary(&scrapes);
    let subject = subject(vec![errors()]);
    for moments in [vec![300.0], (1..150).map(|k| f64::from(k) * 2.0).collect()] {
        let seen = read(&run(&store, &subject, &moments));
        let bad: u64 = seen.iter().flatten().map(|(bad, _)| bad).sum();
        assert_eq!(bad, 0, "{seen:?}");
    }
}

/// A gateway that exposes 50 requests of stable and 5 of the canary more each time; its counters begin anew at the scrapes
/// of `restarts`.
fn gateway(restarts: &[usize], scrapes: usize) -> Store {
    let mut store = Store { delay: 10, ..Store::default() };
    let mut begun = 0;
    for k in 0..scrapes {
        begun = if restarts.contains(&k) { k } else { begun };
        for (revision, each) in [("aaaaaaaaaa", 50), ("bbbbbbbbbb", 5)] {
            let cluster = format!("fintech_shop-{revision}_8080");
            let labels =
                [("__name__", "envoy_cluster_upstream_rq_completed"), ("job", "envoy"), ("instance", "10.0.0.1")];
            let labels = [&labels[..], &[("envoy_cluster_name", cluster.as_str())]].concat();
            let value = f64::from(each) * (k - begun + if begun > 0 { 1 } else { 40 }) as f64;
            store.put(&labels, k as f64 * 5.0 - 3.0, value);
        }
    }
    store
}

#[test]
fn a_gateway_that_starts_anew_loses_some_windows_and_no_request_counts_twice() {
    let errors = GateKind::Share { what: Share::Errors, max_ppm: Some(10_000) };
    let subject = subject(vec![gate("errors", errors, Preset::Envoy)]);
    // Nobody knows that it started: 2 200 requests of stable until then, and 50 a scrape again.
    let store = gateway(&[5], 80);
    for moments in [vec![400.0], (1..200).map(|k| f64::from(k) * 2.0).collect()] {
        let windows = run(&store, &subject, &moments);
        let seen = read(&windows);
        assert_eq!(seen[..4], [Ok((0, 5)); 4]);
        assert_eq!(seen[4..7], [LOST; 3]);
        let over = seen.iter().skip(8).position(|window| *window == LOST).unwrap() + 8;
        assert_eq!(seen[over..over + 3], [LOST; 3], "where it has counted as much as before");
        let others = seen.iter().enumerate().filter(|(k, _)| !(4..7).contains(k) && !(over..over + 3).contains(k));
        assert!(others.clone().all(|(_, window)| *window == Ok((0, 5))), "{seen:?}");
    }
}

#[test]
fn a_revision_that_a_gateway_forgot_did_not_fall() {
    let mut store = gateway(&[], 20);
    let canary = store.series.keys().find(|labels| labels.get("envoy_cluster_name").unwrap().contains("bbbb")).unwrap();
    let canary = canary.clone();
    // Without weight it has no cluster; the next one counts from zero.
    let samples = store.series.remove(&canary).unwrap();
    let later = |sample: &Sample| Sample { at: sample.at, value: sample.value - samples[9].value };
    let kept = samples[..4].iter().copied().chain(samples[10..].iter().map(later));
    store.series.insert(canary, kept.collect());
    let errors = GateKind::Share { what: Share::Errors, max_ppm: Some(10_000) };
    let subject = subject(vec![gate("errors", errors, Preset::Envoy)]);
    let stable: Vec<_> = store.windows(&subject, 95.0).iter().map(|window| sides(window, "errors").1).collect();
    assert!(stable.len() > 15 && stable.iter().all(|side| *side == count(0, 50)), "{stable:?}");
}

#[test]
fn series_with_times_of_their_own_are_not_gone_where_a_scrape_has_none() {
    let mut store = canary(&(0..12).map(|_| (0, 0, None)).collect::<Vec<_>>());
    // As a collector sends them: when they change.
    for (name, each, labels) in [(1, 2.0, CHAT), (2, 1.0, FAILED)] {
        for k in (0..12).step_by(name) {
            let target = [("namespace", "fintech"), ("pod", CANARY), ("job", "pods"), ("instance", CANARY)];
            let labels = [&[("__name__", REQUESTS)], &target[..], labels].concat();
            store.put(&labels, f64::from(k) * 5.0 - 4.0 + name as f64 / 3.0, 40.0 + each * f64::from(k));
        }
    }
    let seen = told(&store, &subject(vec![errors()]));
    assert!(seen.len() > 8 && seen.iter().all(Result::is_ok), "{seen:?}");
    assert_eq!(seen[1..9].iter().map(|window| window.unwrap().1).sum::<u64>(), 8 * 3, "{seen:?}");
}

/// Asks at these moments; only what is written down goes from one question to the next.
fn run(store: &Store, subject: &Subject, moments: &[f64]) -> Vec<Window> {
    let mut watch = Watch::default();
    let mut all = Vec::new();
    for moment in moments {
        if let Counts::Windows(windows, next) = store.ask(subject, &Ask::Windows, &watch, *moment) {
            all.extend(windows);
            watch = serde_json::from_str(&serde_json::to_string(&next).unwrap()).unwrap();
        }
    }
    all
}

/// How the starts of the workers differ.
#[derive(Clone, Copy, Debug)]
enum Born {
    Never,
    Together,
    /// As gunicorn forks them.
    Close,
    Apart,
}

/// Who answers a scrape, if anybody does, and what each worker serves until then.
type Turn = (Option<usize>, Vec<(u32, u32)>);

#[derive(Clone, Debug)]
struct Play {
    born: Born,
    /// What each worker had counted when the play begins.
    had: Vec<(u32, u32)>,
    scrapes: Vec<Turn>,
}

fn play(scrapes: usize) -> impl Strategy<Value = Play> {
    let born = proptest::sample::select(&[Born::Never, Born::Together, Born::Close, Born::Apart][..]);
    (2..=4_usize, born, prop_oneof![Just(0.1), Just(0.2), Just(0.7)]).prop_flat_map(move |(workers, born, flips)| {
        let had = prop::collection::vec(prop_oneof![Just((0, 0)), (0..200_u32, 0..20_u32)], workers);
        let served = prop::collection::vec(prop_oneof![Just((0, 0)), (0..6_u32, 0..2_u32)], workers);
        let who = (prop::bool::weighted(flips), 0..workers, prop::bool::weighted(0.95));
        (had, prop::collection::vec((who, served), scrapes)).prop_map(move |(had, scrapes)| {
            let mut answers = 0;
            let scrapes = scrapes.into_iter().map(|((flips, who, there), served)| {
                answers = if flips { who } else { answers };
                (there.then_some(answers), served)
            });
            Play { born, had, scrapes: scrapes.collect() }
        })
    })
}

/// The samples, and what all workers together have served in the end and at the first scrape: requests and bad ones.
fn perform(play: &Play) -> (Store, [(u64, u64); 2]) {
    let mut counts = play.had.clone();
    let mut scrapes = Vec::new();
    let sum = |counts: &[(u32, u32)]| {
        let bad: u64 = counts.iter().map(|(_, bad)| u64::from(*bad)).sum();
        (bad, bad + counts.iter().map(|(good, _)| u64::from(*good)).sum::<u64>())
    };
    let mut first = None;
    for (who, served) in &play.scrapes {
        for ((good, bad), (more, worse)) in counts.iter_mut().zip(served) {
            (*good, *bad) = (*good + more, *bad + worse);
        }
        let Some(who) = who else {
            scrapes.push(None);
            continue;
        };
        first.get_or_insert_with(|| sum(&counts));
        let start = START as f64 - 2_000.0;
        let born = match play.born {
            Born::Never => None,
            Born::Together => Some(start),
            Born::Close => Some(start + 0.08 * *who as f64),
            Born::Apart => Some(start + 37.0 * *who as f64),
        };
        scrapes.push(Some((counts[*who].0, counts[*who].1, born)));
    }
    (scraped(&scrapes), [sum(&counts), first.unwrap_or_default()])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn however_workers_take_turns_what_is_counted_was_served_and_a_restarted_operator_counts_the_same(
        play in play(40),
        mut moments in prop::collection::vec(1.0..200.0_f64, 0..30),
    ) {
        let (store, served) = perform(&play);
        let subject = subject(vec![errors()]);
        moments.push(200.0);
        moments.sort_by(f64::total_cmp);
        let once = run(&store, &subject, &[200.0]);
        let often = run(&store, &subject, &moments);
        prop_assert_eq!(read(&once), read(&often));
        prop_assert_eq!(&once, &often);
        is_served(&play, &once, served)?;
    }

    #[test]
    fn in_a_long_attempt_what_is_counted_was_served_too(play in play(240)) {
        let (store, served) = perform(&play);
        is_served(&play, &run(&store, &subject(vec![errors()]), &[1_200.0]), served)?;
    }
}

/// What is counted is no more than what was served, since the first scrape where the processes can be told apart.
fn is_served(play: &Play, windows: &[Window], [served, first]: [(u64, u64); 2]) -> Result<(), TestCaseError> {
    let counted: Vec<(u64, u64)> = read(windows).into_iter().flatten().collect();
    let (bad, total) = counted.iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    prop_assert!(total <= served.1, "{total} of {}: {counted:?}", served.1);
    if matches!(play.born, Born::Apart) {
        prop_assert!(total <= served.1 - first.1, "{total} of {}: {counted:?}", served.1 - first.1);
        prop_assert!(bad <= served.0 - first.0, "{bad} of {}: {counted:?}", served.0 - first.0);
    }
    Ok(())
}

/// An hour of stable, scraped each 15 s; `one(k)` is its k-th scrape.
fn hour(one: impl Fn(u32) -> Scrape) -> Store {
    let mut store = Store::default();
    for k in 0..=240 {
        scrape(&mut store, STABLE, f64::from(k) * 15.0 - 3_600.0, one(k));
    }
    store
}

fn before(store: &Store, subject: &Subject) -> Result<Before, Unfit> {
    match store.ask(subject, &Ask::Baseline, &Watch::default(), 1.0) {
        Counts::Baseline { mut gates, .. } => gates.remove("errors").unwrap(),
        other => panic!("{other:?}"),
    }
}

/// Two workers with as many requests each, of which the second answers the scrapes of `second`.
fn two(born: [Option<f64>; 2], second: impl Fn(u32) -> bool) -> Store {
    hour(|k| if second(k) { (30_000 + 10 * k, 40, born[1]) } else { (10_000 + 10 * k, 90, born[0]) })
}

#[test]
fn preflight_knows_several_processes_by_their_start_times_and_says_what_to_set() {
    let start = START as f64 - 90_000.0;
    // It may see the second one in a single slice, or not before the last minutes; a parent forks them within a second.
    let once = |k| (100..104).contains(&k);
    for (born, second) in [
        ([start, start + 30.0], Box::new(once) as Box<dyn Fn(u32) -> bool>),
        ([start + 30.0, start], Box::new(once)),
        ([start, start + 30.0], Box::new(|k| k > 220)),
        ([start, start + 0.08], Box::new(|k| (100..140).contains(&k))),
    ] {
        let unfit = before(&two(born.map(Some), second), &subject(vec![errors()])).unwrap_err();
        assert_eq!((unfit.reason, unfit.fatal), (Unknown::NonMonotone, false));
        assert!(unfit.message.contains("process_start_time_seconds goes back and forth"), "{}", unfit.message);
        assert!(unfit.message.contains("PROMETHEUS_MULTIPROC_DIR"), "{}", unfit.message);
    }
}

#[test]
fn preflight_knows_several_processes_by_counters_that_fall_and_come_back() {
    let start = START as f64 - 90_000.0;
    for born in [None, Some(start)] {
        let rare = two([born; 2], |k| (100..140).contains(&k));
        let unfit = before(&rare, &subject(vec![errors()])).unwrap_err();
        assert_eq!(
            unfit.message,
            "several processes answer behind the /metrics of shop-aaaaaaaaaa-7d9f-x1: a counter of it fell although \
             nothing restarted, 2 times in the time before; what one of them counts is not what users got: run one \
             process per pod (`--workers 1`, and more replicas), or let them count together (PROMETHEUS_MULTIPROC_DIR, \
             the multiprocess mode of prometheus_client)"
        );
        // With nearly equal loads, each scrape another one.
        let often = hour(|k| (5_000 + 10 * k + if k / 4 % 2 == 0 { 0 } else { 90 }, 9, born));
        assert!(before(&often, &subject(vec![errors()])).unwrap_err().message.starts_with("several processes"));
    }
}

#[test]
fn a_process_that_restarted_once_or_twice_is_one_process() {
    let start = START as f64 - 90_000.0;
    // Without a start time, with one, and with the last restart as the cluster tells it.
    let at = |k: u32| START as f64 + f64::from(k) * 15.0 - 3_600.0;
    let restarts = |restarts: &'static [u32], tells: bool| {
        hour(move |k| {
            let last = restarts.iter().copied().filter(|restart| *restart <= k).max();
            let n = last.map_or(500 + 10 * k, |last| 3 + 10 * (k - last));
            (n, n / 40, tells.then(|| last.map_or(start, |last| at(last) - 4.0)))
        })
    };
    for (when, tells) in
        [(&[90_u32][..], true), (&[90, 91], true), (&[90, 150], false), (&[10, 236], false), (&[239], false)]
    {
        let before = before(&restarts(when, tells), &subject(vec![errors()])).unwrap();
        let Side::Count { total, .. } = before.side else { panic!() };
        assert!((1_900..=2_450).contains(&total), "{total} with restarts at {when:?}");
    }
}

#[test]
fn a_young_process_that_crashes_again_and_again_is_one_process() {
    let start = START as f64 - 90_000.0;
    let store = hour(|k| {
        let n = 10 * (k % 40) + 1;
        (n, 0, Some(start + f64::from(k / 40) * 600.0 + 86_400.0))
    });
    assert!(before(&store, &subject(vec![errors()])).is_ok());
}
