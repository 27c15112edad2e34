//! The CustomResourceDefinition as it is installed.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

use crate::v1alpha1::MicroAppRollout;

/// The CustomResourceDefinition of `MicroAppRollout`.
pub fn crd() -> CustomResourceDefinition {
    MicroAppRollout::crd()
}
