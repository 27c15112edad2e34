//! The command line behind a proxy, as kubectl takes it: `proxy-url` of the kubeconfig, or the environment.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    path::PathBuf,
    process::Command,
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

/// A proxy that says no, and the first line of each request to it.
fn proxy() -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (said, heard) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut line = String::new();
            BufReader::new(&stream).read_line(&mut line).unwrap();
            let _ = said.send(line);
            let _ = stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
        }
    });
    (address, heard)
}

fn kubeconfig(name: &str, proxy: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: far\n\
         clusters: [{{name: far, cluster: {{server: 'https://api.far.example:6443'{proxy}}}}}]\n\
         contexts: [{{name: far, context: {{cluster: far, user: me}}}}]\nusers: [{{name: me, user: {{token: t}}}}]\n"
    );
    fs::write(&path, text).unwrap();
    path
}

fn first_line(config: &PathBuf, environment: Option<&str>, heard: &Receiver<String>) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-microapp"));
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "KUBECONFIG"] {
        command.env_remove(name);
    }
    if let Some(proxy) = environment {
        command.env("HTTPS_PROXY", proxy);
    }
    command.args(["status", "kyc", "--request-timeout", "10s", "--kubeconfig"]).arg(config);
    let output = command.output().unwrap();
    assert!(!output.status.success());
    heard
        .recv_timeout(Duration::from_secs(30))
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn the_api_server_is_reached_through_the_proxy_of_the_kubeconfig() {
    let (address, heard) = proxy();
    let config = kubeconfig("proxy-url.yaml", &format!(", proxy-url: '{address}'"));
    assert_eq!(first_line(&config, None, &heard), "CONNECT api.far.example:6443 HTTP/1.1\r\n");
}

#[test]
fn the_api_server_is_reached_through_the_proxy_of_the_environment() {
    let (address, heard) = proxy();
    let config = kubeconfig("environment.yaml", "");
    assert_eq!(first_line(&config, Some(&address), &heard), "CONNECT api.far.example:6443 HTTP/1.1\r\n");
}
