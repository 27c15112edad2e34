//! `history`: what ran when, who won and why.

use std::io::{self, Write};

use crate::{
    args::{Format, HistoryArgs},
    cluster::Cluster,
    exit::{Exit, Failure},
    json::HistoryOut,
    screen,
    view::{View, clock},
};

/// Runs the verb.
///
/// # Errors
/// The cluster's, or stdout's.
pub async fn run(cluster: &Cluster, args: &HistoryArgs) -> Result<Exit, Failure> {
    let view = cluster.view(&args.named.name).await?;
    let text = match args.output {
        Some(Format::Json) => serde_json::to_string_pretty(&HistoryOut::of(&view))?,
        format => table(&view, format == Some(Format::Wide)),
    };
    writeln!(io::stdout().lock(), "{text}")?;
    Ok(Exit::Ok)
}

/// One attempt a line, oldest first, each with its sentence.
pub fn table(view: &View, wide: bool) -> String {
    let view = &view.printable();
    if view.status().history.is_empty() {
        return format!("{} has no attempt that ended", view.name());
    }
    let mut rows = vec![["ATTEMPT", "REVISION", "ENDED", "MAX", "MODEL", "IMAGE", "HOW"].map(str::to_owned)];
    for entry in &view.status().history {
        let or_dash = |text: Option<&str>| text.unwrap_or("-").to_owned();
        let image = if wide { entry.digest.as_deref().or(entry.image.as_deref()) } else { entry.image.as_deref() };
        let message = entry.message.as_deref().filter(|message| !message.is_empty());
        let how = screen::how(entry);
        rows.push([
            entry.attempt.to_string(),
            entry.revision.clone(),
            entry.ended_at.as_ref().map_or_else(|| "-".to_owned(), |at| clock(view.now, at.0)),
            or_dash(entry.max_weight.as_deref()),
            or_dash(entry.model.as_deref()),
            // A digest says more than the repository before it.
            or_dash(
                image.map(|image| {
                    image.split_once('@').map_or(image, |(name, digest)| if wide { digest } else { name })
                }),
            ),
            message.map_or_else(|| how.clone(), |message| format!("{how}: {message}")),
        ]);
    }
    let mut widths = [0; 7];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let line = |row: &[String; 7]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}
