//! Scenarios and their traffic: Poisson arrivals in ticks of one scrape, bad ones drawn per request.

use std::collections::VecDeque;

use microapp_core::simulate::traffic::Rng;

/// Seconds between two scrapes: the length of a tick.
pub const SCRAPE: f64 = 5.0;
/// How long stable was watched before, in seconds.
pub const HOUR: f64 = 3600.0;
/// From an answer to its verdict, in seconds.
pub const VERDICT: f64 = 120.0;
/// Variance over mean² of one request's cost, that of a log-normal of σ = 1: e − 1.
const COST_VARIATION: f64 = std::f64::consts::E - 1.0;

/// What is measured. Every rule is given the same limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Share of failed requests, at most 2 %.
    Errors,
    /// Share of requests slower than the bound of p95, at most 5 %.
    Latency,
    /// Mean cost per request over stable's, at most +10 %.
    Cost,
    /// Share of failed verdicts, at most 5 %; 5 % of the answers are judged, two minutes later.
    Grounded,
}

impl Measure {
    /// The limit as a share, or as an increase over stable.
    pub const fn limit(self) -> f64 {
        match self {
            Self::Errors => 0.02,
            Self::Latency | Self::Grounded => 0.05,
            Self::Cost => 0.10,
        }
    }

    /// What stable is like in most scenarios: a share, or pico-USD.
    pub const fn usual(self) -> f64 {
        match self {
            Self::Errors => 0.01,
            Self::Latency => 0.02,
            Self::Cost => 1e9,
            Self::Grounded => 0.03,
        }
    }
}

/// What is the matter with the canary.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// Nothing: it is like stable.
    None,
    /// Its share (or its cost) from the first request on.
    Always(f64),
    /// Its share while its weight is at least so much.
    FromWeight(f64, f64),
    /// Its share once the weight has been the same for so many seconds.
    AfterSeconds(f64, f64),
}

/// What happens to both revisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    /// Nothing.
    Steady,
    /// Traffic and errors between half and double over a day, from a random hour on.
    Daily,
    /// One request in ten fails for three minutes, somewhere in the first twenty.
    Incident,
    /// Errors come three at a time.
    Bursts,
    /// No sample for two minutes, from the fifth minute on; the counters run on.
    Gap,
}

/// One row of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scenario {
    /// For people.
    pub name: &'static str,
    /// Requests per second on both revisions together.
    pub rps: f64,
    /// What is measured.
    pub measure: Measure,
    /// What stable is like: a share, or pico-USD.
    pub stable: f64,
    /// The canary's fault.
    pub fault: Fault,
    /// The environment.
    pub weather: Weather,
    /// Ought it to be rolled back?
    pub bad: bool,
}

/// What one arm's scrape brought.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample {
    /// Requests (verdicts where those are measured).
    pub n: u64,
    /// Bad ones among them, or the sum of what they cost.
    pub bad: u64,
    /// Evaluations started.
    pub started: u64,
    /// Requests that users made.
    pub served: u64,
    /// Bad responses that users got, judged or not.
    pub served_bad: u64,
}

impl std::ops::Add for Sample {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            n: self.n + other.n,
            bad: self.bad + other.bad,
            started: self.started + other.started,
            served: self.served + other.served,
            served_bad: self.served_bad + other.served_bad,
        }
    }
}

/// What stable did in the hour before, and how much its errors come in bursts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Before {
    /// The counts.
    pub sample: Sample,
    /// φ from two halves of stable against each other; 1 from fewer than 30 errors.
    pub phi: f64,
}

/// The traffic of one run.
#[derive(Debug)]
pub struct World {
    scenario: Scenario,
    rng: Rng,
    /// Where in the day the rollout begins, in turns.
    phase: f64,
    incident: f64,
    open: [VecDeque<(f64, u64, u64)>; 2],
}

impl World {
    /// The traffic of run `index`; every rule gets the same seeds.
    pub fn new(scenario: Scenario, seed: u64, index: u64) -> Self {
        let mut rng = Rng::split(seed, index);
        let (phase, incident) = (rng.unit(), rng.unit() * 1020.0);
        Self { scenario, rng, phase, incident, open: [VecDeque::new(), VecDeque::new()] }
    }

    /// The hour before. φ as the operator takes it: over scrapes, one half of stable against the other.
    pub fn before(&mut self) -> Before {
        let (mut sample, mut sum, mut scrapes, mut errors) = (Sample::default(), 0.0, 0.0, 0);
        let ticks = (HOUR / SCRAPE) as u32;
        for tick in 0..ticks {
            let t = (f64::from(tick) + 1.0) * SCRAPE - HOUR;
            let (requests, share) = self.stable(t);
            let halves: [Sample; 2] = [0, 1].map(|_| self.draw(requests * SCRAPE / 2.0, share));
            let together = halves[0].bad + halves[1].bad;
            if together > 0 && halves[0].n + halves[1].n > 0 {
                let theta = halves[0].n as f64 / (halves[0].n + halves[1].n) as f64;
                let (k, spread) = (together as f64, theta * (1.0 - theta));
                if spread > 0.0 {
                    sum += (halves[0].bad as f64 - k * theta).powi(2) / (k * spread);
                    scrapes += 1.0;
                    errors += together;
                }
            }
            sample = sample + halves[0] + halves[1];
        }
        let counted = matches!(self.scenario.measure, Measure::Errors | Measure::Latency);
        let phi = if counted && errors >= 30 { f64::max(1.0, sum / scrapes) } else { 1.0 };
        Before { sample, phi }
    }

    /// Requests per second and stable's share (or cost) at a time; negative before the rollout.
    fn stable(&self, t: f64) -> (f64, f64) {
        let Scenario { rps, stable: share, weather, .. } = self.scenario;
        match weather {
            Weather::Daily => {
                let swing = libm::exp2(libm::sin(std::f64::consts::TAU * (self.phase + t / 86_400.0)));
                (rps * swing, share * swing)
            }
            Weather::Incident if t > self.incident && t <= self.incident + 180.0 => (rps, 0.10),
            Weather::Steady | Weather::Incident | Weather::Bursts | Weather::Gap => (rps, share),
        }
    }

    fn canary(&self, t: f64, weight: f64, since: f64) -> (f64, f64) {
        let (rps, stable) = self.stable(t);
        let own = match self.scenario.fault {
            Fault::Always(share) => share,
            Fault::FromWeight(from, share) if weight >= from => share,
            Fault::AfterSeconds(seconds, share) if t - since > seconds => share,
            Fault::None | Fault::FromWeight(..) | Fault::AfterSeconds(..) => stable,
        };
        (rps, own.max(if self.scenario.measure == Measure::Cost { 0.0 } else { stable }))
    }

    /// Is Prometheus without a sample at this time?
    pub fn is_missing(&self, t: f64) -> bool {
        self.scenario.weather == Weather::Gap && t > 300.0 && t <= 420.0
    }

    /// The tick that ends at `t`: the canary with its weight, and what it is compared with.
    pub fn tick(&mut self, t: f64, weights: [f64; 2], since: f64) -> [Sample; 2] {
        let arms = [self.canary(t, weights[0], since), self.stable(t)];
        [0, 1].map(|arm| {
            let (rps, share) = arms[arm];
            let sample = self.draw(rps * SCRAPE * weights[arm], share);
            if self.scenario.measure == Measure::Grounded { self.verdicts(arm, t, sample) } else { sample }
        })
    }

    fn draw(&mut self, mean: f64, share: f64) -> Sample {
        let rng = &mut self.rng;
        let served = rng.poisson(mean);
        match self.scenario.measure {
            Measure::Errors if self.scenario.weather == Weather::Bursts => {
                let bad = (3 * rng.poisson(served as f64 * share / 3.0)).min(served);
                Sample { n: served, bad, started: 0, served, served_bad: bad }
            }
            Measure::Errors | Measure::Latency => {
                let bad = rng.binomial(served, share);
                Sample { n: served, bad, started: 0, served, served_bad: bad }
            }
            Measure::Cost => {
                let sum = rng.gamma(served as f64 / COST_VARIATION) * COST_VARIATION * share;
                Sample { n: served, bad: sum.round() as u64, started: 0, served, served_bad: 0 }
            }
            Measure::Grounded => {
                let started = rng.binomial(served, 0.05);
                let bad = rng.binomial(started, share);
                let unseen = rng.binomial(served - started, share);
                Sample { n: started, bad, started, served, served_bad: bad + unseen }
            }
        }
    }

    /// The verdicts of a tick come two minutes later.
    fn verdicts(&mut self, arm: usize, t: f64, sample: Sample) -> Sample {
        let open = &mut self.open[arm];
        open.push_back((t + VERDICT, sample.n, sample.bad));
        let mut come = Sample { n: 0, bad: 0, ..sample };
        while let Some((_, n, bad)) = open.front().copied().filter(|(due, ..)| *due <= t) {
            come.n += n;
            come.bad += bad;
            open.pop_front();
        }
        come
    }
}
