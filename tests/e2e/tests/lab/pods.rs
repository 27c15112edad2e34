//! What pods tell without Prometheus.

use microapp_e2e::{App, Fault, alone};
use microapp_lab::Part;

#[test]
fn a_crash_looping_canary_is_reverted_while_prometheus_is_frozen() {
    let mut app = App::new("pods").steps(&[("20", "10m"), ("100", "5s")]);
    let stable = app.start();
    app.baseline();
    let turn = alone();
    app.users(50.0);
    app.release(&[("FAULT_CRASH_AFTER_SECONDS", "40")]);
    let bad = app.until_weight(60, 20.0);
    let away = Fault::freeze(Part::Prometheus);
    let aborted = app.until_reverted(180);
    away.end();
    drop(turn);
    assert_eq!(aborted.cause, "CrashLoop");
    assert!(app.answers(&bad).0 > 0, "users never reached it: {}", app.load().summary());
    assert_eq!(app.view().stable(), Some(stable.as_str()));
    app.until(30, "the word of the status", |view| (view.condition("Stalled")?.1 == "CrashLoop").then_some(()));
    assert_eq!(app.microapp("status", &["--exit-code"]).0, 4);
    app.done();
}
