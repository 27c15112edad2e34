//! The tables of `docs/telemetry.md` that say what each instrumentation is good for, cell by cell on what it exposed. The
//! figures themselves stand in `outcomes`, `streams`, `users` and `examples`.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;

use common::{exposition::capture, *};
use microapp_core::{
    counts::{Ask, Before, Counts, Unfit, Watch},
    strategy::{Gate, GateKind, Mean, Preset, Share, Slow},
};

const DOCS: &str = include_str!("../../../docs/telemetry.md");

/// Rows of the table that begins with these columns, by column.
fn table(first: &str) -> Vec<BTreeMap<&'static str, &'static str>> {
    let cells = |line: &'static str| line.trim_matches('|').split('|').map(str::trim);
    let mut lines = DOCS.lines().skip_while(|line| !line.starts_with(first)).take_while(|line| line.starts_with('|'));
    let columns: Vec<&str> = cells(lines.next().unwrap()).collect();
    lines.skip(1).map(|line| columns.iter().copied().zip(cells(line)).collect()).collect()
}

/// Which capture a row was run on.
fn run(row: &BTreeMap<&'static str, &'static str>) -> &'static str {
    row["run"].trim_matches(['[', ']'])
}

fn kind(column: &str, source: Preset, accepted: &[&str]) -> Option<GateKind> {
    // At a bound of OpenTelemetry's own buckets, and of the HTTP ones; LiteLLM has neither.
    let max_micros = if source == Preset::OtelGenai { 2_560_000 } else { 2_500_000 };
    let slow = |what| GateKind::Slow { what, slow_ppm: 50_000, max_micros, own: None };
    Some(match column {
        "errors" => GateKind::Share { what: Share::Errors, max_ppm: Some(50_000) },
        "client errors" => GateKind::Share { what: Share::ClientErrors, max_ppm: None },
        "latency" => slow(Slow::Response),
        "tokens" => GateKind::Mean { what: Mean::Tokens, max: None, max_increase_ppm: Some(100_000) },
        "first token" => slow(Slow::FirstToken),
        "throttling" => GateKind::Share { what: Share::Throttled, max_ppm: Some(50_000) },
        "model" => GateKind::Model { accepted: accepted.iter().map(|name| (*name).to_owned()).collect() },
        _ => return None,
    })
}

fn asked(name: &str, gate: Gate) -> Result<Before, Unfit> {
    let mut store = Store::default();
    let rollout = if name == "litellm" { name } else { "shop" };
    store.exposes(&format!("{rollout}-aaaaaaaaaa-7d9f-x1"), &[-600.0, -300.0, -60.0], &capture(name));
    let (mut subject, name) = (subject(vec![gate.clone()]), gate.name);
    rollout.clone_into(&mut subject.name);
    match store.ask(&subject, &Ask::Baseline, &Watch::default(), 0.0) {
        Counts::Baseline { mut gates, .. } => gates.remove(&name).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// The word that the cell begins with.
fn word(found: &Result<Before, Unfit>) -> &'static str {
    match found {
        Ok(Before { caveat: None, .. }) => "right",
        Ok(_) => "partly",
        Err(Unfit { message, .. }) if message.starts_with("stable has no series") => "–",
        Err(_) => "refused",
    }
}

fn check(row: &BTreeMap<&'static str, &'static str>, source: Preset, wrong: &mut Vec<String>) -> usize {
    let name = run(row);
    let accepted: &[&str] = if name.contains("anthropic") {
        &["claude-haiku-4-5", "claude-haiku-4-5-20251001"]
    } else {
        &["gpt-5-nano", "gpt-5-nano-2025-08-07"]
    };
    let gates = row.iter().filter_map(|(column, cell)| Some((column, cell, kind(column, source, accepted)?)));
    let mut checked = 0;
    for (column, cell, kind) in gates {
        let found = asked(name, gate(column, kind, source));
        // Where nothing at all is exposed, that is what the row says.
        let word = if row["errors"].starts_with("refused: spans") { "refused" } else { word(&found) };
        if !cell.starts_with(word) {
            wrong.push(format!("{name}, {column}: the page says {cell:?}, it is {word}: {found:?}"));
        }
        checked += 1;
    }
    checked
}

#[test]
fn every_cell_says_what_preflight_makes_of_it() {
    let calls = table("| instrumentation | errors");
    let users = table("| instrumentation | gates by");
    assert!(calls.len() >= 13 && users.len() >= 12, "{} and {}", calls.len(), users.len());
    let mut wrong = Vec::new();
    let mut checked = 0;
    for row in &calls {
        let source = if run(row) == "litellm" { Preset::Litellm } else { Preset::OtelGenai };
        checked += check(row, source, &mut wrong);
    }
    for row in users.iter().filter(|row| row["gates by"] == "`otel-http`") {
        checked += check(row, Preset::OtelHttp, &mut wrong);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(checked, 6 * calls.len() + 4 * 5);
}

/// Their figures are held in `examples`, so each must have one; and the preset has nothing for them.
#[test]
fn what_the_preset_does_not_read_has_an_example() {
    for row in table("| instrumentation | gates by").iter().filter(|row| row["gates by"] != "`otel-http`") {
        let name = run(row);
        assert!(DOCS.contains(&format!("<!-- tested on {name} -->")), "{name}");
        let failed = gate("errors", kind("errors", Preset::OtelHttp, &[]).unwrap(), Preset::OtelHttp);
        assert_eq!(word(&asked(name, failed)), "–", "{name}");
    }
}
