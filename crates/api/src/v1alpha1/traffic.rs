use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where the traffic comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Traffic {
    /// The container port that serves; part of the revision.
    pub port: i32,
    /// The gateway; the operator makes and owns the HTTPRoute.
    pub gateway: Gateway,
}

/// What the operator's HTTPRoute attaches to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Gateway {
    /// The gateways that the route asks to be attached to; at least one.
    pub parent_refs: Vec<ParentRef>,
    /// The host names that it serves; all of the gateway's when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hostnames: Vec<String>,
    /// Time limits of the route; the gateway's own where absent, which for Envoy is 15 s and cuts long answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<Timeouts>,
}

/// A gateway, as in an HTTPRoute.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ParentRef {
    /// API group; `gateway.networking.k8s.io` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Kind; `Gateway` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Namespace; the rollout's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name of the gateway.
    pub name: String,
    /// Listener of the gateway; all of them when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section_name: Option<String>,
    /// Port of the gateway; all of them when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<i32>,
}

/// Time limits of the route.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Timeouts {
    /// From the whole request to the whole answer, as Gateway API writes durations; `0s` is no limit. The gateway's own
    /// where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
}
