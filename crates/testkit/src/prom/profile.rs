//! What a test says about traffic, and the dice.

use std::time::Duration;

use microapp_core::simulate::traffic::Rng;

/// How a revision behaves under traffic. Rates are shares of its own requests.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// Share of requests that fail.
    pub error_rate: f64,
    /// Their `error_type`.
    pub error_type: String,
    /// Share of requests that the application answers with 401 before it calls the model.
    pub refused: f64,
    /// Half of the requests are faster, in seconds.
    pub latency_median: f64,
    /// 95 of 100 are faster, in seconds; between them a log-normal distribution.
    pub latency_p95: f64,
    /// Mean number of input tokens.
    pub input_tokens: f64,
    /// Mean number of output tokens.
    pub output_tokens: f64,
    /// Share of judged answers that are hallucinated.
    pub hallucination: f64,
    /// Share of judged answers on which the judge abstains.
    pub abstain: f64,
    /// Share of answers that are judged, at random.
    pub judged: f64,
    /// From an answer to its verdict.
    pub verdict_after: Duration,
    /// `evaluator_version`.
    pub evaluator_version: String,
    /// What the provider says it ran; `None`: what the pod's `MODEL_NAME` and `MODEL_VERSION` say.
    pub response_model: Option<String>,
    /// Requests never end.
    pub hangs: bool,
    /// The pods export nothing (they are scraped, and `up` is 0).
    pub silent: bool,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            error_rate: 0.002,
            error_type: "500".into(),
            refused: 0.0,
            latency_median: 0.4,
            latency_p95: 1.2,
            input_tokens: 800.0,
            output_tokens: 200.0,
            hallucination: 0.01,
            abstain: 0.0,
            judged: 1.0,
            verdict_after: Duration::from_secs(2),
            evaluator_version: "1".into(),
            response_model: None,
            hangs: false,
            silent: false,
        }
    }
}

/// The application that is used, and how much.
#[derive(Clone, Debug)]
pub struct Traffic {
    /// Namespace of the rollout.
    pub namespace: String,
    /// Name of the rollout: of its route, and of the Service that takes over where there is no route.
    pub name: String,
    /// Requests per second, Poisson.
    pub rps: f64,
    /// Same seed, same run.
    pub seed: u64,
    /// Scrape interval.
    pub scrape: Duration,
    /// From a pod's address to its first scrape, at least.
    pub discovery: Duration,
    /// `evaluator`.
    pub evaluator: String,
    /// Nobody scrapes the pods: they push (OTLP), each at the interval of a scrape.
    pub pushes: bool,
}

impl Traffic {
    /// 20 requests per second, scraped every five seconds.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
            rps: 20.0,
            seed: 1,
            scrape: Duration::from_secs(5),
            discovery: Duration::from_secs(2),
            evaluator: "faithfulness".into(),
            pushes: false,
        }
    }

    /// Lets the pods push.
    #[must_use]
    pub fn pushes(mut self) -> Self {
        self.pushes = true;
        self
    }

    /// Sets requests per second.
    #[must_use]
    pub fn rps(mut self, rps: f64) -> Self {
        self.rps = rps;
        self
    }

    /// Sets the seed.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets the scrape interval.
    #[must_use]
    pub fn scrape(mut self, interval: Duration) -> Self {
        self.scrape = interval;
        self
    }
}

/// The dice of the fake traffic: the generator of the simulations, with what requests need.
#[derive(Clone, Debug)]
pub(super) struct Dice(Rng);

impl Dice {
    /// The same seed throws the same.
    pub const fn new(seed: u64) -> Self {
        Self(Rng::from_state(seed))
    }

    /// Uniform in [0, 1).
    pub fn unit(&mut self) -> f64 {
        self.0.unit()
    }

    /// True with this probability.
    pub fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    /// Milliseconds to the next of `rate` events per second.
    pub fn gap(&mut self, rate: f64) -> f64 {
        -(1.0 - self.unit()).ln() / rate * 1000.0
    }

    /// Log-normal, by its median and its 95th percentile.
    pub fn latency(&mut self, median: f64, p95: f64) -> f64 {
        let sigma = (p95 / median).max(1.0).ln() / 1.645;
        median * (sigma * self.0.normal()).exp()
    }

    /// A whole number around a mean, with a spread of a third.
    pub fn tokens(&mut self, mean: f64) -> f64 {
        let sigma = 0.33_f64;
        (mean * (sigma * self.0.normal() - sigma * sigma / 2.0).exp()).round().max(1.0)
    }

    /// An index, with these weights; `None` where all are zero.
    pub fn weighted(&mut self, weights: &[f64]) -> Option<usize> {
        let mut left = self.unit() * weights.iter().sum::<f64>();
        let last = weights.iter().rposition(|w| *w > 0.0)?;
        let found = weights.iter().position(|w| {
            left -= w;
            left < 0.0
        });
        Some(found.unwrap_or(last))
    }
}
