//! One request on its way: logged, then faults, then the store, then faults again.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request as HttpRequest, Response, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use kube_client::client::Body;
use serde_json::Value;
use tower::Service;

use super::dispatch::{self, Reply};
use super::failure::Failure;
use super::faults::Fault;
use super::log::{Outcome, Request};
use super::path::{self, Target};
use super::server::{ApiServer, Power};
use super::watch;
use crate::clock;

type ReplyBody = BoxBody<Bytes, io::Error>;
type Pending = Pin<Box<dyn Future<Output = Result<Response<ReplyBody>, io::Error>> + Send>>;

/// The server as one client sees it.
#[derive(Debug)]
pub(super) struct Endpoint {
    server: ApiServer,
    agent: String,
}

pub(super) fn service(server: ApiServer, agent: String) -> Endpoint {
    Endpoint { server, agent }
}

impl Service<HttpRequest<Body>> for Endpoint {
    type Response = Response<ReplyBody>;
    type Error = io::Error;
    type Future = Pending;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: HttpRequest<Body>) -> Pending {
        Box::pin(handle(self.server.clone(), self.agent.clone(), request))
    }
}

/// What the faults decided about a request.
enum Course {
    Go { lose_response: bool },
    Refuse(Failure),
    Break,
    Wait(Duration),
    Hang,
    Later(Duration),
}

async fn handle(server: ApiServer, agent: String, http: HttpRequest<Body>) -> Result<Response<ReplyBody>, io::Error> {
    let (parts, body) = http.into_parts();
    let bytes = body.collect_bytes().await.map_err(|e| io::Error::other(e.to_string()))?;
    let header = |name: header::HeaderName| parts.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let query = path::query(parts.uri.query());
    let target = Target::parse(parts.uri.path()).unwrap_or_default();
    let sent = header(header::USER_AGENT);
    let content_type = header(header::CONTENT_TYPE).split(';').next().unwrap_or_default().trim().to_owned();
    let request = Request {
        number: 0,
        agent: if sent.is_empty() { agent } else { sent.to_owned() },
        verb: path::verb(&parts.method, &target, &query),
        path: parts.uri.path().to_owned(),
        query,
        target,
        content_type,
        accept: header(header::ACCEPT).to_owned(),
        body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        time: clock::now(),
        outcome: Outcome::Pending,
    };
    let request = {
        let mut inner = server.lock();
        let request = Request { number: inner.log.len() + 1, ..request };
        inner.log.push(request.clone());
        request
    };
    server.heard();
    let epoch = server.lock().epoch;
    // A stopped server answers what is still waiting when it goes on; a client that gave up has dropped this future.
    server.until(|s| s.lock().power != Power::Stopped).await;
    let lose_response = match course(&server, &request) {
        Course::Go { lose_response } => lose_response,
        Course::Refuse(failure) => return Ok(answer(&server, &request, Err(failure))),
        Course::Break => return Err(broken(&server, &request, Outcome::Dropped)),
        Course::Wait(delay) => {
            tokio::time::sleep(delay).await;
            false
        }
        Course::Hang => {
            server.until(|s| s.lock().epoch != epoch).await;
            return Err(broken(&server, &request, Outcome::Dropped));
        }
        Course::Later(delay) => {
            let late = (server.clone(), request.clone());
            tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                let code = dispatch::dispatch(&late.0, &late.1).map_or_else(|f| f.code, |r| r.code());
                broken(&late.0, &late.1, Outcome::Lost(code));
            });
            return Err(broken(&server, &request, Outcome::Pending));
        }
    };
    let reply = dispatch::dispatch(&server, &request);
    if lose_response {
        let code = reply.as_ref().map_or_else(|f| f.code, Reply::code);
        return Err(broken(&server, &request, Outcome::Lost(code)));
    }
    Ok(answer(&server, &request, reply))
}

fn course(server: &ApiServer, request: &Request) -> Course {
    let mut guard = server.lock();
    let inner = &mut *guard;
    if inner.power == Power::Down || inner.is_dead(&request.agent) {
        return Course::Break;
    }
    if let Some(crash) = &mut inner.crash
        && crash.hits(request)
    {
        let commits = crash.commits;
        inner.dead.insert(crash.matcher.agent.clone());
        drop(guard);
        server.notify();
        return if commits { Course::Go { lose_response: true } } else { Course::Break };
    }
    // Every rule counts every request, so that "the third" means the same whatever other faults there are.
    let hits: Vec<Fault> = inner.rules.iter_mut().filter_map(|r| r.hits(request).then_some(r.fault)).collect();
    match hits.first() {
        Some(Fault::Conflict409) => Course::Refuse(Failure::conflict(&request.target.plural, &request.target.name)),
        Some(Fault::TooMany429 { retry_after }) => {
            let mut failure = Failure::new(429, "too many requests, please try again later");
            failure.retry_after = Some(*retry_after);
            Course::Refuse(failure)
        }
        Some(Fault::Error(code)) => Course::Refuse(Failure::new(*code, "injected")),
        Some(Fault::DropBefore) => Course::Break,
        Some(Fault::DropAfter) => Course::Go { lose_response: true },
        Some(Fault::Delay(delay)) => Course::Wait(*delay),
        Some(Fault::Hang) => Course::Hang,
        Some(Fault::CommitLater(delay)) => Course::Later(*delay),
        None => Course::Go { lose_response: false },
    }
}

fn set_outcome(server: &ApiServer, request: &Request, outcome: Outcome) {
    if let Some(entry) = server.lock().log.get_mut(request.number - 1) {
        entry.outcome = outcome;
    }
    server.heard();
}

fn broken(server: &ApiServer, request: &Request, outcome: Outcome) -> io::Error {
    set_outcome(server, request, outcome);
    io::Error::new(io::ErrorKind::ConnectionReset, "connection reset by peer")
}

fn answer(server: &ApiServer, request: &Request, reply: Result<Reply, Failure>) -> Response<ReplyBody> {
    let (code, body, retry_after) = match reply {
        Ok(Reply::Json(code, value)) => (code, full(&value), None),
        Ok(Reply::Watch(start)) => {
            (200, StreamBody::new(watch::stream(server.clone(), request.clone(), start)).boxed(), None)
        }
        Err(failure) => (failure.code, full(&failure.status()), failure.retry_after),
    };
    set_outcome(server, request, Outcome::Status(code));
    let mut response = Response::new(body);
    *response.status_mut() = http::StatusCode::from_u16(code).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    if let Some(seconds) = retry_after {
        headers.insert(header::RETRY_AFTER, header::HeaderValue::from(seconds));
    }
    response
}

fn full(value: &Value) -> ReplyBody {
    Full::new(Bytes::from(value.to_string())).map_err(|never| match never {}).boxed()
}
