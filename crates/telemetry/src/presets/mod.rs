//! Presets: which metric families a gate reads and which label separates the revisions. Data, one file each.

mod envoy;
mod evals;
mod istio;
mod linkerd;
mod litellm;
mod names;
mod nginx;
mod otel_genai;
mod otel_http;
mod traefik;
mod vllm;

use microapp_core::strategy::{Gate, GateKind, Preset, Share, Slow};

use crate::{
    outcome::{Counted, Ending, Told},
    own::per_second,
    part::Part,
    pin,
    pin::Pins,
    pushed::Names,
    series::Series,
};

/// How the targets of a preset are told apart, and which query brings them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// Each pod is a target (`pod`, `job`, `instance`) and serves one revision.
    Pods,
    /// The same, but the pods push (OTLP): nobody scrapes them, so that there is no `up`.
    Pushed(Names),
    /// A gateway (`job`, `instance`) exposes both revisions.
    Gateway(Door),
    /// Whoever judges (`pod`, `job`, `instance`) exposes both revisions, by the label `revision`.
    Evals,
}

/// Whose gateway, and so how it tells revisions apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Door {
    /// By `envoy_cluster_name`.
    Envoy,
    /// By `service`, which ends in the Service's namespace and name.
    Traefik,
    /// By `namespace` and `service`.
    Nginx,
    /// By `api_key_alias`.
    Litellm,
}

impl Scheme {
    /// All of them, in a fixed order.
    pub(crate) const ALL: [Self; 8] = [
        Self::Pods,
        Self::Pushed(Names::Attributes),
        Self::Pushed(Names::Plain),
        Self::Gateway(Door::Envoy),
        Self::Gateway(Door::Traefik),
        Self::Gateway(Door::Nginx),
        Self::Gateway(Door::Litellm),
        Self::Evals,
    ];

    /// Does one target expose both revisions for all it serves, in a namespace of its own?
    pub(crate) const fn is_gateway(self) -> bool {
        matches!(self, Self::Gateway(_))
    }

    /// By which labels series name their namespace and their pod.
    pub(crate) const fn names(self) -> Names {
        match self {
            Self::Pushed(names) => names,
            Self::Pods | Self::Gateway(_) | Self::Evals => Names::Plain,
        }
    }

    /// Where preflight asks for stable's series, the surest first. What pods push with the labels of a scrape comes with
    /// [`Self::Pods`].
    pub(crate) fn ways(self) -> impl Iterator<Item = Self> {
        let pushed = (self == Self::Pods).then_some(Self::Pushed(Names::Attributes));
        std::iter::once(self).chain(pushed)
    }

    /// The letter that begins the keys of its watermarks.
    pub(crate) const fn letter(self) -> char {
        match self {
            Self::Pods => 'p',
            Self::Pushed(_) => 'o',
            Self::Gateway(_) => 'g',
            Self::Evals => 'e',
        }
    }
}

/// A preset: the names behind the gates. What a source does not have is left as in [`NOTHING`].
#[derive(Debug)]
pub(crate) struct Definition {
    /// See [`Scheme`].
    pub(crate) scheme: Scheme,
    /// Whose requests it counts; `None`: verdicts, no requests.
    pub(crate) side: Option<Counted>,
    /// Counters of requests, in order of preference: one is pinned.
    pub(crate) requests: &'static [&'static str],
    /// Which series of all these families stand for a request of a user.
    pub(crate) user: fn(&Series) -> bool,
    /// Where it says how requests ended: which failed, and which were answered.
    pub(crate) ended: Which,
    /// How the counter of requests itself says which were answered, where another one says which failed.
    pub(crate) answered: Option<Told>,
    /// Where it says which were refused as the client's own fault; of users only.
    pub(crate) refused: Which,
    /// Where it says which were refused because there were too many.
    pub(crate) throttled: Which,
    /// Which answers were cut off at the limit of their length.
    pub(crate) truncated: Option<Cut>,
    /// Histograms of durations without their suffix, in order of preference: one is pinned.
    pub(crate) durations: &'static [&'static str],
    /// The same for the time to the first token of a streamed answer.
    pub(crate) first_token: &'static [&'static str],
    /// The same for the time from one token to the next.
    pub(crate) per_token: &'static [&'static str],
    /// Histograms of how long streams took to their end, counted beside the requests.
    pub(crate) generation: &'static [&'static str],
    /// How many of their units are one second, where their names do not say it.
    pub(crate) per_second: Option<i64>,
    /// Counters of tokens; those of one generation are pinned together.
    pub(crate) tokens: &'static [Generation],
    /// Labels that name the model that answered, the surest first.
    pub(crate) model: &'static [&'static str],
    /// The first of them is known once the answer is there: a good call without it was counted before.
    pub(crate) names_answers: bool,
    /// What to know of that name, where it is not what the provider answered with.
    pub(crate) model_is: Option<&'static str>,
    /// Counters of requests that have these labels, in order of preference; none: the counters of requests have.
    pub(crate) by_model: &'static [&'static str],
    /// Counters of USD, in order of preference.
    pub(crate) spend: &'static [&'static str],
    /// Gauges of how full the key-value cache is, 0 to 1, in order of preference.
    pub(crate) cache: &'static [&'static str],
    /// Gauges of requests that wait.
    pub(crate) queue: &'static [&'static str],
}

/// A source that has nothing.
pub(crate) const NOTHING: Definition = Definition {
    scheme: Scheme::Pods,
    side: None,
    requests: &[],
    user: |_| true,
    ended: Which::None,
    answered: None,
    refused: Which::None,
    throttled: Which::None,
    truncated: None,
    durations: &[],
    first_token: &[],
    per_token: &[],
    generation: &[],
    per_second: None,
    tokens: &[],
    model: &[],
    names_answers: false,
    model_is: None,
    by_model: &[],
    spend: &[],
    cache: &[],
    queue: &[],
};

/// Which counter tells how requests ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Which {
    /// The source does not tell.
    None,
    /// The counter of requests itself.
    Among(Told),
    /// This other counter, which has no good ones, or only beside the total.
    Beside(&'static str, Told),
    /// This counter, which has good ones too and is the total.
    Of(&'static str, Told),
}

/// Answers that were cut off: of this counter, which is the total, the series whose label has this value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut {
    pub(crate) family: &'static str,
    pub(crate) label: &'static str,
    pub(crate) value: &'static str,
}

/// Where the requests of a gate of shares are counted, the bad ones among or beside them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The source has none.
    Nowhere,
    /// The counter of requests has both.
    Requests,
    /// This counter has the bad ones, that of requests all.
    Beside(&'static str),
    /// This counter has both.
    Of(&'static str),
}

impl Which {
    const fn place(self) -> Place {
        match self {
            Self::None => Place::Nowhere,
            Self::Among(_) => Place::Requests,
            Self::Beside(name, _) => Place::Beside(name),
            Self::Of(name, _) => Place::Of(name),
        }
    }

    /// The labels that tell it.
    pub(crate) const fn told(self) -> Option<Told> {
        match self {
            Self::None => None,
            Self::Among(told) | Self::Beside(_, told) | Self::Of(_, told) => Some(told),
        }
    }
}

impl Definition {
    /// Where a gate of shares finds its requests; the user's own selectors are not the preset's.
    pub(crate) fn place(&self, what: &Share) -> Place {
        match what {
            Share::Truncated => self.truncated.map_or(Place::Nowhere, |cut| Place::Of(cut.family)),
            Share::Errors | Share::ClientErrors | Share::Throttled | Share::Ratio { .. } => self.which(what).place(),
        }
    }

    /// Which counter tells how the requests of a gate ended.
    const fn which(&self, what: &Share) -> Which {
        match what {
            Share::Errors => self.ended,
            Share::ClientErrors => self.refused,
            Share::Throttled => self.throttled,
            Share::Truncated | Share::Ratio { .. } => Which::None,
        }
    }

    /// The part that a series plays in a gate of shares. `is_request`: it is of the pinned counter and of users.
    pub(crate) fn share(&self, what: &Share, series: &Series, is_request: bool) -> Option<Part> {
        let so: &[Ending] = match what {
            Share::Errors => &[Ending::Failed],
            Share::ClientErrors => &[Ending::Refused, Ending::Redirected],
            Share::Throttled => &[Ending::Throttled],
            Share::Truncated | Share::Ratio { .. } => &[],
        };
        let ended = |told: Option<Told>| told.zip(self.side).map(|(told, side)| told.ending(side, series));
        let is_bad = |ending: Option<Ending>| match what {
            Share::Truncated => self.truncated.is_some_and(|cut| series.label(cut.label) == cut.value),
            Share::Errors | Share::ClientErrors | Share::Throttled | Share::Ratio { .. } => {
                ending.is_some_and(|ending| so.contains(&ending))
            }
        };
        let ending = ended(self.which(what).told());
        match (self.place(what), self.answered) {
            (Place::Nowhere, _) => None,
            (Place::Beside(name), _) if series.name() == name && !(self.user)(series) => None,
            (Place::Beside(name), Some(_)) if series.name() == name => Some(Part::Beside { bad: is_bad(ending) }),
            (Place::Beside(name), None) if series.name() == name => {
                // Who cannot tell those that were throttled has them among the refused ones.
                let is_neither = |ending: Ending| ending.is_neither() || ending == Ending::Refused;
                let unanswered =
                    || (*what == Share::Errors && ending.is_some_and(is_neither)).then_some(Part::Unanswered);
                if is_bad(ending) { Some(Part::Bad) } else { unanswered() }
            }
            (Place::Beside(_), Some(_)) => {
                let (good, ending) = (self.is_good(series), ended(self.answered));
                is_request.then(|| Part::Told { good, bad: is_bad(ending) })
            }
            (Place::Beside(_), None) => is_request.then_some(Part::Total { bad: false }),
            (Place::Requests | Place::Of(_), _) => {
                is_request.then(|| Part::Total { bad: (self.user)(series) && is_bad(ending) })
            }
        }
    }

    /// Did the requests of this series end well: did none fail, was none refused or throttled, and did no client leave?
    pub(crate) fn is_good(&self, series: &Series) -> bool {
        self.ending(series).is_none_or(|ending| matches!(ending, Ending::Good | Ending::Redirected))
    }

    /// Did they end in neither way: were they refused since there were too many, did their clients leave, or does nobody know?
    pub(crate) fn is_unanswered(&self, series: &Series) -> bool {
        self.ending(series).is_some_and(Ending::is_neither)
    }

    /// Does the counter of a gate of shares say in no known word how the requests of this series ended?
    pub(crate) fn is_unknown(&self, what: &Share, series: &Series) -> bool {
        let told = self.which(what).told().zip(self.side);
        told.is_some_and(|(told, side)| told.ending(side, series) == Ending::Unknown)
    }

    /// How the requests of this series of the counter of requests ended, as far as that counter tells it.
    fn ending(&self, series: &Series) -> Option<Ending> {
        let told = self.answered.or(match self.ended {
            Which::Among(told) => Some(told),
            Which::None | Which::Beside(..) | Which::Of(..) => None,
        });
        told.zip(self.side).map(|(told, side)| told.ending(side, series))
    }

    /// The label that says of every request how it ended, in each generation, where there is one: without it no bad one
    /// could be seen.
    pub(crate) fn outcome(&self, what: &Share) -> Vec<&'static str> {
        let told = match self.which(what) {
            Which::Among(told) | Which::Of(_, told) => told,
            Which::None | Which::Beside(..) => return Vec::new(),
        };
        let labels =
            if *what == Share::Errors && !told.class.is_empty() { [told.class, ""] } else { [told.status, told.older] };
        labels.into_iter().filter(|label| !label.is_empty()).collect()
    }

    /// How many units of a histogram are one second.
    pub(crate) fn per_second(&self, base: &str) -> i64 {
        self.per_second.unwrap_or_else(|| per_second(base))
    }

    /// Histograms of a time.
    pub(crate) const fn times(&self, what: Slow) -> &'static [&'static str] {
        match what {
            Slow::Response => self.durations,
            Slow::FirstToken => self.first_token,
            Slow::PerToken => self.per_token,
        }
    }

    /// Counters of requests that say which model answered.
    pub(crate) const fn by_model(&self) -> &'static [&'static str] {
        if self.by_model.is_empty() { self.requests } else { self.by_model }
    }

    /// The names of all token counters.
    pub(crate) fn token_names(&self) -> impl Iterator<Item = &'static str> {
        self.tokens.iter().flat_map(|generation| generation.names).map(|(name, _)| *name)
    }
}

/// The token counters of one generation of names.
#[derive(Debug)]
pub(crate) struct Generation {
    /// The name and the type of token; `None`: the label `gen_ai_token_type` says it.
    pub(crate) names: &'static [(&'static str, Option<Token>)],
    /// The counter of observations, by the same label, where there is one: of `input`, the answers whose tokens were
    /// counted.
    pub(crate) counted: Option<&'static str>,
}

impl Generation {
    /// The type of token that a series counts; `None`: none with a price of its own.
    pub(crate) fn token(&self, series: &Series) -> Option<Token> {
        let (_, token) = self.names.iter().find(|(name, _)| *name == series.name())?;
        token.or_else(|| Token::of(series.label("gen_ai_token_type")))
    }
}

/// Types of token with a price of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Input,
    Output,
    /// A subset of `Input`.
    CachedInput,
}

impl Token {
    /// Reads `gen_ai_token_type`. Beside the two values of the semantic conventions, those of Envoy AI Gateway
    /// (`cached_input`) and of what others call it. Tokens of reasoning, and those written into a cache, are among the
    /// output and the input.
    fn of(label: &str) -> Option<Self> {
        match label {
            "input" | "prompt" => Some(Self::Input),
            "output" | "completion" => Some(Self::Output),
            "cached_input" | "input_cached" | "cache_read" | "cache_read_input" => Some(Self::CachedInput),
            _ => None,
        }
    }
}

/// The names of a preset.
pub(crate) const fn definition(preset: Preset) -> &'static Definition {
    match preset {
        Preset::OtelGenai => &otel_genai::DEFINITION,
        Preset::OtelHttp => &otel_http::DEFINITION,
        Preset::Envoy => &envoy::DEFINITION,
        Preset::Istio => &istio::DEFINITION,
        Preset::Linkerd => &linkerd::DEFINITION,
        Preset::Traefik => &traefik::DEFINITION,
        Preset::Nginx => &nginx::DEFINITION,
        Preset::Litellm => &litellm::DEFINITION,
        Preset::Vllm => &vllm::DEFINITION,
        Preset::Evals => &evals::DEFINITION,
    }
}

/// Whose requests a preset counts; `None`: verdicts, no requests.
pub const fn side(preset: Preset) -> Option<Counted> {
    definition(preset).side
}

/// The scheme of a preset.
pub const fn scheme(preset: Preset) -> Scheme {
    definition(preset).scheme
}

pub(crate) use evals::{FEEDBACK, JUDGES_COST, RESULTS, STARTED, Verdict, verdict};
pub(crate) use names::{Form, candidates, histogram, needed, witnesses};

/// Does the gate read this scheme, or may it, where nothing is pinned yet (`None`)? Judges cost money too.
pub(crate) fn reads(gate: &Gate, scheme: Scheme, pins: Option<&Pins>) -> bool {
    let own = match pins {
        Some(pins) => pin::scheme(gate, pins) == scheme,
        None => definition(gate.source).scheme.ways().any(|way| way == scheme),
    };
    own || is_judges(gate, scheme)
}

/// Is it about what judging costs, which is none of the preset's?
pub(crate) fn is_judges(gate: &Gate, scheme: Scheme) -> bool {
    scheme == Scheme::Evals && matches!(gate.kind, GateKind::Budget { .. }) && definition(gate.source).scheme != scheme
}
/// Names of the model that a series is about, the surest first.
pub(crate) fn models<'a>(definition: &Definition, series: &'a Series) -> Vec<&'a str> {
    definition.model.iter().map(|label| series.label(label)).collect()
}
