//! No write without an end: what was written, and is wanted again, is written ever more seldom, and somebody is told.
//!
//! Two things can be behind it. The API server, or an admission policy, took the write and stored something else: the
//! object that came back still asks for the same write. Or somebody else changes the object back. Both would be a loop
//! at the speed of the network.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use microapp_api::{conditions::Reason, labels::route::SINCE, limits::REFUSAL, text::clean};
use microapp_core::{
    Write,
    build::{Kind, Request},
    lens::Objects,
    plan::Transition,
    world::Obstacle,
};
use serde_json::Value;
use tokio::time::Instant;

use crate::cache::meta;

/// After a write that was not kept, doubled each time.
const NOT_KEPT: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(300)];
/// After one that somebody else undid, from the fifth time on.
const UNDONE: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(60)];
const FREE: u32 = 4;
/// After one that was refused: whatever wakes the rollout meanwhile, it is not sent.
const REFUSED: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(120)];
/// The weights of a route are put right within this, however often somebody changes them.
const REPAIR: Duration = Duration::from_secs(1);
/// A write that was not wanted again for so long is a new one.
const FORGOTTEN: Duration = Duration::from_secs(900);

/// What a write changes, and to what. Versions and times are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Print {
    kind: Kind,
    name: String,
    what: u64,
    value: u64,
    /// Path and value of each field, to say what was not kept.
    fields: Vec<(String, Value)>,
    repairs: bool,
}

impl Print {
    pub fn is_of_status(&self) -> bool {
        self.kind == Kind::Rollout
    }

    pub fn is_of_route(&self) -> bool {
        self.kind == Kind::Route
    }

    /// The object that it is about, as the pass read it.
    pub fn live(&self, objects: &Objects) -> Option<Arc<Value>> {
        let list = match self.kind {
            Kind::Deployment => &objects.deployments,
            Kind::Service => &objects.services,
            Kind::Record => &objects.records,
            Kind::ConfigMap => &objects.config_maps,
            Kind::Pod => &objects.pods,
            Kind::Route => return objects.route.clone(),
            Kind::Rollout => return Some(objects.rollout.clone()),
        };
        let apex = objects.apex.iter().filter(|_| self.kind == Kind::Service);
        list.iter().chain(apex).find(|object| meta(object, "name") == self.name).cloned()
    }
}

/// Of a request.
pub(crate) fn print(write: &Write, request: &Request) -> Print {
    let hash = |of: &dyn Fn(&mut DefaultHasher)| {
        let mut hasher = DefaultHasher::new();
        of(&mut hasher);
        hasher.finish()
    };
    let (kind, name, verb, fields) = match request {
        Request::Create { kind, name, body: _ } => (*kind, name, "create", Vec::new()),
        Request::Delete { kind, name } => (*kind, name, "delete", Vec::new()),
        Request::Patch { kind, name, patch } => (*kind, name, "patch", fields(patch)),
        Request::Status { name, status } => {
            (Kind::Rollout, name, "status", vec![("/status".to_owned(), lasting(status))])
        }
    };
    let what = hash(&|hasher| {
        verb.hash(hasher);
        for (path, _) in &fields {
            path.hash(hasher);
        }
    });
    let value = hash(&|hasher| {
        for (_, value) in &fields {
            value.to_string().hash(hasher);
        }
    });
    let repairs = matches!(write, Write::Route(route) if route.transition == Transition::Repair);
    Print { kind, name: name.clone(), what, value, fields, repairs }
}

/// A status without what differs each time that it is written.
fn lasting(status: &Value) -> Value {
    match status {
        Value::Object(fields) => {
            let lasting =
                |key: &str| !key.ends_with("At") && !matches!(key, "lastTransitionTime" | "evidence" | "gates");
            let fields = fields.iter().filter(|(key, _)| lasting(key));
            Value::Object(fields.map(|(key, value)| (key.clone(), self::lasting(value))).collect())
        }
        Value::Array(list) => Value::Array(list.iter().map(lasting).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => status.clone(),
    }
}

fn fields(patch: &Value) -> Vec<(String, Value)> {
    let text = |operation: &Value, key: &str| operation[key].as_str().unwrap_or_default().to_owned();
    let since = format!("/metadata/annotations/{}", SINCE.replace('/', "~1"));
    patch
        .as_array()
        .into_iter()
        .flatten()
        .map(|operation| (text(operation, "path"), operation["value"].clone()))
        .filter(|(path, _)| path != "/metadata/resourceVersion" && *path != since)
        .collect()
}

/// The writes of one rollout.
#[derive(Debug, Default)]
pub(crate) struct Brake {
    trails: HashMap<(Kind, String, u64), Trail>,
    /// What is told as long as the write that it is about is the next one.
    told: Option<(Print, Obstacle)>,
}

#[derive(Debug)]
struct Trail {
    value: u64,
    times: u32,
    last: Instant,
    /// The version that the write made; none where it was refused.
    version: Option<String>,
}

impl Brake {
    /// What stands in the way of the write that is wanted again and again.
    pub fn obstacle(&self) -> Option<&Obstacle> {
        self.told.as_ref().map(|(_, obstacle)| obstacle)
    }

    /// Nothing is wanted any more, or something else.
    pub fn release(&mut self, wanted: Option<&Print>) {
        self.told = self.told.take().filter(|(print, _)| Some(print) == wanted);
        self.trails.retain(|_, trail| trail.last.elapsed() < FORGOTTEN);
    }

    /// How long the write must wait. `live` is the object as it is known, `who` the manager that wrote it last beside us.
    pub fn hold(&mut self, print: &Print, live: Option<&Value>, who: Option<&str>) -> Option<Duration> {
        let trail = self.trails.get(&(print.kind, print.name.clone(), print.what))?;
        if trail.value != print.value || trail.last.elapsed() >= FORGOTTEN {
            return None;
        }
        let Some(version) = &trail.version else {
            let [first, most] = REFUSED;
            let most = if print.repairs { REPAIR } else { most };
            let gap = first.saturating_mul(1 << trail.times.saturating_sub(1).min(16)).min(most);
            return gap.checked_sub(trail.last.elapsed()).filter(|left| !left.is_zero());
        };
        let kept = live.is_none_or(|live| meta(live, "resourceVersion") != *version);
        let ([first, most], times) =
            if kept { (UNDONE, trail.times.saturating_sub(FREE)) } else { (NOT_KEPT, trail.times) };
        if times == 0 {
            return None;
        }
        let gap = first.saturating_mul(1 << (times - 1).min(16)).min(most);
        let gap = if print.repairs && kept { gap.min(REPAIR) } else { gap };
        let left = gap.checked_sub(trail.last.elapsed()).filter(|left| !left.is_zero())?;
        // A repair that somebody undoes is told by what it repairs, and a status that is not kept tells nobody.
        if !(print.repairs && kept || print.is_of_status()) {
            let obstacle = Obstacle {
                reason: if print.kind == Kind::Route { Reason::RouteContested } else { Reason::NotKept },
                message: sentence(print, live, who, kept),
            };
            self.told = Some((print.clone(), obstacle));
        }
        Some(left)
    }

    /// The write took effect, and made this version.
    pub fn wrote(&mut self, print: Print, version: &str) {
        self.note(print, Some(version.to_owned()));
    }

    /// The API server or a policy refused it, and whoever must act is told.
    pub fn refused(&mut self, print: Print) {
        self.note(print, None);
    }

    fn note(&mut self, print: Print, version: Option<String>) {
        let trail = self.trails.entry((print.kind, print.name, print.what)).or_insert(Trail {
            value: print.value,
            times: 0,
            last: Instant::now(),
            version: None,
        });
        let same = trail.value == print.value
            && trail.version.is_some() == version.is_some()
            && trail.last.elapsed() < FORGOTTEN;
        *trail = Trail {
            value: print.value,
            times: if same { trail.times.saturating_add(1) } else { 1 },
            last: Instant::now(),
            version,
        };
    }
}

fn sentence(print: &Print, live: Option<&Value>, who: Option<&str>, kept: bool) -> String {
    let Print { kind, name, fields, .. } = print;
    let field = live.and_then(|live| fields.iter().find_map(|(path, wanted)| differing(path, wanted, live)));
    let field = field.map(|path| format!(" {}", path.trim_start_matches('/').replace('/', "."))).unwrap_or_default();
    let kind = kind.as_str();
    let told = if kept {
        let who = who.unwrap_or("somebody else");
        format!(
            "{who} keeps changing{field} of {kind} {name} back; stop one of the two. The next try is later each time"
        )
    } else if field.contains("timeouts") {
        format!(
            "the API server does not keep{field} of {kind} {name}: the CRDs of Gateway API are older than 1.2, or an \
             admission policy removes it. The next try is later each time"
        )
    } else {
        let who = who.map(|who| format!(" (last written by {who})")).unwrap_or_default();
        format!(
            "the API server took the write and does not keep{field} of {kind} {name}{who}: look for an admission policy \
             that changes it. The next try is later each time"
        )
    };
    clean(&told, REFUSAL)
}

/// The first field in which the object is not what was written.
fn differing(path: &str, wanted: &Value, live: &Value) -> Option<String> {
    let found = live.pointer(path).unwrap_or(&Value::Null);
    differs(path, wanted, found)
}

fn differs(path: &str, wanted: &Value, found: &Value) -> Option<String> {
    match (wanted, found) {
        (Value::Object(wanted), Value::Object(found)) => wanted.iter().find_map(|(key, wanted)| {
            differs(&format!("{path}/{key}"), wanted, found.get(key).unwrap_or(&Value::Null))
        }),
        (Value::Array(wanted), Value::Array(found)) if wanted.len() == found.len() => wanted
            .iter()
            .zip(found)
            .enumerate()
            .find_map(|(index, (wanted, found))| differs(&format!("{path}/{index}"), wanted, found)),
        (wanted, found) => (wanted != found).then(|| path.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn patch(timeout: &str) -> Print {
        let patch = json!([
            {"op": "replace", "path": "/metadata/resourceVersion", "value": "7"},
            {"op": "replace", "path": "/spec", "value": {"rules": [{"timeouts": {"request": timeout}}]}},
        ]);
        let fields = fields(&patch);
        Print {
            kind: Kind::Route,
            name: "a".to_owned(),
            what: 1,
            value: u64::from(timeout == "0s"),
            fields,
            repairs: false,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_is_not_kept_is_tried_ever_more_seldom_and_names_its_field() {
        let (mut brake, begun, mut writes) = (Brake::default(), Instant::now(), 0);
        let live = json!({"metadata": {"resourceVersion": "8"}, "spec": {"rules": [{}]}});
        while begun.elapsed() < Duration::from_secs(3600) {
            if let Some(wait) = brake.hold(&patch("0s"), Some(&live), None) {
                tokio::time::sleep(wait).await;
            } else {
                brake.wrote(patch("0s"), "8");
                writes += 1;
            }
        }
        assert!((10..30).contains(&writes), "{writes}");
        let told = brake.obstacle().unwrap().message.clone();
        assert!(told.contains("spec.rules.0.timeouts of HTTPRoute a") && told.contains("1.2"), "{told}");
        brake.release(None);
        assert_eq!(brake.obstacle(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_is_refused_is_tried_ever_more_seldom_whatever_wakes_the_rollout() {
        let (mut brake, begun, mut tries) = (Brake::default(), Instant::now(), 0);
        while begun.elapsed() < Duration::from_secs(3600) {
            if brake.hold(&patch("0s"), None, None).is_none() {
                brake.refused(patch("0s"));
                tries += 1;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert!((20..50).contains(&tries), "{tries}");
        assert_eq!(brake.obstacle(), None, "it is told in the words of the refusal");
    }

    #[tokio::test(start_paused = true)]
    async fn another_wish_does_not_wait_for_an_earlier_one() {
        let mut brake = Brake::default();
        let live = json!({"metadata": {"resourceVersion": "8"}});
        for _ in 0..20 {
            for timeout in ["0s", "1s"] {
                assert_eq!(brake.hold(&patch(timeout), Some(&live), None), None);
                brake.wrote(patch(timeout), "8");
            }
        }
    }
}
