//! How long a bad canary is exposed at 1 % of 50 requests a second and 5 s scrapes, by the load generator's own log, and
//! how long the operator takes for its part of it.

use std::sync::Arc;

use serde_json::json;

use super::cluster::Cluster;
use super::report::{Bad, Outcome};
use super::scenes::{self, Fault};
use super::stage::{Stage, Voice};
use super::watch::Watch;
use super::{DemoOptions, baseline, first, now, reaction, setup, trial};
use crate::LoadGenerator;
use crate::error::{Error, Result};

/// Requests per second.
const RPS: f64 = 50.0;
/// Prometheus' scrape interval.
const SCRAPE: &str = "5s";
/// The share of the canary's answers that are errors, with the name of the figure.
const CASES: [(&str, &str); 2] = [("1", "all_failing"), ("0.2", "fifth_failing")];

/// Runs each case `runs` times and prints one JSON object a line: name, value (the median), unit, n.
///
/// False when a canary was not reverted.
pub fn exposure(runs: usize, options: &DemoOptions) -> Result<bool> {
    let options = DemoOptions { rps: RPS, scrape: SCRAPE.into(), ..options.clone() };
    let voice = Voice::new(true);
    let (cluster, images, running) = setup::cluster(&options, voice)?;
    let cluster = Arc::new(cluster);
    let measured = measure(runs, &cluster, &images, voice);
    setup::finish(&options, &cluster, running, voice)?;
    measured
}

fn measure(runs: usize, cluster: &Arc<Cluster>, images: &setup::Images, voice: Voice) -> Result<bool> {
    let manifest = include_str!("manifests/exposure.yaml");
    let model = setup::app(cluster, images, voice)?;
    let mut stage = Stage::new(voice, Watch::start(cluster)?);
    setup::rollout(cluster, manifest, &images.app[0], &scenes::healthy(&model, "1"))?;
    let stable = first(&mut stage)?;
    stage.load(LoadGenerator::start(cluster.load(RPS))?);
    baseline(&mut stage, RPS, &stable)?;
    stage.announce(Some(Fault::Errors));
    let lab = cluster.lab.as_ref().ok_or(Error::NotRunning)?;
    let mut outcomes: [Vec<Outcome>; 2] = Default::default();
    let mut reactions = Vec::new();
    for run in 0..runs {
        for ((rate, _), outcomes) in CASES.iter().zip(&mut outcomes) {
            // Each run is another revision.
            let environment = scenes::failing(&model, rate, &format!("bad-{run}"));
            let (begun, mut audit) = (now(), lab.audit()?);
            setup::rollout(cluster, manifest, &images.app[0], &environment)?;
            let outcome = trial(&mut stage, begun);
            if outcome.aborted.is_some() {
                let milliseconds = reaction::milliseconds(lab, &mut audit, &outcome)?;
                stage.say(&format!("the route was written {milliseconds:.0} ms after its last scrape"));
                reactions.push(milliseconds);
            }
            outcomes.push(outcome);
        }
    }
    let Some(load) = stage.take_load() else { return Ok(false) };
    let responses = load.responses();
    load.stop()?;
    let mut reverted = true;
    for ((_, name), outcomes) in CASES.iter().zip(&outcomes) {
        let bad: Vec<_> = outcomes.iter().map(|outcome| Bad::new(Fault::Errors, outcome, &responses)).collect();
        reverted &= bad.iter().all(Bad::is_reverted);
        let n = bad.len();
        let seconds = median(bad.iter().map(Bad::seconds_exposed).collect());
        let served = median(bad.iter().map(|one| one.bad_responses() as f64).collect());
        println!("{}", json!({"name": format!("exposure_{name}"), "value": seconds, "unit": "s", "n": n}));
        println!("{}", json!({"name": format!("bad_responses_{name}"), "value": served, "unit": "responses", "n": n}));
    }
    let (n, worst) = (reactions.len(), reactions.iter().copied().fold(f64::NAN, f64::max));
    println!("{}", json!({"name": "window_to_route", "value": median(reactions), "unit": "ms", "n": n}));
    println!("{}", json!({"name": "window_to_route_worst", "value": worst, "unit": "ms", "n": n}));
    Ok(reverted)
}

/// The middle one; of an even number the mean of the middle two.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.get((values.len().checked_sub(1)?) / 2)?, values.get(values.len() / 2)?);
    Some(f64::midpoint(*low, *high))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_and_nothing_has_none() {
        assert_eq!(median(vec![9.0, 1.0, 5.0]), Some(5.0));
        assert_eq!(median(vec![1.0, 4.0]), Some(2.5));
        assert_eq!(median(Vec::new()), None);
    }
}
