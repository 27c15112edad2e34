use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use axum::extract::{Query, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use prometheus_client::encoding::prometheus_text;
use serde::Deserialize;
use serde_json::json;

use crate::faults::{Dice, Draw};
use crate::invoice::{FACTS, SAMPLE_QUESTIONS};
use crate::judge::judge;
use crate::metrics::{Metrics, Operation};
use crate::model::{Message, Model, ModelError};
use crate::{Config, tokens};

/// The header that names the revision in every response.
pub const REVISION_HEADER: &str = "x-revision";

const PAGE: &str = "invoice-helper answers questions about one invoice.\n\
POST /ask {\"question\": \"When is it due?\"}, GET /ask?q=…, GET /healthz, GET /metrics\n";

/// The app and all that it counts.
#[derive(Debug)]
pub struct App {
    config: Config,
    model: Model,
    dice: Dice,
    metrics: Metrics,
    samples: AtomicUsize,
}

#[derive(Debug, Deserialize)]
struct Ask {
    question: String,
}

#[derive(Debug, Deserialize)]
struct AskQuery {
    q: Option<String>,
}

impl App {
    /// Loads the tokenizer first, so that an app that listens is ready.
    pub fn new(config: Config) -> Arc<Self> {
        tokens::load();
        Arc::new(Self {
            model: Model::new(config.endpoint.clone(), config.model_timeout),
            dice: Dice::new(config.faults.seed, &config.pod),
            metrics: Metrics::new(&config.revision, config.rollout()),
            samples: AtomicUsize::new(0),
            config,
        })
    }

    /// The HTTP interface.
    pub fn router(self: &Arc<Self>) -> Router {
        Router::new()
            .route("/", get(async || PAGE))
            .route("/healthz", get(async || "ok\n"))
            .route("/metrics", get(metrics))
            .route("/ask", get(ask_sample).post(ask_json))
            .layer(from_fn_with_state(Arc::clone(self), mark))
            .with_state(Arc::clone(self))
    }

    async fn ask(&self, question: &str) -> Response {
        let start = Instant::now();
        let draw = self.dice.draw(&self.config.faults, self.config.base_error_rate);
        tokio::time::sleep(draw.delay).await;
        let messages = self.messages(question, draw);
        let model = &self.config.model;
        let mut operation = Operation { provider: &self.config.provider, request_model: model, response_model: None };
        let completion = match self.model.complete(model, &messages, self.config.max_tokens).await {
            Ok(completion) => completion,
            Err(error) => {
                tracing::warn!(%error, "no answer");
                self.metrics.operation(operation, start.elapsed(), Some(&error.error_type()));
                return failure(&error);
            }
        };
        operation.response_model = Some(&completion.model);
        let (input, output) = (tokens::conversation(&messages), tokens::count(&completion.text));
        self.metrics.usage(operation, input, output);
        if draw.error {
            self.metrics.operation(operation, start.elapsed(), Some("server_error"));
            return (StatusCode::INTERNAL_SERVER_ERROR, Json(json!({"error": "server_error"}))).into_response();
        }
        let answered = Instant::now();
        self.metrics.evaluation_started();
        let verdict = judge(FACTS, &completion.text);
        self.metrics.evaluation_done(verdict, answered.elapsed());
        self.metrics.operation(operation, start.elapsed(), None);
        if draw.unusable {
            return (StatusCode::INTERNAL_SERVER_ERROR, Json(json!({"error": "unusable_answer"}))).into_response();
        }
        Json(json!({
            "answer": completion.text,
            "revision": self.config.revision,
            "model": completion.model,
            "stand_in": completion.stand_in,
            "tokens": {"input": input, "output": output},
            "verdict": verdict.as_str(),
        }))
        .into_response()
    }

    fn messages(&self, question: &str, draw: Draw) -> [Message; 2] {
        let verbosity = self.config.faults.verbosity;
        let lines = [
            Some(self.config.system.clone()),
            (verbosity > 1.0).then(|| format!("verbosity: {verbosity}")),
            draw.invent.then(|| "invent: 1".to_owned()),
        ];
        let system = lines.into_iter().flatten().collect::<Vec<_>>().join("\n");
        let user = format!("{FACTS}\nQuestion: {question}");
        [Message { role: "system", content: system }, Message { role: "user", content: user }]
    }
}

fn failure(error: &ModelError) -> Response {
    let status = match error {
        ModelError::Timeout => StatusCode::GATEWAY_TIMEOUT,
        ModelError::Status(429) => StatusCode::TOO_MANY_REQUESTS,
        ModelError::Status(_) | ModelError::Transport | ModelError::Malformed => StatusCode::BAD_GATEWAY,
    };
    (status, Json(json!({"error": error.error_type()}))).into_response()
}

async fn ask_json(State(app): State<Arc<App>>, Json(ask): Json<Ask>) -> Response {
    detached(app, ask.question).await
}

async fn ask_sample(State(app): State<Arc<App>>, Query(query): Query<AskQuery>) -> Response {
    let sample = || {
        let turn = app.samples.fetch_add(1, Ordering::Relaxed);
        SAMPLE_QUESTIONS[turn % SAMPLE_QUESTIONS.len()].to_owned()
    };
    let question = query.q.unwrap_or_else(sample);
    detached(app, question).await
}

/// Answers in a task of its own. A user who hangs up would drop the request otherwise, and with it the observation:
/// exactly the slow ones would be missing.
async fn detached(app: Arc<App>, question: String) -> Response {
    tokio::spawn(async move { app.ask(&question).await })
        .await
        .unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

async fn metrics(State(app): State<Arc<App>>) -> Response {
    match app.metrics.encode() {
        Ok(text) => ([(CONTENT_TYPE, prometheus_text::CONTENT_TYPE)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn mark(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if let Ok(revision) = HeaderValue::from_str(&app.config.revision) {
        response.headers_mut().insert(HeaderName::from_static(REVISION_HEADER), revision);
    }
    response
}
