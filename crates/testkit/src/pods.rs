//! Which pods a behaviour or a traffic profile is about.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::registry::Registry;

/// A choice of pods.
#[derive(Clone)]
pub enum Pods {
    /// All of them.
    All,
    /// Those that run the bytes of this image, whether they name it by tag or by digest.
    Image(String),
    /// Those with this `microapp.dev/revision`.
    Revision(String),
    /// Those whose name starts like this.
    Named(String),
    /// Those whose first container has this environment variable with this value.
    Env(String, String),
    /// Any condition on the pod.
    Where(Arc<dyn Fn(&Value) -> bool + Send + Sync>),
}

impl fmt::Debug for Pods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("All"),
            Self::Image(image) => write!(f, "Image({image})"),
            Self::Revision(revision) => write!(f, "Revision({revision})"),
            Self::Named(prefix) => write!(f, "Named({prefix})"),
            Self::Env(name, value) => write!(f, "Env({name}={value})"),
            Self::Where(_) => f.write_str("Where(..)"),
        }
    }
}

impl Pods {
    /// Those that run the bytes of this image.
    pub fn image(image: &str) -> Self {
        Self::Image(image.to_owned())
    }

    /// Those of this revision.
    pub fn revision(revision: &str) -> Self {
        Self::Revision(revision.to_owned())
    }

    /// Whether a pod (or a pod template) is meant.
    pub(crate) fn matches(&self, pod: &Value, registry: &Registry) -> bool {
        let container = &pod["spec"]["containers"][0];
        match self {
            Self::All => true,
            Self::Image(image) => {
                let runs = container["image"].as_str().unwrap_or_default();
                runs == image || registry.digest(runs) == registry.digest(image)
            }
            Self::Revision(revision) => pod["metadata"]["labels"]["microapp.dev/revision"] == revision.as_str(),
            Self::Named(prefix) => pod["metadata"]["name"].as_str().is_some_and(|n| n.starts_with(prefix)),
            Self::Env(name, value) => {
                let mut variables = container["env"].as_array().into_iter().flatten();
                variables.any(|v| v["name"] == name.as_str() && v["value"] == value.as_str())
            }
            Self::Where(condition) => condition(pod),
        }
    }
}
