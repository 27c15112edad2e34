//! Starts the app and the stand-in on ports of their own, and reads what they expose.
#![allow(dead_code)]
use std::collections::BTreeMap;
use std::net::SocketAddr;

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::{HeaderMap, Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use invoice_helper::{App, Config, serve};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// `name{labels}` as written, and the value.
pub type Exposition = BTreeMap<String, f64>;

#[derive(Debug)]
pub struct Response {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Response {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

async fn send(request: Request<Full<Bytes>>) -> Response {
    let response = Client::builder(TokioExecutor::new()).build_http().request(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Response { status: parts.status, headers: parts.headers, body: String::from_utf8(body.to_vec()).unwrap() }
}

pub async fn get(address: SocketAddr, path: &str) -> Response {
    send(Request::get(format!("http://{address}{path}")).body(Full::default()).unwrap()).await
}

pub async fn post(address: SocketAddr, path: &str, body: &Value) -> Response {
    let request = Request::post(format!("http://{address}{path}")).header("content-type", "application/json");
    send(request.body(Full::from(body.to_string())).unwrap()).await
}

pub async fn ask(address: SocketAddr, question: &str) -> Response {
    post(address, "/ask", &json!({"question": question})).await
}

pub async fn start_stub(settings: &[(&str, &str)]) -> SocketAddr {
    let config = model_stub::Config::from_lookup(|name| find(settings, name)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, model_stub::router(config)).await });
    address
}

/// The app with these variables, in front of the stand-in at `model`.
pub async fn start_app(model: SocketAddr, settings: &[(&str, &str)]) -> SocketAddr {
    let lookup = |name: &str| find(settings, name).or_else(|| standard(name, model));
    let config = Config::from_lookup(lookup).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let drain = config.drain;
    tokio::spawn(serve(App::new(config), listener, drain, std::future::pending()));
    address
}

/// Both, with default settings of the stand-in.
pub async fn start(settings: &[(&str, &str)]) -> SocketAddr {
    start_app(start_stub(&[]).await, settings).await
}

fn find(settings: &[(&str, &str)], name: &str) -> Option<String> {
    settings.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
}

/// What the operator sets.
pub fn standard(name: &str, model: SocketAddr) -> Option<String> {
    match name {
        "MODEL_BASE_URL" => Some(format!("http://{model}/v1")),
        "MODEL_PROVIDER" => Some("openai".to_owned()),
        "MODEL_NAME" => Some("gpt-5-nano".to_owned()),
        "MODEL_VERSION" => Some("2025-08-07".to_owned()),
        "OTEL_RESOURCE_ATTRIBUTES" => Some("team=billing,service.version=7c9fk2bv4x".to_owned()),
        "FAULT_SEED" => Some("5".to_owned()),
        _ => None,
    }
}

pub async fn scrape(address: SocketAddr) -> Exposition {
    let response = get(address, "/metrics").await;
    assert_eq!(response.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    parse(&response.body)
}

pub fn parse(text: &str) -> Exposition {
    let samples = text.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let (series, value) = line.rsplit_once(' ').unwrap();
        (series.to_owned(), value.parse().unwrap())
    });
    samples.collect()
}

/// The sum over all series of a name that carry all the given labels.
pub fn sum(exposition: &Exposition, name: &str, labels: &[&str]) -> f64 {
    let matching = exposition.iter().filter(|(series, _)| {
        series.split('{').next() == Some(name) && labels.iter().all(|label| series.contains(label))
    });
    matching.map(|(_, value)| value).sum()
}

/// Operations without and with an error.
pub fn operations(exposition: &Exposition) -> (f64, f64) {
    let name = "gen_ai_client_operation_duration_seconds_count";
    let bad = sum(exposition, name, &["error_type="]);
    (sum(exposition, name, &[]) - bad, bad)
}

pub fn verdicts(exposition: &Exposition, verdict: &str) -> f64 {
    sum(exposition, "llm_eval_results_total", &["evaluator=\"faithfulness\"", "sampling=\"random\"", verdict])
}
