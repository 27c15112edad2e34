//! Only users are users: probes and scrapes are left out where a source names the route, and pass nothing where it does
//! not. Counted by hand from what real applications exposed.
#![allow(clippy::unwrap_used)]

mod common;

use common::{exposition::capture, *};
use microapp_core::{
    counts::{Ask, Before, BeforeResult, Counts, Per, Side, Unknown, Watch},
    probes::Probe,
    strategy::{Gate, GateKind, Mean, Preset, Share, Slow},
};
use microapp_telemetry::Subject;

/// One scrape before the attempt and one in each window.
const SCRAPES: [f64; 4] = [-2.0, 3.0, 8.0, 13.0];
/// One a slice of preflight earlier than the others.
const EARLIER: [f64; 3] = [-100.0, 3.0, 8.0];

fn errors_of(preset: Preset) -> Gate {
    gate("errors", GateKind::Share { what: Share::Errors, max_ppm: Some(10_000) }, preset)
}

/// The application as both revisions, the canary a second later.
fn both(name: &str) -> Store {
    let mut store = Store::default();
    let exposed = capture(name);
    store.exposes(STABLE, &SCRAPES, &exposed);
    store.exposes(CANARY, &SCRAPES, &exposed);
    store
}

/// As stable alone, for an hour of preflight.
fn before(store: &Store, gates: Vec<Gate>, probes: &[Probe]) -> std::collections::BTreeMap<String, BeforeResult> {
    let subject = Subject { probes: probes.to_vec(), ..subject(gates) };
    match store.ask(&subject, &Ask::Baseline, &Watch::default(), 130.0) {
        Counts::Baseline { gates, .. } => gates,
        other => panic!("{other:?}"),
    }
}

/// Every series of a family, and those of them that a user's request ended in, by hand.
fn sum(name: &str, family: &str, of_users: impl Fn(&str, &str) -> bool) -> u64 {
    let exposed = capture(name);
    let label =
        |labels: &std::collections::BTreeMap<String, String>, name: &str| labels.get(name).cloned().unwrap_or_default();
    exposed
        .iter()
        .filter(|(labels, _)| labels["__name__"] == family)
        .filter(|(labels, _)| of_users(&label(labels, "http_route"), &label(labels, "http_response_status_code")))
        .map(|(_, value)| *value as u64)
        .sum()
}

#[test]
fn scrapes_their_redirects_and_probes_are_no_requests_of_users() {
    const COUNT: &str = "http_server_request_duration_seconds_count";
    for name in ["genai", "otelnew", "otelnewv2", "traceloop", "openlit"] {
        let all = sum(name, COUNT, |_, _| true);
        let users =
            sum(name, COUNT, |route, status| !route.starts_with("/metrics") && route != "/healthz" && status != "307");
        assert!(users < all, "{name}: {users} of {all}");
        let subject = subject(vec![errors_of(Preset::OtelHttp)]);
        let window = &both(name).windows(&subject, 12.0)[0];
        let (Some(Side::Count { total, .. }), Some(Side::Count { total: stable, .. })) = sides(window, "errors") else {
            panic!("{name}")
        };
        assert_eq!((total, stable), (users, users), "{name}");
        // Machines are known one by one. FastAPI itself tells streams that their users left: 13 in each pass of the traffic.
        let left = if ["traceloop", "openlit"].contains(&name) { 26 } else { 0 };
        assert_eq!(window.gates["errors"].unwrap().idle, left, "{name}");
    }
}

#[test]
fn a_canary_that_is_only_probed_and_scraped_has_no_requests() {
    let mut store = Store::default();
    let machines: Vec<_> = capture("otelnew")
        .into_iter()
        .filter(|(labels, _)| labels.get("http_route").is_none_or(|route| route == "/metrics" || route == "/healthz"))
        .filter(|(labels, _)| labels.get("http_response_status_code").is_none_or(|status| status != "404"))
        .collect();
    store.exposes(STABLE, &SCRAPES, &capture("otelnew"));
    store.exposes(CANARY, &SCRAPES, &machines);
    let subject = subject(vec![errors_of(Preset::OtelHttp)]);
    let (canary, stable) = sides(&store.windows(&subject, 12.0)[0], "errors");
    assert_eq!(canary, count(0, 0));
    assert!(matches!(stable, Some(Side::Count { total: 400.., .. })), "{stable:?}");
}

#[test]
fn the_templates_own_probe_paths_are_left_out_too() {
    let mut store = Store::default();
    let route = |route: &'static str, code: &'static str| {
        vec![("http_route".to_owned(), route.to_owned()), ("http_response_status_code".to_owned(), code.to_owned())]
    };
    let name = ("__name__".to_owned(), "http_server_request_duration_seconds_count".to_owned());
    let exposed: Vec<_> = [("/ask", "200", 40.0), ("/internal/am-i-well", "200", 300.0)]
        .map(|(path, code, value)| (route(path, code).into_iter().chain([name.clone()]).collect(), value))
        .to_vec();
    store.exposes(STABLE, &EARLIER, &exposed);
    let probe = Probe { path: "/internal/am-i-well".to_owned(), period: Some(10.0) };
    for (probes, expected) in [(vec![], 340), (vec![probe], 40)] {
        let found = before(&store, vec![errors_of(Preset::OtelHttp)], &probes);
        assert_eq!(found["errors"].clone().unwrap().side, Side::count(0, expected));
    }
}

#[test]
fn where_routes_have_no_name_what_may_be_probes_passes_nothing_and_preflight_says_so() {
    let probes = [Probe { path: "/healthz".to_owned(), period: Some(2.0) }];
    let gates = vec![errors_of(Preset::OtelHttp)];
    let mut stable = Store::default();
    stable.exposes(STABLE, &EARLIER, &capture("nodeotel"));
    let found = before(&stable, gates.clone(), &probes);
    let Before { caveat, .. } = found["errors"].clone().unwrap();
    let caveat = caveat.unwrap();
    assert!(
        caveat.contains("has no label that names the route") && caveat.contains("which no Pass counts"),
        "{caveat}"
    );

    let watch = Watch::default();
    let subject = Subject { probes: probes.to_vec(), ..subject(gates) };
    let Counts::Windows(windows, _) = both("nodeotel").ask(&subject, &Ask::Windows, &watch, 12.0) else { panic!() };
    // Probes every 2 s in 5 s are 3 at the most, and one scrape; 5 were throttled in each pass of the traffic.
    assert_eq!(windows[0].gates["errors"].unwrap().idle, 3 + 1 + 2 * 5);
}

/// Node's server counts the scrapes of its exporter's port as well, and instrumentation-express names the routes of users and
/// probes: 33 scrapes have none, and neither have the 3 requests for a path that is not there.
#[test]
fn where_some_requests_have_no_route_those_answered_well_may_be_scrapes() {
    let name = "presets-node-express";
    let mut stable = Store::default();
    stable.exposes(STABLE, &EARLIER, &capture(name));
    let found = before(&stable, vec![errors_of(Preset::OtelHttp)], &[]);
    let caveat = found["errors"].clone().unwrap().caveat.unwrap();
    // One scrape in each 5 s of the 103 s, and there were no more without a route than 33.
    assert!(
        caveat.contains("http_server_request_duration_count does not name the route of all: up to ")
            && caveat.contains(" of its 146 requests are probes and scrapes, which no Pass counts"),
        "{caveat}"
    );
    let scrape: Vec<_> = capture(name)
        .into_iter()
        .filter(|(labels, _)| {
            !labels.contains_key("http_route")
                && labels.get("http_response_status_code").is_some_and(|code| code == "200")
        })
        .map(|(labels, _)| (labels, 1.0))
        .collect();
    let mut store = Store::default();
    store.exposes(STABLE, &SCRAPES, &capture(name));
    store.exposes(CANARY, &SCRAPES, &scrape);
    let subject = subject(vec![errors_of(Preset::OtelHttp)]);
    let Counts::Windows(windows, _) = store.ask(&subject, &Ask::Windows, &Watch::default(), 12.0) else { panic!() };
    let sides = windows[0].gates["errors"].unwrap();
    assert_eq!((sides.canary, sides.idle), (count(0, 1), 1), "its one request was a scrape");
}

#[test]
fn errors_of_users_are_read_where_stable_has_them() {
    let with =
        |fallbacks: &[Preset]| Gate { fallbacks: fallbacks.to_vec(), defaulted: true, ..errors_of(Preset::OtelHttp) };
    // The gateway's alone: Contour's names.
    let mut store = Store::default();
    for seconds in EARLIER {
        let door = [("job", "envoy"), ("instance", "e"), ("envoy_cluster_name", "fintech_shop-aaaaaaaaaa_8080")];
        for (name, class, value) in
            [("envoy_cluster_upstream_rq_completed", "", 90.0), ("envoy_cluster_upstream_rq_xx", "5", 2.0)]
        {
            let own = [("__name__", name), ("envoy_response_code_class", class)];
            store.put(&[&own[..], &door[..]].concat(), seconds, if seconds < 0.0 { 0.0 } else { value });
        }
    }
    let fallbacks = [Preset::Istio, Preset::Envoy, Preset::Traefik];
    let found = before(&store, vec![with(&fallbacks)], &[]);
    let Before { side, source, .. } = found["errors"].clone().unwrap();
    assert_eq!((side, source), (Side::count(2, 90), Some(Preset::Envoy)));

    // The application's own, once there is one.
    store.exposes(STABLE, &EARLIER, &capture("genai"));
    let found = before(&store, vec![with(&fallbacks)], &[]);
    assert_eq!(found["errors"].clone().unwrap().source, Some(Preset::OtelHttp));

    // One that does not name its routes only where there is no other.
    let mut unnamed = store.clone();
    unnamed.series.retain(|labels, _| !labels.get("__name__").unwrap().starts_with("http_server"));
    unnamed.exposes(STABLE, &EARLIER, &capture("nodeotel"));
    assert_eq!(before(&unnamed, vec![with(&fallbacks)], &[])["errors"].clone().unwrap().source, Some(Preset::Envoy));
    let alone = before(&unnamed, vec![with(&[])], &[])["errors"].clone().unwrap();
    assert_eq!(alone.source, Some(Preset::OtelHttp));

    // Nowhere.
    let nowhere = before(&Store::default(), vec![with(&fallbacks)], &[])["errors"].clone().unwrap_err();
    assert_eq!(nowhere.reason, Unknown::NoData);
}

#[test]
fn latency_of_users_comes_before_that_of_calls() {
    let slow = GateKind::Slow { what: Slow::Response, slow_ppm: 50_000, max_micros: 2_500_000, own: None };
    let latency =
        Gate { fallbacks: vec![Preset::OtelGenai], defaulted: true, ..gate("latency", slow, Preset::OtelHttp) };
    let mut store = Store::default();
    store.exposes(STABLE, &EARLIER, &capture("otelnewv2"));
    // By hand: le="2.5" against the count, over /ask and /stream and what has no route.
    let found = before(&store, vec![latency.clone()], &[])["latency"].clone().unwrap();
    assert_eq!(found.source, Some(Preset::OtelHttp));
    let Side::Count { above, .. } = found.side else { panic!() };
    assert_eq!(above, 38, "19 streams of 3 s in each of two passes of the traffic");
    assert_eq!(found.caveat, None);

    // The default of 2.56 s, which is a bound of calls to models: what took between 2.5 and 5 s would be neither.
    let GateKind::Slow { what, slow_ppm, own, .. } = latency.kind.clone() else { panic!() };
    let near = Gate { kind: GateKind::Slow { what, slow_ppm, own, max_micros: 2_560_000 }, ..latency };
    let found = before(&store, vec![near.clone()], &[])["latency"].clone().unwrap();
    assert!(matches!(found.side, Side::Count { above: 38, below: 38, .. }), "{found:?}");
    assert_eq!(
        found.caveat.as_deref(),
        Some("its threshold is taken at the bucket bound 2.5 of http_server_request_duration_seconds")
    );
    let chosen = Gate { defaulted: false, ..near };
    let found = before(&store, vec![chosen], &[])["latency"].clone().unwrap();
    assert!(matches!(found.side, Side::Count { above: 0, below: 38, .. }), "as it is written: {found:?}");
}

#[test]
fn cost_is_per_request_of_a_user_where_requests_are_counted_and_twice_the_calls_cost_twice() {
    // An agent that asks the model twice for each request, beside requests that are counted; and of calls this share has a
    // token count.
    let calls =
        |(family, route, status): (&'static str, &'static str, &'static str), per_request: f64, counted: f64| {
            let label = |pairs: &[(&str, &str)]| {
                pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
            };
            let chat = [("gen_ai_operation_name", "chat"), ("gen_ai_response_model", "gpt-5-nano-2025-08-07")];
            let of = |name: &'static str, more: &[(&'static str, &'static str)]| -> Vec<(&'static str, &'static str)> {
                [("__name__", name)].into_iter().chain(chat).chain(more.iter().copied()).collect()
            };
            let http = [("__name__", family), (route, "/ask"), (status, "200")];
            vec![
                (label(&http), 50.0),
                (label(&of(REQUESTS, &[])), 50.0 * per_request),
                (
                    label(&of("gen_ai_client_token_usage_count", &[("gen_ai_token_type", "input")])),
                    50.0 * per_request * counted,
                ),
                (
                    label(&of("gen_ai_client_token_usage_sum", &[("gen_ai_token_type", "input")])),
                    5_000.0 * per_request * counted,
                ),
                (
                    label(&of("gen_ai_client_token_usage_sum", &[("gen_ai_token_type", "output")])),
                    1_000.0 * per_request * counted,
                ),
            ]
        };
    let tokens = GateKind::Mean { what: Mean::Tokens, max: None, max_increase_ppm: Some(100_000) };
    let tokens = gate("tokens", tokens, Preset::OtelGenai);
    let otel = ("http_server_request_duration_seconds_count", "http_route", "http_response_status_code");
    let half = "25 of 50 answers of stable have no token count (streams without usage: set \
                stream_options.include_usage), and are taken for like the others";
    for (http, counted, per, said) in [
        (otel, 1.0, Per::User, None),
        // Streams without usage: what they cost is what the others cost.
        (otel, 0.5, Per::UserCounted, Some(half)),
        // By its names of before, and by those of other exporters.
        (("http_server_duration_milliseconds_count", "http_target", "http_status_code"), 1.0, Per::User, None),
        (("http_requests_total", "handler", "status"), 1.0, Per::User, None),
        (("starlette_requests_total", "path", "status_code"), 1.0, Per::User, None),
        (("flask_http_request_duration_seconds_count", "path", "status"), 1.0, Per::User, None),
        (("http_request_duration_seconds_count", "path", "status_code"), 1.0, Per::User, None),
    ] {
        let name = http.0;
        let mut store = Store::default();
        store.exposes(STABLE, &SCRAPES, &calls(http, 1.0, counted));
        store.exposes(CANARY, &SCRAPES, &calls(http, 2.0, counted));
        let (canary, stable) = sides(&store.windows(&subject(vec![tokens.clone()]), 12.0)[0], "tokens");
        assert_eq!(canary, Some(Side::Mean { n: 50, sum: 12_000 }), "{name} {per:?}");
        assert_eq!(stable, Some(Side::Mean { n: 50, sum: 6_000 }), "{name} {per:?}");
        let mut store = Store::default();
        store.exposes(STABLE, &EARLIER, &calls(http, 1.0, counted));
        let found = before(&store, vec![tokens.clone()], &[])["tokens"].clone().unwrap();
        assert_eq!((found.side, found.per), (Side::Mean { n: 50, sum: 6_000 }, per), "{name}");
        assert_eq!(found.caveat.as_deref(), said);
    }
}

/// Node's server without routes: of what the canary got, three may be probes and one a scrape.
#[test]
fn a_share_of_traffic_leaves_out_what_may_be_probes() {
    let probes = vec![Probe { path: "/healthz".to_owned(), period: Some(2.0) }];
    let share = |probes: Vec<Probe>| {
        let subject = Subject { probes, ..subject(vec![gate("share", GateKind::Traffic, Preset::OtelHttp)]) };
        match sides(&both("nodeotel").windows(&subject, 12.0)[0], "share").0 {
            Some(Side::Count { total, .. }) => total,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(share(Vec::new()) - share(probes), 3);
}

/// A stable revision that was scraped for 40 s has no whole minute.
#[test]
fn a_stable_that_is_young_is_said_to_be_young() {
    let mut store = Store::default();
    store.exposes(STABLE, &[90.0, 100.0, 110.0, 120.0], &capture("otelnew"));
    let found = before(&store, vec![errors_of(Preset::OtelHttp)], &[])["errors"].clone().unwrap_err();
    assert!(
        found.message.ends_with(
            "is not there for a whole minute yet, and requests are counted by whole minutes: it goes on by itself within two \
             minutes of traffic"
        ),
        "{}",
        found.message
    );
}

/// Neither a failure nor a good answer: without any good one there is nothing to pass.
#[test]
fn a_canary_that_answers_nobody_has_nothing_that_passes() {
    let http = |own: &[(&'static str, &'static str)]| -> Vec<(&'static str, &'static str)> {
        [("__name__", "http_server_request_duration_seconds_count"), ("http_route", "/ask")]
            .iter()
            .chain(own)
            .copied()
            .collect()
    };
    let call = |error: &'static str| vec![("__name__", REQUESTS), ("error_type", error)];
    for (preset, good, bad) in [
        (
            Preset::OtelHttp,
            http(&[("http_response_status_code", "200")]),
            http(&[("http_response_status_code", "429")]),
        ),
        (
            Preset::OtelHttp,
            http(&[("http_response_status_code", "200")]),
            http(&[("http_response_status_code", "499")]),
        ),
        (
            Preset::OtelHttp,
            http(&[("http_response_status_code", "200")]),
            http(&[("http_response_status_code", "200"), ("error_type", "ConnectionError")]),
        ),
        (Preset::OtelGenai, vec![("__name__", REQUESTS)], call("openai.RateLimitError")),
        (Preset::OtelGenai, vec![("__name__", REQUESTS)], call("CancelledError")),
    ] {
        let exposed = |labels: &[(&str, &str)], value: f64| {
            (labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(), value)
        };
        let mut store = Store::default();
        store.exposes(STABLE, &SCRAPES, &[exposed(&good, 40.0)]);
        store.exposes(CANARY, &SCRAPES, &[exposed(&good, 7.0), exposed(&bad, 33.0)]);
        let sides = store.windows(&subject(vec![errors_of(preset)]), 12.0)[0].gates["errors"].unwrap();
        assert_eq!((sides.canary, sides.idle), (count(0, 40), 33), "{bad:?}");
        let share = gate("share", GateKind::Traffic, preset);
        let sides = store.windows(&subject(vec![share]), 12.0)[0].gates["share"].unwrap();
        assert_eq!((sides.canary, sides.idle), (count(0, 40), 0), "{bad:?}: users asked");
    }
}

/// Stable's framework names its routes and the canary's instrumentation does not any more: its probes are no users for that.
#[test]
fn a_canary_that_ceased_to_name_its_routes_passes_nothing_by_its_probes() {
    let of = |own: &[(&str, &str)], value: f64| {
        let name = [("__name__", "http_server_request_duration_seconds_count"), ("http_response_status_code", "200")];
        let labels = name.iter().chain(own).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        (labels.collect(), value)
    };
    let mut store = Store::default();
    store.exposes(STABLE, &SCRAPES, &[of(&[("http_route", "/ask")], 40.0), of(&[("http_route", "/healthz")], 3.0)]);
    store.exposes(CANARY, &SCRAPES, &[of(&[], 4.0)]);
    let probes = vec![Probe { path: "/healthz".to_owned(), period: Some(2.0) }];
    let subject = Subject { probes, ..subject(vec![errors_of(Preset::OtelHttp)]) };
    let sides = store.windows(&subject, 12.0)[0].gates["errors"].unwrap();
    assert_eq!((sides.canary, sides.stable, sides.idle), (count(0, 4), count(0, 40), 4), "three probes and a scrape");
}
