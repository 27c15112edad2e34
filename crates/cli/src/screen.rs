//! `status` as one screen of text. Pure: the same view gives the same lines.

use microapp_api::v1alpha1::{GateStatus, HistoryEntry, Outcome, Stable, Verdict};

use crate::{
    outcome,
    paint::Paint,
    view::{View, ago, span, step_bar},
};

/// The whole screen, one line an entry.
pub fn lines(view: &View, wide: bool, paint: Paint) -> Vec<String> {
    let mut lines = vec![headline(view, paint)];
    lines.extend(stable(view, wide, paint));
    lines.extend(canary(view, wide, paint));
    lines.extend(steps(view, paint));
    lines.extend(gates(view, wide, paint));
    lines.extend(view.last().map(|entry| row("last", &ended(view, entry))));
    if wide {
        lines.extend(more(view));
    }
    lines
}

/// One line, for a log: what changed is in it, and nothing that moves with the clock.
pub fn line(view: &View) -> String {
    let (stable, canary) = view.weights();
    let mut text = format!("{} {}", view.now.strftime("%H:%M:%SZ"), outcome::Outcome::read(view, None).words());
    if let Some(revision) = view.status().stable.as_ref().map(|stable| &stable.revision) {
        text += &format!("  stable {revision} {stable}");
    }
    if let Some(running) = view.running() {
        text += &format!("  canary {} {canary}", running.revision);
        if let Some(plan) = &running.plan {
            text += &format!("  {}", step_bar(plan, running.step));
        }
        let gates: Vec<_> =
            view.status().gates.iter().map(|gate| format!("{} {:?}", gate.name, gate.verdict)).collect();
        if !gates.is_empty() {
            text += &format!("  {}", gates.join(", "));
        }
    }
    match view.says() {
        Some(says) => text + &format!("  {}: {}", says.reason, says.message),
        None => text,
    }
}

fn row(label: &str, text: &str) -> String {
    format!("{label:<8} {text}")
}

fn headline(view: &View, paint: Paint) -> String {
    let namespace = view.rollout.metadata.namespace.as_deref().unwrap_or("default");
    let name = paint.bold(&format!("{namespace}/{}", view.name()));
    if !view.is_observed() {
        return format!("{name}  {}", paint.waiting("the operator has not seen the last change yet"));
    }
    let Some(says) = view.says() else { return name };
    let reason = match outcome::Outcome::read(view, None) {
        outcome::Outcome::Promoted => paint.good(&says.reason),
        outcome::Outcome::InProgress => paint.waiting(&says.reason),
        _ => paint.bad(&says.reason),
    };
    if says.message.is_empty() { format!("{name}  {reason}") } else { format!("{name}  {reason}: {}", says.message) }
}

fn stable(view: &View, wide: bool, paint: Paint) -> Option<String> {
    let Stable { revision, image, digest, model, promoted_at } = view.status().stable.as_ref()?;
    let mut text = format!("{revision:<11} {:>5}", view.weights().0.to_string());
    text += &facts(image.as_deref(), digest.as_deref(), model.as_deref(), wide, paint);
    if let Some(at) = promoted_at {
        text += &format!("  since {}", span(view.now.duration_since(at.0)));
    }
    Some(row("stable", &text))
}

fn canary(view: &View, wide: bool, paint: Paint) -> Option<String> {
    let canary = view.status().canary.as_ref()?;
    let mut text = format!("{:<11} {:>5}  attempt {}", canary.revision, view.weights().1.to_string(), canary.attempt);
    if let Some(at) = &canary.started_at {
        text += &format!(", began {}", ago(view.now, at.0));
    }
    if view.running().is_none() {
        text += ", over";
    }
    let wanted = view.status().desired_revision.as_deref() == Some(canary.revision.as_str());
    if wide && wanted {
        text += &paint.dim(&format!("  {}", view.rollout.spec.model.display()));
    }
    Some(row("canary", &text))
}

/// Image, digest and model; the digest in full only where there is room.
fn facts(image: Option<&str>, digest: Option<&str>, model: Option<&str>, wide: bool, paint: Paint) -> String {
    let name = image.map(|image| image.split('@').next().unwrap_or(image));
    let digest = digest.map(|digest| if wide { digest } else { digest.get(..19).unwrap_or(digest) });
    let parts: Vec<_> = [name, digest, model].into_iter().flatten().collect();
    if parts.is_empty() { String::new() } else { format!("  {}", paint.dim(&parts.join("  "))) }
}

fn steps(view: &View, paint: Paint) -> Option<String> {
    let canary = view.running()?;
    let plan = canary.plan.as_ref()?;
    let bar = paint.bold(&step_bar(plan, canary.step));
    let time = match view.timing() {
        None => String::new(),
        Some(timing) if timing.left().is_zero() => {
            format!("   {} in this step, its {} are over", span(timing.elapsed), span(timing.dwell))
        }
        Some(timing) => format!("   {} in this step, at least {} to go", span(timing.elapsed), span(timing.left())),
    };
    Some(row("steps", &(bar + &time)))
}

fn gates(view: &View, wide: bool, paint: Paint) -> Vec<String> {
    let gates = &view.status().gates;
    // At rest, stale numbers of the attempt before say nothing; why they decided is in the history.
    if gates.is_empty() || view.status().canary.is_none() {
        return Vec::new();
    }
    let age = view.numbers_age().map_or(String::new(), |age| format!("numbers as of {} ago", span(age)));
    let width = gates.iter().map(|gate| gate.name.chars().count()).max().unwrap_or(0);
    let mut lines = vec![row("gates", &paint.dim(&age)).trim_end().to_owned()];
    for gate in gates {
        lines.push(gate_line(view, gate, width, paint));
        let pass = gate.verdict == Verdict::Pass;
        if let Some(message) = gate.message.as_deref().filter(|_| wide || !pass) {
            lines.push(format!("  {:width$}  {}", "", paint.dim(message)));
        }
    }
    lines
}

fn gate_line(view: &View, gate: &GateStatus, width: usize, paint: Paint) -> String {
    let [canary, stable] = view.sides(gate);
    let word = format!("{:<10}", format!("{:?}", gate.verdict));
    let word = match gate.verdict {
        Verdict::Pass => paint.good(&word),
        Verdict::Fail => paint.bad(&word),
        Verdict::Unknown => paint.waiting(&word),
        Verdict::NotWatched => paint.dim(&word),
    };
    if gate.verdict == Verdict::NotWatched {
        return format!("  {:<width$}  {}", gate.name, word.trim_end());
    }
    format!("  {:<width$}  {word}  canary {canary}; stable {stable}", gate.name)
}

/// An attempt that ended, in one line.
pub fn ended(view: &View, entry: &HistoryEntry) -> String {
    let mut text = format!("attempt {} of {}: {}", entry.attempt, entry.revision, how(entry));
    if let Some(at) = &entry.ended_at {
        text += &format!(", {}", ago(view.now, at.0));
    }
    match entry.message.as_deref().filter(|message| !message.is_empty()) {
        Some(message) => text + ": " + message,
        None => text,
    }
}

/// `rolled back (GateFailed, errors)`.
pub fn how(entry: &HistoryEntry) -> String {
    let word = match entry.outcome {
        Outcome::Initial => "the first revision",
        Outcome::Promoted => "promoted",
        Outcome::RolledBack => "rolled back",
        Outcome::Rejected => "rejected before it had traffic",
    };
    let why: Vec<_> = entry.cause.map(|cause| cause.to_string()).into_iter().chain(entry.gate.clone()).collect();
    if why.is_empty() { word.to_owned() } else { format!("{word} ({})", why.join(", ")) }
}

/// What `-o wide` adds.
fn more(view: &View) -> Vec<String> {
    let status = view.status();
    let mut lines = vec![row("pods", &format!("{} of {} ready", status.ready_replicas, status.replicas))];
    for old in &status.rejected {
        lines.push(row("rejected", &format!("{} ({})", old.revision, old.cause)));
    }
    for condition in &status.conditions {
        let text = format!("{:<13} {:<8} {}", condition.type_, condition.status, condition.reason);
        lines.push(row("is", &text));
    }
    lines
}
