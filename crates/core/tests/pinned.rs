//! A plan goes into status and comes back the same, whatever its gates are.
#![allow(clippy::unwrap_used)]

use microapp_api::v1alpha1::{MicroAppRolloutSpec, PinnedPlan};
use microapp_core::{
    Strategy,
    strategy::{GateKind, OwnHistogram, Preset, Slow},
};
use serde_json::{Value, json};

fn plan(gates: &Value) -> Result<Strategy, String> {
    let spec: MicroAppRolloutSpec = serde_json::from_value(json!({
        "template": {}, "model": {"provider": "p", "name": "m", "version": "1"},
        "traffic": {"port": 80, "gateway": {"parentRefs": [{"name": "g"}]}},
        "telemetry": {"preset": "otel-http"}, "gates": gates,
    }))
    .unwrap();
    Strategy::resolve(&spec, "").map_err(|unusable| unusable.0)
}

#[test]
fn a_histogram_of_the_users_own_stands_in_the_pinned_plan() {
    let histogram = "http_request_duration_ms";
    let slow = |matching: Option<&str>| {
        let mut slow = json!({"quantile": "0.95", "max": "2.5s", "histogram": histogram});
        if let Some(matching) = matching {
            slow["matching"] = json!(matching);
        }
        slow
    };
    let own = |matching: Option<&str>| {
        Some(OwnHistogram { histogram: histogram.to_owned(), matching: matching.map(str::to_owned) })
    };
    let users = Some(r#"{route="/ask"}"#);
    let strategy = plan(&json!([
        {"name": "a", "latency": slow(users)},
        {"name": "b", "timeToFirstToken": slow(None)},
        {"name": "c", "timePerOutputToken": slow(users), "telemetry": "envoy"},
        {"name": "d", "latency": {"quantile": "0.95", "max": "2.5s"}},
    ]))
    .unwrap();
    let kinds: Vec<_> = strategy.gates.iter().map(|gate| (gate.kind.clone(), gate.source)).collect();
    let kind = |what, own| GateKind::Slow { what, slow_ppm: 50_000, max_micros: 2_500_000, own };
    assert_eq!(
        kinds,
        [
            (kind(Slow::Response, own(users)), Preset::OtelHttp),
            (kind(Slow::FirstToken, own(None)), Preset::OtelHttp),
            (kind(Slow::PerToken, own(users)), Preset::Envoy),
            (kind(Slow::Response, None), Preset::OtelHttp),
        ]
    );
    let pinned = serde_json::to_string(&strategy.to_pinned()).unwrap();
    let back: PinnedPlan = serde_json::from_str(&pinned).unwrap();
    assert_eq!(Strategy::from_pinned(&back).as_ref(), Some(&strategy), "{pinned}");
    let written = serde_json::to_string(&strategy).unwrap();
    assert_eq!(serde_json::from_str::<Strategy>(&written).unwrap(), strategy);
    // A plan that an older version pinned has none.
    let without = written.replace(&serde_json::to_string(&own(users)).unwrap(), "null").replace(",\"own\":null", "");
    assert!(serde_json::from_str::<Strategy>(&without).is_ok(), "{without}");
}

#[test]
fn matchers_of_no_histogram_are_refused_where_the_schema_was_older() {
    let refused =
        plan(&json!([{"name": "a", "latency": {"quantile": "0.95", "max": "1s", "matching": "{}"}}])).unwrap_err();
    assert_eq!(refused, "gates[a]: matching needs histogram: name the histogram that it is about");
}
