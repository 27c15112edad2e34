//! `status` as one screen of text. Pure: the same view gives the same lines.

use microapp_api::v1alpha1::{GateStatus, HistoryEntry, Outcome, Stable, Verdict};

use crate::{
    outcome,
    paint::Paint,
    view::{View, ago, span, step_bar},
};

/// The whole screen, one line an entry.
pub fn lines(view: &View, wide: bool, paint: Paint) -> Vec<String> {
    let view = &view.printable();
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

/// One line, for a log: what changed is in it, and after the time nothing that moves with the clock.
pub fn line(view: &View) -> String {
    let view = &view.printable();
    let (stable, canary) = view.weights();
    let mut parts = vec![format!("{} {}", view.now.strftime("%H:%M:%SZ"), outcome::Outcome::read(view, None).words())];
    parts.extend(view.status().stable.as_ref().map(|known| format!("stable {} {stable}", known.revision)));
    if let Some(running) = view.running() {
        parts.push(format!("canary {} {canary}", running.revision));
        parts.extend(running.plan.as_ref().map(|plan| step_bar(plan, running.step)));
        let gates: Vec<_> =
            view.status().gates.iter().map(|gate| format!("{} {:?}", gate.name, gate.verdict)).collect();
        parts.push(gates.join(", "));
    }
    parts.extend(view.says().map(|says| format!("{}: {}", says.reason, says.message)));
    parts.retain(|part| !part.is_empty());
    parts.join("  ")
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
    let mut parts = vec![format!("{revision:<11} {:>5}", view.weights().0.to_string())];
    let name = image.as_deref().map(|image| image.split('@').next().unwrap_or(image));
    // The digest in full only where there is room.
    let digest = digest.as_deref().map(|digest| if wide { digest } else { digest.get(..19).unwrap_or(digest) });
    parts.extend([name, digest, model.as_deref()].into_iter().flatten().map(|fact| paint.dim(fact)));
    parts.extend(promoted_at.as_ref().map(|at| format!("since {}", span(view.now.duration_since(at.0)))));
    Some(row("stable", &parts.join("  ")))
}

fn canary(view: &View, wide: bool, paint: Paint) -> Option<String> {
    let canary = view.status().canary.as_ref()?;
    let began = canary.started_at.as_ref().map_or(String::new(), |at| format!(", began {}", ago(view.now, at.0)));
    let over = if view.running().is_none() { ", over" } else { "" };
    let weight = view.weights().1.to_string();
    let mut parts =
        vec![format!("{:<11} {weight:>5}", canary.revision), format!("attempt {}{began}{over}", canary.attempt)];
    if wide && view.status().desired_revision.as_deref() == Some(canary.revision.as_str()) {
        parts.push(paint.dim(&view.rollout.spec.model.display()));
    }
    Some(row("canary", &parts.join("  ")))
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
    let when = entry.ended_at.as_ref().map_or(String::new(), |at| format!(", {}", ago(view.now, at.0)));
    let message = entry.message.as_deref().filter(|message| !message.is_empty());
    let message = message.map_or(String::new(), |message| format!(": {message}"));
    format!("attempt {} of {}: {}{when}{message}", entry.attempt, entry.revision, how(entry))
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
        lines.push(row("state", &text));
    }
    lines
}
