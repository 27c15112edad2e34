//! `replay`: every decision, fed from outside. No cluster, no clock, no randomness; each answer is flushed at once, so
//! that a driver can close the loop.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Write},
};

use microapp_core::{
    replay::Replay,
    trace::{Replayed, Rerun},
};
use serde::Deserialize;

use crate::{
    args::ReplayArgs,
    exit::{Exit, Failure},
    manifest::{Manifest, is_stdin, named},
};

/// Runs the verb.
///
/// # Errors
/// Exit code 2 with one sentence for a file that is missing or malformed and for a line that is.
pub fn run(args: &ReplayArgs) -> Result<Exit, Failure> {
    if is_stdin(&args.filename) && is_stdin(&args.trace) {
        return Err(Failure::usage("the rollout and the trace cannot both come from stdin"));
    }
    let mut replay = Replay::new(&Manifest::read(&args.filename)?.rollout)
        .map_err(|sentence| named(&args.filename, &sentence.to_string()))?;
    let trace: Box<dyn BufRead> = if is_stdin(&args.trace) {
        Box::new(io::stdin().lock())
    } else {
        Box::new(BufReader::new(File::open(&args.trace).map_err(|error| named(&args.trace, &error.to_string()))?))
    };
    answer(&mut replay, trace, io::stdout().lock())
}

/// One line in, one line out.
fn answer(replay: &mut Replay, mut trace: impl BufRead, mut out: impl Write) -> Result<Exit, Failure> {
    let mut line = Vec::new();
    let mut rerun: Option<Rerun> = None;
    let mut same = 0_u64;
    for number in 1_u64.. {
        line.clear();
        let malformed = |sentence: &str| Failure::usage(format!("line {number}: {sentence}"));
        if trace.read_until(b'\n', &mut line).map_err(|error| malformed(&error.to_string()))? == 0 {
            break;
        }
        let text = str::from_utf8(&line).map_err(|_| malformed("not UTF-8"))?.trim_end_matches(['\n', '\r']);
        if number == 1 && is_recorded(text) {
            rerun = Some(Rerun::default());
        }
        if let Some(rerun) = &mut rerun {
            let Replayed { answer, difference } =
                rerun.line(text).map_err(|sentence| malformed(&sentence.to_string()))?;
            if let Some(difference) = difference {
                return Err(Failure::error(format!("line {number}: {difference}")));
            }
            same += 1;
            out.write_all(answer.as_bytes())?;
            out.write_all(b"\n")?;
            out.flush()?;
            continue;
        }
        if let Some(mut answer) = replay.line(text).map_err(|sentence| malformed(&sentence.to_string()))? {
            answer.push('\n');
            out.write_all(answer.as_bytes())?;
            out.flush()?;
        }
    }
    if rerun.is_some() {
        let decisions = if same == 1 { "decision, the same" } else { "decisions, all the same" };
        eprintln!("{same} {decisions} byte for byte");
    }
    Ok(Exit::Ok)
}

/// Is it a line that the operator recorded?
fn is_recorded(line: &str) -> bool {
    #[derive(Deserialize)]
    struct Peek {
        pass: Option<serde::de::IgnoredAny>,
    }
    serde_json::from_str::<Peek>(line).is_ok_and(|peek| peek.pass.is_some())
}
