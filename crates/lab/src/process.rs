//! Processes that outlive the command which started them, and are never mistaken for others.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

use crate::error::{Doing, Error, Result};
use crate::{Part, Paths, netns};

/// Every process of a lab has this in its environment, with the state directory as its value: a process that was
/// started right before its starter was killed is found by it.
const MARK: &str = "MICROAPP_LAB_PROCESS_OF";

/// A process that the lab started. Its start time tells it from a later one with the same id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The part that it runs.
    pub part: Part,
    /// Its process id.
    pub pid: i32,
    /// When it started, in clock ticks since the machine did.
    pub started: u64,
    /// The command line, for a restart.
    pub argv: Vec<String>,
}

/// What a part's process is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Liveness {
    /// It runs.
    Running,
    /// It was stopped with SIGSTOP and keeps its connections.
    Frozen,
    /// It ended or was killed.
    Dead,
}

impl Record {
    /// What the process is doing now.
    pub fn liveness(&self) -> Liveness {
        match stat(self.pid) {
            Some((_, started)) if started != self.started => Liveness::Dead,
            Some(('T' | 't', _)) => Liveness::Frozen,
            Some(('Z' | 'X', _)) if !has_threads(self.pid) => Liveness::Dead,
            None => Liveness::Dead,
            Some(_) => Liveness::Running,
        }
    }

    /// Resident memory in bytes, 0 once it is dead.
    pub fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        let kib =
            status.lines().find_map(|l| l.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        if self.liveness() == Liveness::Dead { 0 } else { kib.unwrap_or(0) * 1024 }
    }

    /// Sends a signal; false when the process is gone.
    pub(crate) fn signal(&self, signal: Signal) -> bool {
        signal_if_same(self.pid, self.started, signal)
    }

    pub(crate) fn load(paths: &Paths, part: Part) -> Option<Self> {
        serde_json::from_slice(&fs::read(paths.record(part)).ok()?).ok()
    }
}

/// Whether threads are left: until the last one has ended, a killed process holds its ports and files.
fn has_threads(pid: i32) -> bool {
    fs::read_dir(format!("/proc/{pid}/task")).is_ok_and(|tasks| tasks.count() > 1)
}

/// The state letter and the start time of a process.
fn stat(pid: i32) -> Option<(char, u64)> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse_stat(stat: &str) -> Option<(char, u64)> {
    // The command's name stands in parentheses and may hold spaces and parentheses itself (proc(5)).
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

/// A pidfd refers to one process for ever, so between the comparison and the signal no other can take its id.
fn signal_if_same(pid: i32, started: u64, signal: Signal) -> bool {
    let Some(fd) = Pid::from_raw(pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) else { return false };
    stat(pid).is_some_and(|(_, s)| s == started) && pidfd_send_signal(fd, signal).is_ok()
}

/// Starts a part inside the lab's network namespace, in a session of its own, and records it.
pub(crate) fn spawn(paths: &Paths, part: Part, argv: Vec<String>) -> Result<Record> {
    let log = paths.log(part);
    let out = File::options().create(true).append(true).open(&log).doing(|| format!("open {}", log.display()))?;
    let err = out.try_clone().doing(|| format!("open {}", log.display()))?;
    // Both `setsid` and `nsenter` replace themselves: the child's id is the part's.
    let mut child = Command::new("setsid")
        .arg("nsenter")
        .arg(format!("--net={}", netns::FILE))
        .args(&argv)
        .current_dir(paths.root())
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", paths.root())
        .env(MARK, paths.root())
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .spawn()
        .doing(|| format!("start {part}"))?;
    let pid = i32::try_from(child.id()).unwrap_or(0);
    let started = stat(pid).map_or(0, |(_, started)| started);
    // Reaped here for as long as this program lives, by init afterwards.
    std::thread::spawn(move || child.wait());
    let record = Record { part, pid, started, argv };
    paths.write(paths.record(part), &serde_json::json!(record).to_string())?;
    Ok(record)
}

/// Asks processes to end, then ends those that have not within the grace period.
pub(crate) fn terminate(records: &[Record], grace: Duration) {
    for record in records {
        record.signal(Signal::TERM);
        // A frozen process would not take the signal.
        record.signal(Signal::CONT);
    }
    if !until(grace, || records.iter().all(|r| r.liveness() == Liveness::Dead)) {
        for record in records {
            record.signal(Signal::KILL);
        }
        until(Duration::from_secs(5), || records.iter().all(|r| r.liveness() == Liveness::Dead));
    }
}

/// Kills every process that carries the lab's mark or is a container of one of `containers`; returns their number.
pub(crate) fn kill_stray(root: &Path, containers: &[String]) -> usize {
    let mark = [MARK.as_bytes(), b"=", root.as_os_str().as_encoded_bytes()].concat();
    let mut found = 0;
    // Again, because a process may have forked between the look and the signal.
    for _ in 0..10 {
        let stray: Vec<_> = pids().filter(|pid| is_marked(*pid, &mark) || is_contained(*pid, containers)).collect();
        if stray.is_empty() {
            break;
        }
        found += stray.len();
        let stray: Vec<_> = stray.iter().filter_map(|pid| Some((*pid, stat(*pid)?.1))).collect();
        for (pid, started) in &stray {
            signal_if_same(*pid, *started, Signal::KILL);
        }
        until(Duration::from_secs(1), || {
            stray.iter().all(|(pid, started)| stat(*pid).is_none_or(|(state, s)| s != *started || state == 'Z'))
        });
    }
    found
}

fn pids() -> impl Iterator<Item = i32> {
    let own = std::process::id();
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok())
        .filter(move |pid: &i32| u32::try_from(*pid).is_ok_and(|p| p != own))
        .filter(|pid| stat(*pid).is_some_and(|(state, _)| state != 'Z'))
}

fn is_marked(pid: i32, mark: &[u8]) -> bool {
    fs::read(format!("/proc/{pid}/environ")).is_ok_and(|env| env.split(|b| *b == 0).any(|v| v == mark))
}

/// A container's process is in a cgroup whose last name is the container's id.
fn is_contained(pid: i32, containers: &[String]) -> bool {
    !containers.is_empty()
        && fs::read_to_string(format!("/proc/{pid}/cgroup")).is_ok_and(|groups| {
            groups
                .lines()
                .any(|l| l.contains("/kubepods") && l.split('/').any(|name| containers.iter().any(|c| c == name)))
        })
}

/// Waits until a condition holds; false when the time is up.
pub(crate) fn until(limit: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        if holds() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The record of a part that must have one.
pub(crate) fn recorded(paths: &Paths, part: Part) -> Result<Record> {
    Record::load(paths, part).ok_or(Error::NoSuchPart(part))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_does_not_shift_the_fields() {
        let line = "42 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 777 20";
        assert_eq!(parse_stat(line), Some(('S', 777)));
    }

    #[test]
    fn a_process_is_frozen_thawed_and_killed_by_its_record_alone() {
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let record = Record { part: Part::Etcd, pid, started: stat(pid).unwrap().1, argv: vec![] };
        let limit = Duration::from_secs(5);

        assert!(record.signal(Signal::STOP) && until(limit, || record.liveness() == Liveness::Frozen));
        assert!(record.signal(Signal::CONT) && until(limit, || record.liveness() == Liveness::Running));

        let stranger = Record { started: record.started + 1, ..record.clone() };
        assert!(!stranger.signal(Signal::KILL));
        assert_eq!((stranger.liveness(), record.liveness()), (Liveness::Dead, Liveness::Running));

        terminate(std::slice::from_ref(&record), limit);
        assert_eq!(record.liveness(), Liveness::Dead);
        child.wait().unwrap();
        assert!(!record.signal(Signal::KILL));
    }
}
