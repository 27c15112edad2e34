use std::borrow::Cow;

use k8s_openapi::api::core::v1::PodTemplateSpec;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A pod template as it is stored, field for field.
///
/// It is kept as JSON, since the revision is a hash of the stored template: typed structs would drop the fields that a
/// newer cluster knows and we do not, and each library upgrade would then start every rollout. [`PodTemplate::typed`]
/// gives the typed form.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PodTemplate(pub Value);

impl PodTemplate {
    /// The template as Kubernetes' own type. Numbers where a quantity is meant (`cpu: 0.5`) become strings.
    ///
    /// # Errors
    /// Where the stored JSON is no pod template; the schema prevents it for objects that it admitted.
    pub fn typed(&self) -> Result<PodTemplateSpec, serde_json::Error> {
        match &self.0 {
            Value::Null => Ok(PodTemplateSpec::default()),
            value => PodTemplateSpec::deserialize(value),
        }
    }

    /// The template as it is stored.
    pub fn raw(&self) -> &Value {
        &self.0
    }
}

impl TryFrom<&PodTemplateSpec> for PodTemplate {
    type Error = serde_json::Error;

    fn try_from(typed: &PodTemplateSpec) -> Result<Self, Self::Error> {
        serde_json::to_value(typed).map(Self)
    }
}

impl JsonSchema for PodTemplate {
    fn schema_name() -> Cow<'static, str> {
        "PodTemplate".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        PodTemplateSpec::json_schema(generator)
    }
}
