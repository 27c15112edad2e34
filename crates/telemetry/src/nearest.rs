//! What would work instead: from the names that stable exposes to one sentence. Exporters are many; what counts requests
//! and their time is known by the words in its name and by a label that holds statuses of HTTP.

use microapp_core::strategy::{Gate, GateKind, Preset, Share, Slow};

use crate::{
    exposed::Exposed,
    own::base,
    presets::{self, Scheme},
    words,
};

/// Characters of the advice: a condition's message is cut at 1 000, and may be of several gates.
const LONGEST: usize = 360;
/// Names of a list.
const NAMES: usize = 6;
/// From so many points on a name is believed to count requests, or their time.
const LIKELY: i32 = 4;

/// Presets of the pods' own metrics, the surest first: what users get is counted where HTTP is served, tokens where the
/// model is called.
const fn of_choice(kind: &GateKind) -> &'static [Preset] {
    match kind {
        GateKind::Share { .. } | GateKind::Slow { what: Slow::Response, .. } | GateKind::Traffic => {
            &[Preset::OtelHttp, Preset::Vllm, Preset::Istio, Preset::Linkerd]
        }
        GateKind::Slow { .. }
        | GateKind::Mean { .. }
        | GateKind::Budget { .. }
        | GateKind::Judged { .. }
        | GateKind::Model { .. }
        | GateKind::Saturation { .. }
        | GateKind::Query { .. } => &[Preset::OtelGenai, Preset::Vllm],
    }
}

/// In words: what stable has for the gate instead. `None`: nothing that would help.
pub(crate) fn nearest(gate: &Gate, exposed: &Exposed) -> Option<String> {
    let found = if exposed.names().next().is_none() {
        Some(nothing(exposed))
    } else if is_own(&gate.kind) {
        own(gate, exposed)
    } else {
        let of_users = preset(gate, of_choice(&gate.kind), exposed).or_else(|| instead(&gate.kind, exposed));
        of_users
            .or_else(|| preset(gate, &[Preset::OtelGenai], exposed))
            .or_else(|| alike(&gate.kind, exposed))
            .or_else(|| list(exposed))
    };
    found.map(|text| words::cut(&text, LONGEST))
}

/// Why there is nothing to choose from.
fn nothing(exposed: &Exposed) -> String {
    if exposed.has("up") {
        "stable exposes nothing of its own: its pods are scraped, but no request is counted; spans are no metrics, so give \
         the application a meter with a Prometheus exporter, and the scrape its port and path"
            .to_owned()
    } else {
        "stable exposes nothing: none of its pods is scraped with the labels namespace and pod; an application that only \
         sends spans has nothing to scrape, and metrics that it pushes need both labels"
            .to_owned()
    }
}

/// Another preset that has the gate's numbers here.
fn preset(gate: &Gate, presets: &[Preset], exposed: &Exposed) -> Option<String> {
    let mut others = presets.iter().filter(|preset| **preset != gate.source && is_of(**preset, exposed));
    others.find_map(|preset| {
        let other = Gate { source: *preset, ..gate.clone() };
        let name = presets::needed(&other, Scheme::Pods).into_iter().find(|name| exposed.has(name))?;
        let preset = preset.as_str();
        Some(format!(
            "stable has {}: write telemetry: {preset} for this gate, or telemetry.preset: {preset}",
            words::selector(&name)
        ))
    })
}

/// Has the gate names of the user's own?
const fn is_own(kind: &GateKind) -> bool {
    matches!(
        kind,
        GateKind::Share { what: Share::Ratio { .. }, .. }
            | GateKind::Slow { own: Some(_), .. }
            | GateKind::Query { .. }
    )
}

/// Some names of these presets are anybody's.
fn is_of(preset: Preset, exposed: &Exposed) -> bool {
    match preset {
        Preset::Vllm => exposed.names().any(|name| name.starts_with("vllm:")),
        Preset::Linkerd => exposed.labels("response_total").contains_key("classification"),
        _ => true,
    }
}

/// What is nearest to the names that the user wrote.
fn own(gate: &Gate, exposed: &Exposed) -> Option<String> {
    let scheme = presets::scheme(gate.source);
    let (wanted, otherwise): (Vec<String>, _) = match &gate.kind {
        GateKind::Share { what: Share::Ratio { .. }, .. } => {
            let otherwise = counter(words::FAILED, exposed).or_else(|| alike(&gate.kind, exposed));
            (presets::candidates(gate, scheme), otherwise)
        }
        GateKind::Slow { own: Some(own), what, .. } => (vec![base(own).to_owned()], histogram(*what, exposed)),
        _ => return None,
    };
    let has = |name: &str| exposed.has(name) || exposed.has(&format!("{name}_count"));
    if scheme != Scheme::Pods && wanted.iter().all(|name| has(name)) {
        return Some(format!(
            "stable's pods have it, and {} reads the gateway: write telemetry: otel-http for this gate, or any other that \
             reads pods",
            gate.source.as_str()
        ));
    }
    let known = || exposed.names().chain(families(exposed));
    let near = wanted.iter().filter(|name| !has(name)).find_map(|name| like(name, known()));
    match near {
        // What it has stands in the refusal itself.
        Some(near) if wanted.iter().any(|name| name == near) => None,
        Some(near) => Some(format!("the nearest is {}", metric(near, exposed))),
        None if wanted.iter().any(|name| has(name)) => None,
        None => otherwise.or_else(|| list(exposed)),
    }
}

/// A gate over what the application counts itself, instead of a preset's.
fn instead(kind: &GateKind, exposed: &Exposed) -> Option<String> {
    match kind {
        GateKind::Share { what: Share::Throttled, .. } => counter("429", exposed),
        GateKind::Share { what: Share::Errors, .. } => counter(words::FAILED, exposed),
        GateKind::Slow { what, .. } => histogram(*what, exposed),
        GateKind::Share { what: Share::ClientErrors | Share::Truncated | Share::Ratio { .. }, .. }
        | GateKind::Mean { .. }
        | GateKind::Budget { .. }
        | GateKind::Model { .. }
        | GateKind::Traffic
        | GateKind::Saturation { .. }
        | GateKind::Judged { .. }
        | GateKind::Query { .. } => None,
    }
}

/// Names that speak of what the gate counts, where nobody can say how to count with them.
fn alike(kind: &GateKind, exposed: &Exposed) -> Option<String> {
    if matches!(kind, GateKind::Mean { .. } | GateKind::Budget { .. }) {
        let counts = |name: &&str| name.contains("token") && (name.ends_with("_total") || name.ends_with("_sum"));
        let tokens: Vec<&str> = exposed.names().filter(counts).filter(|name| time_of(name) == Slow::Response).collect();
        let has = if tokens.is_empty() { String::new() } else { format!("stable has {}; ", names(&tokens)) };
        return Some(format!(
            "{has}tokens are read by the presets otel-genai, litellm and vllm alone: instrument the client of the model with \
             OpenTelemetry"
        ));
    }
    let known = counters(exposed);
    (matches!(kind, GateKind::Share { .. }) && !known.is_empty()).then(|| {
        format!(
            "stable counts requests in {}: write a ratio gate where a label or a counter of failures says how they ended{}",
            names(&known),
            hint(exposed)
        )
    })
}

/// `ratio` over the counter that most looks like that of requests. `bad`: the statuses that fail it.
fn counter(bad: &str, exposed: &Exposed) -> Option<String> {
    // text-generation-inference counts failures beside its requests (router/src/server.rs, docs/source/reference/metrics).
    if exposed.has("tgi_request_count") && bad == words::FAILED {
        return Some(write("tgi_request_failure", "tgi_request_count", "stable has tgi_request_count"));
    }
    let told = |name: &str| words::failures(&exposed.labels(name), bad);
    let (name, failed) = counters(exposed).into_iter().find_map(|name| Some((name, told(name)?)))?;
    let shown = words::selector(name);
    let has = format!("stable has {}", metric(name, exposed));
    Some(write(&format!("{shown}{{{failed}}}"), &shown, &has) + &hint(exposed))
}

fn write(bad: &str, total: &str, has: &str) -> String {
    format!("{has}: write ratio: {{bad: '{bad}', total: '{total}'}}")
}

/// What to set so that a preset would work.
fn hint(exposed: &Exposed) -> String {
    if exposed.names().any(|name| name.starts_with("litellm_")) {
        return ", or use the preset litellm with a virtual key per revision".to_owned();
    }
    String::new()
}

/// `latency.histogram` and the like over the histogram that most looks like it.
fn histogram(what: Slow, exposed: &Exposed) -> Option<String> {
    let mut known: Vec<(i32, usize, &str)> = families(exposed)
        .filter(|name| time_of(name) == what)
        .map(|name| {
            (
                -points(name, &["duration", "latency", "time", "seconds", "milliseconds", "ms", "processing"]),
                name.len(),
                name,
            )
        })
        .filter(|(points, ..)| what != Slow::Response || -points >= LIKELY)
        .collect();
    known.sort_unstable();
    let (.., name) = known.first()?;
    let name = words::selector(name);
    Some(format!(
        "stable has the histogram {name}: write histogram: {name} beside the gate's quantile and max{}",
        hint(exposed)
    ))
}

/// Which time a histogram's name speaks of.
fn time_of(name: &str) -> Slow {
    let speaks = |words: &[&str]| words.iter().any(|word| name.contains(word));
    if speaks(&["first_token", "first_chunk", "time_to_first", "ttft"]) {
        Slow::FirstToken
    } else if speaks(&["per_output", "per_token", "inter_token", "tpot"]) {
        Slow::PerToken
    } else {
        Slow::Response
    }
}

/// Classic histograms without their suffix.
fn families(exposed: &Exposed) -> impl Iterator<Item = &str> {
    exposed.names().filter_map(|name| name.strip_suffix("_bucket"))
}

/// What looks like a counter of users' requests, the likeliest first.
fn counters(exposed: &Exposed) -> Vec<&str> {
    let is_counter = |name: &&str| name.ends_with("_total") || name.ends_with("_count");
    let scored = exposed.names().filter(is_counter).map(|name| {
        let told = if words::failures(&exposed.labels(name), words::FAILED).is_some() { 5 } else { 0 };
        (-(points(name, &["server"]) + told), name.ends_with("_count"), name.len(), name)
    });
    let mut likely: Vec<_> = scored.filter(|(points, ..)| -points >= LIKELY).collect();
    likely.sort_unstable();
    likely.into_iter().map(|(.., name)| name).collect()
}

/// How much a name speaks of requests that users made. `also`: what speaks for it besides.
fn points(name: &str, also: &[&str]) -> i32 {
    name.split(['_', ':'])
        .map(|word| match word {
            "request" | "requests" | "response" | "responses" => 4,
            "http" => 2,
            // Of what is called, of what is rare, of what is no request.
            "client" | "exception" | "exceptions" | "error" | "errors" | "failed" | "failures" | "aborted"
            | "retries" | "bytes" | "size" | "token" | "tokens" | "db" | "sql" | "redis" | "cache" | "gc" | "queue"
            | "session" | "sessions" | "connections" | "spans" | "llm" => -6,
            other if also.contains(&other) => 1,
            _ => 0,
        })
        .sum()
}

/// The name that differs from a misspelt one in a few letters.
fn like<'a>(wanted: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let most = (wanted.len() / 6).clamp(1, 4);
    known
        .map(|name| (distance(wanted, name), name))
        .filter(|(distance, _)| *distance <= most)
        .min()
        .map(|(_, name)| name)
}

/// Levenshtein's distance, of bytes.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (place, a) in one.bytes().enumerate() {
        let mut corner = std::mem::replace(&mut row[0], place + 1);
        for (index, b) in other.bytes().enumerate() {
            let changed = corner + usize::from(a != b);
            corner = row[index + 1];
            row[index + 1] = changed.min(corner + 1).min(row[index] + 1);
        }
    }
    row[other.len()]
}

fn metric(name: &str, exposed: &Exposed) -> String {
    words::metric(name, &exposed.labels(name))
}

/// The first names of a list.
fn names(all: &[&str]) -> String {
    let shown: Vec<String> = all.iter().take(NAMES).map(|name| words::selector(name)).collect();
    let more = if all.len() > NAMES { format!(" and {} more", all.len() - NAMES) } else { String::new() };
    format!("{}{more}", shown.join(", "))
}

/// Whatever there is; of a histogram its name alone.
fn list(exposed: &Exposed) -> Option<String> {
    let bare = |name: &'_ str| -> usize {
        let family = ["_bucket", "_count", "_sum"].iter().find_map(|suffix| name.strip_suffix(suffix));
        family.filter(|family| exposed.has(&format!("{family}_bucket"))).map_or(name.len(), str::len)
    };
    let mut all: Vec<&str> = exposed.names().map(|name| &name[..bare(name)]).collect();
    all.dedup();
    let streamlit = exposed.has("session_events_total") && exposed.has("cache_memory_bytes");
    let note =
        if streamlit { " (Streamlit counts sessions alone: expose GenAI metrics on a port of their own)" } else { "" };
    (!all.is_empty()).then(|| format!("stable has {}{note}", names(&all)))
}
