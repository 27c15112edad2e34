//! Presets: which metric families a gate reads and which label separates the revisions. Data, one file each.

mod envoy;
mod evals;
mod istio;
mod linkerd;
mod litellm;
mod nginx;
mod otel_genai;
mod otel_http;
mod traefik;
mod vllm;

use microapp_core::strategy::{Gate, GateKind, Judged, Preset, Share, Slow};

use crate::{
    outcome::{Counted, Ending, Told},
    own::{Picked, base},
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
    /// How many of their units are one second.
    pub(crate) per_second: i64,
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
    per_second: 1,
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

impl Place {
    /// The part of a series whose requests `are_bad`. `is_request`: it is of the counter that has all of them.
    fn part(self, series: &Series, is_request: bool, are_bad: impl Fn() -> bool) -> Option<Part> {
        match self {
            Self::Nowhere => None,
            Self::Beside(name) if series.name() == name => are_bad().then_some(Part::Bad),
            Self::Beside(_) => is_request.then_some(Part::Total { bad: false }),
            Self::Requests | Self::Of(_) => is_request.then(|| Part::Total { bad: are_bad() }),
        }
    }
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
        let are_bad = || match what {
            Share::Errors => self.ends(self.ended, series, Ending::Failed),
            Share::ClientErrors => self.ends(self.refused, series, Ending::Refused),
            Share::Throttled => self.ends(self.throttled, series, Ending::Throttled),
            Share::Truncated => self.truncated.is_some_and(|cut| series.label(cut.label) == cut.value),
            Share::Ratio { .. } => false,
        };
        self.place(what).part(series, is_request, || (self.user)(series) && are_bad())
    }

    /// Did the requests of this series end well: did none fail, was none refused or throttled, and did no client leave?
    pub(crate) fn is_good(&self, series: &Series) -> bool {
        let told = self.answered.or(match self.ended {
            Which::Among(told) => Some(told),
            Which::None | Which::Beside(..) | Which::Of(..) => None,
        });
        // A counter that says it of every request says nothing of one that it has no word for.
        let said = self
            .answered
            .is_none_or(|told| series.label(told.status).starts_with(|digit: char| digit.is_ascii_digit()));
        said && told.zip(self.side).is_none_or(|(told, side)| told.ending(side, series) == Ending::Good)
    }

    fn ends(&self, which: Which, series: &Series, so: Ending) -> bool {
        which.told().zip(self.side).is_some_and(|(told, side)| told.ending(side, series) == so)
    }

    /// The label that says of every request how it ended, where there is one: without it no bad one could be seen.
    pub(crate) fn outcome(&self, what: &Share) -> Option<&'static str> {
        let told = match self.which(what) {
            Which::Among(told) | Which::Of(_, told) => told,
            Which::None | Which::Beside(..) => return None,
        };
        let label = if *what == Share::Errors && !told.class.is_empty() { told.class } else { told.status };
        Some(label).filter(|label| !label.is_empty())
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

/// Every name that a gate may turn out to need of a scheme, for preflight.
pub(crate) fn candidates(gate: &Gate, scheme: Scheme) -> Vec<String> {
    if is_judges(gate, scheme) {
        return vec![JUDGES_COST.to_owned()];
    }
    let definition = definition(gate.source);
    let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let counted = || definition.tokens.iter().filter_map(|generation| generation.counted).map(str::to_owned);
    match &gate.kind {
        GateKind::Share { what: Share::Ratio { bad, total }, .. } => {
            [bad, total].into_iter().filter_map(|text| Some(Picked::parse(text).ok()?.name)).collect()
        }
        GateKind::Share { what, .. } => match definition.place(what) {
            Place::Nowhere => Vec::new(),
            Place::Requests => own(definition.requests),
            Place::Beside(bad) => [own(definition.requests), own(&[bad])].concat(),
            Place::Of(total) => own(&[total]),
        },
        GateKind::Slow { own: Some(own), .. } => histogram(base(own), Form::Unknown),
        GateKind::Slow { what, own: None, .. } => {
            definition.times(*what).iter().flat_map(|base| histogram(base, Form::Unknown)).collect()
        }
        GateKind::Mean { .. } => {
            let users = if definition.scheme == Scheme::Pods { otel_http::DEFINITION.requests } else { &[] };
            let requests = [own(definition.requests), own(users)].concat();
            requests.into_iter().chain(own_names(definition)).chain(counted()).collect()
        }
        GateKind::Budget { .. } => {
            let requests = own(definition.requests).into_iter();
            requests.chain(own_names(definition)).chain(counted()).chain(own(definition.spend)).collect()
        }
        GateKind::Judged { what: Judged::Feedback, .. } => own(&[FEEDBACK]),
        GateKind::Judged { .. } => own(&[STARTED, RESULTS]),
        // A query of the user's brings its own numbers; the requests tell that the targets live.
        GateKind::Model { .. } => own(definition.by_model()),
        GateKind::Traffic | GateKind::Query { .. } => own(definition.requests),
        GateKind::Saturation { .. } => [own(definition.cache), own(definition.queue)].concat(),
    }
}

/// The names without which a gate has nothing to count: of means and budgets the requests alone are not enough.
pub(crate) fn needed(gate: &Gate, scheme: Scheme) -> Vec<String> {
    let mut names = candidates(gate, scheme);
    if matches!(gate.kind, GateKind::Mean { .. } | GateKind::Budget { .. }) {
        names.retain(|name| !definition(gate.source).requests.contains(&name.as_str()));
    }
    names
}

/// What preflight asks for beside, once, to see what a gate would miss.
pub(crate) fn witnesses(gate: &Gate, scheme: Scheme) -> Vec<String> {
    if is_judges(gate, scheme) {
        return Vec::new();
    }
    let definition = definition(gate.source);
    let all = |bases: &[&str], suffix: &str| bases.iter().map(|base| format!("{base}{suffix}")).collect::<Vec<_>>();
    match gate.kind {
        GateKind::Share { what: Share::Errors, .. } if definition.names_answers => {
            [all(definition.first_token, "_count"), all(definition.generation, "_count")].concat()
        }
        GateKind::Slow { what: Slow::Response, .. } if definition.names_answers => {
            let http = ["http_server_request_duration_seconds", "http_server_duration_milliseconds"];
            [all(definition.durations, "_sum"), all(&http, "_sum")].concat()
        }
        GateKind::Share { .. }
        | GateKind::Slow { .. }
        | GateKind::Mean { .. }
        | GateKind::Budget { .. }
        | GateKind::Judged { .. }
        | GateKind::Model { .. }
        | GateKind::Traffic
        | GateKind::Saturation { .. }
        | GateKind::Query { .. } => Vec::new(),
    }
}

fn own_names(definition: &Definition) -> impl Iterator<Item = String> {
    definition.token_names().map(str::to_owned)
}

/// Names of the model that a series is about, the surest first.
pub(crate) fn models<'a>(definition: &Definition, series: &'a Series) -> Vec<&'a str> {
    definition.model.iter().map(|label| series.label(label)).collect()
}

/// How a histogram is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Classic,
    Native,
    Unknown,
}

/// The names of a histogram's series.
pub(crate) fn histogram(base: &str, form: Form) -> Vec<String> {
    let classic = [format!("{base}_count"), format!("{base}_bucket")];
    match form {
        Form::Classic => classic.to_vec(),
        Form::Native => vec![base.to_owned()],
        Form::Unknown => classic.into_iter().chain([base.to_owned()]).collect(),
    }
}
