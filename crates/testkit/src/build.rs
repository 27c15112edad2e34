//! Minimal valid objects, as JSON, with setters for what tests vary.

use serde_json::{Value, json};

/// A `MicroAppRollout`.
#[derive(Clone, Debug)]
pub struct RolloutBuilder(Value);

/// A rollout with one container, a model, prompts in `<name>-prompts`, a gateway named `public`, short steps and the
/// error gate.
pub fn rollout(namespace: &str, name: &str, image: &str) -> RolloutBuilder {
    RolloutBuilder(json!({
        "apiVersion": "microapp.dev/v1alpha1",
        "kind": "MicroAppRollout",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": 2,
            "template": {
                "spec": {"containers": [{"name": "app", "image": image, "ports": [{"containerPort": 8080}]}]},
            },
            "model": {"provider": "openai", "name": "gpt-5-nano", "version": "2025-08-07"},
            "prompts": {"configMapRef": {"name": format!("{name}-prompts")}},
            "traffic": {
                "port": 8080,
                "gateway": {"parentRefs": [{"name": "public"}], "hostnames": [format!("{name}.example.com")]},
            },
            "strategy": {"steps": [
                {"weight": 5, "dwell": "1m"},
                {"weight": 25, "dwell": "1m"},
                {"weight": 100, "dwell": "2m"},
            ]},
            "gates": [{"name": "errors", "errorRate": {"max": "1%"}}],
        },
    }))
}

impl RolloutBuilder {
    /// Sets any field by its JSON pointer; what lies on the way is made.
    #[must_use]
    pub fn set(mut self, pointer: &str, value: impl Into<Value>) -> Self {
        let mut here = &mut self.0;
        for key in pointer.split('/').filter(|k| !k.is_empty()) {
            here = match key.parse::<usize>() {
                Ok(index) if here.is_array() => &mut here[index],
                _ => &mut here[key],
            };
        }
        *here = value.into();
        self
    }

    /// Sets `spec.replicas`.
    #[must_use]
    pub fn replicas(self, replicas: i64) -> Self {
        self.set("/spec/replicas", replicas)
    }

    /// Sets the image.
    #[must_use]
    pub fn image(self, image: &str) -> Self {
        self.set("/spec/template/spec/containers/0/image", image)
    }

    /// Sets the model's name and version.
    #[must_use]
    pub fn model(self, name: &str, version: &str) -> Self {
        self.set("/spec/model/name", name).set("/spec/model/version", version)
    }

    /// Sets the steps: weights (`5` or `"0.5%"`) and dwells (`1m`).
    #[must_use]
    pub fn steps(self, steps: &[(Value, &str)]) -> Self {
        let steps: Vec<Value> = steps.iter().map(|(weight, dwell)| json!({"weight": weight, "dwell": dwell})).collect();
        self.set("/spec/strategy/steps", steps)
    }

    /// Sets the gates.
    #[must_use]
    pub fn gates(self, gates: Value) -> Self {
        self.set("/spec/gates", gates)
    }

    /// Sets an annotation of `microapp.dev`, such as `abort`.
    #[must_use]
    pub fn command(mut self, verb: &str, token_and_reason: &str) -> Self {
        self.0["metadata"]["annotations"][format!("microapp.dev/{verb}")] = json!(token_and_reason);
        self
    }

    /// The object.
    pub fn build(self) -> Value {
        self.0
    }
}

/// The ConfigMap with a rollout's prompts.
pub fn prompts(namespace: &str, rollout: &str, text: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": format!("{rollout}-prompts"), "namespace": namespace}, "data": {"system.txt": text}})
}

/// The Gateway and its class to which [`rollout`] attaches its route.
pub fn gateway(namespace: &str) -> [Value; 2] {
    let api_version = "gateway.networking.k8s.io/v1";
    [
        json!({"apiVersion": api_version, "kind": "GatewayClass", "metadata": {"name": "testkit"},
            "spec": {"controllerName": "testkit.example/gateway-controller"}}),
        json!({"apiVersion": api_version, "kind": "Gateway", "metadata": {"name": "public", "namespace": namespace},
            "spec": {"gatewayClassName": "testkit", "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]}}),
    ]
}
