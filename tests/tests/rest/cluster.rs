//! A cluster in a few lines: what other controllers, people and Prometheus make of the operator's writes.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use jiff::{SignedDuration, Timestamp};
use microapp_api::{
    conditions::Reason,
    v1alpha1::{MicroAppRolloutStatus, Verdict},
};
use microapp_core::{
    Judgement, Revision, World, Write, after,
    counts::Unknown,
    decide,
    evidence::{GateView, Preflight, Refusal},
    plan::Plan,
    world::{Acceptance, Apex, Command, Desired, Failure, Pod, RouteFact, Signal, Verb},
};
use microapp_tests::golden::Case;

const NAMES: [&str; 4] = ["bbbbbbbbb2", "ccccccccc2", "ddddddddd2", "fffffffff2"];
/// A bad end is found long before.
const PASSES: usize = 4000;
const LONG: SignedDuration = SignedDuration::from_hours(24 * 3);
const SLOW: i64 = 400;

/// What a pass came to.
enum Passed {
    Wrote,
    /// Until then; `None`: until something changes.
    Rests(Option<Timestamp>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pods {
    Healthy,
    /// Ready after minutes.
    Slow,
    Unready,
    CrashLoop,
    /// By a quota.
    Refused,
    PullFails,
    /// Ready, and the node reports no digest.
    NoDigest,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Data {
    Good,
    Undecided,
    NoTraffic,
    Silent,
    Bad,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gateway {
    Accepts,
    Silent,
    Refuses,
}

#[derive(Clone, Copy, Debug)]
pub enum Event {
    Wish(usize),
    Replicas(i32),
    Usable(bool),
    Command(Verb),
    Pods(usize, Pods),
    LosePod(usize),
    LoseDeployment(usize),
    LoseService(usize),
    LoseRoute,
    WipeStatus,
    LowerByHand,
    RaiseByHand,
    Gateway(Gateway),
    Data(Data),
    /// So many seconds; 0 = a single pass.
    Wait(i64),
}

#[derive(Debug)]
pub struct Cluster {
    world: World,
    usable: Desired,
    now: Timestamp,
    pods: BTreeMap<Revision, Pods>,
    gateway: Gateway,
    data: Data,
    number: u64,
    last: Option<Plan>,
    states: BTreeSet<&'static str>,
    log: Vec<String>,
}

fn revision(version: usize) -> Revision {
    Revision::parse(NAMES[version]).unwrap()
}

impl Cluster {
    /// The first version is wanted; nothing exists.
    pub fn new() -> Self {
        let base = include_str!("../../golden/base.yaml");
        let Case { mut world, now, .. } = Case::read(base, "world: {}").unwrap();
        world.route = RouteFact::Missing;
        world.apex = Apex::Missing;
        world.arms.clear();
        world.status = MicroAppRolloutStatus::default();
        world.desired_since = now;
        let usable = world.desired.clone();
        let mut cluster = Self {
            world,
            usable,
            now,
            pods: BTreeMap::new(),
            gateway: Gateway::Accepts,
            data: Data::Good,
            number: 0,
            last: None,
            states: BTreeSet::new(),
            log: Vec::new(),
        };
        cluster.apply(&Event::Wish(0));
        cluster
    }

    fn edit(&mut self, change: impl FnOnce(&mut microapp_core::world::Spec)) {
        if let Desired::Usable(spec) = &mut self.usable {
            change(spec);
        }
        self.want(self.usable.clone());
    }

    fn want(&mut self, desired: Desired) {
        if self.world.desired != desired {
            self.world.object.generation += 1;
            self.world.desired_since = self.now;
            self.world.desired = desired;
        }
    }

    pub fn apply(&mut self, event: &Event) {
        self.log.push(format!("{} {event:?}", self.now));
        let found = |version: usize, world: &mut World| world.arms.contains_key(&revision(version));
        match *event {
            Event::Wish(version) => self.edit(|spec| {
                spec.revision = revision(version);
                spec.images = [("app".to_owned(), format!("app:{version}"))].into();
            }),
            Event::Replicas(replicas) => self.edit(|spec| {
                spec.replicas = replicas;
                spec.strategy.replicas = replicas;
            }),
            Event::Usable(true) => self.want(self.usable.clone()),
            Event::Usable(false) => {
                self.want(Desired::Unusable { reason: Reason::PromptsMissing, message: "no prompts".to_owned() });
            }
            Event::Command(verb) => self.command(verb),
            Event::Pods(version, pods) => {
                self.pods.insert(revision(version), pods);
            }
            Event::LosePod(version) if found(version, &mut self.world) => {
                let arm = self.world.arms.get_mut(&revision(version)).unwrap();
                arm.pods.pop();
            }
            Event::LoseDeployment(version) if found(version, &mut self.world) => {
                let arm = self.world.arms.get_mut(&revision(version)).unwrap();
                arm.deployment = None;
                arm.pods.clear();
            }
            Event::LoseService(version) if found(version, &mut self.world) => {
                self.world.arms.get_mut(&revision(version)).unwrap().service = false;
            }
            Event::LosePod(_) | Event::LoseDeployment(_) | Event::LoseService(_) => {}
            Event::LoseRoute => self.world.route = RouteFact::Missing,
            Event::WipeStatus => self.world.status = MicroAppRolloutStatus::default(),
            Event::LowerByHand => self.weigh(100, 0),
            Event::RaiseByHand => self.weigh(0, 100),
            Event::Gateway(gateway) => self.gateway = gateway,
            Event::Data(data) => self.data = data,
            Event::Wait(0) => {
                self.pass();
            }
            Event::Wait(seconds) => self.wait(self.now + SignedDuration::from_secs(seconds)),
        }
    }

    fn command(&mut self, verb: Verb) {
        self.number += 1;
        let number = self.number;
        let register = self.world.route().map(|route| &route.register);
        let token = match verb {
            Verb::Abort | Verb::Pause | Verb::Resume => format!("t{number}"),
            Verb::Promote => {
                let attempt = register.map_or(0, |register| register.attempt);
                let step = register.and_then(|register| register.step).map_or("-".to_owned(), |step| step.to_string());
                format!("{attempt}/{step}:{number}")
            }
            Verb::Retry => {
                let wanted = self.world.spec().map(|spec| spec.revision.to_string()).unwrap_or_default();
                format!("{wanted}:{number}")
            }
        };
        self.world.commands.insert(verb, Command { token, reason: String::new() });
    }

    fn weigh(&mut self, stable: i64, canary: i64) {
        if let RouteFact::Present(route) = &mut self.world.route
            && let [one, other] = route.backends.as_mut_slice()
        {
            (one.weight, other.weight) = (Some(stable), Some(canary));
            route.version.push('x');
        }
    }

    /// Everything in order, a version wanted, nobody's pause in force.
    pub fn heal(&mut self, wish: usize) {
        self.pods.clear();
        self.gateway = Gateway::Accepts;
        self.data = Data::Good;
        self.edit(|spec| {
            spec.replicas = 4;
            spec.strategy.replicas = 4;
        });
        self.apply(&Event::Wish(wish));
        self.apply(&Event::Command(Verb::Resume));
        self.world.commands.remove(&Verb::Pause);
    }

    /// What the other controllers do now, and when they do more.
    fn controllers(&mut self) -> Option<Timestamp> {
        let now = self.now;
        let mut next: Option<Timestamp> = None;
        for (revision, arm) in &mut self.world.arms {
            let Some(deployment) = &mut arm.deployment else {
                arm.pods.clear();
                continue;
            };
            let pods = self.pods.get(revision).copied().unwrap_or(Pods::Healthy);
            if !deployment.rolling {
                arm.pods.retain(|pod| pod.pinned == deployment.pinned);
            }
            let size = usize::try_from(deployment.size).unwrap_or_default();
            let current = arm.pods.iter().filter(|pod| pod.pinned == deployment.pinned).count();
            for _ in current..size {
                if pods == Pods::Refused {
                    break;
                }
                self.number += 1;
                arm.pods.push(Pod {
                    name: format!("{revision}-{}", self.number),
                    ready: false,
                    pinned: deployment.pinned,
                    started: Some(now),
                    digests: BTreeMap::new(),
                    signal: None,
                    exited: None,
                    served: false,
                    created: Some(now),
                    unready: Some(now),
                    waiting: None,
                    detail: None,
                });
            }
            let mut keep = size;
            arm.pods.retain(|pod| {
                let stays = pod.pinned == deployment.pinned && keep > 0;
                keep -= usize::from(stays);
                stays
            });
            for pod in &mut arm.pods {
                let delay = if pods == Pods::Slow { SLOW } else { 3 };
                let at = pod.created.unwrap() + SignedDuration::from_secs(delay);
                let starts = matches!(pods, Pods::Healthy | Pods::Slow | Pods::NoDigest);
                // A quota does not touch what runs.
                let ready = now >= at && (starts || pods == Pods::Refused);
                if starts && !ready {
                    next = next.into_iter().chain([at]).min();
                }
                if pod.ready != ready {
                    pod.unready = (!ready).then_some(now);
                }
                pod.ready = ready;
                pod.served |= ready;
                pod.signal = (pods == Pods::CrashLoop).then_some(Signal::CrashLoop);
                pod.exited = pod.signal.map(|_| pod.exited.unwrap_or(now));
                pod.waiting = match pods {
                    Pods::CrashLoop => Some("CrashLoopBackOff".to_owned()),
                    Pods::PullFails => Some("ImagePullBackOff".to_owned()),
                    Pods::Healthy | Pods::Slow | Pods::Unready | Pods::Refused | Pods::NoDigest => None,
                };
                let named = deployment.pinned || !matches!(pods, Pods::NoDigest | Pods::PullFails);
                if named {
                    pod.digests = [("app".to_owned(), format!("sha256:{revision}"))].into();
                }
            }
            let ready = arm.pods.iter().filter(|pod| pod.ready).count();
            let short = deployment.rolling && ready < size;
            deployment.available = deployment.rolling && !short;
            deployment.short = short.then(|| deployment.short.unwrap_or(now));
            let failed = pods == Pods::Refused && arm.pods.len() < size;
            let since = deployment.failure.as_ref().map_or(now, |failure| failure.since);
            deployment.failure = failed.then(|| Failure { since, message: "exceeded quota".to_owned() });
        }
        self.answer();
        next
    }

    fn answer(&mut self) {
        let arms = &self.world.arms;
        let RouteFact::Present(route) = &mut self.world.route else { return };
        let mut backends = route.backends.iter().filter_map(|backend| backend.revision.as_ref());
        let resolved = backends.all(|revision| arms.get(revision).is_some_and(|arm| arm.service));
        match self.gateway {
            Gateway::Accepts if resolved => route.acceptance = Acceptance::Accepted,
            Gateway::Accepts => route.acceptance = Acceptance::Refused("public says BackendNotFound".to_owned()),
            Gateway::Refuses => route.acceptance = Acceptance::Refused("public says NotAllowed".to_owned()),
            Gateway::Silent => {}
        }
    }

    fn evidence(&self) -> Judgement {
        let Some(register) = self.world.route().map(|route| &route.register) else { return Judgement::default() };
        let Some(plan) = self.world.plan().filter(|_| register.canary.is_some()) else { return Judgement::default() };
        let (preflight, silence) = match self.data {
            Data::NoTraffic => {
                let refusal = Refusal {
                    gate: "errors".to_owned(),
                    reason: Unknown::NoData,
                    message: "has no series".to_owned(),
                    fatal: false,
                };
                (Preflight::Refused(vec![refusal]), None)
            }
            Data::Silent if register.since.is_none() => (Preflight::Pending, Some(Unknown::NoData)),
            Data::Silent => (Preflight::Passed, Some(Unknown::NoData)),
            Data::Good | Data::Undecided | Data::Bad => (Preflight::Passed, None),
        };
        let exposed = register.step.is_some();
        let (verdict, unknown) = match self.data {
            Data::Good => (Verdict::Pass, None),
            Data::Bad if exposed => (Verdict::Fail, None),
            Data::Bad | Data::Undecided => (Verdict::Unknown, Some(Unknown::Undecided)),
            Data::NoTraffic | Data::Silent => (Verdict::Unknown, Some(Unknown::NoData)),
        };
        let gate = |name: &str| {
            let view = serde_json::json!({"name": name, "verdict": "Pass", "lnFail": 0.0, "lnFailAt": 6.0, "lnPass": 0.0, "lnPassAt": 3.0});
            let view: GateView = serde_json::from_value(view).unwrap();
            GateView { verdict, unknown, ..view }
        };
        Judgement {
            attempt: register.attempt,
            preflight,
            silence,
            canary_seen: true,
            gates: plan.gates.iter().map(|one| gate(&one.name)).collect(),
            windows: 1,
            last: Some(self.now.as_second() as f64),
            ..Judgement::default()
        }
    }

    /// One pass; says when to look again, or that something was written.
    fn pass(&mut self) -> Passed {
        let cluster = self.controllers();
        let evidence = self.evidence();
        let plan = decide(&self.world, self.now, &evidence);
        if let Some(write) = &plan.write {
            self.log.push(format!("{} {} ({}: {})", self.now, write.name(), plan.why.reason, plan.why.message));
            self.world = after(&self.world, write, self.now);
            if let (Write::Status(status), Some(canary)) = (write, &mut self.world.status.canary)
                && status.checkpoint
            {
                canary.evidence = Some(format!("e2.{}.", self.now.as_second()));
            }
        }
        self.states.insert(plan.state.as_str());
        let next = plan.wake.into_iter().chain(cluster).min();
        let wrote = plan.write.is_some();
        self.last = Some(plan);
        if wrote { Passed::Wrote } else { Passed::Rests(next) }
    }

    fn wait(&mut self, until: Timestamp) {
        for _ in 0..PASSES {
            match self.pass() {
                Passed::Wrote => {}
                Passed::Rests(Some(next)) if next < until => {
                    self.now = next.max(self.now + SignedDuration::from_millis(1));
                }
                Passed::Rests(_) => break,
            }
        }
        self.now = self.now.max(until);
    }

    /// Nothing from outside changes any more.
    pub fn rest(&mut self) -> Result<(), String> {
        let begun = self.now;
        for _ in 0..PASSES {
            if self.now.duration_since(begun) > LONG {
                return Err("three days, and it still waits".to_owned());
            }
            match self.pass() {
                Passed::Wrote => {}
                Passed::Rests(next) if self.is_told() => {
                    // What a person is told may still have its end.
                    match next.filter(|_| !self.polls()) {
                        Some(next) => self.now = next.max(self.now + SignedDuration::from_millis(1)),
                        None => return Ok(()),
                    }
                }
                Passed::Rests(Some(next)) => self.now = next.max(self.now + SignedDuration::from_millis(1)),
                Passed::Rests(None) => return Err("it waits for nothing".to_owned()),
            }
        }
        Err(format!("it does not rest in {PASSES} passes"))
    }

    fn condition(&self, kind: &str) -> Option<(&str, &str)> {
        let mut all = self.world.status.conditions.iter();
        all.find(|one| one.type_ == kind).map(|one| (one.status.as_str(), one.reason.as_str()))
    }

    /// It asks again and again, as it has said.
    fn polls(&self) -> bool {
        let reason = self.condition("Reconciling").or(self.condition("Stalled")).map(|(_, reason)| reason);
        matches!(reason, Some("PreflightFailed" | "PrometheusUnavailable" | "RouteNotAccepted"))
    }

    /// Does status say that nothing is wanted, or what a person has to do?
    fn is_told(&self) -> bool {
        let ready = self.condition("Ready").is_some_and(|(status, _)| status == "True");
        let held = self.condition("Stalled").or(self.condition("Paused").filter(|(status, _)| *status == "True"));
        let waits = self.condition("Reconciling").map(|(_, reason)| reason);
        ready
            || held.is_some()
            || self.polls()
            || matches!(waits, Some("PromptsMissing" | "StableBelowMinimum" | "NoData" | "Inconclusive"))
    }

    /// The states of all passes.
    pub fn states(&self) -> &BTreeSet<&'static str> {
        &self.states
    }

    /// After all is well: is the wish stable? If not, a person is told why.
    pub fn serves(&self, wish: usize) -> Result<bool, String> {
        let Some(route) = self.world.route() else { return self.held() };
        let stable = route.register.stable == revision(wish);
        let ready = self.condition("Ready").is_some_and(|(status, _)| status == "True");
        let arm = self.world.arm(&route.register.stable);
        if stable && ready && !arm.stands() {
            return Err("it reads as ready and nobody serves".to_owned());
        }
        if stable && ready {
            let others = self.world.arms.iter().filter(|(other, arm)| **other != route.register.stable && arm.runs());
            return others.map(|(other, _)| Err(format!("{other} still runs"))).next().unwrap_or(Ok(true));
        }
        self.held()
    }

    fn held(&self) -> Result<bool, String> {
        let told = self.condition("Stalled").or(self.condition("Paused").filter(|(status, _)| *status == "True"));
        told.map(|_| false).ok_or_else(|| "the wish is not served, and nobody is told why".to_owned())
    }

    pub fn tell(&self) -> String {
        let mut text = String::new();
        for line in self.log.iter().rev().take(60).rev() {
            let _ = writeln!(text, "{line}");
        }
        let plan = self.last.as_ref().map(|plan| (plan.state, &plan.why, plan.wake));
        let _ = writeln!(text, "at {}: {plan:?}", self.now);
        let _ = writeln!(text, "{:?}\n{:?}", self.world.route, self.world.arms.keys());
        for one in &self.world.status.conditions {
            let _ = writeln!(text, "{} {} {}: {}", one.type_, one.status, one.reason, one.message);
        }
        text
    }
}
