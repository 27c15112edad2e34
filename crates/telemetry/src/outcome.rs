//! How a request ended, for every source: presets say which labels tell it, and the table here says what the labels' words
//! mean. A word means an HTTP status, which both readings share: what users get, and what a revision gets that calls a
//! model.

use crate::series::Series;

/// Whose requests a source counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Requests of users to the application, and what they were answered. 4xx are the client's own fault.
    Users,
    /// Calls of the application to a model. The revision under test is the client, and so its 4xx are failures: a wrong
    /// key, a model that does not exist, a prompt that is too long.
    Calls,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It was answered.
    Good,
    /// It was not, or not to the end.
    Failed,
    /// It was refused as the client's own fault.
    Refused,
    /// It was refused since there were too many.
    Throttled,
    /// The client cancelled it, or went away.
    Left,
}

/// The labels in which a source says how a request ended; `""` where it has none of the kind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told {
    /// An HTTP status: a number, or its class (`5xx`, `5`).
    pub(crate) status: &'static str,
    /// What an earlier generation of the source calls that label.
    pub(crate) older: &'static str,
    /// A gRPC status, in which a request ends whose HTTP status is 200.
    pub(crate) grpc: &'static str,
    /// The protocol of which `status` is, where that may be gRPC.
    pub(crate) protocol: &'static str,
    /// Envoy's response flags.
    pub(crate) flags: &'static str,
    /// What went wrong: a class of exceptions, a code of a provider, a status.
    pub(crate) error: &'static str,
    /// Says `failure` where all labels together mean one.
    pub(crate) class: &'static str,
    /// What a series means whose labels say nothing.
    pub(crate) silent: Ending,
}

/// A source without any such label.
pub(crate) const UNTOLD: Told =
    Told { status: "", older: "", grpc: "", protocol: "", flags: "", error: "", class: "", silent: Ending::Good };

/// An `error.type` that says nothing (OpenTelemetry semantic conventions: the fallback value). Python's instrumentation of
/// WSGI applications writes it for a stream that its user left as for any other end.
pub(crate) const OTHER: &str = "_OTHER";

impl Told {
    /// How the requests of a series ended.
    pub(crate) fn ending(&self, whose: Counted, series: &Series) -> Ending {
        match whose {
            Counted::Users => self.of_users(series),
            Counted::Calls => self.of_calls(series),
        }
    }

    /// The status comes first: an answer of 500 failed, whatever else is said. After a good one it is told whether the
    /// answer was finished.
    fn of_users(&self, series: &Series) -> Ending {
        let is_grpc = !self.protocol.is_empty() && series.label(self.protocol).starts_with("grpc");
        let [status, older, grpc, error] =
            [self.status, self.older, self.grpc, self.error].map(|label| series.label(label));
        let status = if status.is_empty() { older } else { status };
        let (status, grpc) = if is_grpc { ("", status) } else { (status, grpc) };
        let left = || is_connection_to_the_user(error) || word(error) == Some(499);
        // `500`, `5xx`, `500.0`, `500 Internal Server Error`.
        let status = http(status).or_else(|| word(status).filter(|_| is_said(status)));
        let ending = [status, word(grpc), flagged(series.label(self.flags))].into_iter().flatten().map(of_status);
        match ending.into_iter().find(|ending| *ending != Ending::Good) {
            Some(ending) => ending,
            None if !is_said(error) => {
                if series.label(self.class) == "failure" {
                    Ending::Failed
                } else {
                    self.silent
                }
            }
            None if left() => Ending::Left,
            // What broke a stream that was begun with 200; only a number is a status that somebody was answered.
            None => http(error).filter(|status| *status >= 400).map_or(Ending::Failed, of_status),
        }
    }

    fn of_calls(&self, series: &Series) -> Ending {
        let [status, grpc, error] = [self.status, self.grpc, self.error].map(|label| series.label(label));
        let mut ending = self.silent;
        for text in [status, grpc, error].into_iter().filter(|text| is_said(text)) {
            match word(text) {
                Some(499) => return Ending::Left,
                Some(429 | 529) => ending = Ending::Throttled,
                Some(..400) => {}
                Some(_) | None if ending == Ending::Throttled => {}
                Some(_) | None => ending = Ending::Failed,
            }
        }
        ending
    }
}

/// What a user got. 0: Istio, when the client was gone before the answer; 499: nginx and Traefik.
const fn of_status(status: u16) -> Ending {
    match status {
        0 | 499 => Ending::Left,
        429 => Ending::Throttled,
        400..=499 => Ending::Refused,
        500.. => Ending::Failed,
        1..=399 => Ending::Good,
    }
}

/// Does the label hold anything? Python writes `None` for nothing.
fn is_said(text: &str) -> bool {
    !["", "none", "null", "-"].iter().any(|nothing| text.eq_ignore_ascii_case(nothing))
}

/// A status, or its class.
fn http(text: &str) -> Option<u16> {
    let digits = text.trim_end_matches(['x', 'X']);
    let number: u16 = digits.parse().ok()?;
    match (digits.len(), text.len()) {
        (1, 1 | 3) => Some(100 * number),
        (3, 3) => Some(number),
        _ => None,
    }
}

/// Envoy's flags of a response that was begun and not finished (envoyproxy.io, "Access logging", `%RESPONSE_FLAGS%`):
/// upstream connection terminated or reset, protocol error, timeouts of a stream, overload. DC: the client went away.
fn flagged(flags: &str) -> Option<u16> {
    const BROKEN: [&str; 10] = ["UC", "UR", "UF", "UPE", "UT", "SI", "DT", "UMSDR", "LR", "OM"];
    let has = |known: &[&str]| flags.split(',').any(|flag| known.contains(&flag));
    if has(&["DC"]) { Some(499) } else { has(&BROKEN).then_some(502) }
}

/// FastAPI's own telemetry raises it where the user went away in mid-stream (fastapi 0.165, `telemetry/_asgi.py`); one of a
/// module (`requests.exceptions.ConnectionError`) is of a connection that the application made.
fn is_connection_to_the_user(error: &str) -> bool {
    ["ConnectionError", "builtins.ConnectionError"].contains(&error)
}

/// The status that a word means, if it is known: a number, a status line, a gRPC status by number or name, the class of an
/// exception, a code of a provider. What is not known went wrong somehow.
fn word(text: &str) -> Option<u16> {
    if text.is_empty() {
        return None;
    }
    if let Ok(number) = text.parse::<usize>() {
        return GRPC.get(number).map(|(_, status)| *status).or_else(|| http(text));
    }
    // `429 Too Many Requests`, `HTTP 429`, `Error code: 429 - {…}`.
    let number = |part: &str| http(part).filter(|status| part.len() == 3 && (400..600).contains(status));
    if let Some(status) = text.split(|c: char| !c.is_ascii_alphanumeric()).find_map(number) {
        return Some(status);
    }
    // The class without its module or package, the exception without its message.
    let class = text.rsplit(['.', '$', '#', '/', '\\']).next().unwrap_or(text);
    let class = class.rsplit("::").next().unwrap_or(class);
    let known = |name: &str| {
        let known = GRPC.iter().chain(WORDS).find(|(word, _)| *word == name);
        known.map(|(_, status)| *status)
    };
    let all = letters(text);
    [letters(class), letters(text.split(": ").next().unwrap_or(text))]
        .iter()
        .find_map(|name| known(name.as_str()).or_else(|| known(stem(name))))
        .or_else(|| PARTS.iter().find(|(part, _)| all.contains(part)).map(|(_, status)| *status))
}

/// Small letters and digits: `RATE_LIMIT`, `rate-limit` and `RateLimit` are one word.
fn letters(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// Without what every class of exceptions ends in.
fn stem(name: &str) -> &str {
    ["exception", "error", "err"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name)
}

/// The gRPC statuses in their order, each as the HTTP status that it stands for (googleapis, `google/rpc/code.proto`).
const GRPC: &[(&str, u16)] = &[
    ("ok", 200),
    ("cancelled", 499),
    ("unknown", 500),
    ("invalidargument", 400),
    ("deadlineexceeded", 504),
    ("notfound", 404),
    ("alreadyexists", 409),
    ("permissiondenied", 403),
    ("resourceexhausted", 429),
    ("failedprecondition", 400),
    ("aborted", 409),
    ("outofrange", 400),
    ("unimplemented", 501),
    ("internal", 500),
    ("unavailable", 503),
    ("dataloss", 500),
    ("unauthenticated", 401),
];

/// Whole words, without their `Error` or `Exception`. What is not here and has none of the [`PARTS`] is a failure:
/// timeouts, lost connections, `BadRequestError`, `invalid_api_key`, `context_length_exceeded`, `content_filter`.
const WORDS: &[(&str, u16)] = &[
    // Too many. The kinds of OpenAI's limits stand in its body as the error's `type`, beside the code rate_limit_exceeded.
    ("tokens", 429),
    ("requests", 429),
    // Amazon Bedrock's ModelNotReadyException has the status 429; the next are botocore's own list of what throttling is
    // called (botocore/retries/standard.py), without those that say so themselves.
    ("modelnotready", 429),
    ("provisionedthroughputexceeded", 429),
    ("transactioninprogress", 429),
    ("requestlimitexceeded", 429),
    ("bandwidthlimitexceeded", 429),
    ("limitexceeded", 429),
    ("slowdown", 429),
    ("priorrequestnotcomplete", 429),
    // Mistral's 429 of code 3505, Groq's 498 of its flex tier, Google's JSON reasons, LiteLLM's key without money.
    ("servicetiercapacityexceeded", 429),
    ("capacityexceeded", 429),
    ("dailylimitexceeded", 429),
    ("budgetexceeded", 429),
    // Went away. Python's generator that is closed, JavaScript's AbortController (also ABORT_ERR), the clients of OpenAI and
    // Anthropic for Node, Next.js, Tomcat, Spring.
    ("generatorexit", 499),
    ("abort", 499),
    ("apiuserabort", 499),
    ("responseaborted", 499),
    ("requestaborted", 499),
    ("clientabort", 499),
    ("asyncrequestnotusable", 499),
    // Cohere's class, nginx' name of 499.
    ("clientclosedrequest", 499),
];

/// Parts of words.
const PARTS: &[(&str, u16)] = &[
    // RateLimitError of the clients of OpenAI, Anthropic, Groq and LiteLLM, RateLimitException (Java, LangChain4j),
    // rate_limit_error (Anthropic), rate_limit_exceeded (OpenAI), rate_limited (Mistral), RateLimitReached (Azure).
    ("ratelimit", 429),
    // The phrase of 429 (RFC 6585), TooManyRequests (google-api-core, Spring), TooManyRequestsError (Cohere),
    // TooManyRequestsException (AWS).
    ("toomanyrequests", 429),
    // ThrottlingException, Throttling, ThrottledException, RequestThrottled, EC2ThrottledException (AWS).
    ("throttl", 429),
    // insufficient_quota (OpenAI), quota_exceeded, quotaExceeded (Google), ServiceQuotaExceededException (Bedrock),
    // exceeded_current_quota_error (Moonshot).
    ("quota", 429),
    // RESOURCE_EXHAUSTED in a sentence (google-genai: `429 RESOURCE_EXHAUSTED. {…}`).
    ("resourceexhausted", 429),
    // overloaded_error and OverloadedError (Anthropic, 529), engine_overloaded_error (OpenAI, Moonshot).
    ("overloaded", 529),
    // Go's `net/http: request canceled (Client.Timeout exceeded while awaiting headers)`: nobody went away.
    ("timeout", 504),
    ("timedout", 504),
    // CancelledError (asyncio, concurrent.futures), Cancelled (trio, google-api-core), `context canceled` and Canceled (Go),
    // CanceledError and ERR_CANCELED (axios), CancellationException (Java, Kotlin), OperationCanceledException and
    // TaskCanceledException (.NET, whose HttpClient calls a timeout so, too), h2(CANCEL) (Linkerd).
    ("cancel", 499),
    // ClientDisconnect (Starlette), ClientDisconnected (uvicorn, LiteLLM), client_disconnect.
    ("clientdisconnect", 499),
    // `The user aborted a request` (node-fetch).
    ("useraborted", 499),
];

#[cfg(test)]
mod tests;
