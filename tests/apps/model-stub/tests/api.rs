//! The API as a client sees it.
#![allow(clippy::unwrap_used)]
use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use model_stub::{Config, STAND_IN_HEADER, router};
use serde_json::{Value, json};
use tower::ServiceExt as _;

const INVOICE: &str =
    "Number: INV-7\nTotal: 1,487.50 EUR\nDue date: 2026-03-31\nCustomer: Blue Heron GmbH\n\nQuestion: ";

fn stub(settings: &[(&str, &str)]) -> Router {
    let lookup = |name: &str| settings.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    let fixed = |name: &str| match name {
        "STUB_BASE_MS" | "STUB_JITTER_MS" => Some("0".to_owned()),
        "STUB_SEED" => Some("11".to_owned()),
        _ => None,
    };
    router(Config::from_lookup(|name| lookup(name).or_else(|| fixed(name))).unwrap())
}

async fn send(stub: &Router, request: Request<Body>) -> Response<Body> {
    stub.clone().oneshot(request).await.unwrap()
}

async fn chat(stub: &Router, system: &str, question: &str, limit: Option<u64>) -> Value {
    let messages =
        json!([{"role": "system", "content": system}, {"role": "user", "content": format!("{INVOICE}{question}")}]);
    let body = json!({"model": "gpt-5-nano-2025-08-07", "messages": messages, "max_completion_tokens": limit});
    let request = Request::post("/v1/chat/completions")
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()))
        .unwrap();
    let response = send(stub, request).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()[STAND_IN_HEADER], "true");
    serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap()
}

fn text(answer: &Value) -> &str {
    answer["choices"][0]["message"]["content"].as_str().unwrap()
}

fn output(answer: &Value) -> u64 {
    answer["usage"]["completion_tokens"].as_u64().unwrap()
}

#[tokio::test]
async fn an_answer_holds_the_fact_that_was_asked_for_and_names_the_asked_model() {
    let answer = chat(&stub(&[]), "Be brief.", "When is it due?", None).await;
    assert!(text(&answer).contains("INV-7"), "{answer}");
    assert!(text(&answer).contains("2026-03-31"), "{answer}");
    assert!(!text(&answer).contains("Blue Heron"), "{answer}");
    assert_eq!(answer["model"], "gpt-5-nano-2025-08-07");
    assert_eq!(answer["system_fingerprint"], "model-stub");
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
}

#[tokio::test]
async fn verbosity_multiplies_the_output_tokens() {
    let plain = output(&chat(&stub(&[]), "Be brief.", "What is the total?", None).await);
    let long = output(&chat(&stub(&[]), "Be brief.\nVerbosity: 3", "What is the total?", None).await);
    assert!((3 * plain..5 * plain).contains(&long), "{plain} tokens became {long}");
}

#[tokio::test]
async fn the_limit_cuts_the_answer_at_exactly_that_many_tokens() {
    let answer = chat(&stub(&[]), "verbosity: 3", "What is the total?", Some(17)).await;
    assert_eq!(output(&answer), 17);
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
}

#[tokio::test]
async fn an_inventing_answer_has_other_numbers_even_where_the_fact_has_none() {
    for question in ["What is the total?", "Who is the customer?"] {
        let answer = chat(&stub(&[]), "invent: 1", question, None).await;
        assert!(text(&answer).contains("4,710.83 EUR"), "{answer}");
        assert!(!text(&answer).contains("1,487.50"), "{answer}");
    }
}

#[tokio::test]
async fn a_moved_alias_shows_in_every_answer() {
    let stub = stub(&[("STUB_MODEL", "gpt-5-nano-2026-01-15")]);
    assert_eq!(chat(&stub, "", "What is the total?", None).await["model"], "gpt-5-nano-2026-01-15");
}

#[tokio::test]
async fn every_page_says_that_it_is_a_stand_in() {
    for path in ["/", "/healthz", "/v1/models", "/nowhere"] {
        let response = send(&stub(&[]), Request::get(path).body(Body::empty()).unwrap()).await;
        assert_eq!(response.headers()[STAND_IN_HEADER], "true", "{path}");
    }
    let page = send(&stub(&[]), Request::get("/").body(Body::empty()).unwrap()).await;
    let page = page.into_body().collect().await.unwrap().to_bytes();
    assert!(std::str::from_utf8(&page).unwrap().contains("stand-in for a language model"));
}
