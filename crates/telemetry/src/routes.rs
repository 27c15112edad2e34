//! Which requests of a pod are of users: not what the kubelet probes and Prometheus scrapes, wherever a series names its
//! route.

use std::collections::BTreeSet;

use microapp_core::probes::Probe;

use crate::series::Series;

/// Labels that hold a route, by exporter: OpenTelemetry's HTTP server metrics of both generations (`http_route`,
/// `http_target`, `url_path`), prometheus-fastapi-instrumentator (`handler`), starlette_exporter, prometheus_flask_exporter
/// and express-prom-bundle (`path`), starlette-prometheus (`path_template`), tutorials (`route`, `endpoint`, `uri`).
/// Whatever does not begin with a slash is something else, such as the `endpoint` that a ServiceMonitor adds; but in
/// `http_route` Django (`ask/<int:id>`, `^ask/$`) and controllers of ASP.NET (`api/Ask`) write theirs without.
const LABELS: [&str; 10] = [
    "http_route",
    "handler",
    "path",
    "path_template",
    "http_target",
    "url_path",
    "route",
    "endpoint",
    "uri",
    "url_rule",
];
/// Labels that hold the status of an answer.
const STATUS: [&str; 5] = ["http_response_status_code", "http_status_code", "status_code", "status", "code"];

/// First segments of paths below which nobody but machines asks.
const BELOW: [&str; 10] =
    ["metrics", "health", "healthz", "healthcheck", "health-check", "_health", "_healthz", "_stcore", "-", "actuator"];
/// Whole paths that only probes ask for.
const WHOLE: [&str; 12] = [
    "ready",
    "readyz",
    "readiness",
    "live",
    "livez",
    "liveness",
    "alive",
    "ping",
    "startup",
    "startupz",
    "up",
    "favicon.ico",
];

/// The routes of one answer.
#[derive(Debug)]
pub(crate) struct Routes<'a> {
    probes: &'a [Probe],
    /// Families of which some series names its route.
    routed: BTreeSet<&'a str>,
}

impl<'a> Routes<'a> {
    /// Of these series, where the pods have these probes.
    pub(crate) fn of(probes: &'a [Probe], series: &'a [Series]) -> Self {
        let routed = series.iter().filter(|series| route(series).is_some()).map(|series| family(series.name()));
        Self { probes, routed: routed.collect() }
    }

    /// May the series stand for requests of users? One that names no route does, unless its family names them otherwise and
    /// it is a redirect: `/metrics` is often answered by one to `/metrics/`.
    pub(crate) fn of_users(&self, series: &Series) -> bool {
        match route(series) {
            Some(route) => !self.is_machines(route),
            None => !(is_redirect(series) && self.routed.contains(family(series.name()))),
        }
    }

    fn is_machines(&self, route: &str) -> bool {
        let bare = |path: &'_ str| path.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/').to_owned();
        let route = bare(route);
        let is_probe = |path: &str| path == route || path.strip_prefix('/').is_some_and(|path| path == route);
        if self.probes.iter().any(|probe| is_probe(&bare(&probe.path)) && !route.is_empty()) {
            return true;
        }
        let route = route.trim_start_matches(['^', '/']).trim_end_matches(['/', '$']).to_ascii_lowercase();
        let first = route.split('/').next().unwrap_or_default();
        BELOW.contains(&first) || WHOLE.contains(&route.as_str())
    }
}

/// Does it name a route?
pub(crate) fn is_named(series: &Series) -> bool {
    route(series).is_some()
}

/// Does it say that it was answered well?
pub(crate) fn is_answered(series: &Series) -> bool {
    status(series).is_some_and(|status| status.starts_with(['2', '3']))
}

/// Does the family name the route of its requests at all?
pub(crate) fn names_routes(stable: &[&Series], wanted: &str) -> bool {
    stable.iter().any(|series| family(series.name()) == family(wanted) && route(series).is_some())
}

/// Are probes and scrapes among the requests of the family, and nobody can tell which they are? Node's HTTP server counts
/// scrapes of a port of its own, too, and only the framework's routes have a name.
pub(crate) fn is_mixed(stable: &[&Series], wanted: &str) -> bool {
    let is_used = |series: &&&Series| {
        family(series.name()) == family(wanted) && series.samples.last().is_some_and(|sample| sample.value > 0.0)
    };
    !names_routes(stable, wanted) || stable.iter().filter(is_used).any(|series| is_of_anybody(series))
}

/// Was it answered well, and does nothing tell whether a user or a machine asked?
pub(crate) fn is_of_anybody(series: &Series) -> bool {
    route(series).is_none() && status(series).is_none_or(|status| status.starts_with('2'))
}

fn route(series: &Series) -> Option<&str> {
    let is_route = |label: &str, value: &str| {
        value.starts_with('/') || (label == "http_route" && value.contains(|c: char| c.is_ascii_alphanumeric()))
    };
    LABELS
        .iter()
        .map(|label| (*label, series.label(label)))
        .find(|(label, value)| is_route(label, value))
        .map(|(_, value)| value)
}

fn is_redirect(series: &Series) -> bool {
    status(series).is_some_and(|status| ["301", "302", "307", "308", "3xx"].contains(&status))
}

fn status(series: &Series) -> Option<&str> {
    STATUS.iter().map(|label| series.label(label)).find(|value| !value.is_empty())
}

/// The name without the suffix that the text format gives the parts of a histogram.
fn family(name: &str) -> &str {
    let suffix = ["_count", "_bucket", "_sum"].into_iter().find(|suffix| name.ends_with(suffix));
    suffix.map_or(name, |suffix| &name[..name.len() - suffix.len()])
}

/// How many probes may have reached a pod in so many milliseconds, at most: each at its pace.
pub(crate) fn background(probes: &[Probe], millis: i64) -> u64 {
    let seconds = millis.max(0) as f64 / 1000.0;
    let probes = probes.iter().filter_map(|probe| probe.period).map(|period| (seconds / period).ceil() as u64);
    probes.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(labels: &[(&str, &str)]) -> Series {
        Series { labels: labels.iter().copied().collect(), ..Series::default() }
    }

    fn is_of_users(label: &str, value: &str) -> bool {
        let probes = [Probe { path: "/internal/alive/".to_owned(), period: None }];
        let all = [series(&[("__name__", "a_total"), (label, value)])];
        Routes::of(&probes, &all).of_users(&all[0])
    }

    #[test]
    fn probes_and_scrapes_are_left_out_by_every_label_that_holds_a_route() {
        for label in LABELS {
            for path in ["/metrics", "/metrics/", "/metrics/{path}", "/healthz", "/health/live", "/readyz", "/ping"] {
                assert!(!is_of_users(label, path), "{label}={path}");
            }
            assert!(!is_of_users(label, "/internal/alive"), "{label}: the template's own probe");
            for path in
                ["/ask", "/", "/live/stream", "/healthy-recipes", "/metrics-of-the-week", "/v1/chat/completions"]
            {
                assert!(is_of_users(label, path), "{label}={path}");
            }
        }
        for path in ["healthz/", "^metrics$", "^healthz/$", "health/live", "internal/alive/", "Ping"] {
            assert!(!is_of_users("http_route", path), "{path}: Django, ASP.NET");
        }
        for path in ["ask/<int:id>", "^ask/$", "api/Ask", "{controller=Home}/{action=Index}"] {
            assert!(is_of_users("http_route", path) && is_named(&series(&[("http_route", path)])), "{path}");
        }
        assert!(!is_named(&series(&[("http_route", "*")])));
        assert!(is_of_users("endpoint", "metrics"), "the port's name as a ServiceMonitor adds it");
        assert!(is_of_users("handler", "none"));
    }

    #[test]
    fn a_redirect_without_a_route_is_of_nobody_where_routes_are_named() {
        let name = ("__name__", "http_server_request_duration_seconds_count");
        let redirect = series(&[name, ("http_response_status_code", "307")]);
        let ask = series(&[name, ("http_route", "/ask")]);
        let missing = series(&[name, ("http_response_status_code", "404")]);
        let all = [redirect.clone(), ask, missing];
        let routes = Routes::of(&[], &all);
        assert_eq!([0, 1, 2].map(|at: usize| routes.of_users(&all[at])), [false, true, true]);
        let alone = [redirect];
        assert!(Routes::of(&[], &alone).of_users(&alone[0]), "nothing is known there");
    }

    #[test]
    fn what_may_be_probes_is_never_fewer_than_came() {
        let probe = |period| Probe { path: "/healthz".to_owned(), period };
        let probes = [probe(Some(10.0)), probe(Some(4.0)), probe(None)];
        assert_eq!(background(&probes, 5_000), 1 + 2);
        assert_eq!(background(&[], 5_000), 0);
    }
}
