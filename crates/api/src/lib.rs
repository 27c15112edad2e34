//! The `MicroAppRollout` custom resource: types, schema, names, labels and condition reasons.
//!
//! Everything that more than one part of the system must spell the same way lives here and only here:
//!
//! - [`v1alpha1`]: what people write (`spec`) and what the operator reports (`status`).
//! - [`values`]: the strings of the API (`"0.5%"`, `1h30m`, `"0.004"`) as exact numbers.
//! - [`conditions`]: condition types, their closed set of reasons, and the causes that end an attempt.
//! - [`limits`]: how much fits into status.
//! - [`labels`] and [`names`]: keys and child names.
//! - [`schema`]: the CustomResourceDefinition with its bounds and CEL rules, from which `crds/` is generated.
#![warn(missing_docs)]

pub mod conditions;
pub mod labels;
pub mod limits;
pub mod names;
pub mod schema;
pub mod text;
pub mod v1alpha1;
pub mod values;
