//! How many pods each arm needs, since when there have been too few, and why.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use microapp_api::values::Weight;

use super::scene::{CAPACITY_GRACE, Scene, after};
use crate::{
    explain,
    strategy::Strategy,
    world::{Arm, Pod},
};

/// A container that failed a moment ago may fail again in a moment: so long its pod counts as none that is ready.
const CALM: SignedDuration = SignedDuration::from_secs(30);
/// The kubelet's back-off begins anew after so long: older failures are of another time.
const LOOPING: SignedDuration = SignedDuration::from_secs(600);

/// Pods that a weight needs: its share, rounded up, at least one. Size of the application × share.
pub(crate) fn share(replicas: i32, weight: Weight) -> i32 {
    let pods = (i64::from(replicas) * weight.ppm()).div_ceil_positive(Weight::FULL.ppm());
    i32::try_from(pods).unwrap_or(i32::MAX).max(i32::from(replicas > 0))
}

/// Pods of the canary at a weight: its share, but two where there are two (one that differs a little must not decide).
pub(crate) fn canary(replicas: i32, weight: Weight) -> i32 {
    share(replicas, weight).max(replicas.min(2))
}

/// May so many of them be missing? A quarter, as a Deployment has it: one pod of three may not, one of four may.
pub(super) const fn is_tolerable(ready: i32, needed: i32) -> bool {
    ready > 0 && ready >= needed - needed / 4
}

/// Do the canary's ready pods carry what it gets?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Capacity {
    /// They do.
    Enough,
    /// A few are missing; the weight stays until then.
    Short(Timestamp),
    /// Their weight is too much: that of this step is not; none = weight 0.
    Lost(Option<usize>),
}

/// The weight follows the ready share, after a grace: a pod that is replaced is back by then. Without any ready pod
/// there is no grace.
pub(super) fn of_step(scene: &Scene, plan: &Strategy, index: usize) -> Capacity {
    let (Some(canary), Some(step)) = (scene.canary(), plan.steps.get(index)) else { return Capacity::Enough };
    let arm = scene.arm(canary);
    let (ready, needed) = (arm.ready(), share(plan.replicas, step.weight));
    if ready >= needed {
        return Capacity::Enough;
    }
    if ready == 0 {
        return Capacity::Lost(None);
    }
    let until = after(short_since(arm, needed, scene.now, scene.now), CAPACITY_GRACE);
    if is_tolerable(ready, needed) || scene.now < until {
        return Capacity::Short(until);
    }
    let carried = |to: &usize| plan.steps.get(*to).is_some_and(|step| share(plan.replicas, step.weight) <= ready);
    Capacity::Lost((plan.first..index).rev().find(carried))
}

/// Since when an arm has had fewer ready pods than `needed`. `gone` is the answer for pods that were never made, as far as
/// anything knows.
pub(super) fn short_since(arm: &Arm, needed: i32, now: Timestamp, gone: Timestamp) -> Timestamp {
    let made = arm.deployment.as_ref();
    let failed = made.and_then(|deployment| deployment.failure.as_ref()).map(|failure| failure.since);
    let lost = made.filter(|deployment| deployment.available).map(|_| now);
    let gone = failed.or(made.and_then(|deployment| deployment.short)).or(lost).unwrap_or(gone);
    let born = made.map_or(gone, |deployment| deployment.created);
    let wanted = usize::try_from(needed).unwrap_or_default();
    let mut since: Vec<_> =
        arm.current().filter(|pod| !is_calm(pod, now)).map(|pod| lost_at(pod, now).unwrap_or(born)).collect();
    since.resize(since.len() + wanted.saturating_sub(arm.current().count()), gone);
    // Before the last of them was lost there was one more: so many are missing, and so far back it was enough.
    since.sort_unstable_by(|one, other| other.cmp(one));
    let missing = wanted.saturating_sub(arm.current().filter(|pod| is_calm(pod, now)).count()).max(1);
    since.get(missing - 1).or(since.last()).copied().unwrap_or(gone).min(now)
}

/// When a pod that is not ready was last. One that loops counts as lost from its beginning: between two failures it is
/// ready for a moment.
fn lost_at(pod: &Pod, now: Timestamp) -> Option<Timestamp> {
    let loops = pod.signal.is_some() && pod.exited.is_none_or(|exited| now.duration_since(exited) < LOOPING);
    let loops = loops && (pod.signal == Some(crate::world::Signal::CrashLoop) || pod.waiting.is_some());
    if loops { pod.created.or(pod.unready) } else { pod.unready.or(pod.created) }
}

/// Ready, and no container of it failed a moment ago.
pub(super) fn is_calm(pod: &Pod, now: Timestamp) -> bool {
    pod.ready && (pod.signal.is_none() || calm_at(pod).is_some_and(|at| now >= at))
}

fn calm_at(pod: &Pod) -> Option<Timestamp> {
    pod.signal?;
    Some(after(pod.exited?, CALM))
}

/// When the ready pods that failed a moment ago count again.
pub(super) fn calms_at(arm: &Arm, now: Timestamp) -> Option<Timestamp> {
    arm.current().filter(|pod| pod.ready).filter_map(calm_at).filter(|at| *at > now).min()
}

/// Ready pods of the template in force none of which failed a moment ago.
pub(super) fn calm(arm: &Arm, now: Timestamp) -> i32 {
    i32::try_from(arm.current().filter(|pod| is_calm(pod, now)).count()).unwrap_or(i32::MAX)
}

/// A limit in words.
pub(super) fn limit(limit: SignedDuration) -> String {
    match (limit.as_secs() / 60, limit.as_secs() % 60) {
        (1, 0) => "1 minute".to_owned(),
        (minutes, 0) if minutes > 0 => format!("{minutes} minutes"),
        _ => explain::span(limit),
    }
}

/// Can an image not be pulled?
pub(super) fn is_pull(reason: &str) -> bool {
    matches!(
        reason,
        "ImagePullBackOff" | "ErrImagePull" | "InvalidImageName" | "ErrImageNeverPull" | "ImageInspectError"
    )
}

/// Why pods are missing, as the cluster says it: `: exceeded quota …`. Empty where it says nothing. `images` are those of
/// the spec, where the Deployment names none.
pub(super) fn cause(arm: &Arm, images: Option<&BTreeMap<String, String>>) -> String {
    let refused = arm.deployment.as_ref().and_then(|deployment| deployment.failure.as_ref());
    if let Some(failure) = refused {
        return format!(": no pod can be made: {}", failure.message);
    }
    let missing = || arm.current().filter(|pod| !pod.ready);
    if let Some(pod) = missing().find(|pod| pod.signal.is_some())
        && let Some(signal) = pod.signal
    {
        return format!(": {} {signal:?}", pod.name);
    }
    // What every pod goes through is no cause.
    let starts = |reason: &str| matches!(reason, "ContainerCreating" | "PodInitializing");
    let said = |pod: &&Pod| pod.waiting.as_deref().is_some_and(|reason| !starts(reason));
    let Some(pod) = missing().find(said) else { return String::new() };
    let reason = pod.waiting.as_deref().unwrap_or_default();
    let pulled = arm.deployment.as_ref().map(|deployment| &deployment.images).filter(|images| !images.is_empty());
    let pulled = pulled.or(images).into_iter().flat_map(BTreeMap::values).map(String::as_str);
    let images: Vec<_> = pulled.filter(|_| is_pull(reason)).collect();
    let of = if images.is_empty() { String::new() } else { format!(" for {}", images.join(", ")) };
    match &pod.detail {
        Some(detail) => format!(": {reason}{of}: {detail}"),
        None => format!(": {reason}{of}"),
    }
}

trait DivCeil {
    fn div_ceil_positive(self, by: Self) -> Self;
}

impl DivCeil for i64 {
    fn div_ceil_positive(self, by: Self) -> Self {
        (self + by - 1).div_euclid(by)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_follow_the_weight_and_never_fall_below_two_where_there_are_two() {
        let percent = |n: i64| Weight::from_ppm(n * 10_000).unwrap_or_default();
        let cases = [(4, 1, 2), (4, 25, 2), (4, 75, 3), (4, 100, 4), (1, 1, 1), (1, 100, 1), (0, 100, 0), (10, 25, 3)];
        for (replicas, weight, pods) in cases {
            assert_eq!(canary(replicas, percent(weight)), pods, "{replicas} at {weight} %");
        }
        assert_eq!(share(4, percent(1)), 1);
        assert_eq!(share(10, percent(25)), 3);
    }
}
