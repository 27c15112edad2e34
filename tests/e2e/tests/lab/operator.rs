//! The operator killed in mid-ramp, and what others have put into the cluster until it comes back.

use microapp_e2e::{App, Cluster, alone};
use serde_json::{Value, json};

/// A time that the API server stores and that no library of ours can read, in an object of somebody else. It is the
/// entry of a manager other than the one that writes; the API server puts its own time into that one's.
fn a_time_that_no_library_has(cluster: &Cluster) {
    let maps = "/api/v1/namespaces/default/configmaps";
    cluster.delete(&format!("{maps}/poison"));
    let fields = json!({"f:data": {".": {}, "f:key": {}}});
    let entry = json!({
        "manager": "attacker", "operation": "Update", "apiVersion": "v1", "time": "9999-12-31T23:59:59Z",
        "fieldsType": "FieldsV1", "fieldsV1": fields
    });
    let mut map = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "poison"}, "data": {"key": "value"}
    });
    cluster.create(maps, &map).unwrap();
    map["metadata"]["managedFields"] = json!([entry]);
    let stored = cluster.replace(&format!("{maps}/poison"), "another", &map);
    assert_eq!(stored["metadata"]["managedFields"][0]["time"], "9999-12-31T23:59:59Z", "{stored:#}");
}

/// A quantity that is nested deeper than parsers go. The schema has it refused.
fn a_quantity_that_is_nested(app: &App) {
    let mut rollout = app.object().clone();
    rollout["metadata"] = json!({"name": "nested"});
    let nested = (0..100).fold(json!("1"), |inner, _| Value::Array(vec![inner]));
    rollout["spec"]["template"]["spec"]["containers"][0]["resources"] = json!({"limits": {"cpu": nested}});
    let path = "/apis/microapp.dev/v1alpha1/namespaces/default/microapprollouts";
    let said = app.cluster.create(path, &rollout).unwrap_err();
    assert!(said.contains("resources.limits.cpu"), "{said}");
}

#[test]
fn a_ramp_goes_on_where_it_was_when_the_operator_is_killed() {
    let mut app = App::new("operator").steps(&[("10", "3s"), ("30", "3s"), ("60", "3s"), ("100", "3s")]);
    app.start();
    app.baseline();
    let turn = alone();
    app.users(200.0);
    app.release(&[("RELEASE", "2")]);
    app.until_weight(60, 10.0);
    a_time_that_no_library_has(&app.cluster);
    a_quantity_that_is_nested(&app);
    app.cluster.kill_operator();
    app.until_weight(180, 30.0);
    app.cluster.kill_operator();
    app.until_weight(180, 60.0);
    app.cluster.delete("/api/v1/namespaces/default/configmaps/poison");
    drop(turn);
    assert_eq!(app.history.weights(2)[..4], [0.0, 10.0, 30.0, 60.0], "{:?}", app.history.all());
    assert!(app.history.all().iter().all(|seen| seen.attempt <= 2), "{:?}", app.history.all());
    assert_eq!(app.load().summary().all.bad, 0, "{}", app.load().summary());
    app.done();
}
