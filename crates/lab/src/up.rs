//! Starting: etcd and the API server, then the node, then gateway and Prometheus, each waited for by a condition.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::build::{self, Artifact, Built};
use crate::command::run;
use crate::error::{Error, Result};
use crate::image::{self, ImageSpec};
use crate::lock::Lock;
use crate::process::{self, Liveness, Record};
use crate::{Extra, Lab, Options, Part, Paths, commandline, config, containerd, down, netns, pki, ready, sysctl};

/// Starts a lab, or finds one that runs and has all that is asked for.
pub(crate) fn up(options: &Options) -> Result<Lab> {
    config::check_interval(&options.scrape)?;
    let paths = Paths::from_env()?;
    if !rustix::process::geteuid().is_root() {
        return Err(Error::Needs("root: it makes a network namespace and runs containers".into()));
    }
    let built = build::for_options(options)?;
    let lock = Lock::take()?;
    if let Some(owner) = lock.owner().filter(|o| *o != paths) {
        if records(&owner).iter().any(|r| r.liveness() != Liveness::Dead) {
            return Err(Error::Elsewhere(owner.text()));
        }
        down::clean(&owner)?;
    }
    if let Some(running) = running(&paths).filter(|running| running.covers(options)) {
        eprintln!("lab: it runs already");
        if options.has(Extra::Prometheus) && running.scrape != options.scrape {
            scrape(&paths, &options.scrape)?;
        }
        return Ok(Lab::new(paths));
    }
    if paths.root().exists() || netns::exists() {
        eprintln!("lab: removing an earlier one, which lacks something or was cut short");
        down::clean(&paths)?;
    }
    lock.set_owner(Some(&paths))?;
    let start = Start { paths: &paths, options, since: Instant::now() };
    start.run(&built)?;
    Ok(Lab::new(paths))
}

/// The records of all parts that were started.
pub(crate) fn records(paths: &Paths) -> Vec<Record> {
    Part::ALL.into_iter().filter_map(|part| Record::load(paths, part)).collect()
}

/// The options of a lab that was started to its end and of which every part runs.
fn running(paths: &Paths) -> Option<Options> {
    let options = paths.options().filter(|_| netns::exists() && paths.join(COMPLETE).exists())?;
    let runs = |part| Record::load(paths, part).is_some_and(|r| r.liveness() == Liveness::Running);
    let complete = options.parts().all(runs);
    complete.then_some(options)
}

/// Written last: a start that was cut short has no such file.
const COMPLETE: &str = "run/complete";

struct Start<'a> {
    paths: &'a Paths,
    options: &'a Options,
    since: Instant,
}

impl Start<'_> {
    fn run(&self, built: &[Built]) -> Result<()> {
        self.prepare(built)?;
        let etcd = self.spawn(Part::Etcd)?;
        let apiserver = self.spawn(Part::Apiserver)?;
        let containerd = self.spawn(Part::Containerd)?;
        let registry = self.options.has(Extra::Registry).then(|| self.spawn(Part::Registry)).transpose()?;
        ready::wait(self.paths, &etcd)?;
        ready::wait(self.paths, &apiserver)?;
        self.say("API server ready");

        let kcm = self.spawn(Part::Kcm)?;
        let scheduler = self.spawn(Part::Scheduler)?;
        ready::wait(self.paths, &containerd)?;
        let kubelet = self.start_node(built)?;
        if self.options.has(Extra::Gateway) {
            self.start_gateway(built)?;
        }
        let prometheus = self.options.has(Extra::Prometheus).then(|| self.spawn(Part::Prometheus)).transpose()?;
        for record in [&kcm, &scheduler].into_iter().chain(&registry) {
            ready::wait(self.paths, record)?;
        }
        let node = ["get", "node", "n1"];
        ready::wait_for(self.paths, &kubelet, Duration::from_secs(120), "with a Ready node", || {
            ready::condition(self.paths, &node, "Ready")
        })?;
        self.say("node Ready");
        if self.options.has(Extra::Kwok) {
            self.create(&self.paths.join("cfg/kwok-node.yaml"))?;
            let kwok = self.spawn(Part::Kwok)?;
            ready::wait(self.paths, &kwok)?;
        }
        if self.options.has(Extra::Gateway) {
            self.finish_gateway()?;
        }
        if let Some(prometheus) = &prometheus {
            ready::wait(self.paths, prometheus)?;
        }
        self.say("everything ready");
        self.paths.write(COMPLETE, "")
    }

    fn prepare(&self, built: &[Built]) -> Result<()> {
        self.paths.create()?;
        self.paths.save(self.options)?;
        for program in built {
            program.link_into(&self.paths.join("bin"))?;
        }
        let plugins = build::cni_plugins().ok_or_else(|| Error::Needs("the CNI plug-ins ptp and host-local".into()))?;
        config::write(self.paths, self.options, &plugins)?;
        pki::issue(self.paths)?;
        sysctl::save(self.paths)?;
        netns::create()
    }

    fn start_node(&self, built: &[Built]) -> Result<Record> {
        let pause = built.iter().find(|b| b.artifact() == Artifact::Pause).map(Built::executable);
        let binary = pause.ok_or_else(|| Error::Needs("the program `pause`".into()))?;
        let spec = ImageSpec { reference: config::PAUSE_IMAGE.into(), binary, env: vec![] };
        containerd::import(self.paths, config::PAUSE_IMAGE, &image::build(&spec)?)?;
        let kubelet = self.spawn(Part::Kubelet)?;
        self.create(&self.paths.join("cfg/proxy-role.yaml"))?;
        let proxy = self.spawn(Part::KubeProxy)?;
        ready::wait(self.paths, &proxy)?;
        self.say("kubelet and kube-proxy started");
        Ok(kubelet)
    }

    fn start_gateway(&self, built: &[Built]) -> Result<()> {
        let contour = built.iter().find(|b| b.artifact() == Artifact::Contour);
        let definitions = contour.ok_or_else(|| Error::Needs("the program `contour`".into()))?.dir().join("crds");
        self.create(&definitions)?;
        let apiserver = process::recorded(self.paths, Part::Apiserver)?;
        ready::wait_for(self.paths, &apiserver, Duration::from_secs(60), "serving the gateway's definitions", || {
            ready::definitions(self.paths)
        })?;
        self.say("the gateway's definitions served");
        self.create(&self.paths.join("cfg/gateway.yaml"))?;
        let contour = self.spawn(Part::Contour)?;
        run(&mut command(&commandline::envoy_bootstrap(self.paths)))?;
        self.spawn(Part::Envoy)?;
        ready::wait(self.paths, &contour)
    }

    fn finish_gateway(&self) -> Result<()> {
        let contour = process::recorded(self.paths, Part::Contour)?;
        ready::wait(self.paths, &process::recorded(self.paths, Part::Envoy)?)?;
        let gateway = ["get", "gateway", "public", "--namespace", "projectcontour"];
        ready::wait_for(self.paths, &contour, Duration::from_secs(60), "with a Programmed gateway", || {
            ready::condition(self.paths, &gateway, "Programmed")
        })?;
        self.say("gateway Programmed");
        Ok(())
    }

    /// The cluster is new, so there is nothing to compare with; and the files are ours, so the schema that validation
    /// would download first tells nothing.
    fn create(&self, files: &Path) -> Result<()> {
        let mut create = ready::kubectl(self.paths);
        run(create.args(["create", "--validate=false", "--filename"]).arg(files)).map(drop)
    }

    fn spawn(&self, part: Part) -> Result<Record> {
        process::spawn(self.paths, part, commandline::of(part, self.paths))
    }

    fn say(&self, what: &str) {
        eprintln!("lab: {:5.1} s  {what}", self.since.elapsed().as_secs_f64());
    }
}

fn command(argv: &[String]) -> std::process::Command {
    let mut command = netns::command(&argv[0]);
    command.args(&argv[1..]);
    command
}

/// Starts one part again with the command line that it had.
pub(crate) fn restart(paths: &Paths, part: Part) -> Result<()> {
    let old = process::recorded(paths, part)?;
    process::terminate(std::slice::from_ref(&old), Duration::from_secs(10));
    remove_socket(paths, part);
    let new = process::spawn(paths, part, old.argv)?;
    ready::wait(paths, &new)
}

/// Envoy does not take over the socket that a killed one has left.
fn remove_socket(paths: &Paths, part: Part) {
    if part == Part::Envoy {
        let _ = fs::remove_file(paths.join("run/envoy-admin.sock"));
    }
}

/// Changes Prometheus' scrape interval while it runs.
pub(crate) fn scrape(paths: &Paths, interval: &str) -> Result<()> {
    config::check_interval(interval)?;
    process::recorded(paths, Part::Prometheus)?;
    let options = paths.options().ok_or(Error::NotRunning)?.scrape(interval);
    config::write_prometheus(paths, &options)?;
    match netns::http("POST", commandline::PROMETHEUS, "/-/reload") {
        Some(200) => paths.save(&options),
        answer => {
            let problem = format!("did not reload its configuration: {answer:?}");
            let log = paths.log(Part::Prometheus);
            Err(Error::NotReady { part: Part::Prometheus, problem, tail: crate::command::tail(&log, 15), log })
        }
    }
}
