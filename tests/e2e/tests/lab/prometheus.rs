//! Prometheus away during a ramp.

use microapp_e2e::{App, Fault, alone};
use microapp_lab::Part;

#[test]
fn a_ramp_holds_while_prometheus_is_dead_and_goes_on_when_it_is_back() {
    let mut app = App::new("prometheus").steps(&[("20", "3s"), ("50", "3s"), ("100", "3s")]);
    app.start();
    app.baseline();
    let turn = alone();
    app.users(200.0);
    app.release(&[("RELEASE", "2")]);
    app.until_weight(60, 20.0);
    let away = Fault::kill(Part::Prometheus);
    let before = app.history.all().len();
    let weight = app.view().weight();
    app.until(90, "the word that Prometheus is away", |view| {
        let (_, reason, _) = view.condition("Reconciling")?;
        (reason == "PrometheusUnavailable").then_some(())
    });
    assert_eq!(app.view().weight(), weight, "{:?}", app.history.all());
    assert_eq!(app.history.all()[before..], [], "nothing moves on the clock alone");
    assert_eq!(app.view().condition("Ready").unwrap().1, "Inconclusive");
    away.end();
    app.until_weight(180, 50.0);
    drop(turn);
    assert_eq!(app.history.weights(2)[..3], [0.0, 20.0, 50.0]);
    app.done();
}
