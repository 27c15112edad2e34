//! A manifest as `kubectl apply` would take it: the rollout in it, the prompts beside it, and what they are called.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use microapp_api::v1alpha1::MicroAppRollout;
use microapp_core::{
    Revision,
    lens::{self, Prompts},
    world::Desired,
};
use serde_json::{Value, json};

use crate::{exit::Failure, presets, view::View};

/// One rollout, and the ConfigMaps of the same file.
#[derive(Clone, Debug)]
pub struct Manifest {
    path: PathBuf,
    /// The rollout as it is written.
    pub rollout: Value,
    config_maps: Vec<Value>,
}

/// What the revision of a manifest is called.
#[derive(Clone, Debug, PartialEq)]
pub struct Names {
    /// Its name.
    pub revision: Revision,
    prompts: Prompts,
}

impl Manifest {
    /// Out of a file that may hold other objects too; `-` is stdin.
    ///
    /// # Errors
    /// Exit code 2 with one sentence for a file that is missing or malformed, or has not exactly one rollout.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let mut text = String::new();
        let read = if is_stdin(path) {
            io::stdin().lock().read_to_string(&mut text)
        } else {
            File::open(path).and_then(|mut file| file.read_to_string(&mut text))
        };
        read.map_err(|error| named(path, &error.to_string()))?;
        // As kubectl reads it: `defaultMode: 0400` is 256.
        let options = serde_saphyr::options! { legacy_octal_numbers: true };
        let documents: Vec<Value> = serde_saphyr::from_multiple_with_options(&text, options)
            .map_err(|error| named(path, &first_line(&error.to_string())))?;
        let (mut rollouts, mut config_maps) = (Vec::new(), Vec::new());
        for object in documents.into_iter().flat_map(items).filter(Value::is_object) {
            match object.get("kind").map_or(Some("MicroAppRollout"), Value::as_str) {
                Some("MicroAppRollout") => rollouts.push(object),
                Some("ConfigMap") => config_maps.push(object),
                Some(_) | None => {}
            }
        }
        match (rollouts.pop(), rollouts.is_empty()) {
            (Some(rollout), true) => Ok(Self { path: path.to_owned(), rollout, config_maps }),
            (Some(_), false) => Err(named(path, "there are several MicroAppRollouts; give one")),
            (None, _) => Err(named(path, "there is no MicroAppRollout in it")),
        }
    }

    /// The rollout's name.
    ///
    /// # Errors
    /// It has none.
    pub fn name(&self) -> Result<&str, Failure> {
        self.metadata("name").ok_or_else(|| self.says("the rollout has no name"))
    }

    /// Where the manifest wants it.
    pub fn namespace(&self) -> Option<&str> {
        self.metadata("namespace")
    }

    fn metadata(&self, key: &str) -> Option<&str> {
        self.rollout["metadata"][key].as_str()
    }

    /// The prompts, where the file tells them; otherwise the name of the ConfigMap that has them.
    ///
    /// # Errors
    /// That name.
    pub fn prompts(&self) -> Result<Prompts, &str> {
        let Some(name) = lens::prompts_name(&self.rollout) else { return Ok(Prompts::Unnamed) };
        let of = |object: &Value, key: &str| object["metadata"][key].as_str().map(str::to_owned);
        let near = |object: &Value| match (of(object, "namespace"), self.namespace()) {
            (Some(theirs), Some(ours)) => theirs == ours,
            (None, _) | (_, None) => true,
        };
        let found = self.config_maps.iter().find(|object| of(object, "name").as_deref() == Some(name) && near(object));
        found.map(prompts).ok_or(name)
    }

    /// What its revision is called with these prompts.
    ///
    /// # Errors
    /// Exit code 2 for a spec that no operator could use.
    pub fn revision(&self, prompts: Prompts) -> Result<Names, Failure> {
        match lens::desired(&self.rollout, &prompts, "") {
            Desired::Usable(spec) => Ok(Names { revision: spec.revision, prompts }),
            Desired::Unusable { reason: _, message } => {
                let meant =
                    presets::meant(&self.rollout["spec"]).map_or_else(String::new, |meant| format!("; {meant}"));
                Err(self.says(&format!("{message}{meant}")))
            }
        }
    }

    /// Why its revision is not known.
    pub fn unknown(&self, config_map: &str, why: &str) -> Failure {
        Failure::error(format!(
            "{}: the revision depends on ConfigMap {config_map}, which is not in the file, and {why}; put it into the \
             file, as `kubectl kustomize` does",
            self.path.display()
        ))
    }

    /// A sentence about the file, with exit code 2.
    pub fn says(&self, sentence: &str) -> Failure {
        named(&self.path, sentence)
    }
}

impl Names {
    /// What the rollout of the cluster calls it. One that existed before an upgrade of the operator goes on under the name
    /// of its spelling, which only the stored object has.
    pub fn in_cluster(&self, view: &View) -> String {
        let kept = view.status().desired_revision.as_deref().filter(|desired| *desired != self.revision.as_str());
        let known = kept.and_then(|desired| {
            let Desired::Usable(live) = lens::desired(&stored(&view.rollout), &self.prompts, "") else { return None };
            let written = live.raw.written.as_ref().is_some_and(|written| written.as_str() == desired);
            (live.revision == self.revision && written).then(|| desired.to_owned())
        });
        known.unwrap_or_else(|| self.revision.as_str().to_owned())
    }
}

/// The object as JSON again; null where that fails, which is no rollout.
fn stored(rollout: &MicroAppRollout) -> Value {
    serde_json::to_value(rollout).unwrap_or(Value::Null)
}

/// What a ConfigMap holds, as the API server would store it: no empty map, no null, binary without line breaks.
pub fn prompts(config_map: &Value) -> Prompts {
    let part = |key: &str, value: fn(&Value) -> Value| match config_map.get(key).and_then(Value::as_object) {
        Some(map) if !map.is_empty() => map.iter().map(|(key, text)| (key.clone(), value(text))).collect(),
        Some(_) | None => Value::Null,
    };
    let text = |value: &Value| if value.is_null() { json!("") } else { value.clone() };
    let binary = |value: &Value| {
        value.as_str().map_or_else(|| value.clone(), |text| json!(text.split_whitespace().collect::<String>()))
    };
    Prompts::Found(part("data", text), part("binaryData", binary))
}

/// A list as `kubectl get -o yaml` prints it is its items.
fn items(document: Value) -> Vec<Value> {
    match document {
        Value::Object(mut map) if map.get("kind").is_some_and(|kind| kind == "List") => match map.remove("items") {
            Some(Value::Array(items)) => items,
            Some(_) | None => Vec::new(),
        },
        other => vec![other],
    }
}

pub(crate) fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// A sentence about a file, with exit code 2.
pub(crate) fn named(path: &Path, sentence: &str) -> Failure {
    Failure::usage(format!("{}: {sentence}", path.display()))
}

/// A parser's report comes with a picture of the place; a sentence is asked for.
fn first_line(report: &str) -> String {
    let line = report.lines().next().unwrap_or("not YAML");
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}
