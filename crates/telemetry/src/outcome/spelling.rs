//! What the words mean in which sources say how a request ended. Whole spellings alone: a word that merely holds a known one
//! (`NoQuotaConfigured`, `cancel_scope_error`) is another word.

/// The HTTP status of a label that holds one: a number, its class (`5xx`, `5`), a status line, or its phrase.
pub(super) fn status(text: &str) -> Option<u16> {
    if text.is_empty() {
        return None;
    }
    http(text).or_else(|| line(text, 100)).or_else(|| find(PHRASES, &letters(text.rsplit('.').next().unwrap_or(text))))
}

/// A number, or its class; 101 of its class: it ends no request but an upgrade.
pub(super) fn http(text: &str) -> Option<u16> {
    let digits = text.trim_end_matches(['x', 'X']);
    if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let number: u16 = digits.parse().ok()?;
    match (digits.len(), text.len(), number) {
        (1, 1, 0) | (3, 3, 0) => Some(0),
        (1, 1 | 3, 1) => Some(101),
        (1, 1 | 3, 2..=5) => Some(100 * number),
        (3, 3, 100..) => Some(number),
        _ => None,
    }
}

/// The status that a word means, if it is known: a number, a status line, a gRPC status by number or name, the class of an
/// exception, a code of a provider. What is not known went wrong somehow.
pub(super) fn word(text: &str) -> Option<u16> {
    if text.is_empty() {
        return None;
    }
    if let Ok(number) = text.parse::<usize>() {
        return GRPC.get(number).map(|(_, status)| *status).or_else(|| http(text));
    }
    if let Some(status) = line(text, 400) {
        return Some(status);
    }
    // An exception with its message, and what wraps another one, whose cause stands last.
    let first = text.split([':', ',', ';', '(', '{']).next().unwrap_or(text);
    let first = if text.contains("::") && !text.contains(": ") { text } else { first };
    // What stands behind the class of an exception is its message, and may name anything: `KeyError: 'tokens'`.
    let named = letters(class(first));
    let last = if stem(&named) == named { text.rsplit(": ").next().unwrap_or(text) } else { first };
    let names = [text, first, last].into_iter().flat_map(|piece| [letters(piece), letters(class(piece))]);
    let known = |name: &str| find(GRPC, name).or_else(|| find(WORDS, name));
    let known = |name: &str| known(name).or_else(|| known(stem(name)));
    if let Some(status) = find(LIMITS, text) {
        return Some(status);
    }
    names.into_iter().find_map(|name| known(&name).or_else(|| known(own(&name)))).or_else(|| {
        let all = letters(text);
        let begins = |(phrase, _): &&(&str, u16)| text.contains(' ') && all.starts_with(phrase);
        BEGINNINGS.iter().find(begins).map(|(_, status)| *status)
    })
}

/// The number in a sentence that says itself that it is a status, from `least` to 599: `429 Too Many Requests`, `HTTP/1.1
/// 403`, `Error code: 400 - {…}`, `Client error '429 …'`, `code = NotFound` of Go's gRPC.
fn line(text: &str, least: u16) -> Option<u16> {
    let parts: Vec<&str> = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty()).collect();
    let is_announced = |place: usize| {
        let before = parts[..place].iter().rev().find(|part| !matches!(part.as_bytes(), [b'0'..=b'9']));
        let Some(before) = before.map(|part| part.to_ascii_lowercase()) else { return text.starts_with(parts[0]) };
        ["http", "status", "code", "error", "success", "returned"].iter().any(|word| before.ends_with(word))
    };
    parts.iter().enumerate().find_map(|(place, part)| {
        let number = http(part).filter(|status| part.len() == 3 && (least..600).contains(status));
        let named = || {
            let is_code = place > 0 && parts[place - 1].eq_ignore_ascii_case("code");
            let name = letters(part);
            find(GRPC, &name).or_else(|| find(WORDS, &name)).filter(|status| is_code && *status >= least)
        };
        number.filter(|_| is_announced(place)).or_else(named)
    })
}

/// A class without its module or package.
fn class(text: &str) -> &str {
    let class = text.rsplit(['.', '$', '#', '/', '\\']).next().unwrap_or(text);
    class.rsplit("::").next().unwrap_or(class)
}

/// Without the provider's or the library's name, with which a library that wraps several begins its classes:
/// `langchain_openai.chat_models.base.OpenAIRateLimitError`.
fn own(mut name: &str) -> &str {
    while let Some(rest) = PROVIDERS.iter().find_map(|provider| name.strip_prefix(provider)) {
        name = rest;
    }
    name
}

fn find(table: &[(&str, u16)], name: &str) -> Option<u16> {
    table.iter().find(|(word, _)| *word == name).map(|(_, status)| *status)
}

/// Small letters and digits: `RATE_LIMIT`, `rate-limit` and `RateLimit` are one word.
pub(super) fn letters(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// Without what every class of exceptions ends in.
pub(super) fn stem(name: &str) -> &str {
    ["exception", "error", "err"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name)
}

/// The gRPC statuses in their order, each as the HTTP status that it stands for (googleapis, `google/rpc/code.proto`).
pub(super) const GRPC: &[(&str, u16)] = &[
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

/// Phrases of HTTP statuses (RFC 9110), as names of constants have them, too.
pub(super) const PHRASES: &[(&str, u16)] = &[
    ("ok", 200),
    ("created", 201),
    ("accepted", 202),
    ("nocontent", 204),
    ("partialcontent", 206),
    ("movedpermanently", 301),
    ("found", 302),
    ("seeother", 303),
    ("notmodified", 304),
    ("temporaryredirect", 307),
    ("permanentredirect", 308),
    ("badrequest", 400),
    ("unauthorized", 401),
    ("forbidden", 403),
    ("notfound", 404),
    ("methodnotallowed", 405),
    ("unprocessableentity", 422),
    ("unprocessablecontent", 422),
    ("toomanyrequests", 429),
    ("internalservererror", 500),
    ("badgateway", 502),
    ("serviceunavailable", 503),
    ("gatewaytimeout", 504),
];

/// Whole words, without their `Error` or `Exception`. What is not here is a failure: timeouts, lost connections,
/// `BadRequestError`, `invalid_api_key`, `context_length_exceeded`, `content_filter`.
pub(super) const WORDS: &[(&str, u16)] = &[
    // Too many. RateLimitError of the clients of OpenAI, Anthropic, Groq and LiteLLM, RateLimitException (Java, LangChain4j),
    // rate_limit_error (Anthropic); rate_limit_exceeded (OpenAI, Groq), rateLimitExceeded and userRateLimitExceeded (Google's
    // JSON reasons); rate_limited (Mistral), RateLimitReached (Azure); LiteLLM's router.
    ("ratelimit", 429),
    ("ratelimitexceeded", 429),
    ("ratelimited", 429),
    ("ratelimitreached", 429),
    ("userratelimitexceeded", 429),
    ("routerratelimit", 429),
    ("routerratelimiterrorbasic", 429),
    // The phrase of 429 (RFC 6585), TooManyRequests (google-api-core, Spring), TooManyRequestsError (Cohere),
    // TooManyRequestsException (AWS); HTTPTooManyRequests (aiohttp).
    ("toomanyrequests", 429),
    ("httptoomanyrequests", 429),
    // What throttling is called at AWS: botocore's own list (botocore/retries/standard.py). Amazon Bedrock's
    // ModelNotReadyException has the status 429.
    ("throttling", 429),
    ("throttled", 429),
    ("requestthrottled", 429),
    ("ec2throttled", 429),
    ("provisionedthroughputexceeded", 429),
    ("transactioninprogress", 429),
    ("requestlimitexceeded", 429),
    ("bandwidthlimitexceeded", 429),
    ("limitexceeded", 429),
    ("slowdown", 429),
    ("priorrequestnotcomplete", 429),
    ("modelnotready", 429),
    // insufficient_quota (OpenAI), quota_exceeded and quotaExceeded (Google), ServiceQuotaExceededException (Bedrock),
    // exceeded_current_quota_error (Moonshot).
    ("insufficientquota", 429),
    ("quotaexceeded", 429),
    ("servicequotaexceeded", 429),
    ("exceededcurrentquota", 429),
    // Mistral's 429 of code 3505, Groq's 498 of its flex tier, Google's JSON reasons, LiteLLM's key without money.
    ("servicetiercapacityexceeded", 429),
    ("capacityexceeded", 429),
    ("dailylimitexceeded", 429),
    ("budgetexceeded", 429),
    // overloaded_error and OverloadedError (Anthropic, 529), engine_overloaded_error (OpenAI, Moonshot).
    ("overloaded", 529),
    ("engineoverloaded", 529),
    // gRPC's own sentences (tonic, `Code::description`).
    ("someresourcehasbeenexhausted", 429),
    ("theoperationwascancelled", 499),
    // Went away. CancelledError (asyncio, concurrent.futures), Cancelled (trio, google-api-core) are gRPC's word; Canceled and
    // `context canceled` (Go), CanceledError and ERR_CANCELED (axios), CancellationException (Java, Kotlin),
    // OperationCanceledException and TaskCanceledException (.NET, whose HttpClient calls a timeout so, too), HTTP/2's code
    // CANCEL, h2(CANCEL) (Linkerd).
    ("canceled", 499),
    ("contextcanceled", 499),
    ("errcanceled", 499),
    ("requestcanceled", 499),
    ("cancellation", 499),
    ("jobcancellation", 499),
    ("operationcanceled", 499),
    ("taskcanceled", 499),
    ("cancel", 499),
    ("h2cancel", 499),
    // Python's generator that is closed, JavaScript's AbortController (also ABORT_ERR) and what node-fetch says of it, the
    // clients of OpenAI and Anthropic for Node, Next.js, Tomcat, Spring.
    ("generatorexit", 499),
    ("abort", 499),
    ("theuserabortedarequest", 499),
    ("apiuserabort", 499),
    ("responseaborted", 499),
    ("requestaborted", 499),
    ("clientabort", 499),
    ("asyncrequestnotusable", 499),
    // ClientDisconnect (Starlette), ClientDisconnected (uvicorn, LiteLLM), client_disconnect.
    ("clientdisconnect", 499),
    ("clientdisconnected", 499),
    // Cohere's class, nginx' name of 499.
    ("clientclosedrequest", 499),
];

/// Whose errors a class may say that it is.
const PROVIDERS: &[&str] = &[
    "openai",
    "azure",
    "anthropic",
    "bedrock",
    "aws",
    "vertexai",
    "vertex",
    "google",
    "gemini",
    "groq",
    "mistralai",
    "mistral",
    "cohere",
    "litellm",
    "ollama",
    "huggingface",
    "together",
    "fireworks",
    "deepseek",
    "xai",
    "perplexity",
    "cerebras",
    "langchain",
    "llamaindex",
    "api",
    "llm",
    "model",
    "provider",
    "upstream",
];

/// The kinds of OpenAI's limits, which stand in its body as the error's `type`, beside the code rate_limit_exceeded. As they
/// are alone: words as common as these are parts of many others.
const LIMITS: &[(&str, u16)] = &[("tokens", 429), ("requests", 429)];

/// What sentences begin with, behind which the model or the limit stands: OpenAI's and Azure's.
pub(super) const BEGINNINGS: &[(&str, u16)] = &[("ratelimitreachedfor", 429)];
