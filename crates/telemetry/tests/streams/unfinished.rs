//! Streams that break off and are counted nowhere: what began beside what ended, over an attempt.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use super::*;
use microapp_core::{
    Strategy,
    evidence::{Evidence, Position, fold, judge},
};
use microapp_telemetry::PodRef;
use serde_json::json;

const BEGUN: &str = "gen_ai_client_operation_time_to_first_chunk_seconds_count";
const GENERATED: &str = "llm_chat_completions_streaming_time_to_generate_seconds_count";
const CHAT: &[(&str, &str)] = &[("gen_ai_operation_name", "chat"), (MODEL, PINNED)];

/// What a revision does a second, at a steady pace.
#[derive(Clone, Copy)]
struct Flow {
    /// Calls that are not streamed, and streams.
    calls: f64,
    streams: f64,
    /// Of a stream that does not end well: so many of one, and nobody counts them.
    broken: f64,
    /// Seconds from the first chunk to the end.
    lasts: f64,
    /// OpenLLMetry counts every stream as a good call, and times those that ended by themselves.
    generates: bool,
}

const GOOD: Flow = Flow { calls: 0.0, streams: 5.0, broken: 0.0, lasts: 2.0, generates: false };

impl Flow {
    /// What it exposes after so many seconds.
    fn scraped(self, store: &mut Store, pod: &str, at: f64, seconds: f64) {
        let through = (seconds - self.lasts).max(0.0);
        let ended = (self.streams * (1.0 - self.broken) * through).floor();
        let counted = if self.generates { (self.streams * through).floor() } else { ended };
        let all = (self.calls * seconds).floor() + counted;
        let bound = format!("{:?}", 2.56 * if self.lasts > 2.56 { 16.0 } else { 1.0 });
        let within: Vec<(&str, &str)> = [CHAT, &[("le", bound.as_str())]].concat();
        let everything: Vec<(&str, &str)> = [CHAT, &[("le", "+Inf")]].concat();
        let begun = (self.streams * seconds).floor();
        let rows: Vec<Counter> = vec![
            (REQUESTS, CHAT, all),
            (BUCKETS, &within, all),
            (BUCKETS, &everything, all),
            (BEGUN, CHAT, begun),
            (GENERATED, CHAT, if self.generates { ended } else { 0.0 }),
        ];
        // A series is born with its first count.
        let rows: Vec<Counter> = rows.into_iter().filter(|(_, _, value)| *value > 0.0).collect();
        store.scrape(pod, at, &rows);
    }
}

/// The verdict of a gate of failed calls each 5 s: `Pass`, or the reason of an Unknown.
fn verdicts(canary: Flow, stable: Flow, until: f64) -> Vec<String> {
    let mut store = Store::default();
    for k in 0..120 {
        stable.scraped(&mut store, STABLE, f64::from(k) * 30.0 - 3_600.0, f64::from(k) * 30.0 + 3_600.0);
    }
    for k in 0..(until / 5.0) as u32 + 2 {
        let at = f64::from(k) * 5.0 - 2.0;
        stable.scraped(&mut store, STABLE, at, at + 7_200.0);
        canary.scraped(&mut store, CANARY, at, at.max(0.0));
    }
    let spec = json!({
        "template": {}, "model": {"provider": "openai", "name": "gpt-5-nano", "version": "2025-08-07"},
        "traffic": {"port": 8080, "gateway": {"parentRefs": [{"name": "g"}]}},
        "strategy": {"tolerance": "10%"},
        "gates": [{"name": "errors", "errorRate": {"max": "1%"}, "telemetry": "otel-genai"}],
    });
    let plan = Strategy::resolve(&serde_json::from_value(spec).unwrap(), "").unwrap();
    let mut subject = subject(plan.gates.clone());
    subject.canary_pods = vec![PodRef { name: CANARY.to_owned(), started: START as f64 - 30.0 }];
    subject.interval = None;
    let mut evidence = Evidence::begin(1, Arc::new(plan), START as f64);
    let at = |step| Position { attempt: 1, step, since: START as f64, paused: false };
    evidence = fold(&evidence, &at(None), &store.ask(&subject, &Ask::Baseline, &Watch::default(), 0.0));
    let step = evidence.strategy.first;
    subject.interval = Some(5.0);
    subject.step_since = Some(START as f64);
    let mut found = Vec::new();
    let mut seconds = 8.0;
    while seconds < until {
        let counts = store.ask(&subject, &Ask::Windows, &evidence.watch, seconds);
        evidence = fold(&evidence, &at(Some(step)), &counts);
        let view = &judge(&evidence, START as f64 + seconds).gates[0];
        found.push(view.unknown.map_or_else(|| format!("{:?}", view.verdict), |why| why.as_str().to_owned()));
        seconds += 5.0;
    }
    found
}

#[test]
fn a_canary_whose_streams_break_off_uncounted_never_passes() {
    let open = "StreamsUnfinished";
    for (name, canary, stable) in [
        ("all of them", Flow { broken: 1.0, ..GOOD }, GOOD),
        ("four of five", Flow { broken: 0.8, ..GOOD }, GOOD),
        ("half of them", Flow { broken: 0.5, ..GOOD }, GOOD),
        ("stable streams nothing", Flow { broken: 0.6, ..GOOD }, Flow { calls: 5.0, streams: 0.0, ..GOOD }),
        (
            "good to OpenLLMetry, which times those that end",
            Flow { broken: 0.5, calls: 5.0, generates: true, ..GOOD },
            Flow { calls: 5.0, generates: true, ..GOOD },
        ),
        ("users of both leave a fifth", Flow { broken: 0.7, ..GOOD }, Flow { broken: 0.2, ..GOOD }),
    ] {
        let found = verdicts(canary, stable, 180.0);
        assert_eq!(found.last().unwrap(), open, "{name}: {found:?}");
        assert!(!found.iter().skip(8).any(|word| word == "Pass"), "{name}: {found:?}");
    }
}

#[test]
fn a_canary_whose_streams_end_passes_however_long_they_are_and_whoever_leaves() {
    for (name, flow) in [
        ("short ones", GOOD),
        ("few of them", Flow { streams: 0.5, ..GOOD }),
        ("half of the calls are streamed", Flow { calls: 5.0, ..GOOD }),
        ("long ones", Flow { lasts: 30.0, ..GOOD }),
        ("a fifth of the users leave", Flow { broken: 0.2, ..GOOD }),
        ("a fifth of the users leave, and OpenLLMetry tells", Flow { broken: 0.2, generates: true, ..GOOD }),
    ] {
        let found = verdicts(flow, flow, 300.0);
        assert_eq!(found.last().unwrap(), "Pass", "{name}: {found:?}");
    }
}

#[test]
fn a_canary_that_begins_to_stream_passes_where_its_streams_end() {
    let found = verdicts(GOOD, Flow { calls: 5.0, streams: 0.0, ..GOOD }, 180.0);
    assert_eq!(found.last().unwrap(), "Pass", "{found:?}");
}
