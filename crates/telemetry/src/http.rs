//! The one part that talks to Prometheus. Every call has its own deadline and size limit; no byte of a foreign body
//! reaches an error.

use std::{fmt, future::Future, path::PathBuf, pin::Pin, time::Duration};

use futures::future::try_join_all;
use microapp_core::counts::{Ask, Counts, Unknown, Watch};
use prometheus_http_query::{Client, Error};
use reqwest::{
    Response,
    header::{AUTHORIZATION, DATE, HeaderValue},
    redirect::Policy,
};

use crate::{
    baseline,
    decode::{DecodeError, decode},
    digest::digest,
    exposed,
    prices::PriceTable,
    query::{Brings, Query, Subject, queries},
    series::Answer,
};

const CONNECT: Duration = Duration::from_secs(2);
const TOTAL: Duration = Duration::from_secs(10);
/// The largest answer that is read, in bytes.
const LARGEST: usize = 8 << 20;

/// A boxed future that can move between threads.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What Prometheus itself may take: less than we wait, so that it is its own word that a query is too expensive.
const EVALUATION: Duration = Duration::from_secs(8);
/// The largest answer to a query of the user's, which is to be one number, in bytes.
const ONE: usize = 64 << 10;

/// Whoever answers instant queries.
pub trait Prometheus: Send + Sync {
    /// Evaluates a query at a time in seconds since the epoch.
    fn query<'a>(&'a self, promql: &'a str, time: f64) -> Boxed<'a, Result<Answer, QueryError>>;

    /// The same of a user's own query, which is to be one number. Whoever has many rollouts to serve answers these apart,
    /// so that a slow one delays nothing else.
    fn value<'a>(&'a self, promql: &'a str, time: f64) -> Boxed<'a, Result<Answer, QueryError>> {
        self.query(promql, time)
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum QueryError {
    /// The address is no URL, or TLS could not be set up.
    #[error("the address of Prometheus cannot be used")]
    Address,
    /// The file with the bearer token cannot be read or holds no token.
    #[error("the token file {path} cannot be used")]
    Token {
        /// Which file.
        path: PathBuf,
    },
    /// No connection.
    #[error("Prometheus cannot be reached")]
    Connect,
    /// No whole answer in time.
    #[error("Prometheus did not answer in time")]
    Timeout,
    /// The connection broke off.
    #[error("the connection to Prometheus broke off")]
    Broken,
    /// A status other than success without Prometheus' own error.
    #[error("status {status} with {length} bytes")]
    Status {
        /// The HTTP status.
        status: u16,
        /// Of the body.
        length: usize,
    },
    /// More than 8 MiB, or than a number takes.
    #[error("the answer is too large")]
    TooLarge,
    /// Not usable.
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

impl QueryError {
    /// A metric label and event reason.
    pub const fn category(&self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Token { .. } => "token",
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Broken => "broken",
            Self::Status { .. } => "status",
            Self::TooLarge | Self::Decode(DecodeError::TooMany) => "too_large",
            Self::Decode(DecodeError::NotPrometheus { .. } | DecodeError::NoSeries) => "not_prometheus",
            Self::Decode(DecodeError::Refused { kind }) => kind,
            Self::Decode(DecodeError::Value) => "value",
        }
    }

    /// Is the server at fault, whatever was asked?
    pub const fn is_of_the_server(&self) -> bool {
        match self {
            Self::Connect | Self::Timeout | Self::Broken | Self::Decode(DecodeError::NotPrometheus { .. }) => true,
            Self::Status { status, .. } => *status >= 500,
            Self::Address | Self::Token { .. } | Self::TooLarge | Self::Decode(_) => false,
        }
    }

    /// What the gates make of it.
    pub fn unknown(&self) -> Unknown {
        match self {
            Self::Decode(DecodeError::Value) => Unknown::NotANumber,
            // Its own limits: `--query.timeout`, `--query.max-samples` and the like.
            Self::TooLarge
            | Self::Decode(
                DecodeError::TooMany | DecodeError::Refused { kind: "timeout" | "execution" | "canceled" },
            ) => Unknown::TooExpensive,
            Self::Address
            | Self::Token { .. }
            | Self::Connect
            | Self::Timeout
            | Self::Broken
            | Self::Status { .. }
            | Self::Decode(_) => Unknown::Unreachable,
        }
    }
}

/// Asks and digests: [`queries`], all at the same time, then [`digest()`]. Where an hour of stable was too little for a
/// baseline, it is asked again about more; where a gate's series are missing, once what stable exposes instead. The error,
/// if there was one, is for the log.
pub async fn ask(
    prometheus: &dyn Prometheus,
    subject: &Subject,
    ask: &Ask,
    watch: &Watch,
    prices: &PriceTable,
    now: f64,
) -> (Counts, Option<QueryError>) {
    let Found { mut counts, lacking, error } = once(prometheus, subject, ask, watch, prices, now).await;
    if let (Some(back), Counts::Baseline { gates, .. }) = (baseline::further(&counts), &counts) {
        let further = Subject { back: Some(back), ..subject.settled(gates) };
        let more = once(prometheus, &further, ask, watch, prices, now).await;
        // The hour is an answer, too.
        if more.error.is_none() && matches!(more.counts, Counts::Baseline { .. }) {
            counts = baseline::joined(counts, more.counts);
        }
    }
    exposed::advise(prometheus, subject, &lacking, &mut counts, now).await;
    (counts, error)
}

/// What one round of questions brought.
struct Found {
    counts: Counts,
    /// The gates under whose names there is nothing.
    lacking: Vec<String>,
    error: Option<QueryError>,
}

async fn once(
    prometheus: &dyn Prometheus,
    subject: &Subject,
    ask: &Ask,
    watch: &Watch,
    prices: &PriceTable,
    now: f64,
) -> Found {
    let queries = queries(subject, ask, watch, now);
    let one = async |query: &Query| match query.brings {
        // A query of the user's concerns its own gate alone.
        Brings::Value(_) => Ok(match prometheus.value(&query.promql, query.time).await {
            Ok(mut answer) => {
                // One is an answer, and two say that it is none.
                answer.series.truncate(2);
                answer.series.shrink_to_fit();
                answer
            }
            Err(error) => Answer { failed: Some(error.unknown()), ..Answer::default() },
        }),
        Brings::Raw | Brings::Slices => prometheus.query(&query.promql, query.time).await,
    };
    match try_join_all(queries.iter().map(one)).await {
        Ok(answers) => {
            let counts = digest(subject, ask, watch, &answers, prices, now);
            let lacking = exposed::lacking(subject, &counts, &queries, &answers);
            Found { counts, lacking, error: None }
        }
        Err(error) => Found { counts: Counts::Silent(error.unknown()), lacking: Vec::new(), error: Some(error) },
    }
}

/// Prometheus' HTTP API.
#[derive(Clone)]
pub struct HttpPrometheus {
    client: Client,
    token_file: Option<PathBuf>,
}

impl fmt::Debug for HttpPrometheus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpPrometheus").field("token_file", &self.token_file).finish_non_exhaustive()
    }
}

impl HttpPrometheus {
    /// `url`: what comes before `/api/v1`. The token file is read for each query, since tokens are rotated.
    pub fn new(url: &str, token_file: Option<PathBuf>) -> Result<Self, QueryError> {
        // Fails where another part of the process has chosen a provider already: then that one serves.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .timeout(TOTAL)
            .redirect(Policy::none())
            .user_agent(concat!("microapp-rollouts/", env!("CARGO_PKG_VERSION")));
        if !url.starts_with("https:") {
            // An image without root certificates must still be able to speak plain HTTP.
            builder = builder.tls_certs_only([]);
        }
        let client = builder.build().map_err(|_| QueryError::Address)?;
        let client = Client::from(client, url).map_err(|_| QueryError::Address)?;
        Ok(Self { client, token_file })
    }

    async fn send(&self, promql: &str, time: f64, largest: usize) -> Result<Answer, QueryError> {
        let mut query = self.client.query(promql).query("time", format!("{time:.3}"));
        query = query.query("timeout", format!("{}s", EVALUATION.as_secs()));
        if let Some(token) = self.token().await? {
            query = query.header(AUTHORIZATION, token);
        }
        // The crate's own decoding drops warnings: a partial answer would look whole.
        let response = query.post_raw().await.map_err(|error| failed(&error))?;
        let (status, date) = (response.status(), date(&response));
        let body = read(response, largest).await?;
        match decode(&body) {
            Ok(answer) if status.is_success() => Ok(Answer { date, ..answer }),
            Err(DecodeError::Refused { kind }) => Err(DecodeError::Refused { kind }.into()),
            Err(error) if status.is_success() => Err(error.into()),
            Ok(_) | Err(_) => Err(QueryError::Status { status: status.as_u16(), length: body.len() }),
        }
    }

    async fn token(&self) -> Result<Option<HeaderValue>, QueryError> {
        let Some(path) = &self.token_file else { return Ok(None) };
        let unusable = || QueryError::Token { path: path.clone() };
        let token = tokio::fs::read_to_string(path).await.map_err(|_| unusable())?;
        let mut value = HeaderValue::try_from(format!("Bearer {}", token.trim())).map_err(|_| unusable())?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

impl Prometheus for HttpPrometheus {
    fn query<'a>(&'a self, promql: &'a str, time: f64) -> Boxed<'a, Result<Answer, QueryError>> {
        Box::pin(self.send(promql, time, LARGEST))
    }

    fn value<'a>(&'a self, promql: &'a str, time: f64) -> Boxed<'a, Result<Answer, QueryError>> {
        Box::pin(self.send(promql, time, ONE))
    }
}

async fn read(mut response: Response, largest: usize) -> Result<Vec<u8>, QueryError> {
    if response.content_length().is_some_and(|length| length > largest as u64) {
        return Err(QueryError::TooLarge);
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| broken(&error))? {
        if body.len() + chunk.len() > largest {
            return Err(QueryError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn date(response: &Response) -> Option<f64> {
    let text = response.headers().get(DATE)?.to_str().ok()?;
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(date.as_second() as f64)
}

fn failed(error: &Error) -> QueryError {
    match error {
        Error::Client(client) => {
            let source = std::error::Error::source(client).and_then(|source| source.downcast_ref::<reqwest::Error>());
            source.map_or(QueryError::Broken, broken)
        }
        Error::ParseUrl(_) => QueryError::Address,
        _ => QueryError::Broken,
    }
}

fn broken(error: &reqwest::Error) -> QueryError {
    if error.is_connect() {
        QueryError::Connect
    } else if error.is_timeout() {
        QueryError::Timeout
    } else {
        QueryError::Broken
    }
}
