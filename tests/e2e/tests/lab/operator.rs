//! The operator killed in mid-ramp.

use microapp_e2e::{App, alone};

#[test]
fn a_ramp_goes_on_where_it_was_when_the_operator_is_killed() {
    let mut app = App::new("operator").steps(&[("10", "3s"), ("30", "3s"), ("60", "3s"), ("100", "3s")]);
    app.start();
    app.baseline();
    let turn = alone();
    app.users(200.0);
    app.release(&[("RELEASE", "2")]);
    app.until_weight(60, 10.0);
    app.cluster.kill_operator();
    app.until_weight(180, 30.0);
    app.cluster.kill_operator();
    app.until_weight(180, 60.0);
    drop(turn);
    assert_eq!(app.history.weights(2)[..4], [0.0, 10.0, 30.0, 60.0], "{:?}", app.history.all());
    assert!(app.history.all().iter().all(|seen| seen.attempt <= 2), "{:?}", app.history.all());
    assert_eq!(app.load().summary().all.bad, 0, "{}", app.load().summary());
    app.done();
}
