//! The trace of the running attempt, beside the passes: lines in memory, and now and then a ConfigMap
//! `<name>-<revision>-trace` with all of them. A trace that cannot be written is a gap in the records; no decision ever
//! waits for it.

use std::{collections::VecDeque, io::Write as _, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use flate2::{Compression, write::GzEncoder};
use jiff::{SignedDuration, Timestamp};
use microapp_api::names;
use microapp_core::{
    Plan, Write,
    build::Kind,
    plan::Transition,
    trace::{From, Recorder},
    world::World,
};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{
    Context,
    apply::Outcome,
    cache::{Key, meta},
    cluster::{CALL, Lane, PatchCall},
    error::CallError,
    evidence::{Known, Memory},
    fleet::Fleet,
};

/// The key of the ConfigMap: JSON lines, gzip, several members one after the other.
pub const DATA: &str = "trace.jsonl.gz";
/// Bytes of it. What is older goes.
const LIMIT: usize = 256 * 1024;
/// Lines are closed to a piece of their own from so many bytes on, so that old pieces can go.
const PIECE: usize = 512 * 1024;
/// Where evidence is too large to be written down no piece can begin; then the trace ends here.
const LONGEST: usize = 8 * PIECE;
/// Between two writes that no end asks for: a rollout of four steps has no more than 40 writes, and most are over before.
const PAUSE: SignedDuration = SignedDuration::from_hours(1);

/// What is recorded of one rollout.
pub(crate) struct Tracer {
    recorder: Recorder,
    revision: Option<String>,
    pieces: VecDeque<Vec<u8>>,
    open: Vec<u8>,
    next: Option<From>,
    /// When it was last written, or the attempt was first seen.
    written: Option<Timestamp>,
    unwritten: bool,
    desk: Arc<Desk>,
}

/// Where the newest state lies for whoever writes it; only the newest is of interest.
struct Desk {
    newest: std::sync::Mutex<Option<Blob>>,
    wake: Notify,
}

struct Blob {
    key: Key,
    record: String,
    rollout: String,
    revision: String,
    bytes: Vec<u8>,
}

impl std::fmt::Debug for Tracer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tracer").field("revision", &self.revision).finish_non_exhaustive()
    }
}

impl Tracer {
    /// Its writer ends with `stop`, after what lies on the desk is written.
    pub fn new(context: Arc<Context>, stop: CancellationToken) -> Self {
        let desk = Arc::new(Desk { newest: std::sync::Mutex::default(), wake: Notify::new() });
        tokio::spawn(write(context, desk.clone(), stop));
        Self {
            recorder: Recorder::default(),
            revision: None,
            pieces: VecDeque::new(),
            open: Vec::new(),
            next: None,
            written: None,
            unwritten: false,
            desk,
        }
    }

    /// One pass of the one who leads.
    pub fn pass(&mut self, pass: &Traced<'_>) {
        let Traced { fleet, memory, world, known, plan, outcome, now } = *pass;
        let canary = world.route().and_then(|route| route.register.canary.as_ref());
        if canary.map(microapp_core::Revision::as_str) != self.revision.as_deref() {
            self.begin(canary.map(ToString::to_string), now);
        }
        if self.revision.is_none() || self.open.len() > LONGEST {
            return;
        }
        let line = self.recorder.pass(now, known.fresh, known.restored, world, known.counts.as_ref(), plan);
        if let Some(mut line) = line {
            line.pass.from = line.pass.from.or_else(|| self.next.take());
            if let Ok(text) = serde_json::to_vec(&line) {
                self.open.extend_from_slice(&text);
                self.open.push(b'\n');
                self.unwritten = true;
            }
        }
        if self.open.len() > PIECE
            && let Some(from) = memory.track.evidence.as_ref().and_then(|evidence| self.recorder.cut(evidence))
        {
            self.next = Some(from);
            self.pieces.push_back(gzip(&self.open));
            self.open.clear();
        }
        let written = matches!(outcome, Outcome::Written { .. });
        let late = self.written.is_none_or(|written| now.duration_since(written) >= PAUSE);
        if written && self.unwritten && is_due(plan, late) {
            self.put(fleet, world, now);
        }
    }

    fn begin(&mut self, revision: Option<String>, now: Timestamp) {
        self.revision = revision;
        self.recorder = Recorder::default();
        self.pieces.clear();
        self.open.clear();
        (self.next, self.written, self.unwritten) = (None, Some(now), false);
    }

    /// Lays the newest state on the desk.
    fn put(&mut self, fleet: &Fleet, world: &World, now: Timestamp) {
        let Some(revision) = self.revision.clone() else { return };
        let (namespace, name) = (&world.object.namespace, &world.object.name);
        let child = names::of_revision(name, &revision);
        // Without a record there is nobody with whom it would go.
        let Some(record) = fleet.cache.get(Kind::Record, &Key::new(namespace, &child)) else { return };
        let open = gzip(&self.open);
        let mut size = open.len() + self.pieces.iter().map(Vec::len).sum::<usize>();
        while size > LIMIT
            && let Some(oldest) = self.pieces.pop_front()
        {
            size -= oldest.len();
        }
        if size > LIMIT {
            return;
        }
        let blob = Blob {
            key: Key::new(namespace, &names::trace(name, &revision)),
            record: meta(&record, "uid").to_owned(),
            rollout: name.clone(),
            revision,
            bytes: self.pieces.iter().flatten().copied().chain(open).collect(),
        };
        *self.desk.newest.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(blob);
        self.desk.wake.notify_one();
        (self.written, self.unwritten) = (Some(now), false);
    }
}

/// One pass, as it is recorded.
#[derive(Clone, Copy)]
pub(crate) struct Traced<'a> {
    pub fleet: &'a Fleet,
    pub memory: &'a Memory,
    pub world: &'a World,
    pub known: &'a Known,
    pub plan: &'a Plan,
    pub outcome: &'a Outcome,
    pub now: Timestamp,
}

/// With the end of the attempt and a step back; with checkpoints where it is `late`.
fn is_due(plan: &Plan, late: bool) -> bool {
    match &plan.write {
        Some(Write::Lower(_)) => true,
        Some(Write::Route(route)) => match route.transition {
            Transition::StepBack | Transition::Promote => true,
            Transition::Begin
            | Transition::Raise
            | Transition::Retire
            | Transition::Replace
            | Transition::Reject
            | Transition::Repair
            | Transition::Settings
            | Transition::Command => false,
        },
        Some(Write::Status(status)) => status.checkpoint && late,
        Some(Write::Create(_) | Write::Change(_) | Write::Delete(_) | Write::Adopt(_)) | None => false,
    }
}

fn gzip(lines: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    // Memory takes everything.
    let _ = encoder.write_all(lines);
    encoder.finish().unwrap_or_default()
}

/// Writes what lies on the desk, one at a time, until `stop`.
async fn write(context: Arc<Context>, desk: Arc<Desk>, stop: CancellationToken) {
    let mut found: Option<Found> = None;
    loop {
        tokio::select! {
            biased;
            () = desk.wake.notified() => {}
            () = stop.cancelled() => return,
        }
        let blob = desk.newest.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        let Some(blob) = blob else { continue };
        if let Err(error) = send(&context, &blob, &mut found).await {
            tracing::warn!(namespace = blob.key.namespace, name = blob.key.name, %error, "the trace is not written");
        }
    }
}

/// What was there when we wrote first.
struct Found {
    key: Key,
    exists: bool,
    /// What an earlier process wrote of the revision's attempts.
    before: Vec<u8>,
}

async fn send(context: &Context, blob: &Blob, found: &mut Option<Found>) -> Result<(), CallError> {
    let Key { namespace, name } = &blob.key;
    if found.as_ref().is_none_or(|found| found.key != blob.key) {
        let there = context.cluster.get(Kind::ConfigMap, namespace, name).await?;
        let before = there.as_deref().map(bytes).unwrap_or_default();
        *found = Some(Found { key: blob.key.clone(), exists: there.is_some(), before });
    }
    let Some(found) = found else { return Ok(()) };
    let before = if found.before.len() + blob.bytes.len() > LIMIT { &[][..] } else { &found.before };
    let data = json!({DATA: BASE64.encode([before, &blob.bytes].concat())});
    let body = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": name,
            "labels": names::labels_of(&blob.rollout, Some(&blob.revision)),
            "ownerReferences": [{
                "apiVersion": Kind::Record.api_version(),
                "kind": Kind::Record.as_str(),
                "name": names::of_revision(&blob.rollout, &blob.revision),
                "uid": blob.record,
            }],
        },
        "binaryData": data,
    });
    if !found.exists {
        context.cluster.create(Kind::ConfigMap, namespace, &body).await?;
        found.exists = true;
        return Ok(());
    }
    // Only one that goes with our record; a stranger's stays as it is.
    let patch = json!([
        {"op": "test", "path": "/metadata/ownerReferences/0/uid", "value": blob.record},
        {"op": "add", "path": "/binaryData", "value": data},
    ]);
    let (lane, kind, status, deadline) = (Lane::Normal, Kind::ConfigMap, false, CALL);
    context.cluster.patch(&PatchCall { lane, kind, namespace, name, patch: &patch, status, deadline }).await?;
    Ok(())
}

/// What stands in a trace's ConfigMap.
fn bytes(config_map: &Value) -> Vec<u8> {
    let text = config_map["binaryData"][DATA].as_str().unwrap_or_default();
    BASE64.decode(text).unwrap_or_default()
}
