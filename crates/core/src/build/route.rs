//! The HTTPRoute: POSTed once, then changed by JSON patches alone. A transition carries the version that it was decided
//! on; a lower tests the attempt and the pair instead, so that nothing written meanwhile can keep it back.

use std::collections::BTreeMap;

use microapp_api::{labels::route as labels, names};
use serde_json::{Value, json};

use super::{Builder, Kind, Request, Unbuildable, add, replace, versioned};
use crate::{
    plan::{Lower, RouteWrite, Transition},
    register::Register,
    revision::Revision,
    world::{Backend, RouteFact},
};

/// The time limit of a stored `spec.traffic.gateway`, where it gives one: not every gateway knows the field.
pub(crate) fn request_timeout(gateway: &Value) -> Option<&str> {
    gateway.pointer("/timeouts/request").and_then(Value::as_str)
}

impl Builder<'_> {
    pub(super) fn route(
        &self,
        register: &Register,
        backends: &[Backend],
    ) -> Result<(Kind, String, Value), Unbuildable> {
        let name = names::route(&self.world.object.name);
        let spec = self.route_spec(&register.stable, backends)?;
        let mut body = self.child(Kind::Route, &name, None, json!({"spec": spec}));
        body["metadata"]["annotations"] = json!(annotations(register));
        Ok((Kind::Route, name, body))
    }

    /// What the user wants of the route, with these backends.
    fn route_spec(&self, stable: &Revision, backends: &[Backend]) -> Result<Value, Unbuildable> {
        let gateway = match self.world.spec() {
            Some(spec) => &spec.raw.gateway,
            None => &self.raw(stable)?.gateway,
        };
        let mut spec = json!({
            "parentRefs": gateway.get("parentRefs").cloned().unwrap_or_else(|| json!([])),
            "rules": [{"backendRefs": self.references(backends)?}],
        });
        if let Some(limit) = request_timeout(gateway) {
            spec["rules"][0]["timeouts"] = json!({"request": limit});
        }
        if let Some(hosts) = gateway.get("hostnames").and_then(Value::as_array).filter(|hosts| !hosts.is_empty()) {
            spec["hostnames"] = json!(hosts);
        }
        Ok(spec)
    }

    /// Spelled out in full: short forms read as drift in some tools.
    fn references(&self, backends: &[Backend]) -> Result<Value, Unbuildable> {
        let one = |backend: &Backend| {
            let Backend { revision: Some(revision), weight } = backend else { return Ok(None) };
            Ok(Some(json!({
                "group": "",
                "kind": "Service",
                "name": self.name(revision),
                "port": self.port(revision)?,
                "weight": weight.unwrap_or_default(),
            })))
        };
        let all: Vec<_> = backends.iter().filter_map(|backend| one(backend).transpose()).collect::<Result<_, _>>()?;
        Ok(Value::Array(all))
    }

    /// A compare-and-set of the register.
    pub(super) fn transition(&self, write: &RouteWrite) -> Result<Request, Unbuildable> {
        let RouteWrite { transition, version, register, backends } = write;
        let mut operations = match &self.world.route {
            RouteFact::Present(route) => changed(&route.register, register),
            // What stood there is not known, so all of it goes.
            RouteFact::Unreadable { .. } | RouteFact::Missing | RouteFact::Foreign(_) => {
                vec![add("/metadata/annotations", json!(annotations(register)))]
            }
        };
        operations.push(match transition {
            // A stranger may have changed anything, and nothing else writes what the user wants of the route.
            Transition::Repair | Transition::Settings => replace("/spec", self.route_spec(&register.stable, backends)?),
            Transition::Replace
            | Transition::Begin
            | Transition::Raise
            | Transition::StepBack
            | Transition::Retire
            | Transition::Reject
            | Transition::Promote
            | Transition::Command => replace("/spec/rules/0/backendRefs", self.references(backends)?),
        });
        let name = names::route(&self.world.object.name);
        Ok(Request::Patch { kind: Kind::Route, name, patch: versioned(version, &operations) })
    }

    /// Weight 0 and the latch, on any version where the attempt and the pair are the tested ones.
    pub(super) fn lower(&self, write: &Lower) -> Request {
        let Lower { attempt, pair: [stable, canary], aborted } = write;
        let weight =
            |index: usize, weight: i32| add(&format!("/spec/rules/0/backendRefs/{index}/weight"), json!(weight));
        let service = |index: usize, revision: &Revision| {
            test(&format!("/spec/rules/0/backendRefs/{index}/name"), json!(self.name(revision)))
        };
        let latch = serde_json::to_string(aborted).unwrap_or_default();
        let patch = json!([
            test(&annotation(labels::ATTEMPT), json!(attempt.to_string())),
            service(0, stable),
            service(1, canary),
            weight(0, 100),
            weight(1, 0),
            add(&annotation(labels::ABORTED), json!(latch)),
            // Removing a missing one would fail the whole patch; an empty one reads as none.
            add(&annotation(labels::STEP), json!("")),
        ]);
        Request::Patch { kind: Kind::Route, name: names::route(&self.world.object.name), patch }
    }
}

fn annotations(register: &Register) -> BTreeMap<&'static str, String> {
    register.write().into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
}

/// The annotations that differ. One that is to go was there: the register was read from it.
fn changed(old: &Register, new: &Register) -> Vec<Value> {
    let old = old.write();
    new.write()
        .into_iter()
        .filter(|(key, value)| old.get(key) != Some(value))
        .map(|(key, value)| match value {
            Some(value) => add(&annotation(key), json!(value)),
            None => json!({"op": "remove", "path": annotation(key)}),
        })
        .collect()
}

/// The JSON pointer of an annotation.
fn annotation(key: &str) -> String {
    format!("/metadata/annotations/{}", key.replace('~', "~0").replace('/', "~1"))
}

#[allow(clippy::needless_pass_by_value)]
fn test(path: &str, value: Value) -> Value {
    json!({"op": "test", "path": path, "value": value})
}
