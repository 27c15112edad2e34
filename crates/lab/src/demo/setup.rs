//! Everything before and after the play: the lab, the images, the operator, the app around the rollout.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::cluster::{Cluster, HOST, NAMESPACE, ROLLOUT};
use super::stage::Voice;
use super::{DemoOptions, Here, programs, scenes};
use crate::error::{Doing, Error, Result};
use crate::{ImageSpec, Lab, Options, config};

/// References of all images.
#[derive(Clone, Debug)]
pub(crate) struct Images {
    pub operator: String,
    /// The first one and its successor.
    pub app: [String; 2],
    pub stub: String,
}

/// What was there before: the scrape interval of a lab that ran already.
pub(crate) type Running = Option<String>;

/// Starts or finds the cluster and installs the operator.
pub(crate) fn cluster(options: &DemoOptions, voice: Voice) -> Result<(Cluster, Images, Running)> {
    let checkout = programs::checkout()?;
    let folder = options.report.parent().unwrap_or(Path::new(".")).to_owned();
    fs::create_dir_all(&folder).doing(|| format!("make {}", folder.display()))?;
    let folder = folder.canonicalize().doing(|| format!("find {}", folder.display()))?;
    let (cluster, images, running) = match &options.here {
        Some(here) => (elsewhere(here, folder), images_of(here), None),
        None => in_lab(options, &checkout, folder, voice)?,
    };
    let chart = checkout.join("charts/microapp-rollouts");
    cluster.install(&chart.to_string_lossy(), &images.operator)?;
    voice.say("the operator is installed from its chart and ready");
    Ok((cluster, images, running))
}

fn elsewhere(here: &Here, folder: std::path::PathBuf) -> Cluster {
    let (prometheus, address) = (here.prometheus.clone(), Some(here.address.clone()));
    Cluster { lab: None, prometheus, address, gateway: here.gateway.clone(), folder }
}

/// Elsewhere the second revision is the same image with another value of RELEASE.
fn images_of(here: &Here) -> Images {
    let [operator, app, stub] = here.images.clone();
    Images { operator, app: [app.clone(), app], stub }
}

fn in_lab(
    options: &DemoOptions,
    checkout: &Path,
    folder: std::path::PathBuf,
    voice: Voice,
) -> Result<(Cluster, Images, Running)> {
    let machine = cfg!(target_arch = "x86_64") && rustix::process::geteuid().is_root();
    if !machine {
        let needs = "Linux on x86-64 and root; `make demo-here` runs the demo on the cluster of your kubeconfig";
        return Err(Error::Needs(needs.into()));
    }
    let running = Lab::attach().ok().and_then(|lab| lab.options().ok()).map(|options| options.scrape);
    let lab = Lab::up(&Options::default().scrape(&options.scrape))?;
    voice.say(&format!("the lab is up: Kubernetes, Contour and Envoy, Prometheus (scrapes every {})", options.scrape));
    programs::build(checkout)?;
    let push = |reference: &str, program: &str, env: &[(&str, &str)]| {
        let env = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let binary = programs::executable(checkout, program);
        lab.push_image(&ImageSpec { reference: reference.into(), binary, env })
    };
    let operator = push("microapp-operator:demo", "microapp-operator", &[])?;
    let stub = push("model-stub:demo", "model-stub", &[])?;
    // The tags go into the rollout: the operator resolves and pins them. Another variable makes other bytes.
    let tags = ["invoice-helper:1", "invoice-helper:2"];
    for (tag, release) in tags.iter().zip(["1", "2"]) {
        push(tag, "invoice-helper", &[("RELEASE", release)])?;
    }
    voice.say("the images are in the lab's registry");
    link(&programs::executable(checkout, "kubectl-microapp"), &lab.paths().bin("kubectl-microapp"))?;
    let prometheus = lab.environment().into_iter().find(|(name, _)| *name == "PROMETHEUS").map(|(_, url)| url);
    let gateway = ("projectcontour".to_owned(), "public".to_owned());
    let prometheus = prometheus.unwrap_or_default();
    let app = tags.map(|tag| format!("{}/{tag}", config::REGISTRY));
    let cluster = Cluster { lab: Some(lab), prometheus, address: None, gateway, folder };
    Ok((cluster, Images { operator, app, stub }, running))
}

/// Makes `kubectl microapp` work inside the lab.
fn link(program: &Path, place: &Path) -> Result<()> {
    let _ = fs::remove_file(place);
    std::os::unix::fs::symlink(program, place).doing(|| format!("link {}", place.display()))
}

/// The namespace, the stand-in for a model and the prompts; returns the model's address.
pub(crate) fn app(cluster: &Cluster, images: &Images, voice: Voice) -> Result<String> {
    cluster.kubectl(&["delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=120s"])?;
    cluster.kubectl(&["create", "namespace", NAMESPACE])?;
    cluster.apply("app.yaml", &fill(include_str!("manifests/app.yaml"), &[("IMAGE", json!(images.stub))])?)?;
    prompts(cluster, scenes::good_prompt())?;
    cluster.get(&["rollout", "status", "deployment/model-stub", "--timeout=120s"])?;
    // An address that works where no cluster DNS runs, too.
    let address = cluster.get(&["get", "service", "model-stub", "--output", "jsonpath={.spec.clusterIP}"])?;
    voice.say("the stand-in for a language model answers; it is no model and says so in every answer");
    Ok(format!("http://{}:8000/v1", address.trim()))
}

/// Writes the prompts, in place when they exist.
pub(crate) fn prompts(cluster: &Cluster, prompt: &str) -> Result<()> {
    let manifest = fill(include_str!("manifests/prompts.yaml"), &[("PROMPT", json!(prompt))])?;
    cluster.apply("prompts.yaml", &manifest)
}

/// Writes the rollout.
pub(crate) fn rollout(cluster: &Cluster, manifest: &'static str, image: &str, environment: &Value) -> Result<()> {
    let (namespace, gateway) = &cluster.gateway;
    let values = [
        ("IMAGE", json!(image)),
        ("ENV", environment.clone()),
        ("NAME", json!(ROLLOUT)),
        ("HOST", json!(HOST)),
        ("GATEWAY", json!(gateway)),
        ("GATEWAY_NAMESPACE", json!(namespace)),
    ];
    cluster.apply("rollout.yaml", &fill(manifest, &values)?)
}

/// Fills a manifest in. JSON is YAML, so that no value needs quoting of our own.
fn fill(manifest: &'static str, values: &[(&'static str, Value)]) -> Result<String> {
    let namespace = ("NAMESPACE", json!(NAMESPACE).to_string());
    let values: Vec<_> = values.iter().map(|(key, value)| (*key, value.to_string())).chain([namespace]).collect();
    config::render("a manifest of the demo", manifest, &values)
}

/// Says how to look around, or stops what the demo started.
pub(crate) fn finish(options: &DemoOptions, cluster: &Cluster, running: Running, voice: Voice) -> Result<()> {
    let Some(lab) = &cluster.lab else {
        voice.print(&format!(
            "\nThe demo stays in the namespace {NAMESPACE}; `kubectl delete namespace {NAMESPACE}` removes it."
        ));
        return Ok(());
    };
    if options.keep {
        let program = std::env::current_exe().map_or("lab".into(), |path| path.display().to_string());
        voice.print("\nThe lab goes on running. Look around with");
        for command in [
            format!("kubectl get microapprollouts,httproutes,pods -n {NAMESPACE}"),
            format!("exec -- kubectl microapp status {ROLLOUT} -n {NAMESPACE}"),
            format!("exec -- kubectl microapp why {ROLLOUT} -n {NAMESPACE}"),
            "kubectl logs -n microapp-system deployment/microapp-rollouts".to_owned(),
            format!("load --host {HOST} --path /ask --rps 50 --seconds 60 --out -"),
        ] {
            voice.print(&format!("  {program} {command}"));
        }
        voice.print(&format!("and stop it with `{program} down`."));
    } else if let Some(scrape) = running {
        lab.scrape(&scrape)?;
        voice.print("\nThe lab was running before and goes on; `lab down` stops it.");
    } else {
        Lab::down()?;
        voice.print("\nThe lab is stopped. KEEP=1 leaves it running to look around.");
    }
    Ok(())
}
