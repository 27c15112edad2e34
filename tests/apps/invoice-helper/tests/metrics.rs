//! What a scrape shows after known requests.
#![allow(clippy::unwrap_used)]
// Counts: exact in f64.
#![allow(clippy::float_cmp)]
mod common;

use std::collections::BTreeSet;
use std::path::Path;

use common::{ask, get, operations, parse, scrape, start, start_app, start_stub, sum, verdicts};
use hyper::StatusCode;
use invoice_helper::{FACTS, Message, conversation, count};
use serde_json::json;

const PINNED: &str = "gen_ai_response_model=\"gpt-5-nano-2025-08-07\"";

#[tokio::test]
async fn every_request_is_counted_once_with_its_model_tokens_and_verdict() {
    let app = start(&[]).await;
    let (mut input, mut output) = (0.0, 0.0);
    for _ in 0..25 {
        let response = ask(app, "When is it due?").await;
        assert_eq!(response.status, StatusCode::OK);
        assert_eq!(response.headers["x-revision"], "7c9fk2bv4x");
        let answer = response.json();
        assert!(answer["answer"].as_str().unwrap().contains("2026-03-31"), "{answer}");
        assert_eq!((&answer["verdict"], &answer["stand_in"]), (&json!("pass"), &json!(true)));
        assert_eq!(answer["tokens"]["output"], count(answer["answer"].as_str().unwrap()));
        input += answer["tokens"]["input"].as_f64().unwrap();
        output += answer["tokens"]["output"].as_f64().unwrap();
    }
    let seen = scrape(app).await;
    assert_eq!(operations(&seen), (25.0, 0.0));
    let pinned = ["gen_ai_operation_name=\"chat\"", "gen_ai_provider_name=\"openai\"", PINNED];
    assert_eq!(sum(&seen, "gen_ai_client_operation_duration_seconds_count", &pinned), 25.0);
    for (kind, tokens) in [("gen_ai_token_type=\"input\"", input), ("gen_ai_token_type=\"output\"", output)] {
        assert_eq!(sum(&seen, "gen_ai_client_token_usage_count", &[kind, PINNED]), 25.0);
        assert_eq!(sum(&seen, "gen_ai_client_token_usage_sum", &[kind, PINNED]), tokens);
    }
    assert_eq!(sum(&seen, "llm_eval_started_total", &["revision=\"7c9fk2bv4x\"", "unit=\"request\""]), 25.0);
    assert_eq!(verdicts(&seen, "verdict=\"pass\""), 25.0);
    assert_eq!(verdicts(&seen, "verdict=\"fail\""), 0.0);
    assert_eq!(sum(&seen, "llm_eval_lag_seconds_count", &[]), 25.0);
    assert!(sum(&seen, "process_start_time_seconds", &[]) > 1.7e9);
}

#[tokio::test]
async fn our_token_counts_are_those_that_the_server_bills() {
    let stub = start_stub(&[]).await;
    let messages = [
        Message { role: "system", content: "Be brief.".to_owned() },
        Message { role: "user", content: format!("{FACTS}\nQuestion: What is the total, naïvely?") },
    ];
    let request = json!({"model": "gpt-5-nano-2025-08-07", "messages": messages});
    let answer = common::post(stub, "/v1/chat/completions", &request).await.json();
    assert_eq!(answer["usage"]["prompt_tokens"], conversation(&messages));
    assert_eq!(
        answer["usage"]["completion_tokens"],
        count(answer["choices"][0]["message"]["content"].as_str().unwrap())
    );
}

#[tokio::test]
async fn a_request_without_a_question_asks_a_sample_that_can_be_judged() {
    let app = start(&[]).await;
    for _ in 0..5 {
        assert_eq!(get(app, "/ask").await.json()["verdict"], "pass");
    }
    assert_eq!(get(app, "/ask?q=When%20is%20it%20due").await.status, StatusCode::OK);
    assert_eq!(operations(&scrape(app).await), (6.0, 0.0));
}

#[tokio::test]
async fn what_is_no_question_is_refused_and_is_no_operation() {
    let app = start(&[]).await;
    let response = common::post(app, "/ask", &json!({"query": "?"})).await;
    assert_eq!(response.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(response.headers["x-revision"], "7c9fk2bv4x");
    assert_eq!(operations(&scrape(app).await), (0.0, 0.0));
}

#[tokio::test]
async fn a_model_that_cannot_be_reached_is_an_error_without_a_response_model() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let app = start_app(nobody, &[]).await;
    assert_eq!(ask(app, "When is it due?").await.status, StatusCode::BAD_GATEWAY);
    let seen = scrape(app).await;
    assert_eq!(operations(&seen), (0.0, 1.0));
    assert_eq!(sum(&seen, "gen_ai_client_operation_duration_seconds_count", &["error_type=\"_OTHER\""]), 1.0);
    assert_eq!(sum(&seen, "gen_ai_client_operation_duration_seconds_count", &["gen_ai_response_model"]), 0.0);
}

#[tokio::test]
async fn a_model_that_is_too_slow_is_a_timeout() {
    let stub = start_stub(&[("STUB_BASE_MS", "60000")]).await;
    let app = start_app(stub, &[("MODEL_TIMEOUT_MS", "20")]).await;
    assert_eq!(ask(app, "When is it due?").await.status, StatusCode::GATEWAY_TIMEOUT);
    let seen = scrape(app).await;
    assert_eq!(sum(&seen, "gen_ai_client_operation_duration_seconds_count", &["error_type=\"timeout\""]), 1.0);
}

#[tokio::test]
async fn a_user_who_hangs_up_is_counted_all_the_same() {
    let app = start(&[("FAULT_SLOW_RATE", "1"), ("FAULT_SLOW_MS", "300")]).await;
    let impatient = tokio::time::timeout(std::time::Duration::from_millis(100), ask(app, "When is it due?")).await;
    assert!(impatient.is_err());
    let mut seen = scrape(app).await;
    while operations(&seen) != (1.0, 0.0) {
        tokio::task::yield_now().await;
        seen = scrape(app).await;
    }
}

/// The other tests of this repository that need an exposition take this one.
#[tokio::test]
async fn the_captured_exposition_has_the_names_and_labels_of_a_real_one() {
    let app = start(&[("FAULT_ERROR_RATE", "0.3"), ("FAULT_HALLUCINATION_RATE", "0.3")]).await;
    for _ in 0..40 {
        get(app, "/ask").await;
    }
    let text = get(app, "/metrics").await.body;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/exposition.txt");
    if std::env::var_os("UPDATE_EXPOSITION").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let captured = std::fs::read_to_string(&path).unwrap();
    let shape = |text: &str| {
        let comments = text.lines().filter(|line| line.starts_with('#')).map(str::to_owned);
        comments.chain(parse(text).into_keys()).collect::<BTreeSet<_>>()
    };
    assert_eq!(shape(&captured), shape(&text), "to capture again: UPDATE_EXPOSITION=1 cargo test -p invoice-helper");
    for bound in ["le=\"0.01\"", "le=\"2.56\"", "le=\"81.92\"", "le=\"6.7108864e+07\""] {
        assert!(captured.contains(bound), "{bound}");
    }
}
