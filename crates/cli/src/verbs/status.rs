//! `status`: what is, once or live, and how a revision fares as an exit code.

use std::{
    io::{self, IsTerminal, Write},
    time::Duration,
};

use futures::StreamExt;
use tokio::time::{self, Instant, MissedTickBehavior};

use super::revision;
use crate::{
    args::{Format, StatusArgs},
    cluster::Cluster,
    exit::{Exit, Failure},
    json::StatusOut,
    manifest::{Manifest, Names},
    outcome::{Outcome, Wait},
    paint::Paint,
    screen,
    view::View,
};

/// How long `--wait-for` and `-w --exit-code` wait where no `--timeout` says otherwise.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// The revision that is asked about.
enum Asked {
    /// The one that the spec asks for when the verb begins: the next commit must not answer for it.
    Wanted(Option<String>),
    /// This one.
    Named(String),
    /// The one of a manifest.
    Manifest(Names),
}

impl Asked {
    fn of(&mut self, view: &View) -> Option<String> {
        match self {
            Self::Wanted(bound) => {
                if bound.is_none() {
                    *bound = Outcome::desired(view).map(str::to_owned);
                }
                bound.clone()
            }
            Self::Named(revision) => Some(revision.clone()),
            Self::Manifest(names) => Some(names.in_cluster(view)),
        }
    }

    /// Before any view.
    fn name(&self) -> Option<&str> {
        match self {
            Self::Wanted(bound) => bound.as_deref(),
            Self::Named(revision) => Some(revision),
            Self::Manifest(names) => Some(names.revision.as_str()),
        }
    }
}

/// Runs the verb; `manifest` is that of `-f`.
///
/// # Errors
/// The cluster's, or stdout's; exit code 2 for a manifest of another rollout, or one that cannot be used.
pub async fn run(cluster: &Cluster, args: &StatusArgs, manifest: Option<&Manifest>) -> Result<Exit, Failure> {
    let name = name(args, manifest)?;
    let mut asked = match (manifest, &args.revision) {
        (Some(manifest), _) => Asked::Manifest(revision::online(manifest, Ok(cluster)).await?),
        (None, Some(revision)) => Asked::Named(revision.clone()),
        (None, None) => Asked::Wanted(None),
    };
    let mut show = Show::new(args);
    let first = if args.wait_for { cluster.find(name).await? } else { Some(cluster.view(name).await?) };
    if let Some(view) = first.as_ref().filter(|_| !args.watch && args.timeout.is_none() && !args.wait_for) {
        let asked = match &asked {
            Asked::Wanted(_) => None,
            Asked::Named(_) | Asked::Manifest(_) => asked.of(view),
        };
        show.once(view, asked.as_deref())?;
        let outcome = Outcome::read(view, asked.as_deref());
        return Ok(if args.exit_code { outcome.exit() } else { Exit::Ok });
    }
    // The watch is a large future.
    Box::pin(follow(cluster, name, asked, args, &mut show, first)).await
}

/// The rollout's name, as given or as the manifest has it.
fn name<'a>(args: &'a StatusArgs, manifest: Option<&'a Manifest>) -> Result<&'a str, Failure> {
    match (&args.name, manifest) {
        (Some(name), Some(manifest)) if manifest.name()? != name => {
            Err(manifest.says(&format!("the rollout's name is {}, and not {name}", manifest.name()?)))
        }
        (Some(name), _) => Ok(name),
        (None, Some(manifest)) => manifest.name(),
        (None, None) => Err(Failure::usage("give the rollout's name, or its manifest with -f")),
    }
}

/// Until the revision is promoted or is not going to be; without `--exit-code`, `--timeout` and `--wait-for` until
/// interrupted.
async fn follow(
    cluster: &Cluster,
    name: &str,
    mut asked: Asked,
    args: &StatusArgs,
    show: &mut Show,
    first: Option<View>,
) -> Result<Exit, Failure> {
    let ends = args.exit_code || args.timeout.is_some() || args.wait_for;
    // Far away is as good as never.
    let patience = args.timeout.unwrap_or(if ends { PATIENCE } else { Duration::from_secs(3600 * 24 * 365) });
    let deadline = time::sleep_until(Instant::now() + patience);
    let mut deadline = std::pin::pin!(deadline);
    let mut views = std::pin::pin!(cluster.views(name));
    let mut tick = time::interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut wait = Wait::begin(first.as_ref().filter(|_| args.wait_for));
    let mut view = first;
    loop {
        let revision = view.as_ref().and_then(|view| asked.of(view));
        let outcome = view.as_ref().map_or(Outcome::InProgress, |view| wait.read(view, revision.as_deref()));
        let over = ends && outcome != Outcome::InProgress;
        if let Some(view) = view.as_ref().filter(|_| args.watch || over) {
            show.change(view, revision.as_deref())?;
        }
        if over {
            return Ok(if args.exit_code || args.wait_for { outcome.exit() } else { Exit::Ok });
        }
        loop {
            tokio::select! {
                next = views.next() => match next {
                    Some(next) => { view = next?; break; }
                    None => return Err(Failure::error("the watch ended")),
                },
                () = &mut deadline => {
                    if let Some(view) = view.as_ref().filter(|_| !args.watch) {
                        show.once(view, revision.as_deref())?;
                    }
                    let absent = match view {
                        Some(_) => String::new(),
                        None => format!(": {}", cluster.absent(name)),
                    };
                    let what = revision.as_deref().or(asked.name()).unwrap_or(name);
                    return Err(Failure::time_out(format!(
                        "{what} is still {} after the time-out{absent}", outcome.words()
                    )));
                }
                _ = tick.tick(), if args.watch && show.repaints => {
                    if let Some(view) = &mut view {
                        view.now = jiff::Timestamp::now();
                        show.change(view, revision.as_deref())?;
                    }
                }
            }
        }
        if view.is_none() && !args.wait_for {
            return Err(Failure::error(cluster.absent(name)));
        }
    }
}

/// Where it goes, and what was shown last.
struct Show {
    format: Option<Format>,
    paint: Paint,
    repaints: bool,
    last: String,
}

impl Show {
    fn new(args: &StatusArgs) -> Self {
        let json = args.output == Some(Format::Json);
        let repaints = args.watch && !json && io::stdout().is_terminal();
        Self { format: args.output, paint: Paint::stdout(), repaints, last: String::new() }
    }

    /// All of it.
    fn once(&self, view: &View, revision: Option<&str>) -> Result<(), Failure> {
        let text = match self.format {
            Some(Format::Json) => serde_json::to_string_pretty(&StatusOut::of(view, revision))?,
            format => screen::lines(view, format == Some(Format::Wide), self.paint).join("\n"),
        };
        writeln!(io::stdout().lock(), "{text}")?;
        Ok(())
    }

    /// The screen again, or one more line; nothing where nothing changed.
    fn change(&mut self, view: &View, revision: Option<&str>) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        if self.repaints {
            let lines = screen::lines(view, self.format == Some(Format::Wide), self.paint);
            // Home, each line and the rest of it, then what is left of the screen before.
            let text = lines.join("\x1b[K\n") + "\x1b[K\n";
            let clear = if self.last.is_empty() { "\x1b[2J" } else { "" };
            write!(out, "{clear}\x1b[H{text}\x1b[J")?;
            out.flush()?;
            self.last = text;
            return Ok(());
        }
        let (line, key) = match self.format {
            Some(Format::Json) => {
                let line = serde_json::to_string(&StatusOut::of(view, revision))?;
                (line, view.rollout.metadata.resource_version.clone().unwrap_or_default())
            }
            Some(Format::Wide) | None => {
                let line = screen::line(view);
                let key = line.split_once(' ').map_or_else(String::new, |(_, rest)| rest.to_owned());
                (line, key)
            }
        };
        if key != self.last {
            writeln!(out, "{line}")?;
            out.flush()?;
            self.last = key;
        }
        Ok(())
    }
}
