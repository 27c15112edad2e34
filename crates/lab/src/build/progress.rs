use std::io::{IsTerminal, Write};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Says on standard error what is being built, how long it usually takes and how long it has taken.
pub(crate) struct Progress {
    name: &'static str,
    since: Instant,
    stop: Sender<()>,
    ticker: JoinHandle<()>,
}

impl Progress {
    pub(crate) fn start(name: &'static str, usual: &'static str) -> Self {
        let since = Instant::now();
        let terminal = std::io::stderr().is_terminal();
        // A log gets a line now and then, so that nobody takes the build for dead; a terminal gets a running clock.
        let every = if terminal { Duration::from_secs(1) } else { Duration::from_secs(30) };
        eprint!("lab: building {name} (usually {usual})");
        if !terminal {
            eprintln!();
        }
        let (stop, stopped) = channel();
        let ticker = std::thread::spawn(move || {
            while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                let seconds = since.elapsed().as_secs();
                if terminal {
                    eprint!("\rlab: building {name} (usually {usual}): {seconds} s");
                    let _ = std::io::stderr().flush();
                } else {
                    eprintln!("lab: still building {name}: {seconds} s (usually {usual})");
                }
            }
            if terminal {
                eprintln!();
            }
        });
        Self { name, since, stop, ticker }
    }

    pub(crate) fn finish(self, succeeded: bool) {
        let Self { name, since, stop, ticker } = self;
        drop(stop);
        let _ = ticker.join();
        let outcome = if succeeded { "built" } else { "FAILED to build" };
        eprintln!("lab: {outcome} {name} in {} s", since.elapsed().as_secs());
    }
}
