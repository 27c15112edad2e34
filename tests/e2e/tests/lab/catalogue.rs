//! Gates beside the preset's four on a real Prometheus: the user's own counters and queries, guards and the set of models.

use microapp_e2e::{App, beside_others};
use serde_json::json;

const REQUESTS: &str = "gen_ai_client_operation_duration_seconds_count";

#[test]
fn own_queries_guards_and_the_set_of_models_decide_on_a_real_prometheus() {
    let mut app = App::new("catalogue").steps(&[("20", "3s"), ("100", "3s")]).with(&json!({"gates": [
        {"name": "own", "ratio": {"bad": format!("{REQUESTS}{{error_type!=\"\"}}"), "total": REQUESTS, "max": "5%"}},
        {"name": "model", "modelIdentity": {}},
        {"name": "share", "shareCheck": {}},
    ]}));
    app.start();
    app.baseline();
    let turn = beside_others();
    app.users(50.0);

    // Another model than the pinned one answers: nobody knows what is compared, so nothing is raised.
    app.release(&[("FAULT_MODEL", "gpt-4o-mini-2024-07-18")]);
    app.until_weight(120, 20.0);
    app.until(90, "the word that the comparison is void", |view| {
        (view.condition("Reconciling")?.1 == "ComparisonVoid").then_some(())
    });
    let (code, said) = app.microapp("why", &[]);
    assert!(code == 0 && said.contains("another evaluator or model than the pinned one answers"), "{said}");
    assert_eq!(app.history.weights(2), [0.0, 20.0]);

    // A query as people have it for other tools, about the canary's pods; its gates are those of the next attempt.
    let errors = "sum(rate(gen_ai_client_operation_duration_seconds_count{pod=~\"$name-$revision-.*\",error_type!=\"\"}[5s])) \
                  or vector(0)";
    let all = "sum(rate(gen_ai_client_operation_duration_seconds_count{pod=~\"$name-$revision-.*\"}[5s]))";
    app.change(&json!({"gates": [
        {"name": "value", "query": {"promql": format!("({errors}) / {all}"), "max": "0.05", "breaches": 2, "of": 3}},
        {"name": "share", "shareCheck": {}},
    ]}));
    app.release(&[("RELEASE", "3")]);
    app.until(60, "the end of the attempt that was superseded", |_| (!app.history.of(3).is_empty()).then_some(()));
    app.until_promoted(180);

    app.release(&[("FAULT_ERROR_RATE", "1"), ("FAULT_SEED", "7")]);
    app.until(60, "the next attempt", |_| (!app.history.of(4).is_empty()).then_some(()));
    let aborted = app.until_reverted(180);
    assert_eq!((aborted.cause.as_str(), aborted.gate.as_deref()), ("GateFailed", Some("value")));
    let (code, said) = app.microapp("why", &[]);
    assert!(code == 0 && said.contains("2 of 3 make it fail"), "{said}");
    drop(turn);
    app.done();
}
