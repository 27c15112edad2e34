//! A good revision.

use microapp_e2e::{App, beside_others};
use serde_json::{Value, json};

const STEPS: [(&str, &str); 4] = [("1", "2s"), ("5", "2s"), ("25", "5s"), ("100", "5s")];

/// The names of the objects of a kind that belong to the rollout.
fn children(app: &App, group: &str, kind: &str) -> Vec<String> {
    let path = app.path(group, &format!("{kind}?labelSelector=microapp.dev/rollout=helper"));
    let of_ours = |object: &Value| {
        assert_eq!(object["metadata"]["ownerReferences"][0]["kind"], "MicroAppRollout", "{object:#}");
        assert!(object["metadata"]["labels"]["app.kubernetes.io/instance"].is_null(), "{object:#}");
        object["metadata"]["name"].as_str().unwrap().to_owned()
    };
    app.cluster.list(&path).iter().map(of_ours).collect()
}

#[test]
fn a_good_revision_is_promoted_through_all_steps() {
    let latency = json!({"name": "latency", "latency": {"quantile": "0.95", "max": "2.56s"}});
    let gates = json!([{"name": "errors", "errorRate": {"max": "1%"}}, latency]);
    let mut app = App::new("promotion").steps(&STEPS).with(&json!({"gates": gates}));
    let first = app.start();
    assert_eq!(app.view().condition("Ready").unwrap().1, "InitialRevision");
    assert_eq!(children(&app, "/apis/apps/v1", "deployments"), [format!("helper-{first}")]);
    let mut services = children(&app, "/api/v1", "services");
    services.sort();
    assert_eq!(services, ["helper".to_owned(), format!("helper-{first}")]);
    assert_eq!(children(&app, "/apis/apps/v1", "controllerrevisions"), [format!("helper-{first}")]);
    assert_eq!(children(&app, "/api/v1", "configmaps"), [format!("helper-{first}-prompts")]);
    assert_eq!(children(&app, "/apis/gateway.networking.k8s.io/v1", "httproutes"), ["helper"]);
    assert!(app.history.all().iter().all(|seen| seen.canary.is_none()), "the first revision is no canary");

    app.baseline();
    let turn = beside_others();
    app.users(200.0);
    app.release(&[("RELEASE", "2")]);
    let canary = app.until_weight(60, 1.0);
    let (code, said) = app.microapp("status", &["--exit-code"]);
    assert_eq!(code, 3, "in progress: {said}");
    assert!(said.contains(&canary) && said.contains(&first) && said.contains("errors"), "{said}");
    let (code, said) = app.microapp("why", &[]);
    assert!(code == 0 && said.contains(&canary) && said.contains("on trial") && said.contains("latency"), "{said}");

    let second = app.until_promoted(360);
    assert_eq!(second, canary);
    assert_eq!(app.history.weights(2), [0.0, 1.0, 5.0, 25.0, 100.0]);
    assert_eq!(app.view().condition("Ready").unwrap().1, "Promoted");
    let apex = app.cluster.get(&app.path("/api/v1", "services/helper"));
    assert_eq!(apex["spec"]["selector"]["microapp.dev/revision"], json!(second));
    app.until(60, "the end of the old pods", |_| app.pods(&first).is_empty().then_some(()));
    let (code, said) = app.microapp("status", &["--exit-code"]);
    assert_eq!(code, 0, "{said}");
    assert!(app.microapp("why", &[]).1.contains(&format!("{second} is stable and has all traffic")));
    let all = app.load().summary();
    assert_eq!(all.all.bad, 0, "a promotion is nothing that users see: {all}");
    drop(turn);
    app.done();
}
