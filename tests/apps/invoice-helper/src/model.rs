use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::header::CONTENT_TYPE;
use hyper::{Request, Uri};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::{Deserialize, Serialize};

const MAX_RESPONSE_BYTES: usize = 1 << 20;

/// A message of a conversation.
#[derive(Clone, Debug, Serialize)]
pub struct Message {
    /// `system` or `user`.
    pub role: &'static str,
    /// The text.
    pub content: String,
}

#[derive(Debug, Serialize)]
struct ChatRequest<'a> {
    model: &'a str,
    messages: &'a [Message],
    max_completion_tokens: u64,
}

#[derive(Debug, Deserialize)]
struct ChatResponse {
    model: String,
    choices: Vec<Choice>,
}

#[derive(Debug, Deserialize)]
struct Choice {
    message: ChoiceMessage,
}

#[derive(Debug, Deserialize)]
struct ChoiceMessage {
    content: String,
}

/// What the model answered.
#[derive(Clone, Debug)]
pub(crate) struct Completion {
    pub(crate) model: String,
    pub(crate) text: String,
    /// The server says that it is a stand-in.
    pub(crate) stand_in: bool,
}

/// Why there is no answer. Nothing of the server's response is kept: it could hold the question.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// No answer in time.
    #[error("the model did not answer in time")]
    Timeout,
    /// Another status than 200.
    #[error("the model answered with status {0}")]
    Status(u16),
    /// No connection, or one that broke.
    #[error("the model cannot be reached")]
    Transport,
    /// Not a chat completion.
    #[error("the model's answer cannot be read")]
    Malformed,
}

impl ModelError {
    /// `error.type` of the OpenTelemetry conventions: a status, `timeout`, or the fallback `_OTHER`.
    pub(crate) fn error_type(&self) -> String {
        match self {
            Self::Timeout => "timeout".to_owned(),
            Self::Status(code) => code.to_string(),
            Self::Transport | Self::Malformed => "_OTHER".to_owned(),
        }
    }
}

/// A client that keeps its connections.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    http: HttpClient<HttpConnector, Full<Bytes>>,
    endpoint: Uri,
    timeout: Duration,
}

impl Model {
    pub(crate) fn new(endpoint: Uri, timeout: Duration) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(Duration::from_secs(2)));
        Self { http: HttpClient::builder(TokioExecutor::new()).build(connector), endpoint, timeout }
    }

    pub(crate) async fn complete(
        &self,
        model: &str,
        messages: &[Message],
        max_tokens: u64,
    ) -> Result<Completion, ModelError> {
        tokio::time::timeout(self.timeout, self.call(model, messages, max_tokens))
            .await
            .unwrap_or(Err(ModelError::Timeout))
    }

    async fn call(&self, model: &str, messages: &[Message], max_tokens: u64) -> Result<Completion, ModelError> {
        let body = serde_json::to_vec(&ChatRequest { model, messages, max_completion_tokens: max_tokens })
            .map_err(|_| ModelError::Malformed)?;
        let request = Request::post(&self.endpoint)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::from(body))
            .map_err(|_| ModelError::Transport)?;
        let response = self.http.request(request).await.map_err(|_| ModelError::Transport)?;
        let status = response.status();
        let stand_in = response.headers().contains_key("x-model-stub");
        // Read in any case: an unread body would cost the connection.
        let body = Limited::new(response.into_body(), MAX_RESPONSE_BYTES).collect().await;
        if !status.is_success() {
            return Err(ModelError::Status(status.as_u16()));
        }
        let body = body.map_err(|_| ModelError::Transport)?.to_bytes();
        let response: ChatResponse = serde_json::from_slice(&body).map_err(|_| ModelError::Malformed)?;
        let choice = response.choices.into_iter().next().ok_or(ModelError::Malformed)?;
        Ok(Completion { model: response.model, text: choice.message.content, stand_in })
    }
}
