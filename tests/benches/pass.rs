//! What a pass costs: counts of four gates folded, judged and decided upon, and an answer of Prometheus decoded and
//! counted. `cargo bench -p microapp-tests` shows each with the noise of the machine.
#![allow(clippy::unwrap_used, missing_docs)]

use std::{collections::BTreeMap, fmt::Write as _, hint::black_box, sync::Arc};

use criterion::{Criterion, criterion_group, criterion_main};
use microapp_api::v1alpha1::MicroAppRolloutSpec;
use microapp_core::{
    Evidence, Position, Strategy,
    counts::{Ask, Before, Counts, Side, Sides, Unknown, Watch, Window},
    decide, fold, judge,
    world::Desired,
};
use microapp_telemetry::{PodRef, PriceTable, Subject, decode::decode, digest, queries};
use microapp_tests::golden::Case;
use serde_json::json;

const BASE: &str = include_str!("../golden/base.yaml");

fn strategy() -> Arc<Strategy> {
    let spec: MicroAppRolloutSpec = serde_json::from_value(json!({
        "template": {}, "model": {"provider": "p", "name": "m", "version": "1"},
        "traffic": {"port": 80, "gateway": {"parentRefs": [{"name": "g"}]}},
        "strategy": {"tolerance": "0.5%"},
    }))
    .unwrap();
    Arc::new(Strategy::resolve(&spec, "").unwrap())
}

fn prepared(strategy: &Arc<Strategy>, at: &Position) -> Evidence {
    let before = |side| Ok(Before::of(side, 3600.0));
    let gates = BTreeMap::from([
        ("errors".to_owned(), before(Side::count(900, 180_000))),
        ("latency".to_owned(), before(Side::count(3600, 180_000))),
        ("cost".to_owned(), before(Side::Mean { n: 180_000, sum: 9_000_000_000 })),
        ("grounded".to_owned(), before(Side::Late { bad: 3000, good: 140_000, void: 50, started: 144_000 })),
    ]);
    let evidence = Evidence::begin(3, strategy.clone(), at.since);
    fold(&evidence, &Position { step: None, ..*at }, &Counts::Baseline { gates, interval: 5.0, pins: BTreeMap::new() })
}

/// Two of the four gates have new counts, the others have none.
fn window(end: f64) -> Counts {
    let sides = |canary, stable| Sides { canary: Some(canary), stable: Some(stable), near: [None, None], idle: 0 };
    let gates = BTreeMap::from([
        ("errors".to_owned(), Ok(sides(Side::count(0, 12), Side::count(1, 238)))),
        ("latency".to_owned(), Ok(sides(Side::count(1, 12), Side::count(5, 238)))),
        ("cost".to_owned(), Err(Unknown::NoData)),
        ("grounded".to_owned(), Err(Unknown::NoData)),
    ]);
    let watch = Watch { canary_seen: true, newest: Some(end), ..Watch::default() };
    Counts::Windows(vec![Window { end, length: 5.0, gates, gap: false, inside_step: true }], watch)
}

fn passes(criterion: &mut Criterion) {
    let strategy = strategy();
    let mut case = Case::read(BASE, "{}").unwrap();
    let Desired::Usable(spec) = &mut case.world.desired else { panic!("the base has a usable spec") };
    spec.strategy = (*strategy).clone();
    case.world.status.canary.as_mut().unwrap().plan = Some(strategy.to_pinned());
    let at = Position::of(&case.world);
    let mut evidence = prepared(&strategy, &at);
    for k in 1..=12 {
        evidence = fold(&evidence, &at, &window(at.since + 5.0 * f64::from(k)));
    }
    let (counts, now) = (window(at.since + 65.0), at.since + 66.0);
    criterion.bench_function("fold, judge and decide: four gates, two with new counts", |bencher| {
        bencher.iter(|| {
            let evidence = fold(black_box(&evidence), &at, black_box(&counts));
            decide(black_box(&case.world), case.now, &judge(&evidence, now))
        });
    });
    let judgement = judge(&evidence, now);
    criterion.bench_function("decide", |bencher| {
        bencher.iter(|| decide(black_box(&case.world), case.now, black_box(&judgement)));
    });
}

const START: i64 = 1_790_000_000;
const REQUESTS: &str = "gen_ai_client_operation_duration_seconds_count";

/// 125 pods with `up` and seven counters each: 1 000 series of four samples, 5 s apart.
/// As Prometheus writes it: labels in the order of their names.
fn answer() -> (String, Vec<String>) {
    let mut body = r#"{"status":"success","data":{"resultType":"matrix","result":["#.to_owned();
    let mut pods = Vec::new();
    for pod in 0..125 {
        let revision = if pod < 5 { "bbbbbbbbbb-5c4d" } else { "aaaaaaaaaa-7d9f" };
        let name = format!("shop-{revision}-{pod:05}");
        for series in 0..8 {
            let labels = if series == 0 {
                r#""__name__":"up""#.to_owned()
            } else {
                format!(r#""__name__":"{REQUESTS}","gen_ai_operation_name":"chat","gen_ai_request_model":"m{series}""#)
            };
            let comma = if pod == 0 && series == 0 { "" } else { "," };
            let _ = write!(
                body,
                r#"{comma}{{"metric":{{{labels},"instance":"10.0.0.{pod}:8080","job":"pods","namespace":"fintech","pod":"{name}"}},"values":["#
            );
            for sample in 0..4_i64 {
                let comma = if sample == 0 { "" } else { "," };
                let value = if series == 0 { 1 } else { 1000 + 50 * sample };
                let millis = 100 + 30 * pod;
                let _ = write!(body, r#"{comma}[{}.{millis:04},"{value}"]"#, START - 5 + 5 * sample);
            }
            body.push_str("]}");
        }
        pods.push(name);
    }
    body.push_str("]}}");
    (body, pods)
}

fn answers(criterion: &mut Criterion) {
    let (body, pods) = answer();
    let pod = |name: &String| PodRef { name: name.clone(), started: (START - 86_400) as f64 };
    let subject = Subject {
        namespace: "fintech".to_owned(),
        name: "shop".to_owned(),
        port: 8080,
        stable: "aaaaaaaaaa".to_owned(),
        canary: Some("bbbbbbbbbb".to_owned()),
        gates: strategy().gates.iter().filter(|gate| gate.name == "errors").cloned().collect(),
        attempt_started: START as f64,
        step_since: None,
        weight_ppm: 50_000,
        canary_pods: pods[..5].iter().map(pod).collect(),
        stable_pods: pods[5..].iter().map(pod).collect(),
        interval: Some(5.0),
        back: None,
        probes: Vec::new(),
        workers: None,
    };
    let (prices, now) = (PriceTable::built_in().unwrap(), START as f64 + 15.0);
    let count = |body: &[u8]| {
        let answers = [decode(body).unwrap()];
        digest(&subject, &Ask::Windows, &Watch::default(), &answers, &prices, now)
    };
    assert_eq!(queries(&subject, &Ask::Windows, &Watch::default(), now).len(), 1);
    let Counts::Windows(windows, _) = count(body.as_bytes()) else { panic!("no windows") };
    assert!(windows.len() >= 2 && windows[1].gates["errors"].is_ok(), "{windows:?}");
    criterion.bench_function("decode and count: 1 000 series of 4 samples", |bencher| {
        bencher.iter(|| count(black_box(body.as_bytes())));
    });
}

criterion_group!(benches, passes, answers);
criterion_main!(benches);
