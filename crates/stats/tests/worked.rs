//! The worked examples of docs/how-it-decides.md are what a gate says of these windows.
#![allow(clippy::unwrap_used)]

mod common;

use common::config;
use microapp_stats::{BakeGate, RateConfig, RateGate, RateWindow, Rule, Tally};

/// What stable did before: 0.5 % of an hour at 50 requests a second.
const BEFORE: Tally = Tally { n: 180_000, fail: 900, pass: 900 };

/// A window of 5 s.
fn window(k: u64, canary: (u64, u64), stable: (u64, u64)) -> RateWindow {
    common::window(k, canary, stable)
}

/// Windows of the same counts until the gate says something: `seconds | canary | stable | what`.
fn row(name: &str, max: f64, before: Tally, [canary, stable]: [(u64, u64); 2], next_weight: f64) -> String {
    let mut gate = RateGate::new(RateConfig { slo: Some(max), ..config() }, before);
    for k in 1..=360 {
        gate.window(&window(k, canary, stable));
        let stand = gate.stand(next_weight);
        let said = match (stand.fires, stand.passes, stand.hot_fix) {
            (true, _, _) => {
                let rule = match stand.rule {
                    Rule::Worse => "worse",
                    Rule::Clearly => "clearly worse",
                    Rule::Far => "far worse",
                };
                format!("Fail by the rule *{rule}*")
            }
            (false, true, true) => "Pass as a hot fix".to_owned(),
            (false, true, false) => "Pass".to_owned(),
            (false, false, _) if k == 360 && gate.guarded() => "Unknown(Guarded): the ramp is paused".to_owned(),
            (false, false, _) => continue,
        };
        let of = |(n, bad): (u64, u64)| format!("{} of {}", bad * k, n * k);
        let evidence = if stand.fires { format!("{:.0}", stand.ln_fail.exp()) } else { "–".to_owned() };
        return format!("| {name} | {} s | {} | {} | {evidence} | {said} |", k * 5, of(canary), of(stable));
    }
    panic!("{name}: nothing was decided in half an hour");
}

/// The bake of a canary that fails a twentieth: when it steps back, and when the comparison after it fails.
fn bake() -> String {
    let mut gate = RateGate::new(config(), BEFORE);
    gate.new_step();
    let mut bake = BakeGate::new(&gate);
    let back = (1..=360).find(|k| {
        bake.window(&window(*k, (250, 12), (0, 0)));
        bake.over()
    });
    let back = back.unwrap();
    bake.step_back(back as f64 * 5.0);
    let failed = (back + 1..=360).find(|k| {
        let window = window(*k, (62, 3), (188, 1));
        gate.window(&window);
        bake.window(&window);
        gate.fires() || bake.fires()
    });
    format!("| bake | {} s | {} s |", back * 5, (failed.unwrap() - back) * 5)
}

#[test]
fn the_worked_examples_of_the_documentation_are_what_a_gate_says() {
    let rows = [
        row("everything fails", 0.01, BEFORE, [(2, 2), (248, 1)], 0.05),
        row("a fifth fails", 0.01, BEFORE, [(20, 4), (1980, 10)], 0.25),
        row("a twentieth fails", 0.01, BEFORE, [(20, 1), (1980, 10)], 0.25),
        row("a little over the limit", 0.01, Tally::new(180_000, 1620), [(1000, 14), (3000, 27)], 1.0),
        row("below the limit, six times stable", 0.10, BEFORE, [(100, 3), (1900, 10)], 0.25),
        row("both fail a twentieth", 0.01, BEFORE, [(20, 1), (1980, 99)], 0.25),
        row("both are in trouble, the canary more", 0.01, BEFORE, [(20, 8), (1980, 99)], 0.25),
        row("as good as stable", 0.01, BEFORE, [(200, 1), (1800, 9)], 0.25),
        row("stable is the broken one", 0.01, BEFORE, [(20, 0), (1980, 400)], 0.25),
        bake(),
    ];
    let page = std::fs::read_to_string("../../docs/how-it-decides.md").unwrap();
    let missing: Vec<_> = rows.iter().filter(|row| !page.contains(row.as_str())).collect();
    assert!(missing.is_empty(), "docs/how-it-decides.md lacks:\n{}", rows.join("\n"));
}
