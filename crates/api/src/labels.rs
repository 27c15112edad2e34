//! Keys of labels, annotations and environment variables, and the values that are fixed.

/// Field manager of every write of the operator, and the value of [`MANAGED_BY`].
pub const MANAGER: &str = "microapp-operator";
/// The API group.
pub const GROUP: &str = "microapp.dev";
/// What all our own keys begin with.
pub const PREFIX: &str = "microapp.dev/";

/// Label of all children: the name of the rollout.
pub const ROLLOUT: &str = "microapp.dev/rollout";
/// Label of the children of one revision: its hash.
pub const REVISION: &str = "microapp.dev/revision";
/// Label of all children: the name of the application, which is the rollout's.
pub const APP_NAME: &str = "app.kubernetes.io/name";
/// Label of all children: [`MANAGER`].
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// Annotations of the HTTPRoute: the record of the one protocol that moves traffic.
pub mod route {
    /// The stable revision.
    pub const STABLE: &str = "microapp.dev/stable";
    /// The revision on trial.
    pub const CANARY: &str = "microapp.dev/canary";
    /// Number of the last attempt.
    pub const ATTEMPT: &str = "microapp.dev/attempt";
    /// Index of the step in force, counted from 0.
    pub const STEP: &str = "microapp.dev/step";
    /// When the step began, in RFC 3339.
    pub const SINCE: &str = "microapp.dev/since";
    /// Why the attempt was given up, as JSON; the latch that no raise passes.
    pub const ABORTED: &str = "microapp.dev/aborted";
    /// The last revisions that are not tried again by themselves, as JSON.
    pub const REJECTED: &str = "microapp.dev/rejected";
    /// The last token of each command verb, as JSON.
    pub const TOKENS: &str = "microapp.dev/tokens";
}

/// Annotations of the rollout by which people command: `"<token> <reason>"`, each token taken once.
pub mod command {
    /// All traffic back to stable.
    pub const ABORT: &str = "microapp.dev/abort";
    /// On to the last step; the token begins with `<attempt>/<step>`.
    pub const PROMOTE: &str = "microapp.dev/promote";
    /// Keep the weight.
    pub const PAUSE: &str = "microapp.dev/pause";
    /// Go on.
    pub const RESUME: &str = "microapp.dev/resume";
    /// Try a rejected revision again; the token begins with `<revision>`.
    pub const RETRY: &str = "microapp.dev/retry";
    /// All of them.
    pub const ALL: [&str; 5] = [ABORT, PROMOTE, PAUSE, RESUME, RETRY];
}

/// Annotation of a rollout that may take over children which an earlier object of its name left behind.
pub const ADOPT: &str = "microapp.dev/adopt";

/// Environment variables that carry the model; setting them in the template is refused.
pub mod env {
    /// `spec.model.provider`.
    pub const MODEL_PROVIDER: &str = "MODEL_PROVIDER";
    /// `spec.model.name`.
    pub const MODEL_NAME: &str = "MODEL_NAME";
    /// `spec.model.version`.
    pub const MODEL_VERSION: &str = "MODEL_VERSION";
    /// The pod's own name.
    pub const POD_NAME: &str = "MICROAPP_POD_NAME";
    /// Resource attributes of OpenTelemetry: appended to the user's.
    pub const OTEL_RESOURCE_ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";
}
