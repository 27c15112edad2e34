//! Programs of the run. Whatever is dropped is killed with all that it started.

use std::{
    fs::{self, File},
    net::TcpListener,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};

/// Imports take long on a busy machine.
const START: Duration = Duration::from_secs(240);
const STEP: Duration = Duration::from_millis(200);
const GET: Duration = Duration::from_secs(20);

/// A program in a process group of its own.
#[derive(Debug)]
pub struct Running {
    name: String,
    log: PathBuf,
    child: Child,
}

impl Running {
    /// Starts it; what it prints goes to `log`.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(name: &str, command: &mut Command, log: PathBuf) -> Result<Self> {
        let out = File::create(&log)?;
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out).process_group(0).kill_on_drop(true);
        let child = command.spawn().with_context(|| format!("{name} does not start"))?;
        Ok(Self { name: name.to_owned(), log, child })
    }

    /// Waits until the path answers with 200.
    ///
    /// # Errors
    /// It ends before, with the last lines of what it printed, or takes longer than four minutes.
    pub async fn ready(&mut self, port: u16, path: &str) -> Result<()> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                let printed = fs::read_to_string(&self.log).unwrap_or_default();
                let last: Vec<&str> = printed.lines().rev().take(5).collect();
                bail!("{} ended with {status}: {}", self.name, last.into_iter().rev().collect::<Vec<_>>().join("\n"));
            }
            if matches!(get(port, path).await, Ok((200, _))) {
                return Ok(());
            }
            if begun.elapsed() > START {
                bail!("{} is not ready after {} s: see {}", self.name, START.as_secs(), self.log.display());
            }
            sleep(STEP).await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(pid) = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
            // It may be gone.
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

/// A port that is free now.
///
/// # Errors
/// There is none.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// Status and body of a path on loopback, by HTTP/1.0, without redirects.
///
/// # Errors
/// No answer within 20 s.
pub async fn get(port: u16, path: &str) -> Result<(u16, String)> {
    let exchange = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        let request = format!("GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\nAccept: text/plain\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        anyhow::Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    let answer = timeout(GET, exchange).await.context("no answer")??;
    let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP")?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).context("no status")?;
    Ok((status, body.to_owned()))
}

/// An absolute path.
///
/// # Errors
/// There is nothing.
pub fn absolute(path: &Path) -> Result<PathBuf> {
    fs::canonicalize(path).with_context(|| format!("{} is missing", path.display()))
}
