//! `status`: what is, once or live, and how a revision fares as an exit code.

use std::{
    io::{self, IsTerminal, Write},
    time::Duration,
};

use futures::StreamExt;
use tokio::time::{self, Instant, MissedTickBehavior};

use crate::{
    args::{Format, StatusArgs},
    cluster::Cluster,
    exit::{Exit, Failure},
    json::StatusOut,
    outcome::Outcome,
    paint::Paint,
    screen,
    view::View,
};

/// How long `-w --exit-code` waits where no `--timeout` says otherwise.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// Runs the verb.
///
/// # Errors
/// The cluster's, or stdout's.
pub async fn run(cluster: &Cluster, args: &StatusArgs) -> Result<Exit, Failure> {
    let first = cluster.view(&args.named.name).await?;
    let mut show = Show::new(args);
    if !args.watch && args.timeout.is_none() {
        show.once(&first, args.revision.as_deref())?;
        let outcome = Outcome::read(&first, args.revision.as_deref());
        return Ok(if args.exit_code { outcome.exit() } else { Exit::Ok });
    }
    // The watch is a large future.
    Box::pin(follow(cluster, args, &mut show, first)).await
}

/// Until the revision is promoted or is not going to be; without `--exit-code` and `--timeout` until interrupted.
async fn follow(cluster: &Cluster, args: &StatusArgs, show: &mut Show, first: View) -> Result<Exit, Failure> {
    let ends = args.exit_code || args.timeout.is_some();
    // Far away is as good as never.
    let patience = args.timeout.unwrap_or(if ends { PATIENCE } else { Duration::from_secs(3600 * 24 * 365) });
    let deadline = time::sleep_until(Instant::now() + patience);
    let mut deadline = std::pin::pin!(deadline);
    let mut views = std::pin::pin!(cluster.views(&args.named.name));
    let mut tick = time::interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut view = first;
    // A wait is bound to one revision: the next commit must not answer for this one.
    let mut asked = args.revision.clone();
    loop {
        if asked.is_none() {
            asked = Outcome::desired(&view).map(str::to_owned);
        }
        let outcome = Outcome::read(&view, asked.as_deref());
        let over = ends && outcome != Outcome::InProgress;
        if args.watch || over {
            show.change(&view, asked.as_deref())?;
        }
        if over {
            return Ok(if args.exit_code { outcome.exit() } else { Exit::Ok });
        }
        loop {
            tokio::select! {
                next = views.next() => match next {
                    Some(next) => { view = next?; break; }
                    None => return Err(Failure::error("the watch ended")),
                },
                () = &mut deadline => {
                    if !args.watch {
                        show.once(&view, asked.as_deref())?;
                    }
                    let name = asked.as_deref().unwrap_or(&args.named.name);
                    return Err(Failure::time_out(format!("{name} is still {} after the time-out", outcome.words())));
                }
                _ = tick.tick(), if args.watch && show.repaints => {
                    view.now = jiff::Timestamp::now();
                    show.change(&view, asked.as_deref())?;
                }
            }
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
