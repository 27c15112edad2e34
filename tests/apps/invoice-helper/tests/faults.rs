//! Each fault, as the metrics show it.
#![allow(clippy::unwrap_used)]
// Counts: exact in f64.
#![allow(clippy::float_cmp)]
mod common;

use common::{ask, get, operations, scrape, start, start_app, start_stub, sum, verdicts};
use hyper::StatusCode;

const OUTPUT: &str = "gen_ai_token_type=\"output\"";

#[tokio::test]
async fn errors_are_answered_with_500_and_counted_with_their_type() {
    let app = start(&[("FAULT_ERROR_RATE", "0.4")]).await;
    let (mut good, mut bad) = (0.0, 0.0);
    for _ in 0..60 {
        match ask(app, "What is the total?").await.status {
            StatusCode::OK => good += 1.0,
            StatusCode::INTERNAL_SERVER_ERROR => bad += 1.0,
            status => panic!("{status}"),
        }
    }
    assert!(good > 0.0 && bad > 0.0);
    let seen = scrape(app).await;
    assert_eq!(operations(&seen), (good, bad));
    assert_eq!(sum(&seen, "gen_ai_client_operation_duration_seconds_count", &["error_type=\"server_error\""]), bad);
    // The tokens were spent in either case; only an answer is judged.
    assert_eq!(sum(&seen, "gen_ai_client_token_usage_count", &[OUTPUT]), 60.0);
    assert_eq!(sum(&seen, "llm_eval_started_total", &[]), good);
}

#[tokio::test]
async fn the_base_error_rate_is_an_error_rate() {
    let app = start(&[("BASE_ERROR_RATE", "1")]).await;
    assert_eq!(ask(app, "What is the total?").await.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(operations(&scrape(app).await), (0.0, 1.0));
}

#[tokio::test]
async fn an_error_first_leaves_the_series_of_the_successes_at_zero() {
    let app = start(&[("FAULT_ERROR_RATE", "1")]).await;
    ask(app, "What is the total?").await;
    let success = |series: &&String| series.contains("duration_seconds_count{") && !series.contains("error_type");
    let seen = scrape(app).await;
    let success = seen.keys().find(success).unwrap();
    assert_eq!(seen[success], 0.0);
}

#[tokio::test]
async fn slow_answers_are_slow_for_the_user() {
    let app = start(&[("FAULT_SLOW_RATE", "1"), ("FAULT_SLOW_MS", "170")]).await;
    ask(app, "What is the total?").await;
    let seen = scrape(app).await;
    let bucket = |le| sum(&seen, "gen_ai_client_operation_duration_seconds_bucket", &[le]);
    assert_eq!((bucket("le=\"0.16\""), bucket("le=\"+Inf\"")), (0.0, 1.0));
}

#[tokio::test]
async fn verbosity_more_than_doubles_the_price_of_a_request() {
    // Pico-USD per token of gpt-5-nano: 0.05 and 0.40 USD per million.
    let price = async |settings: &[(&str, &str)]| {
        let app = start(settings).await;
        for _ in 0..20 {
            get(app, "/ask").await;
        }
        let seen = scrape(app).await;
        let tokens = |kind| sum(&seen, "gen_ai_client_token_usage_sum", &[kind]);
        (tokens("gen_ai_token_type=\"input\"") * 50_000.0 + tokens(OUTPUT) * 400_000.0) / 20.0
    };
    let (plain, verbose) = (price(&[]).await, price(&[("FAULT_VERBOSITY", "3")]).await);
    assert!(verbose > 2.0 * plain, "{plain} pUSD became {verbose}");
}

#[tokio::test]
async fn hallucinations_are_seen_by_the_judge_and_only_by_the_judge() {
    let app = start(&[("FAULT_HALLUCINATION_RATE", "0.4")]).await;
    let (mut pass, mut fail) = (0.0, 0.0);
    for _ in 0..60 {
        let answer = get(app, "/ask").await.json();
        match answer["verdict"].as_str().unwrap() {
            "pass" => pass += 1.0,
            "fail" => fail += 1.0,
            verdict => panic!("{verdict}"),
        }
    }
    assert!(pass > 0.0 && fail > 0.0);
    let seen = scrape(app).await;
    assert_eq!((verdicts(&seen, "verdict=\"pass\""), verdicts(&seen, "verdict=\"fail\"")), (pass, fail));
    assert_eq!(operations(&seen), (60.0, 0.0));
}

#[tokio::test]
async fn another_model_shows_in_the_request_and_an_alias_that_moved_only_in_the_response() {
    let app = start(&[("FAULT_MODEL", "gpt-5-mini-2025-08-07")]).await;
    ask(app, "What is the total?").await;
    let name = "gen_ai_client_operation_duration_seconds_count";
    let both = ["gen_ai_request_model=\"gpt-5-mini-2025-08-07\"", "gen_ai_response_model=\"gpt-5-mini-2025-08-07\""];
    assert_eq!(sum(&scrape(app).await, name, &both), 1.0);

    let moved = start_app(start_stub(&[("STUB_MODEL", "gpt-5-nano-2026-01-15")]).await, &[]).await;
    ask(moved, "What is the total?").await;
    let both = ["gen_ai_request_model=\"gpt-5-nano-2025-08-07\"", "gen_ai_response_model=\"gpt-5-nano-2026-01-15\""];
    assert_eq!(sum(&scrape(moved).await, name, &both), 1.0);
}

#[tokio::test]
async fn a_prompt_directory_alone_can_be_the_bad_revision() {
    let prompts = tempfile::tempdir().unwrap();
    let directory = prompts.path().to_str().unwrap();
    std::fs::write(prompts.path().join("system.md"), "Answer at length.\nverbosity: 4\n").unwrap();
    std::fs::write(prompts.path().join("faults.json"), r#"{"hallucination_rate": 1, "error_rate": 0}"#).unwrap();
    let app = start(&[("PROMPTS_DIR", directory), ("FAULT_ERROR_RATE", "1")]).await;
    let answer = ask(app, "What is the total?").await.json();
    assert_eq!(answer["verdict"], "fail");
    assert!(answer["tokens"]["output"].as_u64().unwrap() > 200, "{answer}");
}

#[tokio::test]
async fn a_prompt_directory_without_a_prompt_is_refused() {
    let prompts = tempfile::tempdir().unwrap();
    let directory = prompts.path().to_str().unwrap().to_owned();
    let lookup = move |name: &str| (name == "PROMPTS_DIR").then(|| directory.clone());
    let error = invoice_helper::Config::from_lookup(lookup).unwrap_err();
    assert!(error.to_string().ends_with("system.md is missing"), "{error}");
}
