//! What a promoted rollout at rest asks the API server and Prometheus, while its users go on.

use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::json;

use super::cluster::Cluster;
use super::reaction::OPERATOR;
use super::stage::{Stage, Voice};
use super::watch::Watch;
use super::{DemoOptions, ROLLOUT, baseline, first, now, scenes, setup, trial};
use crate::error::{Error, Result};
use crate::{Audit, Lab, LoadGenerator};

/// At rest nothing happens for so long.
const QUIET: Duration = Duration::from_secs(10);
/// It rests at the latest so long after the promotion.
const SETTLED: Duration = Duration::from_secs(180);

/// Promotes a good revision, then counts for `minutes`: prints one JSON object a line. False when anything was asked.
pub fn idle(minutes: u64, options: &DemoOptions) -> Result<bool> {
    let voice = Voice::new(true);
    let (cluster, images, running) = setup::cluster(options, voice)?;
    let cluster = Arc::new(cluster);
    let counted = count(minutes, options, &cluster, &images, voice);
    setup::finish(options, &cluster, running, voice)?;
    counted
}

fn count(
    minutes: u64,
    options: &DemoOptions,
    cluster: &Arc<Cluster>,
    images: &setup::Images,
    voice: Voice,
) -> Result<bool> {
    let lab = cluster.lab.as_ref().ok_or(Error::NotRunning)?;
    let model = setup::app(cluster, images, voice)?;
    let mut stage = Stage::new(voice, Watch::start(cluster)?);
    setup::rollout(cluster, ROLLOUT, &images.app[0], &scenes::healthy(&model, "1"))?;
    let stable = first(&mut stage)?;
    stage.load(LoadGenerator::start(cluster.load(options.rps))?);
    baseline(&mut stage, options.rps, &stable)?;
    let begun = now();
    setup::rollout(cluster, ROLLOUT, &images.app[1], &scenes::healthy(&model, "2"))?;
    if !trial(&mut stage, begun).promoted {
        return Ok(false);
    }
    let mut audit = lab.audit()?;
    rest(lab, &mut audit)?;
    stage.say(&format!("the rollout rests; counting for {minutes} minutes while its users go on"));
    let queries = lab.queries()?;
    sleep(Duration::from_secs(60 * minutes));
    let asked = requests(&mut audit)?;
    let queries = lab.queries()? - queries;
    for request in &asked {
        stage.say(request);
    }
    println!("{}", json!({"name": "idle_api_requests", "value": asked.len(), "unit": "requests", "n": 1}));
    println!("{}", json!({"name": "idle_prometheus_queries", "value": queries, "unit": "queries", "n": 1}));
    println!("{}", json!({"name": "idle_span", "value": 60 * minutes, "unit": "s", "n": 1}));
    Ok(asked.is_empty() && queries == 0)
}

/// Waits until the old pods are gone and nobody asks anything any more.
fn rest(lab: &Lab, audit: &mut Audit) -> Result<()> {
    let begun = Instant::now();
    let (mut since, mut queries) = (Instant::now(), lab.queries()?);
    while since.elapsed() < QUIET {
        if begun.elapsed() > SETTLED {
            return Err(Error::Invalid(format!("no {} s of rest in {} s", QUIET.as_secs(), SETTLED.as_secs())));
        }
        sleep(Duration::from_millis(500));
        let asked = lab.queries()?;
        if !requests(audit)?.is_empty() || asked != queries {
            (since, queries) = (Instant::now(), asked);
        }
    }
    Ok(())
}

/// What the operator asked since the last look, watches and its lease apart.
fn requests(audit: &mut Audit) -> Result<Vec<String>> {
    let counts =
        |request: &crate::Request| request.user == OPERATOR && request.verb != "watch" && request.resource != "leases";
    Ok(audit.requests()?.into_iter().filter(counts).map(|r| format!("{} {}", r.verb, r.uri)).collect())
}
