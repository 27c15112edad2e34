//! `judge`: what the evidence says now, as plain data. `decide` sees nothing else of it.

use serde::{Deserialize, Serialize};

use super::{
    Evidence,
    gate::{GateEvidence, Process},
    plain::{Stand, Word},
    unwatched::unwatched,
};
use crate::{
    counts::{Per, Side, Unknown, is_any_request},
    explain::Unit,
    outlook::Settled,
    strategy::Gate,
};
use microapp_api::v1alpha1::Verdict;

/// The verdicts of one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Judgement {
    /// The attempt that it speaks of; 0 = there is no evidence.
    pub attempt: i64,
    /// May an attempt start?
    pub preflight: Preflight,
    /// What preflight settled, until status has it: it is pinned there before the first raise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settled: Option<Settled>,
    /// Every canary target has been scraped.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub canary_seen: bool,
    /// The gates, in the plan's order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<GateView>,
    /// Which failures no gate counts: requests of users, or calls to a model. A sentence without its full stop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unwatched: Option<String>,
    /// Seconds of this step spent under the guard.
    #[serde(skip_serializing_if = "is_zero")]
    pub guarded_seconds: f64,
    /// Seconds of this step spent in a pause.
    #[serde(skip_serializing_if = "is_zero")]
    pub paused_seconds: f64,
    /// The canary does not answer any more: weight 0 until a person acts.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub hung: bool,
    /// The bake stepped back: it is being decided, was not decided in 10 minutes, or it was the second time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stepped_back: Option<SteppedBack>,
    /// How many windows were folded: a checkpoint without new ones would say nothing.
    #[serde(skip_serializing_if = "is_none_yet")]
    pub windows: u64,
    /// The end of the last one, seconds since the epoch: a checkpoint is due once a window ends after its time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<f64>,
    /// When the next scrape should be there, seconds since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<f64>,
    /// Prometheus is silent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub silence: Option<Unknown>,
}

impl Default for Judgement {
    fn default() -> Self {
        Self {
            attempt: 0,
            preflight: Preflight::Pending,
            settled: None,
            canary_seen: false,
            gates: Vec::new(),
            unwatched: None,
            guarded_seconds: 0.0,
            paused_seconds: 0.0,
            hung: false,
            stepped_back: None,
            windows: 0,
            last: None,
            next: None,
            silence: None,
        }
    }
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde hands over a reference
fn is_zero(seconds: &f64) -> bool {
    *seconds == 0.0
}

#[allow(clippy::trivially_copy_pass_by_ref)]
const fn is_none_yet(count: &u64) -> bool {
    *count == 0
}

/// May traffic move at all?
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Preflight {
    /// Not answered yet.
    #[default]
    Pending,
    /// Every blocking gate has data for stable.
    Passed,
    /// At least one has not.
    Refused(Vec<Refusal>),
}

/// A gate that keeps an attempt from starting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Its name.
    pub gate: String,
    /// The class of the reason.
    pub reason: Unknown,
    /// What is missing.
    pub message: String,
    /// Waiting does not help.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fatal: bool,
}

/// The state after the bake's step back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SteppedBack {
    /// The comparison runs.
    Deciding,
    /// Ten minutes did not decide.
    Undecided,
    /// For the second time: nothing is raised any more.
    Again,
}

/// One gate, as `decide`, status, `why` and replay see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GateView {
    /// Its name.
    pub name: String,
    /// What it says of the step in force.
    pub verdict: Verdict,
    /// Why it says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown: Option<Unknown>,
    /// It passes because stable is the broken one; its dwell runs through the guard's pause.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hot_fix: bool,
    /// The bake's evidence is over its threshold for the first time: step back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub over: bool,
    /// Natural logarithm of the evidence that it is worse.
    pub ln_fail: f64,
    /// What `ln_fail` must reach.
    pub ln_fail_at: f64,
    /// Natural logarithm of the evidence that it is good enough.
    pub ln_pass: f64,
    /// What `ln_pass` must reach.
    pub ln_pass_at: f64,
    /// Over the attempt: canary, stable.
    #[serde(default, skip_serializing_if = "is_empty_pair")]
    pub seen: [Option<Side>; 2],
    /// Over the step: canary, stable.
    #[serde(default, skip_serializing_if = "is_empty_pair")]
    pub step: [Option<Side>; 2],
    /// The rule that decided, where it fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<Rule>,
    /// So many bad ones of the canary's would not have been enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spared: Option<u64>,
    /// What its sums count.
    #[serde(default, skip_serializing_if = "Unit::is_usd")]
    pub unit: Unit,
    /// What its mean is taken over.
    #[serde(default, skip_serializing_if = "is_any_request")]
    pub per: Per,
    /// It is reported, and neither raises nor rolls back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub advisory: bool,
    /// What the gate's kind adds: why it is not watched, how much of a budget is spent, what a query must be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Which of the rules made a gate fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Rule {
    /// Over its limit, and worse than stable.
    Worse,
    /// More than 1.5 times as bad as stable, and worse than stable was before.
    Clearly,
    /// More than three times as bad as stable, whatever befell both.
    Far,
}

impl From<microapp_stats::Rule> for Rule {
    fn from(rule: microapp_stats::Rule) -> Self {
        match rule {
            microapp_stats::Rule::Worse => Self::Worse,
            microapp_stats::Rule::Clearly => Self::Clearly,
            microapp_stats::Rule::Far => Self::Far,
        }
    }
}

fn is_empty_pair(pair: &[Option<Side>; 2]) -> bool {
    pair[0].is_none() && pair[1].is_none()
}

/// Reads the verdicts at `now` (seconds since the epoch).
#[must_use]
pub fn judge(evidence: &Evidence, now: f64) -> Judgement {
    let context = Context::of(evidence, now);
    let gates: Vec<_> =
        evidence.strategy.gates.iter().zip(&evidence.gates).map(|(gate, state)| context.view(gate, state)).collect();
    let preflight = match (evidence.ready, evidence.refusals.as_slice()) {
        (true, _) => Preflight::Passed,
        (false, []) => Preflight::Pending,
        (false, refusals) => Preflight::Refused(
            refusals
                .iter()
                .map(|(gate, unfit)| Refusal {
                    gate: gate.clone(),
                    reason: unfit.reason,
                    message: unfit.message.clone(),
                    fatal: unfit.fatal,
                })
                .collect(),
        ),
    };
    Judgement {
        attempt: evidence.attempt,
        preflight,
        settled: evidence.settled.clone(),
        canary_seen: evidence.watch.canary_seen,
        gates,
        unwatched: unwatched(&evidence.strategy.gates, &evidence.gates),
        guarded_seconds: evidence.guarded,
        paused_seconds: evidence.paused,
        hung: evidence.hung,
        stepped_back: context.stepped_back(),
        windows: evidence.windows,
        last: evidence.last,
        next: evidence.watch.next,
        silence: evidence.silence,
    }
}

/// What all gates share at one moment.
struct Context<'a> {
    evidence: &'a Evidence,
    now: f64,
    next_weight: f64,
    last_gated: bool,
    baking: bool,
}

/// The canary's requests have used nothing, where stable's did: nobody has counted what they used.
const fn is_free(step: &[Option<Side>; 2]) -> bool {
    matches!(step, [Some(Side::Mean { n: 1.., sum: 0 }), Some(Side::Mean { sum: 1.., .. })])
}

impl<'a> Context<'a> {
    fn of(evidence: &'a Evidence, now: f64) -> Self {
        let step = evidence.step.unwrap_or(evidence.strategy.first);
        let last = evidence.strategy.last();
        Self {
            evidence,
            now,
            next_weight: evidence.strategy.next_weight(step).as_fraction(),
            last_gated: step + 1 == last,
            baking: evidence.step == Some(last),
        }
    }

    fn stepped_back(&self) -> Option<SteppedBack> {
        if self.evidence.backs > 1 && !self.baking {
            return Some(SteppedBack::Again);
        }
        let mut state = None;
        let blocking = self.evidence.strategy.gates.iter().zip(&self.evidence.gates);
        for (_, gate) in blocking.filter(|(gate, _)| !gate.advisory) {
            if let Process::Rate { bake: Some(bake), .. } = &gate.process
                && bake.stepped_back().is_some()
                && !self.baking
            {
                // As for the dwell: what passes in an incident or a pause brings no decision nearer.
                let idle = self.evidence.guarded + self.evidence.paused;
                if bake.undecided(self.now - idle) {
                    return Some(SteppedBack::Undecided);
                }
                state = Some(SteppedBack::Deciding);
            }
        }
        state
    }

    fn stand(&self) -> Stand {
        let Evidence { strategy, step, since, last, .. } = self.evidence;
        let bake = strategy.steps.last().map_or(0, |step| step.dwell_millis);
        Stand {
            weight: step.and_then(|step| Some(strategy.steps.get(step)?.weight)),
            elapsed: last.map_or(0.0, |last| last - since),
            bake: bake as f64 / 1000.0,
        }
    }

    fn view(&self, gate: &Gate, state: &GateEvidence) -> GateView {
        let mut view = GateView {
            name: gate.name.clone(),
            verdict: Verdict::Unknown,
            unknown: None,
            hot_fix: false,
            over: false,
            ln_fail: 0.0,
            ln_fail_at: 0.0,
            ln_pass: 0.0,
            ln_pass_at: 0.0,
            seen: state.seen.attempt,
            step: state.seen.step,
            rule: None,
            spared: None,
            unit: Unit::of(gate),
            per: self.evidence.watch.per.get(&gate.name).copied().unwrap_or_default(),
            advisory: gate.advisory,
            note: None,
        };
        let (fires, passes, guarded) = match &state.process {
            Process::Pending => (false, false, false),
            Process::NotWatched(why) => {
                view.verdict = Verdict::NotWatched;
                view.note = Some(why.clone());
                return view;
            }
            Process::Plain(plain) => {
                let stand = self.stand();
                view.note = plain.note(&gate.kind, &state.seen, &stand);
                match plain.word(&gate.kind, &state.seen, &stand) {
                    Word::Fail => (true, false, false),
                    Word::Pass => (false, true, false),
                    Word::Unknown(why) => {
                        (view.verdict, view.unknown) = self.verdict(state, false, false, false);
                        if view.unknown == Some(Unknown::Undecided) {
                            view.unknown = Some(why);
                        }
                        return view;
                    }
                }
            }
            Process::Mean(mean) => {
                view.ln_fail = mean.ln_e_fail();
                view.ln_fail_at = mean.threshold();
                view.ln_pass = mean.ln_e_pass(self.next_weight);
                view.ln_pass_at = mean.pass_threshold();
                if self.baking {
                    view.over = mean.fires();
                    (view.over && gate.advisory, !view.over, false)
                } else {
                    (mean.fires(), mean.passes(self.next_weight, self.last_gated), mean.guarded())
                }
            }
            Process::Rate { gate: rate, bake, .. } => {
                view.ln_fail_at = rate.threshold();
                view.ln_pass_at = rate.pass_threshold();
                let bake = bake.as_deref().filter(|bake| self.baking || bake.stepped_back().is_some());
                if self.baking {
                    let over = bake.is_some_and(microapp_stats::BakeGate::over);
                    view.over = over;
                    view.ln_fail = bake.map_or(0.0, microapp_stats::BakeGate::ln_e);
                    // What only advises has no step to go back to.
                    (over && gate.advisory, !over, false)
                } else {
                    let stand = rate.stand(self.next_weight);
                    view.ln_fail = bake.map_or(stand.ln_fail, |bake| bake.ln_e().max(stand.ln_fail));
                    (view.ln_pass, view.hot_fix) = (stand.ln_pass, stand.hot_fix);
                    if stand.fires {
                        (view.rule, view.spared) = (Some(stand.rule.into()), state.spared);
                    }
                    let fires = stand.fires || bake.is_some_and(microapp_stats::BakeGate::fires);
                    (fires, stand.passes, rate.guarded())
                }
            }
        };
        (view.verdict, view.unknown) = self.verdict(state, fires, passes, guarded && !view.hot_fix);
        if view.verdict == Verdict::Pass && is_free(&state.seen.step) {
            (view.verdict, view.unknown) = (Verdict::Unknown, Some(Unknown::TokensMissing));
        }
        let undecided = view.verdict == Verdict::Pass || view.unknown == Some(Unknown::Undecided);
        // In the bake stable's users do not tell how many leave.
        if undecided && !self.baking && self.evidence.watch.streams.get(&gate.name).is_some_and(|streams| streams.open)
        {
            (view.verdict, view.unknown) = (Verdict::Unknown, Some(Unknown::StreamsUnfinished));
        }
        view
    }

    /// Fail before Unknown before Pass; without a window of this step nothing passes.
    fn verdict(&self, state: &GateEvidence, fires: bool, passes: bool, guarded: bool) -> (Verdict, Option<Unknown>) {
        if fires {
            return (Verdict::Fail, None);
        }
        let unknown = |why| (Verdict::Unknown, Some(why));
        if self.is_stale(state) {
            return unknown(Unknown::Stale);
        }
        match state.unknown {
            Some(why) => unknown(why),
            None if state.fresh.is_none() => unknown(Unknown::NoData),
            None if guarded => unknown(Unknown::Guarded),
            None if passes && state.counted => (Verdict::Pass, None),
            None => unknown(Unknown::Undecided),
        }
    }

    /// Nothing newer than three scrape intervals (and one window, which ends before it is complete).
    fn is_stale(&self, state: &GateEvidence) -> bool {
        let newest = match (state.fresh, self.evidence.watch.newest, state.unknown) {
            // The targets are scraped, and the last window had this gate's counts.
            (Some(fresh), Some(newest), None) => fresh.max(newest),
            // They are, and it said why it has none: that is the reason, not that there would be no data.
            (Some(fresh), Some(newest), Some(why)) if why != Unknown::NoData => fresh.max(newest),
            (Some(fresh), _, _) => fresh,
            (None, _, _) => return false,
        };
        self.now - newest > 3.0 * self.evidence.watch.slowest(self.evidence.interval)
    }
}
