//! The timeline: waits for what is to happen and prints what does.

use std::time::{Duration, Instant};

use super::scenes::Fault;
use super::view::View;
use super::watch::Watch;
use crate::LoadGenerator;
use crate::error::{Error, Result};

/// Everything that a scene needs.
#[derive(Debug)]
pub(crate) struct Stage {
    voice: Voice,
    watch: Watch,
    load: Option<LoadGenerator>,
    view: View,
    /// The fault of the revision on trial.
    fault: Option<Fault>,
    /// What was printed last, so that nothing is printed twice.
    weights: String,
    gates: Vec<String>,
    said: String,
}

impl Stage {
    pub(crate) fn new(voice: Voice, watch: Watch) -> Self {
        let (weights, gates, said) = Default::default();
        Self { voice, watch, load: None, view: View::default(), fault: None, weights, gates, said }
    }

    /// Prints a line with the time since the start.
    pub(crate) fn say(&self, what: &str) {
        self.voice.say(what);
    }

    /// Something that the operator will say, too, and that was said here.
    pub(crate) fn said(&mut self, what: &str) {
        what.clone_into(&mut self.said);
    }

    /// The load from now on.
    pub(crate) fn load(&mut self, load: LoadGenerator) {
        self.load = Some(load);
    }

    /// Ends the load and returns it.
    pub(crate) fn take_load(&mut self) -> Option<LoadGenerator> {
        self.load.take()
    }

    /// The load.
    pub(crate) fn users(&self) -> Option<&LoadGenerator> {
        self.load.as_ref()
    }

    /// What is wrong with the revision that comes next.
    pub(crate) fn announce(&mut self, fault: Option<Fault>) {
        self.fault = fault;
    }

    /// What was seen last.
    pub(crate) fn view(&self) -> &View {
        &self.view
    }

    /// Goes on with the timeline until something holds; an error when it does not in time.
    pub(crate) fn until<T>(
        &mut self,
        limit: Duration,
        what: &str,
        mut holds: impl FnMut(&Self) -> Option<T>,
    ) -> Result<T> {
        let begun = Instant::now();
        loop {
            if let Some(answer) = holds(self) {
                return Ok(answer);
            }
            if begun.elapsed() > limit {
                let (_, reason, message) = self.view.condition("Ready").unwrap_or_default();
                let seconds = limit.as_secs();
                return Err(Error::Invalid(format!("{what} did not happen in {seconds} s ({reason}: {message})")));
            }
            if let Some(object) = self.watch.next(Duration::from_millis(500)) {
                self.view.take(object);
                self.narrate();
            }
        }
    }

    fn narrate(&mut self) {
        let view = &self.view;
        let weights = match (view.stable(), view.canary()) {
            (Some(stable), Some(canary)) => {
                let weight = view.weight();
                format!("canary {canary} gets {weight} % of the traffic, stable {stable} {} %", 100.0 - weight)
            }
            (Some(stable), None) => format!("stable {stable} gets all of the traffic"),
            (None, _) => String::new(),
        };
        if weights != self.weights && !weights.is_empty() {
            self.voice.say(&weights);
            if let Some(line) = self.counts() {
                self.voice.more(&line);
            }
        }
        let gates = view.gates();
        if gates != self.gates {
            for gate in &gates {
                self.voice.more(gate);
            }
        }
        let (_, reason, message) = view.condition("Ready").unwrap_or_default();
        // The gates' own lines, and the demo's line about the rollback, say it with numbers.
        let news = !message.is_empty() && !message.contains("is undecided") && reason != "RolledBack";
        if news && message != self.said {
            self.voice.say(&format!("{reason}: {message}"));
        }
        let said = if news { message.to_owned() } else { self.said.clone() };
        (self.weights, self.gates, self.said) = (weights, gates, said);
    }

    /// What users got from both arms, by the load generator's own log.
    fn counts(&self) -> Option<String> {
        let (load, canary) = (self.load.as_ref()?, self.view.canary()?);
        let stable = self.view.stable()?;
        let usual = usual(load, stable);
        let count = |revision: &str| {
            load.read(|responses| {
                let of = responses.iter().filter(|r| r.revision == revision);
                let bad = |r: &&_| self.fault.unwrap_or(Fault::Errors).hit(r, usual);
                (of.clone().filter(bad).count(), of.count())
            })
        };
        let ((bad, total), (stable_bad, stable_total)) = (count(canary), count(stable));
        Some(format!("users got {total} answers of the canary, {bad} bad; {stable_total} of stable, {stable_bad} bad"))
    }
}

/// The mean of a revision's output tokens.
pub(crate) fn usual(load: &LoadGenerator, revision: &str) -> f64 {
    load.read(|responses| {
        let tokens = responses.iter().filter(|r| r.revision == revision).filter_map(|r| r.output_tokens);
        let (sum, n) = tokens.fold((0.0, 0.0), |(sum, n), tokens| (sum + tokens as f64, n + 1.0));
        if n > 0.0 { sum / n } else { f64::INFINITY }
    })
}

/// Prints lines with the time since the start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Voice {
    since: Instant,
    /// Standard output is for data.
    aside: bool,
}

impl Voice {
    /// Speaks on standard output, or on standard error.
    pub(crate) fn new(aside: bool) -> Self {
        Self { since: Instant::now(), aside }
    }

    pub(crate) fn say(self, what: &str) {
        let seconds = self.since.elapsed().as_secs();
        self.print(&format!("{:>3}:{:02}  {what}", seconds / 60, seconds % 60));
    }

    fn more(self, what: &str) {
        self.print(&format!("          {what}"));
    }

    /// A line without a time.
    pub(crate) fn print(self, line: &str) {
        if self.aside {
            eprintln!("{line}");
        } else {
            println!("{line}");
        }
    }
}
