use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::Deserialize;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, interval, sleep_until, timeout};

use super::{Answers, LoadConfig, Response};
use crate::error::{Doing, Error, Result};

type HttpClient = Client<HttpConnector, Full<Bytes>>;

/// A configuration that was checked.
pub(super) struct Plan {
    config: LoadConfig,
    request: Request<Full<Bytes>>,
}

impl Plan {
    pub(super) fn new(config: LoadConfig) -> Result<Self> {
        let request = request(&config).map_err(|error| Error::Invalid(format!("no such request: {error}")))?;
        Ok(Self { config, request })
    }

    pub(super) fn in_lab(&self) -> bool {
        self.config.in_lab
    }
}

fn request(config: &LoadConfig) -> Result<Request<Full<Bytes>>, http::Error> {
    let uri: Uri = format!("{}{}", config.target.trim_end_matches('/'), config.path).parse()?;
    let method = match (&config.method, &config.body) {
        (Some(method), _) => method.parse::<Method>()?,
        (None, Some(_)) => Method::POST,
        (None, None) => Method::GET,
    };
    let mut request = Request::builder().method(method).uri(uri);
    if let Some(host) = &config.host {
        request = request.header(header::HOST, HeaderValue::from_str(host)?);
    }
    if config.body.is_some() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    request.body(Full::from(config.body.clone().unwrap_or_default()))
}

/// Sends until the time is up, a signal comes or the handle is stopped; then waits for what is on its way.
pub(super) async fn run(plan: Plan, mut stop: watch::Receiver<bool>, answers: &Mutex<Answers>) -> Result<()> {
    let Plan { config, request } = plan;
    let mut log = Log::open(config.out.as_deref())?;
    let (sender, mut arrived) = mpsc::unbounded_channel();
    let mut arrivals = tokio::spawn(arrivals(config.clone(), request, sender));
    let mut flush = interval(Duration::from_millis(200));
    let mut signals = Signals::new(config.until_signal)?;
    let mut result = Ok(());
    loop {
        tokio::select! {
            response = arrived.recv() => match response {
                Some(response) => {
                    result = result.and(log.write(&response));
                    let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
                    answers.summary.add(&response);
                    if config.keep {
                        answers.responses.push(response);
                    }
                }
                // All requests have been answered and no more will be sent.
                None => break,
            },
            _ = flush.tick() => result = result.and(log.flush()),
            () = signals.next() => arrivals.abort(),
            // The handle was stopped or dropped.
            _ = stop.wait_for(|stop| *stop), if !arrivals.is_finished() => arrivals.abort(),
        }
        if result.is_err() {
            arrivals.abort();
        }
    }
    let _ = (&mut arrivals).await;
    result.and(log.flush())
}

/// SIGINT and SIGTERM. They are caught only when asked for: a test that is interrupted must end.
struct Signals(Option<(Signal, Signal)>);

impl Signals {
    fn new(wanted: bool) -> Result<Self> {
        let catch = |kind| signal(kind).doing(|| "catch signals".into());
        let both = || Ok((catch(SignalKind::terminate())?, catch(SignalKind::interrupt())?));
        wanted.then(both).transpose().map(Self)
    }

    async fn next(&mut self) {
        match &mut self.0 {
            Some((terminate, interrupt)) => tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            },
            None => std::future::pending().await,
        }
    }
}

/// Sends request k at k / rate after the start. One that is due while the machine is busy leaves late, not never.
async fn arrivals(config: LoadConfig, request: Request<Full<Bytes>>, sender: mpsc::UnboundedSender<Response>) {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(config.timeout));
    let client: HttpClient = Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(Duration::from_secs(30))
        .build(connector);
    let start = Instant::now();
    for k in 0_u64.. {
        let offset = Duration::from_secs_f64(k as f64 / config.rps);
        if config.duration.is_some_and(|d| offset >= d) {
            break;
        }
        let due = start + offset;
        sleep_until(due).await;
        let ask = Ask { client: client.clone(), request: request.clone(), read_body: config.read_body };
        tokio::spawn(send(ask, due, config.timeout, sender.clone()));
    }
}

async fn send(ask: Ask, due: Instant, limit: Duration, sender: mpsc::UnboundedSender<Response>) {
    let Answer { code, revision, said } = timeout(limit, ask.ask()).await.ok().flatten().unwrap_or_default();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let ms = due.elapsed().as_secs_f64() * 1000.0;
    let (verdict, output_tokens) = (said.verdict, said.tokens.and_then(|t| t.output));
    let response = Response { t: rounded(now), code, revision, ms: rounded(ms), verdict, output_tokens };
    // Nobody listens any more once the log cannot be written.
    let _ = sender.send(response);
}

/// One request.
struct Ask {
    client: HttpClient,
    request: Request<Full<Bytes>>,
    read_body: bool,
}

/// A complete answer; the default is none.
#[derive(Default)]
struct Answer {
    code: u16,
    revision: String,
    said: Said,
}

/// What an answer in JSON may say of itself.
#[derive(Default, Deserialize)]
struct Said {
    verdict: Option<String>,
    tokens: Option<Tokens>,
}

#[derive(Deserialize)]
struct Tokens {
    output: Option<u64>,
}

impl Ask {
    async fn ask(self) -> Option<Answer> {
        let response = self.client.request(self.request).await.ok()?;
        let (head, body) = response.into_parts();
        // To the end, so that the connection can be used again and a broken body counts as broken.
        let body = body.collect().await.ok()?.to_bytes();
        let revision = head.headers.get("x-revision").and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
        let said = self.read_body.then(|| serde_json::from_slice(&body).ok()).flatten().unwrap_or_default();
        Some(Answer { code: head.status.as_u16(), revision, said })
    }
}

/// Three digits are enough for a time in seconds and more than enough for milliseconds.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// The log: one line per response, flushed some times a second.
struct Log {
    to: Option<BufWriter<Box<dyn Write + Send>>>,
}

impl Log {
    fn open(path: Option<&Path>) -> Result<Self> {
        let to: Option<Box<dyn Write + Send>> = match path {
            None => None,
            Some(path) if path == Path::new("-") => Some(Box::new(std::io::stdout())),
            Some(path) => Some(Box::new(File::create(path).doing(|| format!("write {}", path.display()))?)),
        };
        Ok(Self { to: to.map(BufWriter::new) })
    }

    fn write(&mut self, response: &Response) -> Result<()> {
        let written = self.to.as_mut().map_or(Ok(()), |to| to.write_all(response.line().as_bytes()));
        written.doing(|| "write the load's log".into())
    }

    fn flush(&mut self) -> Result<()> {
        self.to.as_mut().map_or(Ok(()), Write::flush).doing(|| "write the load's log".into())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::load::LoadGenerator;
    use std::io::{BufRead, BufReader};
    use std::net::{TcpListener, TcpStream};

    /// Answers every request on every connection, one connection a thread; returns the address.
    fn server(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || serve(&stream, answer));
            }
        });
        address
    }

    fn serve(mut stream: &TcpStream, answer: &str) {
        for line in BufReader::new(stream.try_clone().unwrap()).lines().map_while(std::io::Result::ok) {
            if line.is_empty() && !answer.is_empty() && stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }

    fn config(target: String) -> LoadConfig {
        let seconds = Some(Duration::from_millis(500));
        LoadConfig { target, in_lab: false, duration: seconds, ..LoadConfig::to("app.example.com", 100.0) }
    }

    #[test]
    fn every_request_of_the_rate_is_sent_and_logged_with_its_revision() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("load.jsonl");
        let target = server("HTTP/1.1 503 Busy\r\nx-revision: v7\r\ncontent-length: 2\r\n\r\nno");
        let summary =
            LoadGenerator::start(LoadConfig { out: Some(out.clone()), ..config(target) }).unwrap().wait().unwrap();
        assert_eq!((summary.all.total, summary.revisions["v7"].bad), (50, 50));
        let lines = std::fs::read_to_string(out).unwrap();
        let responses: Vec<Response> = lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!(responses.len(), 50);
        assert!(responses.iter().all(|r| r.code == 503 && r.revision == "v7" && r.ms > 0.0 && r.t > 1.7e9));
    }

    #[test]
    fn what_an_answer_says_of_itself_is_kept_when_asked_for() {
        let body = r#"{"verdict":"fail","tokens":{"input":9,"output":41}}"#;
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        let target = server(Box::leak(answer.into_boxed_str()));
        let generator = LoadGenerator::start(LoadConfig { read_body: true, ..config(target) }).unwrap();
        assert!(crate::process::until(Duration::from_secs(5), || generator.summary().all.total == 50));
        let kept = |r: &Response| r.verdict.as_deref() == Some("fail") && r.output_tokens == Some(41);
        assert!(generator.read(|responses| responses.iter().all(kept)));
        let line = generator.responses()[0].line();
        assert!(line.trim_end().ends_with(r#","verdict":"fail","output_tokens":41}"#), "{line}");
    }

    #[test]
    fn a_server_that_does_not_answer_does_not_slow_the_rate() {
        let target = server("");
        let load = LoadConfig { timeout: Duration::from_millis(300), ..config(target) };
        let generator = LoadGenerator::start(load).unwrap();
        let summary = generator.wait().unwrap();
        assert_eq!((summary.all.total, summary.all.bad), (50, 50));
    }

    #[test]
    fn a_refused_connection_is_code_zero() {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let generator = LoadGenerator::start(config(format!("http://{free}"))).unwrap();
        assert!(crate::process::until(Duration::from_secs(5), || generator.summary().all.total == 50));
        assert!(generator.responses().iter().all(|r| r.code == 0));
    }

    #[test]
    fn stopping_ends_a_load_without_an_end_and_loses_no_answer() {
        let target = server("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        let generator = LoadGenerator::start(LoadConfig { duration: None, ..config(target) }).unwrap();
        assert!(crate::process::until(Duration::from_secs(5), || generator.summary().all.total >= 5));
        let summary = generator.stop().unwrap();
        assert!(summary.all.total >= 5 && summary.all.bad == 0, "{summary}");
    }

    #[test]
    fn a_body_makes_a_post_with_the_host_of_the_route() {
        let load = LoadConfig { body: Some("{}".into()), path: "/ask?x=1".into(), ..config("http://h:1/".into()) };
        let request = request(&load).unwrap();
        assert_eq!((request.method().as_str(), request.uri().to_string().as_str()), ("POST", "http://h:1/ask?x=1"));
        assert_eq!(request.headers()["host"], "app.example.com");
    }
}
