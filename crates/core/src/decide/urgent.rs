//! What must happen at once, whatever the state: all traffic to stable, or fewer pods' worth of it.
//!
//! The order is that of what is known for sure: a person's word, a pod's state, the evidence, a newer wish.

use jiff::{SignedDuration, Timestamp};
use microapp_api::{conditions::Cause, limits::SENTENCE, text::clean};

use super::{
    State,
    scene::{Scene, after},
};
use crate::{
    counts::Side,
    evidence::GateView,
    explain,
    plan::{Lower, Plan, Write},
    register::Aborted,
    world::{Command, Pod, Signal, Verb},
};
use microapp_api::v1alpha1::Verdict;

/// A lower, where one is due.
pub(super) fn step(scene: &Scene) -> Option<Plan> {
    scene.canary()?;
    abort(scene).or_else(|| signal(scene)).or_else(|| breach(scene)).or_else(|| intent(scene))
}

/// A person's word.
fn abort(scene: &Scene) -> Option<Plan> {
    let Command { token, reason } = scene.command(Verb::Abort)?;
    let message =
        if reason.is_empty() { "aborted by command".to_owned() } else { format!("aborted by command: {reason}") };
    Some(lower(scene, Cause::Command, message, |aborted| aborted.token = Some(token.clone())))
}

/// What needs no Prometheus: containers that serve and have failed since the weight last changed, in a quarter of the pods
/// at least. A pod that still starts is none: the step waits for it. At weight 0 pods have their time.
fn signal(scene: &Scene) -> Option<Plan> {
    let since = scene.register.since?;
    let arm = scene.arm(scene.canary()?);
    // Times of a pod's status are whole seconds.
    let fresh = |exited: Timestamp| after(exited, SignedDuration::from_secs(1)) > since;
    let failed = |pod: &Pod| pod.signal.is_some() && pod.served && pod.exited.is_none_or(fresh);
    let hit = arm.pods.iter().filter(|pod| failed(pod)).count();
    if hit * 4 < arm.pods.len() {
        return None;
    }
    let (signal, pod) = arm.signal(failed)?;
    Some(match signal {
        Signal::CrashLoop => {
            lower(scene, Cause::CrashLoop, format!("a container of {pod} keeps exiting with a failure"), |_| {})
        }
        Signal::OOMKilled => lower(
            scene,
            Cause::OOMKilled,
            format!("a container of {pod} was killed for using more memory than its limit"),
            |_| {},
        ),
    })
}

/// The evidence of a gate.
fn breach(scene: &Scene) -> Option<Plan> {
    if scene.evidence.attempt != scene.register.attempt {
        return None;
    }
    let gate = scene.evidence.gates.iter().find(|gate| gate.verdict == Verdict::Fail && !gate.advisory)?;
    let weight = scene.route.weight().unwrap_or_default();
    let message = explain::breach(gate, weight);
    Some(lower(scene, Cause::GateFailed, message, |aborted| {
        aborted.gate = Some(gate.name.clone());
        aborted.canary = counts(gate, 0);
        aborted.stable = counts(gate, 1);
        // Caps and values have no evidence but what was measured.
        aborted.log_e = (gate.ln_fail_at > 0.0).then(|| format!("{:.1}", gate.ln_fail));
    }))
}

/// Another wish than this attempt's. A spec that cannot be read is no wish.
fn intent(scene: &Scene) -> Option<Plan> {
    let spec = scene.spec()?;
    let canary = scene.canary()?;
    if spec.replicas == 0 {
        return Some(lower(scene, Cause::ScaledToZero, "spec.replicas is 0".to_owned(), |_| {}));
    }
    if spec.revision == *canary {
        return None;
    }
    Some(if spec.revision == scene.register.stable {
        lower(scene, Cause::SetBack, format!("the spec is {} again", spec.revision), |_| {})
    } else {
        lower(scene, Cause::Superseded, format!("the spec is {} now", spec.revision), |_| {})
    })
}

/// The latch and weight 0, in one write.
pub(super) fn lower(scene: &Scene, cause: Cause, message: String, fill: impl FnOnce(&mut Aborted)) -> Plan {
    let Some(canary) = scene.canary() else {
        return scene.wait(State::RollBack, cause.as_str(), message);
    };
    let mut aborted = Aborted {
        v: 1,
        attempt: scene.register.attempt,
        cause,
        gate: None,
        at: scene.now,
        canary: None,
        stable: None,
        log_e: None,
        token: None,
        message: Some(clean(&message, SENTENCE)),
    };
    fill(&mut aborted);
    let from = scene.route.weight().unwrap_or_default();
    let write =
        Lower { attempt: scene.register.attempt, pair: [scene.register.stable.clone(), canary.clone()], aborted };
    scene
        .act(State::RollBack, cause.as_str(), message, Write::Lower(Box::new(write)))
        .note(true, format!("LowerFrom{from}"))
}

/// Bad ones and requests of a side, as the latch keeps them.
fn counts(gate: &GateView, side: usize) -> Option<[i64; 2]> {
    let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    Some(match gate.seen[side]? {
        Side::Count { above, total, .. } => [signed(above), signed(total)],
        Side::Mean { n, sum } => [i64::try_from(sum).unwrap_or(i64::MAX), signed(n)],
        Side::Late { bad, void, started, .. } => [signed(bad), signed(started.saturating_sub(void))],
        // Billionths, of one.
        Side::Value { nano } => [i64::try_from(nano).unwrap_or(i64::MAX), 1_000_000_000],
    })
}
