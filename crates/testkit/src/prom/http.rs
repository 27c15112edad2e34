//! The same answers over HTTP.

use std::collections::BTreeMap;
use std::io;

use axum::body::Body;
use axum::extract::{RawForm, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use tokio::net::TcpListener;

use super::{Shared, answer};
use crate::clock;

pub(super) async fn serve(shared: Shared) -> io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let routes = axum::Router::new()
        .route("/api/v1/query", get(query).post(query))
        .route("/-/ready", get(|| async { "Prometheus Server is Ready.\n" }))
        .with_state(shared);
    // It ends with the test's runtime.
    tokio::spawn(async move { axum::serve(listener, routes).await });
    Ok(url)
}

async fn query(State(shared): State<Shared>, RawForm(form): RawForm) -> Response {
    let form: BTreeMap<String, String> = form_urlencoded::parse(&form).into_owned().collect();
    let promql = form.get("query").map_or("", String::as_str);
    let time = form.get("time").and_then(|t| t.parse::<f64>().ok());
    let at = time.map_or_else(clock::now_millis, |t| (t * 1000.0).round() as i64);
    let mut response = Response::new(Body::empty());
    if let Ok(answered) = answer::answer(&shared, promql, at).await {
        *response.status_mut() = axum::http::StatusCode::from_u16(answered.status).unwrap_or_default();
        let content_type = axum::http::HeaderValue::from_static(answered.content_type);
        response.headers_mut().insert(CONTENT_TYPE, content_type);
        *response.body_mut() = Body::from(answered.body);
    } else {
        // A body that fails is as near to a refused connection as a server that listens can come.
        let broken = futures::stream::iter([Err::<Bytes, _>(io::Error::from(io::ErrorKind::ConnectionReset))]);
        *response.body_mut() = Body::from_stream(broken);
    }
    response
}
