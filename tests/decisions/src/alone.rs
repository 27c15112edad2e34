//! Rows about our rule alone: the traffic, the environments and the figures that the others' rules have nothing to say to.
//! Each run closes the loop with the operator's own `fold`, `decide` and `after`.

use std::collections::{BTreeMap, VecDeque};

use microapp_core::{
    counts::{Side, Sides},
    replay::{Action, Malformed, Outcome, Start, Tick},
    simulate::traffic::Rng,
};
use serde_json::{Value, json};

use crate::{
    bench::{rollout, spread},
    rule::{End, Run},
};

/// How long stable was watched before, in seconds.
const HOUR: f64 = 3600.0;
/// Pods of stable and of the canary.
const PODS: [usize; 2] = [4, 2];

/// What is odd about a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Odd {
    /// Nothing.
    Nothing,
    /// Traffic and errors between half and double over a day, from a random hour on.
    Daily,
    /// Both fail this share for three minutes, somewhere in the first seventeen.
    Incident(f64),
    /// Errors come three at a time.
    Bursts,
    /// Every pod's rate differs by up to so much of itself, up or down.
    Pods(f64),
    /// Stable alone fails this share for three minutes, somewhere in the first seventeen.
    StableIncident(f64),
    /// Both fail this share for three minutes, somewhere in the first twenty of the bake.
    BakeIncident(f64),
    /// Everybody fails for a minute from a sharp moment on, and each pod is scraped at a moment of its own.
    Outage,
    /// No scrape for a minute after each raise; the first one after it has all that came meanwhile.
    GapAtRaise,
    /// Stable was healthy before, and has failed this share since.
    Broken(f64),
}

/// One row.
#[derive(Clone, Debug)]
pub struct Case {
    /// For people.
    pub name: String,
    /// Requests per second on both revisions together.
    pub rps: f64,
    /// Seconds between two scrapes.
    pub scrape: f64,
    /// Share of bad ones of stable, per gate: errors first.
    pub stable: Vec<f64>,
    /// And of the canary.
    pub canary: Vec<f64>,
    /// The gates, in the same order; one of a name with `judged` in it gets its verdicts late.
    pub gates: Value,
    /// `spec.strategy`.
    pub strategy: Value,
    /// From an answer to its verdict, in seconds.
    pub verdict: f64,
    /// What is odd.
    pub odd: Odd,
    /// When nobody waits any longer, in seconds.
    pub limit: f64,
}

impl Case {
    /// One errors gate of at most 1 %, preset `Standard`, both as bad as this.
    pub fn errors(name: impl Into<String>, rps: f64, scrape: f64, stable: f64, canary: f64) -> Self {
        Self {
            name: name.into(),
            rps,
            scrape,
            stable: vec![stable],
            canary: vec![canary],
            gates: json!([{"name": "errors", "errorRate": {"max": "1%"}}]),
            strategy: json!({"preset": "Standard", "lowTraffic": "SkipSteps"}),
            verdict: 1.0,
            odd: Odd::Nothing,
            limit: 4.0 * HOUR,
        }
    }

    /// With something odd.
    #[must_use]
    pub fn odd(mut self, odd: Odd) -> Self {
        self.odd = odd;
        self
    }

    fn names(&self) -> Vec<String> {
        let gates = self.gates.as_array().map_or(&[][..], Vec::as_slice);
        gates.iter().map(|gate| gate["name"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

/// A run with what only these rows ask for.
#[derive(Clone, Debug, PartialEq)]
pub struct Alone {
    /// As in the other rows.
    pub run: Run,
    /// The share that the ramp began with.
    pub first: Option<f64>,
    /// The tolerance that preflight chose, as a share.
    pub epsilon: Option<f64>,
}

/// One attempt. The same case, seed and index give the same run.
///
/// # Errors
/// The case names gates or steps that are none.
pub fn run(case: &Case, seed: u64, index: u64) -> Result<Alone, Malformed> {
    let mut world = World::new(case, Rng::split(seed, index));
    let mut replay = rollout(&case.strategy, &case.gates)?;
    replay.begin(world.before());
    let mut out = Alone {
        run: Run { end: End::Undecided, seconds: 0.0, full: None, requests: 0, bad: 0, word: String::new() },
        first: None,
        epsilon: None,
    };
    let mut at = At { weight: 0.0, since: 0.0, baked: None };
    take(&mut out, replay.drive(&Tick::at(0.0))?, &mut at, 0.0);
    while out.run.end == End::Undecided && out.run.seconds < case.limit {
        out.run.seconds += case.scrape;
        let t = out.run.seconds;
        let tick = world.tick(t, at, &mut out.run);
        take(&mut out, replay.drive(&tick)?, &mut at, t);
        if out.first.is_none() && at.weight > 0.0 {
            out.first = Some(at.weight);
            out.epsilon = replay.settled().epsilon_ppm.map(|ppm| ppm as f64 / 1e6);
        }
    }
    Ok(out)
}

/// `runs` attempts on so many threads; the result does not depend on their number.
///
/// # Errors
/// As [`run`].
pub fn measure(case: &Case, runs: u64, seed: u64, threads: u64) -> Result<Vec<Alone>, Malformed> {
    spread(runs, threads, |index| run(case, seed, index))
}

/// Where the traffic is.
#[derive(Clone, Copy, Debug)]
struct At {
    weight: f64,
    since: f64,
    /// When the canary had all of it for the first time: the incident of a bake comes once per attempt.
    baked: Option<f64>,
}

fn take(out: &mut Alone, outcome: Outcome, at: &mut At, t: f64) {
    let Outcome { action, weight, reason, .. } = outcome;
    match action {
        Action::Promote => out.run.end = End::Promoted,
        Action::Rollback => out.run.end = End::RolledBack,
        Action::Hold | Action::Raise | Action::Lower | Action::Pause => {}
    }
    let weight = weight / 100.0;
    if weight.to_bits() != at.weight.to_bits() {
        (at.weight, at.since) = (weight, t);
        at.baked = at.baked.or((weight >= 1.0).then_some(t));
    }
    if out.run.full.is_none() && (weight >= 1.0 || out.run.end == End::Promoted) {
        out.run.full = Some(t);
    }
    out.run.word = reason;
}

/// Bad and all of one gate.
type Pair = (u64, u64);

/// The traffic of one run.
struct World<'a> {
    case: &'a Case,
    names: Vec<String>,
    rng: Rng,
    /// Factors of the pods' rates: stable's mean, the canary's mean.
    pods: [f64; 2],
    /// Where in its time the oddity begins, 0 to 1.
    moment: f64,
    /// Of each pod, stable's first: the phase of its scrapes, in seconds.
    phases: [Vec<f64>; 2],
    /// Verdicts that are still to come, per arm.
    open: [VecDeque<(f64, Pair)>; 2],
    /// What came while scrapes failed, per arm and gate.
    held: [Vec<Pair>; 2],
    missed: bool,
    /// Stable's last two windows, for the neighbours of the outage.
    past: Vec<Frame>,
}

/// One window of the outage.
#[derive(Clone, Debug)]
struct Frame {
    end: f64,
    arms: [Pair; 2],
    weight: f64,
    gap: bool,
}

impl<'a> World<'a> {
    fn new(case: &'a Case, mut rng: Rng) -> Self {
        let spread = if let Odd::Pods(spread) = case.odd { spread } else { 0.0 };
        let pods = PODS.map(|pods| {
            let factors: f64 = (0..pods).map(|_| 1.0 + spread * (2.0 * rng.unit() - 1.0)).sum();
            factors / pods as f64
        });
        let moment = rng.unit();
        let phases = PODS.map(|pods| (0..pods).map(|_| rng.unit() * case.scrape).collect());
        let gates = case.stable.len();
        Self {
            case,
            names: case.names(),
            rng,
            pods,
            moment,
            phases,
            open: [VecDeque::new(), VecDeque::new()],
            held: [vec![(0, 0); gates], vec![(0, 0); gates]],
            missed: false,
            past: Vec::new(),
        }
    }

    /// What stable did in the hour before: each gate of its own requests, for errors all of them the same ones.
    fn before(&mut self) -> Start {
        let ((bad, requests), phi) = self.errors_before();
        let mut baseline = BTreeMap::new();
        for (gate, (name, share)) in self.names.clone().iter().zip(&self.case.stable).enumerate() {
            let bad = if gate == 0 { bad } else { self.rng.binomial(requests, *share) };
            baseline.insert(name.clone(), self.side(gate, (bad, requests), requests));
        }
        let phi = self.names.first().map(|name| (name.clone(), phi)).into_iter().collect();
        let judged = self.names.iter().enumerate().filter(|(gate, _)| self.is_judged(*gate));
        let delay = judged.map(|(_, name)| (name.clone(), self.case.verdict)).collect();
        Start { baseline, seconds: HOUR, scrape: self.case.scrape, phi, delay }
    }

    /// Errors scrape by scrape, and φ as preflight takes it: one half of stable against the other, from 30 errors on.
    fn errors_before(&mut self) -> (Pair, f64) {
        let (mut total, mut sum, mut scrapes) = ((0, 0), 0.0, 0.0);
        for scrape in 0..(HOUR / self.case.scrape) as u32 {
            let t = (f64::from(scrape) + 1.0) * self.case.scrape - HOUR;
            let swing = self.swing(t);
            let share = self.case.stable[0] * self.pods[0] * swing;
            let halves: [Pair; 2] = [0, 1].map(|_| {
                let requests = self.rng.poisson(self.case.rps * swing * self.case.scrape / 2.0);
                (self.bad(requests, share), requests)
            });
            let (bad, requests) = (halves[0].0 + halves[1].0, halves[0].1 + halves[1].1);
            total = (total.0 + bad, total.1 + requests);
            let theta = halves[0].1 as f64 / requests.max(1) as f64;
            let spread = bad as f64 * theta * (1.0 - theta);
            if spread > 0.0 {
                sum += (halves[0].0 as f64 - bad as f64 * theta).powi(2) / spread;
                scrapes += 1.0;
            }
        }
        (total, if total.0 >= 30 { f64::max(1.0, sum / scrapes) } else { 1.0 })
    }

    /// How many of the requests fail.
    fn bad(&mut self, requests: u64, share: f64) -> u64 {
        if self.case.odd == Odd::Bursts {
            return (3 * self.rng.poisson(requests as f64 * share / 3.0)).min(requests);
        }
        self.rng.binomial(requests, share.min(1.0))
    }

    /// The factor of traffic and errors at a time of the day.
    fn swing(&self, t: f64) -> f64 {
        if self.case.odd == Odd::Daily {
            libm::exp2(libm::sin(std::f64::consts::TAU * (self.moment + t / 86_400.0)))
        } else {
            1.0
        }
    }

    fn is_judged(&self, gate: usize) -> bool {
        self.names[gate].contains("judged")
    }

    fn side(&self, gate: usize, (bad, n): Pair, started: u64) -> Side {
        if self.is_judged(gate) { Side::Late { bad, good: n - bad, void: 0, started } } else { Side::count(bad, n) }
    }

    /// Shares of bad ones among the requests at a time: stable, canary.
    fn shares(&self, gate: usize, t: f64, at: At) -> [f64; 2] {
        let mut shares = [self.case.stable[gate], self.case.canary[gate]];
        if gate > 0 {
            return shares;
        }
        for (share, factor) in shares.iter_mut().zip(self.pods) {
            *share *= factor * self.swing(t);
        }
        let during = |from: f64| t > from && t <= from + 180.0;
        match self.case.odd {
            Odd::Incident(share) if during(self.moment * 1020.0) => shares = [share; 2],
            Odd::StableIncident(share) if during(self.moment * 1020.0) => shares[0] = share,
            Odd::BakeIncident(share) if at.baked.is_some_and(|baked| during(baked + self.moment * 1200.0)) => {
                shares = [share; 2];
            }
            Odd::Broken(share) => shares[0] = share,
            Odd::Nothing
            | Odd::Daily
            | Odd::Bursts
            | Odd::Incident(_)
            | Odd::Pods(_)
            | Odd::StableIncident(_)
            | Odd::BakeIncident(_)
            | Odd::Outage
            | Odd::GapAtRaise => {}
        }
        shares
    }

    fn tick(&mut self, t: f64, at: At, run: &mut Run) -> Tick {
        if self.case.odd == Odd::Outage {
            return self.outage(t, at, run);
        }
        let mut tick = Tick::at(t);
        let weights = [1.0 - at.weight, at.weight];
        let mean = self.case.rps * self.swing(t) * self.case.scrape;
        let requests = weights.map(|weight| self.rng.poisson(mean * weight));
        run.requests += requests[1];
        let mut drawn: [Vec<Pair>; 2] = [Vec::new(), Vec::new()];
        for gate in 0..self.names.len() {
            let shares = self.shares(gate, t, at);
            for arm in 0..2 {
                let bad = if gate == 0 {
                    self.bad(requests[arm], shares[arm])
                } else {
                    self.rng.binomial(requests[arm], shares[arm])
                };
                drawn[arm].push((bad, requests[arm]));
                run.bad += if arm == 1 && gate == 0 { bad } else { 0 };
            }
        }
        let missing = self.case.odd == Odd::GapAtRaise && at.weight > 0.0 && t - at.since <= 60.0;
        for (held, drawn) in self.held.iter_mut().zip(&drawn) {
            for (held, drawn) in held.iter_mut().zip(drawn) {
                *held = (held.0 + drawn.0, held.1 + drawn.1);
            }
        }
        if missing {
            self.missed = true;
            return tick;
        }
        tick.gap = std::mem::take(&mut self.missed);
        let held = [0, 1].map(|arm| std::mem::replace(&mut self.held[arm], vec![(0, 0); self.names.len()]));
        for (gate, name) in self.names.clone().into_iter().enumerate() {
            let [stable, canary] = [0, 1].map(|arm| self.window(arm, gate, t, held[arm][gate]));
            tick.gates
                .insert(name, Ok(Sides { canary: Some(canary), stable: Some(stable), near: [None, None], idle: 0 }));
        }
        tick
    }

    /// One side of one gate; verdicts come later than their requests.
    fn window(&mut self, arm: usize, gate: usize, t: f64, (bad, n): Pair) -> Side {
        if !self.is_judged(gate) {
            return Side::count(bad, n);
        }
        // Answers of the window's end are judged in a later one.
        let Case { verdict, scrape, .. } = *self.case;
        let (whole, part) = ((verdict / scrape).floor(), (verdict / scrape).fract());
        let late = (self.rng.binomial(bad, part), self.rng.binomial(n - bad, part));
        let due = t + whole * scrape;
        let open = &mut self.open[arm];
        open.push_back((due, (bad - late.0, n - bad - late.1 + bad - late.0)));
        open.push_back((due + scrape, (late.0, late.0 + late.1)));
        let mut come = (0, 0);
        open.retain(|(due, (bad, n))| {
            if *due <= t {
                come = (come.0 + bad, come.1 + n);
            }
            *due > t
        });
        self.side(gate, come, n)
    }

    /// A window with pods that are scraped at moments of their own. The decision about it comes one window later, when
    /// stable's next scrapes are there; a window that saw two weights is a gap.
    fn outage(&mut self, t: f64, at: At, run: &mut Run) -> Tick {
        let scrape = self.case.scrape;
        let from = 60.0 + self.moment * 1140.0;
        let mut arms = [(0, 0); 2];
        for (arm, weight) in [1.0 - at.weight, at.weight].into_iter().enumerate() {
            let share = if arm == 0 { self.case.stable[0] } else { self.case.canary[0] };
            for phase in self.phases[arm].clone() {
                // What this pod's scrape of the window covers, and how much of it lies in the outage.
                let end = t - scrape + phase;
                let inside = (end.min(from + 60.0) - (end - scrape).max(from)).clamp(0.0, scrape);
                let rate = self.case.rps * weight / self.phases[arm].len() as f64;
                let (well, ill) = (self.rng.poisson(rate * (scrape - inside)), self.rng.poisson(rate * inside));
                let bad = self.rng.binomial(well, share) + ill;
                arms[arm] = (arms[arm].0 + bad, arms[arm].1 + well + ill);
            }
        }
        run.requests += arms[1].1;
        run.bad += arms[1].0;
        let gap = at.weight > 0.0 && t - at.since <= 2.0 * scrape;
        self.past.push(Frame { end: t, arms, weight: at.weight, gap });
        let mut tick = Tick::at(t);
        let [.., before, own, after] = self.past.as_slice() else { return tick };
        debug_assert!(after.end > own.end);
        let count = |(bad, n): Pair| Side::count(bad, n);
        let near = if at.weight <= 0.01 {
            [Some(count(before.arms[0])), None]
        } else {
            [before, after].map(|one| Some(count(one.arms[0])))
        };
        let sides = Sides { canary: Some(count(own.arms[1])), stable: Some(count(own.arms[0])), near, idle: 0 };
        // The window that made the weight change is known one later: it says nothing of the new step.
        tick.gap = own.gap || own.weight.to_bits() != at.weight.to_bits();
        tick.gates.insert(self.names[0].clone(), Ok(sides));
        tick
    }
}
