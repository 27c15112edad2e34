//! What one tenant can make the operator spend, one JSON object a line: each beside the bound that it must stay under.
//! Fails where one does not. The bounds are the chart's limit of memory, and what a rollback may be delayed by.

use std::{fmt::Write as _, time::Instant};

use microapp_core::{
    counts::{Ask, Watch},
    strategy::{Gate, GateKind, Preset, Share},
};
use microapp_telemetry::{PodRef, PriceTable, Subject, decode::decode, digest, queries};
use serde_json::json;

const START: i64 = 1_790_000_000;
const REQUESTS: &str = "gen_ai_client_operation_duration_seconds_count";
/// Seconds of one processor that an answer, or the text of a query, may cost.
const SECONDS: f64 = 1.0;
/// The chart's `resources.limits.memory`.
const MEMORY: f64 = 256.0;

fn gate(name: &str, kind: GateKind) -> Gate {
    let source = Preset::OtelGenai;
    Gate { name: name.to_owned(), kind, source, fallbacks: Vec::new(), defaulted: false, advisory: false }
}

fn subject(gates: Vec<Gate>) -> Subject {
    let pod = |name: &str| PodRef { name: name.to_owned(), started: (START - 86_400) as f64 };
    Subject {
        namespace: "fintech".to_owned(),
        name: "shop".to_owned(),
        port: 8080,
        stable: "aaaaaaaaaa".to_owned(),
        canary: Some("bbbbbbbbbb".to_owned()),
        gates,
        attempt_started: START as f64,
        step_since: None,
        weight_ppm: 250_000,
        canary_pods: vec![pod("shop-bbbbbbbbbb-5c4d-y1")],
        stable_pods: vec![pod("shop-aaaaaaaaaa-7d9f-x1")],
        interval: Some(5.0),
        back: None,
        probes: Vec::new(),
        workers: None,
    }
}

fn errors() -> Gate {
    gate("errors", GateKind::Share { what: Share::Errors, max_ppm: Some(10_000) })
}

/// As Prometheus writes it: so many series of one pod, four samples each, `apart` milliseconds from one to the next.
fn body(series: usize, apart: usize) -> String {
    let mut body = r#"{"status":"success","data":{"resultType":"matrix","result":["#.to_owned();
    for index in 0..series {
        let comma = if index == 0 { "" } else { "," };
        let _ = write!(
            body,
            r#"{comma}{{"metric":{{"__name__":"{REQUESTS}","gen_ai_operation_name":"chat","instance":"10.0.0.1:8080","job":"pods","namespace":"fintech","pod":"shop-bbbbbbbbbb-5c4d-y1","user":"{index}"}},"values":["#
        );
        for sample in 0..4 {
            let comma = if sample == 0 { "" } else { "," };
            let millis = index * apart % 5_000;
            let at = START + 5 * sample + i64::try_from(millis / 1_000).unwrap_or(0);
            let _ = write!(body, r#"{comma}[{at}.{:03},"{sample}"]"#, millis % 1_000);
        }
        body.push_str("]}");
    }
    body.push_str("]}}");
    body
}

/// Resident memory of this process in MiB.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).and_then(|kib| kib.parse::<f64>().ok());
    kib.unwrap_or(f64::NAN) / 1024.0
}

/// The figures that are over their bounds.
#[derive(Debug, Default)]
struct Over(Vec<String>);

impl Over {
    fn say(&mut self, name: &str, value: f64, unit: &str, n: usize, bound: f64) {
        println!("{}", json!({"name": name, "value": value, "unit": unit, "n": n, "bound": bound}));
        if value >= bound {
            self.0.push(format!("{name}: {value} {unit} is not under {bound} {unit}"));
        }
    }
}

fn main() -> Result<(), String> {
    let mut over = Over::default();
    let prices = PriceTable::built_in().map_err(|error| error.to_string())?;
    let now = START as f64 + 21.0;
    // Series with times of their own: each moment times each series.
    for (name, series, apart) in [("aligned", 16_000, 0), ("scattered", 16_000, 1), ("scattered_few", 900, 5)] {
        let answer = decode(body(series, apart).as_bytes()).map_err(|error| error.to_string())?;
        let gates = (0..4).map(|index| Gate { name: format!("errors-{index}"), ..errors() }).collect();
        let subject = subject(gates);
        let begun = Instant::now();
        let counts = digest(&subject, &Ask::Windows, &Watch::default(), &[answer], &prices, now);
        drop(counts);
        over.say(&format!("attack.series.{name}"), begun.elapsed().as_secs_f64(), "s", series, SECONDS);
    }
    // Regular expressions that take long to compile, as many as a rollout may have gates.
    let promql = format!("sum(x{{a=~\"{}\"}})", r"\\pL{60}".repeat(40));
    let query = |index: usize| {
        let kind = GateKind::Query { promql: promql.clone(), min: None, max: Some(1_000_000_000), breaches: 3, of: 5 };
        gate(&format!("query-{index}"), kind)
    };
    let own = subject((0..16).map(query).collect());
    let begun = Instant::now();
    let asked = queries(&own, &Ask::Windows, &Watch::default(), now);
    over.say("attack.regex", begun.elapsed().as_secs_f64(), "s", own.gates.len(), SECONDS);
    drop(asked);
    // The largest answers that are taken, all of four at once.
    let largest = body(27_000, 0);
    let before = resident();
    let begun = Instant::now();
    let held: Vec<_> = (0..4).filter_map(|_| decode(largest.as_bytes()).ok()).collect();
    over.say("attack.answers.decode", begun.elapsed().as_secs_f64() / 4.0, "s", largest.len(), SECONDS);
    over.say("attack.answers.held", resident() - before, "MiB", held.len(), MEMORY);
    if over.0.is_empty() { Ok(()) } else { Err(over.0.join("; ")) }
}
