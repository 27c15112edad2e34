//! Verdicts that come later than their requests.
#![allow(clippy::unwrap_used)]

mod common;

use common::{close, late_gate, window};
use microapp_stats::{BakeGate, Plain, inc_absolute, inc_relative, ln_e_pass, log_mean_exp};

#[test]
fn a_bad_verdict_in_a_window_without_requests_is_not_lost() {
    let mut gate = late_gate();
    gate.window(&window(1, (10, 0), (990, 5)));
    gate.window(&window(2, (0, 3), (0, 0)));
    let mut rel1 = Plain::default();
    rel1.step(&inc_relative(10.0, 0.0, 990.0, 5.0, 1.0, 1.0));
    close(gate.processes().rel1, rel1.ln_e());
    close(gate.processes().slo.unwrap(), log_mean_exp(&inc_absolute(10.0, 3.0, 0.01, 1.0)));
    gate.window(&window(3, (10, 0), (990, 5)));
    close(gate.processes().rel1, rel1.step(&inc_relative(10.0, 3.0, 990.0, 5.0, 1.0, 1.0)));
}

#[test]
fn canary_counts_wait_for_requests_of_stable() {
    let mut gate = late_gate();
    gate.window(&window(1, (4, 1), (0, 0)));
    gate.window(&window(2, (0, 1), (0, 0)));
    close(gate.processes().rel3, 0.0);
    gate.window(&window(3, (2, 0), (300, 1)));
    let mut rel3 = Plain::default();
    close(gate.processes().rel3, rel3.step(&inc_relative(6.0, 2.0, 300.0, 1.0, 3.0, 1.0)));
}

#[test]
fn more_bad_verdicts_than_requests_in_a_window_keep_their_weight() {
    let mut gate = late_gate();
    gate.window(&window(1, (20, 0), (400, 2)));
    gate.window(&window(2, (1, 6), (400, 2)));
    close(gate.processes().any, log_mean_exp(&inc_absolute(21.0, 6.0, gate.floor(), 1.0)));
    let mut rel1 = Plain::default();
    rel1.step(&inc_relative(20.0, 0.0, 400.0, 2.0, 1.0, 1.0));
    close(gate.processes().rel1, rel1.step(&inc_relative(1.0, 6.0, 400.0, 2.0, 1.0, 1.0)));
    assert!(gate.ln_e_fail().is_finite());
}

#[test]
fn open_verdicts_count_as_bad_for_a_pass_and_for_nothing_else() {
    let mut gate = late_gate();
    let mut open = window(1, (200, 1), (800, 4));
    open.pending = 7;
    gate.window(&open);
    close(gate.ln_e_pass(0.05), ln_e_pass(200.0, 8.0, gate.p_bad(0.05), 1.0));
    let hot_fix = gate.ln_e_hot_fix(0.05);
    close(gate.processes().slo.unwrap(), log_mean_exp(&inc_absolute(200.0, 1.0, 0.01, 1.0)));
    // They all turn out well.
    gate.window(&window(2, (0, 0), (0, 0)));
    close(gate.ln_e_pass(0.05), ln_e_pass(200.0, 1.0, gate.p_bad(0.05), 1.0));
    assert!(gate.ln_e_hot_fix(0.05) > hot_fix);
}

#[test]
fn never_more_is_bad_than_was_started() {
    let mut gate = late_gate();
    let mut open = window(1, (5, 0), (800, 4));
    open.pending = 90;
    gate.window(&open);
    close(gate.ln_e_pass(0.05), ln_e_pass(5.0, 5.0, gate.p_bad(0.05), 1.0));
}

#[test]
fn a_verdict_that_comes_during_an_incident_still_counts_against_a_pass() {
    let mut gate = late_gate();
    gate.window(&window(1, (100, 0), (900, 4)));
    gate.window(&window(2, (10, 2), (900, 300)));
    assert!(gate.guarded());
    close(gate.ln_e_pass(0.05), ln_e_pass(100.0, 2.0, gate.p_bad(0.05), 1.0));
}

#[test]
fn a_late_bake_counts_on_totals() {
    let gate = late_gate();
    let mut bake = BakeGate::new(&gate);
    bake.window(&window(1, (100, 0), (0, 0)));
    bake.window(&window(2, (0, 4), (0, 0)));
    close(bake.ln_e_bake(), log_mean_exp(&inc_absolute(100.0, 4.0, 0.01_f64.max(gate.floor()), 1.0)));
}
