//! A stand-in for a provider of models: OpenAI's chat completions and Anthropic's messages, whole and streamed. The first
//! word of the last message says what befalls the call; what was answered to the end is billed.
//!
//! It is no model, and it is not `tests/apps/model-stub`: that one always answers, and well.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use bytes::Bytes;
use futures::stream;
use serde::Deserialize;
use serde_json::{Value, json};

/// Tokens of every prompt: about those of `apps/prompt.txt`.
pub const INPUT: u64 = 100;
/// Among them, of a call with a cached prompt.
pub const CACHED: u64 = 50;
/// Tokens of every answer.
pub const OUTPUT: u64 = 20;
/// What is slow takes so long: over the bound of 2.56 s that the gates have.
pub const SLOW: Duration = Duration::from_millis(3_400);
/// From one chunk to the next.
const CHUNK: Duration = Duration::from_millis(40);
/// As many as make about [`OUTPUT`] tokens of [`WORDS`], for whoever counts them himself.
const CHUNKS: u32 = 10;
const WORDS: &str = "owed is ";
/// Models by the name that is asked for, that of the answer, and in the case of another one that one's.
const MODELS: [[&str; 3]; 2] = [
    ["gpt-5-nano", "gpt-5-nano-2025-08-07", "gpt-5-mini-2025-08-07"],
    ["claude-haiku-4-5", "claude-haiku-4-5-20251001", "claude-3-5-haiku-20241022"],
];

/// What one caller's calls came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bill {
    /// Calls that arrived.
    pub calls: u64,
    /// Calls that were answered to the end.
    pub answered: u64,
    /// Of those the ones with a cached prompt.
    pub cached: u64,
    /// And the ones that another model answered.
    pub other: u64,
}

impl Bill {
    /// What came since an earlier one.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            calls: self.calls - earlier.calls,
            answered: self.answered - earlier.answered,
            cached: self.cached - earlier.cached,
            other: self.other - earlier.other,
        }
    }
}

/// What every caller's calls came to, by the first segment of the path.
#[derive(Clone, Debug, Default)]
pub struct Bills(Arc<Mutex<BTreeMap<String, Bill>>>);

impl Bills {
    /// Of one caller.
    pub fn of(&self, caller: &str) -> Bill {
        self.all().get(caller).copied().unwrap_or_default()
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Bill>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answered(&self, call: &Call) {
        let mut all = self.all();
        let bill = all.entry(call.caller.clone()).or_default();
        bill.answered += 1;
        bill.cached += u64::from(call.case == "cached");
        bill.other += u64::from(call.case == "othermodel");
    }
}

#[derive(Debug, Deserialize)]
struct Request {
    model: String,
    messages: Vec<Value>,
    #[serde(default)]
    stream: bool,
    #[serde(default)]
    stream_options: Value,
}

/// One call.
#[derive(Clone, Debug)]
struct Call {
    caller: String,
    case: String,
    model: String,
    usage: bool,
    bills: Bills,
}

impl Call {
    fn new(bills: &Bills, caller: String, request: &Request) -> Self {
        bills.all().entry(caller.clone()).or_default().calls += 1;
        let last = request.messages.last().map(|message| &message["content"]);
        let text = last.and_then(|content| content.as_str().or_else(|| content[0]["text"].as_str())).unwrap_or("");
        let case = text.split(':').next().unwrap_or("").trim().to_owned();
        let known = MODELS.iter().find(|[asked, ..]| *asked == request.model);
        let model = known.map(|[_, own, other]| if case == "othermodel" { other } else { own });
        let model = model.map_or_else(|| request.model.clone(), |model| (*model).to_owned());
        let usage = request.stream_options["include_usage"] == json!(true);
        Self { caller, case, model, usage, bills: bills.clone() }
    }

    /// The refusal that the case asks for, as OpenAI words it.
    fn refused(&self) -> Option<Response> {
        let status = StatusCode::from_u16(self.case.parse().ok()?).ok()?;
        let kind = match status.as_u16() {
            401 | 403 => "authentication_error",
            404 => "not_found_error",
            429 => "rate_limit_error",
            500.. => "server_error",
            _ => "invalid_request_error",
        };
        let error = json!({"message": format!("asked for {status}"), "type": kind, "code": null, "param": null});
        Some((status, Json(json!({"type": "error", "error": error}))).into_response())
    }

    fn text(&self) -> &'static str {
        if self.case == "notjson" { "Sure! Here is what you asked for." } else { r#"{"owed": "12.50"}"# }
    }

    fn stop(&self) -> &'static str {
        if self.case == "length" { "length" } else { "stop" }
    }

    fn cached(&self) -> u64 {
        if self.case == "cached" { CACHED } else { 0 }
    }

    /// Before anything is answered.
    fn delay(&self) -> Duration {
        match self.case.as_str() {
            "slow" | "late" | "leftask" => SLOW,
            // Longer than the app waits.
            "timeout" => Duration::from_secs(2),
            _ => Duration::ZERO,
        }
    }

    /// Between two chunks.
    fn pause(&self) -> Duration {
        match self.case.as_str() {
            "slowstream" | "left" => SLOW / CHUNKS,
            _ => CHUNK,
        }
    }
}

/// The API.
pub fn router(bills: Bills) -> Router {
    Router::new()
        .route("/{caller}/v1/chat/completions", post(openai))
        .route("/{caller}/v1/messages", post(anthropic))
        .with_state(bills)
}

async fn openai(State(bills): State<Bills>, Path(caller): Path<String>, Json(request): Json<Request>) -> Response {
    let call = Call::new(&bills, caller, &request);
    if let Some(refused) = call.refused() {
        return refused;
    }
    tokio::time::sleep(call.delay()).await;
    let usage = json!({
        "prompt_tokens": INPUT, "completion_tokens": OUTPUT, "total_tokens": INPUT + OUTPUT,
        "prompt_tokens_details": {"cached_tokens": call.cached()},
    });
    if !request.stream {
        let choice =
            json!({"index": 0, "message": {"role": "assistant", "content": call.text()}, "finish_reason": call.stop()});
        return whole(
            &call,
            &json!({"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": call.model, "choices": [choice], "usage": usage}),
        );
    }
    let event = |choices: Value, usage: Value| {
        let chunk = json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": call.model, "choices": choices, "usage": usage});
        format!("data: {chunk}\n\n")
    };
    let one = |delta: Value, stop: Value| json!([{"index": 0, "delta": delta, "finish_reason": stop}]);
    let mut events: Vec<String> = (0..CHUNKS)
        .map(|_| event(one(json!({"role": "assistant", "content": WORDS}), Value::Null), Value::Null))
        .collect();
    events.push(event(one(json!({}), json!(call.stop())), Value::Null));
    if call.usage {
        events.push(event(json!([]), usage));
    }
    events.push("data: [DONE]\n\n".to_owned());
    streamed(call, events)
}

async fn anthropic(State(bills): State<Bills>, Path(caller): Path<String>, Json(request): Json<Request>) -> Response {
    let call = Call::new(&bills, caller, &request);
    if let Some(refused) = call.refused() {
        return refused;
    }
    tokio::time::sleep(call.delay()).await;
    // Cached tokens are not among the input tokens here.
    let fresh = INPUT - call.cached();
    let stop = if call.stop() == "length" { "max_tokens" } else { "end_turn" };
    let usage = |output: u64| json!({"input_tokens": fresh, "output_tokens": output, "cache_read_input_tokens": call.cached(), "cache_creation_input_tokens": 0});
    let message = |content: Value, stop: Value, usage: Value| json!({"id": "msg_1", "type": "message", "role": "assistant", "model": call.model, "content": content, "stop_reason": stop, "stop_sequence": null, "usage": usage});
    if !request.stream {
        let content = json!([{"type": "text", "text": call.text()}]);
        return whole(&call, &message(content, json!(stop), usage(OUTPUT)));
    }
    let event = |data: Value| format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap_or_default());
    let mut events = vec![
        event(json!({"type": "message_start", "message": message(json!([]), Value::Null, usage(1))})),
        event(json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})),
    ];
    let word = json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": WORDS}});
    events.extend((0..CHUNKS).map(|_| event(word.clone())));
    events.push(event(json!({"type": "content_block_stop", "index": 0})));
    let delta = json!({"stop_reason": stop, "stop_sequence": null});
    events.push(event(json!({"type": "message_delta", "delta": delta, "usage": {"output_tokens": OUTPUT}})));
    events.push(event(json!({"type": "message_stop"})));
    streamed(call, events)
}

fn whole(call: &Call, answer: &Value) -> Response {
    if call.case == "reset" {
        let torn = stream::iter([Ok(Bytes::from_static(b"{")), Err(std::io::Error::other("asked to break off"))]);
        return ([(header::CONTENT_TYPE, "application/json")], Body::from_stream(torn)).into_response();
    }
    call.bills.answered(call);
    Json(answer).into_response()
}

/// One event after the other; whoever leaves gets no bill. A broken one ends after half of them, in the middle.
fn streamed(call: Call, events: Vec<String>) -> Response {
    let half = events.len() / 2;
    let chunks = stream::unfold((Some(call), events.into_iter().enumerate()), move |(call, mut rest)| async move {
        let call = call?;
        let Some((nth, event)) = rest.next() else {
            call.bills.answered(&call);
            return None;
        };
        if call.case == "break" && nth == half {
            return Some((Err(std::io::Error::other("asked to break off")), (None, rest)));
        }
        if nth > 0 {
            tokio::time::sleep(call.pause()).await;
        }
        Some((Ok(Bytes::from(event)), (Some(call), rest)))
    });
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(chunks)).into_response()
}

/// Serves for as long as this process lives; gives the port.
///
/// # Errors
/// No port is free.
pub async fn serve(port: u16, bills: Bills) -> std::io::Result<u16> {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        let _ = axum::serve(listener, router(bills)).await;
    });
    Ok(port)
}
