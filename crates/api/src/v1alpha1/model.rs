use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The model binding: reaches the pods as `MODEL_PROVIDER`, `MODEL_NAME` and `MODEL_VERSION`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Model {
    /// Who serves it, such as `openai`.
    pub provider: String,
    /// The model, such as `gpt-5-nano`.
    pub name: String,
    /// A version that does not move, such as `2025-08-07`; never `latest`.
    pub version: String,
    /// Settings that belong to the revision, such as `temperature: "0"`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
}

impl Model {
    /// `provider/name@version`, as status and the command line tool show it.
    pub fn display(&self) -> String {
        format!("{}/{}@{}", self.provider, self.name, self.version)
    }
}

/// The prompts of the application.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Prompts {
    /// The ConfigMap that holds them; it is copied into an immutable one per revision.
    pub config_map_ref: ConfigMapRef,
    /// Where they are mounted in every container when the template does not mount that ConfigMap itself.
    #[serde(default = "Prompts::default_mount_path")]
    pub mount_path: String,
}

impl Prompts {
    /// `/prompts`.
    pub fn default_mount_path() -> String {
        "/prompts".to_owned()
    }
}

/// A ConfigMap of the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigMapRef {
    /// Its name.
    pub name: String,
}
