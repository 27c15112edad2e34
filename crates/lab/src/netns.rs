//! The lab's network namespace: it keeps pod and service addresses off the machine and frees every port.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::os::linux::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::command::{run, succeeds};
use crate::error::{Doing, Error, Result};

/// The namespace's name.
pub const NAME: &str = "microapp-lab";
/// The file that holds it.
pub const FILE: &str = "/run/netns/microapp-lab";
/// The node's only address.
pub const NODE_ADDRESS: &str = "10.90.0.10";

/// A command inside the namespace. `ip netns exec` would also remount /sys, and the kubelet would miss its cgroups.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={FILE}")).arg(program);
    command
}

/// Whether this thread is in the namespace already.
pub fn is_inside() -> bool {
    let id = |path| fs::metadata(path).map(|m| (m.st_dev(), m.st_ino())).ok();
    id(FILE).is_some_and(|lab| id("/proc/thread-self/ns/net") == Some(lab))
}

pub(crate) fn exists() -> bool {
    Path::new(FILE).exists()
}

/// Makes the namespace with the node's address. A bridge, because not every kernel has `dummy` links.
pub(crate) fn create() -> Result<()> {
    run(Command::new("ip").args(["netns", "add", NAME]))?;
    for args in [
        "link set lo up",
        "link add node0 type bridge",
        "addr add 10.90.0.10/24 dev node0",
        "link set node0 up",
        "route add default via 10.90.0.10",
    ] {
        run(command("ip").args(args.split(' ')))?;
    }
    Ok(())
}

/// Removes a namespace of this name, if there is one.
pub(crate) fn delete(name: &str) -> bool {
    succeeds(Command::new("ip").args(["netns", "delete", name]))
}

/// Moves the calling thread, and the threads that it starts later, into the namespace.
pub(crate) fn enter() -> Result<()> {
    if is_inside() {
        return Ok(());
    }
    let file = File::open(FILE).map_err(|_| Error::NotRunning)?;
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
        .doing(|| "enter the lab's network namespace (it needs root)".into())
}

/// Runs a function on a thread inside the namespace.
pub(crate) fn inside<T: Send>(f: impl FnOnce() -> T + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| enter().map(|()| f()));
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Whether something listens on an address of the namespace.
pub(crate) fn listens(address: &str) -> bool {
    inside(|| connect(address).is_some()).unwrap_or(false)
}

/// One HTTP request without a body, inside the namespace: the status code, or nothing.
///
/// It is asked many times a second while a lab starts, of ports that are closed at first.
pub(crate) fn http(method: &str, address: &str, path: &str) -> Option<u16> {
    status(&ask(&format!("{method} {path} HTTP/1.1"), address)?)
}

/// The body of the answer to a GET, where its status is 200. HTTP/1.0, so that it does not come in chunks.
pub(crate) fn get(address: &str, path: &str) -> Option<String> {
    let answer = ask(&format!("GET {path} HTTP/1.0"), address).filter(|answer| status(answer) == Some(200))?;
    answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
}

fn ask(first_line: &str, address: &str) -> Option<String> {
    inside(|| {
        let mut stream = connect(address)?;
        write!(stream, "{first_line}\r\nHost: {address}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        Some(String::from_utf8_lossy(&answer).into_owned())
    })
    .ok()?
}

fn connect(address: &str) -> Option<TcpStream> {
    let limit = Duration::from_secs(2);
    let stream = TcpStream::connect_timeout(&address.parse::<SocketAddr>().ok()?, limit).ok()?;
    stream.set_read_timeout(Some(limit)).ok()?;
    Some(stream)
}

fn status(answer: &str) -> Option<u16> {
    answer.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_begins_with_its_status() {
        assert_eq!(status("HTTP/1.1 503 Busy\r\nA: b\r\n\r\nlater"), Some(503));
        assert_eq!(status("SSH-2.0-x\r\n"), None);
    }
}
