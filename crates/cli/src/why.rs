//! `why` in words: what was decided and on what, and what happens next and when. Pure.

use jiff::SignedDuration;
use microapp_api::{
    conditions::{ConditionType, Reason},
    v1alpha1::{Canary, OnInconclusive, PinnedPlan, Verdict},
    values,
};
use microapp_core::{decide::READY_DEADLINE, outlook::Outlook};

use crate::{
    outcome::Outcome,
    screen,
    view::{View, clock, span},
};

/// The paragraphs, each without its line break.
pub fn paragraphs(view: &View) -> Vec<String> {
    let view = &view.printable();
    let mut text = vec![situation(view)];
    if view.is_observed()
        && let Some(says) = view.says()
        && !says.message.is_empty()
    {
        text.push(format!("The operator says: {} ({}).", says.message.trim_end_matches('.'), says.reason));
    }
    text.extend(trouble(view));
    text.extend(outlook(view));
    text.extend(gates(view));
    text.extend(last(view));
    text.push(format!("Next: {}", next(view)));
    text
}

/// Who has the traffic.
fn situation(view: &View) -> String {
    let (stable_weight, weight) = view.weights();
    let Some(stable) = &view.status().stable else {
        return format!("{}: nothing is stable yet; the first revision needs no gates.", view.name());
    };
    let stable = &stable.revision;
    if let Some(canary) = view.running() {
        let place = match canary.plan.as_ref().map(|plan| plan.steps.len()) {
            _ if canary.step < 0 => "before the first step".to_owned(),
            Some(steps) => format!("step {} of {steps}", canary.step + 1),
            None => format!("step {}", canary.step + 1),
        };
        return format!(
            "{}: {} is on trial in attempt {} and has {weight} of the traffic ({place}); {stable} is stable and has {stable_weight}.",
            view.name(),
            canary.revision,
            canary.attempt
        );
    }
    match view.status().desired_revision.as_deref().filter(|desired| desired != stable) {
        Some(desired) => {
            format!("{}: {stable} is stable and has all traffic; the spec asks for {desired}.", view.name())
        }
        None => format!("{}: {stable} is stable and has all traffic.", view.name()),
    }
}

/// Conditions that explain something and are not the first one.
fn trouble(view: &View) -> Vec<String> {
    let kinds = [
        (ConditionType::Available, "Stable does not serve as it should"),
        (ConditionType::TrafficSynced, "The route is not in effect"),
    ];
    kinds
        .into_iter()
        .filter_map(|(kind, words)| {
            let condition = view.condition(kind).filter(|condition| condition.status == "False")?;
            Some(format!("{words}: {} ({}).", condition.message.trim_end_matches('.'), condition.reason))
        })
        .collect()
}

/// What preflight found before any user reached the canary, and how long the steps were expected to take.
fn outlook(view: &View) -> Vec<String> {
    let plan = view.running().and_then(|canary| canary.plan.as_ref());
    let Some(outlook) = plan.and_then(Outlook::of_pinned) else { return Vec::new() };
    let mut text = vec!["What preflight found:".to_owned()];
    text.extend(outlook.lines().into_iter().map(|line| format!("  {line}.")));
    text
}

/// What each gate saw and how strong the evidence is.
fn gates(view: &View) -> Vec<String> {
    let Some(canary) = &view.status().canary else { return Vec::new() };
    let gates = &view.status().gates;
    if gates.is_empty() {
        return Vec::new();
    }
    let age = view.numbers_age().map_or(String::new(), |age| format!(", as of {} ago", span(age)));
    let mut text = vec![format!("What the gates saw in attempt {}{age}:", canary.attempt)];
    for gate in gates {
        let message = gate.message.as_deref().unwrap_or_default();
        let [canary, stable] = view.sides(gate);
        let seen = format!("  {}: canary {canary}; stable {stable}", gate.name);
        text.push(match gate.verdict {
            Verdict::NotWatched => format!("  {} is {message}", gate.name),
            Verdict::Unknown => format!("{seen}. The gate {message}."),
            Verdict::Pass | Verdict::Fail => format!("{seen}. The canary is {message}."),
        });
    }
    text
}

/// How the last attempt ended.
fn last(view: &View) -> Option<String> {
    let entry = view.last()?;
    let weight = entry.max_weight.as_deref().map_or(String::new(), |weight| format!(" It had up to {weight}."));
    Some(format!("The last attempt that ended: {}.{weight}", screen::ended(view, entry).trim_end_matches('.')))
}

/// What happens next, and when.
fn next(view: &View) -> String {
    if !view.is_observed() {
        return "the operator reads the last change of the spec; if this lasts, look whether it runs.".to_owned();
    }
    if let Some(canary) = view.running() {
        return running(view, canary);
    }
    let name = view.name();
    let Some(desired) = view.status().desired_revision.as_deref() else {
        return "the operator waits for a spec that it can use.".to_owned();
    };
    match Outcome::read(view, None) {
        Outcome::Promoted => "nothing; a change of template, model, port or prompts starts a rollout.".to_owned(),
        Outcome::RolledBack | Outcome::Aborted => format!(
            "nothing by itself. {desired} is not tried again before a new revision or `kubectl microapp retry {name}`."
        ),
        Outcome::Stalled => "nothing before what is said above is put right.".to_owned(),
        Outcome::Superseded | Outcome::InProgress => match view.reason(ConditionType::Reconciling) {
            Some(Reason::Progressing) => format!(
                "pods of {desired} at weight 0; the attempt begins when they are ready, and is given up when they are not within {}.",
                span(ready_deadline(view))
            ),
            _ => format!("{desired} goes on as soon as what is said above is put right."),
        },
    }
}

/// As the spec has it; one that does not read counts as none.
fn ready_deadline(view: &View) -> SignedDuration {
    let given = values::duration(&view.rollout.spec.strategy.ready_deadline).ok();
    given.and_then(|given| SignedDuration::try_from(given).ok()).unwrap_or(READY_DEADLINE)
}

/// An attempt that is not over.
fn running(view: &View, canary: &Canary) -> String {
    let name = view.name();
    let breach = "A gate that fails sends all traffic back to stable at once.";
    if view.is(ConditionType::Paused).is_some() {
        return format!("nothing is raised before `kubectl microapp resume {name}`. {breach}");
    }
    if view.is(ConditionType::Stalled).is_some() {
        return format!(
            "nothing before a person acts: `kubectl microapp promote {name}`, `kubectl microapp abort {name}`, or a new revision. {breach}"
        );
    }
    let Some(plan) = &canary.plan else {
        return format!("nothing is raised without the plan of the attempt. {breach}");
    };
    let Ok(step) = usize::try_from(canary.step) else {
        let first = usize::try_from(plan.first_step).ok().and_then(|first| plan.steps.get(first));
        let first = first.map_or("the first step", |step| step.weight.as_str());
        return format!(
            "{first} of the traffic as soon as stable's own numbers are there and the canary's pods are scraped."
        );
    };
    let waiting: Vec<_> = view
        .status()
        .gates
        .iter()
        .filter(|gate| matches!(gate.verdict, Verdict::Unknown | Verdict::Fail))
        .map(|gate| gate.name.as_str())
        .collect();
    let waiting =
        if waiting.is_empty() { String::new() } else { format!(" As of now {} did not pass.", waiting.join(", ")) };
    match plan.steps.get(step + 1) {
        Some(next) => {
            let to = format!("{} of the traffic", next.weight);
            format!(
                "{} when every gate passes on the same window.{waiting}{} {breach}",
                when(view, &to),
                limit(view, plan)
            )
        }
        None => format!(
            "{} if the numbers are fresh and no evidence against it came up.{waiting} Evidence against it puts it back beside stable.",
            when(view, "promotion")
        ),
    }
}

/// `25% of the traffic at 12:03:10Z (in 45 s) at the earliest,`.
fn when(view: &View, what: &str) -> String {
    match view.timing() {
        None => format!("{what} after its time,"),
        Some(timing) if timing.left().is_zero() => format!("{what} at any moment,"),
        Some(timing) => {
            let at = view.now.checked_add(timing.left()).unwrap_or(view.now);
            format!("{what} at {} (in {}) at the earliest,", clock(view.now, at), span(timing.left()))
        }
    }
}

/// What an undecided step comes to.
fn limit(view: &View, plan: &PinnedPlan) -> String {
    let Some(timing) = view.timing() else { return String::new() };
    let left = timing.limit - timing.elapsed;
    let at = view.now.checked_add(left).unwrap_or(view.now);
    let then = match plan.on_inconclusive {
        OnInconclusive::Hold => "it is held for a person",
        OnInconclusive::Rollback => "all traffic goes back to stable",
    };
    if left > SignedDuration::ZERO {
        format!(" Still undecided at {}, {then} (pauses and incidents do not count).", clock(view.now, at))
    } else {
        format!(" Its time is over; undecided, {then}.")
    }
}
