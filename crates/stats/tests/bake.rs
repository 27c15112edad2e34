//! The bake at 100 %, beyond the vectors.

mod common;

use common::{close, gate, window};
use microapp_stats::BakeGate;

fn over() -> BakeGate {
    let mut bake = BakeGate::new(&gate());
    for k in 1.. {
        bake.window(&window(k, (250, 30), (0, 0)));
        if bake.over() {
            return bake;
        }
    }
    unreachable!()
}

#[test]
fn a_shared_incident_steps_back_once_and_is_undecided_after_ten_minutes() {
    let mut bake = over();
    assert!(!bake.fires(), "nothing was compared yet");
    bake.step_back(100.0);
    assert_eq!(bake.stepped_back(), Some(100.0));
    assert!(!bake.over() && !bake.baking());
    let evidence = bake.ln_e_bake();
    for k in 21..140 {
        bake.window(&window(k, (62, 6), (188, 19)));
    }
    close(bake.ln_e_bake(), evidence);
    assert!(!bake.fires());
    assert!(!bake.undecided(699.0));
    assert!(bake.undecided(700.0));
}

#[test]
fn a_canary_that_is_worse_than_stable_fires_after_the_step_back() {
    let mut bake = over();
    bake.step_back(10.0);
    for k in 3..6 {
        bake.window(&window(k, (62, 8), (188, 1)));
    }
    assert!(bake.fires());
    assert!(!bake.undecided(1000.0));
    close(bake.ln_e(), bake.ln_e_bake().min(bake.ln_e_rel1()));
}

#[test]
fn a_second_bake_starts_fresh_and_remembers_that_the_step_back_is_used() {
    let mut bake = over();
    assert!(!bake.back_used());
    bake.step_back(10.0);
    bake.resume();
    assert!(bake.baking() && bake.back_used());
    close(bake.ln_e(), 0.0);
    for k in 3..20 {
        bake.window(&window(k, (250, 30), (0, 0)));
    }
    assert!(bake.over(), "for the caller to hold");
    assert!(!bake.fires());
}

#[test]
fn a_gap_after_the_step_back_compares_nothing() {
    let mut bake = over();
    bake.step_back(10.0);
    let mut gap = window(3, (400, 40), (1200, 5));
    gap.gap = true;
    bake.window(&gap);
    close(bake.ln_e_rel1(), 0.0);
}
