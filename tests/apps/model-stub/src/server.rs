use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::{Wording, compose};
use crate::{Config, tokens};

/// The header that every response carries, with the value `true`.
pub const STAND_IN_HEADER: &str = "x-model-stub";

const PAGE: &str = "This is model-stub, a stand-in for a language model. It is no model: it reads facts out of the request \
and puts them into sentences.\nPOST /v1/chat/completions, GET /v1/models, GET /healthz\n";

#[derive(Debug)]
struct Stub {
    config: Config,
    random: Mutex<fastrand::Rng>,
}

#[derive(Debug, Deserialize)]
struct ChatRequest {
    model: String,
    messages: Vec<Message>,
    max_tokens: Option<u64>,
    // The name that newer models insist on.
    max_completion_tokens: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Message {
    role: String,
    content: String,
}

impl ChatRequest {
    fn content(&self, role: &str) -> String {
        self.messages.iter().filter(|m| m.role == role).map(|m| m.content.as_str()).collect::<Vec<_>>().join("\n")
    }
}

/// The API. Loads the vocabulary first, so that a server that listens is ready.
pub fn router(config: Config) -> Router {
    tokens::load();
    let random = Mutex::new(fastrand::Rng::with_seed(config.seed));
    Router::new()
        .route("/", get(async || PAGE))
        .route("/healthz", get(async || "ok\n"))
        .route("/v1/models", get(models))
        .route("/v1/chat/completions", post(chat))
        .layer(map_response(mark))
        .with_state(Arc::new(Stub { config, random }))
}

async fn mark(mut response: Response) -> Response {
    response.headers_mut().insert(STAND_IN_HEADER, HeaderValue::from_static("true"));
    response
}

async fn models(State(stub): State<Arc<Stub>>) -> Json<Value> {
    let id = stub.config.model.as_deref().unwrap_or("model-stub");
    Json(json!({"object": "list", "data": [{"id": id, "object": "model", "created": 0, "owned_by": "model-stub"}]}))
}

async fn chat(State(stub): State<Arc<Stub>>, Json(request): Json<ChatRequest>) -> Json<Value> {
    let limit = request.max_completion_tokens.or(request.max_tokens);
    let (answer, delay, id) = {
        let mut random = stub.random.lock().unwrap_or_else(PoisonError::into_inner);
        let delay = stub.config.base + stub.config.jitter.mul_f64(random.f64());
        let answer = compose(&request.content("user"), Wording::of(&request.content("system")), limit, &mut random);
        (answer, delay, random.u64(..))
    };
    tokio::time::sleep(delay).await;
    let prompt = tokens::conversation(request.messages.iter().map(|m| (m.role.as_str(), m.content.as_str())));
    let completion = tokens::count(&answer.text);
    Json(json!({
        "id": format!("chatcmpl-stub-{id:016x}"),
        "object": "chat.completion",
        "created": SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d: Duration| d.as_secs()),
        "model": stub.config.model.as_ref().unwrap_or(&request.model),
        "system_fingerprint": "model-stub",
        "choices": [{
            "index": 0,
            "message": {"role": "assistant", "content": answer.text},
            "finish_reason": if answer.cut { "length" } else { "stop" },
        }],
        "usage": {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion},
    }))
}
