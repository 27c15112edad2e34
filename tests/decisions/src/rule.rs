//! What a rule is to the benchmark, and the loop around it.

use crate::world::{Before, SCRAPE, Sample, Scenario, World};

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The canary is the new stable.
    Promoted,
    /// Everything is back.
    RolledBack,
    /// Neither within the time.
    Undecided,
}

/// A rule that sees samples and answers with weights.
pub trait Rule {
    /// The attempt begins: what stable did before.
    fn begin(&mut self, _before: &Before) {}
    /// The canary's share of the traffic, and that of the arm it is compared with.
    fn weights(&self) -> [f64; 2];
    /// A scrape at `t`: what came since the one before, or nothing where it failed.
    fn scrape(&mut self, t: f64, samples: Option<[Sample; 2]>) -> Option<End>;
    /// Its own word for where it stands.
    fn word(&self) -> &str;
}

/// One attempt under one rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// How it ended.
    pub end: End,
    /// When, in seconds.
    pub seconds: f64,
    /// When the canary had all traffic, or would have.
    pub full: Option<f64>,
    /// Requests that the canary served.
    pub requests: u64,
    /// Bad responses among them.
    pub bad: u64,
    /// The rule's own word for the end.
    pub word: String,
}

/// An attempt that is not over by then is undecided.
pub const LIMIT: f64 = 4.0 * 3600.0;

/// One attempt. After a gap the first sample has all that came meanwhile, as counters do.
pub fn run(scenario: Scenario, rule: &mut dyn Rule, seed: u64, index: u64) -> Run {
    let mut world = World::new(scenario, seed, index);
    rule.begin(&world.before());
    let mut run = Run { end: End::Undecided, seconds: 0.0, full: None, requests: 0, bad: 0, word: String::new() };
    let (mut weights, mut since, mut held) = (rule.weights(), 0.0, [Sample::default(); 2]);
    while run.end == End::Undecided && run.seconds < LIMIT {
        run.seconds += SCRAPE;
        let now = world.tick(run.seconds, weights, since);
        run.requests += now[0].served;
        run.bad += now[0].served_bad;
        held = [held[0] + now[0], held[1] + now[1]];
        let samples = (!world.is_missing(run.seconds)).then(|| std::mem::take(&mut held));
        if let Some(end) = rule.scrape(run.seconds, samples) {
            run.end = end;
        }
        let next = rule.weights();
        if next[0].to_bits() != weights[0].to_bits() {
            (weights, since) = (next, run.seconds);
        }
        if run.full.is_none() && (weights[0] >= 1.0 || run.end == End::Promoted) {
            run.full = Some(run.seconds);
        }
    }
    rule.word().clone_into(&mut run.word);
    run
}
