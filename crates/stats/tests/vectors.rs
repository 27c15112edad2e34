//! Every vector that an independent implementation computed twice, to 1e-9 in ln E.
#![allow(clippy::unwrap_used)]

mod common;

use common::close;
use microapp_stats::{
    BakeGate, Form, Plain, RateConfig, RateGate, RateWindow, Switch, Tally, acs_ln_e, acs_lower, inc_absolute,
    inc_relative, ln_e_pass, log_mean_exp,
};
use serde_json::Value;

fn vectors(prefix: &str) -> Vec<Value> {
    let all: Vec<Value> = serde_json::from_str(include_str!("vectors.json")).unwrap();
    let chosen: Vec<_> = all.into_iter().filter(|v| v["name"].as_str().unwrap().starts_with(prefix)).collect();
    assert!(!chosen.is_empty(), "no vector is called {prefix}");
    chosen
}

fn number(params: &Value, key: &str) -> f64 {
    params[key].as_f64().unwrap_or_else(|| panic!("{key} in {params}"))
}

fn floats(row: &Value) -> Vec<f64> {
    row.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn rows(value: &Value) -> Vec<Vec<f64>> {
    value.as_array().unwrap().iter().map(floats).collect()
}

fn agree(got: &[f64], vector: &Value) {
    let want = floats(&vector["expect"]);
    assert_eq!(got.len(), want.len(), "{}", vector["name"]);
    for (got, want) in got.iter().zip(want) {
        close(*got, want);
    }
}

/// How many figures a vector holds: numbers, verdicts, and whether preflight refused.
fn figures(value: &Value) -> usize {
    match value {
        Value::Array(values) => values.iter().map(figures).sum(),
        Value::Object(values) => values.values().map(figures).sum(),
        Value::Null => 0,
        Value::Bool(_) | Value::Number(_) | Value::String(_) => 1,
    }
}

#[test]
fn no_kind_of_vector_is_left_out() {
    let tested =
        ["absolute,", "pass,", "relative,", "A ", "B ", "C ", "D ", "I ", "J ", "K ", "L ", "M ", "N ", "P ", "Q "];
    let covered: usize = tested.iter().map(|prefix| vectors(prefix).len()).sum();
    assert_eq!(covered, vectors("").len());
    let numbers: usize = vectors("").iter().map(|v| figures(&v["expect"]) + figures(&v["params"]["before"])).sum();
    assert_eq!(numbers, 692);
}

#[test]
fn single_looks_agree() {
    for vector in vectors("absolute, plain, one look") {
        let p = &vector["params"];
        agree(&[log_mean_exp(&inc_absolute(number(p, "n"), number(p, "x"), number(p, "p0"), 1.0))], &vector);
    }
    for vector in vectors("pass, one look") {
        let p = &vector["params"];
        agree(&[ln_e_pass(number(p, "n"), number(p, "x"), number(p, "p_bad"), 1.0)], &vector);
    }
    for vector in vectors("relative, plain, one look") {
        let p = &vector["params"];
        let [nc, xc, ns, xs, rho0] = ["n_c", "x_c", "n_s", "x_s", "rho0"].map(|key| number(p, key));
        agree(&[log_mean_exp(&inc_relative(nc, xc, ns, xs, rho0, 1.0))], &vector);
    }
}

#[test]
fn sequences_agree_in_both_forms() {
    for vector in vectors("A ").into_iter().chain(vectors("B ")) {
        let p = &vector["params"];
        let increments =
            rows(&p["windows_n_x"]).into_iter().map(|w| inc_absolute(w[0], w[1], number(p, "p0"), number(p, "phi")));
        let got: Vec<f64> = if let Some(t_max) = p["t_max"].as_u64() {
            let mut process = Switch::with_t_max(t_max);
            increments.map(|inc| process.step(&inc)).collect()
        } else {
            let mut process = Plain::default();
            increments.map(|inc| process.step(&inc)).collect()
        };
        agree(&got, &vector);
    }
    for vector in vectors("C ") {
        let p = &vector["params"];
        let mut process = Switch::default();
        let got: Vec<f64> = rows(&p["windows_nc_xc_ns_xs"])
            .into_iter()
            .map(|w| process.step(&inc_relative(w[0], w[1], w[2], w[3], number(p, "rho0"), 1.0)))
            .collect();
        agree(&got, &vector);
    }
    for vector in vectors("D ") {
        let p = &vector["params"];
        let got: Vec<f64> = rows(&p["running_totals_n_x"])
            .into_iter()
            .map(|w| ln_e_pass(w[0], w[1], number(p, "p_bad"), 1.0))
            .collect();
        agree(&got, &vector);
    }
}

#[test]
fn bounds_of_means_agree() {
    for vector in vectors("I ") {
        let p = &vector["params"];
        let (mean, var, alpha) = (number(p, "mean"), number(p, "var"), number(p, "alpha"));
        let t = p["t"].as_u64().unwrap();
        agree(&[acs_lower(mean, var, t, alpha), acs_ln_e(mean, var, t, alpha)], &vector);
    }
}

fn tally(row: &Value, at: usize) -> Tally {
    Tally::new(row[at].as_u64().unwrap(), row[at + 1].as_u64().unwrap())
}

fn window(row: &Value, k: usize, interval: f64) -> RateWindow {
    let near = |i: usize| row[4]["near"].get(i).map(|near| tally(near, 0));
    RateWindow {
        t: (k + 1) as f64 * interval,
        dt: interval,
        canary: tally(row, 0),
        stable: tally(row, 2),
        pending: 0,
        idle: 0,
        alone: false,
        gap: row[4]["gap"].as_bool().unwrap_or(false),
        near: [near(0), near(1)],
    }
}

fn verdict(gate: &RateGate, next_weight: f64) -> &'static str {
    match () {
        () if gate.fires() => "fail",
        () if gate.hot_fix_passes(next_weight) => "pass",
        () if gate.guarded() => "guard",
        () if gate.passes(next_weight) => "pass",
        () => "hold",
    }
}

fn whole_gate_agrees(prefix: &str) {
    for vector in vectors(prefix) {
        let p = &vector["params"];
        let config = RateConfig {
            slo: Some(p["slo"].as_f64().unwrap_or(0.01)),
            alpha_g: 0.0025,
            beta: 0.05,
            epsilon: 0.005,
            phi: 1.0,
            tau: 3600.0,
            form: Form::Switch,
        };
        let next_weight = number(p, "next_weight");
        let interval = p["interval"].as_f64().unwrap_or(5.0);
        let mut gate = RateGate::new(config, Tally::new(p["base_n"].as_u64().unwrap(), p["base_x"].as_u64().unwrap()));
        close(gate.p_bad(next_weight), number(&p["before"], "p_bad"));
        close(gate.floor(), number(&p["before"], "floor"));
        assert_eq!(gate.refused(next_weight), p["before"]["refused"].as_bool().unwrap());
        let (windows, expected) = (p["windows"].as_array().unwrap(), vector["expect"].as_array().unwrap());
        assert_eq!(windows.len(), expected.len());
        for (k, (row, want)) in windows.iter().zip(expected).enumerate() {
            gate.window(&window(row, k, interval));
            let got = gate.processes();
            for (key, got) in [
                ("e_slo", got.slo.unwrap()),
                ("e_floor", got.floor),
                ("e_any", got.any),
                ("e_rel1", got.rel1),
                ("e_rel15", got.rel15),
                ("e_rel3", got.rel3),
                ("pass", gate.ln_e_pass(next_weight)),
                ("hot_fix", gate.ln_e_hot_fix(next_weight)),
                ("p_bad", gate.p_bad(next_weight)),
            ] {
                assert!((got - number(want, key)).abs() <= 1e-9, "{prefix}, window {k}: {key} is {got}: {want}");
            }
            assert_eq!(verdict(&gate, next_weight), want["verdict"].as_str().unwrap(), "{prefix}, window {k}");
        }
    }
}

#[test]
fn a_whole_gate_agrees_through_an_incident() {
    whole_gate_agrees("J ");
}

#[test]
fn a_latency_gate_at_the_last_step_agrees() {
    whole_gate_agrees("K ");
}

#[test]
fn a_canary_that_drags_stable_down_is_found_under_the_guard() {
    whole_gate_agrees("L ");
}

#[test]
fn pairing_at_low_traffic_agrees() {
    whole_gate_agrees("M ");
}

#[test]
fn gaps_and_neighbouring_windows_agree() {
    whole_gate_agrees("N ");
}

#[test]
fn hot_fixes_agree() {
    whole_gate_agrees("P ");
}

#[test]
fn a_bake_that_steps_back_agrees() {
    for vector in vectors("Q ") {
        let mut bake = BakeGate::new(&common::gate());
        for (k, (row, want)) in
            vector["params"]["windows"].as_array().unwrap().iter().zip(vector["expect"].as_array().unwrap()).enumerate()
        {
            bake.window(&window(row, k, 5.0));
            let t = (k + 1) as f64 * 5.0;
            let verdict = match () {
                () if bake.over() => {
                    bake.step_back(t);
                    "lower"
                }
                () if bake.fires() => "fail",
                () if bake.baking() || bake.undecided(t) => "hold",
                () => "decide",
            };
            assert_eq!(verdict, want["verdict"].as_str().unwrap(), "window {k}");
            close(bake.ln_e_bake(), number(want, "e_bake"));
            close(bake.ln_e_rel1(), number(want, "e_rel1"));
        }
    }
}
