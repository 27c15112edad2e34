//! Users, pods and scrapes. Nothing happens between two looks: what would have happened is worked out when somebody
//! asks or when the cluster changes, up to that moment and with the weights that were in force until then.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::profile::{Dice, Profile, Traffic};
use super::series::{Database, Labels};
use super::target::{self, Target};
use crate::api::ApiServer;
use crate::pods::Pods;

/// What users of one revision got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Users {
    /// Good answers.
    pub good: u64,
    /// Failed requests, and refused ones.
    pub bad: u64,
    /// Requests that never end.
    pub hanging: u64,
}

/// A pod that is scraped.
#[derive(Debug)]
struct Process {
    target: Target,
    rollout: Arc<str>,
    revision: Arc<str>,
    profile: Arc<Profile>,
    /// `gen_ai_request_model` and `gen_ai_response_model`.
    models: (String, String),
    restarts: i64,
    answers: bool,
}

/// A backend of the route.
#[derive(Clone, Debug)]
struct Arm {
    weight: f64,
    /// Envoy's name for it.
    cluster: Arc<str>,
    revision: Arc<str>,
    /// Ready pods, by uid.
    pods: Vec<Arc<str>>,
}

#[derive(Clone, Debug)]
enum Event {
    /// An answer, after this many seconds.
    Answer { pod: Arc<str>, cluster: Arc<str>, revision: Arc<str>, waited: f64, status: u16 },
    /// A verdict on one.
    Verdict { pod: Arc<str>, verdict: &'static str },
}

#[derive(Debug)]
pub(super) struct World {
    pub traffic: Traffic,
    pub profiles: Vec<(Pods, Arc<Profile>)>,
    pub database: Database,
    pub users: BTreeMap<Arc<str>, Users>,
    pub scraping: bool,
    dice: Dice,
    gateway: Target,
    processes: BTreeMap<Arc<str>, Process>,
    arms: Vec<Arm>,
    arrival: f64,
    events: BTreeMap<(i64, u64), Event>,
    serial: u64,
    now: i64,
}

impl World {
    pub fn new(traffic: Traffic, now: i64) -> Self {
        let mut database = Database::default();
        let identity =
            [("job", "envoy"), ("namespace", "gateway"), ("pod", "envoy-0"), ("instance", "192.0.2.10:8002")];
        let identity: Labels = identity.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        let gateway = Target::new(&mut database, identity, now, now + traffic.scrape.as_millis() as i64);
        let mut dice = Dice::new(traffic.seed);
        let arrival = now as f64 + dice.gap(traffic.rps);
        Self {
            traffic,
            profiles: vec![],
            database,
            users: BTreeMap::new(),
            scraping: true,
            dice,
            gateway,
            processes: BTreeMap::new(),
            arms: vec![],
            arrival,
            events: BTreeMap::new(),
            serial: 0,
            now,
        }
    }

    pub fn set_rps(&mut self, rps: f64) {
        self.traffic.rps = rps;
        self.arrival = self.now as f64 + self.dice.gap(rps);
    }

    /// Works out what happened until then.
    pub fn advance(&mut self, until: i64) {
        loop {
            let scrape = self.processes.values().map(|p| p.target.next).fold(self.gateway.next, i64::min);
            let event = self.events.first_key_value().map_or(i64::MAX, |((at, _), _)| *at);
            let arrival = if self.arrival.is_finite() { self.arrival.ceil() as i64 } else { i64::MAX };
            let next = scrape.min(event).min(arrival);
            if next > until {
                break;
            }
            if event == next {
                if let Some(((at, _), event)) = self.events.pop_first() {
                    self.happen(at, event);
                }
            } else if arrival == next {
                self.arrive(next);
            } else {
                self.scrape(next);
            }
        }
        self.now = self.now.max(until);
    }

    fn scrape(&mut self, now: i64) {
        let interval = self.traffic.scrape.as_millis() as i64;
        if self.gateway.next <= now {
            if self.scraping {
                self.gateway.scrape(&mut self.database, now, true);
            }
            self.gateway.next += interval;
        }
        for process in self.processes.values_mut().filter(|p| p.target.next <= now) {
            let answers = process.answers && !process.profile.silent;
            match (self.scraping, self.traffic.pushes) {
                (true, false) => process.target.scrape(&mut self.database, now, answers),
                (true, true) if answers => process.target.push(&mut self.database, now),
                _ => {}
            }
            process.target.next += interval;
        }
    }

    fn plan(&mut self, at: f64, event: Event) {
        self.serial += 1;
        self.events.insert((at.round() as i64, self.serial), event);
    }

    fn arrive(&mut self, now: i64) {
        self.arrival += self.dice.gap(self.traffic.rps);
        let weights: Vec<f64> = self.arms.iter().map(|a| a.weight).collect();
        let Some(arm) = self.dice.weighted(&weights).and_then(|i| self.arms.get(i)) else {
            self.users.entry("".into()).or_default().bad += 1;
            return;
        };
        let pick = (self.dice.unit() * arm.pods.len() as f64) as usize;
        let pod =
            arm.pods.get(pick).and_then(|uid| Some((Arc::clone(uid), Arc::clone(&self.processes.get(uid)?.profile))));
        let Some((pod, profile)) = pod else {
            // No Service, or nobody behind it: the gateway answers itself.
            self.users.entry(Arc::clone(&arm.revision)).or_default().bad += 1;
            return;
        };
        if profile.hangs {
            self.users.entry(Arc::clone(&arm.revision)).or_default().hanging += 1;
            return;
        }
        let (cluster, revision) = (Arc::clone(&arm.cluster), Arc::clone(&arm.revision));
        let waited = self.dice.latency(profile.latency_median, profile.latency_p95);
        let failed = self.dice.chance(profile.error_rate);
        let status = match failed {
            true => 500,
            false if profile.refused > 0.0 && self.dice.chance(profile.refused) => 401,
            false => 200,
        };
        self.plan(now as f64 + waited * 1000.0, Event::Answer { pod, cluster, revision, waited, status });
    }

    fn happen(&mut self, now: i64, event: Event) {
        let evaluator = self.traffic.evaluator.clone();
        match event {
            Event::Answer { pod, cluster, revision, waited, status } => {
                let alive = self.processes.get(&pod).is_some_and(|p| p.answers);
                let status = if alive { status } else { 503 };
                let failed = status >= 500;
                let users = self.users.entry(revision).or_default();
                if status == 200 {
                    users.good += 1;
                } else {
                    users.bad += 1;
                }
                self.count_at_gateway(&cluster, waited, status);
                if !alive || status == 401 {
                    return;
                }
                let Some(process) = self.processes.get_mut(&pod) else { return };
                process.operation(&mut self.database, waited, failed);
                if failed {
                    return;
                }
                let (input, output) =
                    (self.dice.tokens(process.profile.input_tokens), self.dice.tokens(process.profile.output_tokens));
                process.usage(&mut self.database, input, output);
                if self.dice.chance(process.profile.judged) {
                    process.started(&mut self.database, &evaluator);
                    let profile = Arc::clone(&process.profile);
                    let verdict = match self.dice.unit() {
                        u if u < profile.abstain => "abstain",
                        u if u < profile.abstain + (1.0 - profile.abstain) * profile.hallucination => "fail",
                        _ => "pass",
                    };
                    let after = profile.verdict_after.as_millis() as f64;
                    self.plan(now as f64 + after, Event::Verdict { pod, verdict });
                }
            }
            Event::Verdict { pod, verdict } => {
                if let Some(process) = self.processes.get_mut(&pod).filter(|p| p.answers) {
                    process.verdict(&mut self.database, &evaluator, verdict, 1.0);
                }
            }
        }
    }

    fn count_at_gateway(&mut self, cluster: &str, waited: f64, status: u16) {
        let (database, gateway) = (&mut self.database, &mut self.gateway);
        let name = ("envoy_cluster_name", cluster);
        let completed = gateway.counter(database, "envoy_cluster_upstream_rq_completed", &[name]);
        gateway.add(completed, 1.0);
        let (status, class) = (status.to_string(), (status / 100).to_string());
        let class = ("envoy_response_code_class", class.as_str());
        let by_class = gateway.counter(database, "envoy_cluster_upstream_rq_xx", &[class, name]);
        gateway.add(by_class, 1.0);
        let status = ("envoy_response_code", status.as_str());
        let by_status = gateway.counter(database, "envoy_cluster_upstream_rq", &[status, name]);
        gateway.add(by_status, 1.0);
        let millis = waited * 1000.0;
        gateway.observe(database, "envoy_cluster_upstream_rq_time", &[name], target::envoy_millis, millis);
    }

    /// Looks at the cluster: who is scraped, who gets traffic.
    pub fn refresh(&mut self, server: &ApiServer) {
        let pods = server.list("pods", &self.traffic.namespace);
        let running: Vec<&Value> = pods.iter().filter(|p| p["status"]["podIP"].is_string()).collect();
        let uid = |pod: &Value| pod["metadata"]["uid"].as_str().unwrap_or_default().into();
        let (now, database) = (self.now, &mut self.database);
        self.processes.retain(|known, process| {
            let stays = running.iter().any(|p| p["metadata"]["uid"] == **known);
            if !stays && !self.traffic.pushes {
                process.target.end(database, now);
            }
            stays
        });
        for pod in &running {
            let container = &pod["status"]["containerStatuses"][0];
            let restarts = container["restartCount"].as_i64().unwrap_or(0);
            let rule = self.profiles.iter().rev().find(|(which, _)| which.matches(pod, server.registry()));
            let profile = rule.map(|(_, profile)| Arc::clone(profile)).unwrap_or_default();
            let process = self.processes.entry(uid(pod)).or_insert_with(|| {
                let interval = self.traffic.scrape.as_millis() as i64;
                // Of its name: the uid counts every write before, and one write more must not move all scrapes.
                let phase = (crate::stable_hash(text(&pod["metadata"]["name"]).as_bytes())
                    % interval.unsigned_abs().max(1))
                .cast_signed();
                let earliest = now + self.traffic.discovery.as_millis() as i64;
                let next = earliest + (phase - earliest).rem_euclid(interval);
                let target = Target::new(database, identity(pod, &self.traffic, restarts), now, next);
                let label = |name: &str| text(&pod["metadata"]["labels"][name]);
                let (rollout, revision) = (label("microapp.dev/rollout").into(), label("microapp.dev/revision").into());
                let (profile, models) = (Arc::clone(&profile), models(pod));
                Process { target, rollout, revision, profile, models, restarts, answers: true }
            });
            process.profile = profile;
            process.answers = container["state"]["running"].is_object();
            if process.restarts < restarts {
                process.restarts = restarts;
                if self.traffic.pushes {
                    process.target.replace(database, identity(pod, &self.traffic, restarts), now);
                } else {
                    process.target.restart(database, now);
                }
            }
        }
        self.arms = arms(server, &self.traffic, &running);
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// What a scrape writes beside everything, or the resource attributes of a process that pushes.
fn identity(pod: &Value, traffic: &Traffic, restarts: i64) -> Labels {
    let (namespace, name, instance) = if traffic.pushes {
        ("k8s_namespace_name", "k8s_pod_name", format!("{}-{restarts}", text(&pod["metadata"]["uid"])))
    } else {
        ("namespace", "pod", format!("{}:8080", text(&pod["status"]["podIP"])))
    };
    let labels = [
        ("job", traffic.name.clone()),
        (namespace, text(&pod["metadata"]["namespace"])),
        (name, text(&pod["metadata"]["name"])),
        ("instance", instance),
    ];
    labels.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn models(pod: &Value) -> (String, String) {
    let variable = |name: &str| {
        let mut list = pod["spec"]["containers"][0]["env"].as_array().into_iter().flatten();
        list.find(|v| v["name"] == name).and_then(|v| v["value"].as_str())
    };
    let model = variable("MODEL_NAME").unwrap_or("gpt-5-nano");
    let version = variable("MODEL_VERSION").unwrap_or("2025-08-07");
    (model.to_owned(), format!("{model}-{version}"))
}

/// Backends of the route's first rule; where there is no route, the Service with the rollout's name gets everything.
fn arms(server: &ApiServer, traffic: &Traffic, running: &[&Value]) -> Vec<Arm> {
    let namespace = &traffic.namespace;
    let backends: Vec<(String, f64, i64)> = match server.get("httproutes", namespace, &traffic.name) {
        Some(route) => {
            let backends = route["spec"]["rules"][0]["backendRefs"].as_array().cloned().unwrap_or_default();
            let read = |b: &Value| {
                let name = b["name"].as_str().unwrap_or_default().to_owned();
                (name, b["weight"].as_f64().unwrap_or(1.0), b["port"].as_i64().unwrap_or(0))
            };
            backends.iter().map(read).collect()
        }
        None => vec![(traffic.name.clone(), 1.0, 0)],
    };
    let arm = |(name, weight, port): (String, f64, i64)| {
        let service = server.get("services", namespace, &name).unwrap_or_default();
        let selector = service["spec"]["selector"].as_object();
        let selected = |pod: &Value| {
            selector.is_some_and(|s| s.iter().all(|(key, value)| pod["metadata"]["labels"][key] == *value))
        };
        let ready = |pod: &Value| {
            let mut conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
            conditions.any(|c| c["type"] == "Ready" && c["status"] == "True")
        };
        let chosen = running.iter().filter(|p| selected(p) && ready(p));
        let pods: Vec<Arc<str>> = chosen.filter_map(|p| p["metadata"]["uid"].as_str().map(Arc::from)).collect();
        let revision = selector.and_then(|s| s.get("microapp.dev/revision")).and_then(Value::as_str);
        let revision = revision.unwrap_or_else(|| name.trim_start_matches(&traffic.name).trim_start_matches('-'));
        Arm { weight, cluster: format!("{namespace}_{name}_{port}").into(), revision: revision.into(), pods }
    };
    backends.into_iter().map(arm).collect()
}

impl Process {
    fn operation(&mut self, database: &mut Database, waited: f64, failed: bool) {
        let (request, response) = self.models.clone();
        let response = self.profile.response_model.clone().unwrap_or(response);
        let error = self.profile.error_type.clone();
        let mut labels = vec![
            ("gen_ai_operation_name", "chat"),
            ("gen_ai_provider_name", "openai"),
            ("gen_ai_request_model", request.as_str()),
        ];
        labels.push(if failed { ("error_type", &error) } else { ("gen_ai_response_model", &response) });
        let name = "gen_ai_client_operation_duration_seconds";
        self.target.observe(database, name, &labels, target::seconds, waited);
    }

    fn usage(&mut self, database: &mut Database, input: f64, output: f64) {
        let (request, response) = self.models.clone();
        let response = self.profile.response_model.clone().unwrap_or(response);
        for (kind, count) in [("input", input), ("output", output)] {
            let labels = [
                ("gen_ai_operation_name", "chat"),
                ("gen_ai_provider_name", "openai"),
                ("gen_ai_request_model", request.as_str()),
                ("gen_ai_response_model", response.as_str()),
                ("gen_ai_token_type", kind),
            ];
            self.target.observe(database, "gen_ai_client_token_usage", &labels, target::tokens, count);
        }
    }

    fn started(&mut self, database: &mut Database, evaluator: &str) {
        // Both verdicts stand at zero from the first answer on, as in the demo application.
        self.verdict(database, evaluator, "pass", 0.0);
        self.verdict(database, evaluator, "fail", 0.0);
        let (rollout, revision) = (Arc::clone(&self.rollout), Arc::clone(&self.revision));
        let labels = [
            ("evaluator", evaluator),
            ("sampling", "random"),
            ("unit", "request"),
            ("revision", &*revision),
            ("rollout", &*rollout),
        ];
        let counter = self.target.counter(database, "llm_eval_started_total", &labels);
        self.target.add(counter, 1.0);
    }

    fn verdict(&mut self, database: &mut Database, evaluator: &str, verdict: &str, amount: f64) {
        let (rollout, revision) = (Arc::clone(&self.rollout), Arc::clone(&self.revision));
        let profile = Arc::clone(&self.profile);
        let labels = [
            ("evaluator", evaluator),
            ("sampling", "random"),
            ("unit", "request"),
            ("revision", &*revision),
            ("rollout", &*rollout),
            ("evaluator_version", profile.evaluator_version.as_str()),
            ("verdict", verdict),
        ];
        let counter = self.target.counter(database, "llm_eval_results_total", &labels);
        self.target.add(counter, amount);
    }
}
