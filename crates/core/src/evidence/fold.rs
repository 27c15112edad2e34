//! `fold`: counts in, evidence out. Pure and total.

use std::{collections::BTreeMap, sync::Arc};

use microapp_api::v1alpha1::Watches;

use super::{
    Evidence, Position,
    gate::{Bake, Frame, GateEvidence, Process},
};
use crate::{
    counts::{BeforeResult, Counts, Per, Side, Sides, Unknown, Watch, Window},
    outlook::{self, Settled},
    strategy::{Gate, GateKind, Share, Slow, Strategy},
};

/// The evidence after what became known. The position says which weight is in force; a change of it starts the
/// evidence for passing anew and nothing else.
#[must_use]
pub fn fold(evidence: &Evidence, at: &Position, counts: &Counts) -> Evidence {
    let mut next = evidence.clone();
    next.enter(at);
    match counts {
        Counts::None => {}
        Counts::Silent(why) => next.silence = Some(*why),
        Counts::Baseline { gates, interval, pins } => {
            next.silence = None;
            next.watch.pins.clone_from(pins);
            let means = gates.iter().filter_map(|(name, before)| Some((name.clone(), before.as_ref().ok()?.per)));
            next.watch.per = means.filter(|(_, per)| *per != Per::Request).collect();
            next.prepare(gates, *interval);
        }
        Counts::Windows(windows, watch) => {
            next.silence = None;
            // What preflight pinned stays for the attempt.
            next.watch = Watch { per: evidence.watch.per.clone(), ..watch.clone() };
            for window in windows {
                next.window(window, at);
            }
            next.spare(evidence, at, windows);
            if let Some(length) = watch.pace.length {
                next.interval = length as f64 / 1000.0;
            }
        }
    }
    next
}

impl Evidence {
    /// The weight in force; a no-op where it is the one that was.
    fn enter(&mut self, at: &Position) {
        if at.step == self.step && at.since.to_bits() == self.since.to_bits() {
            return;
        }
        let last = self.strategy.last();
        let bake = match (self.step, at.step) {
            (_, Some(step)) if step == last => Bake::Enter,
            (Some(step), _) if step == last => Bake::StepBack,
            _ => Bake::No,
        };
        if bake == Bake::StepBack && self.is_over() {
            self.backs = self.backs.saturating_add(1);
        }
        if at.step.is_some() {
            // Status has had it since before the raise.
            self.settled = None;
        }
        if self.step.is_none() && at.step.is_some() {
            // Only a person raises a canary that hung.
            self.hung = false;
        }
        self.step = at.step;
        self.since = at.since;
        self.paused = 0.0;
        self.guarded = 0.0;
        self.counted = 0.0;
        for gate in &mut self.gates {
            gate.enter(bake, at.since);
        }
    }

    /// Is the bake's evidence of any gate over its threshold?
    fn is_over(&self) -> bool {
        let over = |state: &GateEvidence| match &state.process {
            Process::Rate { bake, .. } => bake.as_ref().is_some_and(|bake| bake.over()),
            Process::Mean(gate) => gate.fires(),
            Process::Pending | Process::NotWatched(_) | Process::Plain(_) => false,
        };
        self.strategy.gates.iter().zip(&self.gates).any(|(gate, state)| !gate.advisory && over(state))
    }

    /// What stable did before. Once taken it stays for the attempt.
    fn prepare(&mut self, before: &BTreeMap<String, BeforeResult>, interval: f64) {
        if self.ready {
            return;
        }
        if interval > 0.0 {
            self.interval = interval;
        }
        self.refusals.clear();
        let known = |gate: &Gate| Some((gate.name.clone(), before.get(&gate.name)?.as_ref().ok()?.clone()));
        let known: BTreeMap<_, _> = self.strategy.gates.iter().filter_map(known).collect();
        // Under a plan that cannot start, what the gates would say at some other tolerance is no news.
        let chosen =
            outlook::choose(&self.strategy, &known, self.interval).map_err(|refusal| self.refusals.push(refusal)).ok();
        let mut strategy = Strategy::clone(&self.strategy);
        if let Some((epsilon_ppm, first)) = chosen {
            (strategy.epsilon_ppm, strategy.first) = (Some(epsilon_ppm), first);
        }
        for gate in &mut strategy.gates {
            if let Some(source) = known.get(&gate.name).and_then(|before| before.source) {
                (gate.source, gate.fallbacks) = (source, Vec::new());
            }
        }
        let counts_errors =
            strategy.gates.iter().any(|gate| gate.defaulted && gate.is_errors() && known.contains_key(&gate.name));
        for (gate, state) in strategy.gates.iter().zip(&mut self.gates) {
            let outcome = match before.get(&gate.name) {
                Some(Ok(_)) if chosen.is_none() => continue,
                Some(Ok(before)) => state.prepare(&strategy, gate, before),
                Some(Err(unfit)) => Err(unfit.clone()),
                None => continue,
            };
            if let Err(unfit) = outcome {
                // Users or calls to the model: of the preset's two kinds of errors the one that stable does not expose.
                let spared = counts_errors && gate.defaulted && gate.is_errors() && unfit.reason == Unknown::NoData;
                if gate.required() && !spared {
                    state.process = Process::Pending;
                    self.refusals.push((gate.name.clone(), unfit));
                } else {
                    state.process = Process::NotWatched(unfit.message);
                }
            }
        }
        let pending = self.gates.iter().any(|gate| gate.process == Process::Pending);
        self.ready = self.refusals.is_empty() && !pending;
        if let (true, Some((epsilon_ppm, first))) = (self.ready, chosen) {
            let watched = |gate: &&GateEvidence| !matches!(gate.process, Process::NotWatched(_));
            let before = self.gates.iter().filter(watched).filter_map(|gate| known.get_key_value(&gate.name));
            let before = before.map(|(name, before)| (name.clone(), before.clone())).collect();
            self.settled = Some(Settled { epsilon_ppm, first, interval: self.interval, before });
            self.strategy = Arc::new(strategy);
        }
    }

    /// For each gate that fails since these windows: how many bad ones of the canary would not have been enough, found by
    /// taking the last ones of these windows back.
    fn spare(&mut self, evidence: &Self, at: &Position, windows: &[Window]) {
        let newly: Vec<usize> = self
            .gates
            .iter()
            .zip(&evidence.gates)
            .enumerate()
            .filter(|(_, (now, before))| now.fires() && !before.fires())
            .map(|(index, _)| index)
            .collect();
        if newly.is_empty() {
            return;
        }
        let mut before = evidence.clone();
        before.enter(at);
        for index in newly {
            let name = before.strategy.gates[index].name.clone();
            let came = windows.iter().filter_map(|window| bad(canary(window, &name)?)).sum();
            let fires = |fewer: u64| {
                let mut other = before.clone();
                other.gates = vec![before.gates[index].clone()];
                other.strategy = Arc::new(Strategy {
                    gates: vec![before.strategy.gates[index].clone()],
                    ..Strategy::clone(&before.strategy)
                });
                for window in without(windows, &name, fewer) {
                    other.window(&window, at);
                }
                other.gates[0].fires()
            };
            // Fewer bad ones are never worse: the least that saves it, by halving.
            let (mut low, mut high) = (1, came + 1);
            while low < high {
                let middle = low + (high - low) / 2;
                if fires(middle) { low = middle + 1 } else { high = middle }
            }
            let all = self.gates[index].seen.attempt[0].and_then(bad).unwrap_or(0);
            self.gates[index].spared = if low <= came { all.checked_sub(low) } else { None };
        }
    }

    /// One complete window for all gates.
    fn window(&mut self, window: &Window, at: &Position) {
        let baking = self.step == Some(self.strategy.last());
        let weight =
            self.step.and_then(|step| self.strategy.steps.get(step)).map_or(0.0, |step| step.weight.as_fraction());
        let gap = window.gap || !window.inside_step;
        let frame = Frame { end: window.end, length: window.length, gap, baking, weight };
        let warm = at.since + self.strategy.warm_up_millis as f64 / 1000.0;
        // A scrape in the window counts since the one before.
        let cold = self.strategy.warm_up_millis > 0 && self.step.is_some() && window.end - 2.0 * window.length < warm;
        for (plan, gate) in self.strategy.gates.iter().zip(&mut self.gates) {
            let sides = match window.gates.get(&gate.name) {
                Some(Ok(sides)) => Ok(sides),
                Some(Err(unknown)) => Err(*unknown),
                None => Err(Unknown::NoData),
            };
            match sides {
                Ok(_) if cold && matches!(plan.kind, GateKind::Slow { .. }) => gate.warms(window.end),
                sides => gate.window(&plan.kind, &frame, sides),
            }
        }
        if at.paused {
            self.paused += window.length;
        } else if self
            .strategy
            .gates
            .iter()
            .zip(&self.gates)
            .any(|(gate, state)| !gate.advisory && state.guarded(&gate.kind))
        {
            self.guarded += window.length;
        }
        let has_counts = |found: &Result<Sides, Unknown>| found.is_ok_and(|sides| sides.canary.is_some());
        if !frame.gap && !cold && window.gates.values().any(has_counts) {
            self.counted += window.length;
        }
        self.windows += 1;
        self.last = Some(window.end);
        // Samples from before the raise took effect say nothing of what the new weight should bring.
        self.hung |= !frame.gap && self.no_completions(window.end);
    }

    /// Stable's requests say that the canary should have had 20 by now, and fewer than a fifth of them came back.
    fn no_completions(&self, now: f64) -> bool {
        let Some(step) = self.step else { return false };
        let elapsed = now - self.since - self.paused;
        if elapsed < self.patience() {
            return false;
        }
        let weight = self.strategy.steps.get(step).map_or(0.0, |step| step.weight.as_fraction());
        // Where users are counted, calls to the model say nothing: a canary that calls it less may have a cache.
        let watched = |plan: &Gate, gate: &GateEvidence| {
            plan.source.watches() == Watches::Users && matches!(gate.process, Process::Rate { .. })
        };
        let users = self.strategy.gates.iter().zip(&self.gates).any(|(plan, gate)| watched(plan, gate));
        self.strategy.gates.iter().zip(&self.gates).any(|(plan, gate)| {
            if users && !watched(plan, gate) {
                return false;
            }
            let (GateKind::Share { what: Share::Errors, .. } | GateKind::Slow { what: Slow::Response, .. }) = plan.kind
            else {
                return false;
            };
            let Process::Rate { rate_before, late: None, .. } = &gate.process else { return false };
            let requests = |side: Option<Side>| match side {
                Some(Side::Count { total, .. }) => Some(total as f64),
                Some(Side::Mean { .. } | Side::Late { .. } | Side::Value { .. }) | None => None,
            };
            let Some(came) = requests(gate.seen.step[0]) else { return false };
            let expected = if weight < 1.0 {
                requests(gate.seen.step[1]).unwrap_or(0.0) * weight / (1.0 - weight)
            } else {
                rate_before * self.counted
            };
            expected >= 20.0 && came * 5.0 < expected
        })
    }

    /// How long the answers to a new share of the traffic may take to come, in seconds: connections are made, caches are
    /// cold, and an answer that is just not slow yet is no answer that is missing.
    fn patience(&self) -> f64 {
        let slowest = self.strategy.gates.iter().map(|gate| match gate.kind {
            GateKind::Slow { what: Slow::Response, max_micros, .. } => 2.0 * max_micros as f64 / 1e6,
            _ => 0.0,
        });
        slowest.fold((3.0 * self.interval).max(10.0), f64::max)
    }
}

/// The canary's side of a gate in one window.
fn canary(window: &Window, gate: &str) -> Option<Side> {
    window.gates.get(gate)?.as_ref().ok()?.canary
}

/// How many of a side are bad; `None` for what is no count.
const fn bad(side: Side) -> Option<u64> {
    match side {
        Side::Count { above, .. } => Some(above),
        Side::Late { bad, .. } => Some(bad),
        Side::Mean { .. } | Side::Value { .. } => None,
    }
}

/// The windows with `fewer` bad ones of the canary's in one gate, the last ones good instead.
fn without(windows: &[Window], gate: &str, mut fewer: u64) -> Vec<Window> {
    let mut windows = windows.to_vec();
    for window in windows.iter_mut().rev() {
        let Some(Ok(Sides { canary: Some(canary), .. })) = window.gates.get_mut(gate) else { continue };
        match canary {
            Side::Count { above, below, .. } => {
                let less = fewer.min(*above);
                (*above, *below, fewer) = (*above - less, *below - less, fewer - less);
            }
            Side::Late { bad, good, .. } => {
                let less = fewer.min(*bad);
                (*bad, *good, fewer) = (*bad - less, *good + less, fewer - less);
            }
            Side::Mean { .. } | Side::Value { .. } => {}
        }
    }
    windows
}

impl GateEvidence {
    /// Does its evidence say by itself that the canary is bad?
    fn fires(&self) -> bool {
        matches!(&self.process, Process::Rate { gate, .. } if gate.fires())
    }

    /// Is stable itself worse than its guard?
    pub fn guarded(&self, kind: &GateKind) -> bool {
        match &self.process {
            Process::Pending | Process::NotWatched(_) => false,
            // A saturated server is an incident of the environment like any other: the time does not count.
            Process::Plain(plain) => matches!(kind, GateKind::Saturation { .. }) && plain.outside_of(1) > 0,
            Process::Rate { gate, .. } => gate.guarded(),
            Process::Mean(gate) => gate.guarded(),
        }
    }
}
