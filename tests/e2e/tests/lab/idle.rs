//! A rollout at rest costs nothing.

use std::time::{Duration, Instant};

use microapp_e2e::{App, alone, always, beside_others, operator};
use microapp_lab::{Audit, Lab, Request};

/// How long it must be quiet.
const SPAN: Duration = Duration::from_secs(60);

/// What the operator asked since the last look, watches and the lease apart; other tests' namespaces do not count.
fn requests(audit: &mut Audit, namespace: &str) -> Vec<String> {
    let (system, name) = operator();
    let user = format!("system:serviceaccount:{system}:{name}");
    let elsewhere = |request: &Request| request.namespace.starts_with("e2e-") && request.namespace != namespace;
    let all = audit.requests().unwrap();
    let own = all.into_iter().filter(|r| r.user == user && r.verb != "watch" && r.resource != "leases");
    own.filter(|request| !elsewhere(request)).map(|r| format!("{} {}", r.verb, r.uri)).collect()
}

#[test]
fn a_promoted_rollout_asks_neither_the_api_server_nor_prometheus() {
    let mut app = App::new("idle");
    let first = app.start();
    app.baseline();
    let turn = beside_others();
    app.users(100.0);
    app.release(&[("RELEASE", "2")]);
    app.until_promoted(240);
    app.no_users();
    drop(turn);
    let turn = alone();
    app.until(60, "the end of the old pods", |_| app.pods(&first).is_empty().then_some(()));
    let lab = Lab::attach().unwrap();
    let mut audit = lab.audit().unwrap();
    let (mut since, mut queries) = (Instant::now(), lab.queries().unwrap());
    app.until(60, "five quiet seconds", |_| {
        let now = lab.queries().unwrap();
        if !requests(&mut audit, &app.namespace).is_empty() || now != queries {
            (since, queries) = (Instant::now(), now);
        }
        (since.elapsed() > Duration::from_secs(5)).then_some(())
    });
    always(SPAN, || {
        let requests = requests(&mut audit, &app.namespace);
        assert!(requests.is_empty(), "an idle rollout asked the API server: {requests:?}");
    });
    assert_eq!(lab.queries().unwrap(), queries, "an idle rollout asked Prometheus");
    drop(turn);
    app.done();
}
