//! The demo: a good revision that is promoted and bad ones that are reverted, on the machine's lab or on the cluster of
//! the current kubeconfig.

mod cluster;
mod exposure;
mod idle;
mod programs;
mod reaction;
mod report;
mod scenes;
mod setup;
mod stage;
mod view;
mod watch;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::LoadGenerator;
use crate::error::{Error, Result};
use cluster::Cluster;
use report::{Bad, Good, Outcome, Report};
use setup::Images;
use stage::{Stage, Voice};
use watch::Watch;

pub use exposure::exposure;
pub use idle::idle;
pub use scenes::Fault;
pub use view::{Aborted, Condition, View};

/// How the demo runs.
#[derive(Clone, Debug)]
pub struct DemoOptions {
    /// Leave the lab running and say how to look around.
    pub keep: bool,
    /// Requests per second.
    pub rps: f64,
    /// Prometheus' scrape interval in the lab.
    pub scrape: String,
    /// The bad revisions to show.
    pub faults: Vec<Fault>,
    /// Where the report goes.
    pub report: PathBuf,
    /// The cluster of the current kubeconfig instead of the lab.
    pub here: Option<Here>,
}

/// A cluster that is not the lab.
#[derive(Clone, Debug)]
pub struct Here {
    /// The gateway's address as this machine reaches it, with scheme and port.
    pub address: String,
    /// Prometheus' address as pods reach it.
    pub prometheus: String,
    /// Namespace and name of the Gateway.
    pub gateway: (String, String),
    /// Operator, demo app and stand-in model, as the cluster can pull them.
    pub images: [String; 3],
}

/// What is printed first.
const WHY_FAST: &str = "\
This takes about ten minutes once everything is built. In life a ramp takes an hour or more: here Prometheus scrapes each
second, every answer is judged by the evaluator (in life a sample is), the bad revisions are plainly bad, and the dwells
are seconds. What decides is the same. The model is a stand-in, no language model. Lines like `Progressing: …` are the
operator's; what users got is counted by the load generator.
";
/// The demo's rollout.
const ROLLOUT: &str = include_str!("manifests/rollout.yaml");
/// How long a revision may take to be promoted or reverted.
const LIMIT: Duration = Duration::from_secs(600);

/// Runs the demo; false when a revision did not get what it deserves, which has been printed by then.
pub fn run(options: &DemoOptions) -> Result<bool> {
    let voice = Voice::new(false);
    voice.print(WHY_FAST);
    let (cluster, images, running) = setup::cluster(options, voice)?;
    let cluster = Arc::new(cluster);
    let played = play(options, &cluster, &images, voice);
    setup::finish(options, &cluster, running, voice)?;
    played
}

fn play(options: &DemoOptions, cluster: &Arc<Cluster>, images: &Images, voice: Voice) -> Result<bool> {
    let model = setup::app(cluster, images, voice)?;
    let mut stage = Stage::new(voice, Watch::start(cluster)?);
    setup::rollout(cluster, ROLLOUT, &images.app[0], &scenes::healthy(&model, "1"))?;
    let first = first(&mut stage)?;
    stage.load(LoadGenerator::start(cluster.load(options.rps))?);
    baseline(&mut stage, options.rps, &first)?;

    stage.announce(None);
    stage.say("GOOD: a new image of the app, nothing wrong with it");
    let begun = now();
    setup::rollout(cluster, ROLLOUT, &images.app[1], &scenes::healthy(&model, "2"))?;
    let good = trial(&mut stage, begun);
    let mut bad = Vec::new();
    for fault in options.faults.iter().copied() {
        stage.announce(Some(fault));
        stage.say(&format!("BAD ({}): {}", fault.name(), fault.says()));
        let begun = now();
        setup::rollout(cluster, ROLLOUT, &images.app[1], &fault.environment(&model))?;
        setup::prompts(cluster, fault.prompt())?;
        bad.push((fault, trial(&mut stage, begun)));
    }
    judge(options, stage, &good, &bad)
}

/// Waits until the first revision is stable.
fn first(stage: &mut Stage) -> Result<String> {
    stage.say("the first revision has nothing to be compared with: it becomes stable when its pods are ready");
    stage.until(Duration::from_secs(180), "the first revision's start", |stage| {
        let ready = stage.view().condition("Ready")?.0 == "True";
        stage.view().reported_stable().filter(|_| ready).map(str::to_owned)
    })
}

/// Preflight reads the last hour in slices of a minute and needs two of them to see a difference.
fn baseline(stage: &mut Stage, rps: f64, stable: &str) -> Result<()> {
    stage.say(&format!("{rps} requests a second; stable collects a baseline over two full minutes of the clock"));
    let answered = stage.until(Duration::from_secs(240), "stable's baseline", |stage| {
        let minutes = |t: f64| (t / 60.0).floor();
        stage.users()?.read(|responses| {
            let mut times = responses.iter().filter(|r| r.revision == stable).map(|r| r.t);
            let (first, last) = (times.next()?, times.next_back()?);
            // A scrape of the second slice must have come, too.
            let enough = minutes(last - 3.0) - minutes(first) >= 2.0;
            enough.then_some(times.count() + 2)
        })
    })?;
    stage.say(&format!("stable gave {answered} answers, enough to compare with"));
    Ok(())
}

/// Watches the revision that was just asked for until it is promoted or reverted.
fn trial(stage: &mut Stage, begun: f64) -> Outcome {
    let stable = stage.view().stable().unwrap_or_default().to_owned();
    let before = stage.view().desired().unwrap_or_default().to_owned();
    let mut outcome = Outcome { stable: stable.clone(), time: (begun, begun), ..Outcome::default() };
    let ended = stage.until(LIMIT, "promotion or rollback", |stage| {
        let view = stage.view();
        // Spec and prompts are two writes: a revision that was asked for in between is none.
        let desired = view.desired().filter(|d| *d != before && *d != stable)?;
        desired.clone_into(&mut outcome.revision);
        if view.canary() == Some(desired) {
            outcome.max_weight = outcome.max_weight.max(view.weight());
            outcome.aborted = view.aborted();
            outcome.started = outcome.started.or(view.started());
        }
        outcome.promoted = view.stable() == Some(desired);
        let reported = view.reported_stable() == Some(desired) && view.canary().is_none();
        // The status follows with the evidence.
        let told = view.condition("Ready").is_some_and(|(_, reason, _)| reason == "RolledBack");
        let lowered = outcome.aborted.is_some() && view.weight() <= 0.0 && told;
        (outcome.promoted && reported || lowered).then_some(())
    });
    outcome.problem = ended.err().map(|error| error.to_string());
    outcome.time.1 = now();
    let revision = &outcome.revision;
    match (&outcome.aborted, outcome.promoted, &outcome.problem) {
        (_, true, _) => stage.say(&format!("PROMOTED: {revision} is stable now")),
        (Some(aborted), ..) => {
            let said = aborted.message.as_deref().unwrap_or(&aborted.cause).to_owned();
            stage.said(&said);
            stage.say(&format!("REVERTED: all traffic is on {stable} again: {said}"));
        }
        (None, _, problem) => stage.say(&format!("STUCK: {}", problem.as_deref().unwrap_or_default())),
    }
    outcome
}

fn judge(options: &DemoOptions, mut stage: Stage, good: &Outcome, bad: &[(Fault, Outcome)]) -> Result<bool> {
    let Some(load) = stage.take_load() else { return Err(Error::Invalid("there was no load".into())) };
    let responses = load.responses();
    let all = load.stop()?.all;
    stage.say(&format!("the load ends: {} answers, {} of them broken", all.total, all.bad));
    let good_one = Good::new(good, &responses);
    let mut complaints: Vec<_> = good_one.complaint(good).into_iter().collect();
    let mut report = Report { good: Some(good_one), bad: Vec::new() };
    for (fault, outcome) in bad {
        let one = Bad::new(*fault, outcome, &responses);
        complaints.extend(one.complaint(*fault, outcome));
        report.bad.push(one);
    }
    report.print();
    report.write(&options.report)?;
    println!("\nThe same as data: {}", options.report.display());
    for complaint in &complaints {
        eprintln!("demo: {complaint}");
    }
    Ok(complaints.is_empty())
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
