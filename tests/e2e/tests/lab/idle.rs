//! A rollout at rest costs nothing.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::time::Duration;

use microapp_e2e::{App, Cluster, alone, always, beside_others, operator};
use microapp_lab::Lab;
use serde_json::Value;

/// How long it must be quiet.
const SPAN: Duration = Duration::from_secs(60);

/// The API server's audit log from some moment on.
struct Audit {
    log: BufReader<File>,
    user: String,
}

impl Audit {
    fn from_now() -> Self {
        let mut log = File::open(Lab::attach().unwrap().audit_log()).unwrap();
        log.seek(SeekFrom::End(0)).unwrap();
        let (namespace, name) = operator();
        Self { log: BufReader::new(log), user: format!("system:serviceaccount:{namespace}:{name}") }
    }

    /// What the operator asked since the last look, watches and the lease apart; other tests' namespaces do not count.
    fn requests(&mut self, namespace: &str) -> Vec<String> {
        let mut found = Vec::new();
        let mut line = String::new();
        loop {
            let start = self.log.stream_position().unwrap();
            line.clear();
            if self.log.read_line(&mut line).unwrap() == 0 {
                return found;
            }
            if !line.ends_with('\n') {
                self.log.seek(SeekFrom::Start(start)).unwrap();
                return found;
            }
            let Ok(event) = serde_json::from_str::<Value>(&line) else { continue };
            let of = |key: &str| event["objectRef"][key].as_str().unwrap_or_default();
            let elsewhere = of("namespace").starts_with("e2e-") && of("namespace") != namespace;
            if event["user"]["username"] == self.user.as_str()
                && event["verb"] != "watch"
                && of("resource") != "leases"
                && !elsewhere
            {
                found.push(format!("{} {}", event["verb"], event["requestURI"]));
            }
        }
    }
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
    let mut audit = Audit::from_now();
    let (mut since, mut queries) = (std::time::Instant::now(), Cluster::prometheus_queries());
    app.until(60, "five quiet seconds", |_| {
        let now = Cluster::prometheus_queries();
        if !audit.requests(&app.namespace).is_empty() || now != queries {
            (since, queries) = (std::time::Instant::now(), now);
        }
        (since.elapsed() > Duration::from_secs(5)).then_some(())
    });
    always(SPAN, || {
        let requests = audit.requests(&app.namespace);
        assert!(requests.is_empty(), "an idle rollout asked the API server: {requests:?}");
    });
    assert_eq!(Cluster::prometheus_queries(), queries, "an idle rollout asked Prometheus");
    drop(turn);
    app.done();
}
