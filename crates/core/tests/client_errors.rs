//! A gate without a limit, from the plan to the end of an attempt.
#![allow(clippy::unwrap_used)]

use microapp_core::{
    Strategy,
    replay::Replay,
    simulate::{self, End, Setup},
    strategy::{Gate, GateKind, Share},
};
use serde_json::{Value, json};

fn rollout() -> Value {
    json!({
        "metadata": {"name": "kyc", "namespace": "fintech"},
        "spec": {
            "replicas": 2,
            "template": {"spec": {"containers": [{"name": "app", "image": "app:2"}]}},
            "model": {"provider": "openai", "name": "gpt-5-nano", "version": "2025-08-07"},
            "traffic": {"port": 8080, "gateway": {"parentRefs": [{"name": "public"}]}},
            "gates": [
                {"name": "errors", "errorRate": {"max": "1%"}},
                {"name": "refused", "clientErrors": {}}
            ]
        }
    })
}

#[test]
fn it_is_kept_without_a_limit_and_reads_back() {
    let plan = Replay::new(&rollout()).unwrap().strategy().clone();
    let gate = &plan.gates[1];
    assert_eq!(gate.kind, GateKind::Share { what: Share::ClientErrors, max_ppm: None });
    assert_eq!(gate.source.as_str(), "otel-http", "the rollout's own source counts calls to the model");
    assert!(gate.kind.is_statistical() && gate.kind.compares() && !gate.advisory);
    let pinned = plan.to_pinned();
    let kept = serde_json::to_value(&pinned.gates[1]).unwrap();
    assert_eq!(kept, json!({"name": "refused", "clientErrors": {}, "telemetry": "otel-http"}));
    assert_eq!(Strategy::from_pinned(&pinned).unwrap(), plan);
    // What was written before a limit could be left out reads as it did.
    let json = serde_json::to_value(&plan.gates[0]).unwrap();
    assert_eq!(json["kind"], json!({"share": {"what": "errors", "max_ppm": 10_000}}));
    assert_eq!(serde_json::from_value::<Gate>(serde_json::to_value(gate).unwrap()).unwrap(), *gate);
}

#[test]
fn an_application_that_answers_401_to_everybody_is_back_within_the_first_windows_and_an_equal_one_is_promoted() {
    let rollout = rollout();
    let plan = Replay::new(&rollout).unwrap().strategy().clone();
    let healthy = Setup { limit: 6.0 * 3600.0, ..Setup::healthy(&plan, 50.0, 5.0) };
    for seed in 0..5 {
        let same = simulate::run(&rollout, &healthy, 1, seed).unwrap();
        assert_eq!(same.end, End::Promoted, "{same:?}");
        let locked = Setup { canary: vec![0.0, 1.0], ..healthy.clone() };
        let locked = simulate::run(&rollout, &locked, 2, seed).unwrap();
        assert_eq!(locked.end, End::RolledBack, "{locked:?}");
        assert!(locked.seconds <= 30.0 && locked.bad[1] <= 20, "{locked:?}");
    }
}
