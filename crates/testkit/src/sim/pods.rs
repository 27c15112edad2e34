//! Pods: pulled, started, ready, or whatever else they are told to do.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Behaviour, Cluster, condition, text, uid};
use crate::api::ApiServer;
use crate::clock;

const ACTOR: &str = "kubelet";
/// The kubelet's cap.
const MAX_BACKOFF: Duration = Duration::from_secs(300);

/// Where a pod is in its life.
#[derive(Clone, Debug)]
enum Phase {
    Pulling { until: Instant },
    Running { since: Instant, at: String },
    BackOff { until: Instant },
}

/// What the node remembers of a pod.
#[derive(Clone, Debug)]
pub(super) struct State {
    phase: Phase,
    exits: u32,
    last: Option<Value>,
    /// `imageID`s as of the pull: a tag that moves later does not change what runs.
    image_ids: Vec<String>,
    restart: bool,
}

impl State {
    pub fn restart(&mut self) {
        self.restart = true;
    }

    /// Moves on as far as time allows, and says when to look again.
    fn advance(&mut self, behaviour: &Behaviour, cluster: &Cluster, now: Instant) -> Option<Instant> {
        let timing = cluster.timing;
        loop {
            match &self.phase {
                Phase::Pulling { until } => {
                    let blocked = matches!(behaviour, Behaviour::ImagePullBackOff | Behaviour::Unschedulable);
                    if blocked || now < *until {
                        return (now < *until).then_some(*until);
                    }
                    self.phase = running(now);
                }
                Phase::Running { since, .. } => {
                    let crash = match behaviour {
                        _ if self.restart => Some((143, "Error", now)),
                        Behaviour::CrashLoop { exit_code } => Some((*exit_code, "Error", *since + timing.crash)),
                        Behaviour::OomKilled => Some((137, "OOMKilled", *since + timing.crash)),
                        _ => None,
                    };
                    let Some((code, reason, at)) = crash else {
                        let ready = *since + timing.ready;
                        return (now < ready).then_some(ready);
                    };
                    if now < at {
                        return Some(at);
                    }
                    self.exits += 1;
                    let finished = clock::rfc3339(clock::now());
                    let Phase::Running { at: begun, .. } = &self.phase else { return None };
                    let last = json!({"exitCode": code, "reason": reason, "startedAt": begun, "finishedAt": finished});
                    self.last = Some(json!({"terminated": last}));
                    // The first time the kubelet starts it again at once.
                    self.phase = if std::mem::take(&mut self.restart) || self.exits == 1 {
                        running(now)
                    } else {
                        let backoff = Duration::from_secs(10) * 2_u32.pow((self.exits - 2).min(5));
                        Phase::BackOff { until: now + backoff.min(MAX_BACKOFF) }
                    };
                }
                Phase::BackOff { until } => {
                    if now < *until {
                        return Some(*until);
                    }
                    self.phase = running(now);
                }
            }
        }
    }

    fn container(&self, index: usize, container: &Value, behaviour: &Behaviour, ready: bool) -> Value {
        let crashed = index == 0 && matches!(self.phase, Phase::BackOff { .. });
        let state = match &self.phase {
            Phase::Pulling { .. } if *behaviour == Behaviour::ImagePullBackOff => {
                json!({"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}})
            }
            Phase::Pulling { .. } => json!({"waiting": {"reason": "ContainerCreating"}}),
            Phase::BackOff { .. } if crashed => {
                json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off restarting failed container"}})
            }
            Phase::BackOff { .. } => json!({"running": {}}),
            Phase::Running { at, .. } => json!({"running": {"startedAt": at}}),
        };
        let starts = self.exits - u32::from(crashed);
        json!({
            "name": container["name"], "image": container["image"],
            "imageID": self.image_ids.get(index).cloned().unwrap_or_default(),
            "ready": ready && !crashed, "started": state["running"].is_object(),
            "restartCount": if index == 0 { starts } else { 0 },
            "state": state,
            "lastState": self.last.clone().filter(|_| index == 0).unwrap_or_else(|| json!({})),
        })
    }

    fn status(&self, pod: &Value, behaviour: &Behaviour, timing: Duration, now: Instant) -> Value {
        let up = !matches!(self.phase, Phase::Pulling { .. });
        let healthy = matches!(behaviour, Behaviour::Healthy | Behaviour::QuotaExceeded);
        let ready = healthy && matches!(&self.phase, Phase::Running { since, .. } if now >= *since + timing);
        let scheduled = *behaviour != Behaviour::Unschedulable || up;
        let before = &pod["status"]["conditions"];
        let reason = if ready { "" } else { "ContainersNotReady" };
        let conditions = [
            condition(before, "PodScheduled", scheduled, if scheduled { "" } else { "Unschedulable" }, None),
            condition(before, "Initialized", up, "", None),
            condition(before, "ContainersReady", ready, reason, None),
            condition(before, "Ready", ready, reason, None),
        ];
        let mut status = json!({"phase": if up { "Running" } else { "Pending" }, "conditions": conditions});
        if !scheduled {
            return status;
        }
        let containers = pod["spec"]["containers"].as_array().into_iter().flatten().enumerate();
        let statuses: Vec<Value> = containers.map(|(i, c)| self.container(i, c, behaviour, ready)).collect();
        status["containerStatuses"] = statuses.into();
        if let Some(init) = pod["spec"]["initContainers"].as_array().filter(|_| up) {
            let offset = pod["spec"]["containers"].as_array().map_or(0, Vec::len);
            let done = init.iter().enumerate().map(|(i, c)| {
                json!({"name": c["name"], "image": c["image"], "imageID": self.image_ids.get(offset + i), "ready": true,
                    "restartCount": 0, "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}})
            });
            status["initContainerStatuses"] = done.collect();
        }
        if up {
            let number = crate::stable_hash(uid(pod).as_bytes());
            status["podIP"] = format!("10.244.{}.{}", number >> 8 & 0xff, number & 0xff).into();
            status["startTime"] = pod["metadata"]["creationTimestamp"].clone();
        }
        status
    }
}

fn running(now: Instant) -> Phase {
    Phase::Running { since: now, at: clock::rfc3339(clock::now()) }
}

/// Moves all pods on and writes their statuses; says when to look again.
pub(super) fn step(server: &ApiServer, cluster: &mut Cluster) -> Option<Instant> {
    let now = Instant::now();
    let pods = server.list("pods", "");
    cluster.pods.retain(|known, _| pods.iter().any(|p| uid(p) == known));
    let mut wake: Option<Instant> = None;
    for pod in &pods {
        let behaviour = cluster.behaviour(pod, server);
        let fresh = State {
            phase: Phase::Pulling { until: now + cluster.timing.pull },
            exits: 0,
            last: None,
            image_ids: vec![],
            restart: false,
        };
        let mut state = cluster.pods.get(uid(pod)).cloned().unwrap_or(fresh);
        let next = state.advance(&behaviour, cluster, now);
        wake = wake.into_iter().chain(next).min();
        if state.image_ids.is_empty() && !matches!(state.phase, Phase::Pulling { .. }) {
            let lists = [&pod["spec"]["containers"], &pod["spec"]["initContainers"]];
            let containers = lists.into_iter().filter_map(Value::as_array).flatten();
            let images = containers.map(|c| c["image"].as_str().unwrap_or_default());
            state.image_ids = images.map(|image| server.registry().image_id(image)).collect();
        }
        let status = state.status(pod, &behaviour, cluster.timing.ready, now);
        cluster.pods.insert(uid(pod).to_owned(), state);
        if pod["status"] != status {
            server.edit(ACTOR, "pods", text(pod, "namespace"), text(pod, "name"), |p| p["status"] = status);
        }
    }
    wake
}
